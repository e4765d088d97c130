"""Operators in float32 only: truth values, reductions, logarithms of softmax, matrix products.

A truth value is 1 where it holds and 0 where not, here in float32; between nodes it may be stored
as such codes of scale 1, which is the same number (docs/numerics.md 7.9).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from bittrue.compiler.constants import Refusal
from bittrue.compiler.instructions import REDUCTIONS
from bittrue.compiler.lower_conv import lower_conv, lower_dense
from bittrue.compiler.lower_elementwise import (
    all_codes,
    as_float,
    f32_binary,
    f32_scalar,
    f32_unary,
    float_clip,
    lower_cast,
    select,
    table_axis,
)
from bittrue.compiler.lower_move import reshaped
from bittrue.compiler.lower_pool import lower_reduction
from bittrue.compiler.lower_state import Lowering, Operand, identity
from bittrue.graph.model import Node
from bittrue.graph.shapes import broadcast
from bittrue.quant.target import is_float_product

# --- truth values ------------------------------------------------------------------------------


def _number(low: Lowering, name: str) -> Operand:
    """Return a float32 value, or a truth value, as float32.

    Raises:
        Refusal: if it is of another type.
    """
    dtype, array = low.value(name).dtype, low.array(name)
    if array is not None and dtype == "bool":
        return low.constant_operand("constant", array.astype(np.float32), None)
    if dtype not in ("bool", "float32"):
        raise Refusal(f"its input '{name}' is {dtype}; comparisons take float32 and bool")
    return as_float(low, name)


_COMPARISONS = {
    "Equal": "equal",
    "Less": "less",
    "LessOrEqual": "less_or_equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_or_equal",
    "And": "min",
    "Or": "max",
}


def lower_comparison(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower a comparison; And is the lesser of two truth values, Or the greater."""
    a, b = (_number(low, name) for name in node.inputs)
    return (f32_binary(low, _COMPARISONS[node.op], a, b),)


def _negated(low: Lowering, truth: Operand) -> Operand:
    return f32_binary(low, "sub", f32_scalar(low, 1.0, len(truth.shape)), truth)


def lower_not(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Not: 1 - x."""
    return (_negated(low, _number(low, node.inputs[0])),)


def lower_where(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Where."""
    condition, a, b = (_number(low, name) for name in node.inputs)
    return (select(low, condition, a, b),)


def lower_any_cast(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Cast between float32 and bool, and the casts that move nothing."""
    source, to = low.value(node.inputs[0]).dtype, node.text("to")
    if source == "bool" and to in ("float32", "bool"):
        return (low.read(node.inputs[0]),)
    if source == "float32" and to == "bool":
        if all_codes(low, node) and table_axis(low, node) is not None:
            return lower_cast(low, node)
        x = as_float(low, node.inputs[0])
        zero = f32_binary(low, "equal", x, f32_scalar(low, 0.0, len(x.shape)))
        return (_negated(low, zero),)
    return lower_cast(low, node)


# --- along axes --------------------------------------------------------------------------------

_REDUCED = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceL2": "l2",
}


def f32_reduce(low: Lowering, name: str, x: Operand, axes: Sequence[int]) -> Operand:
    """Emit one F32_REDUCE; the axes stay, with length 1.

    Args:
        low: The program.
        name: A name of REDUCTIONS.
        x: float32.
        axes: They are made to lie last, in their order.
    """
    perm = (*(axis for axis in x.perm if axis not in axes), *axes)
    lying = low.laid_out(x, perm)
    others = lying.physical[: len(perm) - len(axes)]
    rows = low.raw_view(lying, (*others, prod(lying.physical[len(others) :])))
    y = low.raw((*others, 1), None)
    low.emit("F32_REDUCE", (rows.tensor,), y, {"function": REDUCTIONS.index(name)})
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    return low.view(y, kept, perm)


def lower_float_reduction(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower a reduction in float32; a mean of codes into codes is an AVG_POOL."""
    held = None if low.array(node.inputs[0]) is not None else low.placed[node.inputs[0]].qparams
    if node.op == "ReduceMean" and held is not None and low.expected(node.outputs[0]) is not None:
        return lower_reduction(low, node)
    made = f32_reduce(low, _REDUCED[node.op], as_float(low, node.inputs[0]), node.ints("axes"))
    return (reshaped(low, made, low.value(node.outputs[0]).shape),)


def lower_log_softmax(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower LogSoftmax: ``d = x - max; d - log(sum of exp(d))``, each step rounded."""
    x, axis = as_float(low, node.inputs[0]), node.integer("axis")
    shifted = f32_binary(low, "sub", x, f32_reduce(low, "max", x, [axis]))
    total = f32_reduce(low, "sum", f32_unary(low, "exp", shifted), [axis])
    return (f32_binary(low, "sub", shifted, f32_unary(low, "log", total)),)


# --- products ----------------------------------------------------------------------------------


def f32_matmul(low: Lowering, a: Operand, b: Operand) -> Operand:
    """Emit one F32_MATMUL.

    Args:
        low: The program.
        a: float32 [..., M, K], at least two axes.
        b: float32 [..., K, N], at least two axes; the leading axes broadcast.

    Raises:
        Refusal: if they do not.
    """
    lead = broadcast(a.shape[:-2], b.shape[:-2])
    if lead is None or a.shape[-1] != b.shape[-2]:
        raise Refusal(f"shapes {a.shape} and {b.shape} do not multiply")
    rank = len(lead) + 2
    rows = [low.laid_out(low.padded(item, rank), identity(rank)) for item in (a, b)]
    y = low.raw((*lead, a.shape[-2], b.shape[-1]), None)
    return low.emit("F32_MATMUL", [item.tensor for item in rows], y, {})


def lower_float_matmul(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower MatMul of two float32 values; one with a single axis is a row, or a column."""
    a, b = (as_float(low, name) for name in node.inputs)
    if len(a.shape) == 1:
        a = low.raw_view(a, (1, *a.shape))
    if len(b.shape) == 1:
        b = low.raw_view(b, (*b.shape, 1))
    return (reshaped(low, f32_matmul(low, a, b), low.value(node.outputs[0]).shape),)


def lower_gemm(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Gemm in float32: ``alpha * (a b)``, then ``+ beta * c``; a factor of 1 is left out."""
    a, b = (
        _turned(low, as_float(low, name), bool(node.integer(flag)))
        for name, flag in zip(node.inputs, ("transA", "transB"), strict=False)
    )
    y = _scaled(low, f32_matmul(low, a, b), node.number("alpha"))
    if len(node.inputs) > 2 and node.inputs[2]:
        y = f32_binary(
            low, "add", y, _scaled(low, as_float(low, node.inputs[2]), node.number("beta"))
        )
    return (y,)


def _turned(low: Lowering, x: Operand, turn: bool) -> Operand:
    """Return a matrix, transposed where asked: a view with its axes named the other way."""
    if not turn:
        return x
    return low.view(x, x.shape[::-1], tuple(1 - axis for axis in x.perm))


def _scaled(low: Lowering, x: Operand, factor: float) -> Operand:
    return x if factor == 1 else f32_binary(low, "mul", x, f32_scalar(low, factor, len(x.shape)))


def lower_any_dense(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Dense: on codes, or as a product of float32 where its weights have no codes."""
    if node.name in low.quantized.weights:
        return lower_dense(low, node)
    x, w = as_float(low, node.inputs[0]), _weights(low, node)
    if len(x.shape) == 1:
        raise Refusal("its input has one axis")
    return (_with_bias(low, node, f32_matmul(low, x, _matrix(low, w.T)), -1),)


def lower_any_conv(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Conv: on codes, or, if it is 1x1, as a product of float32."""
    if node.name in low.quantized.weights or low.array(node.inputs[1]) is None:
        return lower_conv(low, node)
    x, w = as_float(low, node.inputs[0]), _weights(low, node)
    rank, shape = len(x.shape), x.shape
    lying = low.laid_out(x, (0, *range(2, rank), 1))
    rows = low.raw_view(lying, (prod(shape) // shape[1], shape[1]))
    y = f32_matmul(low, rows, _matrix(low, w.reshape(w.shape[:2]).T))
    seen = low.view(y, (shape[0], w.shape[0], *shape[2:]), lying.perm)
    return (_with_bias(low, node, seen, 1),)


def _weights(low: Lowering, node: Node) -> np.ndarray:
    array = low.given(node, 1)
    if array is None or not is_float_product(low.graph, node):
        raise Refusal("its input is stored as float32, and only 1x1 kernels are multiplied so")
    return array


def _matrix(low: Lowering, array: np.ndarray) -> Operand:
    return low.constant_operand("weight", np.ascontiguousarray(array, np.float32), None)


def _with_bias(low: Lowering, node: Node, y: Operand, axis: int) -> Operand:
    """Return y + bias along an axis, clipped as the node says."""
    bias = low.given(node, 2)
    if bias is not None:
        shape = [1] * len(y.shape)
        shape[axis] = bias.size
        wide = low.constant_operand("bias", bias.astype(np.float32).reshape(shape), None)
        y = f32_binary(low, "add", y, wide)
    return float_clip(low, node, y)
