"""A diagnosis as text and JSON: the verdict first, nothing kept back, nothing that harms."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from bittrue.contract.causes import BY_ID
from bittrue.diagnosis.diagnose import verdict_of
from bittrue.diagnosis.facts import Diagnosis, Explanation, Mistake, NotTried
from bittrue.diagnosis.saved import saved_of
from bittrue.parity.captured import Ratio
from bittrue.parity.ladder import Unmeasured
from bittrue.report.diagnosis import SCHEMA, WIDTH, diagnosis_json, diagnosis_text, other_trials
from bittrue.report.saved import saved_from_json
from bittrue.report.visible import visible
from tests.golden import check_golden
from tests.unit.diagnoses import HOSTILE, healthy, hostile, ladder, one_cause, tie

FORMS = (one_cause, tie, healthy, hostile)
ROOT = Path(__file__).parents[2]
RULES = json.loads((ROOT / "docs/schemas/bittrue.diagnose-1.json").read_text(encoding="utf-8"))


def written(found: Diagnosis) -> Any:
    """Return the JSON as it is read from a file."""
    text = json.dumps({"schema": SCHEMA, **diagnosis_json(found)}, allow_nan=False)
    return json.loads(text)


# --- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_the_text_of_each_form_is_kept(form: Callable[[], Diagnosis]) -> None:
    check_golden(f"diagnosis/{form.__name__}.txt", diagnosis_text(form()))


def test_the_first_line_is_the_verdict() -> None:
    assert diagnosis_text(one_cause()).splitlines()[0] == one_cause().verdict


def test_text_fits_a_terminal_of_100_columns_but_for_lines_that_are_to_be_copied() -> None:
    long = "x = np.ascontiguousarray(" + "x" * 200 + ")"
    mistake = replace(one_cause().best[0].mistakes[0], mend=(long,), what="many words " * 40)
    best = replace(one_cause().best[0], mistakes=(mistake,), evidence=("and more of them " * 40,))
    lines = diagnosis_text(replace(one_cause(), explanations=(best,))).splitlines()
    assert [line for line in lines if len(line) > WIDTH] == [f"  mend      {long}"]


def test_a_mend_stands_on_lines_of_its_own_as_it_is_to_be_typed() -> None:
    text = diagnosis_text(one_cause())
    for line in one_cause().best[0].mistakes[0].mend:
        assert any(row.endswith(line) for row in text.splitlines())


def test_a_tie_is_said_to_be_one_before_either_of_its_explanations() -> None:
    text = diagnosis_text(tie())
    said = text.index("these 2 fit equally well: input.channel_order with output.not_dequantized; ")
    assert said < text.index("1 of 2, a tie") < text.index("2 of 2, a tie: input.layout")
    assert "a tie" not in diagnosis_text(one_cause())


def test_before_and_after_the_mend_stand_beside_each_other() -> None:
    text = diagnosis_text(one_cause())
    assert "3.25 -> 34.50" in text
    assert "412.7 -> 1.25" in text
    assert "-0.50 -> equal" in text


def test_what_was_not_tried_is_listed_once_a_reason() -> None:
    text = diagnosis_text(one_cause())
    assert "  input.crop, input.interpolation: it needs the picture" in text
    assert text.count("it needs the picture") == 1


def test_the_best_explanation_s_own_experiment_is_not_its_runner_up() -> None:
    found = other_trials(one_cause())
    assert len(found) == len(one_cause().trials) - 1
    assert found[0].causes == ("input.transposed",)


def test_a_second_variant_of_the_best_cause_is_a_runner_up() -> None:
    first = one_cause().trials[0]
    again = replace(first, label="green and blue exchanged")
    found = replace(one_cause(), trials=(first, again, *one_cause().trials[1:]))
    assert other_trials(found)[0] == again


def test_experiments_that_explain_nothing_are_counted_not_listed() -> None:
    text = diagnosis_text(one_cause())
    assert "another pad colour" not in text
    assert "and 9 more" in text
    none = replace(one_cause(), trials=one_cause().trials[2:])
    assert "9 other experiments explained nothing" in diagnosis_text(none)


def test_an_explanation_that_was_not_proved_says_so() -> None:
    assert "not proved by experiment" in diagnosis_text(healthy())
    assert "not proved" not in diagnosis_text(tie())


# --- hostile names -------------------------------------------------------------------------------


def test_no_control_character_reaches_the_terminal() -> None:
    text = diagnosis_text(hostile())
    assert [c for c in text if c not in "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)] == []
    text.encode("utf-8")  # a lone surrogate would raise


@pytest.mark.parametrize("code", [*range(9), *range(11, 32), 127, 155, 0xD800, 0xFFFE, 0xFFFF])
def test_what_may_not_be_shown_is_replaced(code: int) -> None:
    assert visible(f"a{chr(code)}b") == "a\ufffdb"


def test_names_of_any_script_are_shown_as_they_are() -> None:
    assert visible("größe/層:0 \U0001f600\t\n") == "größe/層:0 \U0001f600\t\n"


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_json_is_what_its_schema_says(form: Callable[[], Diagnosis]) -> None:
    jsonschema.Draft202012Validator(RULES).validate(written(form()))


def with_gaps() -> Diagnosis:
    """Return a diagnosis whose ladder has a gap and a ratio."""
    gap = Unmeasured("bit_true", "capture", "no capture was given", "give --device")
    ratio = Ratio("bit_true", "boxes", 3.0, 2.0, 16)
    return replace(one_cause(), ladder=replace(ladder(), unmeasured=(gap,), ratios=(ratio,)))


def test_every_key_of_the_schema_is_written() -> None:
    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    described = {key for row in tables(RULES) for key in row}
    assert described - keys(written(with_gaps())) - keys(written(one_cause())) == set()


def tables(value: object) -> list[dict[str, object]]:
    """Return every `properties` of a schema, at any depth."""
    rows = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    found = [table for row in rows for table in tables(row)]
    own = value.get("properties") if isinstance(value, dict) else None
    return [*found, own] if isinstance(own, dict) else found


@pytest.mark.parametrize("form", [*FORMS, with_gaps])
def test_what_is_read_again_is_what_was_written(form: Callable[[], Diagnosis]) -> None:
    read, wanted = saved_from_json(written(form())), saved_of(form(), SCHEMA)
    assert repr(read) == repr(wanted)  # as texts: NaN does not equal itself


def test_infinities_are_their_names() -> None:
    effects = written(one_cause())["explanations"][0]["effects"]
    assert effects[1]["after_sqnr_db"] == "inf"


def test_numpy_s_numbers_become_plain_ones() -> None:
    mistake = Mistake("none", "nothing")
    best = Explanation((mistake,), np.float32(0.5), (), best=np.bool_(True))  # type: ignore[arg-type]
    found = Diagnosis("well", (best,), residual=np.float32(np.inf))  # type: ignore[arg-type]
    assert written(found)["residual"] == "inf"
    assert written(found)["explanations"][0]["confidence"] == 0.5


def test_hostile_names_survive_the_journey_through_json() -> None:
    assert saved_from_json(written(hostile())).best[0].mistakes[0].what == HOSTILE


@pytest.mark.parametrize("cause", BY_ID)
def test_every_cause_can_be_told_and_read_again(cause: str) -> None:
    found = Diagnosis("v", (Explanation((Mistake(cause, "what"),), 1.0, ()),))
    assert cause in diagnosis_text(found)
    assert saved_from_json(written(found)).best == found.best


# --- by elimination -------------------------------------------------------------------------------


def eliminated() -> Diagnosis:
    """Two places to look at, and a cause that there was no time for."""
    rows = tuple(
        Explanation(
            (Mistake(cause, told, mend=("m",), decided_by="statistics"),), 0.3, ("e",), proved=False
        )
        for cause, told in (("graph.weights", "other weights"), ("quant.activations", "too coarse"))
    )
    late = (NotTried("input.crop", "the budget was used up (--budget)"),)
    found = Diagnosis("", rows, not_tried=late)
    return replace(found, verdict=verdict_of(found))


def test_what_is_named_by_elimination_is_no_tie() -> None:
    found = eliminated()
    assert found.by_elimination
    assert found.verdict.startswith("Nothing that was tried explains the difference; 1 cause")
    assert "other weights (graph.weights)" in found.verdict
    text = diagnosis_text(found)
    assert "nothing fits; where to look, likeliest first:" in text
    assert "tie" not in text
    assert "fit equally well" not in text


def test_a_tie_of_what_was_proved_is_no_elimination() -> None:
    assert not tie().by_elimination
    assert not healthy().by_elimination
