"""Face networks: SSD heads, the three stages of a cascade.

Boxes have class 0; see `bench.tasks.boxes` for how they are matched.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.tasks.boxes import best_class, detector
from bench.tasks.figure import Figure, Outputs, Task, figure, mean, percent


def _ultraface(outputs: Outputs, *, least: float = 0.7) -> np.ndarray:
    """Decode scores [1, A, 2] and boxes [1, A, 4], corners in parts of 320 by 240 pixels."""
    corners = outputs["boxes"][0].astype(np.float64) * [320, 240, 320, 240]
    scores = outputs["scores"][0][:, 1:].astype(np.float64)
    return best_class(corners[:, :2], corners[:, 2:], scores, least)


def _blazeface(outputs: Outputs, *, least: float = 0.5) -> np.ndarray:
    """Decode two levels of logits [1, A, 1] and of boxes [1, A, 16] at 128 by 128 pixels.

    16 by 16 cells have two anchors each, 8 by 8 cells six, all in the middle of the cell; a box is
    the offset of its centre and its size in pixels, and six points.
    """
    logits = np.concatenate([a[0] for a in outputs.values() if a.shape[-1] == 1])
    rows = np.concatenate([a[0] for a in outputs.values() if a.shape[-1] == 16])
    anchors = np.concatenate([_cells(16, 2), _cells(8, 6)])  # [896, 2]
    centres, halves = anchors + rows[:, :2], rows[:, 2:4] / 2
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return best_class(centres - halves, centres + halves, scores, least)


def _cells(count: int, each: int) -> np.ndarray:
    """Return the middles of count by count cells of a 128-pixel square, each several times."""
    rows, columns = np.mgrid[:count, :count]
    middles = (np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5) * (128 / count)
    return np.repeat(middles, each, axis=0)


def _proposals(outputs: Outputs, *, least: float = 0.8) -> np.ndarray:
    """Decode a map [1, 2, h, w] of windows of 12 pixels every 2, moved by parts of 12."""
    scores = outputs["prob"][0, 1]
    rows, columns = np.nonzero(scores >= least)
    moves = outputs["reg"][0][:, rows, columns].T.astype(np.float64) * 12  # [n, 4]
    corner = np.stack([columns, rows], axis=1) * 2.0
    return best_class(
        corner + moves[:, :2], corner + 12 + moves[:, 2:], scores[rows, columns, None], least
    )


def _is_face(outputs: Outputs) -> bool:
    return bool(outputs["prob"][0, 1] >= 0.5)


def _refined(outputs: Sequence[Outputs], truths: Sequence[np.ndarray]) -> tuple[Figure, ...]:
    right = np.array([_is_face(row) == bool(y) for row, y in zip(outputs, truths, strict=True)])
    return (figure("face or not, right", right, percent, "%"),)


def _refined_alike(
    exact: Sequence[Outputs], found: Sequence[Outputs], truths: Sequence[np.ndarray]
) -> tuple[Figure, ...]:
    """Return the same decisions, and how far boxes (and landmarks) of faces moved, in points.

    Boxes and landmarks are parts of the window, so that a point is a hundredth of its side.
    """
    same = np.array([_is_face(a) == _is_face(b) for a, b in zip(exact, found, strict=True)])
    faces = [(a, b) for a, b, y in zip(exact, found, truths, strict=True) if y]
    figures = [figure("agreement", same, percent, "%"), *_refined(found, truths)]
    for name, words in (("reg", "box moved"), ("landmarks", "landmarks moved")):
        if name in exact[0]:
            gaps = np.array([100 * np.abs(a[name] - b[name]).mean() for a, b in faces])
            figures.append(figure(words, gaps, mean, "points of the side"))
    return tuple(figures)


#: Truth: boxes of the faces that were pasted in.
ULTRAFACE = detector(_ultraface, noun="face", classes=(0,))
BLAZEFACE = detector(_blazeface, noun="face", classes=(0,))
PROPOSALS = detector(_proposals, noun="face", classes=(0,))
#: Truth: 1 for a face, 0 for none.
REFINED = Task(_refined, _refined_alike)
