"""What was seen of each tensor in calibration.

Statistics are frozen and do not depend on the order of the samples, apart from the rows of the
per-sample extremes. The histogram's reach is a power of two, so that growing it merges bins in
pairs and loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.arith import F32, F64

#: Least and greatest real value.
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
