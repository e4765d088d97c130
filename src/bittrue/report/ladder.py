"""The ladder as text: each stage with its time and its difference from the one before."""

from __future__ import annotations

import math

from bittrue.parity.compare import Comparison
from bittrue.parity.ladder import Ladder
from bittrue.report.comparison import decibels
from bittrue.report.tables import table


def ladder_text(found: Ladder) -> str:
    """Return one row a stage; the figures are those of its worst output."""
    rows: list[tuple[str, ...]] = []
    for index, rung in enumerate(found.rungs):
        time = milliseconds(rung.seconds)
        if index == 0:
            rows.append((rung.stage, time, "-", "-", "-", "-", ""))
            continue
        rows.append((rung.stage, time, *edge_figures(found.edges[index - 1])))
    columns = (
        "stage",
        "ms",
        "max abs",
        "SQNR dB",
        "cosine",
        "values that differ",
        "against the stage before",
    )
    lines = [table(columns, rows, right=columns[1:6])]
    first = found.rungs[0].stage
    lines.append(f"{first} to {found.last_stage}: {_sentence(found.whole)}")
    lines += [f"not measured: {gap}" for gap in found.unmeasured]
    return "\n".join(lines)


def milliseconds(seconds: float) -> str:
    """Return a rung's time; a capture has none."""
    return "-" if math.isnan(seconds) else f"{seconds * 1000:.1f}"


def edge_figures(edge: Comparison) -> tuple[str, ...]:
    """Return an edge as table cells: max, SQNR, cosine, values, verdict; of its worst output."""
    row = edge.worst
    if row.difference is None:
        return ("-", "-", "-", "-", row.problem)
    d = row.difference
    verdict = "within: " if edge.same else f"OVER: {row.problem}; " if row.problem else "OVER: "
    return (
        f"{d.max_abs:.4g}",
        decibels(d.sqnr_db),
        f"{d.cosine:.6f}",
        f"{d.differing:,} of {d.elements:,}",
        verdict + str(edge.bound),
    )


def _sentence(edge: Comparison) -> str:
    row = edge.worst
    if row.difference is None:
        return row.problem
    d = row.difference
    figures = f"SQNR {decibels(d.sqnr_db)} dB, cosine {d.cosine:.6f}, max abs {d.max_abs:.4g}"
    return f"output '{row.name}' {figures}"
