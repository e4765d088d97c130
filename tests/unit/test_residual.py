"""The unit of everything unexplained, and what a reading leaves in it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.diagnosis.noise import FLOOR, GUESS, INNER, all_noise, channel_axis, noise_of
from bittrue.diagnosis.readings import Reading, sigmoid
from bittrue.diagnosis.residual import MOST, Left, carried_noise, left_over, mean_square

RNG = np.random.default_rng(7)
EXACT = RNG.normal(0, 1, (1, 4, 6, 6)) * np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 4, 1, 1)


def unused(reading: Reading) -> np.ndarray:
    raise AssertionError("nothing was carried through a function")


def left(
    values: np.ndarray, predicted: np.ndarray, *, power: float = 1.0, **more: object
) -> Left | None:
    reading = Reading("y", None, np.asarray(values, np.float64), **more)  # type: ignore[arg-type]
    carried = (lambda r: np.array(power)) if reading.forward or reading.also else unused
    found = left_over([reading], [predicted], np.array(power), carried)
    return None if found is None else found[0]


# --- noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 64, 80, 80), 1),
        ((1, 640, 640, 3), 3),
        ((1, 84, 8400), 1),
        ((1, 8400, 84), 2),
        ((1, 1000), None),
        ((5,), None),
    ],
)
def test_channels_are_the_axis_whose_entries_differ_in_kind(shape, axis) -> None:
    assert channel_axis(shape) == axis


def test_noise_is_the_mean_square_of_each_channel_over_frames() -> None:
    step = np.array([0.5, 1.0, 1.5, 2.0]).reshape(1, 4, 1, 1)
    noise = noise_of([EXACT, EXACT], [EXACT + step, EXACT - 3 * step])
    # Mean of step^2 and (3 step)^2.
    assert noise.measured
    assert np.allclose(noise.power, 5 * step**2)


def test_a_channel_has_no_less_noise_than_33_db_under_it() -> None:
    noise = noise_of([EXACT], [EXACT])
    for channel in range(4):
        assert noise.power[0, channel, 0, 0] == pytest.approx(
            FLOOR * np.mean(EXACT[0, channel] ** 2), rel=1e-12
        )
    assert 10 * math.log10(1 / FLOOR) == pytest.approx(33, abs=0.1)


def test_a_channel_that_is_0_everywhere_takes_its_floor_from_the_output() -> None:
    silent = EXACT * np.array([1.0, 0.0, 1.0, 1.0]).reshape(1, 4, 1, 1)
    power = noise_of([silent], [silent]).power.reshape(-1)
    mean = np.mean([np.mean(silent[0, c] ** 2) for c in range(4)])
    assert power[1] == pytest.approx(FLOOR * 1e-3 * mean)


def test_an_output_that_is_0_everywhere_has_noise_that_can_be_divided_by() -> None:
    assert (noise_of([np.zeros((1, 9))], [np.zeros((1, 9))]).power > 0).all()


def test_without_an_integer_network_20_db_are_guessed() -> None:
    noise = noise_of([EXACT], [])
    assert not noise.measured
    assert np.allclose(noise.power.reshape(-1) / np.mean(EXACT**2, axis=(0, 2, 3)), GUESS)


def test_inner_tensors_have_27_db_whatever_our_integers_do() -> None:
    made = all_noise([{"y": EXACT, "inner": EXACT}], [{"y": EXACT + 1}], ["inner"])
    assert np.allclose(made["y"].power, 1.0)
    assert float(made["inner"].power) == pytest.approx(INNER * np.mean(EXACT**2))


# --- what is left ---------------------------------------------------------------------------------


def test_a_gap_as_large_as_the_noise_leaves_1() -> None:
    predicted = np.zeros(100)
    found = left(np.full(100, 3.0), predicted, power=9.0)
    assert found is not None
    assert found.residual == 1.0


def test_one_element_counts_for_no_more_than_its_cut() -> None:
    assert mean_square(np.array([0.0, 1e9]), np.array(1.0)) == MOST / 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_makes_no_sense(bad) -> None:
    assert left(np.array([1.0, bad]), np.zeros(2)) is None


def test_a_function_is_made_on_the_prediction() -> None:
    predicted = RNG.normal(0, 1, 50)
    found = left(sigmoid(predicted), predicted, forward=sigmoid)
    assert found is not None
    assert found.residual == 0


def test_of_two_looks_at_one_mistake_the_worse_counts() -> None:
    predicted = RNG.normal(0, 1, 50)
    other = Reading("y", None, predicted + 2)
    found = left(predicted, predicted, also=other)
    assert found is not None
    assert found.residual == pytest.approx(4.0)


@given(st.floats(0.01, 100), st.floats(-5, 5))
def test_a_scale_and_an_offset_are_found_exactly(factor, offset) -> None:
    predicted = EXACT.reshape(-1)
    spread = float(predicted.std())
    found = left(factor * predicted + offset, predicted, fit="affine")
    if abs(factor - 1) < 0.1 and abs(offset) < 0.1 * spread:
        assert found is None  # no mistake
        return
    assert found is not None
    assert found.factor == pytest.approx(factor, rel=1e-6)
    assert found.offset == pytest.approx(offset, rel=1e-6, abs=1e-6)
    assert np.allclose(found.values, predicted, atol=1e-6)


@pytest.mark.parametrize(
    ("gave", "predicted"),
    [
        (-2 * EXACT.reshape(-1), EXACT.reshape(-1)),  # upside down is no scale
        (np.arange(7.0), np.arange(7.0) * 3),  # seven numbers say nothing
        (np.arange(50.0), np.ones(50)),  # nothing to fit to
        (RNG.normal(0, 1, 50), np.arange(50.0)),  # no line
    ],
    ids=["negative", "few", "constant", "noise"],
)
def test_a_fit_that_means_nothing_is_refused(gave, predicted) -> None:
    assert left(gave, predicted, fit="affine") is None


def test_boxes_in_another_unit_are_fitted_by_x_and_by_y() -> None:
    boxes = RNG.uniform(10, 600, (1, 4, 100))
    found = left(boxes / np.array([640, 480, 640, 480]).reshape(1, 4, 1), boxes, fit="boxes")
    assert found is not None
    assert found.factor == pytest.approx(1 / 640)
    assert found.residual == pytest.approx(0, abs=1e-20)
    assert left(boxes * 1.05, boxes, fit="boxes") is None  # near enough to be none
    assert left(-boxes, boxes, fit="boxes") is None


def test_scores_behind_boxes_keep_their_unit() -> None:
    rows = RNG.uniform(1, 9, (1, 6, 100))
    halved = rows.copy()
    halved[:, :4] /= 2
    found = left(halved, rows, fit="boxes")
    assert found is not None
    assert np.allclose(found.values, rows)


# --- noise behind a function ----------------------------------------------------------------------


def test_noise_behind_a_linear_function_grows_with_its_square() -> None:
    coded = EXACT + RNG.normal(0, 0.1, EXACT.shape)
    noise = np.array(0.01)
    through = carried_noise(lambda x: 3 * x, noise, [(EXACT, coded)])
    assert float(through) == pytest.approx(max(9 * 0.01, FLOOR * 9 * np.mean(EXACT**2)), rel=1e-6)


def test_noise_behind_a_flat_function_is_the_floor_of_what_comes_out() -> None:
    noise = np.array(0.01)
    through = carried_noise(lambda x: np.full_like(x, 5.0), noise, [(EXACT, EXACT + 0.1)])
    assert float(through) == pytest.approx(FLOOR * 25)


def test_without_an_integer_network_the_noise_that_is_assumed_goes_through() -> None:
    noise = np.array(1.0)
    through = carried_noise(lambda x: 3 * x, noise, [(EXACT, EXACT)])
    assert float(through) == pytest.approx(9.0, rel=1e-6)
