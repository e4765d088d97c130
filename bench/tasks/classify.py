"""Networks that name a class: the class by labels, and whether a stage names the same one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.tasks.figure import Figure, Outputs, Task, figure, mean, percent

Read = Callable[[Outputs], np.ndarray]


def _first(outputs: Outputs) -> np.ndarray:
    return next(iter(outputs.values())).reshape(-1)


def _own(outputs: Sequence[Outputs], truths: Sequence[np.ndarray]) -> tuple[Figure, ...]:
    right = np.array(
        [int(_first(row).argmax()) == int(y) for row, y in zip(outputs, truths, strict=True)]
    )
    return (figure("right", right, percent, "%"),)


def _drop(rows: np.ndarray) -> float:
    return 100 * float(rows[:, 0].mean() - rows[:, 1].mean())


def _alike(
    exact: Sequence[Outputs], found: Sequence[Outputs], truths: Sequence[np.ndarray]
) -> tuple[Figure, ...]:
    """Return agreement with float, and the drop in accuracy, paired."""
    first = np.array([int(_first(row).argmax()) for row in exact])
    second = np.array([int(_first(row).argmax()) for row in found])
    labels = np.array([int(y) for y in truths])
    pairs = np.stack([first == labels, second == labels], axis=1)
    return (
        figure("agreement", first == second, percent, "%"),
        figure("drop", pairs, _drop, "points"),
    )


#: Truth: the class.
CLASS = Task(_own, _alike)


def _probabilities_alike(
    exact: Sequence[Outputs], found: Sequence[Outputs], _: Sequence[np.ndarray]
) -> tuple[Figure, ...]:
    one, two = (np.array([_first(row) for row in rows]) for rows in (exact, found))
    gap = 100 * np.abs(one - two).max(axis=1)  # [n], points
    return (
        figure("agreement", one.argmax(1) == two.argmax(1), percent, "%"),
        figure("probability error", gap, mean, "points"),
        figure("worst", gap[[int(gap.argmax())]], mean, "points"),
    )


#: Two probabilities, nearly always far apart: the class alone would say little.
PROBABILITY = Task(_own, _probabilities_alike)
