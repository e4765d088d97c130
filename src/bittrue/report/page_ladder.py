"""The ladder in words, for the HTML report: each stage, and the edge that leads to it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from bittrue.network import LADDER
from bittrue.parity.captured import CAPTURE
from bittrue.parity.compare import Comparison, TensorComparison
from bittrue.parity.ladder import Ladder, Rung, Unmeasured
from bittrue.report.page_words import decibels, named, number

STAGE_WORDS = {
    "source": "the file as it came, in float",
    "native": "our graph, as imported",
    "fp_optimized": "after the float passes",
    "quantized": "float with the rounding of 8 bits",
    "bit_true": "the program, interpreted in integers",
    "compiled": "the program, in the C++ engine",
    CAPTURE: "what the device gave",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One output of an edge."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of the ladder in words."""

    tone: str
    verdict: str
    measured: str
    budget: str
    inner: str
    outputs: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A stage, and the edge that leads to it."""

    stage: str
    words: str
    milliseconds: str
    edge: Edge | None
    over: bool


def ladder_steps(ladder: Ladder) -> tuple[Step, ...]:
    """Return the stages in order, those that were not reached too, and how each was measured."""
    rungs = {row.stage: row for row in ladder.rungs}
    edges: dict[tuple[str, str], Comparison | Unmeasured] = {
        (one.stage, two.stage): edge
        for (one, two), edge in zip(itertools.pairwise(ladder.rungs), ladder.edges, strict=True)
    }
    edges.update({(row.reference, row.other): row for row in ladder.unmeasured})
    named = set(rungs) | {name for pair in edges for name in pair}
    order = [name for name in (*LADDER, CAPTURE) if name in named]
    steps = []
    for at, stage in enumerate(order):
        edge = edges.get((order[at - 1], stage)) if at else None
        steps.append(_step(stage, rungs.get(stage), _edge(edge, ladder, stage), bool(at)))
    return tuple(steps)


def _step(stage: str, rung: Rung | None, edge: Edge | None, inner: bool) -> Step:
    words = STAGE_WORDS.get(stage, "")
    if rung is None:
        words = f"{words}; not there"
    time = "" if rung is None or math.isnan(rung.seconds) else f"{rung.seconds * 1000:,.1f}"
    missing = Edge("warn", "not measured", "nobody looked", "", "", ())
    edge = edge or (missing if inner else None)
    return Step(stage, words, time, edge, edge is not None and edge.tone == "bad")


def _edge(edge: Comparison | Unmeasured | None, ladder: Ladder, stage: str) -> Edge | None:
    if edge is None:
        return None
    if isinstance(edge, Unmeasured):
        return Edge("warn", "not measured", edge.why, edge.mend, "", ())
    ratios = [
        f"{row.ratio:.2f} times the predicted error: {row.says}"
        for row in ladder.ratios
        if row.stage == stage
    ]
    inner = "; ".join(text for text in (_inner(edge), *ratios[:1]) if text)
    return Edge(
        "good" if edge.same else "bad",
        "within" if edge.same else "over budget",
        measured_text(edge),
        str(edge.bound),
        inner,
        tuple(Line(named(row.name), reasoned_text(row)) for row in edge.outputs),
    )


def measured_text(edge: Comparison) -> str:
    """Return the figures of an edge's worst output."""
    return tensor_text(edge.worst) if edge.outputs else "no output was compared"


def tensor_text(row: TensorComparison) -> str:
    """Return one tensor's figures in words."""
    if row.difference is None:
        return row.problem
    if row.difference.equal:
        return f"equal in all {row.difference.elements:,} values"
    found = row.difference
    ratio = f"{found.sqnr_db:.2f} dB" if math.isfinite(found.sqnr_db) else decibels(found.sqnr_db)
    return f"SQNR {ratio.replace('-', '−')}, max abs {number(found.max_abs)}"


def reasoned_text(row: TensorComparison) -> str:
    """Return a tensor's figures, and why they are not within the bound where they seem to be."""
    told = row.difference is not None and row.problem
    return f"{tensor_text(row)}; {row.problem}" if told else tensor_text(row)


def _inner(edge: Comparison) -> str:
    if edge.first is not None:
        row = edge.first
        return f"first inner tensor over it: {named(row.name)} ({tensor_text(row)})"
    return f"{edge.inner_compared} inner tensors within it" if edge.inner_compared else ""
