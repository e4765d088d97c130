"""Converters of operators that run along axes: reductions, softmax, the place of an extremum."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from bittrue.importers.onnx_step import Convert, Step


def softmax(step: Step) -> Sequence[str]:
    """Softmax or LogSoftmax; before opset 13 over all axes from `axis` on, taken as one."""
    op, shape = step.node.op, step.shape()
    old = step.opset < 13
    axis = step.axis(1 if old else -1, len(shape), limit=int(old))
    if not old or (axis < len(shape) and prod(shape[axis + 1 :]) == 1):
        return [step.emit(op, [step.x()], {"axis": axis})]
    flat = (prod(shape[:axis]), prod(shape[axis:]))
    rows = step.emit("Reshape", [step.x()], {"shape": flat})  # [before, from axis on]
    result = step.emit(op, [rows], {"axis": 1})
    return [step.emit("Reshape", [result], {"shape": shape})]


def reduction(axes_input_since: int, op: str = "", before: str = "", after: str = "") -> Convert:
    """Return the converter of a reduction.

    Args:
        axes_input_since: The opset from which axes are an input instead of an attribute.
        op: The canonical reduction; the same name where empty.
        before: What is done to each element first: "Abs", "square" or nothing.
        after: A unary operator on the result, or nothing.
    """

    def convert(step: Step) -> Sequence[str]:
        axes = reduced_axes(step, axes_input_since)
        x = step.x()
        if axes is None:
            axes = ()
            if not before and not after:
                return [x]
        if before == "square":
            x = step.emit("Mul", [x, x], {})
        elif before:
            x = step.emit(before, [x], {})
        keep = step.flag("keepdims", 1)
        result = x
        if axes:
            over = {"axes": axes, "keepdims": keep}
            result = step.emit(op or step.node.op, [x], over)
        return [step.emit(after, [result], {}) if after else result]

    return convert


def reduced_axes(step: Step, axes_input_since: int) -> tuple[int, ...] | None:
    """Return the axes that a reduction runs over, in order; None where it does nothing."""
    rank = len(step.shape())
    axes = step.listed("axes", 1, axes_input_since)
    if axes:
        return tuple(sorted({step.from_front(axis, rank) for axis in axes}))
    return None if step.integer("noop_with_empty_axes", 0) else tuple(range(rank))


def extremum_index(step: Step) -> Sequence[str]:
    """ArgMax and ArgMin."""
    attrs = {
        "axis": step.axis(0, len(step.shape())),
        "keepdims": step.flag("keepdims", 1),
        "select_last_index": step.flag("select_last_index"),
    }
    return [step.emit(step.node.op, [step.x()], attrs)]


def log_sum_exp(step: Step) -> Sequence[str]:
    """ReduceLogSumExp: m + log(sum of exp(x - m)), m the maximum, so that nothing overflows."""
    axes, x = reduced_axes(step, 18), step.x()
    if not axes:
        return [x]
    over = {"axes": axes, "keepdims": 1}
    greatest = step.emit("ReduceMax", [x], over)
    powers = step.emit("Exp", [step.emit("Sub", [x, greatest], {})], {})
    rest = step.emit("Log", [step.emit("ReduceSum", [powers], over)], {})
    result = step.emit("Add", [greatest, rest], {})
    if step.integer("keepdims", 1):
        return [result]
    kept = tuple(n for axis, n in enumerate(step.shape()) if axis not in axes)
    return [step.emit("Reshape", [result], {"shape": kept})]


def hard_max(step: Step) -> Sequence[str]:
    """Hardmax: 1 at the first greatest element along the axis; before opset 13 over all behind."""
    shape, old = step.shape(), step.opset < 13
    axis = step.axis(1 if old else -1, len(shape), limit=int(old))
    x, sizes = step.x(), shape
    if old and (axis == len(shape) or prod(shape[axis + 1 :]) != 1):
        sizes = (prod(shape[:axis]), prod(shape[axis:]))
        x, axis = step.emit("Reshape", [x], {"shape": sizes}), 1  # [before, from axis on]
    attrs = {"axis": axis, "keepdims": 1, "select_last_index": 0}
    place = step.emit("ArgMax", [x], attrs)
    column = (-1,) + (1,) * (len(sizes) - axis - 1)
    step.check_size("int64", (sizes[axis],))
    counted = step.const(np.arange(sizes[axis]).reshape(column), "places")
    hit = step.emit("Equal", [place, counted], {})
    result = step.emit("Cast", [hit], {"to": step.dtype()})
    return [result if sizes == shape else step.emit("Reshape", [result], {"shape": shape})]
