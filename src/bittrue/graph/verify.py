"""The promises that every graph between two stages keeps, checked."""

from __future__ import annotations

from collections.abc import Iterator

from bittrue.dtypes import DTYPES
from bittrue.errors import InternalError, ModelError
from bittrue.graph.model import Graph, Node, Value
from bittrue.graph.ops import attr_problems
from bittrue.graph.shapes import infer


def verify(graph: Graph) -> None:
    """Check a graph: order, names, types and shapes by each operator's rule, attributes, constants.

    Raises:
        InternalError: if any promise is broken; every broken one is listed.
    """
    problems = broken_promises(graph)
    if problems:
        raise InternalError(f"graph '{graph.name}' is not legal:\n  " + "\n  ".join(problems))


def broken_promises(graph: Graph) -> list[str]:
    """Return what is wrong with a graph, one sentence each; empty when it is legal."""
    problems = [*_values(graph), *_constants(graph), *_doors(graph)]
    # Types can only be compared where all names are known.
    return problems or [*_order(graph), *_nodes(graph)]


def _values(graph: Graph) -> Iterator[str]:
    made = {name for node in graph.nodes for name in node.outputs}
    for name, value in graph.values.items():
        if not name or value.name != name:
            yield f"value {value.name!r} is listed as {name!r}"
        if value.dtype not in DTYPES:
            yield f"value {name!r} has dtype {value.dtype!r}, which does not exist"
        if not isinstance(value.shape, tuple) or not all(
            type(size) is int and size >= 0 for size in value.shape
        ):
            yield f"value {name!r} has shape {value.shape!r}"
        if name not in made and name not in graph.constants and name not in graph.inputs:
            yield f"nothing makes value {name!r}"


def _constants(graph: Graph) -> Iterator[str]:
    for name, array in graph.constants.items():
        value = graph.values.get(name)
        if value is None:
            yield f"constant {name!r} is no value"
        elif array.dtype.name != value.dtype or array.shape != value.shape:
            yield (
                f"constant {name!r} is {array.dtype.name} {array.shape}, "
                f"its value says {value.dtype} {value.shape}"
            )
        if name in graph.inputs:
            yield f"constant {name!r} is an input too"


def _doors(graph: Graph) -> Iterator[str]:
    for meaning, names in (("input", graph.inputs), ("output", graph.outputs)):
        if len(set(names)) != len(names):
            yield f"an {meaning} is named twice in {names}"
        for name in names:
            if name not in graph.values:
                yield f"{meaning} {name!r} is no value"


def _order(graph: Graph) -> Iterator[str]:
    """Each node reads what is there, and makes what is not; names of nodes are unique."""
    there = {*graph.inputs, *graph.constants}
    seen: set[str] = set()
    for node in graph.nodes:
        if not node.name or node.name in seen:
            yield f"{node.op} node has no name of its own: {node.name!r}"
        seen.add(node.name)
        for name in node.inputs:
            if name and name not in there:
                yield f"{node.op} '{node.name}' reads {name!r} before anything makes it"
        for name in node.outputs:
            if not name or name not in graph.values:
                yield f"{node.op} '{node.name}' makes {name!r}, which is no value"
            if name in there:
                yield f"{node.op} '{node.name}' makes {name!r}, which is there already"
            there.add(name)


def _nodes(graph: Graph) -> Iterator[str]:
    """Each node is as its operator's row and shape rule say."""
    for node in graph.nodes:
        try:
            problems = attr_problems(node.op, node.attrs) or _types(graph, node)
        except ModelError as error:
            problems = [error.message]
        for text in problems:
            yield f"{node.op} '{node.name}': {text}"


def _types(graph: Graph, node: Node) -> list[str]:
    """Return which outputs are not what the rule says; ModelError where inputs do not fit."""
    if any(name and name not in graph.values for name in (*node.inputs, *node.outputs)):
        return []  # _order has said so
    inputs: list[Value | None] = [graph.values[name] if name else None for name in node.inputs]
    types = infer(node, inputs)
    problems = []
    for name, (dtype, shape) in zip(node.outputs, types, strict=True):
        value = graph.values.get(name)
        if value is not None and (value.dtype, value.shape) != (dtype, shape):
            problems.append(
                f"makes {dtype} {shape}, value {name!r} says {value.dtype} {value.shape}"
            )
    return problems
