"""JUnit XML: one case a check, counted; whatever a name holds, the file is XML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bittrue.diagnosis.facts import Diagnosis
from bittrue.diagnosis.judge import FAILED, SKIPPED, Judgement, judge
from bittrue.diagnosis.saved import Saved, saved_of
from bittrue.report.diagnosis import SCHEMA
from bittrue.report.junit import junit_xml
from tests.golden import check_golden
from tests.unit.diagnoses import healthy, hostile, ladder, one_cause, tie

FORMS = (one_cause, tie, healthy, hostile)

#: Of the schema of Jenkins's xUnit plugin (junit-10.xsd), what is written here: each element, the
#: attributes that it must have, those that it may have, and the elements that may be in it.
ELEMENTS: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package"},
        {"properties", "testcase", "system-out"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def judged(found: Diagnosis) -> Judgement:
    """Return a diagnosis judged by its own verdict."""
    return judge(saved_of(found, SCHEMA))


def parsed(found: Diagnosis | Judgement) -> ElementTree.Element:
    """Return the XML as a reader sees it that takes bytes."""
    text = junit_xml(found if isinstance(found, Judgement) else judged(found))
    return ElementTree.fromstring(text.encode("utf-8"))


def named(root: ElementTree.Element, classname: str) -> list[ElementTree.Element]:
    """Return the cases of a kind."""
    return [row for row in root.iter("testcase") if row.get("classname") == f"bittrue.{classname}"]


@pytest.mark.parametrize("form", FORMS)
def test_elements_and_attributes_are_those_of_the_schema(form: Callable[[], Diagnosis]) -> None:
    root = parsed(form())
    assert root.tag == "testsuites"
    for row in root.iter():
        must, may, inside = ELEMENTS[row.tag]
        assert must <= set(row.keys()) <= must | may, row.tag
        assert {child.tag for child in row} <= inside, row.tag


@pytest.mark.parametrize("form", FORMS)
def test_the_counts_of_the_suite_are_those_of_its_cases(form: Callable[[], Diagnosis]) -> None:
    suite = parsed(form())[0]
    for attribute, path in (("tests", "."), ("failures", "failure"), ("skipped", "skipped")):
        count = sum(row.find(path) is not None for row in suite.findall("testcase"))
        assert suite.get(attribute) == str(count), attribute


@pytest.mark.parametrize("form", FORMS)
def test_there_is_a_case_for_each_check_with_its_status(form: Callable[[], Diagnosis]) -> None:
    found = judged(form())
    cases = list(parsed(found).iter("testcase"))
    assert len(cases) == len(found.checks)
    for case, check in zip(cases, found.checks, strict=True):
        assert (case.find("failure") is not None) == (check.status == FAILED)
        assert (case.find("skipped") is not None) == (check.status == SKIPPED)


def test_contract_edges_and_outputs_have_cases_of_their_own() -> None:
    root = parsed(one_cause())
    assert [row.get("name") for row in named(root, "contract")] == ["buffers"]
    assert [row.get("name") for row in named(root, "edge")] == [
        "native to quantized",
        "quantized to bit_true",
    ]
    assert [row.get("name") for row in named(root, "output")] == ["boxes", "scores"]


def test_a_failure_carries_the_verdict_and_the_mend() -> None:
    for kind in ("cause", "output"):
        failure = named(parsed(one_cause()), kind)[0].find("failure")
        assert failure is not None
        assert one_cause().verdict in (failure.text or "")
        for line in one_cause().best[0].mistakes[0].mend:
            assert line in (failure.text or "")


def test_a_suite_without_checks_is_red() -> None:
    suite = parsed(judge(Saved("bittrue.ladder/1", "", "")))[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")


@pytest.mark.parametrize("code", [*range(32), 127, 0x9B, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF])
def test_a_name_of_any_character_gives_xml(code: int) -> None:
    mistake = replace(one_cause().best[0].mistakes[0], what=chr(code), mend=(f"a{chr(code)}b",))
    best = replace(one_cause().best[0], mistakes=(mistake,))
    parsed(replace(one_cause(), verdict=chr(code), explanations=(best,)))


def test_markup_in_a_name_stays_text() -> None:
    root = parsed(hostile())
    assert {row.tag for row in root.iter()} <= set(ELEMENTS)
    assert any("</testcase>" in (row.get("name") or "") for row in named(root, "output"))


def test_seconds_are_numbers_without_separators() -> None:
    slow = replace(one_cause(), seconds={"experiments": 12345.678}, ladder=ladder())
    assert parsed(slow)[0].get("time", "").replace(".", "").isdigit()
    assert named(parsed(slow), "cause")[0].get("time") == "12345.678"


@pytest.mark.parametrize("form", [one_cause, hostile])
def test_the_file_of_each_form_is_kept(form: Callable[[], Diagnosis]) -> None:
    check_golden(f"diagnosis/{form.__name__}.xml", junit_xml(judged(form())))
