"""Converters of elementwise operators: arithmetic and truth values."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from bittrue.dtypes import DTYPES
from bittrue.graph.ops import OPS
from bittrue.graph.shape_rules import FLOATS
from bittrue.importers.onnx_step import Convert, NotHandledError, Step
from bittrue.importers.onnx_tensor import normal_dtype


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
    if step.are_constant(given):
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
    base, array = step.dtype(), step.constant(exponent)
    if array is not None and base in FLOATS and array.dtype.name != base:
        exponent = step.const(array.astype(base), "exponent")
    return [step.emit("Pow", [step.x(), exponent], {})]


def modulo(step: Step) -> Sequence[str]:
    """Mod: the canonical one takes the sign that ONNX means for floats and for whole numbers.

    With fmod, whole numbers take the dividend's sign: a - b * trunc(a / b).
    """
    floats, fmod = step.dtype() in FLOATS, step.flag("fmod")
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
    inner = x if alpha == 1.0 else step.emit("Mul", [x, step.scalar(alpha)], {})
    return [step.emit("Mul", [x, step.emit("Sigmoid", [inner], {})], {})]


def shrink(step: Step) -> Sequence[str]:
    """Shrink: x + bias below -lambd, x - bias above lambd, 0 between."""
    x, bias, limit = step.x(), step.number("bias", 0.0), step.number("lambd", 0.5)
    zero = step.scalar(0.0)
    above = step.emit("Greater", [x, step.scalar(limit)], {})
    below = step.emit("Less", [x, step.scalar(-limit)], {})
    lowered = step.emit("Sub", [x, step.scalar(bias)], {})
    raised = step.emit("Add", [x, step.scalar(bias)], {})
    rest = step.emit("Where", [below, raised, zero], {})
    return [step.emit("Where", [above, lowered, rest], {})]


def tangent(step: Step) -> Sequence[str]:
    """Tan: sin / cos."""
    x = step.x()
    return [step.emit("Div", [step.emit("Sin", [x], {}), step.emit("Cos", [x], {})], {})]


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
    return [step.emit("Equal", [x, step.scalar(np.inf if high else -np.inf)], {})]


def chain(op: str) -> Convert:
    """Return the converter of an operator on n tensors to a chain of pairs."""

    def convert(step: Step) -> Sequence[str]:
        step.shape()
        result = step.x()
        for index in range(1, len(step.node.inputs)):
            result = step.emit(op, [result, step.x(index)], {})
        return [result]

    return convert


def mean(step: Step) -> Sequence[str]:
    """Mean of n tensors: their sum, divided by n."""
    (total,) = chain("Add")(step)
    count = np.asarray(len(step.node.inputs), step.value(total).dtype)
    return [step.emit("Div", [total, step.const(count, "count")], {})]
