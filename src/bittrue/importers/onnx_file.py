"""From a path or bytes to a parsed ONNX model, or to the reason why it is none."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]

from bittrue.errors import DataError, FormatError, UnsupportedError
from bittrue.importers.foreign import refuse_folder, refuse_others

OPSET_MIN = 7
OPSET_MAX = 27
#: Protobuf's own limit of one message.
SIZE_MAX = 2**31 - 1
DEFAULT_DOMAINS = ("", "ai.onnx")


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


def parse(data: bytes, path: str) -> onnx.ModelProto:
    """Return the ONNX model that some bytes hold, its local functions put in place.

    Raises:
        FormatError: if they are no ONNX model; the message says what they are where that is known.
        UnsupportedError: if its operator set is not in 7 to 27.
    """
    refuse_others(data, path)
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RecursionError) as why:
        raise FormatError(
            "this is no ONNX model: its protobuf is cut short or damaged",
            path=path,
            hint="fetch or export the file again",
        ) from why
    if not model.HasField("graph") or not model.graph.node or not model.opset_import:
        raise FormatError(
            "this is no ONNX model: it has no graph, no nodes or no operator set",
            path=path,
            hint="give a file written by an ONNX exporter",
        )
    check_opset(model, path)
    return _inlined(model, path)


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operator set that a model uses; 0 when it uses none."""
    versions = [row.version for row in model.opset_import if row.domain in DEFAULT_DOMAINS]
    return int(max(versions, default=0))


def check_opset(model: onnx.ModelProto, path: str) -> None:
    """Refuse a model whose operator set has rules that nobody here has read.

    Raises:
        UnsupportedError: if it is not in 7 to 27.
    """
    opset = opset_of(model)
    if not OPSET_MIN <= opset <= OPSET_MAX:
        raise UnsupportedError(
            f"the network uses ONNX opset {opset}; opsets {OPSET_MIN} to {OPSET_MAX} are read",
            where=path,
            hint=f"export it with opset_version=17, or convert it: onnx.version_converter."
            f"convert_version(model, {min(max(opset, 13), OPSET_MAX)})",
        )


def _inlined(model: onnx.ModelProto, path: str) -> onnx.ModelProto:
    if not model.functions:
        return model
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as why:
        raise FormatError(f"its local functions cannot be put in place: {why}", path=path) from why
