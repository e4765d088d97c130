"""Statistics of tensors, and the ranges that are estimated from them."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.quant.observers import (
    OBSERVERS,
    mean_minmax,
    minmax,
    mse,
    percentile,
    through,
)
from bittrue.quant.statistics import BINS, CHANNEL_BINS, Collector, TensorStatistics


def seen(arrays: list[np.ndarray], *, channels: int = 0) -> TensorStatistics:
    collector = Collector(channels=channels)
    for array in arrays:
        collector.add(array.astype(np.float32))
    return collector.finish()


def normal(count: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, count).astype(np.float32)


def error_of(x: np.ndarray, low: float, high: float) -> float:
    step = (high - low) / 255
    codes = np.clip(np.rint(x / step), np.rint(low / step), np.rint(high / step))
    return float(((codes * step - x) ** 2).sum())


def test_the_histogram_does_not_depend_on_the_order_of_samples() -> None:
    arrays = [normal(500, scale, seed) for seed, scale in enumerate((0.1, 30.0, 2.0))]
    one, other = seen(arrays), seen(arrays[::-1])
    assert one.reach == other.reach
    assert np.array_equal(one.counts, other.counts)


def test_the_histogram_counts_every_element_once_and_zeros_apart() -> None:
    x = np.concatenate([normal(1000), np.zeros(50), [-7.9, 7.9]])
    got = seen([x])
    assert got.counts.sum() == 1002
    assert got.zeros == 50
    wanted, _ = np.histogram(x[x != 0], bins=BINS, range=(-got.reach, got.reach))
    assert np.array_equal(got.counts, wanted)


def test_a_value_at_a_power_of_two_is_inside_the_histogram() -> None:
    got = seen([np.array([4.0, -4.0, 1.0])])
    assert got.counts.sum() == 3
    assert got.reach == 8.0


def test_minmax_and_mean_minmax_on_plain_numbers() -> None:
    got = seen([np.array([-1.0, 3.0]), np.array([-3.0, 5.0])])
    assert minmax(got) == (-3.0, 5.0)
    assert mean_minmax(got) == (-2.0, 4.0)


def test_percentile_leaves_out_a_lone_outlier_and_no_more() -> None:
    x = np.concatenate([np.linspace(-1, 1, 60_001), [90.0]])
    low, high = percentile(seen([x]), 99.99)
    assert -1.0 <= low < -0.9
    assert 0.9 < high < 1.1


def test_percentile_never_leaves_the_extremes() -> None:
    got = seen([np.array([0.5, 0.6])])
    low, high = percentile(got)
    assert 0.0 <= low <= 0.5
    assert high == pytest.approx(0.6)


def test_mse_is_within_two_percent_of_the_best_of_a_fine_search_by_brute_force() -> None:
    x = np.concatenate([normal(60_000), [-30.0, 40.0]]).astype(np.float32)
    low, high = mse(seen([x]))
    fine = [
        error_of(x, a * x.min(), b * x.max())
        for a in np.linspace(0.1, 1, 40)
        for b in np.linspace(0.1, 1, 40)
    ]
    assert error_of(x, low, high) <= 1.02 * min(fine)
    assert error_of(x, low, high) < 0.9 * error_of(x, float(x.min()), float(x.max()))


def test_mse_of_a_relu_keeps_zero_as_its_lower_end() -> None:
    low, high = mse(seen([np.maximum(normal(5000), 0)]))
    assert low == 0.0
    assert 0 < high <= 5


def test_through_a_silu_spends_no_codes_where_the_function_is_flat() -> None:
    x = (normal(30_000, 8.0) - 10).astype(np.float32)

    def silu(v: np.ndarray) -> np.ndarray:
        return np.asarray(v / (1 + np.exp(-v)), np.float32)

    low, high = through(seen([x]), silu)
    assert x.min() < -35
    assert -20 < low < -3
    plain = mse(seen([x]))

    def left(ends: tuple[float, float]) -> float:
        step = (ends[1] - ends[0]) / 255
        codes = np.clip(np.rint(x / step), np.rint(ends[0] / step), np.rint(ends[1] / step))
        return float(((silu((codes * step).astype(np.float32)) - silu(x)) ** 2).sum())

    assert left((low, high)) < 0.8 * left(plain)


def test_channels_have_their_own_extremes() -> None:
    x = np.stack([np.full((4, 4), 1.0), np.full((4, 4), -2.0)])[None]
    got = seen([x, 3 * x], channels=2)
    assert [minmax(channel) for channel in got.channels] == [(1.0, 3.0), (-6.0, -2.0)]
    assert [mean_minmax(channel) for channel in got.channels] == [(2.0, 2.0), (-4.0, -4.0)]


def test_each_channels_histogram_has_its_own_reach_and_is_exact() -> None:
    x = np.stack([normal(1500), normal(1500, 50.0, 1)])[None]
    got = seen([x, 2 * x], channels=2)
    for row, channel in enumerate(got.channels):
        both = np.concatenate([x[0, row], 2 * x[0, row]])
        wanted, _ = np.histogram(both, bins=CHANNEL_BINS, range=(-channel.reach, channel.reach))
        assert np.array_equal(channel.counts, wanted)
    assert got.channels[0].reach < got.channels[1].reach == got.reach


@pytest.mark.parametrize("name", sorted(OBSERVERS))
@pytest.mark.parametrize("value", [0.0, 5.0, -5.0, 1e-38, 1e30])
def test_every_observer_bears_a_constant_tensor(name: str, value: float) -> None:
    low, high = OBSERVERS[name](seen([np.full(10, value)]))
    assert np.isfinite(low)
    assert np.isfinite(high)
    assert low <= high
