"""Products of two activations."""

from __future__ import annotations

import numpy as np

from bittrue import arith
from bittrue.arith import CODE_MAX, MATMUL_DEPTH_MAX, QParams
from bittrue.compiler.constants import Refusal, check_multipliers
from bittrue.compiler.lower_elementwise import code_operand
from bittrue.compiler.lower_move import reshaped
from bittrue.compiler.lower_state import Lowering, Operand, identity
from bittrue.graph.model import Node


def lower_matmul(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower MatMul: [.., M, K] and [.., N, K], both lying along the axis that is summed."""
    (a, qa), (b, qb) = (_factor(low, name) for name in node.inputs)
    out, shape = low.expected(node.outputs[0]), low.value(node.outputs[0]).shape
    if out is not None and out.per_channel:
        raise Refusal("its output has one scale a channel")
    # A vector on the left is a row, one on the right a column.
    left = reshaped(low, a, (1, *a.shape)) if len(a.shape) == 1 else a
    right = reshaped(low, b, (*b.shape, 1)) if len(b.shape) == 1 else b
    rank = max(len(left.shape), len(right.shape))
    order = identity(rank)
    left = low.laid_out(low.padded(left, rank), order)
    right = low.laid_out(low.padded(right, rank), (*order[:-2], order[-1], order[-2]))
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    y = low.raw((*lead, left.shape[-2], right.shape[-1]), out)
    multiplier = _multiplier(left.shape[-1], qa, qb, out)
    inputs = (left.tensor, right.tensor, low.constant("multiplier", multiplier))
    params = {"zero_a": qa.zero_point, "zero_b": qb.zero_point, "zero_point": 0, "lo": 0, "hi": 0}
    if out is not None:
        params |= {"zero_point": out.zero_point, "hi": CODE_MAX}
    return (reshaped(low, low.emit("MATMUL", inputs, y, params), shape),)


def _factor(low: Lowering, name: str) -> tuple[Operand, QParams]:
    operand, held = code_operand(low, name)
    if held.per_channel:
        raise Refusal(f"its input '{name}' has one scale a channel")
    return operand, held


def _multiplier(depth: int, a: QParams, b: QParams, out: QParams | None) -> arith.F32:
    """Return the multiplier of sums of `depth` products, float32 [1], checked.

    Raises:
        Refusal: if a sum could leave int32, or the scales do not fit together.
    """
    if depth > MATMUL_DEPTH_MAX:
        raise Refusal(f"{depth} products a sum, at most {MATMUL_DEPTH_MAX} are summed")
    product = a.scale.astype(np.float64) * b.scale.astype(np.float64)
    scale = np.ones(1) if out is None else out.scale.astype(np.float64)
    multiplier = arith.multiplier(product, scale)
    # A sum that stays float32 may be as large as it likes.
    check_multipliers(multiplier, 0.0 if out is None else float(depth) * CODE_MAX**2)
    return multiplier
