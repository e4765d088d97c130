"""The float functions against better arithmetic: float64 and long double, Fraction, and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from bittrue import arith_float
from bittrue.arith_float import NAN, one_nan

Exact = Callable[[np.ndarray], np.ndarray]
#: Every so manyth bit pattern of all float32; a prime, so that significands are mixed.
STEP = 24571


def patterns() -> np.ndarray:
    """Return a sample of all float32 that are numbers or infinite."""
    bits = np.arange(0, 2**32, STEP, dtype=np.uint64).astype(np.uint32)
    x = bits.view(np.float32)
    ends = np.float32([0, -0.0, np.inf, -np.inf, 1e-45, -1e-45, 2**-126, 1, -1, 8192, -8192])
    return np.concatenate([x[~np.isnan(x)], ends])


def around(least: float, most: float) -> np.ndarray:
    """Return many float32 of a range."""
    return np.random.default_rng(3).uniform(least, most, 2**17).astype(np.float32)


def ulps(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return errors in units in the last place of the exact result."""
    exact = exact.astype(np.longdouble)
    size = np.maximum(np.abs(exact), np.longdouble(2.0**-126))
    unit = np.ldexp(np.longdouble(1), np.floor(np.log2(size)).astype(np.int64) - 23)
    return np.asarray(np.abs(found - exact) / unit, np.float64)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _erf(x: np.ndarray) -> np.ndarray:
    return np.array([math.erf(item) for item in x.astype(np.float64)], np.longdouble)


#: Function, a better one, and the bound of docs/numerics.md 7.6 and 7.7 in units in the last place.
BOUNDS: dict[str, tuple[Exact, float, np.ndarray]] = {
    "log": (np.log, 0.9, around(0, 3)),
    "tanh": (np.tanh, 1.4, around(-10, 10)),
    "erf": (_erf, 1.4, around(-4.5, 4.5)),
    "softplus": (_softplus, 2.0, around(-80, 20)),
    "reciprocal": (lambda x: 1 / x, 0.5, around(-2, 2)),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_error_in_units_in_the_last_place(name: str) -> None:
    exact, bound, near = BOUNDS[name]
    x = np.concatenate([patterns(), near])
    if name == "softplus":
        x = x[x >= -87]  # below, exp is clamped
    with np.errstate(all="ignore"):
        found = arith_float.UNARY[name](x)
        want = exact(x.astype(np.longdouble))
        rounded = want.astype(np.float32)
        usual = np.isfinite(rounded) & np.isfinite(found)
        np.testing.assert_array_equal(found[~usual], rounded[~usual])
        assert ulps(found[usual], want[usual]).max() <= bound


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_error_of_sine_and_cosine(name: str) -> None:
    rng = np.random.default_rng(4)
    near = around(-8192, 8192)
    whole = rng.integers(-5215, 5215, 2**16) * (np.pi / 2)  # where one of the two is about 0
    x = np.concatenate([patterns(), near, whole.astype(np.float32)])
    with np.errstate(all="ignore"):
        found = arith_float.UNARY[name](x)
        inside = np.abs(x) <= 8192
        want = getattr(np, name)(x[inside].astype(np.longdouble))
    assert np.abs(found[inside] - want).max() < 1e-7
    assert np.abs(found[inside]).max() <= 1
    assert np.isnan(found[~inside]).all()
    small = np.abs(x) <= 0.5
    assert ulps(found[small], getattr(np, name)(x[small].astype(np.longdouble))).max() < 1.2


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "sign"])
def test_whole_numbers_against_fractions(name: str) -> None:
    rules: dict[str, Callable[[Fraction], int]] = {
        "floor": math.floor,
        "ceil": math.ceil,
        "round": round,
        "sign": lambda x: (x > 0) - (x < 0),
    }
    x = np.concatenate([patterns()[::7], around(-20, 20)[:2000], np.arange(-9, 9.5, 0.5)])
    x = x[np.isfinite(x)].astype(np.float32)
    found = arith_float.UNARY[name](x)
    want = [float(rules[name](Fraction(float(item)))) for item in x]
    np.testing.assert_array_equal(found, np.float32(want))
    if name != "sign":
        np.testing.assert_array_equal(np.signbit(found), np.signbit(x))


def test_functions_that_are_odd_or_even_are_so_in_every_bit() -> None:
    x = np.concatenate([patterns(), around(-20, 20)])
    with np.errstate(all="ignore"):
        for name in ("tanh", "erf", "sin", "reciprocal", "sign"):
            function = arith_float.UNARY[name]
            found, mirrored = one_nan(function(x)), one_nan(-function(-x))
            if name == "sign":
                found, mirrored = found + np.float32(0), mirrored + np.float32(0)
            np.testing.assert_array_equal(found.view(np.uint32), mirrored.view(np.uint32))
        even = arith_float.cos
        np.testing.assert_array_equal(even(x), even(-x))


def test_powers_are_within_their_bound() -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([around(0, 4), np.exp(around(-80, 80)).astype(np.float32)])
    y = (rng.standard_normal(x.size) * rng.choice([0.5, 3, 20], x.size)).astype(np.float32)
    with np.errstate(all="ignore"):
        found = arith_float.pow_(x, y)
        want = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
        exponent = np.abs(y * np.log(x.astype(np.longdouble))).astype(np.float64)
    usual = (want < 3.4e38) & (want > 2.0**-126)
    assert np.isfinite(found[usual]).all()
    assert usual.mean() > 0.7
    assert (ulps(found[usual], want[usual]) <= 2.2 * (2 + exponent[usual])).all()


def test_powers_at_the_ends_are_those_of_c() -> None:
    odd = np.float32([0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 2.5, -2.5, np.inf, -np.inf, np.nan])
    whole = np.float32([2**24, -(2**24), 2**24 - 1, -(2**24) + 1, 1e30])
    y = np.concatenate([odd, whole])
    for base in odd:
        for exponent in y:
            with np.errstate(all="ignore"):
                found = arith_float.pow_(np.float32([base]), np.float32([exponent]))[0]
            try:
                want = math.pow(float(base), float(exponent))
            except (ValueError, OverflowError):
                with np.errstate(all="ignore"):
                    want = float(np.power(float(base), float(exponent)))
            with np.errstate(over="ignore"):
                limit = np.float32(want)
            if np.isfinite(limit) and limit != 0:
                assert abs(found - limit) <= 1e-5 * abs(limit), (base, exponent)
            else:
                assert np.array_equal(found, limit, equal_nan=True), (base, exponent)
            assert np.isnan(found) or np.signbit(found) == np.signbit(limit), (base, exponent)


def test_rests_against_fractions() -> None:
    rng = np.random.default_rng(6)
    bits = rng.integers(0, 2**32, (2, 4000), np.uint32)
    bits[:, :1000] &= np.uint32(0x81FFFFFF)  # small ones and denormals
    a, b = bits.view(np.float32)
    fine = np.isfinite(a) & np.isfinite(b) & (b != 0)
    a, b = a[fine], b[fine]
    found = arith_float.BINARY["mod"](a, b)
    for x, y, rest in zip(a.tolist(), b.tolist(), found.tolist(), strict=True):
        exact = abs(Fraction(x)) % abs(Fraction(y))
        assert Fraction(rest) == (exact if x >= 0 else -exact)


def test_comparisons_are_one_or_zero() -> None:
    odd = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-45]
    rules: dict[str, Callable[[float, float], bool]] = {
        "equal": lambda a, b: a == b,
        "less": lambda a, b: a < b,
        "less_or_equal": lambda a, b: a <= b,
        "greater": lambda a, b: a > b,
        "greater_or_equal": lambda a, b: a >= b,
    }
    for name, rule in rules.items():
        for a in odd:
            for b in odd:
                found = arith_float.BINARY[name](np.float32([a]), np.float32([b]))
                assert found.dtype == np.float32
                assert found[0] == float(rule(a, b)), (name, a, b)
    chosen = arith_float.where(np.float32(odd), np.float32(1), np.float32(2))
    assert chosen.tolist() == [2, 2, 1, 1, 1, 1, 1, 1]


# --- orders of sums ----------------------------------------------------------------------------


def by_hand(x: np.ndarray, start: float, step: Callable[[np.float32, np.float32], np.float32]) -> (
    np.float32
):  # fmt: skip
    """Combine a row element by element as docs/numerics.md 7.3 says, in scalars."""
    lanes = [np.float32(start)] * 16
    for index, item in enumerate(x):
        lanes[index % 16] = step(lanes[index % 16], item)
    for width in (8, 4, 2, 1):
        lanes = [step(lanes[j], lanes[j + width]) for j in range(width)]
    return lanes[0]


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 31, 33, 100])
def test_reductions_in_their_order(length: int) -> None:
    x = (np.random.default_rng(length).standard_normal(length) * 3).astype(np.float32)
    total = by_hand(x, 0, lambda a, b: a + b)
    square = by_hand(np.float32([item * item for item in x]), 0, lambda a, b: a + b)
    want = {
        "sum": total,
        "mean": total / np.float32(length),
        "max": np.float32(max(x.tolist())),
        "min": np.float32(min(x.tolist())),
        "prod": by_hand(x, 1, lambda a, b: a * b),
        "l2": np.sqrt(square),
    }
    assert set(want) == set(arith_float.REDUCTIONS)
    for name, value in want.items():
        found = arith_float.REDUCTIONS[name](x[None, :])
        assert found.shape == (1,)
        assert found.view(np.uint32)[0] == value.view(np.uint32), name


def test_extremes_are_plus_zero_and_keep_nan() -> None:
    for name in ("max", "min"):
        function = arith_float.REDUCTIONS[name]
        zeros = function(np.float32([[-0.0, -0.0], [0.0, -0.0], [-0.0, 0.0]]))
        assert not np.signbit(zeros).any()
        assert np.isnan(function(np.float32([[1, NAN, 2], [NAN, 1, 2], [1, 2, NAN]]))).all()


def test_matrix_products_add_in_the_order_of_k() -> None:
    rng = np.random.default_rng(9)
    a = rng.standard_normal((2, 1, 3, 37)).astype(np.float32)
    b = rng.standard_normal((5, 37, 4)).astype(np.float32)
    found = arith_float.matmul(a, b)
    assert found.shape == (2, 5, 3, 4)
    for i, j, m, n in np.ndindex(found.shape):
        acc = np.float32(0)
        for k in range(37):
            acc = acc + a[i, 0, m, k] * b[j, k, n]
        assert found[i, j, m, n] == acc
