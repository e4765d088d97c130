"""Judging saved results: a limit that the result says nothing about has failed, never passed."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bittrue.cli.main import run_command
from bittrue.contract.causes import BY_ID
from bittrue.diagnosis.facts import Diagnosis, Explanation, Mistake
from bittrue.diagnosis.judge import FAILED, HARMLESS, KINDS, STATUSES, Judgement, Limits, judge
from bittrue.diagnosis.saved import Edge, Figures, Saved, saved_of
from bittrue.errors import FormatError
from bittrue.parity.compare import Comparison, TensorComparison
from bittrue.parity.ladder import Ladder, Rung, Unmeasured
from bittrue.parity.samples import Sample, survey
from bittrue.report.comparison import SCHEMA as COMPARE
from bittrue.report.comparison import comparison_json
from bittrue.report.diagnosis import SCHEMA, diagnosis_json
from bittrue.report.judgement import judgement_text
from bittrue.report.junit import junit_xml
from bittrue.report.sarif import sarif_json
from bittrue.report.saved import MOST_BYTES, READERS, read_saved, saved_from_json
from bittrue.report.survey import SCHEMA as LADDER
from bittrue.report.survey import survey_json
from tests.golden import check_golden
from tests.unit.diagnoses import edge, healthy, hostile, ladder, one_cause, tie
from tests.unit.networks import pixels, subject


def judged(found: Diagnosis, **limits: object) -> Judgement:
    """Return a diagnosis judged by limits that are given by name."""
    return judge(saved_of(found, SCHEMA), Limits(**limits))  # type: ignore[arg-type]


def compared(error: float, *, exact: bool = False) -> Saved:
    """Return a saved comparison of two arrays that are `error` apart."""
    found = comparison_json(edge("native", "quantized", error, exact=exact))
    return saved_from_json(json.loads(json.dumps({"schema": COMPARE, **found})))


def failures(found: Judgement) -> list[tuple[str, str]]:
    """Return the kind and name of each check that failed."""
    return [(row.kind, row.name) for row in found.checks if row.status == FAILED]


# --- without limits: the result's own verdict ----------------------------------------------------


@pytest.mark.parametrize("form", [one_cause, tie, healthy, hostile])
def test_without_limits_the_verdict_is_the_one_of_the_diagnosis(
    form: Callable[[], Diagnosis],
) -> None:
    assert judged(form()).passed == form().healthy


@pytest.mark.parametrize("cause", BY_ID)
def test_the_harmless_causes_are_those_of_a_healthy_diagnosis(cause: str) -> None:
    found = Diagnosis("v", (Explanation((Mistake(cause, "what"),), 1.0, ()),))
    assert found.healthy == (cause in HARMLESS) == judged(found).passed


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("error", [0.0, 1e-3, 3.0])
def test_without_limits_a_comparison_is_the_same_or_not_as_it_was(
    error: float, exact: bool
) -> None:
    wanted = edge("native", "quantized", error, exact=exact).same
    assert judge(compared(error, exact=exact)).passed == wanted


def test_an_inner_tensor_over_an_exact_bound_fails_as_compare_does() -> None:
    inner = replace(edge("a", "b", 0.0, exact=True), first=TensorComparison("x", None, False, "?"))
    found = saved_from_json({"schema": COMPARE, **comparison_json(inner)})
    assert not inner.same
    assert not judge(found).passed
    assert judge(found, Limits(max_abs=0.0)).passed  # a limit takes the place of the bound


def test_an_error_of_the_contract_fails_even_where_no_cause_was_named() -> None:
    found = replace(healthy(), findings=one_cause().findings)
    assert failures(judged(found)) == [("contract", "buffers")]
    warning = replace(one_cause().findings[0], severity="warning")
    assert judged(replace(healthy(), findings=(warning,))).passed


def test_an_edge_over_its_bound_fails_even_where_no_cause_was_named() -> None:
    assert failures(judged(replace(healthy(), ladder=ladder(3.0)))) == [
        ("edge", "native to quantized")
    ]


def test_an_output_is_over_where_a_mend_would_bring_it_nearer() -> None:
    assert ("output", "boxes") in failures(judged(one_cause()))
    worse = replace(one_cause().best[0].effects[0], after_sqnr_db=1.0)
    best = replace(one_cause().best[0], effects=(worse,))
    assert ("output", "boxes") not in failures(judged(replace(one_cause(), explanations=(best,))))


# --- nothing is green by omission ----------------------------------------------------------------


def test_a_diagnosis_that_names_nothing_has_failed() -> None:
    assert not judged(Diagnosis("nothing explains it", ())).passed


def test_a_result_that_holds_nothing_has_failed() -> None:
    assert not judge(Saved("bittrue.ladder/1", "m", "v")).passed


def test_what_was_only_skipped_has_failed() -> None:
    assert not judge(Saved("s", "m", "v", edges=(Edge("a", "b", None, "no capture"),))).passed


def test_an_edge_without_outputs_has_failed_whatever_it_says() -> None:
    assert not judge(Saved("s", "m", "v", edges=(Edge("a", "b", True, "bound"),))).passed


@pytest.mark.parametrize(
    "limits",
    [{"min_sqnr_db": 0.0}, {"max_abs": 1e9}, {"max_relative": 1e9}],
)
def test_a_limit_on_figures_that_are_not_there_has_failed(limits: dict[str, float]) -> None:
    assert failures(judged(healthy(), **limits)) == [("output", "every output")]


def test_a_relative_limit_fails_where_only_absolute_figures_are_known() -> None:
    found = judged(one_cause(), max_relative=1e9)
    told = [row.message for row in found.checks if row.kind == "output"]
    assert told == ["the result does not hold its relative error"] * 2


def test_an_error_ratio_that_is_not_there_has_failed() -> None:
    assert failures(judge(compared(0.0), Limits(max_error_ratio=1e9))) == [("limit", "error ratio")]
    some = (Figures("a", error_ratio=1.0), Figures("b"))
    found = judge(Saved("s", "m", "v", outputs=some), Limits(max_error_ratio=2.0))
    assert failures(found) == [("limit", "error ratio")]


def test_a_confidence_that_is_not_there_has_failed() -> None:
    assert failures(judge(compared(0.0), Limits(min_confidence=0.0))) == [("limit", "confidence")]


def test_an_output_that_is_missing_fails_every_limit() -> None:
    row = TensorComparison("boxes", None, False, "missing in m.bta@quantized")
    found = Comparison("a@b", "c@d", edge("a", "b", 0.0).bound, (row,), None, 0, 0)
    saved = saved_from_json({"schema": COMPARE, **comparison_json(found)})
    assert failures(judge(saved, Limits(max_abs=1e9))) == [("output", "boxes")]


@pytest.mark.parametrize("limits", [{"min_sqnr_db": 0.0}, {"max_abs": 1e9}, {}])
def test_nan_keeps_no_limit(limits: dict[str, float]) -> None:
    effect = replace(
        one_cause().best[0].effects[0], before_sqnr_db=math.nan, before_max_abs=math.nan
    )
    best = replace(healthy().best[0], effects=(effect,))
    assert not judged(replace(healthy(), explanations=(best,)), **limits).passed


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "passes"),
    [
        ({"max_abs": 3.0}, True),
        ({"max_abs": 2.999}, False),
        ({"max_relative": 0.375}, True),
        ({"max_relative": 0.3749}, False),
        ({"min_sqnr_db": 3.5}, True),
        ({"min_sqnr_db": 4.0}, False),
        ({"max_abs": 3.0, "max_relative": 0.3749}, False),
    ],
)
def test_a_limit_takes_the_place_of_the_bound_of_a_comparison(
    limits: dict[str, float], passes: bool
) -> None:
    assert not judge(compared(3.0)).passed
    assert judge(compared(3.0), Limits(**limits)).passed is passes  # type: ignore[arg-type]


def test_a_least_sqnr_is_kept_at_its_own_value() -> None:
    saved = compared(0.01)
    exact = saved.outputs[0].sqnr_db
    assert exact is not None
    assert judge(saved, Limits(min_sqnr_db=exact)).passed
    assert not judge(saved, Limits(min_sqnr_db=math.nextafter(exact, 99))).passed


def test_a_cause_that_is_allowed_passes_and_its_edges_and_buffers_do_not() -> None:
    allow = frozenset({"input.channel_order"})
    found = judged(one_cause(), allow=allow)
    assert failures(found) == [("contract", "buffers"), ("edge", "native to quantized")]
    both = judged(replace(one_cause(), ladder=None), allow=allow | {"input.dtype"})
    assert both.passed


def test_of_a_pair_both_causes_must_be_allowed() -> None:
    pair = replace(tie(), explanations=tie().best[:1])
    assert not judged(pair, allow=frozenset({"input.channel_order"})).passed
    assert judged(pair, allow=frozenset({"input.channel_order", "output.not_dequantized"})).passed


def test_of_a_tie_every_explanation_must_be_allowed() -> None:
    assert not judged(tie(), allow=frozenset({"input.layout"})).passed


def test_a_healthy_result_that_is_not_sure_enough_fails() -> None:
    assert judged(healthy(), min_confidence=0.99).passed
    assert failures(judged(healthy(), min_confidence=0.995)) == [("cause", "quant.expected")]


def test_a_cause_fails_however_unsure_it_is() -> None:
    unsure = replace(tie(), explanations=(replace(tie().best[1], confidence=0.01),))
    assert not judged(unsure, min_confidence=0.5).passed


def test_the_root_of_the_residual_is_the_error_ratio_of_a_diagnosis() -> None:
    ratio = math.sqrt(healthy().residual or 0.0)
    assert judged(healthy(), max_error_ratio=ratio + 1e-3).passed
    assert failures(judged(healthy(), max_error_ratio=ratio - 1e-3)) == [("limit", "error ratio")]


def test_what_was_not_tried_is_skipped_and_counted() -> None:
    found = judged(replace(healthy(), not_tried=one_cause().not_tried))
    assert found.passed
    assert "3 not looked at" in judgement_text(found)


def test_an_edge_that_nobody_measured_is_named_and_is_no_pass() -> None:
    gap = Unmeasured("bit_true", "capture", "no capture was given", "give --device")
    found = judged(replace(healthy(), ladder=replace(ladder(), unmeasured=(gap,))))
    row = next(row for row in found.checks if row.name == "bit_true to capture")
    assert row.status == "skipped"
    assert "no capture was given" in judgement_text(found)


def test_what_a_device_gave_is_judged_where_it_is_on_the_ladder() -> None:
    rungs = (Rung("native", 0.1, {}), Rung("capture", math.nan, {}))
    off = edge("native", "x", 0.5)
    climbed = Ladder(rungs, (off,), off)
    saved = saved_of(replace(healthy(), ladder=climbed), SCHEMA)
    assert [row.max_abs for row in saved.outputs] == [0.5]
    assert judge(saved, Limits(max_abs=0.5)).passed
    assert failures(judge(saved, Limits(max_abs=0.49))) == [("output", "boxes")]


def test_kinds_and_statuses_are_those_of_the_tables() -> None:
    rows = judged(one_cause(), max_error_ratio=1.0).checks
    assert {row.kind for row in rows} == set(KINDS)
    assert {row.status for row in rows} == set(STATUSES)


@pytest.mark.parametrize("form", [one_cause, tie, healthy, hostile])
def test_the_text_of_each_judgement_is_kept(form: Callable[[], Diagnosis]) -> None:
    check_golden(f"diagnosis/judged_{form.__name__}.txt", judgement_text(judged(form())))


# --- a real ladder -------------------------------------------------------------------------------


def climbed() -> Any:
    """Return the JSON of the tiny network's ladder on one input."""
    found = survey(subject(), [Sample("x", {"": pixels(9)})])
    return json.loads(json.dumps({"schema": LADDER, **survey_json(found)}))


def test_a_ladder_is_judged_by_its_last_stage_and_its_edges() -> None:
    saved = saved_from_json(climbed())
    assert [row.label for row in saved.edges if row.within] == [
        "source to native",
        "native to fp_optimized",
        "fp_optimized to quantized",
        "quantized to bit_true",
        "bit_true to compiled",
    ]
    assert [row.output for row in saved.outputs] == ["logits on x"]
    assert judge(saved).passed
    worst = saved.outputs[0].max_abs
    assert worst is not None
    assert judge(saved, Limits(max_abs=worst, max_error_ratio=2.0)).passed
    assert not judge(saved, Limits(max_abs=worst * 0.99)).passed
    assert not judge(saved, Limits(max_error_ratio=0.01)).passed


def test_a_ladder_s_broken_edge_fails_under_any_limit_on_outputs() -> None:
    data = climbed()
    data["edges"][2]["within"] = False
    found = judge(saved_from_json(data), Limits(max_abs=1e9))
    assert failures(found) == [("edge", "fp_optimized to quantized")]


# --- hostile files -------------------------------------------------------------------------------

WRONG = {
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "nothing": b"",
    "a list": b"[]",
    "no schema": b"{}",
    "another schema": b'{"schema": "bittrue.run/1"}',
    "a list as schema": b'{"schema": []}',
    "an older number": b'{"schema": "bittrue.diagnose/0"}',
    "no fields": b'{"schema": "bittrue.diagnose/1"}',
    "no fields of a comparison": b'{"schema": "bittrue.compare/1"}',
    "no fields of a ladder": b'{"schema": "bittrue.ladder/1"}',
    "NaN, which is no JSON": b'{"schema": NaN}',
    "too deep": b"[" * 100_000,
    "a number of 5,000 digits": b'{"schema": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_saved_result_is_refused(name: str) -> None:
    with pytest.raises(FormatError) as why:
        read_saved(WRONG[name], "r.json")
    assert why.value.path == "r.json"
    assert why.value.hint


def test_a_file_too_long_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(FormatError, match="bytes, more than"):
        read_saved(b" " * (MOST_BYTES + 1), "r.json")


def everything() -> dict[str, Any]:
    """Return a JSON of each schema that can be judged."""
    gap = Unmeasured("bit_true", "capture", "no capture", "give one")
    told = replace(one_cause(), ladder=replace(ladder(3.0), unmeasured=(gap,)))
    rows: dict[str, dict[str, object]] = {
        SCHEMA: diagnosis_json(told),
        COMPARE: comparison_json(edge("native", "quantized", 3.0)),
        LADDER: climbed(),
    }
    return {name: json.loads(json.dumps({**data, "schema": name})) for name, data in rows.items()}


def test_an_example_of_each_schema_that_can_be_judged_is_attacked() -> None:
    assert set(everything()) == set(READERS)


def variants(value: object) -> list[object]:
    """Return copies of a JSON value, in each of which one value inside is something else."""
    found: list[object] = []
    if isinstance(value, dict):
        for key, item in value.items():
            found.append({name: row for name, row in value.items() if name != key})
            found += [{**value, key: other} for other in (*STRANGE, *variants(item))]
    elif isinstance(value, list) and value:
        found += [[other, *value[1:]] for other in (*STRANGE, *variants(value[0]))]
    return found


STRANGE: tuple[object, ...] = (
    None,
    True,
    -1,
    1e308,
    10**400,
    "",
    "inf",
    "\ud800",
    [],
    {},
    [None],
    {"": None},
)


@pytest.mark.parametrize("schema", READERS)
def test_a_result_with_any_one_value_changed_is_read_or_refused_never_more(schema: str) -> None:
    good = everything()[schema]
    outcomes = {"read": 0, "refused": 0}
    for changed in variants(good):
        try:
            found = judge(read_saved(json.dumps(changed).encode(), "r"), Limits(max_abs=0.0))
        except FormatError:
            outcomes["refused"] += 1
        else:
            judgement_text(found).encode("utf-8")
            ElementTree.fromstring(junit_xml(found).encode("utf-8"))
            json.dumps(sarif_json(found), allow_nan=False)
            outcomes["read"] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_a_wrong_value_is_named_with_what_it_should_be() -> None:
    data = everything()[SCHEMA]
    data["explanations"][0]["mistakes"][0]["cause"] = "input.chanel_order"
    with pytest.raises(FormatError, match=r"no cause: did you mean 'input.channel_order'"):
        read_saved(json.dumps(data).encode(), "r.json")


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a healthy result and one with a cause."""
    for name, form in (("healthy", healthy), ("cause", one_cause)):
        data = {"schema": SCHEMA, **diagnosis_json(form())}
        (tmp_path / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    return tmp_path


def test_exit_codes_are_0_within_1_not_and_2_or_more_for_errors(saved: Path) -> None:
    good, bad = str(saved / "healthy.json"), str(saved / "cause.json")
    assert run_command(["judge", good]) == 0
    assert run_command(["judge", bad]) == 1
    assert run_command(["judge", good, "--min-sqnr", "nan"]) == 2
    assert run_command(["judge", good, "--max-abs", "-1"]) == 2
    assert run_command(["judge", good, "--min-confidence", "1.5"]) == 2
    assert run_command(["judge", good, "--allow", "input.bgr"]) == 2
    assert run_command(["judge", good, "--junit", "r.txt"]) == 2
    assert run_command(["judge", __file__]) == 3
    assert run_command(["judge", str(saved / "none.json")]) == 5


def test_a_cause_that_does_not_exist_is_answered_with_the_nearest(
    saved: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_command(["judge", str(saved / "healthy.json"), "--allow", "input.chanel_order"])
    assert "did you mean 'input.channel_order'" in capfd.readouterr().err


def test_a_result_is_read_from_standard_input(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, code in (("healthy", 0), ("cause", 1)):
        data = (saved / f"{name}.json").read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert run_command(["judge", "-"]) == code


def test_files_for_ci_are_written_whether_it_passes_or_not(saved: Path) -> None:
    for name in ("healthy", "cause"):
        xml, sarif = saved / f"{name}.xml", saved / f"{name}.sarif"
        run_command(
            ["judge", str(saved / f"{name}.json"), "--junit", str(xml), "--sarif", str(sarif)]
        )
        assert xml.read_text(encoding="utf-8").startswith("<?xml")
        assert json.loads(sarif.read_text(encoding="utf-8"))["version"] == "2.1.0"
