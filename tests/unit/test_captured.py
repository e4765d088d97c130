"""What a device gave beside the last stage, and its error over the one that is predicted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bittrue.capture import Capture, Captured
from bittrue.errors import UsageError
from bittrue.parity.captured import (
    CAPTURE,
    RATIO_MAX,
    CaptureEdge,
    Ratio,
    compare_capture,
    ratios_of,
)

RNG = np.random.default_rng(5)
EXACT = RNG.normal(0, 1, (1, 1000)).astype(np.float32)
NOISE = RNG.normal(0, 0.08, (1, 1000)).astype(np.float32)
STAGES = {
    "fp_optimized": {"y": EXACT},
    "quantized": {"y": EXACT + NOISE},
    "bit_true": {"y": EXACT + NOISE},
    "compiled": {"y": EXACT + NOISE},
}


def beside(gave: np.ndarray, name: str = "y", by_hand: dict[str, str] | None = None) -> CaptureEdge:
    return compare_capture("m@compiled", STAGES, Capture("d.npz", (Captured(name, gave),)), by_hand)


def test_a_device_with_the_predicted_error_is_within() -> None:
    other = EXACT + RNG.permutation(NOISE[0])[None]
    found = beside(other)
    assert found.edge.same
    assert found.edge.reference == "m@compiled"
    np.testing.assert_array_equal(found.outputs["y"], other)


def test_an_error_far_beyond_the_predicted_one_is_over_however_good_its_sqnr() -> None:
    found = beside(EXACT + 3.5 * NOISE)
    (row,) = found.edge.outputs
    assert row.sqnr_db > 10
    assert not found.edge.same
    assert "its error is 3.50 times what quantisation predicts" in row.problem


def test_what_our_own_integers_are_off_by_counts_as_quantisation() -> None:
    lucky = {**STAGES, "quantized": {"y": EXACT + NOISE / 10}}
    same = Capture("d.npz", (Captured("y", STAGES["compiled"]["y"]),))
    assert compare_capture("m@compiled", lucky, same).edge.same


def test_what_codes_may_always_cost_is_no_fault_where_they_cost_little() -> None:
    cheap = {name: {"y": EXACT + NOISE / 1000} for name in STAGES} | {"fp_optimized": {"y": EXACT}}
    for factor, within in ((0.5, True), (1.0, False)):  # 28 dB, 22 dB; 33 dB times RATIO_MAX is 23
        gave = Capture("d.npz", (Captured("y", EXACT + factor * NOISE),))
        assert compare_capture("m@compiled", cheap, gave).edge.same is within


def test_without_a_quantised_stage_the_bound_alone_decides() -> None:
    only = {"fp_optimized": {"y": EXACT}}
    good = Capture("d.npz", (Captured("y", EXACT + 3.5 * NOISE),))
    assert compare_capture("m@fp_optimized", only, good).edge.same


def test_another_name_is_matched_and_said() -> None:
    (match,) = beside(EXACT + NOISE, "conv12").matches
    assert (match.reference, match.device) == ("y", "conv12")
    assert match.confidence > 0.5


def test_a_name_given_by_hand_must_be_there() -> None:
    with pytest.raises(UsageError, match="conv13"):
        beside(EXACT, "conv12", {"y": "conv13"})


def test_a_missing_output_is_not_within() -> None:
    found = compare_capture("m@compiled", STAGES, Capture("d.npz", ()))
    assert not found.edge.same
    assert found.edge.outputs[0].problem == "missing in the capture"


# --- ratios ---------------------------------------------------------------------------------------


def test_a_ratio_is_the_distance_from_float_over_that_of_the_quantised_stage() -> None:
    rows = list(ratios_of({**STAGES, CAPTURE: {"y": EXACT + 2 * NOISE}}))
    assert [row.stage for row in rows] == ["bit_true", "compiled", CAPTURE]
    assert rows[1].ratio == pytest.approx(1.0)
    assert rows[2].ratio == pytest.approx(2.0, rel=1e-4)
    assert rows[2].predicted == pytest.approx(np.linalg.norm(NOISE), rel=1e-3)


def test_there_is_no_ratio_without_a_prediction() -> None:
    assert list(ratios_of({"fp_optimized": {"y": EXACT}, CAPTURE: {"y": EXACT}})) == []


@pytest.mark.parametrize(
    ("ratio", "says"),
    [
        (0.7, "only quantisation"),
        (1.5, "only quantisation"),
        (2.0, "more than quantisation predicts"),
        (RATIO_MAX * 1.1, "not explained by quantisation"),
        (math.inf, "not explained by quantisation"),
    ],
)
def test_a_ratio_says_what_it_means(ratio: float, says: str) -> None:
    assert Ratio(CAPTURE, "y", ratio, 1.0, 100_000).says == says


def test_a_ratio_over_few_elements_says_less() -> None:
    assert Ratio(CAPTURE, "y", 5.0, 1.0, 1000).says == "not explained by quantisation"
    assert Ratio(CAPTURE, "y", 5.0, 1.0, 5).says == "more than quantisation predicts"
    assert Ratio(CAPTURE, "y", 50.0, 1.0, 2).says == "only quantisation"  # nothing can be said


def test_no_error_over_none_is_one() -> None:
    assert Ratio(CAPTURE, "y", 0.0, 0.0, 9).ratio == 1.0
    assert Ratio(CAPTURE, "y", 1.0, 0.0, 9).ratio == math.inf
