"""Source files to a Graph, and a Graph back to ONNX."""
