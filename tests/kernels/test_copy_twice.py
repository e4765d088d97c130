"""A COPY writes in row-major order of its indices: where it writes twice, the last one counts."""

from __future__ import annotations

from itertools import product

import numpy as np

from bittrue.compiler.instructions import BY_NAME
from bittrue.compiler.verify_program import problems
from bittrue.engines.emulate import Emulator
from tests.kernels.check import check
from tests.kernels.programs import Case
from tests.programs import Builder

PROGRAMS = 200


def copy_case(
    rng: np.random.Generator, sizes: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[Case, np.ndarray]:
    """Return a copy of all that x holds to places `strides` apart, and what it must give."""
    source = [int(np.prod(sizes[axis + 1 :])) for axis in range(len(sizes))]
    reach = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    count = int(np.prod(sizes))
    made = Builder()
    x, y = made.tensor((count,)), made.tensor((max(reach + 1, count),))
    params = dict.fromkeys(BY_NAME["COPY"].params, 0) | {f"size_{axis}": 1 for axis in range(6)}
    for axis, row in enumerate(zip(sizes, source, strides, strict=True)):
        names = (f"size_{axis}", f"src_stride_{axis}", f"dst_stride_{axis}")
        params |= dict(zip(names, row, strict=True))
    made.step("FILL", (), y, value=0)
    made.step("COPY", (x,), y, **params)
    codes = rng.permutation(256)[:count].astype(np.uint8)
    want = np.zeros(max(reach + 1, count), np.uint8)
    for code, index in zip(codes, product(*map(range, sizes)), strict=True):
        want[sum(i * stride for i, stride in zip(index, strides, strict=True))] = code
    return Case(made.program((x,), (y,)), (codes,)), want


def test_the_last_write_counts_whatever_the_strides() -> None:
    rng = np.random.default_rng(0)
    twice = 0
    for _ in range(PROGRAMS):
        rank = int(rng.integers(2, 5))
        sizes = tuple(int(size) for size in rng.integers(1, 5, rank))
        strides = tuple(int(stride) for stride in rng.integers(1, 7, rank))
        if np.prod(sizes) > 255:
            continue
        case, want = copy_case(rng, sizes, strides)
        assert not list(problems(case.program))
        (found,), _ = Emulator(case.program).run(case.inputs)
        assert np.array_equal(found, want), (sizes, strides)
        twice += int(np.count_nonzero(want) < case.inputs[0].size - 1)
        check(case, "scalar", threads=2)  # COPY has no other kernel
    assert twice > PROGRAMS // 4
