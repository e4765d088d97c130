"""The ladder: every stage once, every edge compared, the first broken one named."""

from __future__ import annotations

import itertools

from bittrue.network import LADDER
from bittrue.parity.ladder import climb
from bittrue.report.ladder import ladder_text
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
