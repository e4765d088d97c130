"""A pass that makes several layers of one whose output channels are only ever read in parts.

Channels that mean different things (offsets in pixels beside scores) differ in magnitude; a layer
of its own gives each part a scale of its own. Nothing is computed twice, and channels that nobody
reads are not computed at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bittrue.graph.elementwise import BINARY_EXPR
from bittrue.graph.model import Attr, Graph, Node, Shape
from bittrue.graph.ops import FAMILIES
from bittrue.graph.weights import WEIGHTED
from bittrue.passes.draft import Draft, make, rewrite
from bittrue.passes.tidy import share_duplicates, tidy_move

#: A layer becomes at most this many: each reads the whole input again.
PARTS_MAX = 8

Indices = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """How a value falls into parts.

    Args:
        axis: The axis that is cut.
        parts: The indices along it that each part takes.
    """

    axis: int
    parts: Indices


@dataclass(frozen=True, slots=True)
class Region:
    """What stands between layers and the slices that alone read what comes of them.

    Args:
        slices: The Slice that takes each part.
        nodes: Layers and the nodes behind them, those that read before those that are read.
        cuts: How the output of each node, and each of their inputs that is cut, falls into parts.
    """

    slices: tuple[Node, ...]
    nodes: tuple[Node, ...]
    cuts: dict[str, Cut]


def split_layers(graph: Graph) -> Graph:
    """Return the graph with a layer for each part of a layer's channels that is read on its own.

    Each reader must be a Slice along one axis, and none may take what another one takes. Between
    the layers (Conv, ConvTranspose, Dense, without groups) and the slices may stand whatever treats
    channels apart.
    """
    while True:
        after = rewrite(graph, _split_or_tidy)
        if after is graph:
            return graph
        graph = share_duplicates(after)


def _split_or_tidy(draft: Draft, node: Node) -> bool:
    """Split layers at their first Slice; moves that then follow each other become one."""
    region = _region(draft, node) if node.op == "Slice" else None
    if region is None:
        return tidy_move(draft, node)
    _split(draft, region)
    return True


# --- what can be split -------------------------------------------------------------------------


def _region(draft: Draft, node: Node) -> Region | None:
    """Return what a Slice and its neighbours can be moved up through; None where they stay."""
    whole = node.inputs[0]
    slices = sorted(draft.readers(whole), key=_first_taken)
    cut = _cut_of(draft.shape(whole), slices)
    if cut is None or len(slices) > PARTS_MAX:
        return None
    members = {reader.name for reader in slices}
    nodes: list[Node] = []
    cuts = {whole: cut}
    waiting = [whole]
    while waiting:
        value = next((name for name in waiting if _inside(draft, name, members)), None)
        maker = None if value is None else draft.producer(value)
        if value is None or maker is None or len(maker.outputs) != 1:
            return None
        above = _above(draft, maker, cuts[value])
        if above is None or any(cuts.get(name, new) != new for name, new in above.items()):
            return None
        waiting.remove(value)
        waiting += [name for name in above if name not in cuts]
        cuts.update(above)
        members.add(maker.name)
        nodes.append(maker)
    return Region(tuple(slices), tuple(nodes), cuts)


def _cut_of(shape: Shape, readers: Sequence[Node]) -> Cut | None:
    """Return how Slices cut a value along one axis; None where they share or leave other things."""
    found = [_taken(shape, node) if node.op == "Slice" else None for node in readers]
    pieces = [piece for piece in found if piece is not None]
    axes = {axis for axis, _ in pieces}
    taken = [index for _, indices in pieces for index in indices]
    if len(pieces) < len(readers) or len(axes) != 1 or len(taken) > len(set(taken)):
        return None
    parts = tuple(indices for _, indices in pieces)
    return Cut(axes.pop(), parts) if all(parts) else None


def _first_taken(node: Node) -> tuple[int, ...]:
    return node.ints("starts") if node.op == "Slice" else ()


def _taken(shape: Shape, node: Node) -> tuple[int, tuple[int, ...]] | None:
    """Return the one axis that a Slice cuts, and which of its indices it takes; else None."""
    rows = zip(node.ints("starts"), node.ints("steps"), node.ints("sizes"), strict=True)
    taken = [tuple(start + step * at for at in range(size)) for start, step, size in rows]
    cut = [axis for axis, dim in enumerate(shape) if taken[axis] != tuple(range(dim))]
    return (cut[0], taken[cut[0]]) if len(cut) == 1 else None


def _inside(draft: Draft, value: str, members: set[str]) -> bool:
    """Whether nobody but members reads a value."""
    read = all(reader.name in members for reader in draft.readers(value))
    return read and value not in draft.outputs


def _above(draft: Draft, node: Node, cut: Cut) -> dict[str, Cut] | None:
    """Return the cuts of a node's inputs that make a cut of its output.

    None where its channels depend on each other, or where no node that could be cut makes them.
    """
    if node.op in WEIGHTED:
        return {} if _layer(draft, node, cut.axis) else None
    if node.op in BINARY_EXPR or node.op in ALIKE:
        same = draft.shape(node.outputs[0])
        computed = [name for name in node.inputs if draft.constant(name) is None]
        fits = all(draft.shape(name) == same for name in computed)
        return dict.fromkeys(computed, cut) if fits and computed else None
    if node.op == "Reshape":
        through = _through_reshape(draft, node, cut)
        return None if through is None else {node.inputs[0]: through}
    rule = CARRIERS.get(node.op)
    axis = None if rule is None else rule(draft, node, cut.axis)
    return None if axis is None else {node.inputs[0]: Cut(axis, cut.parts)}


def _layer(draft: Draft, node: Node, axis: int) -> bool:
    """Whether a node with constant weights makes each index of an axis from weights of its own."""
    channels = WEIGHTED[node.op] % len(draft.shape(node.outputs[0]))
    fixed = all(not name or draft.constant(name) is not None for name in node.inputs[1:])
    return axis == channels and fixed and node.attrs.get("group", 1) == 1


def _through_reshape(draft: Draft, node: Node, cut: Cut) -> Cut | None:
    """Return a cut before a Reshape: the axis may be one of several that one axis becomes."""
    before, after = draft.shape(node.inputs[0]), draft.shape(node.outputs[0])
    if not math.prod(after):
        return None
    for axis, dim in enumerate(before):
        ahead = math.prod(before[:axis])
        spans = [
            (first, last)
            for first in range(cut.axis + 1)
            for last in range(cut.axis + 1, len(after) + 1)
            if math.prod(after[:first]) == ahead and math.prod(after[first:last]) == dim
        ]
        if spans:
            first, last = spans[0]
            indices = np.arange(dim).reshape(after[first:last])
            takes = (np.take(indices, part, cut.axis - first) for part in cut.parts)
            return Cut(axis, tuple(tuple(map(int, take.ravel())) for take in takes))
    return None


# --- operators that treat channels apart -------------------------------------------------------

#: Each element from the one in the same place, and constants.
ALIKE = frozenset((*FAMILIES["unary"], "Cast", "Not", "BatchNormalization"))


def _not_sampled(draft: Draft, node: Node, axis: int) -> int | None:
    same = draft.shape(node.inputs[0])[axis] == draft.shape(node.outputs[0])[axis]
    return axis if same and node.numbers("scales")[axis] == 1.0 else None


def _not_pooled(draft: Draft, node: Node, axis: int) -> int | None:
    return axis if axis < 2 else None


def _permuted(draft: Draft, node: Node, axis: int) -> int | None:
    return node.ints("perm")[axis]


def _not_reduced(draft: Draft, node: Node, axis: int) -> int | None:
    axes = node.ints("axes")
    if node.flag("keepdims"):
        return axis if axis not in axes else None
    left = [at for at in range(len(draft.shape(node.inputs[0]))) if at not in axes]
    return left[axis]


def _not_normalised(draft: Draft, node: Node, axis: int) -> int | None:
    return axis if axis != node.integer("axis") else None


def _not_cut(draft: Draft, node: Node, axis: int) -> int | None:
    taken = (node.ints("starts")[axis], node.ints("steps")[axis], node.ints("sizes")[axis])
    return axis if taken == (0, 1, draft.shape(node.inputs[0])[axis]) else None


def _not_padded(draft: Draft, node: Node, axis: int) -> int | None:
    pads = node.ints("pads")
    return axis if not pads[axis] and not pads[axis + len(pads) // 2] else None


#: Operators whose output is cut by cutting their input, and along which axis; None if it is not.
CARRIERS: dict[str, Callable[[Draft, Node, int], int | None]] = {
    "Resize": _not_sampled,
    "MaxPool": _not_pooled,
    "AveragePool": _not_pooled,
    "GlobalMaxPool": _not_pooled,
    "GlobalAveragePool": _not_pooled,
    "Transpose": _permuted,
    **dict.fromkeys(FAMILIES["reduction"], _not_reduced),
    "Softmax": _not_normalised,
    "LogSoftmax": _not_normalised,
    "Slice": _not_cut,
    "Pad": _not_padded,
}
#: Operators that end a region, and why; a test sees that no operator is forgotten.
NOT_CUT: dict[str, str] = {
    **dict.fromkeys(("MatMul", "Gemm"), "what is left of these has computed weights"),
    **dict.fromkeys(("ArgMax", "ArgMin"), "indices count over all channels"),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), "channels become rows and columns"),
    **dict.fromkeys(("Gather", "Expand", "Tile"), "channels are picked or repeated"),
    **dict.fromkeys(("Concat", "Split"), "one part may lie in several tensors"),
    **dict.fromkeys(("Equal", "Less", "LessOrEqual"), "truth values have no scale to gain"),
    **dict.fromkeys(("Greater", "GreaterOrEqual"), "truth values have no scale to gain"),
    **dict.fromkeys(("And", "Or"), "truth values have no scale to gain"),
    **dict.fromkeys(("Where", "Mod"), "elementwise, but not done yet"),
}
#: Attributes that hold the shape of the output.
SIZED = {"Reshape": "shape", "Resize": "shape", "Slice": "sizes"}


# --- splitting ---------------------------------------------------------------------------------


def _split(draft: Draft, region: Region) -> None:
    """Put as many nodes as there are parts in the place of each node of a region.

    The last ones make what the slices made. Each part of a layer is credited with its slice's work.
    """
    sliced = region.slices[0].inputs[0]
    names = {sliced: [node.outputs[0] for node in region.slices]}
    for node in region.slices:
        draft.remove(node)
    for node in region.nodes:
        for value in dict.fromkeys(node.inputs):
            if value in region.cuts and value not in names:
                names[value] = _part_values(draft, value, region.cuts[value])
        parts = [_part(draft, node, region.cuts, names, at) for at in range(len(region.slices))]
        draft.replace([node], parts)
        if node.op in WEIGHTED:
            for part, slicing in zip(parts, region.slices, strict=True):
                draft.add_origin(draft.node(part.name), slicing.origin)


def _part_values(draft: Draft, value: str, cut: Cut) -> list[str]:
    """Enter a value for each part of one; no tensor of the source equals them."""
    row = draft.values[value]
    sizes = [len(part) for part in cut.parts]
    return [
        draft.new_value(f"{value}/{at}", row.dtype, _resized(row.shape, cut.axis, size))
        for at, size in enumerate(sizes)
    ]


def _resized(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _part(
    draft: Draft, node: Node, cuts: dict[str, Cut], names: dict[str, list[str]], at: int
) -> Node:
    """Return the node that makes one part of a node's output."""
    cut = cuts[node.outputs[0]]
    name = draft.fresh(f"{node.name}/{at}")
    inputs = []
    for place, value in enumerate(node.inputs):
        array = draft.constant(value) if value else None
        if value in names:
            inputs.append(names[value][at])
        elif array is None:
            inputs.append(value)
        else:
            taken = _constant_part(draft, node, place, array, cut, at)
            inputs.append(value if taken is array else draft.new_constant(f"{name}/{place}", taken))
    attrs: dict[str, Attr] = dict(node.attrs)
    if node.op in SIZED:
        shape = draft.shape(node.outputs[0])
        attrs[SIZED[node.op]] = _resized(shape, cut.axis, len(cut.parts[at]))
    return make(name, node.op, inputs, (names[node.outputs[0]][at],), attrs)


def _constant_part(
    draft: Draft, node: Node, place: int, array: np.ndarray, cut: Cut, at: int
) -> np.ndarray:
    """Return what one part of a node needs of a constant input: the array itself for all of it."""
    if node.op in WEIGHTED:
        axis = 1 if node.op == "ConvTranspose" and place == 1 else 0
        whole = place == 3  # the offset belongs to the input's channels
    elif node.op == "BatchNormalization":
        axis, whole = 0, cut.axis != 1
    else:
        axis = cut.axis - (len(draft.shape(node.outputs[0])) - array.ndim)
        whole = axis < 0 or array.shape[axis] == 1
    return array if whole else np.ascontiguousarray(np.take(array, cut.parts[at], axis))
