"""Comparing two stages: never "same" for what was not looked at; exact means every bit."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from bittrue.engines.runner import Runner, RunResult
from bittrue.network import LADDER
from bittrue.parity.bounds import EXACT_BOUND, FLOAT_BOUND, Bound, default_bound
from bittrue.parity.compare import Comparison, Side, compare, make_side
from bittrue.parity.tensors import tensors_by_origin
from bittrue.report.comparison import comparison_json, comparison_text
from bittrue.stages import open_runner
from tests.golden import check_golden
from tests.unit.networks import pixels, subject


class Altered:
    """A runner whose outputs or taps were changed on the way."""

    def __init__(
        self, runner: Runner, outputs: Mapping[str, object] = {}, taps: Mapping[str, object] = {}
    ) -> None:
        self.runner, self.outputs, self.taps = runner, outputs, taps
        self.contract = runner.contract
        self.asked: list[int] = []

    def run(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
    ) -> RunResult:
        self.asked.append(len(taps))
        done = self.runner.run(inputs, taps, codes=codes)

        def change(found: Mapping[str, np.ndarray], edits: Mapping[str, object]) -> object:
            made = {n: edits[n](a) if n in edits else a for n, a in found.items()}  # type: ignore[operator]
            return {name: array for name, array in made.items() if array is not None}

        return RunResult(change(done.outputs, self.outputs), change(done.taps, self.taps))  # type: ignore[arg-type]


def side(stage: str, **edits: Mapping[str, object]) -> Side:
    made = make_side(subject(), stage, {"": pixels(9)})
    return replace(made, runner=Altered(made.runner, **edits)) if edits else made


def test_every_edge_of_the_ladder_is_within_its_bound() -> None:
    for one, two in itertools.pairwise(LADDER):
        found = compare(side(one), side(two))
        assert found.same, comparison_text(found)
        assert found.inner_compared > 0
    assert compare(side("source"), side("compiled")).same


def test_emulator_and_engine_are_equal_in_every_tensor() -> None:
    found = compare(side("bit_true"), side("compiled"))
    assert found.bound == EXACT_BOUND
    program = subject().program()
    assert found.inner_compared == len(program.computed)
    assert found.inner_unmatched == 0
    assert "equal in every bit" in comparison_text(found)


def test_a_missing_output_is_different() -> None:
    found = compare(side("native"), side("native", outputs={"logits": lambda a: None}))
    assert not found.same
    assert "missing in tiny.bta@native" in comparison_text(found)


def test_no_outputs_at_all_is_different() -> None:
    assert not Comparison("a", "b", FLOAT_BOUND, (), None, 0, 0).same


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_on_one_side_only_is_different(value: float) -> None:
    def edit(array: np.ndarray) -> np.ndarray:
        changed = array.copy()
        changed[0, 0] = value
        return changed

    found = compare(side("native"), side("native", outputs={"logits": edit}), bound=FLOAT_BOUND)
    assert not found.same
    assert "only one of the two" in found.outputs[0].problem


def test_nothing_but_nan_on_both_sides_is_no_comparison() -> None:
    edit = {"logits": lambda a: np.full_like(a, np.nan)}
    found = compare(
        side("native", outputs=edit), side("native", outputs=edit), bound=FLOAT_BOUND, inner=False
    )
    assert not found.same


def test_minus_zero_for_zero_is_not_the_same_bits() -> None:
    one = side("compiled", outputs={"logits": np.zeros_like})
    two = side("compiled", outputs={"logits": lambda a: -np.zeros_like(a)})
    assert not compare(one, two, inner=False).same
    assert compare(one, two, inner=False, bound=FLOAT_BOUND).same


def test_an_inner_tensor_decides_only_under_an_exact_bound() -> None:
    name = tensors_by_origin(subject(), "native")["r1"].name
    spoilt = side("native", taps={name: lambda a: a + 1})
    loose = compare(side("native"), spoilt, bound=FLOAT_BOUND)
    exact = compare(side("native"), spoilt, bound=EXACT_BOUND)
    for found in (loose, exact):
        assert found.first is not None
        assert found.first.name == "r1"
    assert loose.same
    assert "the verdict is about the outputs" in comparison_text(loose)
    assert not exact.same


def test_taps_are_fetched_in_parts_that_fit_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare(side("bit_true"), side("compiled"))
    monkeypatch.setattr("bittrue.arrays.PORTION_BYTES", 1)
    one = side("compiled", outputs={})
    spy = Altered(open_runner(subject(), "compiled"))
    found = compare(side("bit_true"), replace(one, runner=spy))
    assert found.inner_compared == whole.inner_compared
    assert max(spy.asked) == 1


def test_bounds_of_pairs_do_not_depend_on_their_order() -> None:
    for one in LADDER:
        for two in LADDER:
            assert default_bound(one, two) == default_bound(two, one)
    assert default_bound("bit_true", "compiled").exact
    assert default_bound("source", "fp_optimized") == FLOAT_BOUND


def test_a_bound_in_words() -> None:
    text = str(Bound(relative=1e-4, sqnr_db=20.0, exact=True))
    assert text == (
        "every bit equal and largest difference at most 0.0001 of the largest value "
        "and SQNR at least 20 dB"
    )


def test_the_json_says_what_was_not_compared() -> None:
    found = comparison_json(compare(side("native"), side("compiled"), inner=False))
    assert found["same"] is True
    assert found["inner_compared"] == 0
    assert found["first_over_bound"] is None


def test_the_report_is_the_one_people_read() -> None:
    found = compare(side("bit_true"), side("compiled"))
    check_golden("compare/equal.txt", comparison_text(found))
