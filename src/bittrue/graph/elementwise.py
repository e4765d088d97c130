"""The operators of one or two numbers as expressions: what they compute, said once.

The float reference, the compiler's tables and the export to ONNX all read it here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bittrue.graph.expression import WORDS, clip_expr, constant
from bittrue.graph.model import Node

Expr = Callable[[Node], str]


def _constant(node: Node, name: str) -> str:
    return constant(node.number(name))


def _fixed(expr: str) -> Expr:
    return lambda node: expr


def _clip(node: Node) -> str:
    return clip_expr(node.number("min"), node.number("max"))


def _selu(node: Node) -> str:
    rest = f"x 0.0 min exp 1.0 sub {_constant(node, 'alpha')} mul"
    return f"x 0.0 max {rest} add {_constant(node, 'gamma')} mul"


def _celu(node: Node) -> str:
    alpha = _constant(node, "alpha")
    return f"x 0.0 max x {alpha} div exp 1.0 sub {alpha} mul 0.0 min add"


def _leaky(node: Node) -> str:
    return f"x 0.0 max x 0.0 min {_constant(node, 'alpha')} mul add"


def _elu(node: Node) -> str:
    return f"x 0.0 max x 0.0 min exp 1.0 sub {_constant(node, 'alpha')} mul add"


def _thresholded(node: Node) -> str:
    return f"x x {_constant(node, 'alpha')} sub sign 0.0 max mul"


def _hard_sigmoid(node: Node) -> str:
    alpha, beta = _constant(node, "alpha"), _constant(node, "beta")
    return f"x {alpha} mul {beta} add 0.0 max 1.0 min"


def _gelu(node: Node) -> str:
    if node.text("approximate") == "tanh":
        cube = f"x x x mul mul {constant(0.044715)} mul"
        inner = f"x {cube} add {constant(math.sqrt(2 / math.pi))} mul tanh"
    else:
        inner = f"x {constant(math.sqrt(0.5))} mul erf"
    return f"x 0.5 mul {inner} 1.0 add mul"


def _pointwise(node: Node) -> str:
    return node.text("expr")


#: The expression of every unary operator. ThresholdedRelu is NaN at infinities there, all others
#: are what the operator is at every float.
UNARY_EXPR: dict[str, Expr] = {
    **{row.onnx: _fixed(f"x {word}") for word, row in WORDS.items() if row.arity == 1},
    "Relu": _fixed("x 0.0 max"),
    "HardSwish": _fixed(f"x x {constant(1 / 6)} mul 0.5 add 0.0 max 1.0 min mul"),
    "Mish": _fixed("x x softplus tanh mul"),
    "Softsign": _fixed("x x abs 1.0 add div"),
    "LeakyRelu": _leaky,
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _selu,
    "ThresholdedRelu": _thresholded,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Clip": _clip,
    "Pointwise": _pointwise,
}

#: The operators of two numbers that have one, as postfix words of both, a and b.
BINARY_EXPR: dict[str, str] = {
    **{row.onnx: f"a b {word}" for word, row in WORDS.items() if row.arity == 2},
    "PRelu": "a 0.0 max a 0.0 min b mul add",
}


def unary_expr(node: Node) -> str | None:
    """Return the expression of a unary operator's node; None for any other."""
    row = UNARY_EXPR.get(node.op)
    return None if row is None else row(node)
