"""Head pose in degrees; samples come in pairs, a face and its mirror picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.tasks.figure import Figure, Outputs, Task, figure, mean, only

ANGLES = ("yaw", "pitch", "roll")


def _angles(outputs: Sequence[Outputs]) -> np.ndarray:
    return np.array([only(row).reshape(-1)[:3] for row in outputs], np.float64)  # [n, 3]


def _own(outputs: Sequence[Outputs], _: Sequence[np.ndarray]) -> tuple[Figure, ...]:
    """Return how far a face's yaw is from the negative of its mirror picture's."""
    yaw = _angles(outputs)[:, 0]
    gaps = np.abs(yaw[0::2] + yaw[1::2])
    return (figure("yaw against mirrored", gaps, mean, "degrees"),)


def _alike(
    exact: Sequence[Outputs], found: Sequence[Outputs], truths: Sequence[np.ndarray]
) -> tuple[Figure, ...]:
    gaps = np.abs(_angles(exact) - _angles(found))
    # A face and its mirror picture are one draw.
    pairs = gaps.reshape(-1, 2, 3).mean(axis=1)
    figures = [figure(f"{word} off", pairs[:, i], mean, "degrees") for i, word in enumerate(ANGLES)]
    return (*figures, *_own(found, truths))


POSE = Task(_own, _alike)
