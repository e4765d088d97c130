"""Normalisation moved into the network: what it reads becomes raw pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bittrue.contract.preprocess import Preprocess, affine
from bittrue.errors import UsageError
from bittrue.graph.model import NO_CLIP, Attr, Graph, Node, Value
from bittrue.passes.draft import Draft, make


def normalize_inputs(graph: Graph, preprocess: Mapping[str, Preprocess]) -> Graph:
    """Return the graph with uint8 pixels [N, H, W, C] as inputs, under the names of the old ones.

    Behind each stand a Transpose (where the network reads [N, C, H, W]), a Cast, and
    ``(raw - offset) * factor``, a Sub and a Mul by one number a channel. The last of them makes the
    value that the input was; it keeps the input's origin. The raw input has no origin.

    Args:
        graph: As imported.
        preprocess: How a picture becomes each input named; other inputs stay.

    Raises:
        UsageError: if the graph has no such inputs, or one of another shape or dtype; all are
            listed.
    """
    problems = [_problem(graph, name, recipe) for name, recipe in preprocess.items()]
    if any(problems):
        raise UsageError(
            "the preprocessing does not fit the network: " + "; ".join(filter(None, problems)),
            hint=f"the network's inputs are {', '.join(map(_shown, _inputs(graph)))}",
        )
    draft = Draft(graph)
    for name, recipe in preprocess.items():
        _normalize(draft, name, recipe)
    return draft.finish() if preprocess else graph


def _inputs(graph: Graph) -> list[Value]:
    return [graph.values[name] for name in graph.inputs]


def _shown(value: Value) -> str:
    return f"'{value.name}' {value.dtype} {list(value.shape)}"


def _problem(graph: Graph, name: str, recipe: Preprocess) -> str:
    if name not in graph.inputs:
        return f"there is no input '{name}'"
    value = graph.values[name]
    if name in graph.outputs:
        return f"'{name}' is an output too"
    if value.dtype != recipe.dtype or value.shape[1:] != recipe.input_shape[1:]:
        wanted = f"{recipe.dtype} [N, {', '.join(map(str, recipe.input_shape[1:]))}]"
        return f"{_shown(value)} would get {wanted}"
    return ""


def _normalize(draft: Draft, name: str, recipe: Preprocess) -> None:
    old = draft.values[name]
    raw = Value(name, "uint8", (old.shape[0], *recipe.raw_shape[1:]))
    steps = _steps(draft, name, recipe)
    if not steps:
        return
    draft.values[name] = raw
    made = draft.new_value(f"{name}/normalised", old.dtype, old.shape, old.origin)
    draft.read_instead(name, made)
    nodes: list[Node] = []
    current, dtype, shape = name, "uint8", raw.shape
    for op, part, constants, attrs in steps:
        dtype = "float32" if op == "Cast" else dtype
        shape = old.shape if op == "Transpose" else shape
        last = len(nodes) == len(steps) - 1
        result = made if last else draft.new_value(f"{name}/{part}", dtype, shape)
        node_name = draft.fresh(f"{name}/{part}_node")
        nodes.append(make(node_name, op, (current, *constants), (result,), attrs))
        current = result
    draft.put_first(nodes)


Step = tuple[str, str, tuple[str, ...], dict[str, Attr]]


def _steps(draft: Draft, name: str, recipe: Preprocess) -> list[Step]:
    """Return operator, name, constant inputs and attributes of each node from raw to normalised."""
    steps: list[Step] = []
    if recipe.layout == "NCHW":
        steps.append(("Transpose", "planar", (), {"perm": (0, 3, 1, 2)}))
    if recipe.dtype == "uint8":
        return steps
    steps.append(("Cast", "real", (), {"to": "float32"}))
    offset, factor = affine(recipe)
    for op, part, numbers, neutral in (("Sub", "offset", offset, 0), ("Mul", "factor", factor, 1)):
        if np.any(numbers != neutral):
            constant = draft.new_constant(f"{name}/{part}_c", _shaped(recipe, numbers))
            steps.append((op, part, (constant,), {"clip": NO_CLIP}))
    return steps


def _shaped(recipe: Preprocess, numbers: np.ndarray) -> np.ndarray:
    """Return [C] as float32 that broadcasts with the input, one number where all are equal."""
    if np.all(numbers == numbers[0]):
        numbers = numbers[:1]
    shape = (1, -1, 1, 1) if recipe.layout == "NCHW" else (1, 1, 1, -1)
    return numbers.astype(np.float32).reshape(shape)
