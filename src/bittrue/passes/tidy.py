"""Passes that take out what does nothing, twice the same, or what nobody reads. All are exact."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from bittrue.graph.model import NO_CLIP, Attr, Graph, Node
from bittrue.passes.draft import Draft, make, rewrite

#: Constants up to this many elements are equal for `share_duplicates` when their bytes are.
SHARED_ELEMENTS = 64


def remove_unused(graph: Graph) -> Graph:
    """Return the graph without nodes that no output depends on, and without unread constants."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    lean = graph.with_nodes(reversed(kept))
    same = len(kept) == len(graph.nodes) and len(lean.values) == len(graph.values)
    return graph if same else lean


# --- nodes that do nothing ---------------------------------------------------------------------


def tidy_moves(graph: Graph) -> Graph:
    """Return the graph without nodes whose output equals their input, and with moves as one.

    A Transpose of a Transpose is one, and so with Reshape and Slice. A Split is a Slice for each
    part that is read: exporters write the same network either way. A node that does nothing between
    an input (or a constant, or another output) and an output of the graph stays, because both names
    are needed.
    """
    return rewrite(graph, tidy_move)


def tidy_move(draft: Draft, node: Node) -> bool:
    """Take out a node that does nothing, or let a move join one before it; False for neither."""
    return _remove_no_op(draft, node) or _merge_move(draft, node) or _slice_parts(draft, node)


def _remove_no_op(draft: Draft, node: Node) -> bool:
    test = NO_OPS.get(node.op)
    if test is None or len(node.outputs) != 1 or not node.inputs[0]:
        return False
    source, result = draft.values[node.inputs[0]], draft.values[node.outputs[0]]
    if (source.dtype, source.shape) != (result.dtype, result.shape) or not test(draft, node):
        return False
    return draft.stand_in(node, source.name)


def _always(draft: Draft, node: Node) -> bool:
    """With shape and dtype the same, nothing is left to do."""
    return True


def _same_order(draft: Draft, node: Node) -> bool:
    """Whether the axes that are longer than 1 keep their order."""
    shape = draft.shape(node.inputs[0])
    moved = [axis for axis in node.ints("perm") if shape[axis] != 1]
    return moved == sorted(moved)


def _forward(draft: Draft, node: Node) -> bool:
    """Whether a slice that keeps the shape runs forward (reversed axes have a step of -1)."""
    shape = draft.shape(node.inputs[0])
    return all(step == 1 or dim <= 1 for step, dim in zip(node.ints("steps"), shape, strict=True))


def _unscaled(draft: Draft, node: Node) -> bool:
    """Whether each sample is taken where it lies (a scale near 1 can keep the shape too)."""
    return all(scale == 1.0 for scale in node.numbers("scales"))


def _no_pads(draft: Draft, node: Node) -> bool:
    return not any(node.ints("pads"))


def _one_tap(draft: Draft, node: Node) -> bool:
    """Whether a pool looks at single elements, each at its own place."""
    single = all(size == 1 for size in node.ints("kernel_shape"))
    return single and not any(node.ints("pads"))


def _no_limits(draft: Draft, node: Node) -> bool:
    return node.number("min") == NO_CLIP[0] and node.number("max") == NO_CLIP[1]


def _one_input(draft: Draft, node: Node) -> bool:
    return len(node.inputs) == 1


def _block_of_one(draft: Draft, node: Node) -> bool:
    return node.integer("blocksize") == 1


def _neutral(number: float) -> Callable[[Draft, Node], bool]:
    """Return a test for a second operand that is `number` everywhere, and no clip."""

    def test(draft: Draft, node: Node) -> bool:
        array = draft.constant(node.inputs[1])
        unclipped = node.clip == NO_CLIP
        return unclipped and array is not None and bool(np.all(array == number))

    return test


#: The operators that can be without effect, and when, given that shape and dtype stay.
NO_OPS: dict[str, Callable[[Draft, Node], bool]] = {
    "Reshape": _always,
    "Cast": _always,
    "Expand": _always,
    "Tile": _always,
    "Split": _always,
    "Resize": _unscaled,
    "Transpose": _same_order,
    "Slice": _forward,
    "Pad": _no_pads,
    "MaxPool": _one_tap,
    "AveragePool": _one_tap,
    "Concat": _one_input,
    "Clip": _no_limits,
    "DepthToSpace": _block_of_one,
    "SpaceToDepth": _block_of_one,
    "Add": _neutral(0.0),
    "Sub": _neutral(0.0),
    "Mul": _neutral(1.0),
    "Div": _neutral(1.0),
    "Pow": _neutral(1.0),
}


def _merge_move(draft: Draft, node: Node) -> bool:
    """Let a move read what the same kind of move before it reads; that one goes when unread."""
    joined = _JOINED.get(node.op)
    first = draft.producer(node.inputs[0]) if joined else None
    if joined is None or first is None or first.op != node.op:
        return False
    middle = node.inputs[0]
    if node.op == "Slice" and not _only_slices(draft, middle):
        return False
    new = make(
        node.name, node.op, first.inputs, node.outputs, {**node.attrs, **joined(first, node)}
    )
    alone = draft.private(middle)
    draft.replace([first, node] if alone else [node], [new])
    if not alone:
        draft.add_origin(draft.node(node.name), first.origin)
    return True


def _only_slices(draft: Draft, value: str) -> bool:
    """Whether a slice of slices goes when they read what it reads, so that less is copied."""
    sliced = all(reader.op == "Slice" for reader in draft.readers(value))
    return sliced and value not in draft.outputs


def _join_slices(first: Node, second: Node) -> dict[str, Attr]:
    starts, steps = first.ints("starts"), first.ints("steps")
    more = zip(starts, steps, second.ints("starts"), strict=True)
    return {
        "starts": tuple(start + step * inner for start, step, inner in more),
        "steps": tuple(a * b for a, b in zip(steps, second.ints("steps"), strict=True)),
    }


def _join_transposes(first: Node, second: Node) -> dict[str, Attr]:
    before = first.ints("perm")
    return {"perm": tuple(before[axis] for axis in second.ints("perm"))}


def _join_reshapes(first: Node, second: Node) -> dict[str, Attr]:
    return {}


_JOINED: dict[str, Callable[[Node, Node], dict[str, Attr]]] = {
    "Reshape": _join_reshapes,
    "Transpose": _join_transposes,
    "Slice": _join_slices,
}


def _slice_parts(draft: Draft, node: Node) -> bool:
    """Let a Slice take each part of a Split that is read or an output."""
    if node.op != "Split":
        return False
    shape, axis = draft.shape(node.inputs[0]), node.integer("axis")
    slices, start = [], 0
    for index, (output, size) in enumerate(zip(node.outputs, node.ints("split"), strict=True)):
        if draft.readers(output) or output in draft.outputs:
            attrs: dict[str, Attr] = {
                "starts": tuple(start if at == axis else 0 for at in range(len(shape))),
                "steps": (1,) * len(shape),
                "sizes": (*shape[:axis], size, *shape[axis + 1 :]),
            }
            name = draft.fresh(f"{node.name}/{index}")
            slices.append(make(name, "Slice", node.inputs, (output,), attrs))
        start += size
    draft.replace([node], slices)
    return True


# --- twice the same ----------------------------------------------------------------------------


def share_duplicates(graph: Graph) -> Graph:
    """Return the graph with one node for all that do the same with the same inputs.

    A node that makes an output of the graph stays, so that both names stay.
    """
    draft = Draft(graph)
    seen: dict[Hashable, Node] = {}
    changed = False
    for name in [node.name for node in graph.nodes]:
        node = draft.node(name)
        key = _key(draft, node)
        first = seen.get(key)
        if first is None or len(node.outputs) != 1 or node.outputs[0] in draft.outputs:
            seen.setdefault(key, node)
            continue
        draft.stand_in(node, first.outputs[0])
        draft.add_origin(draft.node(first.name), node.origin)
        changed = True
    return draft.finish() if changed else graph


def _key(draft: Draft, node: Node) -> Hashable:
    inputs = tuple(_identity(draft, name) for name in node.inputs)
    return node.op, inputs, tuple(node.attrs.items())


def _identity(draft: Draft, name: str) -> Hashable:
    """Return what makes a value the same as another one: its name, or a small constant's bytes."""
    array = draft.constant(name)
    if array is None or array.size > SHARED_ELEMENTS:
        return name
    return array.dtype.str, array.shape, array.tobytes()
