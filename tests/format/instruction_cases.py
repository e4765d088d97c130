"""A good program of each kind of instruction, and what both readers must say of a broken one."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.compiler import fileformat
from bittrue.compiler.instructions import BY_NAME
from bittrue.compiler.program import Program
from bittrue.compiler.verify_program import problems, verify_program
from bittrue.engines.native import Engine
from bittrue.errors import FormatError, InternalError
from tests.format.programs import WINDOW
from tests.programs import Builder

CODES = {"zero_point": 1, "lo": 0, "hi": 255}
Arrays = dict[str, np.ndarray]

F32 = np.float32
#: Kind, computed inputs (name: dtype and shape), constants, output dtype and shape, params.
ROWS: dict[str, tuple[dict[str, tuple[str, tuple[int, ...]]], Arrays, tuple[str, tuple[int, ...]],
                      dict[str, int]]] = {
    "CONV": (
        {"x": ("uint8", (1, 4, 5, 6))},
        {
            "weight": np.ones((4, 3, 2, 3), np.int8),
            "bias": np.zeros((2, 1, 4), np.int32),
            "row_class": np.array([0, 1, 1, 0], np.int32),
            "col_class": np.zeros(5, np.int32),
            "multiplier": np.full(4, 0.01, F32),
        },
        ("uint8", (1, 4, 5, 4)),
        {**WINDOW, **CODES, "pad_top": 1, "groups": 2},
    ),
    "ADD": (
        {"a": ("uint8", (2, 3, 4)), "b": ("uint8", (2, 1, 4))},
        {"multiplier": np.full((2, 4), 0.5, F32)},
        ("uint8", (2, 3, 4)),
        {**CODES, "zero_a": 3, "zero_b": 4},
    ),
    "MUL": (
        {"a": ("uint8", (2, 3, 4)), "b": ("uint8", (2, 1, 4))},
        {"multiplier": np.full(1, 0.01, F32)},
        ("uint8", (2, 3, 4)),
        {**CODES, "zero_a": 3, "zero_b": 4},
    ),
    "TABLE": (
        {"x": ("uint8", (2, 3))},
        {"table": np.zeros((3, 256), np.uint8)},
        ("uint8", (2, 3)),
        {},
    ),
    "MAX_POOL": (
        {"x": ("uint8", (1, 4, 5, 6))},
        {},
        ("uint8", (1, 3, 4, 6)),
        {**WINDOW, "kernel_h": 2, "kernel_w": 2},
    ),
    "AVG_POOL": (
        {"x": ("uint8", (1, 4, 5, 6))},
        {
            "row_class": np.array([0, 1, 0], np.int32),
            "col_class": np.zeros(4, np.int32),
            "multiplier": np.full((2, 1), 0.25, F32),
        },
        ("uint8", (1, 3, 4, 6)),
        {**WINDOW, **CODES, "kernel_h": 2, "kernel_w": 2, "zero_x": 2},
    ),
    "GATHER_2D": (
        {"x": ("float32", (1, 4, 5, 6))},
        {"rows": np.array([3, 0], np.int32), "cols": np.array([4], np.int32)},
        ("float32", (1, 2, 1, 6)),
        {},
    ),
    "COPY": (
        {"x": ("uint8", (4, 5))},
        {"table": np.zeros((1, 256), np.uint8)},
        ("uint8", (5, 4)),
        {
            **{f"size_{i}": 1 for i in range(4)}, "size_4": 5, "size_5": 4,
            "src_offset": 4, "src_stride_4": -1, "src_stride_5": 5,
            "dst_stride_4": 4, "dst_stride_5": 1,
        },
    ),
    "FILL": ({}, {}, ("uint8", (3,)), {"value": 7}),
    "QUANTIZE": (
        {"x": ("float32", (2, 3))},
        {"scale": np.full(3, 0.5, F32)},
        ("uint8", (2, 3)),
        {"zero_point": 3},
    ),
    "DEQUANTIZE": (
        {"x": ("uint8", (2, 3))},
        {"scale": np.full(1, 0.5, F32)},
        ("float32", (2, 3)),
        {"zero_point": 3},
    ),
    "F32_BINARY": (
        {"a": ("float32", (1, 3)), "b": ("float32", (2, 1))},
        {},
        ("float32", (2, 3)),
        {"function": 5},
    ),
    "F32_UNARY": ({"x": ("float32", (2, 3))}, {}, ("float32", (2, 3)), {"function": 4}),
    "F32_SOFTMAX": ({"x": ("float32", (2, 3))}, {}, ("float32", (2, 3)), {}),
    "MATMUL": (
        {"a": ("uint8", (2, 1, 3, 5)), "b": ("uint8", (1, 4, 2, 5))},
        {"multiplier": np.full(2, 0.01, F32)},
        ("uint8", (2, 4, 3, 2)),
        {**CODES, "zero_a": 3, "zero_b": 4},
    ),
    "RESIZE_LINEAR": (
        {"x": ("uint8", (1, 4, 5, 6))},
        {
            "rows": np.array([[0, 1], [3, 3]], np.int32),
            "row_weight": np.array([[512, 1536], [0, 2048]], np.int32),
            "cols": np.array([[4, 0]], np.int32),
            "col_weight": np.array([[1024, 1024]], np.int32),
        },
        ("uint8", (1, 2, 1, 6)),
        {},
    ),
    **{
        kind: (
            {"a": ("uint8", (2, 3, 4)), "b": ("uint8", (2, 1, 4))},
            {"multiplier": np.full((2, 4) if kind != "DIV" else 4, 0.5, F32)},
            ("uint8", (2, 3, 4)),
            {**({"function": 2} if kind == "COMPARE" else CODES), "zero_a": 3, "zero_b": 4},
        )
        for kind in ("DIV", "MIN", "MAX", "COMPARE")
    },
    "F32_WHERE": (
        {"condition": ("float32", (1, 3)), "a": ("float32", (2, 1)), "b": ("float32", (2, 3))},
        {},
        ("float32", (2, 3)),
        {},
    ),
    "F32_REDUCE": ({"x": ("float32", (2, 3))}, {}, ("float32", (2, 1)), {"function": 5}),
    "F32_MATMUL": (
        {"a": ("float32", (2, 1, 3, 4)), "b": ("float32", (1, 5, 4, 6))},
        {},
        ("float32", (2, 5, 3, 6)),
        {},
    ),
}  # fmt: skip


def i32(*values: int) -> np.ndarray:
    """Return an int32 array."""
    return np.array(values, np.int32)


def program_of(
    kind: str,
    tensors: dict[str, tuple[str, tuple[int, ...]]] | None = None,
    arrays: Arrays | None = None,
    params: dict[str, int] | None = None,
) -> Program:
    """One instruction of a kind, with some tensors, constants and params other than in ROWS."""
    computed, constants, (dtype, shape), values = ROWS[kind]
    shapes = computed | {"y": (dtype, shape)} | (tensors or {})
    held = {
        name: array for name, array in (constants | (arrays or {})).items() if name not in shapes
    }
    made = Builder()
    index = {name: made.tensor(row[1], row[0], name) for name, row in shapes.items()}
    index |= {name: made.constant(array, name) for name, array in held.items()}
    roles = [role.rstrip("?") for role in BY_NAME[kind].inputs]
    made.step(kind, tuple(index[role] for role in roles), index["y"], **(values | (params or {})))
    ends = [index[name] for name in shapes if name != "y"]
    return made.program(tuple(ends or [made.tensor((1,), name="unused")]), (index["y"],))


def assert_refused(program: Program, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail unless the compiler and both readers refuse a program, with a message."""
    found = [item.message for item in problems(program)]
    assert any(message in item for item in found), found
    with pytest.raises(InternalError):
        verify_program(program)
    with monkeypatch.context() as patch:
        patch.setattr(fileformat, "verify_program", lambda program: None)
        data = fileformat.to_bytes(program)
    with pytest.raises(FormatError) as caught:
        fileformat.from_bytes(data)
    assert caught.value.offset is not None
    assert caught.value.offset > 0
    with pytest.raises(FormatError):
        Engine(data, threads=1)


def assert_accepted(program: Program) -> None:
    """Fail unless both readers take a program."""
    data = fileformat.to_bytes(program)
    fileformat.from_bytes(data)
    Engine(data, threads=1).close()
