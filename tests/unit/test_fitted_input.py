"""A map of the input that stands in no list is found by search, or said not to be there."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

from bittrue.diagnosis.decide import accepted
from bittrue.diagnosis.fitted_input import Affine, fit_affine
from bittrue.diagnosis.search import search
from tests.unit.scenes import device, experiment, frame, host, picture, scene

MEANT = host(picture(0))
SPREAD = float(MEANT.max() - MEANT.min()) / 2
NEVER = float("inf")


def bowl(gain: float, offset: float):
    """The mean square of what is off: least at one map, as a network's outputs make it."""
    there = gain * MEANT + np.float32(offset * SPREAD)
    return lambda found: float(np.square(found(MEANT) - there).mean())


@given(st.floats(0.05, 3.0), st.floats(-0.9, 0.9))
@settings(max_examples=25)
def test_a_map_that_was_planted_is_found(gain, offset) -> None:
    found = fit_affine(SPREAD, bowl(gain, offset), NEVER)
    assert found is not None
    assert found.spread == pytest.approx(SPREAD)
    # A simplex stops where three corners differ by a thousandth.
    assert found.gain == pytest.approx(gain, rel=0.1, abs=0.02)
    assert found.offset == pytest.approx(offset, abs=0.05)


def test_where_nothing_was_planted_the_identity_is_found() -> None:
    found = fit_affine(SPREAD, bowl(1.0, 0.0), NEVER)
    assert found is not None
    assert found.is_identity


def test_a_map_is_gain_and_offset_in_halves_of_the_range() -> None:
    made = Affine(2.0, 0.5, 4.0)(np.array([[1.0, -1.0]], np.float32))
    assert made.tolist() == [[4.0, 0.0]]
    assert made.dtype == np.float32


def test_there_is_no_map_without_time_or_without_a_picture() -> None:
    assert fit_affine(SPREAD, bowl(1, 0), time.monotonic() - 1) is None
    assert fit_affine(0.0, bowl(1, 0), NEVER) is None


# --- in a search ----------------------------------------------------------------------------------


def test_constants_of_no_list_are_found_and_both_ways_to_them_named() -> None:
    """(pixels / 255 - mean) / std, of constants of its own: one affine map for all channels."""
    pixels = [picture(0), picture(1)]
    frames = [frame(i, p, device(0.62 * host(p) - 0.4)) for i, p in enumerate(pixels)]
    ours = experiment(scene(frames))
    found = search(ours, [], budget=60.0)
    best = accepted(found, ours)
    assert {cause for row in best for cause in row.causes} == {
        "input.wrong_mean_std",
        "input.wrong_qparams",
    }
    assert all(row.fitted for row in best)
    assert "0.62" in best[0].mistakes[0].what


def test_no_map_is_looked_for_where_it_may_not_be() -> None:
    frames = [frame(0, picture(0), device(0.62 * host(picture(0)) - 0.4))]
    found = search(experiment(scene(frames)), [], budget=60.0, fit=False)
    assert not any(row.fitted for row in found.tried)
