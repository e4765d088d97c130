"""Converters of arithmetic: elementwise operators, truth values, reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from bittrue.dtypes import DTYPES
from bittrue.graph.ops import OPS
from bittrue.importers.onnx_build import NotHandledError, Step
from bittrue.importers.onnx_tensor import normal_dtype

Convert = Callable[[Step], Sequence[str]]

FLOATS = ("float16", "float32", "float64")


def direct(step: Step) -> Sequence[str]:
    """The same operator in the canonical table, with the attributes that it has there."""
    attrs = {
        row.name: step.node.attrs[row.name]
        for row in OPS[step.node.op].attrs
        if row.name in step.node.attrs
    }
    inputs = [step.x(index) for index in range(len(step.node.inputs))]
    return [step.emit(step.node.op, inputs, attrs)]


def same(step: Step) -> Sequence[str]:
    """Identity: the output is the input."""
    step.shape()
    return [step.x()]


def dropout(step: Step) -> Sequence[str]:
    """Dropout at inference is the identity."""
    if step.wanted(1):
        raise NotHandledError("its mask is used, which exists in training only")
    if step.has(2) and bool(step.array(2, "training_mode").any()):
        raise NotHandledError("it is in training mode")
    return same(step)


def cast(step: Step) -> Sequence[str]:
    """Cast; between floats it is the identity, since every float is float32 here."""
    return _cast_to(step, normal_dtype(step.integer("to")))


def cast_like(step: Step) -> Sequence[str]:
    """Cast to the type of the second input."""
    return _cast_to(step, step.dtype(1))


def _cast_to(step: Step, wanted: str) -> Sequence[str]:
    if wanted not in DTYPES:
        raise NotHandledError(f"it casts to {wanted}")
    if step.dtype() == wanted:
        return [step.x()]
    return [step.emit("Cast", [step.x()], {"to": wanted})]


# --- elementwise -----------------------------------------------------------------------------


def clip(step: Step) -> Sequence[str]:
    """Clip; computed bounds make it a Max and a Min. They are attributes before opset 11."""
    if step.opset < 11:
        bounds = {name: step.node.attrs.get(name) for name in ("min", "max")}
        return [step.emit("Clip", [step.x()], bounds)]
    given = [index for index in (1, 2) if step.has(index)]
    if all(step.x(index) in step.builder.constants for index in given):
        bounds = {_BOUNDS[index]: _scalar(step, index) for index in given}
        return [step.emit("Clip", [step.x()], bounds)]
    result = step.x()
    for index in given:
        if prod(step.shape(index)) != 1:
            shape = step.shape(index)
            raise step.wrong(f"its bound {_BOUNDS[index]!r} must be one number, not {shape}")
        bound = step.emit("Reshape", [step.x(index)], {"shape": ()})
        result = step.emit("Max" if index == 1 else "Min", [result, bound], {})
    return [result]


_BOUNDS = {1: "min", 2: "max"}


def _scalar(step: Step, index: int) -> float:
    what = f"its bound {_BOUNDS[index]!r}"
    array = step.array(index, what)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise step.wrong(f"{what} must be one number, not {array.dtype} {array.shape}")
    return float(array.reshape(-1)[0])


def power(step: Step) -> Sequence[str]:
    """Pow; the exponent takes the base's type where it is constant."""
    exponent = step.x(1)
    base, array = step.dtype(), step.builder.constants.get(exponent)
    if array is not None and base in FLOATS and array.dtype.name != base:
        exponent = step.const(array.astype(base), "exponent")
    return [step.emit("Pow", [step.x(), exponent], {})]


def modulo(step: Step) -> Sequence[str]:
    """Mod: the canonical one takes the sign that ONNX means for floats and for whole numbers.

    With fmod, whole numbers take the dividend's sign: a - b * trunc(a / b).
    """
    floats, fmod = step.dtype() in FLOATS, bool(step.integer("fmod", 0))
    if floats and not fmod:
        raise step.wrong("a Mod of floats must have fmod=1")
    a, b = step.x(), step.x(1)
    if fmod == floats:
        return [step.emit("Mod", [a, b], {})]
    whole = step.emit("Mul", [step.emit("Div", [a, b], {}), b], {})
    return [step.emit("Sub", [a, whole], {})]


def swish(step: Step) -> Sequence[str]:
    """Swish: x * sigmoid(alpha * x)."""
    x, alpha = step.x(), step.number("alpha", 1.0)
    inner = x if alpha == 1.0 else step.emit("Mul", [x, number(step, alpha)], {})
    return [step.emit("Mul", [x, step.emit("Sigmoid", [inner], {})], {})]


def shrink(step: Step) -> Sequence[str]:
    """Shrink: x + bias below -lambd, x - bias above lambd, 0 between."""
    x, bias, limit = step.x(), step.number("bias", 0.0), step.number("lambd", 0.5)
    zero = number(step, 0.0)
    above = step.emit("Greater", [x, number(step, limit)], {})
    below = step.emit("Less", [x, number(step, -limit)], {})
    lowered = step.emit("Sub", [x, number(step, bias)], {})
    raised = step.emit("Add", [x, number(step, bias)], {})
    rest = step.emit("Where", [below, raised, zero], {})
    return [step.emit("Where", [above, lowered, rest], {})]


def tangent(step: Step) -> Sequence[str]:
    """Tan: sin / cos."""
    x = step.x()
    return [step.emit("Div", [step.emit("Sin", [x], {}), step.emit("Cos", [x], {})], {})]


def number(step: Step, value: float) -> str:
    """Return a constant scalar of the first input's type."""
    return step.const(np.asarray(value, step.dtype()), "number")


# --- truth values ----------------------------------------------------------------------------


def exclusive_or(step: Step) -> Sequence[str]:
    """Xor: not equal."""
    return [step.emit("Not", [step.emit("Equal", [step.x(), step.x(1)], {})], {})]


def is_nan(step: Step) -> Sequence[str]:
    """IsNaN: what is not equal to itself."""
    return [step.emit("Not", [step.emit("Equal", [step.x(), step.x()], {})], {})]


def is_inf(step: Step) -> Sequence[str]:
    """IsInf of either sign or of both."""
    low, high = step.integer("detect_negative", 1), step.integer("detect_positive", 1)
    x = step.emit("Abs", [step.x()], {}) if low and high else step.x()
    if not low and not high:
        never = step.emit("Not", [step.emit("Equal", [x, x], {})], {})
        return [step.emit("And", [never, step.emit("Equal", [x, x], {})], {})]
    return [step.emit("Equal", [x, number(step, np.inf if high else -np.inf)], {})]


def chain(op: str) -> Convert:
    """Return the converter of an operator on n tensors to a chain of pairs."""

    def convert(step: Step) -> Sequence[str]:
        step.shape()
        result = step.x()
        for index in range(1, len(step.node.inputs)):
            result = step.emit(op, [result, step.x(index)], {})
        if step.node.op == "Mean":
            count = np.asarray(len(step.node.inputs), step.value(result).dtype)
            result = step.emit("Div", [result, step.const(count, "count")], {})
        return [result]

    return convert


# --- along axes ------------------------------------------------------------------------------


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
        keep = step.integer("keepdims", 1)
        result = x
        if axes:
            over = {"axes": axes, "keepdims": int(bool(keep))}
            result = step.emit(op or step.node.op, [x], over)
        return [step.emit(after, [result], {}) if after else result]

    return convert


def reduced_axes(step: Step, axes_input_since: int) -> tuple[int, ...] | None:
    """Return the axes that a reduction runs over, in order; None where it does nothing."""
    rank = len(step.shape())
    if step.opset < axes_input_since:
        axes = step.integers("axes")
    else:
        axes = step.whole(1, "its axes") if step.has(1) else None
    if axes:
        return tuple(sorted({step.from_front(axis, rank) for axis in axes}))
    return None if step.integer("noop_with_empty_axes", 0) else tuple(range(rank))


def extremum_index(step: Step) -> Sequence[str]:
    """ArgMax and ArgMin."""
    attrs = {
        "axis": step.axis(0, len(step.shape())),
        "keepdims": int(bool(step.integer("keepdims", 1))),
        "select_last_index": int(bool(step.integer("select_last_index", 0))),
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
