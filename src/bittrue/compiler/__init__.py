"""From a quantised graph to a program and its file."""
