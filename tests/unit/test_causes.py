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
    areas = "input|output|quant|graph|runtime|test"
    assert all(re.fullmatch(rf"({areas})\.[a-z_]+|none", row.id) for row in CAUSES)
    assert len(BY_ID) == len(CAUSES)
    assert {row.area for row in CAUSES} == {*areas.split("|"), "none"}


def test_the_table_has_every_cause_that_users_meet(shared: Path) -> None:
    ids = re.findall(r"^\| `([a-z_.]+)` \|", (shared / "CAUSES.md").read_text(), re.MULTILINE)
    assert len(ids) > 40
    assert set(ids) <= set(BY_ID)


def test_a_finding_names_a_row_of_the_table() -> None:
    Finding("input.dtype", "error", "x", "m", "x = x", 1, 1, (f"{NO_CAUSE}: dark",))
    with pytest.raises(InternalError, match="dtpe is no row"):
        Finding("input.dtpe", "error", "x", "m", "x = x", 1, 1)
    with pytest.raises(InternalError, match="frame is no row"):
        Finding("input.dtype", "error", "x", "m", "x = x", 1, 1, ("input.frame: more of them",))


#: They list causes, and decide none.
LISTS = ("causes.py", "hypotheses.py", "judge.py", "facts.py")


@pytest.mark.parametrize("cause", CAUSES, ids=lambda row: row.id)
def test_each_cause_is_named_by_some_rule(cause: Cause) -> None:
    rules = [path.read_text() for path in SOURCES.rglob("*.py") if path.name not in LISTS]
    assert any(f'"{cause.id}' in text for text in rules)


def test_each_cause_that_is_named_is_in_the_table() -> None:
    areas = "|".join({row.area for row in CAUSES} - {"none"})
    rules = [path.read_text() for path in (SOURCES / "diagnosis").glob("*.py")]
    named = {name for text in rules for name in re.findall(rf'"((?:{areas})\.[a-z_]+)[":]', text)}
    assert len(named) > 30
    assert named <= set(BY_ID)
