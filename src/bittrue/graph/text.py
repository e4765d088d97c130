"""A graph as text to read."""

from __future__ import annotations

from bittrue.graph.model import NO_CLIP, Attr, Graph, Node


def to_text(graph: Graph) -> str:
    """Return a listing of a graph: inputs, one node a line with its attributes, outputs.

    An attribute `clip` that does nothing is left out; constants are shown by name and shape.
    """
    lines = [f"graph {graph.name}"]
    lines += [f"  input  {_typed(graph, name)}" for name in graph.inputs]
    lines += [f"  {_node_line(graph, node)}" for node in graph.nodes]
    lines += [f"  output {_typed(graph, name)}" for name in graph.outputs]
    return "\n".join(lines) + "\n"


def _typed(graph: Graph, name: str) -> str:
    value = graph.values[name]
    return f"{name}: {value.dtype} {list(value.shape)}"


def _node_line(graph: Graph, node: Node) -> str:
    made = ", ".join(_typed(graph, name) for name in node.outputs)
    read = [_typed(graph, name) if name in graph.constants else name or "-" for name in node.inputs]
    attrs = [f"{name}={_shown(value)}" for name, value in node.attrs.items() if value != NO_CLIP]
    return f"{made} = {node.op}({', '.join([*read, *attrs])})  # {node.name}"


def _shown(value: Attr) -> str:
    return str(list(value)) if isinstance(value, tuple) else repr(value)
