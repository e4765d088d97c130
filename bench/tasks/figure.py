"""A task's figure with its interval, and what a task is.

A task has two halves: `own` judges one stage's outputs by what is known to be true, `alike` judges
a stage's outputs by the float network's on the same samples, which calibration did not see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Outputs = Mapping[str, np.ndarray]
#: Fewer samples than this have no interval: drawing from them again says little.
FEW = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """One task figure with its 95 % interval.

    Args:
        name: What it is.
        value: In `unit`.
        low: Lower end of the bootstrap interval; NaN where there are fewer than FEW samples.
        high: Upper end.
        unit: "%", "dB", "points" and so on.
        samples: How many it was measured on.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    samples: int

    def __str__(self) -> str:
        """The figure with its interval, for a table."""
        digits = 3 if abs(self.value) < 0.1 else 1
        ends = f" [{self.low:.{digits}f}, {self.high:.{digits}f}]" if self.low == self.low else ""
        few = ", few" if self.samples < FEW else ""
        return f"{self.name} {self.value:.{digits}f} {self.unit}{ends} (n={self.samples}{few})"


@dataclass(frozen=True, slots=True)
class Task:
    """How a family's outputs are judged.

    Args:
        own: Outputs and truths, one a sample; returns figures of these outputs alone.
        alike: The float network's outputs, a stage's, and truths; returns figures of the pair.
    """

    own: Callable[[Sequence[Outputs], Sequence[np.ndarray]], tuple[Figure, ...]]
    alike: Callable[
        [Sequence[Outputs], Sequence[Outputs], Sequence[np.ndarray]], tuple[Figure, ...]
    ]


def nothing(_: Sequence[Outputs], __: Sequence[np.ndarray]) -> tuple[Figure, ...]:
    """Return no figure: nothing is known to be true of these samples."""
    return ()


def figure(
    name: str, rows: np.ndarray, statistic: Callable[[np.ndarray], float], unit: str
) -> Figure:
    """Return a statistic of per-sample rows with its interval, samples drawn again.

    Args:
        name: What it is.
        rows: One row a sample, [n] or [n, ...].
        statistic: Of any number of such rows.
        unit: Of the statistic.
    """
    rng = np.random.default_rng(20261122)
    count = len(rows)
    low = high = float("nan")
    if count >= FEW:
        draws = [statistic(rows[rng.integers(0, count, count)]) for _ in range(2000)]
        low, high = map(float, np.percentile(draws, [2.5, 97.5]))
    return Figure(name, statistic(rows) if count else float("nan"), low, high, unit, count)


def percent(rows: np.ndarray) -> float:
    """Return the mean in percent."""
    return 100 * float(rows.mean())


def mean(rows: np.ndarray) -> float:
    """Return the mean."""
    return float(rows.mean())


def share(rows: np.ndarray) -> float:
    """Return the sum of the first column over that of the second, in percent; 100 for 0 of 0."""
    part, whole = rows.sum(axis=0)
    return 100 * float(part / whole) if whole else 100.0


def f1(rows: np.ndarray) -> float:
    """Return F1 in percent of rows (matched, wanted, got); 100 where nothing is wanted or got."""
    matched, wanted, got = rows.sum(axis=0)
    return 100 * float(2 * matched / (wanted + got)) if wanted + got else 100.0


def only(outputs: Outputs) -> np.ndarray:
    """Return the array of a network with one output."""
    (array,) = outputs.values()
    return array
