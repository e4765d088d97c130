"""A multiplication and an addition by constants, and how they fold into products with weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.graph.model import NO_CLIP, Graph, Node
from bittrue.graph.weights import WEIGHTED, by_input, by_output
from bittrue.passes.draft import Draft, make, rewrite

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Affine:
    """``y = x * factor + offset``.

    Args:
        x: Name of the value.
        factor: float64 that broadcasts with x.
        offset: float64 that broadcasts with x.
        clip: What follows, (-inf, inf) for nothing.
    """

    x: str
    factor: F64
    offset: F64
    clip: tuple[float, float] = NO_CLIP


# --- recognising -------------------------------------------------------------------------------


def affine_of(draft: Draft, node: Node) -> Affine | None:
    """Return a node as an affine map with constants that keeps its input's shape; else None."""
    if node.op == "BatchNormalization":
        return batch_norm_of(draft, node)
    if node.op not in ("Add", "Sub", "Mul", "Div"):
        return None
    a, b = (draft.constant(name) for name in node.inputs)
    if (a is None) == (b is None) or draft.values[node.outputs[0]].dtype != "float32":
        return None
    x = node.inputs[1] if b is None else node.inputs[0]
    if draft.shape(x) != draft.shape(node.outputs[0]):
        return None
    left = b is None
    number = np.asarray(a if left else b, np.float64)
    pair = _MAPS[node.op](number, left)
    return None if pair is None else Affine(x, *pair, clip=node.clip)


Pair = tuple[F64, F64]


def _add(c: F64, left: bool) -> Pair | None:
    return np.ones_like(c), c


def _sub(c: F64, left: bool) -> Pair | None:
    return (-np.ones_like(c), c) if left else (np.ones_like(c), -c)


def _mul(c: F64, left: bool) -> Pair | None:
    return c, np.zeros_like(c)


def _div(c: F64, left: bool) -> Pair | None:
    return None if left or np.any(c == 0) else (1.0 / c, np.zeros_like(c))


_MAPS: dict[str, Callable[[F64, bool], Pair | None]] = {
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
}


def batch_norm_of(draft: Draft, node: Node) -> Affine | None:
    """Return ``(x - mean) * scale / sqrt(var + epsilon) + bias`` as an affine map.

    Factor and offset have shape [C, 1, ...], one 1 for each axis after the channels. None where
    a parameter is no constant.
    """
    arrays = [draft.constant(name) for name in node.inputs[1:]]
    scale, bias, mean, var = (None if a is None else a.astype(np.float64) for a in arrays)
    if scale is None or bias is None or mean is None or var is None:
        return None
    if draft.values[node.outputs[0]].dtype != "float32":
        return None
    factor = scale / np.sqrt(var + node.number("epsilon"))  # [C]
    shape = (-1,) + (1,) * (len(draft.shape(node.inputs[0])) - 2)
    return Affine(node.inputs[0], factor.reshape(shape), (bias - mean * factor).reshape(shape))


def along(array: F64, rank: int, axis: int, size: int) -> F64 | None:
    """Return an array that broadcasts with a tensor as one number for each index of one axis.

    Args:
        array: Of any shape that broadcasts with the tensor.
        rank: Axes of the tensor.
        axis: The axis, from 0.
        size: Its length.

    Returns:
        float64 [size], or None where the array changes along another axis.
    """
    if array.ndim > rank:
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(dim != 1 for at, dim in enumerate(shape) if at != axis):
        return None
    return np.broadcast_to(array.reshape(-1), (size,)) if shape[axis] in (1, size) else None


def _channels(draft: Draft, affine: Affine, value: str, axis: int) -> Pair | None:
    """Return factor and offset, each [C], along an axis of a value (negative from the end)."""
    shape = draft.shape(value)
    axis %= len(shape)
    factor = along(affine.factor, len(shape), axis, shape[axis])
    offset = along(affine.offset, len(shape), axis, shape[axis])
    return None if factor is None or offset is None else (factor, offset)


# --- folding -----------------------------------------------------------------------------------


def fold_after(draft: Draft, node: Node, affine: Affine) -> bool:
    """Fold an affine map into the weights that make its input; False where that cannot be.

    ``(w x + b) f + o = (w f) x + (b f + o)``, in float64, rounded once to float32.
    """
    maker = draft.producer(affine.x)
    if maker is None or maker.op not in WEIGHTED or not draft.private(affine.x):
        return False
    pair = _channels(draft, affine, affine.x, WEIGHTED[maker.op])
    weights = draft.constant(maker.inputs[1])
    bias, inner = _optional(draft, maker, 2), _optional(draft, maker, 3)
    if pair is None or weights is None or bias is None or inner is None:
        return False
    factor, offset = pair  # [O]
    biased = bool(maker.input(2)) or bool(np.any(offset))
    parts = _rounded(
        weights.astype(np.float64) * by_output(maker, weights.shape, factor),
        bias * factor + offset if biased else None,
        inner if maker.input(3) else None,
    )
    if parts is None or maker.clip != NO_CLIP:
        return False
    _put(draft, maker, node, (maker, node), parts, affine.clip)
    return True


def fold_before(draft: Draft, node: Node, affine: Affine) -> bool:
    """Fold an affine map into the weights that read its output; False where that cannot be.

    Without padding ``w (x f + o) + b = (w f) x + (b + sum(w o))``. With padding, whose taps are
    the real value 0 behind the map, o becomes the offset input: ``w (x f + o) = (w f) (x - -o/f)``
    for the taps inside, nothing for those outside. Transposes and pools may stand between.
    """
    carriers, reader = _way_to_weights(draft, node.outputs[0])
    if reader is None or affine.clip != NO_CLIP:
        return False
    axis = _axis_before(carriers, WEIGHTED[reader.op] % len(draft.shape(reader.inputs[0])))
    pair = None if axis is None else _channels(draft, affine, affine.x, axis)
    weights = draft.constant(reader.inputs[1])
    if pair is None or weights is None or not all(_carries(c, pair[0]) for c in carriers):
        return False
    parts = _before_parts(draft, reader, weights.astype(np.float64), pair)
    if parts is None:
        return False
    source = affine.x
    for carrier in carriers:
        source = _carry(draft, carrier, source)
    reader_of_source = replace(reader, inputs=(source, *reader.inputs[1:]))
    _put(draft, reader_of_source, reader, (reader, node), parts, reader.clip)
    return True


def _way_to_weights(draft: Draft, value: str) -> tuple[list[Node], Node | None]:
    """Return the nodes between a value and the node with weights that alone reads it, and that.

    The second is None where others read the value too, or something else is in the way.
    """
    carriers: list[Node] = []
    while draft.private(value):
        reader = draft.readers(value)[0]
        if reader.op in WEIGHTED:
            fits = reader.inputs[0] == value and reader.inputs.count(value) == 1
            return carriers, reader if fits else None
        if reader.op not in ("Transpose", "MaxPool", "AveragePool"):
            break
        carriers.append(reader)
        value = reader.outputs[0]
    return [], None


def _axis_before(carriers: list[Node], axis: int) -> int | None:
    """Return which axis lies before all carriers, of an axis behind them.

    None where a pool slides along it: its windows mix what has one factor with what has another.
    """
    for carrier in reversed(carriers):
        if carrier.op == "Transpose":
            axis = carrier.ints("perm")[axis]
        elif axis > 1:
            return None
    return axis


def _carries(carrier: Node, factor: F64) -> bool:
    """Whether a map before a node is the same map behind it.

    A maximum keeps its place where the factor is positive, a mean where no zeros are counted in.
    """
    if carrier.op == "MaxPool":
        return bool(np.all(factor > 0))
    if carrier.op == "AveragePool":
        return not carrier.flag("count_include_pad") or not any(carrier.ints("pads"))
    return True


def _carry(draft: Draft, carrier: Node, x: str) -> str:
    """Let a node read another value, and return what it makes: no tensor of the source."""
    row = draft.values[carrier.outputs[0]]
    result = draft.new_value(row.name, row.dtype, row.shape)
    draft.replace([carrier], [make(carrier.name, carrier.op, (x,), (result,), carrier.attrs)])
    return result


Parts = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


def _before_parts(draft: Draft, reader: Node, weights: F64, pair: Pair) -> Parts | None:
    """Return new weights, bias and offset of the node behind an affine map; None if impossible."""
    factor, shift = pair  # [I]
    bias, inner = _optional(draft, reader, 2), _optional(draft, reader, 3)
    if bias is None or inner is None:
        return None
    scaled = weights * by_input(reader, weights.shape, factor)
    total = shift - inner  # [I]
    padded = reader.op == "Conv" and (any(reader.ints("pads")) or len(reader.inputs) > 3)
    if not np.any(total):
        return _rounded(scaled, bias if reader.input(2) else None)
    if reader.op == "ConvTranspose":
        return None
    if not padded:
        spread = weights * by_input(reader, weights.shape, total)
        return _rounded(scaled, bias + spread.reshape(len(weights), -1).sum(axis=1))
    if np.any(factor == 0):
        return None
    return _rounded(scaled, bias if reader.input(2) else None, 0.0 - total / factor)


def _optional(draft: Draft, node: Node, index: int) -> F64 | None:
    """Return a constant input in float64, 0 where it is left out, None where it is no constant."""
    if not node.input(index):
        return np.zeros(1)
    array = draft.constant(node.input(index))
    return None if array is None else array.astype(np.float64)


def _rounded(weights: F64, bias: F64 | None, offset: F64 | None = None) -> Parts | None:
    """Return the parts as float32; None where one of them has no finite float32."""
    with np.errstate(over="ignore"):
        parts = [None if x is None else x.astype(np.float32) for x in (weights, bias, offset)]
    if any(part is not None and not np.all(np.isfinite(part)) for part in parts):
        return None
    narrow = parts[0]
    return None if narrow is None else (narrow, parts[1], parts[2])


def _put(
    draft: Draft,
    source: Node,
    sink: Node,
    old: tuple[Node, Node],
    parts: Parts,
    clip: tuple[float, float],
) -> None:
    """Put one node with new constants in the place of two."""
    inputs = [source.inputs[0]]
    for part, array in zip(("w", "b", "offset"), parts, strict=True):
        inputs.append("" if array is None else draft.own_constant(source, part, array))
    attrs = {**source.attrs, "clip": clip}
    draft.replace(old, [make(source.name, source.op, inputs, sink.outputs, attrs)])


# --- passes ------------------------------------------------------------------------------------


def fold_batch_norm(graph: Graph) -> Graph:
    """Return the graph with each BatchNormalization in the weights before or behind it.

    Where there are none it becomes a Mul and an Add by a constant a channel.
    """
    return rewrite(graph, _fold_batch_norm)


def _fold_batch_norm(draft: Draft, node: Node) -> bool:
    affine = batch_norm_of(draft, node) if node.op == "BatchNormalization" else None
    if affine is None:
        return False
    return (
        fold_after(draft, node, affine)
        or fold_before(draft, node, affine)
        or _as_mul_and_add(draft, node, affine)
    )


def _as_mul_and_add(draft: Draft, node: Node, affine: Affine) -> bool:
    parts = _rounded(affine.factor, affine.offset)
    if parts is None or parts[1] is None:
        return False
    attrs = {"clip": NO_CLIP}
    product = draft.new_value(f"{node.name}/scaled", "float32", draft.shape(affine.x))
    scale = draft.new_constant(f"{node.name}/factor", parts[0])
    shift = draft.new_constant(f"{node.name}/offset", parts[1])
    name = draft.fresh(f"{node.name}/mul")
    mul = make(name, "Mul", (affine.x, scale), (product,), attrs)
    draft.replace([node], [mul, make(node.name, "Add", (product, shift), node.outputs, attrs)])
    return True


def fold_affine_back(graph: Graph) -> Graph:
    """Return the graph with constant Add, Sub, Mul and Div in the weights that make their input.

    The constants are one number, or one a channel.
    """
    return rewrite(graph, _fold_back)


def _fold_back(draft: Draft, node: Node) -> bool:
    affine = affine_of(draft, node) if node.op != "BatchNormalization" else None
    return affine is not None and fold_after(draft, node, affine)


def fold_affine_forward(graph: Graph) -> Graph:
    """Return the graph with constant Add, Sub, Mul and Div in the weights that read their output.

    Runs after `fuse_functions`: what a table can take at no cost has gone there by then.
    """
    return rewrite(graph, _fold_forward)


def _fold_forward(draft: Draft, node: Node) -> bool:
    affine = affine_of(draft, node) if node.op != "BatchNormalization" else None
    return affine is not None and fold_before(draft, node, affine)
