"""How far two arrays are apart, in the figures that the field uses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bittrue.errors import DataError


@dataclass(frozen=True, slots=True)
class Difference:
    """The figures of one pair of arrays, reference first.

    Args:
        elements: How many were compared; at least 1.
        max_abs: Greatest absolute difference.
        mean_abs: Mean absolute difference.
        sqnr_db: ``10 log10(sum r^2 / sum (r-d)^2)``; infinite when equal, -infinite when the
            reference is zero and the other is not.
        cosine: Cosine of the angle between the two; 1 when both are zero, 0 when only one is.
        relative: max_abs over the greatest absolute reference value; 0 when equal.
        differing: How many elements are not equal, bit patterns of -0 and 0 counting as equal.
        codes_differing: How many stored codes differ; None where the two hold no like codes.
    """

    elements: int
    max_abs: float
    mean_abs: float
    sqnr_db: float
    cosine: float
    relative: float
    differing: int
    codes_differing: int | None = None

    @property
    def equal(self) -> bool:
        """Whether every element is equal, and every code where there are codes."""
        return self.differing == 0 and not self.codes_differing


def difference(
    reference: np.ndarray, other: np.ndarray, codes: tuple[np.ndarray, np.ndarray] | None = None
) -> Difference:
    """Return the figures of `other` against `reference`.

    Args:
        reference: Real values, any shape with at least one element.
        other: Real values of the same shape.
        codes: The stored codes behind the two, where both have the same scale and zero point.

    Raises:
        DataError: if the shapes differ, nothing is there to compare, or a value is NaN in one
            array only: such a pair has no distance, and must not look like a small one.
    """
    if reference.shape != other.shape:
        raise DataError(
            f"shapes {reference.shape} and {other.shape} cannot be compared",
            hint="compare the same output of the same network, at the same input shape",
        )
    if reference.size == 0:
        raise DataError("the arrays are empty: nothing was compared")
    r, d = reference.astype(np.float64).reshape(-1), other.astype(np.float64).reshape(-1)
    r, d = _without_shared_specials(r, d)
    gap = np.abs(r - d)
    peak = float(np.max(np.abs(r), initial=0.0))
    worst = float(np.max(gap, initial=0.0))
    return Difference(
        elements=reference.size,
        max_abs=worst,
        mean_abs=float(gap.sum() / reference.size),
        sqnr_db=_decibels(float(r @ r), float(gap @ gap)),
        cosine=_cosine(r, d),
        relative=0.0 if worst == 0 else (worst / peak if peak else math.inf),
        differing=int(np.count_nonzero(gap)),
        codes_differing=None if codes is None else int(np.count_nonzero(codes[0] != codes[1])),
    )


def _without_shared_specials(r: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop places where both hold the same NaN or infinity; refuse those in one array only."""
    fine = np.isfinite(r) & np.isfinite(d)
    if fine.all():
        return r, d
    same = (np.isnan(r) & np.isnan(d)) | (r == d)
    lone = int(np.count_nonzero(~fine & ~same))
    if lone:
        raise DataError(
            f"{lone} of {r.size} elements are NaN or infinite in only one of the two arrays",
            hint="look for an overflow, or an input with NaN, in the stage that gave it",
        )
    return r[fine], d[fine]


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    if not math.isfinite(noise):
        return -math.inf
    return -math.inf if signal == 0 else 10 * math.log10(signal / noise)


def _cosine(r: np.ndarray, d: np.ndarray) -> float:
    lengths = math.sqrt(float(r @ r)) * math.sqrt(float(d @ d))
    if lengths == 0:
        return 1.0 if not r.any() and not d.any() else 0.0
    return max(-1.0, min(1.0, float(r @ d) / lengths))
