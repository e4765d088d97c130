"""The element types that graphs, programs and contracts use, and what each one means."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class DType:
    """One element type.

    Args:
        name: NumPy's name for it, which is also the name in every file and message.
        code: The number that stands for it in a .bte file (docs/format.md); 0 where it cannot.
        onnx: Its number in ONNX's TensorProto.DataType.
        itemsize: Bytes an element.
    """

    name: str
    code: int
    onnx: int
    itemsize: int


#: Every type, once. A program holds only those with a code.
DTYPES: dict[str, DType] = {
    row.name: row
    for row in (
        DType("uint8", 1, 2, 1),
        DType("int8", 2, 3, 1),
        DType("int32", 3, 6, 4),
        DType("float32", 4, 1, 4),
        DType("int16", 0, 5, 2),
        DType("uint16", 0, 4, 2),
        DType("int64", 0, 7, 8),
        DType("bool", 0, 9, 1),
        DType("float16", 0, 10, 2),
        DType("float64", 0, 11, 8),
    )
}
BY_CODE: dict[int, DType] = {row.code: row for row in DTYPES.values() if row.code}
BY_ONNX: dict[int, DType] = {row.onnx: row for row in DTYPES.values()}


def nbytes(name: str, shape: tuple[int, ...]) -> int:
    """Return the bytes that a dense tensor of this type and shape takes, as a Python int."""
    return prod(map(int, shape), start=DTYPES[name].itemsize)
