"""The files of a capture: arrays by key, raw bytes that nobody has described yet, and zips."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bittrue.arrays import MOST_UNPACKED, read_arrays
from bittrue.capture_text import (
    DESCRIPTIONS,
    MOST_TENSORS,
    Description,
    parse_description,
    printable,
)
from bittrue.errors import DataError, Error
from bittrue.files import unreadable

RAW_BYTES = frozenset({".bin", ".raw"})
ARRAYS = RAW_BYTES | {".npy"}
ZIPS = frozenset({".npz", ".zip"})
HINT = "give .npy, .npz, .zip, .bin with a description, or a folder of them: docs/captures.md"
#: What NumPy, zipfile and zlib raise for members that are damaged, or hostile.
_UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, OverflowError),
    *(MemoryError, SyntaxError, NotImplementedError),
    *(struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True, slots=True)
class Raw:
    """A file of bytes without a type, to be mapped once it has one."""

    path: Path
    size: int


Found = dict[str, np.ndarray | Raw]


def load_file(file: Path) -> tuple[Found, Description | None]:
    """Return the arrays of one file by key, and the description that a zip holds.

    Raises:
        DataError: if it cannot be read, or is none of the kinds of HINT.
        FormatError: if the description in it is damaged.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(6)
        size = file.stat().st_size
    except OSError as why:
        raise unreadable(file, why) from why
    if file.suffix.lower() in RAW_BYTES:
        return {file.stem: Raw(file, size)}, None
    if start[:2] == b"PK":
        return _load_zip(file)
    if file.suffix.lower() not in ARRAYS | ZIPS:
        raise DataError("is neither .npy, .npz, .zip nor .bin", where=str(file), hint=HINT)
    return {file.stem: read_arrays(file, hint=HINT)[""]}, None


def _load_zip(file: Path) -> tuple[Found, Description | None]:
    try:
        with zipfile.ZipFile(file) as archive:
            return _members(archive, str(file))
    except Error:
        raise
    except _UNREADABLE as why:
        reason = getattr(why, "strerror", None) or str(why)[:400] or type(why).__name__
        raise DataError(
            f"cannot be read as .npz or .zip: {printable(reason)}", where=str(file), hint=HINT
        ) from why


def _members(
    archive: zipfile.ZipFile, path: str, *, inside: bool = False
) -> tuple[Found, Description | None]:
    """Return the arrays and the description of a zip, with those of the .npz files in it."""
    rows = [row for row in archive.infolist() if not row.is_dir()]
    _refuse_large(rows, path)
    found: Found = {}
    description: Description | None = None
    for row in rows:
        name = row.filename
        new: Found = {}
        if name in DESCRIPTIONS:
            description = parse_description(archive.read(row), f"{path}/{name}")
        elif name.endswith(".npy"):
            new = {name.removesuffix(".npy"): npy_array(archive.read(row))}
        elif name.endswith(".npz") and not inside:
            with zipfile.ZipFile(io.BytesIO(archive.read(row))) as inner:
                new = _members(inner, f"{path}/{name}", inside=True)[0]
        else:
            raise ValueError(f"member {name[:60]!r} is no .npy, .npz or {DESCRIPTIONS[0]}")
        for key in new:
            if key in found:
                raise ValueError(f"two members are named {key[:60]!r}")
        found |= new
    return found, description


def _refuse_large(rows: list[zipfile.ZipInfo], path: str) -> None:
    total = sum(row.file_size for row in rows)
    if total <= MOST_UNPACKED and len(rows) <= MOST_TENSORS:
        return
    raise DataError(
        f"would unpack to {total} bytes in {len(rows)} members,"
        f" at most {MOST_UNPACKED} in {MOST_TENSORS} are read",
        where=printable(path),
        hint=HINT,
    )


def npy_array(data: bytes) -> np.ndarray:
    """Return the array of a .npy file's bytes, which its header must describe to the last one.

    Raises:
        ValueError: if the header does not fit the bytes, or they are Python objects.
    """
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f".npy version {version} is not read")
    rest = data[stream.tell() :]
    if dtype.hasobject or any(dim < 0 for dim in shape):
        raise ValueError("a member holds Python objects, or has a negative shape")
    if math.prod(shape) * dtype.itemsize != len(rest):
        raise ValueError(f"a member of shape {str(shape)[:60]} has {len(rest)} bytes")
    return np.ndarray(shape, dtype, rest, order="F" if fortran else "C")
