"""Products of two activations against exact float64."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.compiler.lower import compile_graph
from bittrue.errors import UnsupportedError
from tests.unit.lowering import Net, assert_exact, kinds, qp


@pytest.mark.parametrize("floating", [False, True])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 5), (5, 4)),
        ((2, 3, 5), (5, 4)),
        ((3, 5), (2, 5, 4)),
        ((2, 1, 3, 5), (1, 4, 5, 2)),
        ((1, 2, 1, 1, 3, 5), (2, 1, 5, 1)),
        ((5,), (5, 4)),
        ((2, 3, 5), (5,)),
        ((1, 5), (2, 5, 1)),
    ],
)
def test_any_two_factors(a: tuple[int, ...], b: tuple[int, ...], floating: bool) -> None:
    net = Net()
    left, right = net.input("a", a, qp(0.25, 100)), net.input("b", b, qp(0.5, 30))
    y = net.node("MatMul", [left, right], None if floating else qp(16.0, 90))
    assert "MATMUL" in kinds(assert_exact(net, y))


def test_a_transposed_second_factor_costs_no_copy() -> None:
    net = Net()
    q, k = net.input("q", (2, 3, 5), qp()), net.input("k", (2, 4, 5), qp(0.5, 3))
    turned = net.node("Transpose", [k], perm=(0, 2, 1))
    y = net.node("MatMul", [q, turned], qp(16.0, 90))
    assert kinds(assert_exact(net, y)) == ["MATMUL"]


def test_factors_that_lie_otherwise_are_copied() -> None:
    net = Net()
    q, k = net.input("q", (1, 6, 4, 5), qp()), net.input("k", (1, 6, 4, 5), qp(0.5, 3))
    heads = [net.node("Transpose", [x], perm=(0, 2, 1, 3)) for x in (q, k)]
    turned = net.node("Transpose", [heads[1]], perm=(0, 1, 3, 2))
    scores = net.node("MatMul", [heads[0], turned], qp(16.0, 90))
    mixed = net.node("MatMul", [scores, heads[1]], qp(256.0, 128))
    y = net.node("Transpose", [mixed], perm=(0, 2, 1, 3))
    assert kinds(assert_exact(net, y)).count("MATMUL") == 2


@pytest.mark.parametrize("left", [True, False])
def test_a_constant_factor_has_codes_of_its_own_range(left: bool) -> None:
    net = Net()
    x = net.input("x", (2, 4, 4), qp())
    codes = net.rng.integers(-128, 128, (2, 4, 4)).astype(np.float32)
    codes.reshape(-1)[:2] = (-128, 127)
    c = net.constant("c", codes)
    y = net.node("MatMul", [c, x] if left else [x, c], qp(16.0, 128))
    assert_exact(net, y)


def test_sums_too_long_for_int32_are_refused() -> None:
    net = Net()
    a, b = net.input("a", (1, 33026), qp()), net.input("b", (33026, 1), qp())
    y = net.node("MatMul", [a, b], qp(2.0**20, 0))
    with pytest.raises(UnsupportedError, match="33026 products a sum, at most 33025"):
        compile_graph(net.done(y))


def test_a_factor_in_float_makes_a_product_in_float() -> None:
    net = Net()
    a, b = net.input("a", (3, 5), None), net.input("b", (5, 2), qp())
    y = net.node("MatMul", [a, b])
    assert kinds(assert_exact(net, y)) == ["DEQUANTIZE", "F32_MATMUL"]
