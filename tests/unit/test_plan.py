"""The memory plan: no two live buffers share a byte, and the proof says so on its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.compiler.plan import Lifetime, lifetimes, place, plan, proof
from bittrue.compiler.program import ALIGNMENT, Program
from bittrue.report.plan import proof_text
from tests.format.programs import small_program
from tests.programs import Builder


@st.composite
def lives(draw: st.DrawFn) -> list[Lifetime]:
    count = draw(st.integers(1, 14))
    found = []
    for buffer in range(count):
        first = draw(st.integers(-1, 9))
        nbytes = draw(st.sampled_from([1, 63, 64, 65, 200, 1000, 4096]))
        found.append(Lifetime(buffer, nbytes, first, draw(st.integers(first, 10))))
    return found


@settings(max_examples=100)
@given(lives())
def test_no_byte_belongs_to_two_at_one_moment(found: list[Lifetime]) -> None:
    offsets = place(found)
    for moment in range(-1, 11):
        owned: set[int] = set()
        for life in found:
            if life.first <= moment <= life.last:
                assert offsets[life.buffer] % ALIGNMENT == 0
                mine = set(range(offsets[life.buffer], offsets[life.buffer] + life.nbytes))
                assert not owned & mine
                owned |= mine


@settings(max_examples=60)
@given(lives())
def test_the_arena_is_between_the_bound_and_no_reuse(found: list[Lifetime]) -> None:
    offsets = place(found)
    end = max(offsets[life.buffer] + life.nbytes for life in found)
    padded = {life.buffer: -(-life.nbytes // ALIGNMENT) * ALIGNMENT for life in found}
    most = max(
        sum(padded[life.buffer] for life in found if life.first <= moment <= life.last)
        for moment in range(-1, 11)
    )
    assert most - ALIGNMENT < end <= sum(padded.values())


def chain(length: int, size: int = 100) -> Program:
    """Tables one after the other; each needs two buffers at a time."""
    made = Builder()
    at = first = made.tensor((size,), name="t0")
    table = made.constant(np.zeros((1, 256), np.uint8), "table")
    for index in range(length):
        after = made.tensor((size,), name=f"t{index + 1}")
        made.step("TABLE", (at, table), after)
        at = after
    return made.program((first,), (at,))


def test_a_chain_needs_two_buffers() -> None:
    done = plan(chain(9))
    told = proof(done)
    assert done.arena_bytes == 256
    assert (told.arena, told.lower_bound, told.total, told.holds) == (256, 256, 1000, True)


def test_outputs_live_to_the_end_and_inputs_from_before_the_start() -> None:
    spans = {life.buffer: (life.first, life.last) for life in lifetimes(small_program())}
    rows = {row.name: spans[row.buffer] for row in small_program().tensors if row.buffer in spans}
    assert rows == {"x": (-1, 0), "y": (0, 1), "z": (1, 3), "f": (2, 3)}


def test_the_proof_agrees_with_the_planner_about_lives() -> None:
    done = plan(small_program())
    told = {row.buffer: (row.first, row.last) for row in proof(done).buffers}
    assert told == {life.buffer: (life.first, life.last) for life in lifetimes(done)}


def test_the_proof_finds_an_overlap_and_a_buffer_outside() -> None:
    done = plan(small_program())
    assert proof(done).holds
    buffers = tuple(row if row.constant else replace(row, offset=0) for row in done.buffers)
    broken = proof(replace(done, buffers=buffers, arena_bytes=64))
    named = {row.buffer: row.names[0] for row in broken.buffers}
    pairs = {(named[a], named[b]) for a, b in broken.overlaps}
    assert pairs == {("x", "y"), ("y", "z"), ("z", "f")}
    assert [named[index] for index in broken.outside] == ["f"]
    assert not broken.holds
    assert "OVERLAP" in proof_text(broken)
    assert "OUTSIDE" in proof_text(broken)


def test_the_text_of_a_proof_has_every_buffer_and_total() -> None:
    text = proof_text(proof(plan(chain(3))))
    for word in ("256 bytes", "400 bytes in 4 buffers", "none overlap", "t0", "t3"):
        assert word in text


@pytest.mark.parametrize("length", [1, 2, 50])
def test_planning_twice_is_once(length: int) -> None:
    done = plan(chain(length))
    assert plan(done) == done


def test_an_input_that_nothing_reads_is_still_the_callers_to_fill() -> None:
    made = Builder()
    x, unused, y = (made.tensor((64,), name=name) for name in ("x", "unused", "y"))
    made.step("TABLE", (x, made.constant(np.zeros((1, 256), np.uint8), "t")), y)
    done = plan(made.program((x, unused), (y,)))
    assert proof(done).holds
    assert done.buffers[0].offset != done.buffers[1].offset
    buffers = (done.buffers[0], done.buffers[0], *done.buffers[2:])
    assert proof(replace(done, buffers=buffers)).overlaps == ((0, 1),)
