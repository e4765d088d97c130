"""The table of causes, and the findings that name its rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bittrue.contract.causes import BY_ID, CAUSES, NO_CAUSE, Cause
from bittrue.contract.finding import Finding
from bittrue.errors import InternalError

SOURCES = Path(__file__).parents[2] / "src" / "bittrue"


def test_ids_are_an_area_and_a_word_and_stand_once() -> None:
    assert all(re.fullmatch(r"(input|quant|runtime)\.[a-z_]+", row.id) for row in CAUSES)
    assert len(BY_ID) == len(CAUSES)


def test_a_finding_names_a_row_of_the_table() -> None:
    Finding("input.dtype", "error", "x", "m", "x = x", 1, 1, (f"{NO_CAUSE}: dark",))
    with pytest.raises(InternalError, match="dtpe is no row"):
        Finding("input.dtpe", "error", "x", "m", "x = x", 1, 1)
    with pytest.raises(InternalError, match="frame is no row"):
        Finding("input.dtype", "error", "x", "m", "x = x", 1, 1, ("input.frame: more of them",))


@pytest.mark.parametrize("cause", CAUSES, ids=lambda row: row.id)
def test_each_cause_is_named_by_some_rule(cause: Cause) -> None:
    rules = [path.read_text() for path in SOURCES.rglob("*.py") if path.name != "causes.py"]
    assert any(f'"{cause.id}' in text for text in rules)
