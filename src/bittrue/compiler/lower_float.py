"""Operators in float32: expressions, pairs, truth values, reductions, matrix products.

A truth value is 1 where it holds and 0 where not, here in float32; between nodes it may be stored
as such codes of scale 1, which is the same number (docs/numerics.md 7.9).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from bittrue.compiler.constants import Refusal
from bittrue.compiler.instructions import BINARY_FUNCTIONS, REDUCTIONS, UNARY_FUNCTIONS
from bittrue.compiler.lower_elementwise import aligned, as_table
from bittrue.compiler.lower_move import reshaped
from bittrue.compiler.lower_state import Lowering, Operand, channels_last, identity
from bittrue.errors import InternalError
from bittrue.graph.elementwise import unary_expr
from bittrue.graph.expression import parse
from bittrue.graph.model import Node
from bittrue.graph.shape_rules import broadcast
from bittrue.quant.target import is_plain_product

# --- steps -------------------------------------------------------------------------------------


def f32_unary(low: Lowering, name: str, x: Operand) -> Operand:
    """Emit one F32_UNARY."""
    params = {"function": UNARY_FUNCTIONS.index(name)}
    return low.emit("F32_UNARY", (x.tensor,), low.new(x.shape, x.perm, None), params)


def f32_binary(low: Lowering, name: str, a: Operand, b: Operand) -> Operand:
    """Emit one F32_BINARY on operands that broadcast.

    Raises:
        Refusal: if they do not.
    """
    shape = broadcast(a.shape, b.shape)
    if shape is None:
        raise Refusal(f"shapes {a.shape} and {b.shape} do not broadcast")
    (left, right), perm = aligned(low, [a, b], shape, None)
    params = {"function": BINARY_FUNCTIONS.index(name)}
    y = low.new(shape, perm, None)
    return low.emit("F32_BINARY", (left.tensor, right.tensor), y, params)


def f32_scalar(low: Lowering, value: float, rank: int) -> Operand:
    """Return a float32 constant that broadcasts against `rank` axes."""
    return low.constant_operand("scalar", np.full((1,) * rank, value, np.float32), None)


#: Powers of whole and half exponents up to this are products and roots: exact where x is small and
#: whole, and otherwise nearer than exp(c * log(x)).
POWER_MAX = 64


def f32_power(low: Lowering, x: Operand, exponent: float) -> Operand:
    """Return x to a constant power: products, square root and reciprocal where those reach.

    Half powers of -infinity are NaN there, and -0 of -0; by `pow` they are infinity and 0.
    """
    twice = 2 * abs(exponent)
    if not twice.is_integer() or not 1 <= twice <= 2 * POWER_MAX:
        return f32_binary(low, "pow", x, f32_scalar(low, exponent, len(x.shape)))
    result = f32_unary(low, "sqrt", x) if twice % 2 else None
    square, rest = x, int(twice) // 2
    while rest:
        if rest % 2:
            result = square if result is None else f32_binary(low, "mul", result, square)
        rest //= 2
        if rest:
            square = f32_binary(low, "mul", square, square)
    if result is None:
        raise InternalError(f"no power of {exponent}")
    return f32_unary(low, "reciprocal", result) if exponent < 0 else result


def float_clip(low: Lowering, node: Node, y: Operand) -> Operand:
    """Return a float32 operand after the node's clip: first its low bound, then its high one."""
    for name, bound in zip(("max", "min"), node.clip, strict=True):
        if np.isfinite(bound):
            y = f32_binary(low, name, y, f32_scalar(low, bound, len(y.shape)))
    return y


def as_float(low: Lowering, name: str) -> Operand:
    """Return a value, or a constant, as float32."""
    return low.convert(low.read(name), None)


def select(low: Lowering, condition: Operand, a: Operand, b: Operand) -> Operand:
    """Emit one F32_WHERE on operands that broadcast.

    Raises:
        Refusal: if they do not.
    """
    inner = broadcast(a.shape, b.shape)
    shape = None if inner is None else broadcast(condition.shape, inner)
    if shape is None:
        raise Refusal(f"shapes {condition.shape}, {a.shape} and {b.shape} do not broadcast")
    laid, perm = aligned(low, [condition, a, b], shape, None)
    return low.emit("F32_WHERE", [item.tensor for item in laid], low.new(shape, perm, None), {})


# --- elementwise ------------------------------------------------------------------------------


def lower_expression(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower an operator of one value: its expression, step by step."""
    expr = unary_expr(node)
    if expr is None:
        raise Refusal("it runs on codes only, and its input or output is stored as float32")
    return (_expression(low, expr, as_float(low, node.inputs[0])),)


def _expression(low: Lowering, expr: str, x: Operand) -> Operand:
    """Emit a postfix expression on float32, every step rounded once.

    Raises:
        Refusal: if it uses functions that the engine does not have in float32; all are named.
    """
    read = parse(expr)
    words = {call.word for call in read.calls}
    missing = sorted(words - {*BINARY_FUNCTIONS, *UNARY_FUNCTIONS})
    if missing:
        raise Refusal(f"the engine has no float32 form of {', '.join(missing)}")
    done: list[Operand] = []

    def operand_of(argument: str | float | int) -> Operand:
        if isinstance(argument, str):
            return x
        if isinstance(argument, int):
            return done[argument]
        return f32_scalar(low, argument, len(x.shape))

    for call in read.calls:
        arguments = [operand_of(argument) for argument in call.args]
        power = call.args[-1] if call.word == "pow" else None
        if isinstance(power, float):
            done.append(f32_power(low, arguments[0], power))
        elif len(arguments) == 1:
            done.append(f32_unary(low, call.word, arguments[0]))
        else:
            done.append(f32_binary(low, call.word, arguments[0], arguments[1]))
    result = operand_of(read.result)
    return result if result.shape == x.shape else _spread(low, result, x)


def _spread(low: Lowering, value: Operand, x: Operand) -> Operand:
    """Return a constant expression at x's shape."""
    target = low.new(x.shape, x.perm, None)
    axes = [(size, 0, step) for size, step in zip(x.shape, target.strides, strict=True)]
    low.copy(value, target, axes)
    return target


def lower_float_binary(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower an operator of two values, clipped as the node says; a constant power is products."""
    exponent = low.array(node.inputs[1]) if node.op == "Pow" else None
    if (
        exponent is not None
        and exponent.size == 1
        and exponent.ndim <= len(low.value(node.inputs[0]).shape)
    ):
        return (f32_power(low, as_float(low, node.inputs[0]), float(exponent.reshape(-1)[0])),)
    a, b = (as_float(low, item) for item in node.inputs)
    return (float_clip(low, node, f32_binary(low, node.op.lower(), a, b)),)


def lower_float_prelu(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower PRelu: x where x >= 0, else slope * x."""
    x, slope = (as_float(low, name) for name in node.inputs)
    below = f32_binary(low, "less", x, f32_scalar(low, 0.0, len(x.shape)))
    return (select(low, below, f32_binary(low, "mul", x, slope), x),)


def lower_float_norm(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower BatchNormalization: ``(x - mean) * factor + bias``, each step rounded.

    The factor is ``scale / sqrt(var + epsilon)``, computed by the compiler in float64.
    """
    x = as_float(low, node.inputs[0])
    scale, bias, mean, var = (low.given(node, index) for index in range(1, 5))
    if scale is None or bias is None or mean is None or var is None:
        raise Refusal("it lacks a constant")
    factor = scale.astype(np.float64) / np.sqrt(var.astype(np.float64) + node.number("epsilon"))
    shape = (1, -1, *(1,) * (len(x.shape) - 2))
    for name, array in (("sub", mean), ("mul", factor), ("add", bias)):
        each = low.constant_operand(name, array.astype(np.float32).reshape(shape), None)
        x = f32_binary(low, name, x, each)
    return (x,)


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


def lower_float_comparison(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower a comparison; And is the lesser of two truth values, Or the greater."""
    a, b = (_number(low, name) for name in node.inputs)
    return (f32_binary(low, _COMPARISONS[node.op], a, b),)


def _negated(low: Lowering, truth: Operand) -> Operand:
    return f32_binary(low, "sub", f32_scalar(low, 1.0, len(truth.shape)), truth)


def lower_float_not(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Not: 1 - x."""
    return (_negated(low, _number(low, node.inputs[0])),)


def lower_float_where(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Where."""
    condition, a, b = (_number(low, name) for name in node.inputs)
    return (select(low, condition, a, b),)


def lower_cast(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Cast between float32, bool and uint8: to bool a table or comparison, else nothing."""
    source, to = low.value(node.inputs[0]).dtype, node.text("to")
    if source == "bool" and to in ("float32", "bool"):
        return (low.read(node.inputs[0]),)
    made = as_table(low, node) if to == "bool" else None
    if made is not None:
        return made
    if (source, to) == ("float32", "bool"):
        x = as_float(low, node.inputs[0])
        zero = f32_binary(low, "equal", x, f32_scalar(low, 0.0, len(x.shape)))
        return (_negated(low, zero),)
    operand = low.read(node.inputs[0])
    if to != "float32" or source not in ("uint8", "bool", "float32"):
        raise Refusal(f"{source} to {to} is not handled, only uint8 or bool to float32, or to bool")
    return (operand,)


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
    """Lower a reduction."""
    made = f32_reduce(low, _REDUCED[node.op], as_float(low, node.inputs[0]), node.ints("axes"))
    return (reshaped(low, made, low.value(node.outputs[0]).shape),)


def lower_softmax(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Softmax in float32 over an axis that is made to lie last."""
    x = as_float(low, node.inputs[0])
    perm = channels_last(len(x.shape), node.integer("axis"), x.perm)
    lying = low.laid_out(x, perm)
    return (low.emit("F32_SOFTMAX", (lying.tensor,), low.new(x.shape, perm, None), {}),)


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
        _turned(low, as_float(low, name), node.flag(flag))
        for name, flag in zip(node.inputs, ("transA", "transB"), strict=False)
    )
    y = _scaled(low, f32_matmul(low, a, b), node.number("alpha"))
    if node.input(2):
        added = _scaled(low, as_float(low, node.input(2)), node.number("beta"))
        y = f32_binary(low, "add", y, added)
    return (y,)


def _turned(low: Lowering, x: Operand, turn: bool) -> Operand:
    """Return a matrix, transposed where asked: a view with its axes named the other way."""
    if not turn:
        return x
    return low.view(x, x.shape[::-1], tuple(1 - axis for axis in x.perm))


def _scaled(low: Lowering, x: Operand, factor: float) -> Operand:
    return x if factor == 1 else f32_binary(low, "mul", x, f32_scalar(low, factor, len(x.shape)))


def lower_float_dense(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Dense as a product of float32."""
    x, w = as_float(low, node.inputs[0]), _weights(low, node)
    if len(x.shape) == 1:
        raise Refusal("its input has one axis")
    return (_with_bias(low, node, f32_matmul(low, x, _matrix(low, w.T)), -1),)


def lower_float_conv(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Conv, if it is 1x1, as a product of float32."""
    x, w = as_float(low, node.inputs[0]), _weights(low, node)
    rank, shape = len(x.shape), x.shape
    lying = low.laid_out(x, (0, *range(2, rank), 1))
    rows = low.raw_view(lying, (prod(shape) // shape[1], shape[1]))
    y = f32_matmul(low, rows, _matrix(low, w.reshape(w.shape[:2]).T))
    seen = low.view(y, (shape[0], w.shape[0], *shape[2:]), lying.perm)
    return (_with_bias(low, node, seen, 1),)


def _weights(low: Lowering, node: Node) -> np.ndarray:
    array = low.given(node, 1)
    if array is None or not is_plain_product(low.graph, node):
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
