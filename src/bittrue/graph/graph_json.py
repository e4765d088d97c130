"""A graph as JSON to keep; constants are kept apart, in their own file."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bittrue.dtypes import DTYPES
from bittrue.errors import FormatError, ModelError
from bittrue.graph.model import Attr, Graph, Node, Shape, Value
from bittrue.graph.ops import complete_attrs, known
from bittrue.graph.verify import broken_promises
from bittrue.json_values import as_list, as_object, as_text, as_texts

GRAPH_FORMAT = 1
MAX_RANK = 32
#: More elements than any tensor of a real network; keeps products of sizes small and arrays sane.
MAX_ELEMENTS = 1 << 40
_HINT = "write the file again with this version of bittrue"


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
    for row in as_list(data["values"], "values"):
        value = _value(row)
        if value.name in values:
            raise ValueError(f"value {value.name!r} is listed twice")
        values[value.name] = value
    return Graph(
        name=as_text(data["name"], "name"),
        inputs=as_texts(data["inputs"], "inputs"),
        outputs=as_texts(data["outputs"], "outputs"),
        nodes=tuple(_node(row) for row in as_list(data["nodes"], "nodes")),
        values=values,
        constants=dict(constants),
    )


def _value(data: object) -> Value:
    row = as_list(data, "a value")
    if len(row) != 4:
        raise ValueError(f"a value has {len(row)} parts, not name, dtype, shape and origin")
    name, dtype = as_text(row[0], "a value's name"), as_text(row[1], f"the dtype of {row[0]!r:.60}")
    if dtype not in DTYPES:
        raise ValueError(f"value {name!r} has dtype {dtype!r}, which does not exist")
    return Value(name, dtype, _shape(row[2], name), as_texts(row[3], f"the origin of {name!r:.60}"))


def _shape(data: object, name: str) -> Shape:
    sizes = as_list(data, f"the shape of {name!r:.60}")
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


def _node(data: object) -> Node:
    row = as_object(data, "a node")
    op, name = as_text(row["op"], "a node's op"), as_text(row["name"], "a node's name")
    kinds = {item.name: item.kind for item in known(op, where=name).attrs}
    given = as_object(row["attrs"], f"attrs of {name!r:.60}")
    attrs = {key: _attr(kinds.get(key, ""), value) for key, value in given.items()}
    return Node(
        name,
        op,
        as_texts(row["inputs"], f"inputs of {name!r:.60}"),
        as_texts(row["outputs"], f"outputs of {name!r:.60}"),
        complete_attrs(op, attrs, where=name),
        as_texts(row["origin"], f"origin of {name!r:.60}"),
    )


def _attr(kind: str, value: object) -> object:
    """Return an attribute with infinities as numbers again; its kind is checked later."""
    if kind not in ("number", "numbers"):
        return value
    return [_number(item) for item in value] if isinstance(value, list) else _number(value)


def _number(value: object) -> object:
    return float(value) if isinstance(value, str) and value in ("inf", "-inf", "nan") else value
