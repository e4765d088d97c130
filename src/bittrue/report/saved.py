"""Saved results read again: JSON of `diagnose` and `compare` that anybody may have written."""

from __future__ import annotations

import json
from collections.abc import Callable

from bittrue.diagnosis.saved import Saved
from bittrue.errors import FormatError
from bittrue.json_values import as_object, as_text
from bittrue.report.comparison import SCHEMA as COMPARE
from bittrue.report.diagnosis import SCHEMA as DIAGNOSE
from bittrue.report.saved_diagnosis import diagnosis_from_json
from bittrue.report.saved_stages import comparison_from_json, survey_from_json
from bittrue.report.survey import SCHEMA as LADDER
from bittrue.suggest import did_you_mean

#: Bytes of a saved result. A diagnosis of a thousand layers has under one million.
MOST_BYTES = 64 << 20
HINT = "give what `bittrue diagnose --json` or `bittrue compare --json` printed, unchanged"
#: What reads the JSON of each schema that can be judged.
READERS: dict[str, Callable[[object], Saved]] = {
    DIAGNOSE: diagnosis_from_json,
    COMPARE: comparison_from_json,
    LADDER: survey_from_json,
}


def read_saved(data: bytes, path: str) -> Saved:
    """Return what a saved result says.

    Args:
        data: The file's bytes.
        path: Its name, for errors.

    Raises:
        FormatError: if it is no JSON, of an unknown schema, or a value is not what it must be.
    """
    try:
        return saved_from_json(_parsed(data))
    except TypeError as why:
        raise FormatError(str(why), path=path, hint=HINT) from why


def saved_from_json(data: object) -> Saved:
    """Return what the JSON values of a result say.

    Raises:
        TypeError: if the schema is unknown, or a value is not what it must be.
    """
    fields = as_object(data, "the result")
    schema = as_text(fields.get("schema"), "'schema'")
    if schema not in READERS:
        hint = did_you_mean(schema[:60], READERS)
        raise TypeError(f"'schema' is {schema[:60]!r}, which cannot be judged: {hint}")
    return READERS[schema](fields)


def _parsed(data: bytes) -> object:
    """Return JSON values.

    Raises:
        TypeError: if it is no JSON, too long, too deep, or holds what JSON has no word for.
    """
    if len(data) > MOST_BYTES:
        raise TypeError(f"the result has {len(data):,} bytes, more than {MOST_BYTES:,}")
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as why:  # ValueError: UTF-8, JSON, numbers of 5,000 digits
        raise TypeError(f"the result is no JSON: {why}") from why


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no JSON")
