"""The ladder on all its samples, as text and as JSON (schema bittrue.ladder/1)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from bittrue.network import LADDER
from bittrue.parity.attribute import LayerTable
from bittrue.parity.captured import Ratio
from bittrue.parity.compare import Comparison, TensorComparison
from bittrue.parity.ladder import Ladder
from bittrue.parity.samples import CONFIDENCE, Figure, Flip, Interval, Mean, Survey
from bittrue.report.comparison import comparison_json, decibels
from bittrue.report.json_form import finite
from bittrue.report.ladder import edge_figures, milliseconds
from bittrue.report.layers import layers_json, layers_text
from bittrue.report.tables import table

SCHEMA = "bittrue.ladder/1"
#: Flips that the text lists; JSON has them all.
SHOWN = 20


# --- text -----------------------------------------------------------------------------------------


def survey_text(found: Survey, layers: LayerTable | None = None) -> str:
    """Return the ladder, what was not measured, the samples, the layers, and the verdict."""
    parts = [
        _edges_text(found),
        "\n".join(_matches_text(found)),
        "\n".join(_ratios_text(found.ratios)),
        "\n".join(_samples_text(found)) if len(found.samples) > 1 else "",
        "\n".join(_flips_text(found)),
        "" if layers is None else layers_text(layers),
        "\n".join([*(f"not measured: {gap}" for gap in found.unmeasured), verdict(found)]),
    ]
    return "\n\n".join(part for part in parts if part)


def _edges_text(found: Survey) -> str:
    """Return one row a stage; the figures are those of the worst output on the worst sample."""
    rungs = found.ladders[0].rungs
    rows: list[tuple[str, ...]] = [
        (rungs[0].stage, milliseconds(rungs[0].seconds), "-", "-", "-", "-", "")
    ]
    for rung, edge in zip(rungs[1:], found.edges, strict=True):
        worst = _worst(edge)
        rows.append((rung.stage, milliseconds(rung.seconds), *edge_figures(edge[worst])))
    columns = ("stage", "ms", "max abs", "SQNR dB", "cosine", "values that differ")
    several = len(found.samples)
    head = f"{found.model} on {found.samples[0]}"
    if several > 1:
        head = f"{found.model} on {several} samples; each edge on its worst"
    against = "against the stage before"
    return f"{head}\n{table((*columns, against), rows, right=columns[1:])}"


def _worst(edge: Sequence[Comparison]) -> int:
    """Return the sample on which an edge is worst: over its bound first, then by SQNR."""
    return min(range(len(edge)), key=lambda at: (edge[at].same, edge[at].worst.sqnr_db))


def _matches_text(found: Survey) -> Iterator[str]:
    """Yield which tensor of the first capture is which output."""
    for row in found.ladders[0].matches:
        undone = f", undone: {', '.join(row.undone)}" if row.undone else ""
        told = f"by {row.how}, confidence {row.confidence:.2f}{undone}"
        yield f"output '{row.reference}' is the capture's '{row.device}' ({told})"


def _ratios_text(ratios: Sequence[Ratio]) -> Iterator[str]:
    for row in ratios:
        if row.stage != "bit_true":
            yield (
                f"{row.stage}, '{row.output}': its error is {row.ratio:.2f} times what emulation "
                f"predicts: {row.says}"
            )


def _samples_text(found: Survey) -> Iterator[str]:
    first = found.ladders[0].rungs[0].stage
    columns = ("stage", "output", "mean SQNR dB", f"{CONFIDENCE:.0%} interval", "step", "interval")
    rows = [
        (
            row.stage,
            row.output,
            _number(row.sqnr_db.mean),
            _range(row.sqnr_db),
            _number(row.step_db.mean, "+"),
            _range(row.step_db, "+"),
            str(row.equal or ""),
            _least(found.figures, row),
        )
        for row in found.means
    ]
    yield f"against {first}, {len(found.samples)} samples (paired bootstrap)"
    yield table((*columns, "equal on", "worst sample"), rows, right=(*columns[2:], "equal on"))


def _least(figures: Sequence[Figure], row: Mean) -> str:
    """Return the sample with the least SQNR of a stage's output."""
    mine = [item for item in figures if (item.stage, item.output) == (row.stage, row.output)]
    least = min(mine, key=lambda item: item.sqnr_db)
    return "" if least.sqnr_db == math.inf else f"{least.sample} ({decibels(least.sqnr_db)})"


def _number(value: float, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{sign}.2f}"


def _range(row: Interval, sign: str = "") -> str:
    if math.isnan(row.mean) or row.low == row.high == row.mean:
        return "-"
    return f"{row.low:{sign}.2f} to {row.high:{sign}.2f}"


def _flips_text(found: Survey) -> Iterator[str]:
    if found.unanswered:
        names = ", ".join(f"'{name}'" for name in found.unanswered)
        yield f"no answer is defined for {names}: only the figures are compared"
    if not found.answered:
        return
    flipped = {row.sample for row in found.flips if row.final}
    last = found.ladders[0].rungs[-1].stage
    yield f"answers that flip by {last}: {len(flipped)} of {len(found.samples)} samples"
    for row in found.flips[:SHOWN]:
        back = "" if row.final else ", and back again"
        change = f"{row.reference} to {row.answer}{back}, at {row.stage}"
        yield f"  {row.sample}, '{row.output}': {change}"
    if len(found.flips) > SHOWN:
        yield f"  and {len(found.flips) - SHOWN} more: --json lists them all"


def verdict(found: Survey) -> str:
    """Return the last line: what the exit code says, in words."""
    broken = found.first_broken
    if broken is not None:
        sample, edge = broken
        row = edge.worst if not edge.worst.within else _over(edge)
        told = row.problem or f"output '{row.name}' has SQNR {decibels(row.sqnr_db)} dB"
        inner = f"; the first inner tensor over it is '{edge.first.name}'" if edge.first else ""
        return (
            f"OVER ITS BUDGET FIRST: {_stage(edge.reference)} to {_stage(edge.other)}, "
            f"on {sample}: {told}, allowed is {edge.bound}{inner}"
        )
    if found.unmeasured:
        edges, gaps = len(found.edges), len(found.unmeasured)
        return (
            f"{edges} edge{'' if edges == 1 else 's'} measured, within budget; "
            f"{gaps} NOT MEASURED: nothing is said of {'it' if gaps == 1 else 'them'}"
        )
    return "every edge is within its budget"


def _over(edge: Comparison) -> TensorComparison:
    """Return the first output over the bound; the first inner tensor where all are within."""
    over = [row for row in edge.outputs if not row.within]
    return (*over, edge.first or edge.worst)[0]


def _stage(label: str) -> str:
    """Return the stage of "FILE@STAGE"; a capture has none."""
    stage = label.rpartition("@")[2]
    return stage if stage in LADDER else f"capture {label}"


# --- JSON -----------------------------------------------------------------------------------------


def survey_json(found: Survey, layers: LayerTable | None = None) -> dict[str, object]:
    """Return a survey as plain JSON values; infinities and NaN become their names."""
    broken = found.first_broken
    return {
        "model": found.model,
        "samples": list(found.samples),
        "stages": [rung.stage for rung in found.ladders[0].rungs],
        "within": broken is None,
        "all_measured": not found.unmeasured,
        "verdict": verdict(found),
        "first_over": None if broken is None else _edge_json(*broken),
        "edges": [_edge_json(found.samples[at := _worst(edge)], edge[at]) for edge in found.edges],
        "unmeasured": [asdict(gap) for gap in found.unmeasured],
        "rungs": [
            row
            for name, ladder in zip(found.samples, found.ladders, strict=True)
            for row in _rungs_json(name, ladder)
        ],
        "figures": [finite(asdict(row)) for row in found.figures],
        "means": [_mean_json(row) for row in found.means],
        "confidence": CONFIDENCE,
        "ratios": [_ratio_json(row) for row in found.ratios],
        "matches": [
            {"sample": name, **asdict(row), "undone": list(row.undone)}
            for name, ladder in zip(found.samples, found.ladders, strict=True)
            for row in ladder.matches
        ],
        "answered": list(found.answered),
        "unanswered": list(found.unanswered),
        "flips": [_flip_json(row) for row in found.flips],
        "layers": None if layers is None else layers_json(layers),
    }


def _edge_json(sample: str, edge: Comparison) -> dict[str, object]:
    found = comparison_json(edge)
    return {
        "reference": _stage(edge.reference),
        "other": _stage(edge.other),
        "sample": sample,
        "within": found["same"],
        **{key: found[key] for key in ("bound", "outputs", "first_over_bound", "inner_compared")},
    }


def _rungs_json(sample: str, ladder: Ladder) -> Iterator[dict[str, object]]:
    for rung in ladder.rungs:
        seconds = None if math.isnan(rung.seconds) else rung.seconds
        yield {"sample": sample, "stage": rung.stage, "seconds": seconds}


def _mean_json(row: Mean) -> dict[str, object]:
    return {
        "stage": row.stage,
        "output": row.output,
        "sqnr_db": finite(asdict(row.sqnr_db)),
        "step_db": finite(asdict(row.step_db)),
        "finite": row.finite,
        "equal": row.equal,
    }


def _ratio_json(row: Ratio) -> dict[str, object]:
    figures = {"ratio": row.ratio, "error": row.error, "predicted": row.predicted}
    return {
        "stage": row.stage,
        "output": row.output,
        **finite(figures),
        "elements": row.elements,
        "says": row.says,
    }


def _flip_json(row: Flip) -> dict[str, object]:
    return {
        "sample": row.sample,
        "output": row.output,
        "stage": row.stage,
        "reference": str(row.reference),
        "answer": str(row.answer),
        "final": row.final,
    }
