"""The ladder: every stage run on one input, each compared with the one before it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bittrue.parity.compare import Comparison, Side, compare, make_side
from bittrue.stages import Subject


@dataclass(frozen=True, slots=True)
class Rung:
    """One stage, run.

    Args:
        stage: Its name.
        seconds: Wall time of one run after a first one that is not counted.
        outputs: By name, real values.
    """

    stage: str
    seconds: float
    outputs: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Ladder:
    """What the stages gave, and how far each is from the one before it.

    Args:
        rungs: In order.
        edges: One fewer than the rungs.
        whole: The last rung against the first.
    """

    rungs: tuple[Rung, ...]
    edges: tuple[Comparison, ...]
    whole: Comparison

    @property
    def first_broken(self) -> Comparison | None:
        """The first edge that is over its bound; None where all hold."""
        return next((edge for edge in self.edges if not edge.same), None)


def climb(
    subject: Subject,
    given: Mapping[str, np.ndarray],
    *,
    stages: Sequence[str] = (),
    entering: Callable[[str], None] = lambda stage: None,
    comparing: Callable[[str, str], None] = lambda one, two: None,
) -> Ladder:
    """Return every stage's outputs on one input, and the difference at each edge.

    Args:
        subject: An archive that has reached at least two stages.
        given: The input, as `bittrue.stages.adapt` takes it.
        stages: Which stages; all that were reached by default.
        entering: Called with each stage's name before it runs, for progress.
        comparing: Called with two stages' names before they are compared; this takes longest.

    Raises:
        DataError: if the input does not fit.
    """
    sides: list[Side] = []
    rungs: list[Rung] = []
    for stage in stages or subject.stages:
        entering(stage)
        sides.append(make_side(subject, stage, given))
        rungs.append(_rung(sides[-1]))
    edges: list[Comparison] = []
    for one, two in itertools.pairwise(sides):
        comparing(one.stage, two.stage)
        edges.append(compare(one, two))
    return Ladder(tuple(rungs), tuple(edges), compare(sides[0], sides[-1], inner=False))


def _rung(side: Side) -> Rung:
    side.runner.run(side.feeds)
    start = time.perf_counter()
    outputs = side.runner.run(side.feeds).outputs
    return Rung(side.stage, time.perf_counter() - start, outputs)
