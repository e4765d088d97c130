import math

import numpy as np
import pytest

from bittrue.errors import ModelError
from bittrue.graph.expression import (
    MAX_WORDS,
    WORDS,
    clip_expr,
    constant,
    evaluate,
    onnx_steps,
    parse,
)

X = np.linspace(-8, 8, 41)


def test_each_step_rounds_to_float32() -> None:
    x = np.array([1.0], np.float32)
    tiny = constant(2.0**-30)
    assert evaluate(f"x {tiny} add 1.0 sub", x)[0] == 0
    assert evaluate(f"x {tiny} add 1.0 sub", x.astype(np.float64))[0] == 2.0**-30


def test_equal_parts_are_computed_once() -> None:
    assert len(parse("x sigmoid x sigmoid mul").calls) == 2
    assert len(parse("x -0.0 mul x 0.0 mul add").calls) == 3
    # Step 1 and the number 1.0 are not the same thing.
    expr = "x exp x neg x neg 1.0 add mul add x neg 2.0 add mul"
    x = np.array([0.5])
    assert evaluate(expr, x)[0] == pytest.approx((math.exp(0.5) - 0.25) * 1.5)


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
    assert parse(f"x {constant(0.1)} mul").calls[0].args == ("x", float(np.float32(0.1)))


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
        np.testing.assert_array_equal(done[-1], evaluate(expr, X))


def test_domain_errors_give_nan_and_no_warning() -> None:
    with np.errstate(all="raise"):
        assert np.isnan(evaluate("x log", np.array([-1.0], np.float32)))[0]
        assert evaluate("x sigmoid", np.array([-200.0], np.float32))[0] == 0
