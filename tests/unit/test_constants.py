"""The compiler's numbers against brute force and exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.arith import QParams
from bittrue.compiler.constants import (
    Refusal,
    Window,
    check_multipliers,
    check_sums,
    check_windows,
    classes,
    clip_codes,
    convolution_sums,
    pool_multipliers,
    zero_of_channels,
)
from bittrue.graph.model import Node

windows = st.builds(
    Window,
    size=st.integers(1, 9),
    count=st.integers(1, 9),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 4),
    pad=st.integers(-6, 6),
)


@given(windows)
def test_taps_inside_are_those_whose_place_is_inside(window: Window) -> None:
    for output, (first, end) in enumerate(window.inside()):
        places = [output * window.stride - window.pad + k * window.dilation
                  for k in range(window.kernel)]  # fmt: skip
        inside = [k for k, place in enumerate(places) if 0 <= place < window.size]
        assert list(range(first, end)) == inside


@given(windows)
def test_classes_name_each_range_once(window: Window) -> None:
    index, known = classes(window.inside())
    assert [known[number] for number in index] == window.inside()
    assert len(set(known)) == len(known) == index.max() + 1


@given(windows, windows, st.integers(0, 2**16))
def test_biases_are_rounded_once_from_the_exact_sum(rows: Window, cols: Window, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (4, rows.kernel, cols.kernel, 1)).astype(np.int8)
    bias = rng.integers(-1000, 1000, 4) / 16
    offset = rng.integers(-100, 100, 2) / 8
    scale = np.array([0.25, 0.5, 1.0, 2.0])
    x = QParams(np.array([0.5], np.float32), 7)
    zero = zero_of_channels(x, 2, offset, None)
    sums = convolution_sums(weights, bias, scale, zero, (rows, cols))
    for row, (top, bottom) in enumerate(rows.inside()):
        for col, (left, right) in enumerate(cols.inside()):
            for out in range(4):
                channel = out // 2
                code = 7 + Fraction(float(offset[channel])) / Fraction(1, 2)
                taps = weights[out, top:bottom, left:right, 0]
                exact = Fraction(float(bias[out])) / Fraction(float(scale[out]))
                exact -= int(taps.astype(int).sum()) * code
                got = sums.bias[sums.row_class[row], sums.col_class[col], out]
                assert got == round(exact)  # Python rounds ties to even, as rint does


def test_without_zero_point_borders_are_like_the_rest() -> None:
    weights = np.ones((2, 3, 3, 2), np.int8)
    window = Window(9, 9, 3, 1, 1, 1)
    plain = convolution_sums(weights, None, np.ones(2), np.zeros(2), (window, window))
    assert plain.bias.shape == (1, 1, 2)
    raised = convolution_sums(weights, None, np.ones(2), np.ones(2), (window, window))
    assert raised.bias.shape == (2, 2, 2)  # 6, 9 or 4 taps: first and last row are alike


@pytest.mark.parametrize("include", [False, True])
def test_averages_divide_by_the_taps_that_count(include: bool) -> None:
    window = Window(5, 3, 3, 2, 1, 1)  # a last window may hang over
    ends = (6, 6) if include else None
    rows, cols, multiplier = pool_multipliers(1.0, (window, window), ends)
    side = [3, 3, 3] if include else [2, 3, 2]
    for row in range(3):
        for col in range(3):
            wanted = np.float32(1 / (side[row] * side[col]))
            assert multiplier[rows[row], cols[col]] == wanted


def test_promises_hold_at_their_limits() -> None:
    weights = np.full((1, 1, 1, 1), 127, np.int8)
    most = 2**31 - 1 - 255 * 127
    one = np.ones(1, np.float32)

    def bias(value: int) -> np.ndarray:
        return np.array([[[value]]], np.int32)

    check_sums(weights, bias(most), one * np.float32(0.5), rounds=True)
    with pytest.raises(Refusal, match=r"channel 0: sums reach 2147483648"):
        check_sums(weights, bias(most + 1), one * np.float32(0.5), rounds=True)
    with pytest.raises(Refusal, match="output steps"):
        check_sums(weights, bias(most), one, rounds=True)
    check_sums(weights, bias(most), one, rounds=False)
    check_sums(weights, bias(0), one * np.float32(2.0**-100), rounds=True)
    for wrong in (2.0**-101, 0.0, -1.0, np.nan):
        with pytest.raises(Refusal, match="multiplier"):
            check_sums(weights, bias(0), one * np.float32(wrong), rounds=True)
    with pytest.raises(Refusal, match="not finite"):
        check_sums(weights, bias(0), one * np.float32(np.inf), rounds=False)
    with pytest.raises(Refusal, match="65537 products"):
        check_sums(np.ones((1, 1, 1, 65537), np.int8), bias(0), one, rounds=True)


def test_products_and_windows_at_their_limits() -> None:
    check_multipliers(np.array([2.0**-100], np.float32), 65025.0)
    check_multipliers(np.array([-(2.0**21)], np.float32), 1022.0)
    for wrong in (2.0**-101, 2.0**21, np.nan):
        with pytest.raises(Refusal):
            check_multipliers(np.array([wrong], np.float32), 1023.0)
    fine = Window(5, 5, 2**15, 2**15, 2**15, -(2**15))
    check_windows((fine, fine))
    for broken in (
        Window(5, 5, 2**15 + 1), Window(5, 5, 1, 2**15 + 1), Window(5, 5, 1, 1, 2**15 + 1),
        Window(5, 5, 1, 1, 1, -(2**15) - 1),
    ):  # fmt: skip
        with pytest.raises(Refusal):
            check_windows((fine, broken))


def test_clips_are_codes_channel_by_channel() -> None:
    node = Node("n", "Conv", (), (), {"clip": (0.0, 6.0)})
    lo, hi = clip_codes(node, QParams(np.array([0.5, 0.01], np.float32), 10))
    assert (lo.tolist(), hi.tolist()) == ([10, 10], [22, 255])
    lo, hi = clip_codes(Node("n", "Conv", (), ()), QParams(np.array([0.5], np.float32), 10))
    assert (lo.tolist(), hi.tolist()) == ([0], [255])
