"""Line segments of a network that gives, at each pixel, a score and the way to both ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.tasks.figure import Figure, Outputs, Task, f1, figure, mean

#: Least score of a segment's middle, and least length in pixels of the map.
SCORE, LENGTH = 0.2, 10.0
#: Segments are the same if the squared distances of their ends sum to at most this; map of 160.
NEAR = 25.0
MOST = 200


def decode(outputs: Outputs) -> np.ndarray:
    """Return segments [n, 4] (x0, y0, x1, y1) in pixels of the map, the best first.

    A segment stands at each local maximum (3 by 3) of `scores` [1, h, w, 1]; `offsets`
    [1, h, w, 4] lead from there to its two ends.
    """
    scores = outputs["scores"][0, :, :, 0]
    framed = np.pad(scores, 1, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(framed, (3, 3))
    peak = (scores >= SCORE) & (scores == windows.max(axis=(2, 3)))
    rows, columns = np.nonzero(peak)
    ends = outputs["offsets"][0, rows, columns].astype(np.float64)
    ends += np.stack([columns, rows, columns, rows], axis=1)
    long = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]) >= LENGTH
    order = np.argsort(-scores[rows, columns][long], kind="stable")
    return np.asarray(ends[long][order][:MOST])


def _matches(wanted: np.ndarray, got: np.ndarray) -> int:
    """Return how many segments pair up, each at most once, whichever end comes first."""
    free = np.ones(len(wanted), bool)
    for row in got:
        straight = ((wanted - row) ** 2).sum(axis=1)
        turned = ((wanted - row[[2, 3, 0, 1]]) ** 2).sum(axis=1)
        gaps = np.where(free, np.minimum(straight, turned), np.inf)
        if len(gaps) and gaps.min() <= NEAR:
            free[int(gaps.argmin())] = False
    return int(np.count_nonzero(~free))


def _own(outputs: Sequence[Outputs], _: Sequence[np.ndarray]) -> tuple[Figure, ...]:
    counts = np.array([len(decode(row)) for row in outputs])
    return (figure("segments", counts, mean, "a picture"),)


def _alike(
    exact: Sequence[Outputs], found: Sequence[Outputs], _: Sequence[np.ndarray]
) -> tuple[Figure, ...]:
    rows = []
    for one, two in zip(exact, found, strict=True):
        wanted, got = decode(one), decode(two)
        rows.append([_matches(wanted, got), len(wanted), len(got)])
    return (figure("segment F1", np.array(rows), f1, "%"),)


SEGMENTS = Task(_own, _alike)
