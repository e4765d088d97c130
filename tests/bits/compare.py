"""Programs in NumPy and in every target: how many bytes were compared, and which differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bittrue.compiler.program import Program
from bittrue.engines.emulate import Emulator
from tests.bits.cases import Item
from tests.kernels.programs import Case

#: Runs cases; returns for each the bytes of the tensors asked for.
Run = Callable[[Sequence[Case], Sequence[Sequence[int]]], Sequence[Mapping[int, bytes]]]


@dataclass(slots=True)
class Count:
    """What was compared with one target so far.

    Args:
        programs: How many ran.
        tensors: How many were compared.
        bytes: How many were compared.
        differ: Bytes that differ.
        where: The first tensors that differ, in words.
    """

    programs: int = 0
    tensors: int = 0
    bytes: int = 0
    differ: int = 0
    where: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        """Add another count to this one."""
        self.programs += other.programs
        self.tensors += other.tensors
        self.bytes += other.bytes
        self.differ += other.differ
        self.where = (self.where + other.where)[:10]


def written(program: Program) -> list[int]:
    """Return the tensors that some instruction writes: inputs and constants prove nothing."""
    return sorted({index for step in program.instructions for index in step.outputs})


def expected(case: Case) -> dict[int, bytes]:
    """Return the bytes of every written tensor as NumPy says."""
    with np.errstate(all="ignore"):
        _, taps = Emulator(case.program).run(case.inputs, written(case.program))
    return {index: array.tobytes() for index, array in taps.items()}


def compare_chunk(items: Sequence[Item], targets: Mapping[str, Run]) -> dict[str, Count]:
    """Return what each target's run of the items showed against NumPy."""
    wanted = [expected(item.case) for item in items]
    cases, taps = [item.case for item in items], [sorted(row) for row in wanted]
    return {name: _counted(items, wanted, run(cases, taps)) for name, run in targets.items()}


def _counted(
    items: Sequence[Item], wanted: Sequence[dict[int, bytes]], found: Sequence[Mapping[int, bytes]]
) -> Count:
    count = Count()
    for item, want, got in zip(items, wanted, found, strict=True):
        count.programs += 1
        for index, data in want.items():
            count.tensors += 1
            count.bytes += len(data)
            wrong = _differing(data, got[index])
            count.differ += wrong
            if wrong and len(count.where) < 10:
                row = item.case.program.tensors[index]
                count.where.append(f"{item.name}: {wrong} of {len(data)} bytes of {row}")
    return count


def _differing(one: bytes, other: bytes) -> int:
    """Return how many bytes differ; all of them where the lengths do."""
    if one == other:
        return 0
    if len(one) != len(other):
        return max(len(one), len(other))
    return int(np.count_nonzero(np.frombuffer(one, np.uint8) != np.frombuffer(other, np.uint8)))
