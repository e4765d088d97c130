"""What was seen of each tensor in calibration, and the estimators of its range.

Statistics are frozen and do not depend on the order of the samples, apart from the rows of the
per-sample extremes. The histogram's reach is a power of two, so that growing it merges bins in
pairs and loses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.arith import CODE_MAX

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Range = tuple[float, float]

#: Bins of a tensor's histogram over [-reach, reach): 2048 on either side of zero.
BINS = 4096
#: Elements of one tensor of one sample that enter the histogram; the extremes see all of them.
HISTOGRAM_ELEMENTS = 2**16
#: The same for one channel.
CHANNEL_BINS = 1024
CHANNEL_ELEMENTS = 2**11
#: Reaches below this are not told apart from zero: smallest scales stay far from denormals.
REACH_MIN = 2.0**-60
#: Fractions of the extremes that `least_error` tries as clipping points.
CLIP_STEPS = np.concatenate([np.linspace(0.1, 0.5, 9), np.linspace(0.525, 1.0, 20)])


#: Fractions of the extremes that `through` tries; a flat side may be cut far.
THROUGH_LOW = np.geomspace(0.03, 1.0, 14)
THROUGH_HIGH = np.geomspace(0.4, 1.0, 10)


@dataclass(frozen=True, slots=True)
class TensorStatistics:
    """What one tensor, or one channel of it, held over all samples.

    Args:
        sample_min: float32 [n], least value of each sample.
        sample_max: float32 [n], greatest value of each sample.
        counts: int64 [bins], elements that fell in each bin; exact zeros are not counted.
        reach: The histogram spans [-reach, reach); a power of two.
        zeros: Elements looked at that were exactly zero.
        channels: The same for each channel (axis 1); empty where that was not asked.
    """

    sample_min: F32
    sample_max: F32
    counts: NDArray[np.int64]
    reach: float
    zeros: int
    channels: tuple[TensorStatistics, ...] = ()

    @property
    def extremes(self) -> Range:
        """Least and greatest value of all samples."""
        return float(self.sample_min.min()), float(self.sample_max.max())

    @property
    def width(self) -> float:
        """Width of one bin."""
        return 2 * self.reach / self.counts.size

    def centres(self) -> F64:
        """Return the middle of each bin, float64 [bins]."""
        bins = np.arange(self.counts.size)
        return np.asarray((bins + 0.5) * self.width - self.reach, np.float64)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What was seen of each float32 tensor of a graph.

    Args:
        tensors: By value name.
        samples: How many samples were run.
    """

    tensors: Mapping[str, TensorStatistics]
    samples: int


class Collector:
    """Adds up one tensor's statistics sample by sample; `finish` freezes them.

    Args:
        channels: How many channels are looked at on their own; 0 for none.
    """

    def __init__(self, *, channels: int = 0) -> None:
        """Start with nothing seen."""
        self._whole = _Rows(1, BINS)
        self._channels = _Rows(channels, CHANNEL_BINS)

    def add(self, array: NDArray[np.float32]) -> None:
        """Count one sample's tensor: float32, any shape, finite, at least one element."""
        self._whole.add(array.reshape(1, -1), HISTOGRAM_ELEMENTS)
        if len(self._channels.reach):
            rows = np.moveaxis(array, 1, 0).reshape(array.shape[1], -1)  # [C, rest]
            self._channels.add(rows, CHANNEL_ELEMENTS)

    def finish(self) -> TensorStatistics:
        """Return what was seen."""
        return replace(self._whole.finish()[0], channels=self._channels.finish())


class _Rows:
    """Extremes and histograms of several rows of numbers at once."""

    def __init__(self, rows: int, bins: int) -> None:
        self.reach = np.full(rows, REACH_MIN)
        self._counts = np.zeros((rows, bins), np.int64)
        self._zeros = np.zeros(rows, np.int64)
        self._low: list[F32] = []
        self._high: list[F32] = []

    def add(self, values: F32, elements: int) -> None:
        """Count values [rows, n]; about `elements` of each row enter the histogram."""
        self._low.append(values.min(axis=1))
        self._high.append(values.max(axis=1))
        self._grow(np.maximum(-self._low[-1], self._high[-1]).astype(np.float64))
        # An odd stride does not run in step with the rows of a picture.
        part = values[:, :: max(1, values.shape[1] // elements) | 1].astype(np.float64)
        rows, bins = self._counts.shape
        places = np.floor(part * (bins / 2 / self.reach)[:, None]).astype(np.int64) + bins // 2
        places += np.arange(rows)[:, None] * bins
        used = part != 0
        self._zeros += (~used).sum(axis=1)
        counted = np.bincount(places[used], minlength=rows * bins)
        self._counts += counted.reshape(rows, bins)

    def _grow(self, largest: F64) -> None:
        bins = self._counts.shape[1]
        counted = self._counts.any()  # at the first sample there is nothing to join
        while (short := self.reach <= largest).any():
            if counted:
                pairs = self._counts[short].reshape(-1, bins // 2, 2).sum(axis=2)
                self._counts[short] = np.pad(pairs, ((0, 0), (bins // 4, bins // 4)))
            self.reach[short] *= 2

    def finish(self) -> tuple[TensorStatistics, ...]:
        """Return the statistics of each row."""
        rows = range(len(self.reach))
        low, high = np.array(self._low, np.float32), np.array(self._high, np.float32)  # [n, rows]
        return tuple(
            TensorStatistics(
                low[:, row],
                high[:, row],
                self._counts[row],
                float(self.reach[row]),
                int(self._zeros[row]),
            )
            for row in rows
        )


# --- estimators ------------------------------------------------------------------------------


def minmax(seen: TensorStatistics) -> Range:
    """Return the least and greatest value of all samples."""
    return seen.extremes


def mean_minmax(seen: TensorStatistics) -> Range:
    """Return the mean of the samples' least and the mean of their greatest values."""
    return float(seen.sample_min.mean()), float(seen.sample_max.mean())


def percentile(seen: TensorStatistics, percent: float = 99.99) -> Range:
    """Return the range outside of which (100 - percent) % of the elements lie on either side.

    Precise to one bin of the histogram, and never wider than the extremes.
    """
    low, high = seen.extremes
    total = int(seen.counts.sum()) + seen.zeros
    spare = total * (1.0 - percent / 100.0)
    width = seen.width
    below = np.cumsum(seen.counts)  # [BINS], elements in bins 0..i
    above = np.cumsum(seen.counts[::-1])
    cut_low = int(np.searchsorted(below, spare, side="right")) * width - seen.reach
    cut_high = seen.reach - int(np.searchsorted(above, spare, side="right")) * width
    return max(low, min(cut_low, 0.0)), min(high, max(cut_high, 0.0))


def mse(seen: TensorStatistics) -> Range:
    """Return the range that minimises the mean squared error of 256 codes; see `least_error`."""
    return least_error(seen, 2.0)


def power(seen: TensorStatistics) -> Range:
    """Return the range that minimises the mean of the error to the power 1.5; see `least_error`.

    It clips more than `mse`: a lone peak that is cut hurts a network less than noise everywhere.
    Measured, SQNR of the outputs: mobilenet_v2 20.2 dB (mse 17.7, percentile 20.0, minmax 15.8),
    yolox_nano_640 15.8 dB (mse 10.6, percentile 14.5, minmax 10.3).
    """
    return least_error(seen, 1.5)


def least_error(seen: TensorStatistics, exponent: float) -> Range:
    """Return the range that minimises the mean of |error|^p on the histogram.

    Inside the range the error of a value that is not zero is even between -s/2 and s/2, so that
    |error|^p is (s/2)^p / (p+1) on average; outside it is the distance from the range. Both ends
    are searched together over CLIP_STEPS of the extremes.

    Args:
        seen: The tensor or channel.
        exponent: p, positive.
    """
    low, high = (min(seen.extremes[0], 0.0), max(seen.extremes[1], 0.0))
    used = seen.counts > 0
    centres, counts = seen.centres()[used], seen.counts[used].astype(np.float64)
    lows = low * CLIP_STEPS if low < 0 else np.zeros(1)
    highs = high * CLIP_STEPS if high > 0 else np.zeros(1)
    below, above = centres < 0, centres > 0
    cut_low = np.maximum(lows[:, None] - centres[below], 0)
    cut_high = np.maximum(centres[above] - highs[:, None], 0)
    outside_low = cut_low**exponent @ counts[below]  # [lows]
    outside_high = cut_high**exponent @ counts[above]  # [highs]
    steps = (highs[None, :] - lows[:, None]) / CODE_MAX  # [lows, highs]
    inside = counts.sum() * (steps / 2) ** exponent / (exponent + 1)
    error = outside_low[:, None] + outside_high[None, :] + inside
    row, column = np.unravel_index(int(np.argmin(error)), error.shape)
    return float(lows[row]), float(highs[column])


def through(seen: TensorStatistics, function: Callable[[F32], F32]) -> Range:
    """Return the range that minimises the error that is left after an elementwise function.

    For a tensor that only one function reads (a SiLU's input): what the function flattens
    needs no codes. Pairs of ends are tried on the histogram's bins.

    Args:
        seen: The function's input.
        function: float32 [k] to float32 [k], elementwise.
    """
    counts = seen.counts.astype(np.float64)
    used = counts > 0
    if not used.any():
        return seen.extremes
    x, weight = seen.centres()[used].astype(np.float32), counts[used]
    exact = function(x).astype(np.float64)
    low, high = (min(seen.extremes[0], 0.0), max(seen.extremes[1], 0.0))
    best = (math.inf, (low, high))
    for start in np.unique(low * THROUGH_LOW):
        for stop in np.unique(high * THROUGH_HIGH):
            step = np.float32(stop - start) / np.float32(CODE_MAX)
            if step <= 0:
                continue
            first = np.rint(start / step)
            table = function((np.arange(CODE_MAX + 1, dtype=np.float32) + first) * step)
            codes = np.clip(np.rint(x / step) - first, 0, CODE_MAX).astype(np.int64)
            error = float(weight @ (table[codes] - exact) ** 2)
            best = min(best, (error, (float(start), float(stop))))
    return best[1]


@dataclass(frozen=True, slots=True)
class Observer:
    """One way to estimate ranges, of tensors and of channels.

    Args:
        name: What users call it.
        estimate: Least and greatest value that are to be codes.
    """

    name: str
    estimate: Callable[[TensorStatistics], Range]


OBSERVERS: dict[str, Observer] = {
    row.name: row
    for row in (
        Observer("minmax", minmax),
        Observer("mean-minmax", mean_minmax),
        Observer("percentile", percentile),
        Observer("mse", mse),
        Observer("power", power),
    )
}
