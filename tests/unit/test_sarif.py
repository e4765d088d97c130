"""SARIF 2.1.0: the rules are the table of causes; every result is one of them, at a place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from bittrue.contract.causes import BY_ID
from bittrue.diagnosis.facts import Diagnosis, Explanation, Mistake
from bittrue.diagnosis.judge import Judgement, Limits, judge
from bittrue.diagnosis.saved import Saved, saved_of
from bittrue.report.diagnosis import SCHEMA
from bittrue.report.sarif import HELP, RULES, sarif_json
from tests.unit.diagnoses import healthy, hostile, ladder, one_cause, tie

FORMS = (one_cause, tie, healthy, hostile)


def closed(required: list[str], **properties: object) -> dict[str, object]:
    """Return the schema of an object that holds nothing else."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


TEXT = {"type": "string", "minLength": 1}
WHOLE = {"type": "integer", "minimum": 0}
MESSAGE = closed(["text"], text=TEXT, markdown=TEXT)
BAG = {"type": "object", "properties": {"tags": {"type": "array", "uniqueItems": True}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
#: The parts of the OASIS schema (sarif-schema-2.1.0.json) that matter for what is written here.
#: It is closed where that one is, so that a misspelt key is found.
SARIF = closed(
    ["version", "runs"],
    **{"$schema": {"type": "string", "format": "uri"}},
    version={"const": "2.1.0"},
    runs={
        "type": "array",
        "minItems": 1,
        "items": closed(
            ["tool"],
            tool=closed(
                ["driver"],
                driver=closed(
                    ["name"],
                    name=TEXT,
                    version=TEXT,
                    semanticVersion=TEXT,
                    rules={
                        "type": "array",
                        "uniqueItems": True,
                        "items": closed(
                            ["id"],
                            id=TEXT,
                            name=TEXT,
                            shortDescription=MESSAGE,
                            help=MESSAGE,
                            defaultConfiguration=closed([], level=LEVEL),
                            properties=BAG,
                        ),
                    },
                ),
            ),
            invocations={
                "type": "array",
                "items": closed(["executionSuccessful"], executionSuccessful={"type": "boolean"}),
            },
            results={
                "type": "array",
                "items": closed(
                    ["message"],
                    ruleId=TEXT,
                    ruleIndex=WHOLE,
                    kind={"enum": ["pass", "fail", "informational", "review", "open"]},
                    level=LEVEL,
                    rank={"type": "number", "minimum": -1, "maximum": 100},
                    message=MESSAGE,
                    locations={
                        "type": "array",
                        "items": closed(
                            [],
                            physicalLocation=closed(
                                ["artifactLocation"],
                                artifactLocation=closed(
                                    [], uri={"type": "string", "pattern": "^[!-~]+$"}
                                ),
                            ),
                            logicalLocations={
                                "type": "array",
                                "uniqueItems": True,
                                "items": closed([], name={"type": "string"}, kind=TEXT),
                            },
                        ),
                    },
                    partialFingerprints={
                        "type": "object",
                        "additionalProperties": {"type": "string"},
                    },
                    suppressions={
                        "type": "array",
                        "items": closed(
                            ["kind"], kind={"enum": ["inSource", "external"]}, justification=TEXT
                        ),
                    },
                    properties=BAG,
                ),
            },
            properties=BAG,
        ),
    },
)


def judged(found: Diagnosis, **limits: object) -> Judgement:
    """Return a diagnosis judged by limits that are given by name."""
    return judge(saved_of(found, SCHEMA), Limits(**limits))  # type: ignore[arg-type]


def log(found: Judgement) -> Any:
    """Return the log as it is read from a file, valid."""
    read = json.loads(json.dumps(sarif_json(found), allow_nan=False))
    jsonschema.Draft202012Validator(SARIF).validate(read)
    return read


def results(found: Judgement) -> list[Any]:
    """Return the results of a log."""
    return list(log(found)["runs"][0]["results"])


@pytest.mark.parametrize("form", FORMS)
def test_a_log_is_what_the_schema_says(form: Callable[[], Diagnosis]) -> None:
    log(judged(form()))
    log(judged(form(), max_abs=0.0, max_error_ratio=0.0, min_confidence=1.0))


def test_the_schema_of_these_tests_finds_a_misspelt_key() -> None:
    wrong = log(judged(one_cause()))
    wrong["runs"][0]["results"][0]["rulesId"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SARIF).validate(wrong)


def test_the_rules_are_the_table_of_causes_and_each_says_what_to_do() -> None:
    rules = log(judged(healthy()))["runs"][0]["tool"]["driver"]["rules"]
    assert [row["id"] for row in rules] == [row.id for row in RULES]
    assert [row["id"] for row in rules[:-1]] == list(BY_ID)
    assert all(row["help"]["text"] and row["shortDescription"]["text"] for row in rules)
    assert {row.area for row in RULES} == set(HELP)


@pytest.mark.parametrize("cause", BY_ID)
def test_a_result_of_any_cause_points_to_its_rule(cause: str) -> None:
    found = judged(Diagnosis("v", (Explanation((Mistake(cause, "what"),), 1.0, ()),)))
    row = results(found)[0]
    assert row["ruleId"] == cause == RULES[row["ruleIndex"]].id
    assert (row["level"] == "error") == (not found.passed)


def test_a_pair_is_two_results_that_name_each_other() -> None:
    first, second, third = results(judged(tie()))[:3]
    assert first["properties"]["togetherWith"] == ["output.not_dequantized"]
    assert second["properties"]["togetherWith"] == ["input.channel_order"]
    assert third["ruleId"] == "input.layout"


def test_a_tie_is_said_in_the_message() -> None:
    assert "Fits equally well: input.layout." in results(judged(tie()))[0]["message"]["text"]
    assert "equally" not in results(judged(one_cause()))[0]["message"]["text"]


def test_the_place_is_the_model_s_file_and_the_tensor_or_layer() -> None:
    (place,) = results(judged(one_cause()))[0]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "m.bta"
    assert place["logicalLocations"] == [{"name": "images", "kind": "input"}]
    mistake = Mistake("quant.clipping", "cut off")
    found = replace(one_cause(), explanations=(Explanation((mistake,), 0.5, ()),), ladder=None)
    (place,) = results(judged(found))[0]["locations"]
    assert place["logicalLocations"] == [{"name": "/conv1/Conv", "kind": "layer"}]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("m.bta", "m.bta"),
        ("a b/größe#1?.onnx", "a%20b/gr%C3%B6%C3%9Fe%231%3F.onnx"),
        ("/net/m.bta", "file:///net/m.bta"),
    ],
)
def test_a_path_becomes_a_uri(path: str, uri: str) -> None:
    (place,) = results(judged(replace(one_cause(), given={"model": path})))[0]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_a_result_without_any_known_place_has_none() -> None:
    bare = Diagnosis("v", (Explanation((Mistake("input.sign", "what"),), 0.5, ()),))
    assert results(judged(bare))[0]["locations"] == []


def test_the_mend_is_in_the_message_and_in_the_properties() -> None:
    row = results(judged(one_cause()))[0]
    mend = one_cause().best[0].mistakes[0].mend
    assert row["properties"]["mend"] == list(mend)
    assert "\n".join(mend) in row["message"]["text"]


def test_a_harmless_cause_is_no_error_and_no_alert() -> None:
    (row,) = results(judged(healthy()))
    assert (row["kind"], row["level"]) == ("informational", "none")


def test_a_cause_that_is_allowed_is_suppressed_not_hidden() -> None:
    row = results(judged(one_cause(), allow=frozenset({"input.channel_order"})))[0]
    assert row["suppressions"] == [{"kind": "external", "justification": "allowed by name"}]
    assert "suppressions" not in results(judged(one_cause()))[0]


@pytest.mark.parametrize(
    "limits",
    [{"max_abs": 0.0}, {"min_confidence": 1.0}, {"max_error_ratio": 0.5}, {"max_relative": 1.0}],
)
def test_a_limit_that_is_not_kept_is_a_result_though_no_cause_is(limits: dict[str, float]) -> None:
    found = judged(healthy(), **limits)
    assert not found.passed
    assert "limit.exceeded" in [row["ruleId"] for row in results(found)]


def test_whatever_has_failed_has_an_error_in_the_log() -> None:
    forms = [one_cause(), tie(), hostile(), replace(healthy(), ladder=ladder(3.0))]
    rows = [judged(form) for form in forms]
    rows += [judged(Diagnosis("nothing explains it", ())), judge(Saved("s", "", ""))]
    for found in rows:
        assert not found.passed
        assert "error" in [row["level"] for row in results(found)], found.saved.verdict


def test_whatever_has_passed_has_no_error_in_the_log() -> None:
    assert "error" not in [row["level"] for row in results(judged(healthy()))]


def test_the_fingerprint_is_of_the_cause_and_its_place() -> None:
    def prints(found: Diagnosis) -> list[object]:
        return [row["partialFingerprints"] for row in results(judged(found))]

    again = replace(one_cause(), verdict="in other words", seconds={})
    assert prints(one_cause()) == prints(again)
    assert prints(one_cause()) != prints(replace(one_cause(), given={"model": "other.bta"}))
