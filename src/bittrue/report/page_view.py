"""The words and figures of the HTML report: rows that the templates only have to place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bittrue.diagnosis.facts import Diagnosis
from bittrue.network import LADDER
from bittrue.parity.captured import CAPTURE
from bittrue.parity.compare import Comparison, TensorComparison
from bittrue.parity.ladder import Ladder, Rung, Unmeasured
from bittrue.report.page_facts import PageFacts
from bittrue.report.page_layers import Layer
from bittrue.report.tables import shape
from bittrue.report.visible import one_line

#: From which SQNR in dB on an error has each colour: 40, 30, 20 and 10 dB are errors of 1, 3, 10
#: and 32 percent; level 0 is no error at all.
LEVELS = (math.inf, 40.0, 30.0, 20.0, 10.0, -math.inf)
LEVEL_WORDS = ("equal", "≥ 40 dB", "≥ 30", "≥ 20", "≥ 10", "< 10")
#: No figure.
NO_LEVEL = "n"
#: The strip's bars are as high as this SQNR is above the layer's.
STRIP_DB = 60.0
STAGE_WORDS = {
    "source": "the file as it came, in float",
    "native": "our graph, as imported",
    "fp_optimized": "after the float passes",
    "quantized": "float with the rounding of 8 bits",
    "bit_true": "the program, interpreted in integers",
    "compiled": "the program, in the C++ engine",
    CAPTURE: "what the device gave",
}
#: Which colour of a stacked bar each part of an error has, in its order.
SHARE_ORDER = ("weights", "bias", "rounding", "clipping", "requantisation", "table", "inherited")


# --- figures -------------------------------------------------------------------------------------


def decibels(value: float | None, unit: str = " dB") -> str:
    """Return a ratio in dB for people; "equal" where there is no error, "–" without a figure."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "equal" if value > 0 else f"−∞{unit}"
    return f"{value:.1f}{unit}".replace("-", "−")


def number(value: float) -> str:
    """Return a figure with four digits."""
    return f"{value:.4g}".replace("-", "−").replace("inf", "∞")


def level(value: float | None) -> str:
    """Return the colour of an SQNR: the number of the first of LEVELS that it reaches."""
    if value is None or math.isnan(value):
        return NO_LEVEL
    return str(next(at for at, least in enumerate(LEVELS) if value >= least))


def height(value: float | None) -> float:
    """Return how high a layer's bar is, 0 to STRIP_DB; 1 at least where there is an error."""
    if value is None or math.isnan(value) or value == math.inf:
        return 0.0
    return round(min(max(STRIP_DB - value, 1.0), STRIP_DB), 1)


def short(text: str, most: int) -> str:
    """Return a text of at most so many letters, its middle left out."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - half]}…{text[len(text) - half :]}"


def tail(text: str, most: int) -> str:
    """Return a text of at most so many letters, its beginning left out: names differ at the end."""
    return text if len(text) <= most else f"…{text[len(text) - most + 1 :]}"


# --- the verdict ---------------------------------------------------------------------------------


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
        return Verdict("good", "✓", "Nothing wrong", found.verdict, "", figures)
    if found is not None:
        title = "A tie of causes" if len(found.best) > 1 else "Cause found"
        title = title if found.best and not found.healthy else "Different"
        return Verdict("bad", "!", title, found.verdict, _broken(facts.ladder), figures)
    if broken is not None:
        return Verdict("bad", "!", "Over budget", _broken(facts.ladder), "", figures)
    gaps = [row for row in facts.ladder.unmeasured if row.other != CAPTURE]
    if gaps:
        said = "Every edge that was measured is within its budget, but not every edge was measured."
        return Verdict("warn", "?", "Not all measured", said, f"Missing: {gaps[0]}", figures)
    said = "Every stage is within its budget of the stage before it."
    return Verdict("good", "✓", "All within budget", said, "", figures)


def _broken(ladder: Ladder) -> str:
    edge = ladder.first_broken
    if edge is None:
        return "Every stage that was run is within its budget of the stage before it."
    at = ladder.edges.index(edge)
    one, two = ladder.rungs[at].stage, ladder.rungs[at + 1].stage
    measured = _with_reason(edge.worst) if edge.outputs else measured_text(edge)
    return (
        f"{two} is the first stage over its budget. Against {one}: {measured}. "
        f"The budget: {edge.bound}."
    )


def _figures(facts: PageFacts) -> tuple[Figure, ...]:
    ladder, found = facts.ladder, facts.diagnosis
    first, last = ladder.rungs[0].stage, _last_stage(ladder)
    rows = [Figure(f"{first} to {last}", decibels(ladder.whole.worst.sqnr_db), "SQNR")]
    rows += [
        Figure("device against prediction", f"{number(row.ratio)} times", row.says)
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


def _last_stage(ladder: Ladder) -> str:
    """The stage that `whole` ends at: it never is a capture."""
    return next(row.stage for row in reversed(ladder.rungs) if row.stage != CAPTURE)


def _layer_figure(facts: PageFacts, label: str, name: str) -> Figure:
    for at, row in enumerate(facts.layers):
        if name in (row.drawn.name, row.drawn.tensor, *row.drawn.origin, *row.drawn.sources):
            return Figure(label, one_line(name), "", at)
    return Figure(label, one_line(name))


def _worst(facts: PageFacts) -> int | None:
    sums = [(row.own_db if facts.own else row.path_db) for row in facts.layers]
    known = [(value, at) for at, value in enumerate(sums) if value is not None]
    found = min(known, default=(math.inf, 0))
    return None if found[0] == math.inf else found[1]


# --- the ladder ----------------------------------------------------------------------------------


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
        f"{number(row.ratio)} times the predicted error: {row.says}"
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
        tuple(Line(one_line(row.name), _with_reason(row)) for row in edge.outputs),
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


def _with_reason(row: TensorComparison) -> str:
    """Return a tensor's figures, and why they are not within the bound where they seem to be."""
    told = row.difference is not None and row.problem
    return f"{tensor_text(row)}; {row.problem}" if told else tensor_text(row)


def _inner(edge: Comparison) -> str:
    if edge.first is not None:
        row = edge.first
        return f"first inner tensor over it: {one_line(row.name)} ({tensor_text(row)})"
    return f"{edge.inner_compared} inner tensors within it" if edge.inner_compared else ""


# --- the layers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer in words: its box, its bar and its line of the table."""

    name: str
    op: str
    shape: str
    path: str
    own: str
    path_short: str
    own_short: str
    path_level: str
    own_level: str
    path_height: float
    own_height: float
    path_sort: str
    own_sort: str
    max_abs: str
    chief: str
    is_end: bool


def layer_rows(facts: PageFacts) -> tuple[LayerRow, ...]:
    """Return the layers in words."""
    return tuple(_row(row, at in facts.outputs) for at, row in enumerate(facts.layers))


def name_of(row: Layer) -> str:
    """Return what a layer is called: as the source calls it, or as we do."""
    return one_line(row.drawn.name) or one_line(row.drawn.tensor)


def _row(row: Layer, is_end: bool) -> LayerRow:
    path, own = row.path_db, row.own_db
    return LayerRow(
        name_of(row),
        one_line(row.drawn.op),
        shape(row.drawn.shape),
        decibels(path),
        decibels(own),
        decibels(path, ""),
        decibels(own, ""),
        level(path),
        level(own),
        height(path),
        height(own),
        _sortable(path),
        _sortable(own),
        "" if row.path is None else f"{row.path.max_abs:.4g}",
        _chief(row),
        is_end,
    )


def _sortable(value: float | None) -> str:
    """Return a figure that sorts as a number, empty (last) where there is none."""
    if value is None or math.isnan(value):
        return ""
    return f"{min(max(value, -1e6), 1e6):.4g}"


def _chief(row: Layer) -> str:
    """Return what most of a layer's error is made of."""
    if row.error is None or not any(row.error.shares.values()):
        return ""
    name, share = max(row.error.shares.items(), key=lambda item: item[1])
    return f"{share:.0%} {name}"


# --- the page's data -----------------------------------------------------------------------------


def page_data(facts: PageFacts) -> dict[str, object]:
    """Return what the page's script makes the layers' cards of, as plain JSON values."""
    return {
        "reference": facts.reference,
        "other": facts.other,
        "own": facts.own,
        "layers": [_card(row) for row in facts.layers],
    }


def _card(row: Layer) -> dict[str, object]:
    drawn = row.drawn
    return {
        "n": name_of(row),
        "op": one_line(drawn.op),
        "t": one_line(drawn.tensor),
        "o": [one_line(name) for name in (*drawn.origin, *drawn.sources)],
        "s": shape(drawn.shape),
        "r": list(drawn.reads),
        "p": decibels(row.path_db),
        "w": decibels(row.own_db),
        "pl": level(row.path_db),
        "wl": level(row.own_db),
        "pv": _json_number(row.path_db),
        "wv": _json_number(row.own_db),
        "x": _note(row),
        "e": _shares(row),
        "h": _histogram(row),
        "a": _spread(row, "reference"),
        "b": _spread(row, "other"),
        "k": _more(row),
    }


def _json_number(value: float | None) -> float | None:
    return None if not _sortable(value) else float(_sortable(value))


def _note(row: Layer) -> str:
    if row.error is not None and row.error.inherited_from:
        return f"passes on the error of {one_line(row.error.inherited_from)}"
    return row.problem


def _shares(row: Layer) -> list[list[object]]:
    """Return colour, name and percent of each part of the error, in the order of the colours."""
    shares: Mapping[str, float] = row.error.shares if row.error else {}
    if not any(shares.values()):
        return []
    return [
        [at % 7, name, round(100 * shares.get(name, 0.0), 1)]
        for at, name in enumerate(dict.fromkeys((*SHARE_ORDER, *shares)))
    ]


def _histogram(row: Layer) -> list[object] | None:
    found = row.histogram
    if found is None:
        return None
    most = math.log1p(max((*found.reference, *found.other, 1)))
    heights = [
        [round(100 * math.log1p(count) / most) for count in side]
        for side in (found.reference, found.other)
    ]
    return [number(found.low), number(found.high), *heights]


def _spread(row: Layer, side: str) -> list[str]:
    found = row.reference if side == "reference" else row.other
    if found is None:
        return []
    return [number(value) for value in (found.low, found.high, found.mean, found.deviation)]


def _more(row: Layer) -> list[list[str]]:
    """Return the further facts of a card: name and value."""
    found: list[tuple[str, str]] = []
    if row.path is not None:
        found.append(("max abs", number(row.path.max_abs)))
        found.append(("cosine", f"{row.path.cosine:.6f}"))
        found.append(("differing", f"{row.path.differing:,} of {row.path.elements:,}"))
    if row.error is not None and row.error.clipped:
        found.append(("clipped", f"{row.error.clipped:.3%} of the values"))
    if row.error is not None and row.error.dead_channels:
        found.append(("dead channels", str(row.error.dead_channels)))
    found.append(("tensor", one_line(row.drawn.tensor)))
    found += [("source layers", ", ".join(map(one_line, row.drawn.origin)))] * bool(
        row.drawn.origin
    )
    return [list(pair) for pair in found]


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
        said = f"{one_line(row.device)} ({row.confidence:.0%}{undone})"
        rows.append(Figure(f"output {one_line(row.reference)}", said))
    if found is not None and found.noise:
        rows.append(Figure("ordinary noise", found.noise))
    if found is not None and found.seconds:
        times = "; ".join(f"{name} {value:.1f} s" for name, value in found.seconds.items())
        rows.append(Figure("time", times))
    return rows
