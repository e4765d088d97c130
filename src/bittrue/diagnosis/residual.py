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
    reading: Reading, predicted: F64, noise: F64, carried: Callable[[Reading], F64]
) -> Left | None:
    """Return what a prediction leaves; None where the reading makes no sense of it.

    Args:
        reading: Of the device's output.
        predicted: The same output as our own pipeline gives it.
        noise: Power of this output's noise.
        carried: Returns the noise behind a reading's `forward`.
    """
    if not np.isfinite(reading.values).all():
        return None
    if reading.fit == "affine":
        return _affine(reading, predicted, noise)
    if reading.fit == "boxes":
        return _boxes(reading, predicted, noise)
    expected, power = predicted, noise
    if reading.forward is not None:
        expected = reading.forward(predicted)
        power = carried(reading)
    left = mean_square(reading.values - expected, power)
    if reading.also is not None:
        other = left_over(reading.also, predicted, noise, carried)
        left = max(left, math.inf if other is None else other.residual)
    return Left(reading, left, reading.values)


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


def _affine(reading: Reading, predicted: F64, noise: F64) -> Left | None:
    p, d = predicted.reshape(-1), reading.values.reshape(-1)
    if p.size < 8:
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
    values = (reading.values - offset) / factor
    left = mean_square(values - predicted, noise)
    return Left(reading, left, values, factor, offset)


def _boxes(reading: Reading, predicted: F64, noise: F64) -> Left | None:
    """Fit one factor for x and width, one for y and height, through 0."""
    axis = box_axis(predicted.shape)
    if axis is None:
        return None
    p, d = np.moveaxis(predicted, axis, 0), np.moveaxis(reading.values, axis, 0).copy()
    factors = []
    for rows in ([0, 2], [1, 3]):
        power = float(np.square(p[rows]).sum())
        factor = float((p[rows] * d[rows]).sum()) / power if power > 0 else 0.0
        if factor <= 0:
            return None
        factors.append(factor)
        d[rows] /= factor
    if all(abs(factor - 1) < UNIT for factor in factors):
        return None
    values = np.moveaxis(d, 0, axis)
    left = mean_square(values - predicted, noise)
    return Left(reading, left, values, factors[0], 0.0)
