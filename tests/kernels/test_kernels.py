"""Every kernel of native/kernels.inc equals the rules of `bittrue.arith`, in every bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from bittrue.compiler.fileformat import to_bytes
from bittrue.compiler.instructions import BINARY_FUNCTIONS, BY_NAME, UNARY_FUNCTIONS
from bittrue.engines.native import Engine
from tests.kernels.check import check
from tests.kernels.places import place, run_cases
from tests.kernels.programs import (
    CASES,
    FILLS,
    Case,
    ConvShape,
    conv_case,
    conv_chain_case,
    fill_codes,
    random_window,
)
from tests.programs import Builder

SEEDS = 12
#: Output channels around tiles of 16 and 32, input channels around steps of 2 and 4.
AROUND_TILES = (1, 15, 16, 17, 31, 32, 33, 65)
AROUND_STEPS = (1, 2, 3, 4, 5, 7, 8, 13)
#: Widths around tiles of 4, 6 and 8 pixels.
WIDTHS = (1, 3, 4, 5, 6, 7, 8, 9, 13, 17)
#: Channels around tiles of 16 and 64.
DEPTHWISE = (2, 15, 16, 17, 32, 33, 63, 64, 65, 130)


@pytest.mark.parametrize("kind", sorted(CASES))
def test_instruction_equals_its_rule(kind: str, isa: str) -> None:
    for seed in range(SEEDS):
        check(CASES[kind](np.random.default_rng([seed, len(kind)])), isa, 1 + seed % 2)


@pytest.mark.parametrize("function", BINARY_FUNCTIONS)
def test_float_functions_of_two_treat_zeros_infinities_and_nan_as_the_rule(
    isa: str, function: str
) -> None:
    odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-42, -1.5, 2.0], np.float32)
    a, b = (side.reshape(-1).copy() for side in np.meshgrid(odd, odd))
    made = Builder()
    x, z, y = (made.tensor(a.shape, "float32") for _ in range(3))
    made.step("F32_BINARY", (x, z), y, function=BINARY_FUNCTIONS.index(function))
    check(Case(made.program((x, z), (y,)), (a, b)), isa)


@pytest.mark.parametrize("function", UNARY_FUNCTIONS)
def test_float_functions_of_one_treat_odd_values_as_the_rule(isa: str, function: str) -> None:
    odd = [0.0, -0.0, np.inf, -np.inf, 1e-42, -1e-42, 88.0, 89.0, -87.0, -88.0, 3e38, np.nan]
    values = np.concatenate(
        [np.array(odd, np.float32), np.linspace(-90, 90, 5001, dtype=np.float32)]
    )
    made = Builder()
    x, y = (made.tensor(values.shape, "float32") for _ in range(2))
    made.step("F32_UNARY", (x,), y, function=UNARY_FUNCTIONS.index(function))
    check(Case(made.program((x,), (y,)), (values,)), isa)


def test_copies_that_write_a_place_twice_keep_the_last_whatever_the_threads() -> None:
    """Rows of 4096 that start one element apart: place k holds row min(k, 63)'s."""
    rows, length = 64, 4096
    made = Builder()
    x, y = made.tensor((rows, length)), made.tensor((rows * length,))
    params = dict.fromkeys(BY_NAME["COPY"].params, 0) | {f"size_{axis}": 1 for axis in range(6)}
    params |= {"size_4": rows, "src_stride_4": length, "dst_stride_4": 1}
    params |= {"size_5": length, "src_stride_5": 1, "dst_stride_5": 1}
    made.step("FILL", (), y, value=0)
    made.step("COPY", (x,), y, **params)
    codes = fill_codes(np.random.default_rng(13), (rows, length), "random")
    want = np.zeros(rows * length, np.uint8)
    for row in range(rows):
        want[row : row + length] = codes[row]
    with Engine(to_bytes(made.program((x,), (y,))), threads=4) as engine:
        for _ in range(5):
            assert np.array_equal(engine.run([codes])[0][0], want)


@pytest.mark.parametrize("fill", FILLS)
def test_dense_convolution_around_its_tiles(isa: str, fill: str) -> None:
    rng = np.random.default_rng(0)
    for outputs in AROUND_TILES:
        for channels, width in zip(AROUND_STEPS, WIDTHS, strict=False):
            shape = ConvShape((1, 3, width, channels), outputs, (2, 3), pad=(1, 1, 0, 1))
            check(conv_case(rng, shape, fill=fill, classes=(2, 3)), isa)


def test_one_by_one_convolution_around_its_tiles(isa: str) -> None:
    rng = np.random.default_rng(1)
    for pixels in (*WIDTHS, 95, 96, 97, 200):
        for channels in (3, 4, 16, 17):
            check(conv_case(rng, ConvShape((2, 1, pixels, channels), 20)), isa, threads=2)


@pytest.mark.parametrize("fill", FILLS)
def test_depthwise_convolution_around_its_tiles(isa: str, fill: str) -> None:
    rng = np.random.default_rng(2)
    for channels in DEPTHWISE:
        for width in (1, 3, 4, 5, 9):
            shape = ConvShape(
                (1, 4, width, channels), channels, (3, 3), pad=(1, 1, 1, 1), groups=channels
            )
            check(conv_case(rng, shape, fill=fill, classes=(2, 1)), isa)


@pytest.mark.parametrize("groups", ["one", "each", "some"])
def test_convolution_with_any_window(isa: str, groups: str) -> None:
    rng = np.random.default_rng(3)
    for seed in range(25):
        made = random_window(rng, int(rng.choice([1, 2, 3, 4, 5, 16, 31, 33])))
        channels, outputs, count = made.x[3], int(rng.choice([1, 7, 16, 33])), 1
        if groups == "each":
            outputs = count = channels
        elif groups == "some":
            channels, outputs, count = 2 * channels, 3 * channels, channels
        shape = ConvShape(
            (*made.x[:3], channels),
            outputs,
            made.kernel,
            made.stride,
            made.dilation,
            made.pad,
            count,
        )
        classes = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        check(conv_case(rng, shape, f32=seed % 4 == 0, classes=classes), isa, 1 + seed % 3)


@pytest.mark.parametrize("weight", [-128, -127, 127])
def test_the_longest_sum_of_the_greatest_products_is_exact(isa: str, weight: int) -> None:
    """65,536 * 255 * 128 < 2**31: one step more in any factor would wrap."""
    shape = ConvShape((1, 1, 2, 65536), 17)
    weights = np.full((17, 1, 1, 65536), weight, np.int8)
    case = conv_case(np.random.default_rng(4), shape, fill="most", weight=weights, f32=True)
    bias = case.program.tensors[2].buffer
    case.program.constants[bias] = np.zeros(4 * 17, np.uint8)
    check(case, isa)


@pytest.mark.parametrize("groups", [1, 5])
def test_sums_that_pass_the_range_of_int32_wrap(isa: str, groups: int) -> None:
    shape = ConvShape((1, 2, 7, 5), 18 if groups == 1 else 5, groups=groups)
    case = conv_case(np.random.default_rng(5), shape, fill="most", f32=True)
    bias = case.program.constants[case.program.tensors[2].buffer]
    case.program.constants[case.program.tensors[2].buffer] = np.resize(
        np.array([2**31 - 1, -(2**31)], np.int32), bias.size // 4
    ).view(np.uint8)
    check(case, isa)


def test_multipliers_that_overflow_give_the_limits(isa: str) -> None:
    shape = ConvShape((1, 2, 7, 5), 18)
    case = all_codes(conv_case(np.random.default_rng(6), shape), zero_point=3)
    multiplier = case.program.tensors[5].buffer
    huge = np.resize(np.array([3e38, -3e38, 2.0**31, 1e7], np.float32), 18)
    case.program.constants[multiplier] = huge.view(np.uint8)
    check(case, isa)


def test_ties_go_to_even_against_fractions(isa: str) -> None:
    """y = rint(x / 2): half of all codes are ties; the answer comes from Fraction's rounding."""
    for channels, groups in ((16, 1), (16, 16), (6, 2)):
        shape = ConvShape((1, 16, 16, channels), channels, groups=groups)
        weight = np.zeros((channels, 1, 1, channels // groups), np.int8)
        for channel in range(channels):
            weight[channel, 0, 0, channel % (channels // groups)] = 1
        case = all_codes(conv_case(np.random.default_rng(7), shape, weight=weight), zero_point=3)
        program = case.program
        program.constants[program.tensors[2].buffer] = np.zeros(4 * channels, np.uint8)
        halves = np.full(channels, 0.5, np.float32)
        program.constants[program.tensors[5].buffer] = halves.view(np.uint8)
        check(case, isa)
        halved = np.array([round(Fraction(int(code), 2)) for code in case.inputs[0].flat])
        assert_equal_output(case, isa, halved + 3)


def all_codes(case: Case, zero_point: int) -> Case:
    """Return a case of one CONV with a zero point, its codes not clipped to any range."""
    (step,) = case.program.instructions
    step = replace(step, params=(*step.params[:-3], zero_point, 0, 255))
    return replace(case, program=replace(case.program, instructions=(step,)))


def assert_equal_output(case: Case, isa: str, want: np.ndarray) -> None:
    (tensors,) = run_cases([case], isa.partition("@")[0], place(isa))
    (output,) = case.program.outputs
    got = np.frombuffer(tensors[output], case.program.tensors[output].dtype)
    assert np.array_equal(got, want)


def test_convolution_equals_whole_numbers_of_python(isa: str) -> None:
    """A 3x3 with stride, padding and dilation, summed by hand in Python's integers."""
    shape = ConvShape((1, 6, 7, 3), 4, (3, 3), (2, 1), (1, 2), (1, 2, 1, 2))
    case = conv_case(np.random.default_rng(8), shape, f32=True)
    program, (x,) = case.program, case.inputs
    weight, bias, _, _, multiplier = (program.constant(index) for index in range(1, 6))
    height, width = shape.out
    want = np.zeros((1, height, width, 4), np.float32)
    for oy, ox, o in np.ndindex(height, width, 4):
        total = int(bias[0, 0, o])
        for ky, kx, c in np.ndindex(3, 3, 3):
            iy, ix = oy * 2 - 1 + ky, ox - 2 + kx * 2
            if 0 <= iy < 6 and 0 <= ix < 7:
                total += int(x[0, iy, ix, c]) * int(weight[o, ky, kx, c])
        want[0, oy, ox, o] = np.float32(total) * multiplier[o]
    assert_equal_output(case, isa, want.reshape(-1))


def test_padding_too_wide_to_copy_goes_to_the_general_kernel(isa: str) -> None:
    shape = ConvShape((1, 2, 2, 3), 5, (2, 2), pad=(310, 310, 310, 310))
    kernel = check(conv_case(np.random.default_rng(9), shape), isa, threads=2)
    assert kernel == "conv_general_scalar"


def test_borders_are_zero_whatever_an_earlier_copy_left(isa: str) -> None:
    """Padded copies share their memory; the first layer here fills it with bytes that are not 0."""
    ones = (1, 1, 1, 1)
    shapes = (
        ConvShape((1, 24, 24, 16), 17, (2, 2)),
        ConvShape((1, 23, 23, 17), 17, (3, 3), (2, 2), pad=ones, groups=17),
        ConvShape((1, 12, 12, 17), 33, (3, 5), (1, 2), pad=(2, 3, 1, 2)),
        ConvShape((1, 13, 7, 33), 33, (5, 3), pad=ones, groups=33),
    )
    check(conv_chain_case(np.random.default_rng(12), shapes), isa)


def test_results_do_not_depend_on_the_number_of_threads(isa: str) -> None:
    rng = np.random.default_rng(10)
    wide = conv_case(rng, ConvShape((2, 30, 31, 24), 40, (3, 3), pad=(1, 1, 1, 1)))
    deep = conv_case(rng, ConvShape((1, 5, 5, 100), 300, (3, 3), pad=(1, 1, 1, 1)))
    for threads in (1, 2, 3, 5, 16):
        check(wide, isa, threads)
        check(deep, isa, threads)


def test_every_kernel_of_a_set_is_reached(isa: str) -> None:
    rng = np.random.default_rng(11)
    runner, name = place(isa), isa.partition("@")[0]
    cases = [make(rng) for make in CASES.values()]
    for groups in (1, 8, 2):
        cases.append(conv_case(rng, ConvShape((1, 3, 3, 8), 8, groups=groups)))
    reached = {runner.run(case, name).kernels[-1] for case in cases}
    assert {kernel for owner, kernel in runner.kernels() if owner == name} <= reached
