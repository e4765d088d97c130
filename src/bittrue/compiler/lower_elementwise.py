"""Elementwise operators on codes: tables, and pairs of values."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from bittrue import arith
from bittrue.arith import F32, F64, QParams
from bittrue.compiler.constants import Refusal, check_multipliers, clip_codes
from bittrue.compiler.lower_state import Lowering, Operand, Perm, channels_last
from bittrue.graph.model import Node, Shape
from bittrue.graph.reference import run_node
from bittrue.graph.shape_rules import broadcast
from bittrue.quant.params import params_of_constant, params_of_identity

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


# --- tables ----------------------------------------------------------------------------------


def computed_inputs(low: Lowering, node: Node) -> list[str]:
    """Return the inputs of a node that are no constants, each once."""
    return [name for name in dict.fromkeys(node.inputs) if name and low.array(name) is None]


def reads_codes(low: Lowering, node: Node) -> bool:
    """Return whether all computed inputs of a node are stored as codes."""
    return all(low.placed[name].qparams is not None for name in computed_inputs(low, node))


def all_codes(low: Lowering, node: Node) -> bool:
    """Return whether a node's result and all its computed inputs are stored as codes."""
    return low.expected(node.outputs[0]) is not None and reads_codes(low, node)


def as_table(low: Lowering, node: Node) -> tuple[Operand, ...] | None:
    """Return a node as one TABLE; None where its values or constants make none."""
    axis = _table_axis(low, node) if all_codes(low, node) else None
    return None if axis is None else _through_table(low, node, axis)


def _table_axis(low: Lowering, node: Node) -> int | None:
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


def _table_of(low: Lowering, node: Node, x: Operand, axis: int) -> np.ndarray:
    """Return the node as a table on codes, uint8 [1 or C, 256].

    The float reference runs in float64 on the 256 real values that the codes stand for; its
    result is rounded to float32 and quantised as every value is.

    Args:
        low: The program.
        node: Elementwise in its one computed input.
        x: That input, codes.
        axis: From `_table_axis`.
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


def _through_table(low: Lowering, node: Node, axis: int) -> tuple[Operand, ...]:
    x = low.placed[computed_inputs(low, node)[0]]
    out = low.expected(node.outputs[0])
    if out is None:
        raise Refusal("its output is not stored as codes")
    table = _table_of(low, node, x, axis)
    if (table == table[0]).all() and not out.per_channel:
        table = table[:1]
    return (low.table(x, table, max(axis, 0), out),)


# --- the operators of two values -------------------------------------------------------------

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
        Refusal: if it is stored as float32, or a constant is not finite.
    """
    array = low.array(name)
    if array is not None and array.dtype == np.bool_:
        truth = params_of_identity()
        return low.constant_operand("constant", array.astype(np.uint8), truth), truth
    if array is not None and not np.isfinite(array).all():
        raise Refusal("a constant holds a value that is not finite")
    operand = low.read(name, None if array is None else params_of_constant(array))
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
) -> tuple[Operand, ...]:
    ((a, qa), (b, qb)), out = _pair(low, node)
    multiplier = mult(_scale(qa), _scale(qb), _scale(out))
    check_multipliers(multiplier, most)
    lo, hi = clip_codes(node, out)
    params = {"zero_point": out.zero_point, "lo": int(lo.min()), "hi": int(hi.max())}
    y = pair_on_codes(low, kind, ((a, qa), (b, qb)), multiplier, out, params)
    return (clamped(low, node, y, out),)


def lower_sum(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Add or Sub as ADD."""
    sign = -1.0 if node.op == "Sub" else 1.0

    def mult(a: F64, b: F64, out: F64) -> F32:
        pair = np.broadcast_arrays(a / out, sign * b / out)
        return np.stack(pair).astype(np.float32)  # [2, K]

    return _on_codes(low, node, "ADD", mult, 2.0 * arith.CODE_MAX)


def lower_product(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Mul as MUL."""

    def mult(a: F64, b: F64, out: F64) -> F32:
        return arith.multiplier(a * b, out)  # [K]

    return _on_codes(low, node, "MUL", mult, float(arith.CODE_MAX**2))


def lower_quotient(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Div as DIV."""

    def mult(a: F64, b: F64, out: F64) -> F32:
        return arith.multiplier(a / b, out)  # [K]

    return _on_codes(low, node, "DIV", mult, float(arith.CODE_MAX))


def lower_extreme(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Min or Max; And is the lesser of two truth values, Or the greater."""

    def mult(a: F64, b: F64, out: F64) -> F32:
        return np.stack(np.broadcast_arrays(a / out, b / out)).astype(np.float32)  # [2, K]

    kind = {"Min": "MIN", "And": "MIN", "Max": "MAX", "Or": "MAX"}[node.op]
    return _on_codes(low, node, kind, mult, float(arith.CODE_MAX))
