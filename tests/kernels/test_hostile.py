"""A damaged executable is refused or harmless, and both readers say the same of it."""

from __future__ import annotations

import struct
from collections import Counter

import numpy as np
import pytest

from bittrue.compiler.fileformat import to_bytes
from bittrue.engines.native import Engine
from bittrue.errors import FormatError
from tests.kernels.hostile import cases, changed, cut, damaged, disagreement

CASES = cases(0)
#: Damaged files of each program; `python -m tests.kernels.hostile` tries many more.
MOST = 40
ARENA_AT = 24


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
