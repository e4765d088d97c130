"""What the HTML report says first and last: the verdict with its figures, and what was given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bittrue.diagnosis.facts import Diagnosis
from bittrue.parity.captured import CAPTURE
from bittrue.parity.ladder import Ladder
from bittrue.report.page_cards import name_of
from bittrue.report.page_facts import PageFacts
from bittrue.report.page_ladder import measured_text, reasoned_text
from bittrue.report.page_words import decibels, named


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure below the verdict; with a layer, it leads there."""

    label: str
    value: str
    note: str = ""
    layer: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What stands first.

    Args:
        tone: "good", "warn" or "bad".
        mark: A sign for it.
        title: In two words.
        sentence: The answer.
        detail: What to know besides; may be empty.
        figures: A few figures.
    """

    tone: str
    mark: str
    title: str
    sentence: str
    detail: str
    figures: tuple[Figure, ...]


def verdict_of(facts: PageFacts) -> Verdict:
    """Return the answer: the diagnosis's where there is one, the ladder's otherwise."""
    found, broken = facts.diagnosis, facts.ladder.first_broken
    figures = _figures(facts)
    if found is not None and found.healthy and broken is None:
        return Verdict("good", "✓", "Nothing wrong", found.verdict, _gap(facts.ladder), figures)
    if found is not None and not found.healthy:
        title = "A tie of causes" if len(found.best) > 1 else "Cause found"
        title = title if found.best and not found.by_elimination else "Different"
        return Verdict("bad", "!", title, found.verdict, _broken(facts.ladder), figures)
    if broken is not None:
        told = found.verdict if found else ""
        return Verdict("bad", "!", "Over budget", _broken(facts.ladder), told, figures)
    gap = _gap(facts.ladder)
    if gap:
        said = "Every edge that was measured is within its budget, but not every edge was measured."
        return Verdict("warn", "?", "Not all measured", said, gap, figures)
    said = "Every stage is within its budget of the stage before it."
    return Verdict("good", "✓", "All within budget", said, "", figures)


def _gap(ladder: Ladder) -> str:
    """Return the first edge between stages that nobody measured; empty where there is none."""
    gaps = [row for row in ladder.unmeasured if row.other != CAPTURE]
    return f"Not measured: {gaps[0]}." if gaps else ""


def _broken(ladder: Ladder) -> str:
    edge = ladder.first_broken
    if edge is None:
        return "Every stage that was run is within its budget of the stage before it."
    at = ladder.edges.index(edge)
    one, two = ladder.rungs[at].stage, ladder.rungs[at + 1].stage
    measured = reasoned_text(edge.worst) if edge.outputs else measured_text(edge)
    return (
        f"{two} is the first stage over its budget. Against {one}: {measured}. "
        f"The budget: {edge.bound}."
    )


def _figures(facts: PageFacts) -> tuple[Figure, ...]:
    ladder, found = facts.ladder, facts.diagnosis
    first, last = ladder.rungs[0].stage, ladder.last_stage
    rows = [Figure(f"{first} to {last}", decibels(ladder.whole.worst.sqnr_db), "SQNR")]
    rows += [
        Figure("device against prediction", f"{row.ratio:.2f} times", row.says)
        for row in ladder.ratios
        if row.stage == CAPTURE
    ][:1]
    if ladder.first_broken is not None:
        at = ladder.edges.index(ladder.first_broken)
        rows.append(Figure("first stage over its budget", ladder.rungs[at + 1].stage))
    if found is not None and found.first_layer:
        rows.append(_layer_figure(facts, "first layer over it", found.first_layer))
    worst = _worst(facts)
    if worst is not None:
        label = "greatest own error" if facts.own else "greatest error"
        row = facts.layers[worst]
        value = row.own_db if facts.own else row.path_db
        rows.append(Figure(label, name_of(row), decibels(value), worst))
    compared = sum(row.path is not None for row in facts.layers)
    made = sum(row.drawn.op != "input" for row in facts.layers)
    rows.append(Figure("layers compared", f"{compared:,} of {made:,}"))
    return tuple(rows)


def _layer_figure(facts: PageFacts, label: str, name: str) -> Figure:
    for at, row in enumerate(facts.layers):
        if name in (row.drawn.name, row.drawn.tensor, *row.drawn.origin, *row.drawn.sources):
            return Figure(label, named(name), "", at)
    return Figure(label, named(name))


def _worst(facts: PageFacts) -> int | None:
    sums = [(row.own_db if facts.own else row.path_db) for row in facts.layers]
    known = [(value, at) for at, value in enumerate(sums) if value is not None]
    found = min(known, default=(math.inf, 0))
    return None if found[0] == math.inf else found[1]


def not_tried(found: Diagnosis | None) -> Sequence[tuple[str, tuple[str, ...]]]:
    """Return the reasons for which causes were not looked at, each with its causes."""
    reasons: dict[str, list[str]] = {}
    for row in found.not_tried if found else ():
        reasons.setdefault(row.reason, []).append(row.cause)
    return [(reason, tuple(causes)) for reason, causes in reasons.items()]


def settings_of(facts: PageFacts, found: Diagnosis | None) -> Sequence[Figure]:
    """Return what else was given or took time, for the last section."""
    rows = [Figure("layers", f"{facts.other} against {facts.reference}")]
    if facts.samples:
        said = f"over {facts.samples} input{'s' if facts.samples > 1 else ''}"
        rows.append(Figure("own errors", f"{said}; shares add up within {facts.closes:.1g}"))
    for row in facts.ladder.matches:
        undone = f", after undoing {', '.join(row.undone)}" if row.undone else ""
        said = f"{named(row.device)} ({row.confidence:.0%}{undone})"
        rows.append(Figure(f"output {named(row.reference)}", said))
    if found is not None and found.noise:
        rows.append(Figure("ordinary noise", found.noise))
    if found is not None and found.seconds:
        times = "; ".join(f"{name} {value:.1f} s" for name, value in found.seconds.items())
        rows.append(Figure("time", times))
    return rows
