"""The ladder: every stage once, every edge compared, the first broken one named."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bittrue.engines.runner import RunResult
from bittrue.network import LADDER
from bittrue.parity.bounds import QUANTISED_BOUND
from bittrue.parity.compare import Comparison, make_side
from bittrue.parity.ladder import climb, drift_bound
from bittrue.report.ladder import ladder_text
from bittrue.stages import open_runner
from tests.unit.networks import pixels, subject


def test_every_stage_and_every_edge_is_there() -> None:
    seen: list[str] = []
    pairs: list[tuple[str, str]] = []
    found = climb(
        subject(),
        {"": pixels(9)},
        entering=seen.append,
        comparing=lambda one, two: pairs.append((one, two)),
    )
    assert tuple(seen) == LADDER
    assert pairs == list(itertools.pairwise(LADDER))
    assert tuple(rung.stage for rung in found.rungs) == LADDER
    assert len(found.edges) == len(LADDER) - 1
    assert found.first_broken is None
    assert found.edges[-1].bound.exact
    assert found.whole.reference.endswith("@source")
    text = ladder_text(found)
    assert all(stage in text for stage in LADDER)
    assert "source to compiled" in text


def test_two_stages_are_a_ladder_too() -> None:
    found = climb(subject(), {"": pixels(9)}, stages=("native", "compiled"))
    assert [rung.stage for rung in found.rungs] == ["native", "compiled"]
    assert all(rung.seconds > 0 for rung in found.rungs)


def test_codes_and_integers_may_drift_as_far_apart_as_codes_cost() -> None:
    found = climb(subject(), {"": pixels(9)})
    costly = [
        edge_with(edge, 14.567) if edge.bound is QUANTISED_BOUND else edge for edge in found.edges
    ]
    sides = [make_side(subject(), stage, {"": pixels(9)}) for stage in ("quantized", "bit_true")]
    bound = drift_bound(sides[0], sides[1], costly[:3])
    assert bound is not None
    assert bound.sqnr_db == 14.56
    # Cheap codes leave the stages' own bound, and so do stages of another kind.
    assert drift_bound(sides[0], sides[1], found.edges[:3]) is None
    assert drift_bound(sides[1], sides[1], costly[:3]) is None
    assert drift_bound(sides[0], sides[1], []) is None


def edge_with(edge: Comparison, sqnr_db: float) -> Comparison:
    rows = [
        replace(row, difference=replace(row.difference, sqnr_db=sqnr_db))
        for row in edge.outputs
        if row.difference is not None
    ]
    return replace(edge, outputs=tuple(rows))


def test_a_stage_runs_once_for_both_of_its_edges() -> None:
    class Counting:
        def __init__(self, stage: str) -> None:
            self.runner = open_runner(subject(), stage)
            self.contract, self.runs = self.runner.contract, 0

        def run(
            self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
        ) -> RunResult:
            self.runs += not taps
            return self.runner.run(inputs, taps, codes=codes)

    runners = {stage: Counting(stage) for stage in LADDER}
    climb(subject(), {"": pixels(9)}, runners=runners, warm=False, inner=False)
    # The outputs once; the program's output is float32 here, so that no codes are asked for.
    assert {stage: row.runs for stage, row in runners.items()} == dict.fromkeys(LADDER, 1)


def test_a_ladder_of_named_stages_has_no_gaps_and_a_whole_file_s_has_them() -> None:
    chosen = climb(subject("quantized"), {"": pixels(9)}, stages=("native", "quantized"))
    assert chosen.unmeasured == ()
    whole = climb(subject("quantized"), {"": pixels(9)})
    assert [gap.other for gap in whole.unmeasured] == ["bit_true", "compiled"]
    assert "not measured: quantized to bit_true" in ladder_text(whole)
