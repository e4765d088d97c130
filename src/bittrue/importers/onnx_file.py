"""From bytes to a parsed ONNX model, or to the reason why they are none."""

from __future__ import annotations

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]

from bittrue.errors import FormatError, ModelError, UnsupportedError
from bittrue.importers.recognise import refuse_others

OPSET_MIN = 7
OPSET_MAX = 27
DEFAULT_DOMAINS = ("", "ai.onnx")


def parse(data: bytes) -> onnx.ModelProto:
    """Return the ONNX model that some bytes hold, its local functions put in place.

    Raises:
        FormatError: if they are no ONNX model; the message says what they are where that is known.
        UnsupportedError: if its operator set is not in 7 to 27.
    """
    refuse_others(data)
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RecursionError) as why:
        raise FormatError(
            "this is no ONNX model: its protobuf is cut short or damaged",
            hint="fetch or export the file again",
        ) from why
    if not model.HasField("graph") or not model.graph.node or not model.opset_import:
        raise FormatError(
            "this is no ONNX model: it has no graph, no nodes or no operator set",
            hint="give a file written by an ONNX exporter",
        )
    check_opset(model)
    return _inlined(model)


def serialized(model: onnx.ModelProto) -> bytes:
    """Return a model's bytes.

    Raises:
        ModelError: if they are more than protobuf allows.
    """
    try:
        return bytes(model.SerializeToString())
    except ValueError as why:
        raise ModelError(
            f"the network is too long for one ONNX message: {why}",
            hint="cut it with --start and --end",
        ) from why


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operator set that a model uses; 0 when it uses none."""
    versions = [row.version for row in model.opset_import if row.domain in DEFAULT_DOMAINS]
    return int(max(versions, default=0))


def check_opset(model: onnx.ModelProto) -> None:
    """Refuse a model whose operator set has rules that nobody here has read.

    Raises:
        UnsupportedError: if it is not in 7 to 27.
    """
    opset = opset_of(model)
    if not OPSET_MIN <= opset <= OPSET_MAX:
        raise UnsupportedError(
            f"the network uses ONNX opset {opset}; opsets {OPSET_MIN} to {OPSET_MAX} are read",
            hint=f"export it with opset_version=17, or convert it: onnx.version_converter."
            f"convert_version(model, {min(max(opset, 13), OPSET_MAX)})",
        )


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    if not model.functions:
        return model
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as why:
        raise FormatError(f"its local functions cannot be put in place: {why}") from why
