"""Passes that make one node of several: clips as attributes, and functions of one value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bittrue.graph.elementwise import BINARY_EXPR, unary_expr
from bittrue.graph.expression import MAX_WORDS, clip_expr, constant
from bittrue.graph.model import NO_CLIP, Graph, Node
from bittrue.passes.affine import affine_of
from bittrue.passes.draft import Draft, make, rewrite

#: Longest expression that is built: a table takes any, but people read it too.
WORDS_MAX = min(MAX_WORDS, 512)


# --- clips -------------------------------------------------------------------------------------


def fuse_clips(graph: Graph) -> Graph:
    """Return the graph with Relu and Clip as the clip of the node that makes their input."""
    return rewrite(graph, _fuse_clip)


def _fuse_clip(draft: Draft, node: Node) -> bool:
    limits = _limits(node)
    maker = draft.producer(node.inputs[0]) if limits else None
    if maker is None or "clip" not in maker.attrs or not draft.private(node.inputs[0]):
        return False
    if limits is None or draft.values[node.outputs[0]].dtype != "float32":
        return False
    clip = tuple(_clipped(bound, limits) for bound in maker.clip)
    attrs = {**maker.attrs, "clip": clip}
    new = make(maker.name, maker.op, maker.inputs, node.outputs, attrs)
    draft.replace([maker, node], [new])
    return True


def _limits(node: Node) -> tuple[float, float] | None:
    """Return what a Relu or Clip clips to; None for other nodes."""
    if node.op == "Relu":
        return 0.0, float("inf")
    return (node.number("min"), node.number("max")) if node.op == "Clip" else None


def _clipped(bound: float, limits: tuple[float, float]) -> float:
    """Return a bound of the first clip after the second one, so that both are one."""
    return min(max(bound, limits[0]), limits[1])


# --- functions of one value --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """Elementwise nodes that compute one value from one other.

    Args:
        root: Name of the value that they read.
        nodes: Names of the nodes, each after those whose outputs it reads.
    """

    root: str
    nodes: tuple[str, ...]


def fuse_functions(graph: Graph) -> Graph:
    """Return the graph with one Pointwise for each function of one value and scalar constants.

    What only multiplies and adds constants stays, so that weights can take it.
    """
    return _fuse(graph, lone_affine=False)


def fuse_pointwise(graph: Graph) -> Graph:
    """Return the graph with one Pointwise for each function of one value and scalar constants."""
    return _fuse(graph, lone_affine=True)


def _fuse(graph: Graph, *, lone_affine: bool) -> Graph:
    """Take the greatest tree that ends at each node, the last nodes first."""
    draft = Draft(graph)
    place = {node.name: at for at, node in enumerate(graph.nodes)}
    changed = False
    for sink in reversed(graph.nodes):
        tree = _greatest_tree(draft, sink, place) if draft.holds(sink) else None
        if tree is None:
            continue
        nodes = [draft.node(name) for name in tree.nodes]
        done = len(nodes) == 1 and sink.op == "Pointwise"
        if done or (not lone_affine and all(_only_affine(draft, node) for node in nodes)):
            continue
        expr = _expression(draft, tree.root, nodes)
        attrs = {"expr": expr}
        draft.replace(nodes, [make(sink.name, "Pointwise", (tree.root,), sink.outputs, attrs)])
        changed = True
    return draft.finish() if changed else graph


def _only_affine(draft: Draft, node: Node) -> bool:
    affine = affine_of(draft, node)
    return affine is not None and node.clip == NO_CLIP


def _greatest_tree(draft: Draft, sink: Node, place: dict[str, int]) -> Tree | None:
    """Return the greatest tree of elementwise nodes that ends at a node and reads one value.

    It grows backwards, by any node whose readers all belong to it already. So where all its ways
    lead through one value, there is a moment at which that value alone is what it reads.
    """
    found: Tree | None = None
    members: dict[str, Node] = {}
    joining: Node | None = sink if _elementwise(draft, sink) else None
    while joining is not None:
        members[joining.name] = joining
        outside = _reads(draft, members.values())
        if len(outside) == 1:
            ordered = sorted(members, key=lambda name: place[name])
            if _words(outside[0], [members[name] for name in ordered]) > WORDS_MAX:
                break
            found = Tree(outside[0], tuple(ordered))
        makers = [draft.producer(value) for value in outside if value not in draft.outputs]
        free = (node for node in makers if node is not None and _joins(draft, node, members))
        joining = next(free, None)
    return found


def _joins(draft: Draft, node: Node, members: dict[str, Node]) -> bool:
    inside = all(reader.name in members for reader in draft.readers(node.outputs[0]))
    return inside and _elementwise(draft, node)


def _reads(draft: Draft, nodes: Iterable[Node]) -> list[str]:
    """Return the values that nodes read, but for scalar constants and what they make themselves."""
    nodes = list(nodes)
    made = {node.outputs[0] for node in nodes}
    read = dict.fromkeys(name for node in nodes for name in node.inputs if name not in made)
    return [name for name in read if _scalar(draft, name) is None]


def _scalar(draft: Draft, value: str) -> float | None:
    """Return a constant's one number, None for all that is no finite scalar constant."""
    array = draft.constant(value)
    if array is None or array.size != 1:
        return None
    number = float(np.float32(array.reshape(-1)[0]))
    return number if np.isfinite(number) else None


def _elementwise(draft: Draft, node: Node) -> bool:
    """Return whether each output element is a function of the elements in the same place."""
    if len(node.outputs) != 1 or (node.op not in BINARY_EXPR and _unary(node) is None):
        return False
    result = draft.values[node.outputs[0]]
    varying = [draft.values[name] for name in node.inputs if _scalar(draft, name) is None]
    if not varying or result.dtype != "float32":
        return False
    return all(row.dtype == "float32" and row.shape == result.shape for row in varying)


def _unary(node: Node) -> str | None:
    if node.op == "Clip" and not np.all(np.isfinite(_finite_bounds(node))):
        return None
    return unary_expr(node)


def _finite_bounds(node: Node) -> np.ndarray:
    """Return the bounds of a Clip as float32, those left out as 0."""
    bounds = np.array([node.number("min"), node.number("max")])
    with np.errstate(over="ignore"):
        return np.where(np.isinf(bounds), 0.0, bounds).astype(np.float32)


def _template(node: Node) -> str:
    """Return a node as postfix words of its inputs, called a and b, its clip included."""
    binary = BINARY_EXPR.get(node.op)
    if binary is None:
        return " ".join("a" if word == "x" else word for word in (_unary(node) or "x").split())
    return binary + clip_expr(*node.clip).removeprefix("x")


def _expression(draft: Draft, root: str, nodes: list[Node]) -> str:
    """Return a tree as an expression of its root."""
    known = {root: "x"}
    for node in nodes:
        args = [known.get(name) or _word(draft, name) for name in node.inputs]
        parts = dict(zip("ab", args, strict=False))
        words = (parts.get(word, word) for word in _template(node).split())
        known[node.outputs[0]] = " ".join(words)
    return known[nodes[-1].outputs[0]]


def _word(draft: Draft, value: str) -> str:
    number = _scalar(draft, value)
    if number is None:
        raise LookupError(value)
    return constant(number)


def _words(root: str, nodes: list[Node]) -> int:
    """Return how many words the expression of a tree has, without building it."""
    known = {root: 1}
    for node in nodes:
        parts = dict(zip("ab", (known.get(name, 1) for name in node.inputs), strict=False))
        known[node.outputs[0]] = sum(parts.get(word, 1) for word in _template(node).split())
    return known[nodes[-1].outputs[0]]
