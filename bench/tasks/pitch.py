"""Pitch of a tone: 360 bins of 20 cents, decoded around the greatest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.tasks.figure import Figure, Outputs, Task, figure, only, percent

#: Cents of the first bin above 10 Hz, cents of a bin, bins on either side that count, as the
#: network was trained (CREPE, Kim et al. 2018).
FIRST, STEP, REACH = 1997.3794084376191, 20.0, 4
#: Two pitches are the same within half a semitone, as melodies are judged.
NEAR = 50.0


def cents_of(hertz: float) -> float:
    """Return a frequency in cents above 10 Hz."""
    return float(1200 * np.log2(hertz / 10))


def decode(outputs: Outputs) -> float:
    """Return the pitch in cents above 10 Hz: the mean of the bins around the greatest."""
    bins = only(outputs).reshape(-1).astype(np.float64)
    best = int(bins.argmax())
    places = np.arange(max(0, best - REACH), min(len(bins), best + REACH + 1))
    weights = bins[places]
    return float(FIRST + STEP * (weights @ places) / max(weights.sum(), 1e-12))


def _near(gaps: np.ndarray) -> float:
    return percent(np.abs(gaps) <= NEAR)


def _middle(gaps: np.ndarray) -> float:
    return float(np.median(np.abs(gaps)))


def _gaps(outputs: Sequence[Outputs], cents: Sequence[float]) -> np.ndarray:
    return np.array([decode(row) - c for row, c in zip(outputs, cents, strict=True)])


def _own(outputs: Sequence[Outputs], truths: Sequence[np.ndarray]) -> tuple[Figure, ...]:
    gaps = _gaps(outputs, [cents_of(float(y)) for y in truths])
    return (
        figure("pitch right within 50 cents", gaps, _near, "%"),
        figure("median error", gaps, _middle, "cents"),
    )


def _alike(
    exact: Sequence[Outputs], found: Sequence[Outputs], truths: Sequence[np.ndarray]
) -> tuple[Figure, ...]:
    gaps = _gaps(found, [decode(row) for row in exact])
    return (
        figure("within 50 cents of float", gaps, _near, "%"),
        figure("median gap", gaps, _middle, "cents"),
        *_own(found, truths),
    )


#: Truth: hertz.
PITCH = Task(_own, _alike)
