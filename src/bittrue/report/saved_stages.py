"""Saved stages read again: a comparison (bittrue.compare/1), a ladder (bittrue.ladder/1)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace

from bittrue.diagnosis.saved import Edge, Figures, Saved
from bittrue.json_values import as_object, as_texts
from bittrue.parity.bounds import Bound
from bittrue.report.comparison import SCHEMA as COMPARE
from bittrue.report.saved_values import as_flag, as_real, duration_of, optional_of, rows_of, text_of
from bittrue.report.survey import SCHEMA as LADDER


def comparison_from_json(data: object) -> Saved:
    """Return what the JSON of a comparison says.

    Raises:
        TypeError: if a value is not what it must be.
    """
    fields = as_object(data, "the result")
    reference, other = text_of(fields, "reference"), text_of(fields, "other")
    bound = str(_bound(as_object(fields.get("bound"), "'bound'")))
    edge = edge_from_json(fields, reference, other, bound, {})
    return Saved(
        COMPARE,
        other.partition("@")[0],
        f"{other} is {'the same as' if edge.within else 'DIFFERENT from'} {reference}",
        outputs=edge.outputs,
        edges=(edge,),
        first_layer=edge.first,
    )


def _bound(fields: Mapping[str, object]) -> Bound:
    return Bound(
        optional_of(fields, "relative"),
        optional_of(fields, "sqnr_db"),
        as_flag(fields.get("exact"), "'exact'"),
        text_of(fields, "why"),
    )


def edge_from_json(
    fields: Mapping[str, object],
    reference: str,
    other: str,
    bound: str,
    ratios: Mapping[tuple[str, str], float],
) -> Edge:
    """Return an edge.

    Args:
        fields: Its JSON.
        reference: The earlier stage.
        other: The later one.
        bound: In words.
        ratios: By stage and output: error over the error that 8 bits alone make.

    Raises:
        TypeError: if a value is not what it must be.
    """
    first = fields.get("first_over_bound")
    outputs = rows_of(fields, "outputs", figures_from_json)
    return Edge(
        reference,
        other,
        as_flag(fields.get("within", fields.get("same")), "'same' or 'within'"),
        bound,
        tuple(replace(row, error_ratio=ratios.get((other, row.output))) for row in outputs),
        "" if first is None else text_of(as_object(first, "'first_over_bound'"), "name"),
    )


def figures_from_json(fields: Mapping[str, object]) -> Figures:
    """Return an output's figures; those that are not there are None.

    Raises:
        TypeError: if a value is not what it must be.
    """
    return Figures(
        text_of(fields, "name"),
        optional_of(fields, "sqnr_db"),
        optional_of(fields, "max_abs"),
        optional_of(fields, "relative"),
        within=as_flag(fields.get("within"), "'within'"),
        problem=text_of(fields, "problem"),
    )


def survey_from_json(data: object) -> Saved:
    """Return what the JSON of a ladder says: its last stage is what is judged.

    Raises:
        TypeError: if a value is not what it must be.
    """
    fields = as_object(data, "the result")
    stages = as_texts(fields.get("stages"), "'stages'")
    ratios = dict(rows_of(fields, "ratios", _ratio))
    seconds = _slowest(fields)
    rows = rows_of(fields, "edges", _survey_edge)
    measured = [replace(row, seconds=seconds.get(row.other.partition(" ")[0], 0.0)) for row in rows]
    figures = rows_of(fields, "figures", lambda row: _figure(row, stages[-1:], ratios))
    first = fields.get("first_over")
    over = None if first is None else _survey_edge(as_object(first, "'first_over'"))
    return Saved(
        LADDER,
        text_of(fields, "model"),
        text_of(fields, "verdict"),
        outputs=tuple(row for row in figures if row is not None),
        edges=(*measured, *rows_of(fields, "unmeasured", _unmeasured)),
        first_stage="" if over is None else over.other,
        first_layer="" if over is None else over.first,
    )


def _slowest(fields: Mapping[str, object]) -> dict[str, float]:
    """Return by stage the most seconds that it took on a sample; a capture has none."""
    found: dict[str, float] = {}
    for stage, seconds in rows_of(
        fields, "rungs", lambda row: (text_of(row, "stage"), duration_of(row, "seconds"))
    ):
        found[stage] = max(found.get(stage, 0.0), seconds)
    return found


def _survey_edge(fields: Mapping[str, object]) -> Edge:
    bound = _bound(as_object(fields.get("bound"), "'bound'"))
    told = f"{bound}, worst on {text_of(fields, 'sample')}"
    return edge_from_json(fields, text_of(fields, "reference"), text_of(fields, "other"), told, {})


def _figure(
    fields: Mapping[str, object],
    stages: tuple[str, ...],
    ratios: Mapping[tuple[str, str], float],
) -> Figures | None:
    """Return an output's figures on one sample; None where they are another stage's."""
    stage, output = text_of(fields, "stage"), text_of(fields, "output")
    sqnr, worst = (as_real(fields.get(name), f"'{name}'") for name in ("sqnr_db", "max_abs"))
    if stage not in stages:
        return None
    problem = "it could not be compared" if sqnr == -math.inf else ""
    name = f"{output} on {text_of(fields, 'sample')}"
    return Figures(name, sqnr, worst, error_ratio=ratios.get((stage, output)), problem=problem)


# --- the ladder of a diagnosis ------------------------------------------------------------------


def edges_from_json(fields: Mapping[str, object]) -> tuple[Edge, ...]:
    """Return the edges of a diagnosis's ladder, those that nobody measured last.

    Raises:
        TypeError: if a value is not what it must be, or the edges do not join the stages.
    """
    stages = rows_of(
        fields, "stages", lambda row: (text_of(row, "stage"), duration_of(row, "seconds"))
    )
    ratios = dict(rows_of(fields, "ratios", _ratio))
    rows = rows_of(fields, "edges", lambda row: row)
    if len(rows) != len(stages) - 1:
        raise TypeError(f"'edges' has {len(rows)} rows between {len(stages)} stages")
    measured = [
        replace(edge_from_json(row, one, two, text_of(row, "bound"), ratios), seconds=seconds)
        for row, ((one, _), (two, seconds)) in zip(rows, itertools.pairwise(stages), strict=True)
    ]
    return (*measured, *rows_of(fields, "unmeasured", _unmeasured))


def _ratio(fields: Mapping[str, object]) -> tuple[tuple[str, str], float]:
    return (text_of(fields, "stage"), text_of(fields, "output")), as_real(
        fields.get("ratio"), "'ratio'"
    )


def _unmeasured(fields: Mapping[str, object]) -> Edge:
    why = f"{text_of(fields, 'why')}: {text_of(fields, 'mend')}"
    return Edge(text_of(fields, "reference"), text_of(fields, "other"), None, why)
