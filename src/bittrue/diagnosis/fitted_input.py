"""An affine map of the input that nobody knows: found by search, where no known mistake fits.

Quantised with some other tensor's scale and zero point, or normalised by constants of no list: what
the network computes with is then ``gain * value + offset``. Both are looked for by running the
network, coarsely first, then by a simplex that closes in on the least residual.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.door import F32

F64 = NDArray[np.float64]
Objective = Callable[["Affine"], float]
GAINS = (0.02, 0.1, 0.3, 0.6, 1.0, 1.7, 4.0)
OFFSETS = (-1.0, -0.3, 0.0, 0.3, 1.0)
#: Runs of the network that closing in may take.
RUNS = 40


@dataclass(frozen=True, slots=True)
class Affine:
    """``gain * value + offset * spread``, spread being half the range of what is meant."""

    gain: float
    offset: float
    spread: float

    def __call__(self, values: F32) -> F32:
        """Return the values after the map."""
        return np.asarray(self.gain * values + self.offset * self.spread, np.float32)

    @property
    def is_identity(self) -> bool:
        """Whether it changes next to nothing."""
        return abs(self.gain - 1) < 0.05 and abs(self.offset) < 0.03


def fit_affine(spread: float, objective: Objective, deadline: float) -> Affine | None:
    """Return the map under which the network comes nearest to what the device gave.

    Args:
        spread: Half the range of what is meant.
        objective: From a map to the residual under it.
        deadline: On the clock of time.monotonic(); None is returned where it comes too early.
    """
    if spread <= 0:
        return None

    def left(point: F64) -> float:
        return objective(_map(point, spread))

    corners: list[tuple[float, F64]] = []
    for gain, offset in itertools.product(GAINS, OFFSETS):
        if time.monotonic() > deadline:
            return None
        point = np.array([np.log(gain), offset])
        corners.append((left(point), point))
    corners.sort(key=lambda row: row[0])
    best = _close_in(left, corners[0][1], deadline)
    return _map(best, spread)


def _map(point: F64, spread: float) -> Affine:
    return Affine(float(np.exp(point[0])), float(point[1]), spread)


def _close_in(left: Callable[[F64], float], start: F64, deadline: float) -> F64:
    """Return the least point that a simplex of Nelder and Mead finds around a start."""
    points = [start, start + np.array([0.3, 0.0]), start + np.array([0.0, 0.2])]
    simplex = [(left(point), point) for point in points]
    for _ in range(RUNS // 2):
        simplex.sort(key=lambda row: row[0])
        if (
            time.monotonic() > deadline
            or np.ptp([row[0] for row in simplex]) < 1e-3 * simplex[0][0]
        ):
            break
        simplex[2] = _moved(left, simplex)
        if simplex[2][0] >= simplex[1][0]:  # no way out: the simplex shrinks towards its best
            middle = simplex[0][1]
            simplex = [simplex[0]] + [
                (left(point), point) for point in ((row[1] + middle) / 2 for row in simplex[1:])
            ]
    return np.asarray(min(simplex, key=lambda row: row[0])[1], np.float64)


def _moved(left: Callable[[F64], float], simplex: list[tuple[float, F64]]) -> tuple[float, F64]:
    """Return where the worst corner goes: reflected, twice as far, or half way in."""
    centre = (simplex[0][1] + simplex[1][1]) / 2
    worst = simplex[2]
    there = centre + (centre - worst[1])
    reflected = (left(there), there)
    if reflected[0] < simplex[0][0]:
        far = centre + 2 * (centre - worst[1])
        return min((left(far), far), reflected, key=lambda row: row[0])
    if reflected[0] < simplex[1][0]:
        return reflected
    near = (centre + worst[1]) / 2
    return min((left(near), near), worst, key=lambda row: row[0])
