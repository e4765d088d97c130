"""Arrays in .npy and .npz files, of which nothing is unpickled; and how many are held at once."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from bittrue.errors import DataError

Row = TypeVar("Row")

#: Tensors fetched in one run take at most this many bytes (or are one tensor): each run repeats the
#: whole network, and all of its tensors at once could be many gigabytes.
PORTION_BYTES = 2**28
#: A .npz is compressed: more than this is refused before anything is unpacked.
MOST_UNPACKED = 1 << 32
#: What NumPy, zipfile and zlib raise for files that are damaged, or hostile.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    RuntimeError,
    OverflowError,
    MemoryError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_arrays(path: Path, *, hint: str) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name, or that of a .npy file under the name "".

    A .npy is mapped, not read: a header that promises more than the file holds is refused.

    Args:
        path: The file; its first bytes say which kind it is.
        hint: What the caller could have been given instead.

    Raises:
        DataError: if it cannot be read, is damaged, holds Python objects, or would unpack to more
            than `MOST_UNPACKED` bytes.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(2) == b"PK":
                return _unpacked(path, hint)
        return {"": np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)}
    except _UNREADABLE as why:
        reason = getattr(why, "strerror", None) or str(why)[:400] or type(why).__name__
        raise DataError(
            f"cannot be read as .npy or .npz: {reason}", where=str(path), hint=hint
        ) from why


def _unpacked(path: Path, hint: str) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        total = sum(row.file_size for row in archive.infolist())
    if total > MOST_UNPACKED:
        raise DataError(
            f"would unpack to {total} bytes, at most {MOST_UNPACKED} are read",
            where=str(path),
            hint=hint,
        )
    with np.load(path, allow_pickle=False) as loaded:
        return {name: _array(loaded[name]) for name in loaded.files}


def _array(member: object) -> np.ndarray:
    """A member that does not end in .npy comes as bytes."""
    if not isinstance(member, np.ndarray):
        raise ValueError("a member is no array")
    return member


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as the bytes of a .npz file; equal arrays give equal bytes.

    Not numpy.savez: it takes names as keyword arguments, and a tensor may be called "file".

    Args:
        arrays: By name, of any type but Python objects.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return out.getvalue()


def portions(rows: Iterable[Row], size: Callable[[Row], int]) -> list[list[Row]]:
    """Return rows in order, in lists of at most PORTION_BYTES or of one row; none is empty.

    Args:
        rows: What is to be fetched.
        size: How many bytes a row takes.
    """
    found: list[list[Row]] = []
    held = 0
    for row in rows:
        own = size(row)
        if not found or held + own > PORTION_BYTES:
            found.append([])
            held = 0
        found[-1].append(row)
        held += own
    return found
