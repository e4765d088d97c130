"""Where programs are run: every instruction set of tests/kernels/places.py that can be had here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.kernels.places import EVERYWHERE, place
from tests.kernels.programs import Case

#: The same kernels on the newest ARM CPU that qemu knows, besides those of EVERYWHERE.
TARGETS = (*EVERYWHERE, "neon@max", "neondot@max")
#: Threads of one run after the other.
THREADS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Target:
    """One instruction set at one place, by a name of `place`."""

    name: str

    def run(
        self, cases: Sequence[Case], taps: Sequence[Sequence[int]]
    ) -> list[Mapping[int, bytes]]:
        """Return the bytes of the tensors asked for of each case."""
        here, isa = place(self.name), self.name.partition("@")[0]
        found: list[Mapping[int, bytes]] = []
        for number, (case, wanted) in enumerate(zip(cases, taps, strict=True)):
            tensors = here.run(case, isa, THREADS[number % len(THREADS)]).tensors
            found.append({index: tensors[index] for index in wanted})
        return found


def all_targets(names: Sequence[str] = ()) -> tuple[list[Target], list[str]]:
    """Return the targets that can be had here, and why each of the others cannot."""
    found, missing = [], []
    for name in names or TARGETS:
        try:
            place(name)
        except pytest.skip.Exception as why:
            missing.append(f"{name}: {why}")
        else:
            found.append(Target(name))
    return found, missing
