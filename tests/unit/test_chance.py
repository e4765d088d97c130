"""What the best of many wrong trials gains by chance."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.diagnosis.chance import gain_by_chance


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
