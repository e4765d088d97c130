"""The engine against `bittrue.arith` over every pair of codes, and over dense sweeps of floats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bittrue import arith, arith_float
from bittrue.compiler.fileformat import to_bytes
from bittrue.compiler.instructions import COMPARE_FUNCTIONS, UNARY_FUNCTIONS
from bittrue.engines.native import Engine
from bittrue.engines.native_library import available_isas
from tests.programs import Builder

ZERO_POINTS = (0, 1, 128, 255)
#: ma, mb and m: powers of two make ties common, tenths land on ties by their roundings alone.
FACTORS = ((0.5, 0.5), (0.5, -0.25), (0.1, 0.4), (0.3, -0.2), (1.5, 0.7310586), (1e-3, 1.9990001))
PRODUCT_FACTORS = (0.5, 0.1, 2.0**-8, 1 / 255, -0.0123456789)
SWEEP_STEP = 4001


@pytest.fixture(params=available_isas())
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run_step(
    isa: str,
    kind: str,
    inputs: Sequence[np.ndarray],
    constants: Sequence[np.ndarray],
    output: tuple[tuple[int, ...], str],
    **params: int,
) -> np.ndarray:
    """Run one instruction in the engine."""
    made = Builder()
    given = tuple(made.tensor(array.shape, array.dtype.name) for array in inputs)
    fixed = tuple(made.constant(array) for array in constants)
    y = made.tensor(*output)
    made.step(kind, given + fixed, y, **params)
    with Engine(to_bytes(made.program(given, (y,))), isa, 2) as engine:
        (found,), _ = engine.run(inputs)
    return found


# --- codes -----------------------------------------------------------------------------------

ALL = np.arange(256, dtype=np.uint8)
#: Every pair of codes, once broadcast and once not.
PAIRS = (
    (ALL[:, None], ALL[None, :]),
    (np.repeat(ALL, 256).reshape(256, 256), np.tile(ALL, 256).reshape(256, 256)),
)


@pytest.mark.parametrize("pair", PAIRS, ids=["broadcast", "alike"])
@pytest.mark.parametrize("factors", FACTORS)
def test_add_of_every_pair_of_codes(
    isa: str, pair: tuple[np.ndarray, np.ndarray], factors: tuple[float, float]
) -> None:
    mult = np.float32(factors).reshape(2, 1)
    for za, zb, zero in zip(ZERO_POINTS, ZERO_POINTS[::-1], (128, 255, 0, 1), strict=True):
        limits = {"zero_point": zero, "lo": min(zero, 3), "hi": 254}
        want = arith.add(*pair, za, zb, mult, *limits.values())
        shape = ((256, 256), "uint8")
        found = run_step(isa, "ADD", pair, [mult], shape, zero_a=za, zero_b=zb, **limits)
        assert np.array_equal(found, want)


@pytest.mark.parametrize("pair", PAIRS, ids=["broadcast", "alike"])
@pytest.mark.parametrize("factor", PRODUCT_FACTORS)
def test_mul_of_every_pair_of_codes(
    isa: str, pair: tuple[np.ndarray, np.ndarray], factor: float
) -> None:
    mult = np.float32([factor])
    for za, zb, zero in zip(ZERO_POINTS, ZERO_POINTS[::-1], (128, 255, 0, 1), strict=True):
        limits = {"zero_point": zero, "lo": min(zero, 3), "hi": 254}
        want = arith.mul(*pair, za, zb, mult, *limits.values())
        shape = ((256, 256), "uint8")
        found = run_step(isa, "MUL", pair, [mult], shape, zero_a=za, zero_b=zb, **limits)
        assert np.array_equal(found, want)


@pytest.mark.parametrize("pair", PAIRS, ids=["broadcast", "alike"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 12.7, 100.0, -3.3])
def test_div_of_every_pair_of_codes(
    isa: str, pair: tuple[np.ndarray, np.ndarray], factor: float
) -> None:
    mult = np.float32([factor])
    for za, zb, zero in zip(ZERO_POINTS, ZERO_POINTS[::-1], (128, 255, 0, 1), strict=True):
        limits = {"zero_point": zero, "lo": min(zero, 3), "hi": 254}
        want = arith.div(*pair, za, zb, mult, *limits.values())
        shape = ((256, 256), "uint8")
        found = run_step(isa, "DIV", pair, [mult], shape, zero_a=za, zero_b=zb, **limits)
        assert np.array_equal(found, want)


@pytest.mark.parametrize("pair", PAIRS, ids=["broadcast", "alike"])
@pytest.mark.parametrize("factors", [*FACTORS, (0.1, 0.1)])
def test_extremes_and_comparisons_of_every_pair_of_codes(
    isa: str, pair: tuple[np.ndarray, np.ndarray], factors: tuple[float, float]
) -> None:
    mult, shape = np.float32(factors).reshape(2, 1), ((256, 256), "uint8")
    for za, zb, zero in zip(ZERO_POINTS, ZERO_POINTS[::-1], (128, 255, 0, 1), strict=True):
        zeros = {"zero_a": za, "zero_b": zb}
        limits = {"zero_point": zero, "lo": min(zero, 3), "hi": 254}
        for kind, rule in (("MIN", arith.minimum), ("MAX", arith.maximum)):
            want = rule(*pair, za, zb, mult, *limits.values())
            found = run_step(isa, kind, pair, [mult], shape, **zeros, **limits)
            assert np.array_equal(found, want)
        for index, function in enumerate(COMPARE_FUNCTIONS):
            want = arith.compare(*pair, za, zb, mult, function)
            found = run_step(isa, "COMPARE", pair, [mult], shape, **zeros, function=index)
            assert np.array_equal(found, want)


@pytest.mark.parametrize("zero_a", ZERO_POINTS)
def test_the_longest_product_of_two_activations(isa: str, zero_a: int) -> None:
    """Sums to 33,025 * 255 * 255: one product more could wrap."""
    ends = np.uint8([[0], [255], [7]])
    a = np.repeat(ends, arith.MATMUL_DEPTH_MAX, axis=1)
    mult = np.float32([2.0**-20])
    for zero_b in ZERO_POINTS:
        params = {"zero_a": zero_a, "zero_b": zero_b, "zero_point": 0, "lo": 0, "hi": 0}
        found = run_step(isa, "MATMUL", [a, a], [mult], ((3, 3), "float32"), **params)
        exact = (ends.astype(int) - zero_a) * (ends.astype(int).T - zero_b)
        want = np.float32(exact * arith.MATMUL_DEPTH_MAX) * mult
        assert np.array_equal(found, want)


@pytest.mark.parametrize("zero_point", ZERO_POINTS)
def test_codes_to_floats_and_back(isa: str, zero_point: int) -> None:
    scale = np.float32([1e-3, 1 / 255, 0.1, 0.5, 1.0, 2.3])  # one a column
    codes = np.repeat(ALL[:, None], scale.size, axis=1)
    shape = codes.shape
    values = run_step(
        isa, "DEQUANTIZE", [codes], [scale], (shape, "float32"), zero_point=zero_point
    )
    assert np.array_equal(values, arith.dequantize(codes, scale, zero_point))
    half = ((np.arange(-520, 521) / 2)[:, None] * scale).astype(np.float32)  # steps and ties
    beside = [np.nextafter(half, np.float32(end)) for end in (-np.inf, np.inf)]
    odd = np.float32([np.inf, -np.inf, np.nan, -0.0, 3e38, -3e38, 1e-45])
    rows = np.concatenate([half, *beside, np.repeat(odd[:, None], scale.size, axis=1)])
    given = run_step(isa, "QUANTIZE", [rows], [scale], (rows.shape, "uint8"), zero_point=zero_point)
    assert np.array_equal(given, arith.quantize(rows, scale, zero_point))


# --- requantisation of a convolution ---------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 32])
@pytest.mark.parametrize("about", [0, 2**20, 2**24, 2**25, 2**28, 2**30])
def test_every_code_through_a_convolution_beside_a_tie(isa: str, groups: int, about: int) -> None:
    """acc = bias + code, with multipliers that send its middle to a tie: roundings decide."""
    channels, repeats = 32, 64
    rng = np.random.default_rng(about + groups)
    middle = about + rng.integers(64, 4096, channels)
    x = np.tile(np.repeat(ALL[:, None], channels, axis=1), (1, repeats)).reshape(
        1, 256, repeats, channels
    )
    weight = np.eye(channels, dtype=np.int8) if groups == 1 else np.ones((channels, 1), np.int8)
    sign = rng.choice([-1, 1], channels)
    bias = (sign * middle - 128).astype(np.int32)
    multiplier = ((rng.integers(0, 99, channels) + 0.5) / middle).astype(np.float32)
    codes = {"zero_point": 100, "lo": 2, "hi": 250}
    constants = [
        weight.reshape(channels, 1, 1, -1),
        bias.reshape(1, 1, channels),
        np.zeros(256, np.int32),
        np.zeros(repeats, np.int32),
        multiplier,
    ]
    window = dict.fromkeys(("stride_h", "stride_w", "dilation_h", "dilation_w"), 1)
    window |= {"pad_top": 0, "pad_left": 0, "groups": groups}
    found = run_step(isa, "CONV", [x], constants, (x.shape, "uint8"), **window, **codes)
    want = arith.requantize(x.astype(np.int32) + bias, multiplier, *codes.values())
    assert np.array_equal(found, want)


# --- floats ----------------------------------------------------------------------------------


def every_kind_of_float() -> np.ndarray:
    """Return every 4,001st bit pattern of all float32, and as many between -90 and 90."""
    patterns = np.arange(0, 2**32, SWEEP_STEP, dtype=np.uint64).astype(np.uint32)
    near = np.random.default_rng(0).uniform(-90, 90, 2**20).astype(np.float32)
    return np.concatenate([patterns.view(np.float32), near])


@pytest.mark.parametrize("function", UNARY_FUNCTIONS)
def test_function_of_every_kind_of_float(isa: str, function: str) -> None:
    x = every_kind_of_float()
    params = {"function": UNARY_FUNCTIONS.index(function)}
    found = run_step(isa, "F32_UNARY", [x], [], (x.shape, "float32"), **params)
    with np.errstate(all="ignore"):
        want = arith_float.UNARY[function](x)
    assert np.isnan(want).any()
    bits = np.where(np.isnan(want), np.uint32(0x7FC00000), want.view(np.uint32))
    assert np.array_equal(found.view(np.uint32), bits)


def test_softmax_of_many_rows(isa: str) -> None:
    rng = np.random.default_rng(1)
    for length in (1, 2, 15, 16, 17, 80, 1000):
        x = (rng.standard_normal((2**17 // length, length)) * 12).astype(np.float32)
        found = run_step(isa, "F32_SOFTMAX", [x], [], (x.shape, "float32"))
        assert np.array_equal(found.view(np.uint32), arith_float.softmax(x).view(np.uint32))
