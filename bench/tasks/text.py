"""Text networks: masks of where text is; orientation is a class (`bench.tasks.classify`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.tasks.figure import Figure, Outputs, Task, figure, mean, only, share

TEXT = 0.3  # the text detector's own threshold


def _own(outputs: Sequence[Outputs], _: Sequence[np.ndarray]) -> tuple[Figure, ...]:
    covered = np.array([100 * np.mean(only(row) >= TEXT) for row in outputs])
    return (figure("text covers", covered, mean, "% of a picture"),)


def _alike(
    exact: Sequence[Outputs], found: Sequence[Outputs], _: Sequence[np.ndarray]
) -> tuple[Figure, ...]:
    """Return the IoU of the two text masks over all pictures."""
    rows = []
    for one, two in zip(exact, found, strict=True):
        a, b = only(one) >= TEXT, only(two) >= TEXT
        rows.append([np.count_nonzero(a & b), np.count_nonzero(a | b)])
    return (figure("mask IoU", np.array(rows), share, "%"),)


MASK = Task(_own, _alike)
