import math

import numpy as np
import pytest

from bittrue.graph.elementwise import UNARY_EXPR, unary_expr
from bittrue.graph.expression import evaluate
from bittrue.graph.model import Node
from bittrue.graph.ops import complete_attrs

X = np.linspace(-8, 8, 41)


def expression(op: str, **attrs: object) -> str:
    expr = unary_expr(Node("n", op, ("x",), ("y",), complete_attrs(op, attrs)))
    assert expr is not None
    return expr


def sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v))


def softplus(v: float) -> float:
    return math.log1p(math.exp(v))


#: What each operator is, from its definition, one number at a time.
DEFINITIONS = {
    "Relu": lambda v: max(v, 0),
    "Sigmoid": sigmoid,
    "HardSwish": lambda v: v * max(0, min(1, v / 6 + 0.5)),
    "Tanh": math.tanh,
    "Exp": math.exp,
    "Neg": lambda v: -v,
    "Abs": abs,
    "Floor": math.floor,
    "Ceil": math.ceil,
    "Round": round,
    "Sign": lambda v: (v > 0) - (v < 0),
    "Erf": math.erf,
    "Softplus": softplus,
    "Softsign": lambda v: v / (1 + abs(v)),
    "Mish": lambda v: v * math.tanh(softplus(v)),
    "Sin": math.sin,
    "Cos": math.cos,
    "LeakyRelu": lambda v: v if v >= 0 else 0.01 * v,
    "Elu": lambda v: v if v >= 0 else math.expm1(v),
    "Celu": lambda v: max(0, v) + min(0, math.expm1(v)),
    "ThresholdedRelu": lambda v: v if v > 1 else 0,
    "Selu": lambda v: 1.0507010221481323 * (v if v > 0 else 1.6732631921768188 * math.expm1(v)),
    "HardSigmoid": lambda v: max(0, min(1, 0.2 * v + 0.5)),
    "Gelu": lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2,
    "Clip": lambda v: v,
    "Log": math.log,
    "Sqrt": math.sqrt,
    "Reciprocal": lambda v: 1 / v,
}


@pytest.mark.parametrize("op", sorted(set(UNARY_EXPR) - {"Pointwise"}))
def test_each_operators_expression_is_its_definition(op: str) -> None:
    expr = expression(op)
    x = X[X > 0] if op in ("Log", "Sqrt", "Reciprocal") else X
    expected = np.array([DEFINITIONS[op](float(v)) for v in x])
    # Constants are float32, so float64 results differ by their rounding, 2**-24, times |x| <= 8.
    np.testing.assert_allclose(evaluate(expr, x), expected, rtol=0, atol=8 * 2.0**-23)
    single = evaluate(expr, x.astype(np.float32))
    assert single.dtype == np.float32
    # exp(8) = 2981 in float32 is the largest; its relative error is some ulps of 2**-24.
    np.testing.assert_allclose(single, expected, rtol=2.0**-21, atol=2.0**-20)


def test_gelu_by_tanh_is_near_gelu() -> None:
    expr = expression("Gelu", approximate="tanh")
    expected = [DEFINITIONS["Gelu"](float(v)) for v in X]
    np.testing.assert_allclose(evaluate(expr, X), expected, atol=5e-4)


def test_leaky_relu_is_exact_in_float32() -> None:
    expr = expression("LeakyRelu", alpha=0.1)
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    np.testing.assert_array_equal(evaluate(expr, x), np.where(x > 0, x, x * np.float32(0.1)))
