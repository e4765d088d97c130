"""Chunks of programs by number, compared with every target: the work of one process."""

from __future__ import annotations

from tests.bits.cases import network_runs, small_programs, wide_layers
from tests.bits.compare import Count, compare_chunk
from tests.bits.targets import Target

#: Kinds of chunks in turn: about half of all bytes come from networks, most others from layers.
ROUND = ("networks", "wide", "wide", "small")


def chunk(number: int, targets: list[Target], executables: dict[str, bytes]) -> dict[str, Count]:
    """Return what one chunk of programs showed."""
    kind, at = ROUND[number % len(ROUND)], number // len(ROUND)
    if kind == "networks" and executables:
        items = network_runs(executables, at)
    elif kind == "small":
        items = small_programs(at)
    else:
        items = wide_layers(number)
    return compare_chunk(items, {target.name: target.run for target in targets})
