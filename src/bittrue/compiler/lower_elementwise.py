"""Elementwise operators: tables and pairs of codes, and the same on float32."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from bittrue import arith
from bittrue.arith import F32, F64, QParams
from bittrue.compiler.constants import (
    Refusal,
    check_multipliers,
    clip_codes,
    min_max_qparams,
)
from bittrue.compiler.instructions import BINARY_FUNCTIONS, UNARY_FUNCTIONS
from bittrue.compiler.lower_state import Lowering, Operand, Perm, channels_last
from bittrue.errors import InternalError
from bittrue.graph.model import Node, Shape
from bittrue.graph.pointwise import parse, unary_expr
from bittrue.graph.reference import run_node
from bittrue.graph.shapes import broadcast

# --- shared ----------------------------------------------------------------------------------


def clamped(low: Lowering, node: Node, y: Operand, out: QParams) -> Operand:
    """Return codes clipped channel by channel, where one pair of codes cannot say a node's clip."""
    lo, hi = clip_codes(node, out)
    if (lo == lo[0]).all() and (hi == hi[0]).all():
        return y
    codes = np.arange(arith.CODES, dtype=np.uint8)[None, :]
    return low.table(y, np.clip(codes, lo[:, None], hi[:, None]), out.axis, out)


def aligned(
    low: Lowering, operands: list[Operand], shape: Shape, last: int | None
) -> tuple[list[Operand], Perm]:
    """Return operands with equal rank and one order of axes, the order that most bytes have.

    Args:
        low: The program.
        operands: They broadcast to `shape`.
        shape: Of the result.
        last: An axis that must lie last, or None.
    """
    full = [low.padded(item, len(shape)) for item in operands]
    perm = max(full, key=lambda item: (prod(item.shape), not low.is_constant(item))).perm
    if last is not None and shape[last] > 1:
        perm = channels_last(len(shape), last, perm)
    return [low.laid_out(item, perm) for item in full], perm


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


# --- tables ----------------------------------------------------------------------------------


def computed_inputs(low: Lowering, node: Node) -> list[str]:
    """Return the inputs of a node that are no constants, each once."""
    return [name for name in dict.fromkeys(node.inputs) if name and low.array(name) is None]


def all_codes(low: Lowering, node: Node) -> bool:
    """Return whether a node's result and all its computed inputs are stored as codes."""
    inputs = [low.placed[name].qparams for name in computed_inputs(low, node)]
    return low.expected(node.outputs[0]) is not None and None not in inputs


def table_axis(low: Lowering, node: Node) -> int | None:
    """Return the axis that a table of the node's one computed input runs along; -1 for no axis.

    None if no table can do it: more than one computed input, a constant that varies along several
    axes or widens the value, or scales along another axis than the constants.
    """
    inputs = computed_inputs(low, node)
    if len(inputs) != 1:
        return None
    x, out = low.placed[inputs[0]], low.expected(node.outputs[0])
    shape, rank = x.shape, len(x.shape)
    axes = {item.axis for item in (x.qparams, out) if item is not None and item.per_channel}
    for name in node.inputs:
        array = low.array(name) if name else None
        if array is None:
            continue
        wide = (1,) * (rank - array.ndim) + array.shape
        if node.op == "BatchNormalization":
            wide = (1, array.size, *(1,) * (rank - 2))
        if broadcast(shape, wide) != shape or array.dtype not in (np.float32, np.bool_):
            return None
        axes |= {axis for axis, dim in enumerate(wide) if dim > 1}
    if len(axes) > 1 or (axes == {0} and rank > 1):
        return None
    return axes.pop() if axes else -1


def table_of(low: Lowering, node: Node, x: Operand, axis: int) -> np.ndarray:
    """Return the node as a table on codes, uint8 [1 or C, 256].

    The float reference runs in float64 on the 256 real values that the codes stand for; its
    result is rounded to float32 and quantised as every value is.

    Args:
        low: The program.
        node: Elementwise in its one computed input.
        x: That input, codes.
        axis: From `table_axis`.
    """
    held, out = x.qparams, low.expected(node.outputs[0])
    if held is None or out is None:
        raise Refusal("its input or output is not stored as codes")
    rank, count = len(x.shape), 1 if axis < 0 else x.shape[axis]
    codes = np.arange(arith.CODES, dtype=np.uint8)[:, None]
    real = arith.dequantize(codes, held.scale[None, :], held.zero_point)  # [256, 1 or C]
    wide = np.broadcast_to(real, (arith.CODES, count)).astype(np.float64)
    # The codes take the place of the batch axis, the channels that of their own axis.
    shape = [arith.CODES] + [1] * (rank - 1)
    if axis > 0:
        shape[axis] = count
    arrays = [_table_argument(low, name, wide.reshape(shape if rank > 1 else (arith.CODES, count)))
              for name in node.inputs]  # fmt: skip
    with np.errstate(all="ignore"):
        (result,) = run_node(node, arrays)
        if result.size != arith.CODES * count:
            raise Refusal(f"as a table it gives {result.shape} for {wide.shape}")
        values = result.reshape(arith.CODES, count).astype(np.float32)
    return np.ascontiguousarray(arith.quantize(values, out.scale[None, :], out.zero_point).T)


def _table_argument(low: Lowering, name: str, x: F64) -> np.ndarray | None:
    array = low.array(name) if name else None
    if array is not None:
        return array.astype(np.float64)
    return x if name else None


def through_table(low: Lowering, node: Node, axis: int) -> tuple[Operand, ...]:
    """Lower a node as one TABLE."""
    x = low.placed[computed_inputs(low, node)[0]]
    out = low.expected(node.outputs[0])
    if out is None:
        raise Refusal("its output is not stored as codes")
    table = table_of(low, node, x, axis)
    if (table == table[0]).all() and not out.per_channel:
        table = table[:1]
    return (low.table(x, table, max(axis, 0), out),)


# --- the operators of one value --------------------------------------------------------------


def lower_unary(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower an operator of one number: a TABLE on codes, its expression step by step on floats."""
    axis = table_axis(low, node)
    if all_codes(low, node) and axis is not None:
        return through_table(low, node, axis)
    expr = unary_expr(node.op, node.attrs)
    if expr is None:
        raise Refusal("it runs on codes only, and its input or output is stored as float32")
    return (float_expression(low, expr, as_float(low, node.inputs[0])),)


def float_expression(low: Lowering, expr: str, x: Operand) -> Operand:
    """Emit a postfix expression on float32, every step rounded once.

    Raises:
        Refusal: if it uses functions that the engine does not have in float32; all are named.
    """
    program = parse(expr)
    words = {step.word for step in program.steps}
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

    for step in program.steps:
        arguments = [operand_of(argument) for argument in step.args]
        power = step.args[-1] if step.word == "pow" else None
        if isinstance(power, float):
            done.append(f32_power(low, arguments[0], power))
        elif len(arguments) == 1:
            done.append(f32_unary(low, step.word, arguments[0]))
        else:
            done.append(f32_binary(low, step.word, arguments[0], arguments[1]))
    result = operand_of(program.result)
    return result if result.shape == x.shape else _spread(low, result, x)


def _spread(low: Lowering, value: Operand, x: Operand) -> Operand:
    """Return a constant expression at x's shape."""
    target = low.new(x.shape, x.perm, None)
    axes = [(size, 0, step) for size, step in zip(x.shape, target.strides, strict=True)]
    low.copy(value, target, axes)
    return target


def lower_batch_norm(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower BatchNormalization or PRelu with constants as TABLEs, else in float."""
    axis = table_axis(low, node)
    if all_codes(low, node) and axis is not None:
        return through_table(low, node, axis)
    return (_float_prelu(low, node) if node.op == "PRelu" else _float_norm(low, node),)


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


def _float_prelu(low: Lowering, node: Node) -> Operand:
    """Return x where x >= 0, else slope * x, in float32."""
    x, slope = (as_float(low, name) for name in node.inputs)
    below = f32_binary(low, "less", x, f32_scalar(low, 0.0, len(x.shape)))
    return select(low, below, f32_binary(low, "mul", x, slope), x)


def _float_norm(low: Lowering, node: Node) -> Operand:
    """Return BatchNormalization in float32: ``(x - mean) * factor + bias``, each step rounded.

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
    return x


# --- the operators of two values -------------------------------------------------------------


def lower_binary(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower operators of two values: a TABLE, an instruction on codes, or F32_BINARY."""
    axis = table_axis(low, node)
    if all_codes(low, node) and axis is not None:
        return through_table(low, node, axis)
    if all_codes(low, node) and node.op in _INTEGER:
        return (_INTEGER[node.op](low, node),)
    exponent = low.array(node.inputs[1]) if node.op == "Pow" else None
    if (
        exponent is not None
        and exponent.size == 1
        and exponent.ndim <= len(low.value(node.inputs[0]).shape)
    ):
        return (f32_power(low, as_float(low, node.inputs[0]), float(exponent.reshape(-1)[0])),)
    a, b = (as_float(low, item) for item in node.inputs)
    return (float_clip(low, node, f32_binary(low, node.op.lower(), a, b)),)


#: An operand and what its codes stand for.
Coded = tuple[Operand, QParams]


def _pair(low: Lowering, node: Node) -> tuple[list[Coded], QParams]:
    """Return both operands as codes, a constant in codes of its own range, and the result's."""
    found = [code_operand(low, name) for name in node.inputs]
    out = low.expected(node.outputs[0])
    if out is None:
        raise Refusal("its output is not stored as codes")
    return found, out


def code_operand(low: Lowering, name: str) -> Coded:
    """Return a value as codes; a constant in codes of its own range, truth values as 0 and 1.

    Raises:
        Refusal: if it is stored as float32.
    """
    array = low.array(name)
    if array is not None and array.dtype == np.bool_:
        truth = QParams(np.ones(1, np.float32), 0)
        return low.constant_operand("constant", array.astype(np.uint8), truth), truth
    operand = low.read(name, None if array is None else min_max_qparams(array))
    if operand.qparams is None:
        raise Refusal(f"its input '{name}' is not stored as codes")
    return operand, operand.qparams


def pair_on_codes(
    low: Lowering,
    kind: str,
    pair: tuple[Coded, Coded],
    multiplier: F32,
    out: QParams,
    params: dict[str, int],
) -> Operand:
    """Emit an instruction on two operands that broadcast.

    Args:
        low: The program.
        kind: ADD, MUL, DIV, MIN, MAX or COMPARE.
        pair: Both operands and what their codes stand for.
        multiplier: As the instruction takes it.
        out: What the result's codes stand for.
        params: The instruction's, but for the zero points of the operands.

    Raises:
        Refusal: if the operands do not broadcast, or have scales along different axes.
    """
    (a, qa), (b, qb) = pair
    shape = broadcast(a.shape, b.shape)
    if shape is None:
        raise Refusal(f"shapes {a.shape} and {b.shape} do not broadcast")
    (left, right), perm = aligned(low, [a, b], shape, _last_axis([qa, qb, out]))
    zeros = {"zero_a": qa.zero_point, "zero_b": qb.zero_point}
    constant = low.constant("multiplier", multiplier)
    y = low.new(shape, perm, out)
    return low.emit(kind, (left.tensor, right.tensor, constant), y, zeros | params)


def code_product(low: Lowering, a: Coded, b: Coded, out: QParams) -> Operand:
    """Emit the MUL of two operands into codes of one scale, without a clip."""
    multiplier = arith.multiplier(_scale(a[1]) * _scale(b[1]), _scale(out))
    check_multipliers(multiplier, float(arith.CODE_MAX**2))
    return pair_on_codes(low, "MUL", (a, b), multiplier, out, _whole_range(out))


def code_sum(low: Lowering, a: Coded, b: Coded, out: QParams) -> Operand:
    """Emit the ADD of two operands into codes of one scale, without a clip."""
    multiplier = arith.multiplier(np.stack([_scale(a[1]), _scale(b[1])]), _scale(out))
    check_multipliers(multiplier, 2.0 * arith.CODE_MAX)
    return pair_on_codes(low, "ADD", (a, b), multiplier, out, _whole_range(out))


def _whole_range(out: QParams) -> dict[str, int]:
    return {"zero_point": out.zero_point, "lo": 0, "hi": arith.CODE_MAX}


def _last_axis(items: list[QParams]) -> int | None:
    axes = {item.axis for item in items if item.per_channel}
    if len(axes) > 1:
        raise Refusal("its inputs and output have scales along different axes")
    return axes.pop() if axes else None


def _scale(item: QParams) -> F64:
    return item.scale.astype(np.float64)


def _on_codes(
    low: Lowering, node: Node, kind: str, mult: Callable[[F64, F64, F64], F32], most: float
) -> Operand:
    ((a, qa), (b, qb)), out = _pair(low, node)
    multiplier = mult(_scale(qa), _scale(qb), _scale(out))
    check_multipliers(multiplier, most)
    lo, hi = clip_codes(node, out)
    params = {"zero_point": out.zero_point, "lo": int(lo.min()), "hi": int(hi.max())}
    y = pair_on_codes(low, kind, ((a, qa), (b, qb)), multiplier, out, params)
    return clamped(low, node, y, out)


def _add(low: Lowering, node: Node) -> Operand:
    sign = -1.0 if node.op == "Sub" else 1.0

    def mult(a: F64, b: F64, out: F64) -> F32:
        pair = np.broadcast_arrays(a / out, sign * b / out)
        return np.stack(pair).astype(np.float32)  # [2, K]

    return _on_codes(low, node, "ADD", mult, 2.0 * arith.CODE_MAX)


def _mul(low: Lowering, node: Node) -> Operand:
    def mult(a: F64, b: F64, out: F64) -> F32:
        return arith.multiplier(a * b, out)  # [K]

    return _on_codes(low, node, "MUL", mult, float(arith.CODE_MAX**2))


def _div(low: Lowering, node: Node) -> Operand:
    def mult(a: F64, b: F64, out: F64) -> F32:
        return arith.multiplier(a / b, out)  # [K]

    return _on_codes(low, node, "DIV", mult, float(arith.CODE_MAX))


def _extreme(low: Lowering, node: Node) -> Operand:
    def mult(a: F64, b: F64, out: F64) -> F32:
        return np.stack(np.broadcast_arrays(a / out, b / out)).astype(np.float32)  # [2, K]

    kind = {"Min": "MIN", "And": "MIN", "Max": "MAX", "Or": "MAX"}[node.op]
    return _on_codes(low, node, kind, mult, float(arith.CODE_MAX))


#: And is the lesser of two truth values, Or the greater.
_INTEGER = {"Add": _add, "Sub": _add, "Mul": _mul, "Div": _div} | dict.fromkeys(
    ("Min", "Max", "And", "Or"), _extreme
)


def lower_softmax(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Softmax in float32 over an axis that is made to lie last."""
    x = as_float(low, node.inputs[0])
    perm = channels_last(len(x.shape), node.integer("axis"), x.perm)
    lying = low.laid_out(x, perm)
    return (low.emit("F32_SOFTMAX", (lying.tensor,), low.new(x.shape, perm, None), {}),)


def lower_cast(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Cast: from uint8 or bool but another name for the same values, to bool a table."""
    axis = table_axis(low, node)
    if node.text("to") == "bool" and all_codes(low, node) and axis is not None:
        return through_table(low, node, axis)
    operand = low.read(node.inputs[0])
    to = node.text("to")
    held = low.value(node.inputs[0]).dtype
    if to != "float32" or held not in ("uint8", "bool", "float32"):
        raise Refusal(f"{held} to {to} is not handled, only uint8 or bool to float32, or to bool")
    return (operand,)
