"""Two builds of the engine, side by side."""

from __future__ import annotations

import pytest

from bench.engines import RUNS, Pair, compare
from bittrue.engines.native_library import library_path
from tests.unit.networks import tiny


def test_both_builds_run_as_often_as_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    library = library_path()
    monkeypatch.setenv("BITTRUE_LIBRARY", str(library))  # put back afterwards
    found = compare(library, library, tiny().executable or b"", seconds=0.001)
    assert len(found.old) == len(found.new) == RUNS[0]
    assert all(seconds >= 0 for seconds in (*found.old, *found.new))


def test_the_ratio_is_that_of_the_new_build_over_the_old() -> None:
    told = str(Pair((0.002, 0.004, 0.003), (0.003, 0.009, 0.006)))
    assert told == (
        "median 3.000 and 6.000 ms, ratio 2.000; minimum 2.000 and 3.000 ms, ratio 1.500; "
        "3 runs each"
    )
