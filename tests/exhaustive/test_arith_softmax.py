"""exp, sigmoid, sums in lanes and softmax: every operation rounded, in the stated order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from bittrue import arith_float
from tests.exhaustive.test_arith import evenly, exact, fl

EXP_ULPS = 2.0


def bits(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32).view(np.uint32)


def sweep() -> np.ndarray:
    """Return float32 arguments from -87 to 88: every 2,003rd bit pattern, and where n changes."""
    up = np.arange(0, int(bits(np.float32([88]))[0]) + 1, 2003, dtype=np.uint32).view(np.float32)
    edges = ((np.arange(-126, 127) + 0.5) * np.log(2)).astype(np.float32)
    beside = [edges]
    for _ in range(6):
        beside += [np.nextafter(beside[-1], np.float32(99)), np.nextafter(beside[0], -99)]
    found = np.concatenate([up, -up, *beside, np.linspace(-87, 88, 200001, dtype=np.float32)])
    return found[(found >= -87) & (found <= 88)]


def test_exp_is_within_two_ulps_of_float64() -> None:
    x = sweep()
    found = arith_float.exp(x)
    want = np.exp(x.astype(np.float64))
    error = np.abs(found - want) / np.spacing(want.astype(np.float32))
    assert x.size > 10**6
    assert error.max() < EXP_ULPS, x[np.argmax(error)]


def exp_by_fractions(x: np.float32) -> Fraction:
    """Return docs/numerics.md 7.1 with every rounding written out."""
    clamped = min(max(exact(x), Fraction(-87)), Fraction(88))
    n = round(fl(clamped * exact(np.float32(1.4426950408889634))))
    high, low = Fraction(355, 512), exact(np.float32(-2.12194440e-4))
    assert fl(n * high) == n * high
    r = fl(fl(clamped - n * high) - fl(n * low))
    p = fl(Fraction(1, 5040))
    for denominator in (720, 120, 24, 6, 2):
        p = fl(fl(p * r) + fl(Fraction(1, denominator)))
    p = fl(fl(fl(fl(p * r) * r) + r) + 1)
    return fl(p * Fraction(2) ** n)


def once(x: np.ndarray) -> np.ndarray:
    """Round float64 to float32 and go on in float64.

    One sum or product of two float32 numbers in float64, then rounded, is that operation in
    float32: 53 bits are more than twice 24 and two more.
    """
    return x.astype(np.float32).astype(np.float64)


def test_exp_and_sigmoid_of_a_million_arguments_are_those_roundings() -> None:
    x = sweep()
    whole = np.rint(once(x.astype(np.float64) * np.float64(np.float32(1.4426950408889634))))
    low = once(whole * np.float64(np.float32(-2.12194440e-4)))
    rest = once(once(x.astype(np.float64) - whole * 0.693359375) - low)
    poly = once(np.full(x.size, 1 / 5040))
    for denominator in (720, 120, 24, 6, 2):
        poly = once(once(poly * rest) + np.float64(np.float32(1 / denominator)))
    poly = once(once(once(once(poly * rest) * rest) + rest) + 1)
    want = once(np.ldexp(poly, whole.astype(np.int64)))
    assert np.array_equal(arith_float.exp(x), want)
    assert np.array_equal(arith_float.sigmoid(-x), once(1 / once(1 + want)))


def test_exp_rounds_every_operation_in_the_stated_order() -> None:
    x = np.concatenate([evenly(sweep(), 300), np.float32([-1e9, -88, -87.5, 88.5, 89, 1e9])])
    found = arith_float.exp(x)
    assert [exact(y) for y in found] == [exp_by_fractions(item) for item in x]


def test_exp_of_special_values() -> None:
    ends = arith_float.exp(np.float32([-87, 88]))
    found = arith_float.exp(np.float32([-np.inf, np.inf, -1e30, 1e30, 0.0, -0.0, 1e-45, -1e-45]))
    assert np.array_equal(bits(found[:4]), bits(np.tile(ends, 2)))
    assert found[4:].tolist() == [1.0] * 4
    assert np.isnan(arith_float.exp(np.float32([np.nan, -np.nan]))).all()
    assert ends[0] >= np.finfo(np.float32).tiny


def test_exp_of_an_array_is_that_of_its_elements() -> None:
    """No vector form of NumPy may round otherwise than its scalar one."""
    x = evenly(sweep(), 999)
    alone = np.concatenate([arith_float.exp(x[i : i + 1]) for i in range(x.size)])
    assert np.array_equal(bits(arith_float.exp(x)), bits(alone))
    assert np.array_equal(bits(arith_float.exp(x[::-3])), bits(alone[::-3]))


def test_sigmoid_is_three_roundings_on_exp() -> None:
    x = evenly(sweep(), 300)
    want = [fl(1 / fl(1 + exp_by_fractions(-item))) for item in x]
    assert [exact(y) for y in arith_float.sigmoid(x)] == want


def test_sigmoid_of_special_values() -> None:
    found = arith_float.sigmoid(np.float32([0.0, -0.0, np.inf, -np.inf, 20, -200]))
    tiny = np.float32(1) / (np.float32(1) + arith_float.exp(np.float32([88])))[0]
    assert found.tolist() == [0.5, 0.5, 1.0, float(tiny), 1.0, float(tiny)]
    assert np.isnan(arith_float.sigmoid(np.float32([np.nan]))).all()


LENGTHS = (*range(1, 36), 47, 48, 49, 80, 255, 1000)


def wild(seed: int, *shape: int) -> np.ndarray:
    """Return numbers of very unlike magnitudes: any other order of a sum shows."""
    rng = np.random.default_rng(seed)
    return np.ldexp(rng.uniform(-1, 1, shape), rng.integers(-20, 20, shape)).astype(np.float32)


def sum_by_fractions(row: np.ndarray) -> Fraction:
    """Return docs/numerics.md 7.3 as a loop."""
    lanes = [Fraction(0)] * 16
    for place, item in enumerate(row):
        lanes[place % 16] = fl(lanes[place % 16] + exact(item))
    for width in (8, 4, 2, 1):
        for lane in range(width):
            lanes[lane] = fl(lanes[lane] + lanes[lane + width])
    return lanes[0]


@pytest.mark.parametrize("length", LENGTHS)
def test_lane_sum_adds_in_the_stated_order(length: int) -> None:
    x = wild(length, 2, 2, length)
    found = arith_float.lane_sum(x)
    assert found.shape == (2, 2)
    want = [sum_by_fractions(row) for row in x.reshape(-1, length)]
    assert [exact(y) for y in found.reshape(-1)] == want


def test_lane_sum_is_no_other_order() -> None:
    x = wild(0, 400, 100)
    found = arith_float.lane_sum(x)
    for other in (np.add.reduce(x, axis=-1), np.cumsum(x, axis=-1)[:, -1]):
        assert (found != other).mean() > 0.2


def test_lane_sum_of_special_values() -> None:
    assert bits(arith_float.lane_sum(np.float32([[-0.0] * 16]))).tolist() == [0]
    rows = np.float32([[np.inf, 1], [np.inf, -np.inf], [np.nan, 1], [-np.inf, 3e38]])
    with np.errstate(invalid="ignore"):
        found = arith_float.lane_sum(rows)
    assert found[[0, 3]].tolist() == [np.inf, -np.inf]
    assert np.isnan(found[1:3]).all()


@pytest.mark.parametrize("length", [1, 2, 3, 15, 16, 17, 33, 100])
def test_softmax_rounds_every_operation_in_the_stated_order(length: int) -> None:
    row = np.random.default_rng(length).uniform(-40, 40, length).astype(np.float32)
    greatest = max(exact(item) for item in row)
    powers = [exp_by_fractions(np.float32(float(fl(exact(x) - greatest)))) for x in row]
    total = sum_by_fractions(np.float32([float(p) for p in powers]))
    found = arith_float.softmax(np.stack([row, row[::-1]]))
    assert [exact(y) for y in found[0]] == [fl(p / total) for p in powers]
    # Off by 2 ulps of each exp, 4 + length/16 roundings of the sum, one division, and in the
    # exponent by half an ulp of a difference up to 80, which is 80 * 2**-24.
    wide = np.exp(row.astype(np.float64) - np.float64(row.max()))
    np.testing.assert_allclose(found[0], wide / wide.sum(), rtol=(49 + length / 16) * 2.0**-23)


def test_softmax_of_special_values() -> None:
    inf, nan = np.inf, np.nan
    assert arith_float.softmax(np.float32([[7.5]])).tolist() == [[1.0]]
    assert arith_float.softmax(np.full((1, 8), -3e38, np.float32)).tolist() == [[0.125] * 8]
    assert arith_float.softmax(np.float32([[-0.0, 0.0]])).tolist() == [[0.5, 0.5]]
    least = arith_float.exp(np.float32([-87]))[0]
    assert arith_float.softmax(np.float32([[-inf, 5]])).tolist() == [[float(least), 1.0]]
    with np.errstate(invalid="ignore"):
        lost = arith_float.softmax(np.float32([[nan, 1], [inf, 1], [-inf, -inf]]))
    assert np.isnan(lost).all()
