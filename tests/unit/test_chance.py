"""What the best of many wrong trials gains by chance."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.diagnosis.chance import gain_by_chance, holds_in_frames


@pytest.mark.parametrize(("elements", "trials"), [(9, 20), (30, 100)])
def test_wrong_trials_of_the_best_size_reach_the_bound_in_at_most_one_case_of_fifty(
    elements: int, trials: int
) -> None:
    """By drawing: noise and directions at random, each scaled to leave as little as it can."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2000, elements))
    directions = rng.normal(size=(trials, elements))
    cosines = (noise @ directions.T) / (
        np.linalg.norm(noise, axis=1)[:, None] * np.linalg.norm(directions, axis=1)
    )
    best = 1 / (1 - np.square(cosines).max(axis=1))  # the gain of the best trial, [2000]
    assert float((best >= gain_by_chance(trials, elements)).mean()) <= 0.02
    assert float((best >= gain_by_chance(trials, elements) ** 0.5).mean()) > 0.05


def test_many_numbers_leave_next_to_nothing_to_chance() -> None:
    assert gain_by_chance(100, 10_000) == pytest.approx(1.0, abs=0.01)


def test_one_number_says_nothing() -> None:
    assert gain_by_chance(1, 1) == np.inf
    assert gain_by_chance(1, 0) == np.inf


# --- frame by frame -------------------------------------------------------------------------------


def test_of_three_frames_none_may_speak_against_a_trial() -> None:
    assert holds_in_frames([1.0, 1.0, 1.0], [9.0, 9.0, 9.0], 1000)
    assert not holds_in_frames([1.0, 1.0, 9.0], [9.0, 9.0, 7.0], 1000)


def test_a_frame_that_is_worse_by_chance_says_nothing_against_it() -> None:
    assert holds_in_frames([1.0, 1.0, 1.6], [9.0, 9.0, 1.5], 20)
    assert not holds_in_frames([1.0, 1.0, 1.6], [9.0, 9.0, 1.5], 20_000)


@pytest.mark.parametrize(("bad", "holds"), [(1, True), (2, True), (3, False)])
def test_one_frame_of_four_may_say_anything(bad: int, holds: bool) -> None:
    left = [50.0] * bad + [1.0] * (8 - bad)
    assert holds_in_frames(left, [20.0] * 8, 1000) is holds


def test_one_frame_cannot_carry_a_trial_that_is_worse_in_the_others() -> None:
    assert not holds_in_frames([3.0] * 8, [1.0] * 7 + [1000.0], 1e6)


def test_each_frame_has_to_gain_as_much_as_is_asked() -> None:
    assert holds_in_frames([1.0, 2.0], [3.0, 5.0], 1000, gain=2.0)
    assert not holds_in_frames([1.0, 2.0], [3.0, 3.0], 1000, gain=2.0)


def test_noise_is_worse_than_other_noise_by_more_than_that_in_few_frames() -> None:
    """By drawing: two means of n squares of unit noise."""
    rng = np.random.default_rng(2)
    for n in (2, 10, 100):
        one, other = np.square(rng.normal(size=(2, 4000, n))).mean(axis=2)
        pairs = zip(one.tolist(), other.tolist(), strict=True)
        passed = [holds_in_frames([a, 1.0, 1.0], [b, 9.0, 9.0], n) for a, b in pairs]
        assert 1 - float(np.mean(passed)) < {2: 0.2, 10: 0.08, 100: 0.02}[n]
