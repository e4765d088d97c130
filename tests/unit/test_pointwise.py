import math

import numpy as np
import pytest

from bittrue.errors import ModelError
from bittrue.graph.ops import OPS, complete_attrs
from bittrue.graph.pointwise import (
    MAX_WORDS,
    UNARY_EXPR,
    WORDS,
    clip_expr,
    compose,
    composed_length,
    constant,
    evaluate,
    evaluate64,
    onnx_steps,
    parse,
    unary_expr,
)

X = np.linspace(-8, 8, 41)


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
    expr = unary_expr(op, complete_attrs(op, {}))
    assert expr is not None
    x = X[X > 0] if op in ("Log", "Sqrt", "Reciprocal") else X
    expected = np.array([DEFINITIONS[op](float(v)) for v in x])
    # Constants are float32, so float64 results differ by their rounding, 2**-24, times |x| <= 8.
    np.testing.assert_allclose(evaluate64(expr, x), expected, rtol=0, atol=8 * 2.0**-23)
    single = evaluate(expr, x.astype(np.float32))
    assert single.dtype == np.float32
    # exp(8) = 2981 in float32 is the largest; its relative error is some ulps of 2**-24.
    np.testing.assert_allclose(single, expected, rtol=2.0**-21, atol=2.0**-20)


def test_each_operator_of_one_number_has_an_expression() -> None:
    others = {"Not", "Cast", "Softmax", "LogSoftmax", "Reshape", "Transpose", "Expand", "Tile"}
    others |= {"Split", "Slice", "Pad", "Resize", "DepthToSpace", "SpaceToDepth", "ArgMax"}
    others |= {"ArgMin", "MaxPool", "AveragePool"}
    alone = {name for name, op in OPS.items() if op.inputs == ("x",)}
    left = alone - others - {name for name in alone if name.startswith(("Reduce", "Global"))}
    assert left == set(UNARY_EXPR)


def test_gelu_by_tanh_is_near_gelu() -> None:
    expr = unary_expr("Gelu", complete_attrs("Gelu", {"approximate": "tanh"}))
    assert expr is not None
    expected = [DEFINITIONS["Gelu"](float(v)) for v in X]
    np.testing.assert_allclose(evaluate64(expr, X), expected, atol=5e-4)


def test_leaky_relu_is_exact_in_float32() -> None:
    expr = unary_expr("LeakyRelu", complete_attrs("LeakyRelu", {"alpha": 0.1}))
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert expr is not None
    np.testing.assert_array_equal(evaluate(expr, x), np.where(x > 0, x, x * np.float32(0.1)))


def test_each_step_rounds_to_float32() -> None:
    x = np.array([1.0], np.float32)
    tiny = constant(2.0**-30)
    assert evaluate(f"x {tiny} add 1.0 sub", x)[0] == 0
    assert evaluate64(f"x {tiny} add 1.0 sub", x)[0] == 2.0**-30


def test_equal_parts_are_computed_once() -> None:
    assert len(parse("x sigmoid x sigmoid mul").steps) == 2
    assert len(parse("x -0.0 mul x 0.0 mul add").steps) == 3
    # Step 1 and the number 1.0 are not the same thing.
    expr = "x exp x neg x neg 1.0 add mul add x neg 2.0 add mul"
    x = np.array([0.5])
    assert evaluate64(expr, x)[0] == pytest.approx((math.exp(0.5) - 0.25) * 1.5)


def test_compose_is_one_after_the_other() -> None:
    outer, inner = "x x sigmoid mul", "x 2.0 mul 1.0 sub"
    both = compose(outer, inner)
    np.testing.assert_array_equal(evaluate64(both, X), evaluate64(outer, evaluate64(inner, X)))
    assert len(both.split()) == composed_length(outer, inner)
    assert len(parse(both).steps) == 4


def test_a_composition_that_grows_too_long_is_refused() -> None:
    long = "x " * (MAX_WORDS // 2 - 1) + "add " * (MAX_WORDS // 2 - 2)
    parse(long)
    assert composed_length("x x mul", long) > MAX_WORDS
    with pytest.raises(ModelError, match="words"):
        compose("x x mul", long)


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("", "0 words"),
        ("x y add", "'y' is no function"),
        ("x add", "takes 2 values, there are 1"),
        ("x x", "leaves 2 values"),
        ("x 0.1 mul", "not a finite float32"),
        ("x inf mul", "not a finite float32"),
        ("x nan mul", "not a finite float32"),
        ("x 1e300 mul", "not a finite float32"),
        ("x " * (MAX_WORDS + 1), "words"),
    ],
)
def test_a_wrong_expression_is_refused(expr: str, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse(expr)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e39])
def test_a_constant_that_no_float32_holds_is_refused(value: float) -> None:
    with pytest.raises(ModelError):
        constant(value)


def test_a_constant_is_rounded_to_float32() -> None:
    assert constant(0.1) == "0.10000000149011612"
    assert parse(f"x {constant(0.1)} mul").steps[0].args == ("x", float(np.float32(0.1)))


def test_an_infinite_bound_is_left_out() -> None:
    assert clip_expr(-math.inf, math.inf) == "x"
    assert clip_expr(0.0, math.inf) == "x 0.0 max"
    assert clip_expr(-math.inf, 6) == "x 6.0 min"


def test_an_expression_of_no_step_keeps_its_shape() -> None:
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(evaluate("x", x), x)
    np.testing.assert_array_equal(evaluate("4.0", x), np.full((2, 3), 4, np.float32))
    assert evaluate("4.0 1.0 add", x).shape == (2, 3)
    assert onnx_steps("x") == (("Identity", ("x",)),)


def test_onnx_steps_compute_the_same() -> None:
    functions = {word.onnx: word.run for word in WORDS.values()}
    for expr in ("x x sigmoid mul", "4.0", "4.0 1.0 add", "x 0.0 max x 0.0 min exp 1.0 sub add"):
        done: list[np.ndarray] = []
        for op, args in onnx_steps(expr):
            read = [
                X if isinstance(a, str) else done[a] if isinstance(a, int) else np.float64(a)
                for a in args
            ]
            done.append(functions[op](*read))
        np.testing.assert_array_equal(done[-1], evaluate64(expr, X))


def test_domain_errors_give_nan_and_no_warning() -> None:
    with np.errstate(all="raise"):
        assert np.isnan(evaluate("x log", np.array([-1.0], np.float32)))[0]
        assert evaluate("x sigmoid", np.array([-200.0], np.float32))[0] == 0
