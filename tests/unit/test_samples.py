"""The ladder on several inputs: means, intervals, flips; nothing unmeasured passes for measured."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from bittrue.capture import Capture, Captured
from bittrue.errors import DataError, UsageError
from bittrue.parity.captured import CAPTURE
from bittrue.parity.ladder import Ladder, climb
from bittrue.parity.samples import Sample, Survey, interval, survey, top_class
from bittrue.report.survey import survey_json, survey_text, verdict
from bittrue.stages import Subject
from tests.unit.networks import pixels, subject

pytest.importorskip("onnxruntime", reason="the float stages run in onnxruntime")


def sample(seed: int, gave: np.ndarray | None = None) -> Sample:
    capture = None if gave is None else Capture("dev.npz", (Captured("logits", gave),))
    return Sample(f"{seed}.png", {"": pixels(seed)}, capture)


@functools.cache
def climbed(seed: int) -> Ladder:
    return climb(subject(), {"": pixels(seed)})


def logits(seed: int) -> np.ndarray:
    return climbed(seed).rungs[-1].outputs["logits"]


def executable() -> Subject:
    return Subject("tiny.bte", None, subject().executable)


# --- what was not measured ------------------------------------------------------------------------


def test_a_whole_ladder_without_a_capture_does_not_say_that_all_is_well() -> None:
    found = survey(subject(), [sample(9)])
    assert [(gap.reference, gap.other) for gap in found.unmeasured] == [("compiled", CAPTURE)]
    assert found.first_broken is None
    assert "1 NOT MEASURED" in verdict(found)
    assert survey_json(found)["all_measured"] is False


def test_with_a_capture_every_edge_is_measured() -> None:
    found = survey(subject(), [sample(9, logits(9))])
    assert found.unmeasured == ()
    assert verdict(found) == "every edge is within its budget"
    assert survey_json(found)["all_measured"] is True


def test_a_network_that_is_not_quantised_names_that_edge_and_its_command() -> None:
    found = survey(subject("fp_optimized"), [sample(9)])
    told = [str(gap) for gap in found.unmeasured]
    assert "fp_optimized to quantized" in told[0]
    assert "bittrue quantize tiny.bta --calibrate" in told[0]
    assert [gap.reference for gap in found.unmeasured] == [
        "fp_optimized",
        "quantized",
        "bit_true",
        "fp_optimized",  # to the capture
    ]
    assert all(f"not measured: {line}" in survey_text(found) for line in told)


def test_an_executable_alone_measures_one_edge() -> None:
    found = survey(executable(), [sample(9)])
    assert [edge[0].other for edge in found.edges] == ["tiny.bte@compiled"]
    assert len(found.unmeasured) == 5
    assert "give the archive" in survey_text(found)


# --- a capture ------------------------------------------------------------------------------------


def test_a_capture_that_is_off_is_the_first_edge_over_its_budget() -> None:
    found = survey(subject(), [sample(9, -logits(9))])
    assert found.first_broken is not None
    name, edge = found.first_broken
    assert (name, edge.reference, edge.other) == ("9.png", "tiny.bta@compiled", "dev.npz")
    assert "OVER ITS BUDGET FIRST: compiled to capture dev.npz" in verdict(found)


def test_the_sample_that_is_over_is_named() -> None:
    found = survey(subject(), [sample(1, logits(1)), sample(2, -logits(2))])
    assert found.first_broken is not None
    assert found.first_broken[0] == "2.png"


def test_a_capture_without_an_output_is_over_its_budget() -> None:
    empty = Sample("9.png", {"": pixels(9)}, Capture("dev.npz", ()))
    found = survey(subject(), [empty])
    assert found.first_broken is not None
    assert "missing in the capture" in verdict(found)


def test_captures_of_some_samples_only_are_refused() -> None:
    with pytest.raises(UsageError, match="1 of 2 samples have a capture"):
        survey(subject(), [sample(1, logits(1)), sample(2)])


def test_no_sample_is_refused() -> None:
    with pytest.raises(DataError, match="no sample"):
        survey(subject(), [])


# --- figures --------------------------------------------------------------------------------------


def test_the_mean_is_over_samples_and_the_worst_sample_decides_an_edge() -> None:
    found = survey(subject(), [sample(seed) for seed in (1, 2, 3)])
    figures = [row for row in found.figures if row.stage == "quantized"]
    mean = next(row for row in found.means if row.stage == "quantized")
    assert [row.sample for row in figures] == ["1.png", "2.png", "3.png"]
    assert mean.sqnr_db.mean == pytest.approx(np.mean([row.sqnr_db for row in figures]))
    assert mean.sqnr_db.low <= mean.sqnr_db.mean <= mean.sqnr_db.high
    edges = survey_json(found)["edges"]
    assert isinstance(edges, list)
    worst = min(
        (ladder.edges[2].worst.sqnr_db, name)
        for ladder, name in zip(found.ladders, found.samples, strict=True)
    )
    assert edges[2]["sample"] == worst[1]


def test_a_stage_that_differs_nowhere_has_no_mean_but_a_count() -> None:
    found = survey(subject(), [sample(seed) for seed in (1, 2)])
    native = next(row for row in found.means if row.stage == "native")
    assert math.isnan(native.sqnr_db.mean)
    assert (native.equal, native.finite) == (2, 0)


def test_ratios_over_samples_are_of_summed_squares() -> None:
    found = survey(subject(), [sample(seed) for seed in (1, 2)])
    rows = [row for ladder in found.ladders for row in ladder.ratios if row.stage == "compiled"]
    whole = next(row for row in found.ratios if row.stage == "compiled")
    assert whole.error == pytest.approx(math.hypot(*(row.error for row in rows)))
    assert whole.elements == 10


def test_the_bootstrap_is_the_same_each_time_and_paired() -> None:
    values = np.random.default_rng(0).normal(30, 3, 40)
    assert interval(values) == interval(values.copy())
    one, two = interval(values), interval(values + 5)
    # The same draws: a constant step moves both ends by it, and its own interval has no width.
    assert two.low - one.low == pytest.approx(5)
    step = interval((values + 5) - values)
    assert step.high - step.low == pytest.approx(0, abs=1e-9)


def test_the_interval_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    found = interval(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.1)


def test_infinite_figures_are_left_out_of_a_mean() -> None:
    assert interval(np.array([math.inf, 10.0, 20.0])).mean == 15.0
    assert math.isnan(interval(np.array([math.inf, math.inf])).mean)
    alone = interval(np.array([7.0]))
    assert (alone.low, alone.mean, alone.high) == (7.0, 7.0, 7.0)


# --- answers --------------------------------------------------------------------------------------


def test_only_outputs_of_one_row_have_a_class() -> None:
    outputs = {
        "scores": np.array([[0.1, 0.7, 0.2]]),
        "one": np.array([[0.3]]),
        "rows": np.zeros((2, 3)),
        "boxes": np.zeros((1, 3, 4)),
    }
    assert top_class(outputs) == {"scores": 1}


def test_a_flip_says_where_it_begins_and_what_the_last_stage_answers() -> None:
    found = survey(subject(), [sample(9, -logits(9))])
    (flip,) = found.flips
    assert (flip.sample, flip.output, flip.stage, flip.final) == ("9.png", "logits", CAPTURE, True)
    assert (flip.reference, flip.answer) == (logits(9).argmax(), logits(9).argmin())
    assert "answers that flip by capture: 1 of 1 samples" in survey_text(found)


def test_an_answer_may_be_the_user_s_own() -> None:
    def positive(outputs: Mapping[str, np.ndarray]) -> Mapping[str, object]:
        return {"logits": bool(outputs["logits"][0, 0] > 0)}

    found = survey(subject(), [sample(9, -logits(9))], answer=positive)
    assert [(row.reference, row.answer) for row in found.flips] == [(False, True)]


def test_where_no_answer_is_defined_none_is_invented() -> None:
    found = survey(subject(), [sample(9)], answer=lambda outputs: {})
    assert (found.answered, found.unanswered) == ((), ("logits",))
    text = survey_text(found)
    assert "no answer is defined for 'logits'" in text
    assert "answers that flip" not in text


# --- reports --------------------------------------------------------------------------------------


def test_infinities_and_nan_of_a_survey_are_plain_json() -> None:
    found = survey(subject(), [sample(1), sample(2)])
    assert json.loads(json.dumps(survey_json(found), allow_nan=False))["samples"] == list(
        found.samples
    )


def test_an_edge_that_is_over_is_over_in_every_place_of_the_report() -> None:
    good = survey(subject(), [sample(9, logits(9))])
    bad = replace(good, ladders=(broken(good.ladders[0]),))
    assert bad.first_broken is not None
    assert "OVER" in survey_text(bad)
    data = survey_json(bad)
    assert data["within"] is False
    assert data["first_over"] is not None


def broken(ladder: Ladder) -> Ladder:
    first, *rest = ladder.edges
    spoilt = replace(first, outputs=tuple(replace(row, within=False) for row in first.outputs))
    return replace(ladder, edges=(spoilt, *rest))


def test_a_survey_of_one_sample_has_no_table_of_samples() -> None:
    one: Survey = survey(subject(), [sample(9)])
    assert "paired bootstrap" not in survey_text(one)
