"""Outputs of few numbers: what is fitted, seen and searched takes all frames together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

from bittrue.diagnosis.decide import accepted
from bittrue.diagnosis.experiment import Experiment, Tried, grid, label
from bittrue.diagnosis.hypotheses import hypotheses
from bittrue.diagnosis.instruments import instruments
from bittrue.diagnosis.readings import Reading, Traits, readings, threshold_of, traits
from bittrue.diagnosis.residual import Left, left_over
from bittrue.diagnosis.search import search
from tests.unit.scenes import codes, device, experiment, frame, host, picture, run_float, scene

NOISE = np.array(1e-4)


def logits_only(rows: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    return [{"logits": row["logits"]} for row in rows]


def of_logits(gave: list[dict[str, np.ndarray]]) -> tuple[Experiment, list[Tried]]:
    """Every input mistake tried on the logits alone, ten numbers a frame."""
    there = scene([frame(i, picture(i), row) for i, row in enumerate(logits_only(gave))])
    tools = instruments(there)
    ours = Experiment(there, tools.noise, tools.rows, {"logits": "logits"})
    return ours, accepted(search(ours, hypotheses(there), budget=60.0, fit=False), ours)


# --- a search over many frames --------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 8])
def test_swapped_channels_are_found_on_few_numbers(count) -> None:
    gave = [device(host(picture(i)[..., ::-1])) for i in range(count)]
    ours, best = of_logits(gave)
    assert {"input.channel_order"} in [set(row.causes) for row in best]
    assert ours.numbers(best[0]) == 10 * count


def test_the_frames_are_doubled_and_only_the_better_mistakes_stay() -> None:
    gave = [device(host(picture(i)[..., ::-1])) for i in range(8)]
    there = scene([frame(i, picture(i), row) for i, row in enumerate(logits_only(gave))])
    tools = instruments(there)
    ours = Experiment(there, tools.noise, tools.rows, {"logits": "logits"})
    looks: list[str] = []

    def seen(told: str, index: int, count: int) -> None:
        looks.append(told)

    found = search(ours, hypotheses(there), budget=60.0, fit=False, seen=seen)
    doubled = [told for told in looks if told.startswith("6 frames: ")]
    last = [told for told in looks if told.startswith("all frames: ")]
    assert 0 < len(last) <= len(doubled) < len(hypotheses(there))
    assert len(found.tried[0].residuals) == 8


def test_mistakes_that_are_one_in_a_grey_picture_are_told_apart_by_the_others() -> None:
    grey = np.repeat(picture(0)[..., :1], 3, axis=-1)
    pixels = [grey, picture(1), picture(2)]
    frames = [frame(i, p, device(host(p[..., ::-1]))) for i, p in enumerate(pixels)]
    best = accepted(
        search(experiment(scene(frames)), hypotheses(scene(frames)), budget=60.0, fit=False),
        experiment(scene(frames)),
    )
    assert [set(row.causes) for row in best] == [{"input.channel_order"}]


def test_a_scalar_output_has_no_classes() -> None:
    shown = traits([np.array(0.3)], [np.array(0.3)])
    assert shown.free == 1.0
    assert readings("y", (), {"y": np.array(0.3)}, "y", np.array(0.3), {}, shown=shown)


# --- figures --------------------------------------------------------------------------------------


def fitted(values: list[np.ndarray], predicted: list[np.ndarray], fit: str) -> list[Left] | None:
    rows = [Reading("y", None, np.asarray(row, np.float64), fit=fit) for row in values]  # type: ignore[arg-type]
    found = left_over(rows, predicted, NOISE, lambda reading: NOISE)
    return None if found is None else list(found)


def test_a_scale_is_fitted_to_all_frames_together() -> None:
    rng = np.random.default_rng(0)
    right = [rng.normal(size=(1, 3)) for _ in range(5)]
    found = fitted([0.3 * row - 2 for row in right], right, "affine")
    assert found is not None
    assert {round(row.factor, 9) for row in found} == {0.3}
    assert {round(row.offset, 9) for row in found} == {-2.0}
    assert max(row.residual for row in found) < 1e-12
    # Three numbers alone are no line.
    assert fitted([0.3 * right[0]], right[:1], "affine") is None


def test_nothing_is_fitted_to_predictions_that_are_all_alike() -> None:
    same = [np.array([[0.2, 0.8, 0.5]])] * 6
    assert fitted([0.3 * row for row in same], same, "affine") is None
    boxes = [np.array([[0.1, 0.2, 0.6, 0.7]])] * 6
    assert fitted([640 * row for row in boxes], boxes, "boxes") is None


def test_a_unit_of_single_boxes_is_fitted_to_all_frames() -> None:
    rng = np.random.default_rng(1)
    boxes = [rng.uniform(0, 1, (1, 4)) for _ in range(4)]
    found = fitted([row * np.array([640, 480, 640, 480]) for row in boxes], boxes, "boxes")
    assert found is not None
    assert found[0].factor == pytest.approx(640)
    assert max(row.residual for row in found) < 1e-12


def test_codes_of_few_logits_are_told_though_a_frame_alone_could_be_values() -> None:
    _, best = of_logits([codes(host(picture(i))) for i in range(6)])
    assert {"output.not_dequantized"} in [set(row.causes) for row in best]


@pytest.mark.parametrize("scale", [2.1e-3, 3.9e-3, 0.11])
def test_a_grid_shows_in_few_values_of_float32(scale) -> None:
    rng = np.random.default_rng(3)
    levels = rng.choice(256, 40, replace=False).astype(np.float32)
    twice = np.float32(scale) * (np.float32(scale) * levels - np.float32(150))
    step = grid(twice.astype(np.float64))
    assert step is not None
    times = step / scale**2
    assert times == pytest.approx(round(times), abs=0.05)


# --- what an output shows -------------------------------------------------------------------------


def test_an_output_shows_over_all_frames_what_one_does_not() -> None:
    gave = [np.array([[0.0, 1.0]]), np.array([[7.0, 200.0]])]
    meant = [np.array([[0.3, 0.7]]), np.array([[0.4, 0.6]])]
    assert traits(gave[:1], meant[:1]).codes is False
    assert traits(gave, meant).codes is True
    assert traits(gave, meant).spread == 200.0


@pytest.mark.parametrize("classes", [2, 5])
def test_shares_that_add_up_are_not_all_independent(classes) -> None:
    rng = np.random.default_rng(4)
    rows = [rng.dirichlet(np.ones(classes))[None] for _ in range(3)]
    assert traits(rows, rows).free == 1 - 1 / classes
    assert traits(rows, [3 * row for row in rows]).free == 1.0


def left_out(shown: Traits) -> bool:
    values = np.array([[0.2, 0.8]])
    rows = readings("y", (1, 2), {"y": values}, "y", values, {}, shown=shown)
    causes = {row.mistake.cause for row in rows if row.mistake is not None}
    return "output.activation_missing" in causes


def test_what_adds_up_to_1_or_is_all_alike_is_not_what_comes_before_a_softmax() -> None:
    plain = Traits(meant=True, spread=5.0)
    assert left_out(plain)
    assert not left_out(replace(plain, shares=True, adds_up=True))
    assert not left_out(replace(plain, spread=0.01))


@pytest.mark.parametrize(("beside", "there"), [(True, True), (False, False)])
def test_four_numbers_are_a_box_only_beside_other_outputs(beside, there) -> None:
    values = np.array([[0.1, 0.2, 0.6, 0.9]])
    shown = Traits(beside=beside)
    rows = readings("y", (1, 4), {"y": values}, "y", values, {}, shown=shown)
    boxed = [r for r in rows if r.mistake is not None and r.mistake.cause == "output.box_format"]
    assert bool(boxed) is there
    assert len({label(row) for row in boxed}) == len(boxed)


def test_a_threshold_shows_in_few_scores() -> None:
    scores = np.array([0.9, 0.1, 0.4, 0.6, 0.27, 0.73, 0.05, 0.95, 0.33, 0.67])
    rng = np.random.default_rng(5)
    noisy = scores + rng.normal(0, 0.01, scores.shape)
    assert threshold_of(np.where(noisy < 0.3, 0.0, noisy), scores) == 0.3
    # 8 bits turn small scores to 0: no threshold.
    assert threshold_of(np.where(noisy < 0.02, 0.0, noisy), scores) is None


def test_the_network_of_these_tests_gives_ten_numbers_a_frame() -> None:
    assert run_float(host(picture(0)))["logits"].size == 10
