"""Source files to a Graph, and a Graph back to ONNX. All of it needs the onnx package."""

from bittrue.packages import require

require("onnx", "tools")
