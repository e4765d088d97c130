"""A damaged executable is refused or harmless, and both readers say the same of it."""

from __future__ import annotations

import struct
import time
from collections import Counter

import numpy as np
import pytest

from bittrue.compiler.fileformat import from_bytes, to_bytes
from bittrue.compiler.program import Program
from bittrue.engines.native import Engine
from bittrue.errors import FormatError
from tests.kernels.hostile import cases, changed, cut, damaged, disagreement
from tests.programs import Builder

CASES = cases(0)
#: Damaged files of each program; `python -m tests.kernels.hostile` tries many more.
MOST = 40
ARENA_AT = 24
LONG = 2**20


@pytest.mark.parametrize("name", sorted(CASES))
def test_readers_agree_on_damaged_files(name: str) -> None:
    counts: Counter[str] = Counter()
    data = to_bytes(CASES[name].program)
    found = []
    for file in damaged(data, np.random.default_rng(len(name)), MOST):
        said = disagreement(file, "auto", counts)
        if said:
            found.append(said)
    assert not found
    assert counts["python refuses, engine refuses"] > MOST // 2


def test_a_buffer_that_ends_one_step_after_the_arena_is_refused() -> None:
    data = to_bytes(CASES["TABLE"].program)
    (arena,) = struct.unpack_from("<Q", data, ARENA_AT)
    Engine(data).close()
    with pytest.raises(FormatError, match="ends after the arena"):
        Engine(changed(data, (ARENA_AT, arena - 64)))


@pytest.mark.parametrize("name", sorted(CASES))
def test_files_cut_short_are_refused(name: str) -> None:
    data = to_bytes(CASES[name].program)
    for file in cut(data):
        with pytest.raises(FormatError):
            Engine(file)


def one_constant_often(kind: str, times: int) -> bytes:
    """A program whose steps all read one long constant: finite, indices, or weights in pairs."""
    made = Builder()
    if kind == "QUANTIZE":
        x, y = made.tensor((1, LONG), "float32", "x"), made.tensor((1, LONG), name="y")
        roles: tuple[int, ...] = (made.constant(np.ones(LONG, np.float32), "scale"),)
    elif kind == "GATHER_2D":
        x, y = made.tensor((1, 1, 1, 1), name="x"), made.tensor((1, LONG, 1, 1), name="y")
        roles = tuple(made.constant(np.zeros(n, np.int32), f"i{n}") for n in (LONG, 1))
    else:
        x, y = made.tensor((1, 1, 1, 1), name="x"), made.tensor((1, LONG, 1, 1), name="y")
        places = (made.constant(np.zeros((n, 2), np.int32), f"p{n}") for n in (LONG, 1))
        halves = (made.constant(np.full((n, 2), 1024, np.int32), f"w{n}") for n in (LONG, 1))
        roles = tuple(role for pair in zip(places, halves, strict=True) for role in pair)
    for _ in range(times):
        made.step(kind, (x, *roles), y)
    return to_bytes(made.program((x,), (y,)))


@pytest.mark.parametrize("kind", ["QUANTIZE", "GATHER_2D", "RESIZE_LINEAR"])
def test_steps_on_one_long_constant_look_at_it_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking for each of the 20,000 would read 80 GB; the engine has the time of some."""
    data = one_constant_often(kind, 20_000)
    start = time.perf_counter()
    Engine(data, "scalar", threads=1).close()
    assert time.perf_counter() - start < 2.0
    looked: list[int] = []
    constant = Program.constant

    def counted(program: Program, index: int) -> np.ndarray:
        looked.append(index)
        return constant(program, index)

    monkeypatch.setattr(Program, "constant", counted)
    from_bytes(data)
    assert len(looked) == len(set(looked)) > 0
