"""The tensors of an ONNX file as NumPy arrays: stored inside, in a file beside it, or sparse.

What an array is afterwards read as, READ_AS says: float64, float16 and bfloat16 become float32.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from bittrue.dtypes import BY_ONNX, DTYPES
from bittrue.errors import FormatError

#: Types that are read as another one.
READ_AS = {
    "float16": "float32",
    "float64": "float32",
    "bfloat16": "float32",
    "uint32": "int64",
    "uint64": "int64",
}


def normal_dtype(number: int) -> str:
    """Return the type that bittrue reads an ONNX type as; ONNX's own name where it reads none."""
    try:
        name = onnx.TensorProto.DataType.Name(number).lower()
    except ValueError:
        return f"type {number}"
    name = BY_ONNX[number].name if number in BY_ONNX else name
    return READ_AS.get(name, name)


def as_read(array: np.ndarray) -> np.ndarray:
    """Return an array in the type that bittrue reads its own as."""
    wanted = np.dtype(READ_AS.get(array.dtype.name, array.dtype.name))
    with np.errstate(over="ignore"):
        return array if array.dtype == wanted else array.astype(wanted)


def read_tensor(tensor: onnx.TensorProto, folder: Path | None) -> np.ndarray | str:
    """Return a tensor's array in its own type; the type's name where bittrue reads no such type.

    Raises:
        FormatError: if its sizes contradict each other or its external file is not there.
    """
    dtype = normal_dtype(tensor.data_type)
    if dtype not in DTYPES:
        return dtype
    shape = tuple(tensor.dims)
    if any(dim < 0 for dim in shape):
        raise FormatError(f"constant {tensor.name!r} has the shape {list(shape)}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _external(tensor, shape, folder)
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError, MemoryError) as why:
        raise FormatError(
            f"constant {tensor.name!r} cannot be read: {why}",
            hint="the file is damaged; export it again",
        ) from why
    if array.shape != shape:
        raise FormatError(f"constant {tensor.name!r} is {array.shape}, not {shape}")
    return np.ascontiguousarray(array).reshape(shape)


def _external(tensor: onnx.TensorProto, shape: tuple[int, ...], folder: Path | None) -> np.ndarray:
    entries = {row.key: row.value for row in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise FormatError(
            f"constant {tensor.name!r} lies in the file {location!r}, and bytes have no folder",
            hint="give the path of the .onnx file instead of its bytes",
        )
    file = _inside(folder, location, tensor.name)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).newbyteorder("<")
    length = math.prod(shape) * dtype.itemsize
    offset = _whole(entries.get("offset", "0"), "offset", tensor.name)
    stated = _whole(entries.get("length", str(length)), "length", tensor.name)
    size = file.stat().st_size
    if stated != length or offset + length > size:
        raise FormatError(
            f"constant {tensor.name!r} needs {length} bytes at {offset} of {location!r}, which has "
            f"{size} bytes (the file says {stated})",
            hint="fetch the model and its data file again; they belong together",
        )
    with file.open("rb") as stream:
        stream.seek(offset)
        return np.frombuffer(stream.read(length), dtype).reshape(shape)


def _inside(folder: Path, location: str, name: str) -> Path:
    """Return the file of external data; links and parents must not lead out of the folder."""
    root = folder.resolve()
    try:
        file = (root / location).resolve()
        inside = bool(location) and file.is_relative_to(root)
        there = inside and file.is_file()
    except (OSError, ValueError):
        inside = there = False
    if there:
        return file
    why = "is not there" if inside else "is not inside the model's folder"
    raise FormatError(
        f"constant {name!r} lies in the file {location!r}, which {why}",
        hint="put the data file beside the .onnx file, under the name that it was saved with",
    )


#: No constant of a network is longer; a sparse one says little and may claim much.
DENSE_MAX = 2**28


def dense(tensor: onnx.SparseTensorProto, folder: Path | None) -> np.ndarray | str:
    """Return a sparse tensor as an array: values at flat indices or at rows of coordinates.

    Raises:
        FormatError: if its parts contradict each other or it is too long.
    """
    values = read_tensor(tensor.values, folder)
    places = read_tensor(tensor.indices, folder)
    if isinstance(values, str) or isinstance(places, str):
        return f"sparse tensor of {values if isinstance(values, str) else places}"
    shape, name = tuple(tensor.dims), tensor.values.name
    if min(shape, default=1) < 1 or math.prod(shape) > DENSE_MAX or places.dtype.kind not in "iu":
        raise FormatError(f"sparse constant {name!r} has the shape {list(shape)}")
    rows = places.reshape(-1, 1) if places.ndim == 1 else places
    limits = (math.prod(shape),) if places.ndim == 1 else shape
    legal = rows.ndim == 2 and rows.shape == (values.size, len(limits))
    if not legal or (rows < 0).any() or (rows >= np.asarray(limits)).any():
        raise FormatError(f"sparse constant {name!r} has indices outside its shape")
    flat = np.zeros(limits, values.dtype)
    flat[tuple(rows.T)] = values.reshape(-1)
    return flat.reshape(shape)


def _whole(text: str, what: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FormatError(f"external data of {name!r} has the {what} {text!r}")
    return int(text)
