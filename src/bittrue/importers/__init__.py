"""Source files to a Graph, and a Graph back to ONNX. All of it needs the onnx package."""

from importlib.util import find_spec

from bittrue.errors import UsageError

if find_spec("onnx") is None:
    raise UsageError("the onnx package is not installed", hint='pip install "bittrue[tools]"')
