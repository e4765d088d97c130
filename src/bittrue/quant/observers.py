"""Observers: how the range of a tensor, or of a channel, is estimated from what was seen of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bittrue.arith import CODE_MAX, F32
from bittrue.quant.statistics import Range, TensorStatistics

#: The least and greatest value that are to be codes.
Observer = Callable[[TensorStatistics], Range]

#: Fractions of the extremes that `least_error` tries as clipping points.
CLIP_STEPS = np.concatenate([np.linspace(0.1, 0.5, 9), np.linspace(0.525, 1.0, 20)])
#: Fractions of the extremes that `through` tries; a flat side may be cut far.
THROUGH_LOW = np.geomspace(0.03, 1.0, 14)
THROUGH_HIGH = np.geomspace(0.4, 1.0, 10)


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


OBSERVERS: dict[str, Observer] = {
    "minmax": minmax,
    "mean-minmax": mean_minmax,
    "percentile": percentile,
    "mse": mse,
    "power": power,
}
