"""The search: in order, within its budget, nothing run twice, and what was left out is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

from bittrue.contract.causes import BY_ID
from bittrue.diagnosis.facts import Mistake
from bittrue.diagnosis.hypotheses import ORDER, Hypothesis, hypotheses
from bittrue.diagnosis.search import search
from tests.unit.scenes import device, experiment, frame, host, picture, scene

PICTURES = (picture(0), picture(1))


def swapped(count: int = 2):
    rows = enumerate(PICTURES[:count])
    return scene([frame(i, p, device(host(p[..., ::-1]))) for i, p in rows])


def test_every_cause_of_the_order_is_in_the_table() -> None:
    assert set(ORDER) <= set(BY_ID)
    assert len(set(ORDER)) == len(ORDER)


def test_without_a_budget_all_but_the_first_mistake_is_listed_as_not_tried() -> None:
    there = swapped()
    rows = hypotheses(there)
    found = search(experiment(there), rows, budget=0.0)
    first = rows[0].mistake.cause
    reasons = {row.cause: row.reason for row in found.not_tried}
    assert set(reasons) >= {row.mistake.cause for row in rows} - {first}
    assert set(reasons.values()) == {"the budget was used up (--budget)"}
    assert {cause for row in found.tried for cause in row.causes if "input" in cause} <= {first}


def test_with_time_nothing_is_left_out_but_what_needs_the_picture() -> None:
    there = swapped()
    found = search(experiment(there), hypotheses(there), budget=60.0)
    assert found.not_tried == ()


def test_a_cause_that_was_tried_in_one_variant_is_not_listed_as_left_out() -> None:
    there = swapped()
    known = [row for row in hypotheses(there) if row.mistake.cause == "input.channel_order"]
    blind = replace(known[0], values=lambda frame: None)
    found = search(experiment(there), [blind, *known], budget=60.0)
    assert "input.channel_order" not in {row.cause for row in found.not_tried}


def test_equal_arrays_are_run_once_for_all_mistakes_that_make_them() -> None:
    there = swapped()
    ours = experiment(there)
    before = sum(row.runs for row in ours.instruments)
    rows = [row for row in hypotheses(there) if row.mistake.cause == "input.channel_order"] * 5
    found = search(ours, rows, budget=60.0)
    # One prediction a frame and instrument, and no more; what was meant had been run before.
    assert sum(row.runs for row in ours.instruments) - before <= 2 * len(there.frames)
    assert len([row for row in found.tried if row.causes == {"input.channel_order"}]) == 5


def test_each_trial_is_shown_before_it_is_made() -> None:
    there = swapped(1)
    rows = [row for row in hypotheses(there) if row.mistake.cause == "input.layout"]
    shown: list[tuple[str, int, int]] = []
    search(experiment(there), rows, budget=60.0, seen=lambda *item: shown.append(item), fit=False)
    assert [row[:2] for row in shown[: len(rows)]] == [
        (row.mistake.what, index) for index, row in enumerate(rows)
    ]
    assert all(index < count for _, index, count in shown)


def test_what_is_hopeless_on_the_first_frame_is_not_run_on_the_others() -> None:
    there = swapped()
    ran: list[str] = []

    def watched(name: str, values) -> Hypothesis:
        def run(row):
            ran.append(f"{name} {row.name}")
            return values(row.pixels)

        mistake = Mistake("input.channel_order", name, "input 'images'", ("x = x",))
        return Hypothesis(mistake, run)

    right = watched("right", lambda p: host(p[..., ::-1]))
    hopeless = watched("hopeless", lambda p: host(255 - p) * np.float32(50))
    search(experiment(there), [right, hopeless], budget=60.0, fit=False)
    assert "right frame 2" in ran
    assert "hopeless frame 1" in ran
    assert "hopeless frame 2" not in ran


def test_a_mistake_that_lacks_what_it_needs_in_a_later_frame_is_no_trial() -> None:
    there = swapped()
    (known,) = [r for r in hypotheses(there) if r.mistake.cause == "input.channel_order"]
    once = replace(known, values=lambda f: known.values(f) if f.name == "frame 1" else None)
    found = search(experiment(there), [once], budget=60.0, fit=False)
    assert all("input.channel_order" not in row.causes for row in found.tried)
