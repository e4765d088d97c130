"""A graph as text to read, and as JSON to keep; constants are kept apart, in their own file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bittrue.dtypes import DTYPES
from bittrue.errors import FormatError, ModelError
from bittrue.graph.model import NO_CLIP, Attr, Graph, Node, Shape, Value
from bittrue.graph.ops import OPS, complete_attrs
from bittrue.graph.verify import broken_promises

GRAPH_FORMAT = 1
MAX_RANK = 32
#: More elements than any tensor of a real network; keeps products of sizes small and arrays sane.
MAX_ELEMENTS = 1 << 40
_HINT = "write the file again with this version of bittrue"


# --- to read ---------------------------------------------------------------------------------


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


# --- to JSON ---------------------------------------------------------------------------------


def graph_to_json(graph: Graph) -> dict[str, object]:
    """Return a graph without its constants as plain data for `json.dumps`.

    Infinite and NaN attributes are written as texts, since JSON has no such numbers.
    """
    return {
        "format": GRAPH_FORMAT,
        "name": graph.name,
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "values": [
            [value.name, value.dtype, list(value.shape), list(value.origin)]
            for value in graph.values.values()
        ],
        "nodes": [
            {
                "name": node.name,
                "op": node.op,
                "inputs": list(node.inputs),
                "outputs": list(node.outputs),
                "attrs": {name: _plain(value) for name, value in node.attrs.items()},
                "origin": list(node.origin),
            }
            for node in graph.nodes
        ],
    }


def _plain(value: Attr) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


# --- from JSON -------------------------------------------------------------------------------


def graph_from_json(
    data: Mapping[str, object], constants: Mapping[str, np.ndarray], *, path: str = ""
) -> Graph:
    """Return the graph that `graph_to_json` wrote.

    Args:
        data: What `json.loads` gave; nothing in it is trusted.
        constants: The arrays of the graph's constants, by value name.
        path: The file it came from, for messages.

    Raises:
        FormatError: if data is not of this form, or the graph is not legal (`verify`).
    """
    if data.get("format") != GRAPH_FORMAT:
        raise FormatError(
            f"the graph has format {data.get('format')!r}, this bittrue reads {GRAPH_FORMAT}",
            path=path,
            hint=_HINT,
        )
    try:
        graph = _graph(data, constants)
        problems = broken_promises(graph)
    except (KeyError, TypeError, ValueError, OverflowError, ModelError) as error:
        message = f"no {error}" if isinstance(error, KeyError) else str(error).split("\n")[0]
        raise FormatError(f"the graph cannot be read: {message}", path=path, hint=_HINT) from error
    if problems:
        raise FormatError(
            f"the graph is not legal: {'; '.join(problems[:5])}", path=path, hint=_HINT
        )
    return graph


def _graph(data: Mapping[str, object], constants: Mapping[str, np.ndarray]) -> Graph:
    values: dict[str, Value] = {}
    for row in _list(data["values"]):
        value = _value(row)
        if value.name in values:
            raise ValueError(f"value {value.name!r} is listed twice")
        values[value.name] = value
    return Graph(
        name=_text(data["name"]),
        inputs=_texts(data["inputs"]),
        outputs=_texts(data["outputs"]),
        nodes=tuple(_node(row) for row in _list(data["nodes"])),
        values=values,
        constants=dict(constants),
    )


def _value(row: object) -> Value:
    name, dtype, shape, origin = _list(row)
    if _text(dtype) not in DTYPES:
        raise ValueError(f"value {name!r} has dtype {dtype!r}, which does not exist")
    return Value(_text(name), _text(dtype), _shape(shape), _texts(origin))


def _shape(data: object) -> Shape:
    sizes = _list(data)
    if len(sizes) > MAX_RANK:
        raise ValueError(f"a shape has {len(sizes)} axes, at most {MAX_RANK} are allowed")
    shape, elements = [], 1
    for size in sizes:
        if type(size) is not int or not 0 <= size <= MAX_ELEMENTS:
            raise ValueError(f"{size!r} is no size of an axis")
        shape.append(size)
        elements *= max(size, 1)
    if elements > MAX_ELEMENTS:
        raise ValueError(f"shape {shape} has more than {MAX_ELEMENTS} elements")
    return tuple(shape)


def _node(row: object) -> Node:
    if not isinstance(row, dict):
        raise TypeError(f"a node is {row!r:.60}, not an object")
    op, name, given = _text(row["op"]), _text(row["name"]), row["attrs"]
    if op not in OPS:
        raise ValueError(f"node {name!r} is a {op!r}, which is no operator")
    if not isinstance(given, dict):
        raise TypeError(f"attributes of {name!r} are {given!r:.60}, not an object")
    attrs = {key: _attr(op, str(key), value) for key, value in given.items()}
    return Node(
        name,
        op,
        _texts(row["inputs"]),
        _texts(row["outputs"]),
        complete_attrs(op, attrs, where=name),
        _texts(row["origin"]),
    )


def _attr(op: str, name: str, value: object) -> object:
    """Return an attribute with infinities as numbers again; its kind is checked later."""
    row = OPS[op].attribute(name)
    if row is None or row.kind not in ("number", "numbers"):
        return value
    if isinstance(value, list):
        return [_number(item) for item in value]
    return _number(value)


def _number(value: object) -> object:
    return float(value) if isinstance(value, str) and value in ("inf", "-inf", "nan") else value


def _list(data: object) -> Sequence[object]:
    if not isinstance(data, list):
        raise TypeError(f"{data!r:.60} is not a list")
    return data


def _text(data: object) -> str:
    if not isinstance(data, str):
        raise TypeError(f"{data!r:.60} is not a text")
    return data


def _texts(data: object) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(data))
