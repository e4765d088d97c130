"""Detectors: boxes decoded and suppressed, matched with those of the float network.

A decoder turns outputs into rows [n, 6]: x0, y0, x1, y1 in pixels of the input, score, class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from bench.tasks.figure import Figure, Outputs, Task, f1, figure, only, share

Decode = Callable[[Outputs], np.ndarray]
OVERLAP, SUPPRESS = 0.5, 0.45  # IoU of a match, IoU that suppression removes
#: Boxes of one class that suppression looks at: the best.
MOST = 400


# --- decoders ------------------------------------------------------------------------------------


def _yolox(outputs: Outputs, *, least: float = 0.4) -> np.ndarray:
    """Decode [1, A, 85]: centre offsets in cells, log sizes, objectness, 80 classes.

    Strides 8, 16 and 32 follow each other, so that A = (1/64 + 1/256 + 1/1024) size^2.
    """
    rows = only(outputs)[0].astype(np.float64)
    size = round((len(rows) / (1 / 64 + 1 / 256 + 1 / 1024)) ** 0.5)
    grid, step = grid_points(size, size, (8, 16, 32))
    centres = (rows[:, :2] + grid) * step
    halves = np.exp(np.minimum(rows[:, 2:4], 20)) * step / 2
    return best_class(centres - halves, centres + halves, rows[:, 4:5] * rows[:, 5:], least)


def _yolov8(outputs: Outputs, *, least: float = 0.2) -> np.ndarray:
    """Decode [1, 4 + classes, A]: centre and size in pixels, scores."""
    rows = only(outputs)[0].T.astype(np.float64)
    halves = rows[:, 2:4] / 2
    return best_class(rows[:, :2] - halves, rows[:, :2] + halves, rows[:, 4:], least)


def _picodet(outputs: Outputs, *, least: float = 0.5) -> np.ndarray:
    """Decode four levels of scores [1, A, 10] and of distances to the four sides [1, A, 4 * 8].

    A distance is the mean of 0..7 under a softmax, in cells of strides 8, 16, 32 and 64, from the
    middle of the cell. The levels come in the order of their strides, 800 by 608 pixels.
    """
    scores = [array[0] for array in outputs.values() if array.shape[-1] == 10]
    sides = [array[0] for array in outputs.values() if array.shape[-1] == 32]
    logits = np.concatenate(sides).reshape(-1, 4, 8).astype(np.float64)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    distances = (weights / weights.sum(axis=2, keepdims=True)) @ np.arange(8.0)  # [A, 4]
    grid, step = grid_points(800, 608, (8, 16, 32, 64))
    middles = grid + 0.5
    low, high = (middles - distances[:, :2]) * step, (middles + distances[:, 2:]) * step
    return best_class(low, high, np.concatenate(scores).astype(np.float64), least)


def grid_points(height: int, width: int, strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's column and row [A, 2], and its stride [A, 1], level after level."""
    points, steps = [], []
    for stride in strides:
        rows, columns = np.mgrid[: -(-height // stride), : -(-width // stride)]
        points.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        steps.append(np.full((rows.size, 1), stride))
    return np.concatenate(points), np.concatenate(steps)


def best_class(low: np.ndarray, high: np.ndarray, scores: np.ndarray, least: float) -> np.ndarray:
    """Return the boxes whose best class scores `least` or more, suppressed, [n, 6]."""
    best = scores.max(axis=1)
    table = np.concatenate([low, high, best[:, None], scores.argmax(axis=1)[:, None]], axis=1)
    return suppress(table[best >= least])


def suppress(rows: np.ndarray) -> np.ndarray:
    """Return the boxes [n, 6] that no better box of their class overlaps too much, best first."""
    left = rows[np.argsort(-rows[:, 4], kind="stable")][:MOST]
    kept = []
    while len(left):
        kept.append(left[0])
        same = left[:, 5] == left[0, 5]
        left = left[~(same & (overlaps(left[0], left) >= SUPPRESS)) & (np.arange(len(left)) > 0)]
    return np.array(kept).reshape(-1, 6)


def overlaps(box: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the IoU of one box with each of some, float64 [n]."""
    low = np.maximum(box[:2], rows[:, :2])
    high = np.minimum(box[2:4], rows[:, 2:4])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(rows[:, 2:4] - rows[:, :2], axis=1) + np.prod(box[2:4] - box[:2])
    return np.asarray(shared / np.maximum(areas - shared, 1e-12))


def matches(wanted: np.ndarray, got: np.ndarray) -> int:
    """Return how many boxes of one class pair up, each at most once, best scores first."""
    free = np.ones(len(wanted), bool)
    for row in got:
        fits = np.where(free & (wanted[:, 5] == row[5]), overlaps(row, wanted), 0)
        if len(fits) and fits.max() >= OVERLAP:
            free[int(fits.argmax())] = False
    return int(np.count_nonzero(~free))


# --- judges --------------------------------------------------------------------------------------


def detector(decode: Decode, *, noun: str = "object", classes: Sequence[int] = ()) -> Task:
    """Return the task of a detector.

    Args:
        decode: Its outputs to boxes.
        noun: What it finds.
        classes: Which of its classes the truths are; none where nothing is known to be true.
    """
    return Task(
        partial(_own, decode, noun, tuple(classes)), partial(_alike, decode, noun, tuple(classes))
    )


def _own(
    decode: Decode,
    noun: str,
    classes: tuple[int, ...],
    outputs: Sequence[Outputs],
    truths: Sequence[np.ndarray],
) -> tuple[Figure, ...]:
    """Return how many of the known things are found; else how many there are at all."""
    if classes:
        rows = _known(decode, classes, outputs, truths)
        known = int(rows[:, 1].sum())
        return (figure(f"{known} known {noun}s found", rows, share, "%"),)
    counts = np.array([len(decode(row)) for row in outputs])
    return (figure(f"{noun}s", counts, lambda rows: float(rows.mean()), "a picture"),)


def _known(
    decode: Decode,
    classes: tuple[int, ...],
    outputs: Sequence[Outputs],
    truths: Sequence[np.ndarray],
) -> np.ndarray:
    """Return how many known things are found, and how many there are, [n, 2].

    Found: the middle of a box of the right class lies in the middle half of the thing, and their
    sizes are within a factor of 2.5 (networks disagree about what belongs to a face). Truths are
    [k, 4] boxes or [k, 5] with the class behind.
    """
    rows = []
    for outs, truth in zip(outputs, truths, strict=True):
        boxes = decode(outs)
        rows.append([sum(_is_found(boxes, known, classes) for known in truth), len(truth)])
    return np.array(rows).reshape(-1, 2)


def _is_found(boxes: np.ndarray, known: np.ndarray, classes: tuple[int, ...]) -> bool:
    right = boxes[:, 5] == known[4] if len(known) > 4 else np.isin(boxes[:, 5], classes)
    size = known[2:4] - known[:2]
    middles = (boxes[:, :2] + boxes[:, 2:4]) / 2
    near = (np.abs(middles - (known[:2] + known[2:4]) / 2) <= size / 4).all(axis=1)
    ratio = (boxes[:, 2:4] - boxes[:, :2]) / size
    return bool((right & near & (ratio > 0.4).all(axis=1) & (ratio < 2.5).all(axis=1)).any())


def _alike(
    decode: Decode,
    noun: str,
    classes: tuple[int, ...],
    exact: Sequence[Outputs],
    found: Sequence[Outputs],
    truths: Sequence[np.ndarray],
) -> tuple[Figure, ...]:
    """Return F1 of the boxes against the float network's: same class, IoU at least 0.5."""
    rows = []
    for one, two in zip(exact, found, strict=True):
        wanted, got = decode(one), decode(two)
        rows.append([matches(wanted, got), len(wanted), len(got)])
    score = figure(f"{noun} F1", np.array(rows), f1, "%")
    return (score, *_own(decode, noun, classes, found, truths)) if classes else (score,)


YOLOX = detector(_yolox)
#: Truth: faces pasted in; 1 and 12 are the network's female and male faces.
NUDENET = detector(_yolov8, noun="face", classes=(1, 12))
#: Truth: regions of a rendered page with their class.
PICODET = detector(_picodet, noun="region", classes=tuple(range(10)))
