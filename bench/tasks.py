"""What each network is for, as a figure: agreement, boxes found, text found, pictures alike.

Each task compares what a stage gave with what the float network gave (or with labels) on pictures
that calibration did not see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Outputs = Mapping[str, np.ndarray]
SCORE, OVERLAP, SUPPRESS = 0.4, 0.5, 0.45  # box score, IoU of a match, IoU that NMS suppresses
TEXT = 0.3  # the text detector's own threshold


@dataclass(frozen=True, slots=True)
class Figure:
    """One task figure with its 95 % interval.

    Args:
        name: What it is.
        value: In `unit`.
        low: Lower end of the paired bootstrap interval.
        high: Upper end.
        unit: "%", "dB" or "points".
        samples: Pictures it was measured on.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    samples: int

    def __str__(self) -> str:
        """The figure with its interval, for a table."""
        return (
            f"{self.name} {self.value:.2f} {self.unit} "
            f"[{self.low:.2f}, {self.high:.2f}], {self.samples} pictures"
        )


Judge = Callable[[Sequence[Outputs], Sequence[Outputs], Sequence[int]], tuple[Figure, ...]]


def bootstrap(rows: np.ndarray, statistic: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """Return the 95 % interval of a statistic of per-picture rows, pictures drawn again."""
    rng = np.random.default_rng(20261122)
    draws = [statistic(rows[rng.integers(0, len(rows), len(rows))]) for _ in range(2000)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def classify(
    exact: Sequence[Outputs], found: Sequence[Outputs], labels: Sequence[int]
) -> tuple[Figure, ...]:
    """Return the drop in top-1 accuracy against labels (paired), and agreement with float."""
    first = [np.argmax(_only(row)) for row in exact]
    second = [np.argmax(_only(row)) for row in found]
    pairs = np.array(
        [[a == y, b == y, a == b] for a, b, y in zip(first, second, labels, strict=True)]
    )

    def drop(rows: np.ndarray) -> float:
        return 100 * float(rows[:, 0].mean() - rows[:, 1].mean())

    def agreement(rows: np.ndarray) -> float:
        return 100 * float(rows[:, 2].mean())

    def accuracy(rows: np.ndarray) -> float:
        return 100 * float(rows[:, 0].mean())

    return (
        Figure("top-1 drop", drop(pairs), *bootstrap(pairs, drop), "points", len(pairs)),
        Figure("agreement", agreement(pairs), *bootstrap(pairs, agreement), "%", len(pairs)),
        Figure("float top-1", accuracy(pairs), *bootstrap(pairs, accuracy), "%", len(pairs)),
    )


def masks(
    exact: Sequence[Outputs], found: Sequence[Outputs], _: Sequence[int]
) -> tuple[Figure, ...]:
    """Return the IoU of the two text masks over all pictures."""
    rows = []
    for one, two in zip(exact, found, strict=True):
        a, b = _only(one) >= TEXT, _only(two) >= TEXT
        rows.append([np.count_nonzero(a & b), np.count_nonzero(a | b)])
    counts = np.array(rows)

    def overlap(part: np.ndarray) -> float:
        return 100 * float(part[:, 0].sum() / max(part[:, 1].sum(), 1))

    return (Figure("mask IoU", overlap(counts), *bootstrap(counts, overlap), "%", len(counts)),)


def likeness(
    exact: Sequence[Outputs], found: Sequence[Outputs], _: Sequence[int]
) -> tuple[Figure, ...]:
    """Return the PSNR of the outputs against float, peak 1, mean over pictures."""
    errors = np.array(
        [np.mean((_only(a) - _only(b)) ** 2) for a, b in zip(exact, found, strict=True)]
    )

    def psnr(rows: np.ndarray) -> float:
        return float(np.mean(-10 * np.log10(np.maximum(rows, 1e-12))))

    return (
        Figure("PSNR against float", psnr(errors), *bootstrap(errors, psnr), "dB", len(errors)),
    )


def boxes(
    exact: Sequence[Outputs], found: Sequence[Outputs], _: Sequence[int]
) -> tuple[Figure, ...]:
    """Return F1 of the boxes found against the float network's, same class, IoU at least 0.5."""
    rows = []
    for one, two in zip(exact, found, strict=True):
        wanted, got = decode_yolox(_only(one)), decode_yolox(_only(two))
        rows.append([_matches(wanted, got), len(wanted), len(got)])
    counts = np.array(rows)

    def f1(part: np.ndarray) -> float:
        matched, wanted, got = part.sum(axis=0)
        return 100 * float(2 * matched / max(wanted + got, 1))

    return (Figure("box F1", f1(counts), *bootstrap(counts, f1), "%", len(counts)),)


def _only(outputs: Outputs) -> np.ndarray:
    (array,) = outputs.values()
    return array


# --- YOLOX -------------------------------------------------------------------------------------


def decode_yolox(raw: np.ndarray, size: int = 640) -> np.ndarray:
    """Return boxes [n, 6] (x0, y0, x1, y1, score, class) of a YOLOX output [1, A, 85].

    The head gives centre offsets in cells and log sizes; strides 8, 16 and 32 follow each other.
    """
    grids, strides = [], []
    for stride in (8, 16, 32):
        cells = size // stride
        ys, xs = np.mgrid[:cells, :cells]
        grids.append(np.stack([xs.ravel(), ys.ravel()], 1))
        strides.append(np.full((cells * cells, 1), stride))
    grid, step = np.concatenate(grids), np.concatenate(strides)
    rows = raw[0]
    centres = (rows[:, :2] + grid) * step
    halves = np.exp(np.minimum(rows[:, 2:4], 20)) * step / 2
    scores = rows[:, 4:5] * rows[:, 5:]
    classes = scores.argmax(1)
    best = scores.max(1)
    table = np.concatenate(
        [centres - halves, centres + halves, best[:, None], classes[:, None]], axis=1
    )
    return suppress(table[best >= SCORE])


def suppress(rows: np.ndarray) -> np.ndarray:
    """Return the boxes that no better box of their class overlaps too much."""
    kept: list[np.ndarray] = []
    for row in rows[np.argsort(-rows[:, 4])]:
        if all(row[5] != other[5] or _iou(row, other) < SUPPRESS for other in kept):
            kept.append(row)
    return np.array(kept).reshape(-1, 6)


def _iou(one: np.ndarray, two: np.ndarray) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (two[2] - two[0]) * (two[3] - two[1])
    return float(shared / (areas - shared))


def _matches(wanted: np.ndarray, got: np.ndarray) -> int:
    """Return how many boxes pair up, each at most once, best scores first."""
    free = list(range(len(wanted)))
    count = 0
    for row in got:
        for index in free:
            if row[5] == wanted[index][5] and _iou(row, wanted[index]) >= OVERLAP:
                free.remove(index)
                count += 1
                break
    return count
