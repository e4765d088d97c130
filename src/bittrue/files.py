"""Files: read or refused, and written so that nothing is lost or half-written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from bittrue.errors import DataError, UsageError


def read_bytes(path: str | Path) -> bytes:
    """Return a file's bytes.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as why:
        raise unreadable(path, why) from why


def read_text(path: Path, most: int, hint: str) -> str:
    """Return the text of a file that a user wrote by hand.

    Args:
        path: The file.
        most: Bytes that it may have.
        hint: What such a file looks like.

    Raises:
        UsageError: if it is not there, longer, or no text.
    """
    if not path.is_file():
        raise UsageError("there is no such file", where=str(path), hint="check the path")
    if path.stat().st_size > most:
        raise UsageError(
            f"the file has more than {most} bytes", where=str(path), hint="is it the right one?"
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise UsageError(f"the file cannot be read: {why}", where=str(path), hint=hint) from why


def unreadable(path: str | Path, why: OSError, hint: str = "check the path") -> DataError:
    """Return the error for a file that the system does not let us read."""
    return DataError(f"cannot be read: {why.strerror}", where=str(path), hint=hint)


def write_atomically(path: Path, data: bytes) -> None:
    """Write bytes to a temporary file in the same folder, flush it, then rename it to `path`.

    Raises:
        DataError: if it cannot be written (no such folder, no rights, disk full); an older file
            at `path` is then as it was, and no temporary file stays behind.
    """
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent or ".")
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException as why:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        if isinstance(why, OSError):
            raise DataError(
                f"cannot be written: {why.strerror}",
                where=str(path),
                hint="check that the folder exists, is yours to write, and has room",
            ) from why
        raise


def _umask() -> int:
    """Return the process's file mode mask; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
