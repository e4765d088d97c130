"""Truth values, which are codes 0 and 1: comparisons, choices, and slopes for each element."""

from __future__ import annotations

import numpy as np

from bittrue import arith
from bittrue.arith import CODES, QParams
from bittrue.compiler.constants import Refusal
from bittrue.compiler.instructions import COMPARE_FUNCTIONS
from bittrue.compiler.lower_elementwise import (
    code_operand,
    code_product,
    code_sum,
    pair_on_codes,
)
from bittrue.compiler.lower_state import Lowering, Operand
from bittrue.graph.model import Node

#: Function of COMPARE, and whether its operands change places.
_COMPARISONS = {
    "Equal": ("equal", False),
    "Less": ("less", False),
    "LessOrEqual": ("less_or_equal", False),
    "Greater": ("less", True),
    "GreaterOrEqual": ("less_or_equal", True),
}


def lower_compare(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower a comparison as COMPARE."""
    function, swapped = _COMPARISONS[node.op]
    names = node.inputs[::-1] if swapped else node.inputs
    (a, qa), (b, qb) = (code_operand(low, name) for name in names)
    # The scales as they are: the values compared are those of dequantisation.
    scales = np.broadcast_arrays(qa.scale, qb.scale)
    params = {"function": COMPARE_FUNCTIONS.index(function)}
    pairs = ((a, qa), (b, qb))
    return (pair_on_codes(low, "COMPARE", pairs, np.stack(scales), _truth(low, node), params),)


def lower_where(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Where as ``c*a + (not c)*b`` in the codes of the result: one term is always zero."""
    out = low.expected(node.outputs[0])
    if out is None or out.per_channel:
        raise Refusal("it chooses between codes with one scale only")
    condition = code_operand(low, node.inputs[0])
    flipped = low.flipped(condition[0])
    left = code_product(low, condition, _choice(low, node.inputs[1], out), out)
    right = code_product(low, (flipped, condition[1]), _choice(low, node.inputs[2], out), out)
    return (code_sum(low, (left, out), (right, out), out),)


def lower_prelu(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower PRelu with a slope for each element: max(x, 0) + slope * min(x, 0)."""
    x, held = code_operand(low, node.inputs[0])
    out = low.expected(node.outputs[0])
    if out is None or out.per_channel or held.per_channel:
        raise Refusal("slopes for each element go with codes of one scale only")
    codes = np.arange(CODES, dtype=np.uint8)[None, :]
    real = np.maximum(arith.dequantize(codes, held.scale, held.zero_point), np.float32(0))
    above = low.table(x, arith.quantize(real, out.scale, out.zero_point), 0, out)
    below = low.table(x, np.minimum(codes, np.uint8(held.zero_point)), 0, held)
    scaled = code_product(low, (below, held), code_operand(low, node.inputs[1]), out)
    return (code_sum(low, (above, out), (scaled, out), out),)


def _truth(low: Lowering, node: Node) -> QParams:
    out = low.expected(node.outputs[0])
    if out is None:
        raise Refusal("its output is not stored as codes")
    return out


def _choice(low: Lowering, name: str, out: QParams) -> tuple[Operand, QParams]:
    """Return a value that may be chosen; a constant in the codes of the result."""
    if low.array(name) is None:
        return code_operand(low, name)
    return low.read(name, out), out
