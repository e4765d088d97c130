"""Operators with a form on codes and one in float32: what their values are stored as decides."""

from __future__ import annotations

from bittrue.compiler.lower_elementwise import (
    all_codes,
    computed_inputs,
    lower_batch_norm,
    lower_binary,
    lower_unary,
)
from bittrue.compiler.lower_float import (
    lower_comparison,
    lower_float_matmul,
    lower_float_reduction,
    lower_not,
)
from bittrue.compiler.lower_float import (
    lower_where as lower_float_where,
)
from bittrue.compiler.lower_logic import lower_compare, lower_prelu, lower_where
from bittrue.compiler.lower_matmul import lower_matmul
from bittrue.compiler.lower_pool import lower_reduction
from bittrue.compiler.lower_state import Lowering, Operand
from bittrue.graph.model import Node

_REDUCED_CODES = frozenset({"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"})


def lower_any_matmul(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower MatMul: on codes where no factor is float32; its sums may still leave as float32."""
    held = [low.placed[name].qparams for name in computed_inputs(low, node)]
    return lower_float_matmul(low, node) if None in held else lower_matmul(low, node)


def lower_any_reduction(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower a reduction: as a window over codes, or in float32."""
    if node.op in _REDUCED_CODES and all_codes(low, node):
        return lower_reduction(low, node)
    return lower_float_reduction(low, node)


def lower_any_comparison(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower a comparison, And or Or."""
    if not all_codes(low, node):
        return lower_comparison(low, node)
    return lower_binary(low, node) if node.op in ("And", "Or") else lower_compare(low, node)


def lower_any_not(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Not."""
    return lower_unary(low, node) if all_codes(low, node) else lower_not(low, node)


def lower_any_where(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Where."""
    return lower_where(low, node) if all_codes(low, node) else lower_float_where(low, node)


def lower_any_prelu(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower PRelu."""
    return lower_prelu(low, node) if all_codes(low, node) else lower_batch_norm(low, node)
