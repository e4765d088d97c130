"""What a prediction leaves unexplained of what a device gave, in units of the ordinary noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.boxes import box_axis
from bittrue.diagnosis.noise import FLOOR
from bittrue.diagnosis.readings import Forward, Reading

F64 = NDArray[np.float64]
#: A fitted scale this near to 1, with no offset, is no mistake.
UNIT = 0.1
#: An affine map that leaves more than this share of the spread is none.
UNLIKE = 0.15
#: Fewer different numbers than this, over all frames, are no line.
FEWEST = 8
#: Squares of single elements are cut off here, in units of noise: a few elements must not decide.
MOST = 1e6


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one output of one frame under one reading.

    Args:
        reading: Which.
        residual: Mean square of what is left over the noise's.
        values: The device's output as read, after a fit.
        factor: The fitted scale; 1 where nothing was fitted.
        offset: The fitted offset.
    """

    reading: Reading
    residual: float
    values: F64
    factor: float = 1.0
    offset: float = 0.0


def left_over(
    rows: Sequence[Reading],
    predicted: Sequence[F64],
    noise: F64,
    carried: Callable[[Reading], F64],
) -> tuple[Left, ...] | None:
    """Return what predictions leave of one output; None where the reading makes no sense of it.

    What is fitted is fitted to all frames together: a scale is the same in each.

    Args:
        rows: One reading of the device's output, in each frame.
        predicted: The same output as our own pipeline gives it, in each frame.
        noise: Power of this output's noise.
        carried: Returns the noise behind a reading's `forward`.
    """
    if not all(np.isfinite(row.values).all() for row in rows):
        return None
    if rows[0].fit == "affine":
        return _affine(rows, predicted, noise)
    if rows[0].fit == "boxes":
        return _boxes(rows, predicted, noise)
    found = []
    for row, expected in zip(rows, predicted, strict=True):
        left = _plain(row, expected, noise, carried)
        if row.also is not None:
            left = max(left, _plain(row.also, expected, noise, carried))
        found.append(Left(row, left, row.values))
    return tuple(found)


def _plain(
    reading: Reading, predicted: F64, noise: F64, carried: Callable[[Reading], F64]
) -> float:
    if not np.isfinite(reading.values).all():
        return math.inf
    if reading.forward is None:
        return mean_square(reading.values - predicted, noise)
    return mean_square(reading.values - reading.forward(predicted), carried(reading))


def mean_square(gap: F64, power: F64) -> float:
    """Return the mean of squares in units of noise, each cut off at MOST."""
    return float(np.minimum(np.square(gap) / power, MOST).mean())


def carried_noise(function: Forward, noise: F64, pairs: Sequence[tuple[F64, F64]]) -> F64:
    """Return the noise after a function: that of values as far from the exact ones as the noise.

    Args:
        function: Of an output.
        noise: Its power before it.
        pairs: What the float and the integer network give for what was meant, a pair a frame.
    """
    moved, level = [], []
    for exact, coded in pairs:
        gap = coded - exact
        if not gap.any():  # no integer network: noise of the size that is assumed
            gap = np.random.default_rng(0).normal(size=exact.shape) * np.sqrt(noise)
        scale = np.sqrt(noise.mean() / max(float(np.square(gap).mean()), 1e-30))
        expected = function(exact)
        moved.append(float(np.square(function(exact + gap * scale) - expected).mean()))
        level.append(float(np.square(expected).mean()))
    return np.array(max(float(np.mean(moved)), FLOOR * float(np.mean(level)), 1e-30))


def _affine(
    rows: Sequence[Reading], predicted: Sequence[F64], noise: F64
) -> tuple[Left, ...] | None:
    p = np.concatenate([row.reshape(-1) for row in predicted])
    d = np.concatenate([row.values.reshape(-1) for row in rows])
    if np.unique(p).size < FEWEST:
        return None
    centred = p - p.mean()
    spread = float(np.square(centred).sum())
    if spread <= 0:
        return None
    factor = float((centred * (d - d.mean())).sum()) / spread
    offset = float(d.mean() - factor * p.mean())
    near = abs(factor - 1) < UNIT and abs(offset) < UNIT * float(np.sqrt(spread / p.size))
    if factor <= 0 or near:
        return None
    rest = d - factor * p - offset
    if float(np.square(rest).sum()) > UNLIKE * float(np.square(d - d.mean()).sum()):
        return None  # no line: a fit would explain anything
    found = []
    for row, expected in zip(rows, predicted, strict=True):
        values = (row.values - offset) / factor
        left = mean_square(values - expected, noise)
        found.append(Left(row, left, values, factor, offset))
    return tuple(found)


def _boxes(
    rows: Sequence[Reading], predicted: Sequence[F64], noise: F64
) -> tuple[Left, ...] | None:
    """Fit one factor for x and width, one for y and height, through 0."""
    axis = box_axis(predicted[0].shape, beside=True)
    if axis is None or np.unique(np.stack(predicted)).size < FEWEST:
        return None
    p = np.stack([np.moveaxis(row, axis, 0) for row in predicted], axis=1)
    d = np.stack([np.moveaxis(row.values, axis, 0) for row in rows], axis=1)
    factors = []
    for pair in ([0, 2], [1, 3]):
        power = float(np.square(p[pair]).sum())
        factor = float((p[pair] * d[pair]).sum()) / power if power > 0 else 0.0
        if factor <= 0:
            return None
        factors.append(factor)
        d[pair] /= factor
    if all(abs(factor - 1) < UNIT for factor in factors):
        return None
    found = []
    for index, (row, expected) in enumerate(zip(rows, predicted, strict=True)):
        values = np.moveaxis(d[:, index], 0, axis)
        left = mean_square(values - expected, noise)
        found.append(Left(row, left, values, factors[0], 0.0))
    return tuple(found)
