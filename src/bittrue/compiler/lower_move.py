"""Operators that move elements: views where the bytes already lie right, COPY where not."""

from __future__ import annotations

from math import prod

import numpy as np

from bittrue import arith
from bittrue.arith import QParams
from bittrue.compiler.constants import Refusal
from bittrue.compiler.lower_state import (
    Lowering,
    Operand,
    Perm,
    channels_last,
    equal_codes,
    identity,
    real_order,
    recoding,
)
from bittrue.graph.model import Node, Shape


def _plain(operand: Operand) -> Operand:
    """Return an operand whose codes mean the same wherever they move.

    Raises:
        Refusal: if its channels have scales of their own.
    """
    if operand.qparams is not None and operand.qparams.per_channel:
        raise Refusal("its input has one scale a channel, and elements would change channels")
    return operand


# --- views -----------------------------------------------------------------------------------


def lower_transpose(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Transpose by saying anew which axis is which; no byte moves."""
    x = _plain(low.read(node.inputs[0]))
    order = node.ints("perm")
    shape = tuple(x.shape[axis] for axis in order)
    return (low.view(x, shape, tuple(order.index(axis) for axis in x.perm)),)


def lower_reshape(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Reshape as a view where the bytes lie in an order that allows it."""
    return (reshaped(low, _plain(low.read(node.inputs[0])), low.value(node.outputs[0]).shape),)


def reshaped(low: Lowering, x: Operand, shape: Shape) -> Operand:
    """Return an operand in another logical shape of as many elements."""
    perm = reshape_perm(x.shape, x.perm, shape)
    if perm is not None:
        return low.view(x, shape, perm)
    rows = low.laid_out(x, identity(len(x.shape)))
    return low.view(rows, shape, identity(len(shape)))


def reshape_perm(old: Shape, perm: Perm, new: Shape) -> Perm | None:
    """Return the order of the new axes in which a reshape moves no byte; None if there is none.

    Axes are cut into the least groups that hold as many elements before and after. Each group's
    old axes must lie side by side and in order; then its new axes lie where they lay.
    """
    groups = _groups(old, new)
    order = real_order(old, perm)
    places: list[tuple[int, list[int]]] = []
    for before, after in groups:
        inside = [axis for axis in before if old[axis] > 1]
        if not inside:
            places.append((-1, after))
            continue
        start = order.index(inside[0])
        if list(order[start : start + len(inside)]) != inside:
            return None
        places.append((start, after))
    return tuple(axis for _, after in sorted(places, key=lambda item: item[0]) for axis in after)


def _groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        before: list[int] = []
        after: list[int] = []
        left = right = 1
        while not (before or after) or left != right:
            if (left <= right and i < len(old)) or j >= len(new):
                left *= old[i]
                before.append(i)
                i += 1
            else:
                right *= new[j]
                after.append(j)
                j += 1
        groups.append((before, after))
    return groups


# --- joining and cutting ---------------------------------------------------------------------


def lower_concat(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Concat as one COPY an input, through a table where scales differ."""
    axis, shape = node.integer("axis"), low.value(node.outputs[0]).shape
    out = low.expected(node.outputs[0])
    whole = None if out is not None and out.per_channel else out
    parts = [low.read(name, whole) for name in node.inputs]
    widest = max(parts, key=lambda item: (prod(item.shape), not low.is_constant(item)))
    perm = widest.perm
    if out is not None and out.per_channel:
        perm = channels_last(len(shape), out.axis, perm)
    target = low.new(shape, perm, out)
    start = 0
    for part in parts:
        wanted = _slice_of(out, axis, start, part.shape[axis])
        _place(low, part, target, start * target.strides[axis], wanted)
        start += part.shape[axis]
    return (target,)


def _slice_of(out: QParams | None, axis: int, start: int, size: int) -> QParams | None:
    """Return the codes of a part of a joined value."""
    if out is None or not out.per_channel or out.axis != axis:
        return out
    return QParams(out.scale[start : start + size], out.zero_point, axis)


def _place(
    low: Lowering, part: Operand, target: Operand, offset: int, wanted: QParams | None
) -> None:
    """Emit the COPY of one part, recoded on the way where one table can do it."""
    table = None
    held = part.qparams
    if held is None or wanted is None or held.per_channel or wanted.per_channel:
        part = low.convert(part, wanted)
    elif not equal_codes(held, wanted):
        table = recoding(held, wanted)
    axes = list(zip(part.shape, part.strides, target.strides, strict=True))
    low.copy(part, target, axes, (0, offset), table)


def lower_slice(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Slice as one COPY with other strides on the source."""
    x = low.read(node.inputs[0])
    starts, steps, sizes = node.ints("starts"), node.ints("steps"), node.ints("sizes")
    return (_cut(low, x, starts, steps, sizes),)


def lower_split(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Split as one COPY a part."""
    x, axis = low.read(node.inputs[0]), node.integer("axis")
    parts, start = [], 0
    for size in node.ints("split"):
        starts = tuple(start if i == axis else 0 for i in range(len(x.shape)))
        sizes = tuple(size if i == axis else dim for i, dim in enumerate(x.shape))
        parts.append(_cut(low, x, starts, (1,) * len(x.shape), sizes))
        start += size
    return tuple(parts)


def _cut(low: Lowering, x: Operand, starts: Shape, steps: tuple[int, ...], sizes: Shape) -> Operand:
    if sizes == x.shape and all(step == 1 for step in steps):
        return x
    held = x.qparams
    if held is not None and held.per_channel:
        places = starts[held.axis] + steps[held.axis] * np.arange(sizes[held.axis])
        held = QParams(held.scale[places], held.zero_point, held.axis)
    target = low.new(sizes, x.perm, held)
    strides = zip(sizes, x.strides, steps, target.strides, strict=True)
    axes = [(size, read * step, write) for size, read, step, write in strides]
    offset = sum(start * read for start, read in zip(starts, x.strides, strict=True))
    low.copy(x, target, axes, (offset, 0))
    return target


# --- borders ---------------------------------------------------------------------------------


def lower_pad(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Pad: constants as FILL and COPY; other modes by picking rows, an axis at a time."""
    x = low.read(node.inputs[0])
    rank = len(x.shape)
    pads = node.ints("pads")
    if node.text("mode") != "constant":
        return (_pad_by_picking(low, node, _plain(x)),)
    out = low.expected(node.outputs[0]) if x.qparams is not None else None
    source = x if out is None else low.convert(x, out)
    begins, ends = pads[:rank], pads[rank:]
    skips = [max(0, -begin) for begin in begins]
    sizes = [
        size - skip - max(0, -end) for size, skip, end in zip(x.shape, skips, ends, strict=True)
    ]
    target = low.new(low.value(node.outputs[0]).shape, x.perm, source.qparams)
    if target.perm != source.perm:
        source = low.laid_out(source, target.perm)
    low.emit("FILL", (), target, {"value": _fill_value(node, source.qparams)})
    if min(sizes) > 0:
        axes = list(zip(sizes, source.strides, target.strides, strict=True))
        read = sum(skip * step for skip, step in zip(skips, source.strides, strict=True))
        write = sum(
            max(0, begin) * step for begin, step in zip(begins, target.strides, strict=True)
        )
        low.copy(source, target, axes, (read, write))
    return (target,)


def _fill_value(node: Node, qparams: QParams | None) -> int:
    """Return the constant of a Pad as FILL takes it: a code, or the bits of a float32."""
    value = np.array([node.number("value")], np.float32)
    if qparams is None:
        return int(value.view(np.int32)[0])
    codes = np.unique(arith.quantize(value, qparams.scale, qparams.zero_point))
    if codes.size > 1:
        raise Refusal("its border has another code in each channel")
    return int(codes[0])


def _pad_by_picking(low: Lowering, node: Node, x: Operand) -> Operand:
    rank, pads = len(x.shape), node.ints("pads")
    mode = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}[node.text("mode")]
    for axis in range(rank):
        begin, end = pads[axis], pads[rank + axis]
        if begin < 0 or end < 0:
            raise Refusal("it cuts one side while it fills another by a pattern")
        if begin or end:
            places = np.arange(x.shape[axis])
            padded = np.pad(places, (begin, end), mode=mode)  # type: ignore[call-overload]
            x = picked(low, x, axis, padded)
    return x


def picked(low: Lowering, x: Operand, axis: int, places: np.ndarray) -> Operand:
    """Return the slices of an axis at some places, by GATHER_2D; the order of axes stays."""
    where = x.perm.index(axis)
    physical = x.physical
    before, after = prod(physical[:where]), prod(physical[where + 1 :])
    source = low.raw_view(x, (before, x.shape[axis], 1, after))
    target = low.raw((before, places.size, 1, after), x.qparams)
    rows = low.constant("rows", places.astype(np.int32))
    cols = low.constant("cols", np.zeros(1, np.int32))
    low.emit("GATHER_2D", (source.tensor, rows, cols), target, {})
    shape = tuple(places.size if i == axis else dim for i, dim in enumerate(x.shape))
    return low.view(target, shape, x.perm)


def lower_gather(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Gather with constant indices."""
    x, axis = _plain(low.read(node.inputs[0])), node.integer("axis")
    indices = low.given(node, 1)
    if indices is None or indices.size == 0:
        raise Refusal("it has no indices")
    places = np.where(indices < 0, indices + x.shape[axis], indices).reshape(-1)
    if places.min() < 0 or places.max() >= x.shape[axis]:
        raise Refusal(f"an index is outside axis {axis} of shape {list(x.shape)}")
    made = picked(low, low.laid_out(x, identity(len(x.shape))), axis, places)
    return (reshaped(low, made, low.value(node.outputs[0]).shape),)


# --- repeating -------------------------------------------------------------------------------


def lower_expand(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Expand as one COPY whose source stands still along the new axes."""
    shape = low.value(node.outputs[0]).shape
    x = low.padded(_plain(low.read(node.inputs[0])), len(shape))
    target = low.new(shape, x.perm, x.qparams)
    strides = zip(shape, x.shape, x.strides, target.strides, strict=True)
    axes = [(new, read if old == new else 0, write) for new, old, read, write in strides]
    low.copy(x, target, axes)
    return (target,)


def lower_tile(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Tile as one COPY: along each axis, repeats of the source, then the source."""
    x = _plain(low.read(node.inputs[0]))
    target = low.new(low.value(node.outputs[0]).shape, x.perm, x.qparams)
    axes = []
    for size, times, read, write in zip(
        x.shape, node.ints("repeats"), x.strides, target.strides, strict=True
    ):
        axes += [(times, 0, size * write), (size, read, write)]
    low.copy(x, target, axes)
    return (target,)


# --- blocks ----------------------------------------------------------------------------------


def lower_depth_to_space(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower DepthToSpace as one COPY."""
    x, block = _plain(low.read(node.inputs[0])), node.integer("blocksize")
    batch, channels, height, width = x.shape
    depth = channels // block**2
    shape = (batch, depth, height * block, width * block)
    target = low.new(shape, x.perm, x.qparams)
    n, c, h, w = x.strides
    # DCR: channel = (row * block + col) * depth + d. CRD: (d * block + row) * block + col.
    down, right, deep = (
        (block * depth * c, depth * c, c)
        if node.text("mode") == "DCR"
        else (block * c, c, block**2 * c)
    )
    low.copy(x, target, _block_axes((batch, depth, height, width), block,
                                    (n, deep, h, w, down, right), target.strides))  # fmt: skip
    return (target,)


def lower_space_to_depth(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower SpaceToDepth as one COPY: channel = (row * block + col) * depth + d."""
    x, block = _plain(low.read(node.inputs[0])), node.integer("blocksize")
    batch, depth, height, width = x.shape
    shape = (batch, depth * block**2, height // block, width // block)
    target = low.new(shape, x.perm, x.qparams)
    n, c, h, w = target.strides
    sources = _block_axes((batch, depth, *shape[2:]), block,
                          (n, c, h, w, block * depth * c, depth * c), x.strides)  # fmt: skip
    low.copy(x, target, [(size, read, write) for size, write, read in sources])
    return (target,)


def _block_axes(
    sizes: tuple[int, int, int, int],
    block: int,
    deep: tuple[int, int, int, int, int, int],
    wide: list[int],
) -> list[tuple[int, int, int]]:
    """Return size, stride where blocks are channels, stride where blocks are pixels.

    Args:
        sizes: Batch, channels of the wide form, rows and columns of the deep one.
        block: Side of a block.
        deep: Strides of batch, channel, row, column, row in the block, column in the block.
        wide: Strides of batch, channel, row and column of the wide form.
    """
    n, c, h, w = wide
    ends = (n, c, h * block, w * block, h, w)
    return list(zip((*sizes, block, block), deep, ends, strict=True))
