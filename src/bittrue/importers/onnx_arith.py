"""Converters of arithmetic: elementwise operators, products, reductions, normalisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from bittrue.dtypes import DTYPES
from bittrue.graph.ops import OPS
from bittrue.importers.onnx_build import NotHandledError, Step
from bittrue.importers.onnx_source import normal_dtype

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
    """Clip with constant bounds, attributes before opset 11; computed ones are Max and Min."""
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
        result = step.emit("Max" if index == 1 else "Min", [result, step.x(index)], {})
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
    """Mod: the canonical one takes the sign that ONNX means for floats and for whole numbers."""
    floats = step.dtype() in FLOATS
    if bool(step.integer("fmod", 0)) != floats:
        raise NotHandledError("fmod of whole numbers takes the sign of the dividend")
    return [step.emit("Mod", [step.x(), step.x(1)], {})]


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


# --- products --------------------------------------------------------------------------------


def batch_norm(step: Step) -> Sequence[str]:
    """BatchNormalization with stored statistics."""
    if step.integer("training_mode", 0) or any(step.wanted(index) for index in range(1, 5)):
        raise NotHandledError("it is in training mode; export the network in eval mode")
    return direct(step)


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
            if before or after:
                raise NotHandledError("it reduces nothing (noop_with_empty_axes)")
            return [x]
        if before == "square":
            x = step.emit("Mul", [x, x], {})
        elif before:
            x = step.emit(before, [x], {})
        keep = step.integer("keepdims", 1)
        result = step.emit(op or step.node.op, [x], {"axes": axes, "keepdims": int(bool(keep))})
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


# --- normalisations, written out ---------------------------------------------------------------


def layer_norm(step: Step) -> Sequence[str]:
    """LayerNormalization: (x - mean) / sqrt(variance + epsilon) * scale + bias."""
    if step.wanted(1) or step.wanted(2):
        raise NotHandledError("its second or third output is used")
    rank = len(step.shape())
    axes = tuple(range(step.axis(-1, rank), rank))
    result = _standardised(step, step.x(), axes)
    result = step.emit("Mul", [result, step.x(1)], {})
    return [step.emit("Add", [result, step.x(2)], {}) if step.has(2) else result]


def instance_norm(step: Step) -> Sequence[str]:
    """InstanceNormalization: each channel of each sample by its own mean and variance."""
    result = _standardised(step, step.x(), tuple(range(2, len(step.shape()))))
    return [_per_channel(step, result)]


def group_norm(step: Step) -> Sequence[str]:
    """GroupNormalization with a scale a channel (opset 21)."""
    shape, groups = step.shape(), step.integer("num_groups")
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        raise step.wrong(f"{groups} groups do not divide the channels of {shape}")
    rows = step.emit(
        "Reshape", [step.x()], {"shape": (shape[0], groups, prod(shape[1:]) // groups)}
    )
    result = _standardised(step, rows, (2,))
    return [_per_channel(step, step.emit("Reshape", [result], {"shape": shape}))]


def _standardised(step: Step, x: str, axes: tuple[int, ...]) -> str:
    over = {"axes": axes, "keepdims": 1}
    centred = step.emit("Sub", [x, step.emit("ReduceMean", [x], over)], {})
    square = step.emit("Mul", [centred, centred], {})
    variance = step.emit("ReduceMean", [square], over)
    epsilon = step.const(np.asarray(step.number("epsilon", 1e-5), np.float32), "epsilon")
    deviation = step.emit("Sqrt", [step.emit("Add", [variance, epsilon], {})], {})
    return step.emit("Div", [centred, deviation], {})


def _per_channel(step: Step, x: str) -> str:
    """Return x * scale + bias along axis 1, both inputs of shape [C]."""
    column = (-1,) + (1,) * (len(step.shape()) - 2)
    sizes = [tuple(prod(step.shape(index)) if n < 0 else n for n in column) for index in (1, 2)]
    scale = step.emit("Reshape", [step.x(1)], {"shape": sizes[0]})  # [C, 1, ...]
    bias = step.emit("Reshape", [step.x(2)], {"shape": sizes[1]})
    return step.emit("Add", [step.emit("Mul", [x, scale], {}), bias], {})
