"""A sample of `make bits`: the comparison itself, and that it finds a byte that differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bittrue.engines.native_library import available_isas
from tests.bits.cases import small_programs, wide_layers
from tests.bits.compare import compare_chunk, expected, written
from tests.bits.targets import TARGETS, Target, all_targets
from tests.kernels.programs import Case

SMALL = 25


@pytest.mark.parametrize("name", TARGETS)
def test_a_sample_of_programs_has_the_same_bits(name: str) -> None:
    (target, *_), missing = [*all_targets([name])[0], None], all_targets([name])[1]
    if target is None:
        pytest.skip(missing[0])
    items = [*wide_layers(0)[:2], *small_programs(0)[:SMALL], *small_programs(1)[:SMALL]]
    count = compare_chunk(items, {name: target.run})[name]
    assert count.programs == len(items)
    assert count.bytes > 3 * 10**5
    assert count.differ == 0, count.where


def test_one_byte_that_differs_is_counted_and_named() -> None:
    target = Target(available_isas()[-1])
    items = wide_layers(0)[:2]

    def wrong(cases: list[Case], taps: list[list[int]]) -> list[dict[int, bytes]]:
        found = [dict(row) for row in target.run(cases, taps)]
        index, data = next(iter(found[1].items()))
        found[1][index] = data[:-1] + bytes([data[-1] ^ 1])
        return found

    count = compare_chunk(items, {"wrong": wrong})["wrong"]
    assert count.differ == 1
    assert "wide 1: 1 of " in count.where[0]


def test_only_what_an_instruction_writes_is_counted() -> None:
    (item,) = wide_layers(0)[:1]
    program = item.case.program
    assert written(program) == [program.instructions[0].outputs[0]]
    assert set(expected(item.case)) == set(written(program))
    assert written(replace(program, instructions=())) == []
