"""A saved diagnosis read again (schema bittrue.diagnose/1)."""

from __future__ import annotations

from collections.abc import Mapping

from bittrue.contract.finding import Finding
from bittrue.diagnosis.facts import DECIDED_BY, Effect, Explanation, Mistake, NotTried, Trial
from bittrue.diagnosis.saved import Saved, outputs_of
from bittrue.errors import InternalError
from bittrue.json_values import as_list, as_object, as_text, as_texts, as_whole
from bittrue.report.diagnosis import SCHEMA
from bittrue.report.saved_stages import edges_from_json
from bittrue.report.saved_values import (
    as_cause,
    as_durations,
    as_flag,
    as_real,
    as_share,
    optional_of,
    rows_of,
    text_of,
)


def diagnosis_from_json(data: object) -> Saved:
    """Return what the JSON of a diagnosis says; `saved_of` of the diagnosis gives the same.

    Raises:
        TypeError: if a value is not what it must be.
    """
    fields = as_object(data, "the result")
    explanations = rows_of(fields, "explanations", _explanation)
    ladder = fields.get("ladder")
    edges = () if ladder is None else edges_from_json(as_object(ladder, "'ladder'"))
    given = as_object(fields.get("given"), "'given'")
    return Saved(
        SCHEMA,
        as_text(given.get("model", ""), "'model'"),
        text_of(fields, "verdict"),
        explanations,
        rows_of(fields, "findings", _finding),
        rows_of(fields, "trials", _trial),
        rows_of(fields, "not_tried", _not_tried),
        optional_of(fields, "residual"),
        outputs_of(explanations, edges),
        edges,
        text_of(fields, "first_stage"),
        text_of(fields, "first_layer"),
        as_durations(fields.get("seconds"), "'seconds'"),
    )


def _explanation(fields: Mapping[str, object]) -> Explanation:
    mistakes = rows_of(fields, "mistakes", _mistake)
    if not mistakes:
        raise TypeError("an explanation holds no mistake")
    return Explanation(
        mistakes,
        as_share(fields.get("confidence"), "'confidence'"),
        as_texts(fields.get("evidence"), "'evidence'"),
        rows_of(fields, "effects", _effect),
        as_flag(fields.get("best"), "'best'"),
        as_flag(fields.get("proved"), "'proved'"),
    )


def _mistake(fields: Mapping[str, object]) -> Mistake:
    decided_by = text_of(fields, "decided_by")
    if decided_by not in DECIDED_BY:
        raise TypeError(f"'decided_by' is {decided_by[:60]!r}, not one of {', '.join(DECIDED_BY)}")
    return Mistake(
        as_cause(fields.get("cause"), "'cause'"),
        text_of(fields, "what"),
        text_of(fields, "where"),
        as_texts(fields.get("mend"), "'mend'"),
        decided_by,
    )


def _effect(fields: Mapping[str, object]) -> Effect:
    names = ("before_sqnr_db", "after_sqnr_db", "before_max_abs", "after_max_abs")
    figures = [as_real(fields.get(name), f"'{name}'") for name in names]
    return Effect(text_of(fields, "output"), *figures)


def _finding(fields: Mapping[str, object]) -> Finding:
    severity = text_of(fields, "severity")
    if severity not in ("error", "warning"):
        raise TypeError(f"'severity' is {severity[:60]!r}, not error or warning")
    try:
        return Finding(
            as_cause(fields.get("cause"), "'cause'"),
            severity,
            text_of(fields, "input"),
            text_of(fields, "message"),
            text_of(fields, "mend"),
            as_whole(fields.get("expected_bytes"), "'expected_bytes'"),
            as_whole(fields.get("received_bytes"), "'received_bytes'"),
            as_texts(fields.get("other_causes"), "'other_causes'"),
        )
    except InternalError as why:  # a strange id among the other causes
        raise TypeError(str(why)[:200]) from why


def _trial(fields: Mapping[str, object]) -> Trial:
    return Trial(
        text_of(fields, "label"),
        tuple(as_cause(row, "'causes'") for row in as_list(fields.get("causes"), "'causes'")),
        as_real(fields.get("residual"), "'residual'"),
        as_real(fields.get("gain"), "'gain'"),
    )


def _not_tried(fields: Mapping[str, object]) -> NotTried:
    return NotTried(as_cause(fields.get("cause"), "'cause'"), text_of(fields, "reason"))
