"""Comparisons, choices, quotients and extremes against exact float64."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.compiler.lower import compile_graph
from bittrue.errors import UnsupportedError
from tests.unit.lowering import Net, assert_exact, kinds, qp

TRUTH = qp(1.0, 0)
COMPARISONS = ["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"]


@pytest.mark.parametrize("op", COMPARISONS)
@pytest.mark.parametrize("other", [qp(0.5, 100), qp(0.25, 90), qp(0.5, 30)])
def test_two_values_compare_as_what_their_codes_stand_for(op: str, other: object) -> None:
    net = Net()
    a, b = net.input("a", (2, 40, 30), qp(0.5, 100)), net.input("b", (1, 30), other)
    y = net.node(op, [a, b], TRUTH)
    z = net.node("Cast", [y], to="float32")
    program = assert_exact(net, y, z)
    assert kinds(program)[0] == "COMPARE"
    assert [row.dtype for row in program.contract.outputs] == ["uint8", "uint8"]


@pytest.mark.parametrize("op", COMPARISONS)
def test_a_comparison_with_a_constant_is_a_table(op: str) -> None:
    net = Net()
    x = net.input("x", (2, 40, 30), qp(0.5, 100))
    y = net.node(op, [net.constant("c", np.float32([3.5])), x], TRUTH)
    assert kinds(assert_exact(net, y)) == ["TABLE"]


def test_truth_values_join_and_turn() -> None:
    net = Net()
    x, z = net.input("x", (2, 8, 30), qp(0.5, 100)), net.input("z", (2, 8, 30), qp(0.5, 90))
    a = net.node("Less", [x, z], TRUTH)
    b = net.node("Cast", [x], TRUTH, to="bool")
    c = net.constant("c", np.array([[True], [False]] * 4))
    y = net.node("And", [a, net.node("Not", [b], TRUTH)], TRUTH)
    w = net.node("Or", [net.node("And", [y, c], TRUTH), b], TRUTH)
    assert_exact(net, y, w)


def test_non_maximum_suppression_keeps_the_peaks_alone() -> None:
    net = Net()
    x = net.input("x", (1, 1, 20, 20), qp(2.0**-8, 0))
    pads = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}
    peaks = net.node("MaxPool", [x], **pads)
    keep = net.node("Cast", [net.node("Equal", [x, peaks], TRUTH)], to="float32")
    y = net.node("Mul", [x, keep], qp(2.0**-8, 0))
    program = assert_exact(net, y)
    assert kinds(program) == ["MAX_POOL", "COMPARE", "MUL"]


@pytest.mark.parametrize("shape", [(2, 4, 30), (4, 1), (1,)])
def test_where_chooses_between_two_values(shape: tuple[int, ...]) -> None:
    net = Net()
    a, b = net.input("a", (2, 4, 30), qp(0.5, 100)), net.input("b", (1, 30), qp(0.25, 9))
    s = net.input("s", shape, qp(0.5, 128))
    condition = net.node("Cast", [s], TRUTH, to="bool")
    y = net.node("Where", [condition, a, b], qp(0.5, 90))
    z = net.node("Where", [condition, net.constant("c", np.float32(4.0)), b], qp(0.5, 10))
    assert_exact(net, y, z)


def test_where_with_a_constant_condition_or_constants_alone() -> None:
    net = Net()
    a, b = net.input("a", (2, 4, 30), qp(0.5, 100)), net.input("b", (2, 4, 30), qp(0.25, 9))
    mask = net.constant("mask", np.array([[True], [False], [True], [True]]))
    y = net.node("Where", [mask, a, b], qp(0.5, 90))
    less = net.node("Less", [a, b], TRUTH)
    ends = [net.constant(name, np.float32(v)) for name, v in (("high", 2.0), ("low", -3.0))]
    z = net.node("Where", [less, *ends], qp(0.5, 10))
    assert kinds(assert_exact(net, y, z)).count("TABLE") == 1


def test_slopes_for_each_element() -> None:
    net = Net()
    x = net.input("x", (2, 4, 30), qp(0.5, 100))
    slopes = net.rng.integers(-128, 128, (4, 30)).astype(np.float32)
    slopes.reshape(-1)[:2] = (-128, 127)
    y = net.node("PRelu", [x, net.constant("slopes", slopes / 64)], qp(2.0, 80))
    assert_exact(net, y)


@pytest.mark.parametrize("op", ["Div", "Min", "Max"])
@pytest.mark.parametrize(
    ("a", "b"), [((1, 4, 3, 5), (1, 4, 3, 5)), ((1, 4, 3, 5), (1, 4, 1, 1)), ((5,), (2, 1, 5))]
)
def test_quotients_and_extremes_broadcast(op: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    net = Net()
    left, right = net.input("a", a, qp(0.5, 100)), net.input("b", b, qp(0.25, 0))
    ones = net.node("Max", [right, net.constant("one", np.float32(1.0))], qp(0.25, 0))
    y = net.node(op, [left, ones], qp(0.25, 90))
    assert op.upper() in kinds(assert_exact(net, y))


def test_extremes_with_scales_for_each_channel() -> None:
    net = Net()
    one = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    x = net.input("x", (1, 2, 3, 3), qp())
    a = net.weighted("Conv", x, (3, 2, 1, 1), qp([0.0625, 0.125, 0.25], 120), **one)
    b = net.weighted("Conv", x, (3, 2, 1, 1), qp(0.125, 60), **one)
    assert_exact(net, net.node("Max", [a, b], qp(0.25, 100)))


def test_a_constant_that_is_not_finite_is_refused() -> None:
    net = Net()
    slopes = net.constant("slopes", np.full((1, 4, 3, 3), np.nan, np.float32))
    y = net.node("PRelu", [net.input("x", (1, 4, 3, 3), qp()), slopes], qp())
    with pytest.raises(UnsupportedError) as caught:
        compile_graph(net.done(y))
    assert caught.value.nodes[0].reason == "a constant holds a value that is not finite"
