"""The ladder: every stage run on one input, each compared with the one before it.

What a device gave is one more rung, after the last stage. An edge that could not be measured is
listed: a ladder with a gap never says that all is well.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bittrue.contract.tensor import Contract
from bittrue.engines.runner import Runner, RunResult
from bittrue.network import LADDER, STAGES
from bittrue.parity.bounds import EMULATED_BOUND, QUANTISED_BOUND, Bound, default_bound
from bittrue.parity.captured import CAPTURE, Matched, Ratio, compare_capture, ratios_of
from bittrue.parity.compare import Comparison, Side, compare, make_side
from bittrue.stages import Subject, open_runner

if TYPE_CHECKING:
    from bittrue.capture import Capture


@dataclass(frozen=True, slots=True)
class Rung:
    """One stage, run; or what a device gave.

    Args:
        stage: Its name, or "capture".
        seconds: Wall time of one run, after a first one where that prepares something; NaN for a
            capture.
        outputs: By name, real values.
    """

    stage: str
    seconds: float
    outputs: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """An edge that nobody looked at.

    Args:
        reference: The earlier stage.
        other: The later one, or "capture".
        why: In words.
        mend: What to do so that it can be measured.
    """

    reference: str
    other: str
    why: str
    mend: str

    def __str__(self) -> str:
        """The edge, why nobody looked, and what to do."""
        return f"{self.reference} to {self.other} ({self.why}: {self.mend})"


@dataclass(frozen=True, slots=True)
class Ladder:
    """What the stages gave, and how far each is from the one before it.

    Args:
        rungs: In order.
        edges: One fewer than the rungs.
        whole: The last stage against the first; a capture is no stage.
        unmeasured: The edges that are not there, in order.
        ratios: By stage and output: its error over the one that emulation predicts.
        matches: Which tensor of a capture is which output.
    """

    rungs: tuple[Rung, ...]
    edges: tuple[Comparison, ...]
    whole: Comparison
    unmeasured: tuple[Unmeasured, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    matches: tuple[Matched, ...] = ()

    @property
    def last_stage(self) -> str:
        """The stage that `whole` ends at: it never is a capture."""
        return next(rung.stage for rung in reversed(self.rungs) if rung.stage != CAPTURE)

    @property
    def first_broken(self) -> Comparison | None:
        """The first edge that is over its bound; None where all that were measured hold."""
        return next((edge for edge in self.edges if not edge.same), None)


def climb(
    subject: Subject,
    given: Mapping[str, np.ndarray],
    *,
    stages: Sequence[str] = (),
    capture: Capture | None = None,
    by_hand: Mapping[str, str] | None = None,
    inner: bool = True,
    runners: Mapping[str, Runner] | None = None,
    warm: bool = True,
    entering: Callable[[str], None] = lambda stage: None,
    comparing: Callable[[str, str], None] = lambda one, two: None,
) -> Ladder:
    """Return every stage's outputs on one input, and the difference at each edge.

    Args:
        subject: An archive that has reached at least two stages, or an executable.
        given: The input, as `bittrue.inputs.adapt` takes it.
        stages: Which stages; all that were reached by default.
        capture: What a device gave on this input.
        by_hand: By output: the name of the capture's tensor that is it.
        inner: Whether to look for the first inner tensor over the bound of each edge.
        runners: By stage: what runs it, where that was opened before (`open_runners`).
        warm: Whether to run what prepares itself once before it is timed.
        entering: Called with each stage's name before it runs, for progress.
        comparing: Called with two stages' names before they are compared; this takes longest.

    Raises:
        DataError: if the input does not fit.
    """
    sides: list[Side] = []
    rungs: list[Rung] = []
    for stage in stages or subject.stages:
        entering(stage)
        runner = Remembering((runners or {}).get(stage) or open_runner(subject, stage))
        sides.append(make_side(subject, stage, given, runner=runner))
        rungs.append(_rung(sides[-1], warm=warm and stage != "bit_true"))
    edges: list[Comparison] = []
    for one, two in itertools.pairwise(sides):
        comparing(one.stage, two.stage)
        bound = drift_bound(one, two, edges)
        edges.append(compare(one, two, bound=bound, inner=inner))
    whole = compare(sides[0], sides[-1], inner=False)
    outputs = {rung.stage: rung.outputs for rung in rungs}
    matches: tuple[Matched, ...] = ()
    if capture is not None:
        contract = sides[-1].runner.contract.outputs
        found = compare_capture(sides[-1].label, outputs, capture, by_hand, contract)
        rungs.append(Rung(CAPTURE, math.nan, found.outputs))
        outputs[CAPTURE] = found.outputs
        edges.append(found.edge)
        matches = found.matches
    gaps = () if stages else tuple(gaps_of(subject))
    return Ladder(tuple(rungs), tuple(edges), whole, gaps, tuple(ratios_of(outputs)), matches)


def open_runners(subject: Subject) -> dict[str, Runner]:
    """Return what runs each stage that was reached, to climb on several inputs."""
    return {stage: open_runner(subject, stage) for stage in subject.stages}


def gaps_of(subject: Subject) -> Iterator[Unmeasured]:
    """Yield the edges between stages that a file cannot show, and what to do about each."""
    reached = set(subject.stages)
    for one, two in itertools.pairwise(STAGES):
        if {one.name, two.name} <= reached:
            continue
        if subject.network is None:
            why, mend = "an executable holds no such stage", "give the archive (.bta) it came from"
        else:
            why = f"the archive has not reached {two.name}"
            options = " --calibrate pictures/" if two.command == "quantize" else ""
            mend = f"run `bittrue {two.command} {subject.path}{options} -o {subject.path}`"
        yield Unmeasured(one.name, two.name, why, mend)


def no_capture(subject: Subject) -> Unmeasured:
    """Return the edge to the device, where nobody gave what it gave."""
    last = max(subject.stages, key=LADDER.index)
    return Unmeasured(last, CAPTURE, "no capture was given", "--capture FILE with the outputs")


def drift_bound(one: Side, two: Side, edges: Sequence[Comparison]) -> Bound | None:
    """Return the bound of an edge where it is not the stages' own.

    Where codes cost much, integers and simulated codes drift apart too: each code that rounds the
    other way is carried on as any error is. They may be as far apart as the codes cost here.
    """
    own = default_bound(one.stage, two.stage)
    before = edges[-1] if edges else None
    if own is not EMULATED_BOUND or before is None or before.bound is not QUANTISED_BOUND:
        return None
    cost, floor = before.worst.sqnr_db, QUANTISED_BOUND.sqnr_db or 0.0
    if cost >= (EMULATED_BOUND.sqnr_db or 0.0):
        return None
    allowed = max(floor, math.floor(cost * 100) / 100)
    return Bound(sqnr_db=allowed, why="no further apart than the codes cost on this input")


def _rung(side: Side, *, warm: bool) -> Rung:
    if warm:
        side.runner.run(side.feeds)
    if isinstance(side.runner, Remembering):
        side.runner.forget()
    start = time.perf_counter()
    outputs = side.runner.run(side.feeds).outputs
    return Rung(side.stage, time.perf_counter() - start, outputs)


class Remembering:
    """A runner that runs once for each look: its outputs are asked for at both of its edges.

    Args:
        runner: What runs. It must be asked with one set of inputs only.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._kept: dict[bool, RunResult] = {}

    @property
    def contract(self) -> Contract:
        """That of the runner."""
        return self._runner.contract

    def run(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
    ) -> RunResult:
        """Return what the runner gives; see `Runner.run`."""
        if taps:
            return self._runner.run(inputs, taps, codes=codes)
        if codes not in self._kept:
            self._kept[codes] = self._runner.run(inputs, codes=codes)
        return self._kept[codes]

    def forget(self) -> None:
        """Run again when asked again."""
        self._kept.clear()
