"""The file that a network comes from: its bytes, its folder, and its name in every message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bittrue.errors import DataError, FormatError, ModelError
from bittrue.importers.recognise import refuse_folder

#: Protobuf's own limit of one message.
SIZE_MAX = 2**31 - 1


def read_bytes(source: str | os.PathLike[str] | bytes) -> tuple[bytes, str, Path | None]:
    """Return a source's bytes, the name to show for it, and the folder that it lies in.

    Args:
        source: A path, or the file's bytes (which lie in no folder).

    Raises:
        DataError: if there is no such file, or it cannot be read.
        FormatError: if it is longer than protobuf allows.
    """
    if isinstance(source, bytes):
        return source, "<bytes>", None
    path = Path(source)
    try:
        refuse_folder(path)
        size = path.stat().st_size
        if size > SIZE_MAX:
            raise FormatError(
                f"the file has {size} bytes, an ONNX file has at most {SIZE_MAX}",
                path=str(path),
                hint="save it so: onnx.save(model, path, save_as_external_data=True)",
            )
        return path.read_bytes(), str(path), path.parent
    except OSError as why:
        raise DataError(
            f"the file cannot be read: {why.strerror}",
            where=str(path),
            hint="give the path of an .onnx file",
        ) from why


@contextmanager
def named(path: str) -> Iterator[None]:
    """Put the file's name in front of what is wrong with its network: there are many files.

    Raises:
        ModelError: as raised inside, and a FormatError with `path`.
    """
    try:
        yield
    except ModelError as why:
        why.where = f"{path}: {why.where}" if why.where else path
        if isinstance(why, FormatError):
            why.path = path
        raise
