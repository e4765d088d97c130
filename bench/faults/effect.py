"""How much a mistake shows: its error energy over that of a healthy device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.faults.device import Arrays

#: Where shapes no longer agree, or nothing was captured at all.
INFINITE = 1e12


def energy(reference: Sequence[np.ndarray], given: Sequence[np.ndarray]) -> float:
    """Return the sum of squared differences over several pictures; INFINITE for other shapes."""
    total = 0.0
    for right, row in zip(reference, given, strict=True):
        if right.shape != row.shape:
            return INFINITE
        total += float(np.square(right.astype(np.float64) - row.astype(np.float64)).sum())
    return total


def error_ratio(
    reference: Sequence[Arrays], healthy: Sequence[Arrays], faulty: Sequence[Arrays]
) -> float:
    """Return the greatest ratio, over the outputs, of |faulty - R|^2 to |healthy - R|^2.

    Args:
        reference: R: the float network's outputs, one dictionary a picture.
        healthy: What the device gives when nothing is wrong.
        faulty: What was captured.
    """
    if not faulty or len(faulty) != len(reference):
        return INFINITE
    ratios = []
    for name in reference[0]:
        right = [row[name] for row in reference]
        if any(name not in row for row in faulty):
            return INFINITE
        noise = energy(right, [row[name] for row in healthy])
        least = 1e-12 * sum(float(np.square(row, dtype=np.float64).sum()) for row in right)
        fault = energy(right, [row[name] for row in faulty])
        ratios.append(fault / max(noise, least, 1e-30))
    return float(min(max(ratios), INFINITE))


def effect(
    reference: Sequence[Arrays], healthy: Sequence[Arrays], faulty: Sequence[Arrays]
) -> float:
    """Return the greatest ratio, over the outputs, of |faulty - healthy|^2 to |healthy - R|^2.

    It is what the mistake changes, in units of the healthy device's own noise: `error_ratio` of a
    mistake that changes nothing is 1, its effect is 0.
    """
    if not faulty or len(faulty) != len(reference):
        return INFINITE
    ratios = []
    for name in reference[0]:
        given = [row[name] for row in healthy]
        noise = energy([row[name] for row in reference], given)
        if any(name not in row for row in faulty):
            return INFINITE
        least = 1e-12 * sum(float(np.square(row, dtype=np.float64).sum()) for row in given)
        ratios.append(energy(given, [row[name] for row in faulty]) / max(noise, least, 1e-30))
    return float(min(max(ratios), INFINITE))


def sqnr_db(reference: Sequence[np.ndarray], given: Sequence[np.ndarray]) -> float:
    """Return signal over error energy in decibels."""
    signal = sum(float(np.square(row, dtype=np.float64).sum()) for row in reference)
    return float(10 * np.log10(max(signal, 1e-30) / max(energy(reference, given), 1e-30)))
