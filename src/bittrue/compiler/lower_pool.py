"""Pooling, reductions over axes, and resize: windows that slide, without weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bittrue import arith
from bittrue.arith import QParams
from bittrue.compiler.constants import (
    Refusal,
    Window,
    check_multipliers,
    check_windows,
    pool_multipliers,
)
from bittrue.compiler.limits import POOL_TAPS_MAX, WINDOW_MAX
from bittrue.compiler.lower_conv import (
    both,
    counts_of,
    picture,
    unpicture,
    window_params,
    windows_of,
)
from bittrue.compiler.lower_state import Lowering, Operand, identity, real_order
from bittrue.errors import InternalError
from bittrue.graph.model import Node
from bittrue.graph.reference_move import resize_taps


def _output(low: Lowering, node: Node, held: QParams) -> QParams:
    """Return the codes that an average is rounded to: the output's, or the input's for a float.

    Raises:
        Refusal: if channels have scales of their own that the average would have to change.
    """
    out = low.expected(node.outputs[0])
    if out is None:
        raise Refusal("its output is stored as float32, and averages run on codes only")
    if (out.per_channel or held.per_channel) and not np.array_equal(out.scale, held.scale):
        raise Refusal("its input and output have unlike scales for each channel")
    return out


def _average(
    low: Lowering, x: Operand, held: QParams, out: QParams, windows: tuple[Window, Window],
    ends: tuple[int, int] | None, *, total: bool = False,
) -> Operand:  # fmt: skip
    """Emit AVG_POOL on a raw picture [N, H, W, C]; with `total` its sums are not divided."""
    check_windows(windows)
    taps = windows[0].kernel * windows[1].kernel
    if taps > POOL_TAPS_MAX:
        raise Refusal(f"{taps} taps a sum, at most {POOL_TAPS_MAX} are summed")
    # Scales for each channel are equal on both sides (see `_output`), so that any one will do.
    ratio = float(held.scale[0]) / float(out.scale[0])
    rows, cols, multiplier = pool_multipliers(ratio, windows, ends)
    if total:
        multiplier = np.full_like(multiplier, ratio)
    check_multipliers(multiplier, float(arith.CODE_MAX * taps))
    y = low.raw((x.shape[0], windows[0].count, windows[1].count, x.shape[3]), _raw(out))
    inputs = (
        x.tensor,
        low.constant("row_class", rows),
        low.constant("col_class", cols),
        low.constant("multiplier", multiplier),
    )
    params = window_params(windows) | {
        "kernel_h": windows[0].kernel,
        "kernel_w": windows[1].kernel,
        "zero_x": held.zero_point,
        "zero_point": out.zero_point,
        "lo": 0,
        "hi": arith.CODE_MAX,
    }
    return low.emit("AVG_POOL", inputs, y, params)


def _raw(qparams: QParams) -> QParams:
    return QParams(qparams.scale, qparams.zero_point, 3) if qparams.per_channel else qparams


def _maximum(low: Lowering, x: Operand, held: QParams, windows: tuple[Window, Window]) -> Operand:
    """Emit MAX_POOL on a raw picture [N, H, W, C]."""
    check_windows(windows)
    y = low.raw((x.shape[0], windows[0].count, windows[1].count, x.shape[3]), _raw(held))
    kernel = {"kernel_h": windows[0].kernel, "kernel_w": windows[1].kernel}
    return low.emit("MAX_POOL", (x.tensor,), y, window_params(windows) | kernel)


def _pool_windows(low: Lowering, node: Node, x: Operand) -> tuple[Window, Window]:
    return windows_of(node, x, counts_of(low, node), both(node.ints("kernel_shape"), 1))


def lower_max_pool(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower MaxPool: greater codes stand for greater values, so nothing is rounded."""
    operand, held = low.codes(node.inputs[0])
    x = picture(low, operand)
    y = _maximum(low, x, held, _pool_windows(low, node, x))
    return (unpicture(low, y, held, len(operand.shape)),)


def lower_average_pool(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower AveragePool: sums of the taps inside, one multiplier for each count of taps."""
    operand, held = low.codes(node.inputs[0])
    out = _output(low, node, held)
    x = picture(low, operand)
    ends = None
    if node.integer("count_include_pad"):
        dims = len(node.ints("strides"))
        after = both(node.ints("pads")[dims:], 0)
        ends = (x.shape[1] + after[0], x.shape[2] + after[1])
    y = _average(low, x, held, out, _pool_windows(low, node, x), ends)
    return (unpicture(low, y, out, len(operand.shape)),)


# --- over whole axes -------------------------------------------------------------------------


def lower_reduction(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower reductions and the global poolings as one window over whole axes.

    The axes must lie side by side in memory, behind each other; otherwise the value is laid out
    with them last. The window sees [before, first reduced axis, the others, after]. The least of
    all codes is the greatest of 255 minus each.
    """
    operand, held = low.codes(node.inputs[0])
    axes = _reduced_axes(node, len(operand.shape))
    sums = node.op in ("ReduceMean", "GlobalAveragePool", "ReduceSum")
    out = _output(low, node, held) if sums else held
    if node.op == "ReduceMin":
        operand = low.table(operand, _MIRROR, 0, held)
    lying, start, end = _side_by_side(low, operand, axes)
    physical = lying.physical
    sides = _window_sides(physical[start:end])
    x = low.raw_view(lying, (_product(physical[:start]), *sides, _product(physical[end:])))
    if held.per_channel and end != len(physical) - 1:
        raise Refusal("its channels have scales of their own and do not lie last")
    windows = (Window(sides[0], 1, sides[0]), Window(sides[1], 1, sides[1]))
    if sums:
        y = _average(low, x, held, out, windows, None, total=node.op == "ReduceSum")
    else:
        y = _maximum(low, x, held, windows)
    if node.op == "ReduceMin":
        y = low.table(y, _MIRROR, 0, _raw(held))
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(operand.shape))
    seen = replace(low.view(y, kept, lying.perm), qparams=out)
    return (_without_axes(low, node, seen, axes),)


#: Codes in reverse order.
_MIRROR = np.arange(arith.CODES, dtype=np.uint8)[None, ::-1]


def _window_sides(sizes: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of a window over reduced axes, each short enough where that can be.

    Args:
        sizes: Of the axes, which lie behind each other: any cut in two is right.
    """
    first, rest = (sizes[0] if sizes else 1), _product(sizes[1:])
    if max(first, rest) <= WINDOW_MAX:
        return first, rest
    total = _product(sizes)
    heights = (h for h in range(-(-total // WINDOW_MAX), WINDOW_MAX + 1) if total % h == 0)
    height = next(heights, first)
    return height, total // height


def _reduced_axes(node: Node, rank: int) -> tuple[int, ...]:
    return node.ints("axes") if "axes" in node.attrs else tuple(range(2, rank))


def _product(sizes: tuple[int, ...]) -> int:
    return int(np.prod(sizes, dtype=np.int64))


def _side_by_side(
    low: Lowering, operand: Operand, axes: tuple[int, ...]
) -> tuple[Operand, int, int]:
    """Return the operand with the reduced axes at physical places start to end - 1."""
    kept = tuple(axis for axis in operand.perm if axis not in axes)
    behind = (*kept, *(axis for axis in operand.perm if axis in axes))
    for perm in (operand.perm, identity(len(operand.shape)), behind):
        order = real_order(operand.shape, perm)
        places = [place for place, axis in enumerate(order) if axis in axes]
        if not places or places[-1] - places[0] == len(places) - 1:
            lying = low.laid_out(operand, perm)
            wanted = [
                place for place, axis in enumerate(perm) if axis in {order[p] for p in places}
            ]
            if not wanted:
                return lying, 0, 0
            return lying, wanted[0], wanted[-1] + 1
    raise InternalError(f"axes {axes} of {operand} do not lie side by side behind the others")


def _without_axes(low: Lowering, node: Node, y: Operand, axes: tuple[int, ...]) -> Operand:
    """Return a reduced value with or without its axes of length 1."""
    if "keepdims" not in node.attrs or node.integer("keepdims"):
        return y
    kept = [axis for axis in range(len(y.shape)) if axis not in axes]
    if y.qparams is not None and y.qparams.per_channel:
        raise Refusal("its channels have scales of their own and would move")
    if not kept:
        raise Refusal("its result has no axes")
    perm = tuple(kept.index(axis) for axis in y.perm if axis in kept)
    return low.view(y, tuple(y.shape[axis] for axis in kept), perm)


# --- resize ----------------------------------------------------------------------------------


def lower_resize(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Resize of a picture: nearest as GATHER_2D, on codes and floats; linear on codes."""
    mode = node.text("mode")
    if mode not in ("nearest", "linear"):
        raise Refusal(f"mode {mode!r} is not handled, only 'nearest' and 'linear'")
    operand = low.read(node.inputs[0]) if mode == "nearest" else low.codes(node.inputs[0])[0]
    shape, scales = node.ints("shape"), node.numbers("scales")
    if shape[:2] != operand.shape[:2]:
        raise Refusal("it changes the batch or the channels")
    # Elements move, they do not mix: a factor that leaves an axis's length still picks elements.
    x = picture(low, operand)
    sizes = both(shape[2:], 1)
    taps = [
        resize_taps(node, old, new, scale)
        for old, new, scale in zip(x.shape[1:3], sizes, _pair(scales[2:]), strict=True)
    ]
    y = low.raw((x.shape[0], *sizes, x.shape[3]), x.qparams)
    inputs = [x.tensor]
    for name, (places, weights) in zip(("row", "col"), taps, strict=True):
        if mode == "nearest":
            inputs.append(low.constant(f"{name}s", places[:, 0].astype(np.int32)))
            continue
        later = np.rint(weights[:, 1] * arith.RESIZE_ONE)
        pairs = np.stack([arith.RESIZE_ONE - later, later], axis=1)
        inputs.append(low.constant(f"{name}s", places.astype(np.int32)))
        inputs.append(low.constant(f"{name}_weight", pairs.astype(np.int32)))
    low.emit("GATHER_2D" if mode == "nearest" else "RESIZE_LINEAR", inputs, y, {})
    return (unpicture(low, y, operand.qparams, len(operand.shape)),)


def _pair(scales: tuple[float, ...]) -> tuple[float, float]:
    return (1.0, scales[0]) if len(scales) == 1 else (scales[0], scales[1])
