"""Scale and zero point of one range, of the ranges of channels, and of a constant."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.quant.params import (
    CHANNEL_FLOOR,
    TRUSTED_FLOOR,
    least_scales,
    params_of_channels,
    params_of_constant,
    params_of_range,
    params_of_shared_channels,
)
from bittrue.quant.statistics import Collector


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 1.0), (0.0, 6.0), (2.0, 3.0), (-5.0, -1.0), (-0.001, 900.0)]
)
def test_zero_is_a_code_and_both_ends_are_within_one_step(low: float, high: float) -> None:
    params = params_of_range(low, high)
    step = float(params.scale[0])
    least, most = -params.zero_point * step, (255 - params.zero_point) * step
    assert 0 <= params.zero_point <= 255
    assert least <= min(low, 0) + 0.51 * step
    assert most >= max(high, 0) - 0.51 * step


def test_a_range_from_zero_has_zero_point_0_and_one_up_to_zero_has_255() -> None:
    assert params_of_range(0.0, 3.0).zero_point == 0
    assert params_of_range(1.0, 3.0).zero_point == 0
    assert params_of_range(-3.0, 0.0).zero_point == 255


@pytest.mark.parametrize("width", [0.0, 1e-45, 1e-30])
def test_a_range_of_nothing_has_steps_of_one_255th(width: float) -> None:
    params = params_of_range(0.0, width)
    assert params.scale[0] == np.float32(1 / 255)


def test_the_common_zero_point_is_the_best_of_all_256() -> None:
    low = np.array([-1.0, -0.1, -3.0, 0.0], np.float32)
    high = np.array([1.0, 4.0, 1.0, 2.0], np.float32)
    got = params_of_channels(low, high, least=np.full(4, 1e-5))

    def cost(z: int) -> float:
        total = 0.0
        for lo, hi in zip(low.tolist(), high.tolist(), strict=True):
            if (lo < 0 and z == 0) or (hi > 0 and z == 255):
                return float("inf")
            need = max(hi / (255 - z) if hi else 0, -lo / z if lo else 0)
            total += (need / (hi - lo)) ** 2
        return total

    assert got.zero_point == min(range(256), key=cost)
    real_low = -got.zero_point * got.scale
    real_high = (255 - got.zero_point) * got.scale
    assert np.all(real_low <= low + 1e-5)
    assert np.all(real_high >= high - 1e-5)


def test_dead_channels_get_the_floor() -> None:
    low, high = np.zeros(3, np.float32), np.array([0.0, 1e-9, 2.0], np.float32)
    least = np.array([0.001, 0.002, 0.003])
    got = params_of_channels(low, high, least=least)
    assert np.allclose(got.scale, [0.001, 0.002, 2 / 255])
    assert got.zero_point == 0


def test_a_small_channel_is_trusted_if_most_samples_use_it() -> None:
    collector = Collector(channels=4)
    for index in range(16):
        x = np.zeros((1, 4, 2, 2), np.float32)
        x[:, 0] = 100.0
        x[:, 1] = 0.5  # always at work
        x[:, 2] = 0.5 if index == 3 else 0.0  # once
        collector.add(x)  # the last channel is dead
    got = least_scales(collector.finish(), 1.0)
    assert got.tolist() == [TRUSTED_FLOOR, TRUSTED_FLOOR, CHANNEL_FLOOR, CHANNEL_FLOOR]


def test_a_narrow_channel_on_a_side_without_codes_keeps_its_least_scale() -> None:
    low, high = np.array([0.0, -0.001], np.float32), np.array([10.0, 0.0], np.float32)
    got = params_of_channels(low, high, least=np.full(2, 0.001))
    assert got.zero_point == 0
    assert np.allclose(got.scale, [10 / 255, 0.001])


def test_channels_that_meet_in_sums_have_scales_a_quarter_of_the_way_to_their_own() -> None:
    low = np.array([0, 0, 0, 0], np.float32)
    high = np.array([0.01, 1, 4, 1000], np.float32)  # the last is cut off by the tensor's range
    whole = params_of_range(0, 4)
    least = np.full(4, 0.03 * float(whole.scale[0]))
    got = params_of_shared_channels(low, high, whole=whole, least=least)
    step = 4 / 255
    expected = [step * 0.03**0.25, step * 0.25**0.25, step, step]
    np.testing.assert_allclose(got.scale, expected, rtol=1e-6)
    assert got.zero_point == whole.zero_point == 0


def test_channels_that_meet_in_sums_keep_the_tensors_zero_point_and_fit_on_both_sides() -> None:
    low = np.array([-1, -0.5, 0], np.float32)
    high = np.array([3, 0.1, 0.2], np.float32)
    whole = params_of_range(-1, 3)
    got = params_of_shared_channels(low, high, whole=whole, least=np.full(3, 1e-6))
    assert got.zero_point == whole.zero_point
    room = float(whole.scale[0]) * 1.01  # half a step of rounding of the zero point
    assert np.all((0 - got.zero_point) * got.scale <= low + room)
    assert np.all((255 - got.zero_point) * got.scale >= high - room)
    assert np.all(got.scale <= whole.scale)


def test_codes_of_a_constant_hold_its_ends_and_zero() -> None:
    for low, high, zero in ((1.0, 3.0, 0), (-2.55, 0.0, 255), (-1.0, 3.0, 64), (0.0, 0.0, 0)):
        assert params_of_constant(np.array([low, high], np.float32)).zero_point == zero


def test_zeros_have_steps_of_1_as_a_constant_and_of_one_255th_as_a_dead_tensor() -> None:
    assert params_of_constant(np.zeros(3, np.float32)).scale[0] == 1.0
    assert params_of_constant(np.array([1e-30], np.float32)).scale[0] == np.float32(1e-30 / 255)
    assert params_of_range(0.0, 1e-30).scale[0] == np.float32(1 / 255)
