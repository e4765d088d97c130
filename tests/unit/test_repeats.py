"""Several frames: the same input twice, and outputs that come late."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.diagnosis.noise import Noise
from bittrue.diagnosis.repeats import nondeterministic, stale
from bittrue.diagnosis.scene import Frame

RNG = np.random.default_rng(8)
RIGHT = [RNG.normal(0, 3, (1, 20)) for _ in range(4)]
NOISE = {"y": Noise(np.array(0.01), True)}
NAMES = {"y": "out"}


def frame(index: int, gave: np.ndarray, *, inputs: np.ndarray | None = None) -> Frame:
    seen = np.array([float(index)]) if inputs is None else inputs
    return Frame(f"frame {index + 1}", None, {"x": seen}, None, None, {"out": gave}, {})


def frames(outputs: list[np.ndarray]) -> list[Frame]:
    return [frame(index, row + RNG.normal(0, 0.1, row.shape)) for index, row in enumerate(outputs)]


def late(outputs: list[np.ndarray]) -> str:
    found = stale(frames(outputs), [{"y": row} for row in RIGHT], NOISE, NAMES)
    return "" if found is None else found.mistakes[0].what


# --- the same input twice -------------------------------------------------------------------------


def test_the_same_input_with_other_outputs_is_not_deterministic() -> None:
    x = np.ones(3)
    found = nondeterministic([frame(0, np.zeros(4), inputs=x), frame(1, np.ones(4), inputs=x)])
    assert found is not None
    assert found.causes == ("runtime.nondeterministic",)
    assert found.evidence == (
        "output 'out': 4 of 4 values differ between the two runs, by up to 1",
    )
    assert found.confidence == 1.0


@given(st.integers(0, 19), st.sampled_from([1e-7, 1.0]))
def test_one_value_that_differs_is_enough(place, step) -> None:
    again = RIGHT[0].copy()
    again[0, place] += step
    x = np.ones(3)
    assert nondeterministic([frame(0, RIGHT[0], inputs=x), frame(1, again, inputs=x)]) is not None


def test_equal_outputs_and_other_inputs_are_no_finding() -> None:
    x = np.ones(3)
    assert nondeterministic([frame(0, RIGHT[0], inputs=x), frame(1, RIGHT[0], inputs=x)]) is None
    assert nondeterministic(frames(RIGHT)) is None


def test_not_a_number_twice_is_the_same() -> None:
    gave, x = np.array([1.0, np.nan]), np.ones(3)
    assert nondeterministic([frame(0, gave, inputs=x), frame(1, gave.copy(), inputs=x)]) is None


def test_an_output_that_is_missing_or_has_another_shape_the_second_time_differs() -> None:
    x = np.ones(3)
    one = frame(0, RIGHT[0], inputs=x)
    for device in ({}, {"other": RIGHT[0]}, {"out": RIGHT[0][:, :5]}):
        again = replace(frame(1, RIGHT[0], inputs=x), device=device)
        found = nondeterministic([one, again])
        # A frame that was never run says nothing; one that lacks an output does.
        assert (found is None) == (not device)


def test_what_was_sent_is_the_input_where_it_is_known() -> None:
    one, other = frame(0, RIGHT[0]), frame(1, RIGHT[1])
    sent = np.arange(6)
    both = [replace(row, sent=sent) for row in (one, other)]
    assert nondeterministic([one, other]) is None
    assert nondeterministic(both) is not None


# --- late outputs ---------------------------------------------------------------------------------


def test_each_output_of_the_frame_before_is_stale() -> None:
    assert late([RIGHT[3], *RIGHT[:3]]) == "each output is that of the frame before"


def test_outputs_may_be_two_frames_late() -> None:
    assert late([RIGHT[2], RIGHT[3], *RIGHT[:2]]) == "each output is that of 2 frames before"


@pytest.mark.parametrize(
    "outputs",
    [
        RIGHT,
        [*RIGHT[:3], RIGHT[2]],  # only one is late
        [RIGHT[3], *RIGHT[:2], RIGHT[3]],  # the last one is not
        [RNG.normal(0, 3, (1, 20)) for _ in range(4)],  # nobody's
        [RIGHT[1], RIGHT[2], RIGHT[3], RIGHT[0]],  # early
    ],
    ids=["healthy", "once", "not the last", "strange", "early"],
)
def test_what_is_not_late_in_every_frame_is_not_stale(outputs) -> None:
    assert late(outputs) == ""


def test_the_first_frame_may_hold_anything() -> None:
    assert late([np.zeros((1, 20)), *RIGHT[:3]]) != ""


def test_frames_that_are_alike_show_no_lateness() -> None:
    """Each frame is 0.1 from the one before, as much as the noise: late or not, nobody can tell."""
    alike = [RIGHT[0] + 0.1 * index for index in range(4)]
    rows = frames([alike[0], *alike[:3]])
    assert stale(rows, [{"y": row} for row in alike], NOISE, NAMES) is None


def test_one_frame_alone_is_never_stale() -> None:
    assert stale(frames(RIGHT)[:1], [{"y": RIGHT[0]}], NOISE, NAMES) is None


def test_an_output_of_another_size_or_that_is_missing_says_nothing() -> None:
    rows = frames([RIGHT[3], *RIGHT[:3]])
    exact = [{"y": row} for row in RIGHT]
    assert stale(rows, exact, NOISE, {"y": "gone"}) is None
    short = [replace(row, device={"out": np.zeros(7)}) for row in rows]
    assert stale(short, exact, NOISE, NAMES) is None


def test_inner_tensors_are_left_out() -> None:
    rows = frames([RIGHT[3], *RIGHT[:3]])
    exact = [{"y": row, "inner": np.zeros(5)} for row in RIGHT]
    found = stale(rows, exact, NOISE, NAMES)
    assert found is not None
    assert found.causes == ("runtime.stale",)
    assert found.confidence > 0.9
