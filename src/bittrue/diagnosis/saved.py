"""What a saved result says, whichever command wrote it: the facts that limits are asked about."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bittrue.contract.finding import Finding
from bittrue.diagnosis.facts import Diagnosis, Explanation, NotTried, Trial
from bittrue.parity.captured import CAPTURE
from bittrue.parity.compare import Comparison, TensorComparison
from bittrue.parity.ladder import Ladder, Rung


@dataclass(frozen=True, slots=True)
class Figures:
    """How far one output is from what it should be; None: the result does not say.

    Args:
        output: Its name; "" for all together.
        sqnr_db: Signal to noise ratio.
        max_abs: Greatest absolute difference.
        relative: max_abs over the greatest absolute reference value.
        error_ratio: Error over the error that 8 bits alone make; 1: nothing else is there.
        within: Whether the bound of the result itself holds.
        problem: Why there are no figures; mostly empty.
    """

    output: str
    sqnr_db: float | None = None
    max_abs: float | None = None
    relative: float | None = None
    error_ratio: float | None = None
    within: bool | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """A pair of neighbouring stages.

    Args:
        reference: The earlier stage.
        other: The later one, or "capture": what a device gave.
        within: Whether its bound holds; None: it was not measured.
        bound: In words; why it was not measured, where it was not.
        outputs: Their figures.
        first: The first inner tensor beyond the bound; "" where none is known.
        seconds: Wall time of the later stage's run; 0 where it is not known.
    """

    reference: str
    other: str
    within: bool | None
    bound: str
    outputs: tuple[Figures, ...] = ()
    first: str = ""
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """Both ends: "native to quantized"."""
        return f"{self.reference} to {self.other}"


@dataclass(frozen=True, slots=True)
class Saved:
    """A result of `diagnose`, of `compare`, or of the ladder.

    Args:
        schema: The result's own, for example "bittrue.diagnose/1".
        model: The file that it is about; "" where nobody knows.
        verdict: The result's own, in a sentence.
        explanations: Of a diagnosis.
        findings: Of a diagnosis.
        trials: Of a diagnosis.
        not_tried: What was not looked at; of a diagnosis.
        residual: What no mistake leaves unexplained, in units of the ordinary noise.
        outputs: Figures of what is judged: the device's outputs, the last stage's.
        edges: Of a ladder; a comparison is a single one.
        first_stage: The first stage beyond its bound.
        first_layer: The first layer beyond it.
        seconds: By step.
    """

    schema: str
    model: str
    verdict: str
    explanations: tuple[Explanation, ...] = ()
    findings: tuple[Finding, ...] = ()
    trials: tuple[Trial, ...] = ()
    not_tried: tuple[NotTried, ...] = ()
    residual: float | None = None
    outputs: tuple[Figures, ...] = ()
    edges: tuple[Edge, ...] = ()
    first_stage: str = ""
    first_layer: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def best(self) -> tuple[Explanation, ...]:
        """The explanations that are first or tied for first."""
        return tuple(row for row in self.explanations if row.best)


def saved_of(found: Diagnosis, schema: str) -> Saved:
    """Return a diagnosis as it will be read again from its JSON.

    Args:
        found: The diagnosis.
        schema: The name of its JSON's form.
    """
    edges = () if found.ladder is None else edges_of(found.ladder)
    return Saved(
        schema,
        found.given.get("model", ""),
        found.verdict,
        found.explanations,
        found.findings,
        found.trials,
        found.not_tried,
        found.residual,
        outputs_of(found.explanations, edges),
        edges,
        found.first_stage,
        found.first_layer,
        dict(found.seconds),
    )


def outputs_of(
    explanations: tuple[Explanation, ...], edges: tuple[Edge, ...]
) -> tuple[Figures, ...]:
    """Return how far each of the device's outputs is off as it came.

    From the ladder's last rung, where a capture is on it; else from the best explanations' effects,
    which all begin with it.
    """
    captured = next((row.outputs for row in edges if row.other == CAPTURE), ())
    rows = [effect for row in explanations if row.best for effect in row.effects]
    firsts = {row.output: row for row in reversed(rows)}
    return captured or tuple(
        Figures(name, firsts[name].before_sqnr_db, firsts[name].before_max_abs)
        for name in dict.fromkeys(row.output for row in rows)
    )


def edges_of(found: Ladder) -> tuple[Edge, ...]:
    """Return the edges of a ladder, those that nobody measured last."""
    ratios = {(row.stage, row.output): row.ratio for row in found.ratios}
    pairs = itertools.pairwise(found.rungs)
    measured = [_edge(*pair, row, ratios) for pair, row in zip(pairs, found.edges, strict=True)]
    gaps = [
        Edge(row.reference, row.other, None, f"{row.why}: {row.mend}") for row in found.unmeasured
    ]
    return (*measured, *gaps)


def _edge(one: Rung, two: Rung, found: Comparison, ratios: Mapping[tuple[str, str], float]) -> Edge:
    return Edge(
        one.stage,
        two.stage,
        found.same,
        str(found.bound),
        tuple(_figures(row, ratios.get((two.stage, row.name))) for row in found.outputs),
        "" if found.first is None else found.first.name,
        two.seconds if math.isfinite(two.seconds) else 0.0,  # of a capture nobody knows
    )


def _figures(found: TensorComparison, ratio: float | None) -> Figures:
    d = found.difference
    told = Figures(found.name, error_ratio=ratio, within=found.within, problem=found.problem)
    if d is None:
        return told
    return replace(told, sqnr_db=d.sqnr_db, max_abs=d.max_abs, relative=d.relative)
