"""From files of other tools to a graph, and back to ONNX."""
