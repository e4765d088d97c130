"""Every rule of `bittrue.arith` against exact fractions, each float32 rounding written out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from bittrue import arith
from bittrue.arith import QParams

ZERO_POINTS = (0, 1, 127, 128, 254, 255)
#: (lo, hi) of a layer without a clip, with a ReLU, with a ReLU6, and of a constant.
RANGES = ((0, 255), (128, 255), (128, 209), (77, 77))
SCALES = np.float32(
    [1e-30, 2.0**-24, 1e-3, 1 / 255, 0.02, 6 / 255, 0.1, 1 / 3, 0.5, 1, 1.5, 2.3, 640 / 255, 7e5]
)


# --- the oracle ------------------------------------------------------------------------------


def fl(x: Fraction | int) -> Fraction:
    """Return x rounded once to float32, to nearest even, without a bound on the exponent above."""
    top, bottom = x.as_integer_ratio()
    if top == 0:
        return Fraction(0)
    exponent = abs(top).bit_length() - bottom.bit_length()
    if abs(top) << max(-exponent, 0) < bottom << max(exponent, 0):
        exponent -= 1
    ulp = max(exponent - 23, -149)
    bottom <<= max(ulp, 0)
    whole, rest = divmod(top << max(-ulp, 0), bottom)
    whole += 2 * rest > bottom or (2 * rest == bottom and whole % 2)
    return Fraction(whole << max(ulp, 0), 1 << max(-ulp, 0))


def exact(value: object) -> Fraction:
    """Return what a float of NumPy stands for."""
    return Fraction(float(value))  # type: ignore[arg-type]


def code(steps: Fraction, zero_point: int, lo: int = 0, hi: int = 255) -> int:
    return min(max(round(steps) + zero_point, lo), hi)


def evenly(values: np.ndarray, count: int) -> np.ndarray:
    return values[np.linspace(0, len(values) - 1, count).astype(np.int64)]


def test_the_oracle_rounds_as_the_processor_does() -> None:
    rng = np.random.default_rng(0)
    doubles = np.ldexp(rng.uniform(-1, 1, 4000), rng.integers(-150, 120, 4000))
    halves = np.ldexp(rng.integers(2**23, 2**24, 1000) + 0.5, rng.integers(-100, 90, 1000))
    for double in np.concatenate([doubles, halves]):
        assert fl(exact(double)) == exact(np.float32(double))


# --- values and codes ------------------------------------------------------------------------


def test_dequantize_rounds_the_product_once() -> None:
    codes = np.arange(256, dtype=np.uint8)
    for scale in SCALES:
        for zero_point in ZERO_POINTS:
            found = arith.dequantize(codes, scale, zero_point)
            assert found.dtype == np.float32
            assert [exact(x) for x in found] == [
                fl((q - zero_point) * exact(scale)) for q in range(256)
            ]


def test_every_code_comes_back_at_every_zero_point() -> None:
    codes = np.arange(256, dtype=np.uint8)
    rng = np.random.default_rng(1)
    scales = np.ldexp(rng.uniform(0.5, 1, 40), rng.integers(-140, 118, 40)).astype(np.float32)
    for scale in np.concatenate([SCALES, scales]):
        for zero_point in range(256):
            back = arith.quantize(arith.dequantize(codes, scale, zero_point), scale, zero_point)
            assert np.array_equal(back, codes), (scale, zero_point)


def around_ties(scale: np.float32) -> np.ndarray:
    """Return float32 values at and beside every step and every tie between two codes."""
    places = np.arange(-520, 521, dtype=np.float64) / 2 * float(scale)
    middle = places.astype(np.float32)
    below, above = (np.nextafter(middle, np.float32(end)) for end in (-np.inf, np.inf))
    return np.concatenate([below, middle, above])


@pytest.mark.parametrize("scale", [1e-3, 1 / 255, 0.1, 0.5, 1.0, 2.3])
def test_quantize_is_one_division_then_ties_to_even(scale: float) -> None:
    step = np.float32(scale)
    values = around_ties(step)
    steps = [fl(exact(x) / exact(step)) for x in values]
    for zero_point in ZERO_POINTS:
        want = [code(t, zero_point) for t in steps]
        assert arith.quantize(values, step, zero_point).tolist() == want


def quantize_by_onnx(values: np.ndarray, scale: np.float32, zero_point: int) -> np.ndarray:
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [None]),
        helper.make_tensor_value_info("s", TensorProto.FLOAT, []),
        helper.make_tensor_value_info("z", TensorProto.UINT8, []),
    ]
    result = helper.make_tensor_value_info("y", TensorProto.UINT8, [None])
    model = helper.make_model(
        helper.make_graph([node], "one", ends, [result]),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    inputs = {"x": values, "s": np.array(scale), "z": np.array(zero_point, np.uint8)}
    return np.asarray(ReferenceEvaluator(model).run(None, inputs)[0])


@pytest.mark.parametrize("zero_point", ZERO_POINTS)
def test_quantize_is_the_quantizelinear_of_onnx(zero_point: int) -> None:
    for scale in SCALES:
        values = around_ties(scale)
        want = quantize_by_onnx(values, scale, zero_point)
        assert np.array_equal(arith.quantize(values, scale, zero_point), want)


def test_quantize_of_what_no_code_reaches() -> None:
    big = np.float32([np.inf, -np.inf, 3.4e38, -3.4e38, 1e20, -1e20, np.nan, -0.0, 0.0, 1e-45])
    for zero_point in ZERO_POINTS:
        found = arith.quantize(big, np.float32([1e-3]), zero_point)
        assert found.tolist() == [255, 0] * 3 + [0] + [zero_point] * 3


def test_scales_along_an_axis_broadcast() -> None:
    held = QParams(np.float32([0.5, 2.0, 0.125]), 7)
    assert held.along(4).shape == (1, 3, 1, 1)
    values = np.float32([[1], [8], [-0.25]]).reshape(1, 3, 1, 1)
    assert arith.quantize(values, held.along(4), 7).reshape(-1).tolist() == [9, 11, 5]


@pytest.mark.parametrize("scale", [[0.0], [-1.0], [np.inf], [np.nan], [1.0, 0.0], []])
def test_scales_without_a_meaning_are_refused(scale: list[float]) -> None:
    with pytest.raises(ValueError, match="scales must be positive and finite"):
        QParams(np.float32(scale), 0)


@pytest.mark.parametrize("zero_point", [-1, 256])
def test_zero_points_that_are_no_codes_are_refused(zero_point: int) -> None:
    with pytest.raises(ValueError, match="is not in 0"):
        QParams(np.float32([1]), zero_point)


# --- requantisation --------------------------------------------------------------------------


def assert_requantized(acc: np.ndarray, multiplier: np.ndarray) -> None:
    """Fail unless `requantize` gives what fractions give, over zero points and ranges."""
    each = np.broadcast_to(multiplier, acc.shape)
    steps = [fl(fl(int(a)) * exact(m)) for a, m in zip(acc, each, strict=True)]
    whole = [round(t) for t in steps]
    for zero_point in ZERO_POINTS:
        for lo, hi in RANGES:
            found = arith.requantize(acc, multiplier, zero_point, lo, hi)
            assert found.tolist() == [min(max(t + zero_point, lo), hi) for t in whole]


@pytest.mark.parametrize("shift", [0, 1, 2, 7, 16, 22])
def test_requantize_sends_ties_to_even(shift: int) -> None:
    """acc / 2^shift: every tie between two codes, and the sums beside it."""
    ties = np.arange(-600, 601) * 2**shift // 2
    acc = np.clip((ties[:, None] + [-1, 0, 1]).reshape(-1), -(2**31), 2**31 - 1).astype(np.int32)
    assert_requantized(acc, np.float32([2.0**-shift]))


def test_requantize_rounds_the_product_before_it_rounds_to_a_code() -> None:
    """Products that float32 rounds onto a tie, from above and from below."""
    rng = np.random.default_rng(2)
    acc = rng.integers(2**18, 2**24, 3000).astype(np.int32)
    ties = (2 * rng.integers(0, 128, 3000) + 1) / 2
    multiplier = (ties / acc).astype(np.float32)
    landed = [fl(a * exact(m)) for a, m in zip(acc.tolist(), multiplier, strict=True)]
    unequal = [int(a) * exact(m) != t for a, m, t in zip(acc, multiplier, landed, strict=True)]
    on_tie = [t.denominator == 2 for t in landed]
    assert sum(a and b for a, b in zip(unequal, on_tie, strict=True)) > 100
    assert_requantized(acc, multiplier)
    assert_requantized(-acc, multiplier)


def test_requantize_of_sums_that_float32_does_not_hold() -> None:
    """Above 2^24: odd sums are ties of the conversion, which goes to even as well."""
    rng = np.random.default_rng(3)
    near = [2**k + d for k in range(24, 31) for d in (-3, -1, 0, 1, 2, 3, 5, 2 ** (k - 24), 63, 65)]
    ends = [2**31 - 1, 2**31 - 64, 2**31 - 65, 2**31 - 128, -(2**31), -(2**31) + 64]
    far = rng.integers(2**24, 2**31, 600).tolist()
    acc = np.array([*near, *(-a for a in near), *ends, *far, *(-a for a in far)], np.int32)
    assert any(fl(a) != a for a in acc.tolist())
    assert_requantized(acc, rng.uniform(0.5, 2, acc.size).astype(np.float32) * np.float32(2e-8))
    assert_requantized(acc, np.float32([2.0**-24]))
    # Sums beside one that its multiplier sends to a tie: two roundings and one differ.
    middle = rng.integers(2**24, 2**30, 40)
    multiplier = ((rng.integers(0, 99, 40) + 0.5) / middle).astype(np.float32)
    beside = (middle[:, None] + np.arange(-32, 33)).astype(np.int32)
    assert_requantized(beside.reshape(-1), np.repeat(multiplier, 65))
    single = [int(a) * exact(m) for row, m in zip(beside, multiplier, strict=True) for a in row]
    twice = [
        fl(fl(int(a)) * exact(m)) for row, m in zip(beside, multiplier, strict=True) for a in row
    ]
    assert sum(round(fl(x)) != round(y) for x, y in zip(single, twice, strict=True)) > 10


def test_requantize_over_the_whole_range_of_multipliers() -> None:
    rng = np.random.default_rng(4)
    acc = rng.integers(-(2**31), 2**31, 1500).astype(np.int32)
    acc[::3] //= 2**16
    exponents = rng.integers(-100, 30, acc.size)
    multiplier = np.ldexp(rng.uniform(1, 2, acc.size), exponents).astype(np.float32)
    assert_requantized(acc, multiplier)


def test_requantize_beyond_int32_gives_the_limits() -> None:
    acc = np.int32([2**31 - 1, -(2**31), 1, -1, 0])
    with np.errstate(over="ignore"):
        found = arith.requantize(acc, np.float32([3e38]), 9, 3, 250)
    assert found.tolist() == [250, 3, 250, 3, 9]


def test_multiplier_is_a_float64_division_rounded_once_more() -> None:
    rng = np.random.default_rng(5)
    acc_scale, out_scale = np.ldexp(rng.uniform(0.5, 1, (2, 2000)), rng.integers(-30, 9, (2, 2000)))
    out_scale = out_scale.astype(np.float32).astype(np.float64)
    found = arith.multiplier(acc_scale, out_scale)
    assert found.dtype == np.float32
    for m, a, b in zip(found, acc_scale, out_scale, strict=True):
        assert exact(m) == fl(exact(float(exact(a) / exact(b))))


# --- elementwise: all pairs of codes ---------------------------------------------------------

PAIR_A, PAIR_B = (part.reshape(-1).astype(np.uint8) for part in np.mgrid[0:256, 0:256])
#: za, zb, ma, mb, zero point, lo, hi: ties, both ends, unlike and negative factors; sums of tenths
#: land on ties by their roundings alone.
ADDITIONS = (
    (0, 0, 0.5, 0.5, 0, 0, 255),
    (128, 127, 0.5, -0.5, 128, 0, 255),
    (255, 0, 0.3, -0.2, 255, 10, 255),
    (100, 30, 0.1, 0.4, 60, 0, 255),
    (3, 250, 0.7310586, 0.26894143, 131, 131, 200),
    (128, 128, 1e-3, 1.9990001, 0, 0, 254),
    (17, 99, 2.0**-100, 0.33333334, 255, 0, 255),
)
#: za, zb, m, zero point, lo, hi.
PRODUCTS = (
    (0, 0, 0.5, 0, 0, 255),
    (128, 128, 0.0078125, 128, 0, 255),
    (255, 255, 2.0**-8, 0, 0, 255),
    (126, 130, 0.1, 128, 0, 255),
    (255, 0, 0.0039215689, 255, 0, 255),
    (121, 7, -0.0123456789, 200, 131, 200),
    (77, 200, 1.7e-5, 1, 0, 254),
)


@pytest.mark.parametrize("row", ADDITIONS)
def test_add_of_every_pair_of_codes(row: tuple[float, ...]) -> None:
    za, zb, zero_point, lo, hi = (int(row[i]) for i in (0, 1, 4, 5, 6))
    mult = np.float32([[row[2]], [row[3]]])
    ma, mb = exact(mult[0, 0]), exact(mult[1, 0])
    left = [fl((a - za) * ma) for a in range(256)]
    right = [fl((b - zb) * mb) for b in range(256)]
    want = [code(fl(x + y), zero_point, lo, hi) for x in left for y in right]
    found = arith.add(PAIR_A, PAIR_B, za, zb, mult, zero_point, lo, hi)
    assert np.array_equal(found, want)


@pytest.mark.parametrize("row", PRODUCTS)
def test_mul_of_every_pair_of_codes(row: tuple[float, ...]) -> None:
    za, zb, zero_point, lo, hi = (int(row[i]) for i in (0, 1, 3, 4, 5))
    mult = np.float32([row[2]])
    products = [(a - za) * (b - zb) for a in range(256) for b in range(256)]
    known = {p: code(fl(p * exact(mult[0])), zero_point, lo, hi) for p in set(products)}
    found = arith.mul(PAIR_A, PAIR_B, za, zb, mult, zero_point, lo, hi)
    assert np.array_equal(found, [known[p] for p in products])


#: za, zb, m, zero point, lo, hi.
QUOTIENTS = (
    (0, 0, 1.0, 0, 0, 255),
    (128, 128, 2.0, 128, 0, 255),
    (255, 0, 0.5, 255, 10, 255),
    (100, 30, 12.7, 60, 0, 255),
    (3, 250, 99.9, 131, 131, 200),
    (77, 200, 1.7e-5, 1, 0, 254),
)


@pytest.mark.parametrize("row", QUOTIENTS)
def test_div_of_every_pair_of_codes(row: tuple[float, ...]) -> None:
    za, zb, zero_point, lo, hi = (int(row[i]) for i in (0, 1, 3, 4, 5))
    mult = np.float32([row[2]])

    def quotient(a: int, b: int) -> int:
        if b == 0:
            return hi if a > 0 else lo if a < 0 else min(max(zero_point, lo), hi)
        return code(fl(fl(Fraction(a, b)) * exact(mult[0])), zero_point, lo, hi)

    known: dict[tuple[int, int], int] = {}
    pairs = [(a - za, b - zb) for a in range(256) for b in range(256)]
    for pair in pairs:
        if pair not in known:
            known[pair] = quotient(*pair)
    found = arith.div(PAIR_A, PAIR_B, za, zb, mult, zero_point, lo, hi)
    assert np.array_equal(found, [known[pair] for pair in pairs])


def test_div_of_what_is_no_number_gives_the_least_code() -> None:
    found = arith.div(np.uint8([9]), np.uint8([5]), 3, 5, np.float32([0]), 100, 7, 200)
    assert found.tolist() == [7]


@pytest.mark.parametrize("row", ADDITIONS)
def test_extremes_and_comparisons_of_every_pair_of_codes(row: tuple[float, ...]) -> None:
    za, zb, zero_point, lo, hi = (int(row[i]) for i in (0, 1, 4, 5, 6))
    mult = np.float32([[row[2]], [row[3]]])
    left = [fl((a - za) * exact(mult[0, 0])) for a in range(256)]
    right = [fl((b - zb) * exact(mult[1, 0])) for b in range(256)]
    pairs = [(x, y) for x in left for y in right]
    params = (za, zb, mult, zero_point, lo, hi)
    for rule, choose in ((arith.minimum, min), (arith.maximum, max)):
        want = [code(choose(pair), zero_point, lo, hi) for pair in pairs]
        assert np.array_equal(rule(PAIR_A, PAIR_B, *params), want)
    rules = {"equal": Fraction.__eq__, "less": Fraction.__lt__, "less_or_equal": Fraction.__le__}
    for name, holds in rules.items():
        want = [int(holds(x, y)) for x, y in pairs]
        found = arith.compare(PAIR_A, PAIR_B, za, zb, mult, name)
        assert found.dtype == np.uint8
        assert np.array_equal(found, want)


@pytest.mark.parametrize("scale", SCALES)
def test_values_of_one_scale_compare_as_their_codes(scale: float) -> None:
    mult = np.full((2, 1), scale, np.float32)
    for zero in (0, 7, 255):
        assert np.array_equal(
            arith.compare(PAIR_A, PAIR_B, zero, zero, mult, "equal"), PAIR_A == PAIR_B
        )
        assert np.array_equal(
            arith.compare(PAIR_A, PAIR_B, zero, zero, mult, "less"), PAIR_A < PAIR_B
        )


def test_products_of_two_activations_are_pythons_whole_numbers() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 256, (2, 1, 3, 5), np.uint8), rng.integers(0, 256, (4, 2, 5), np.uint8)
    found = arith.matmul(a, b, 100, 200)
    assert found.shape == (2, 4, 3, 2)
    for i, j, m, n in np.ndindex(found.shape):
        rows = zip(a[i, 0, m].tolist(), b[j, n].tolist(), strict=True)
        assert found[i, j, m, n] == sum((x - 100) * (y - 200) for x, y in rows)


def test_the_longest_product_stays_in_int32_and_one_more_would_not() -> None:
    most = np.full((1, arith.MATMUL_DEPTH_MAX), 255, np.uint8)
    assert arith.matmul(most, most, 0, 0)[0, 0] == arith.MATMUL_DEPTH_MAX * 255**2 < 2**31
    assert arith.matmul(most, most, 0, 255)[0, 0] == 0
    assert (arith.MATMUL_DEPTH_MAX + 1) * 255**2 >= 2**31


def test_resize_rounds_the_whole_sum_once_to_even() -> None:
    rng = np.random.default_rng(7)
    size = 40
    x = rng.integers(0, 256, (1, size, size, 3), np.uint8)
    later = rng.choice([0, 1, 512, 1024, 1536, 2047, 2048], (2, size))
    rows, cols = rng.integers(0, size, (2, size, 2)).astype(np.int32)
    weights = np.stack([2048 - later, later], 2).astype(np.int32)
    found = arith.resize_linear(x, rows, weights[0], cols, weights[1])
    ties = 0
    for i, j, c in np.ndindex(size, size, 3):
        total = (
            sum(
                Fraction(
                    int(weights[0, i, p] * weights[1, j, q]) * int(x[0, rows[i, p], cols[j, q], c])
                )
                for p in range(2)
                for q in range(2)
            )
            / 2**22
        )
        ties += total.denominator == 2
        assert found[0, i, j, c] == round(total)
    assert ties > 100


def test_multipliers_of_add_and_mul_run_along_the_last_axis() -> None:
    a, b = np.uint8([[10, 20, 30]]), np.uint8([[1], [2]])
    mult = np.float32([[1, 2, 3], [10, 20, 30]])
    assert arith.add(a, b, 0, 0, mult, 0, 0, 255).tolist() == [[20, 60, 120], [30, 80, 150]]
    assert arith.mul(a, b, 0, 0, mult[0], 0, 0, 255).tolist() == [[10, 40, 90], [20, 80, 180]]
