"""Which values share one scale, because bytes move between them, and which range it spans."""

from __future__ import annotations

from dataclasses import dataclass

from bittrue.quant.observers import Observer
from bittrue.quant.partition import Partition
from bittrue.quant.statistics import Range, Statistics
from bittrue.quant.target import JOINS, SHARES, integer_form
from bittrue.quant.wiring import Wiring

#: A Concat's input takes the result's scale if its own would be at least this part of it.
ALIKE = 0.5


@dataclass(frozen=True, slots=True)
class Basis:
    """What scales are decided from.

    Args:
        wiring: The optimised float graph.
        statistics: What calibration saw of every float32 value of the graph.
        part: What runs in float.
        observer: How ranges are estimated.
    """

    wiring: Wiring
    statistics: Statistics
    part: Partition
    observer: Observer

    def stored(self) -> list[str]:
        """Return the values that are stored as codes, in the graph's order."""
        graph = self.wiring.graph
        return [
            name
            for name in graph.values
            if name not in graph.constants and name not in self.part.float_values
        ]


class Groups:
    """Which values share one scale: a union-find over value names, each alone at first."""

    def __init__(self, names: list[str]) -> None:
        """Start with each name in a group of its own."""
        self._parent = {name: name for name in names}

    def __contains__(self, name: str) -> bool:
        """Return whether a value belongs to any group."""
        return name in self._parent

    def root(self, name: str) -> str:
        """Return the member that stands for a value's group."""
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        """Make one group of two; the root of the first stands for both."""
        self._parent[self.root(other)] = self.root(one)

    def of(self, root: str) -> list[str]:
        """Return the members of one group."""
        return [name for name in self._parent if self.root(name) == root]

    def members(self) -> dict[str, list[str]]:
        """Return the members of every group by its root."""
        found: dict[str, list[str]] = {}
        for name in self._parent:
            found.setdefault(self.root(name), []).append(name)
        return found


def group(basis: Basis) -> tuple[dict[str, list[str]], dict[str, Range | None]]:
    """Return the values that share one scale, and the range of each group, by the group's root.

    A group of raw pixels or truth values has the scale 1, and None for a range.
    """
    groups = Groups(basis.stored())
    _join_moves(basis, groups)
    ranges = {root: _range(basis, names) for root, names in groups.members().items()}
    _join_concats(basis, groups, ranges)
    return groups.members(), ranges


def _join_moves(basis: Basis, groups: Groups) -> None:
    graph = basis.wiring.graph
    for node in graph.nodes:
        if node.name in basis.part.float_nodes or integer_form(graph, node) != SHARES:
            continue
        names = [name for name in (node.inputs[0], *node.outputs) if name in groups]
        for name in names[1:]:
            groups.join(names[0], name)


def _range(basis: Basis, names: list[str]) -> Range | None:
    graph, tensors = basis.wiring.graph, basis.statistics.tensors
    if any(graph.values[name].dtype in ("uint8", "bool") for name in names):
        return None
    limits = [
        tensors[name].extremes if _is_answer(basis, name) else basis.observer(tensors[name])
        for name in names
    ]
    for name in names:
        maker = basis.wiring.maker.get(name)
        if maker is not None and maker.op == "Pad" and maker.text("mode") == "constant":
            limits.append((maker.number("value"),) * 2)
    return min(low for low, _ in limits), max(high for _, high in limits)


def _is_answer(basis: Basis, name: str) -> bool:
    """Return whether only outputs and float nodes read a value: its peaks are never cut off.

    Among thousands of scores near 0 the few near 1 are what a detector is for, and no observer
    sees that: least error cut nudenet's at 640x640 to a tenth, and every face was lost.
    """
    readers = basis.wiring.readers[name]
    return (name in basis.wiring.graph.outputs or bool(readers)) and all(
        reader.name in basis.part.float_nodes for reader in readers
    )


def _join_concats(basis: Basis, groups: Groups, ranges: dict[str, Range | None]) -> None:
    """Give the inputs of each integer Concat its scale where that loses little or nothing."""
    wiring = basis.wiring
    for node in reversed(wiring.graph.nodes):
        if node.name in basis.part.float_nodes or integer_form(wiring.graph, node) != JOINS:
            continue
        for name in dict.fromkeys(node.inputs):
            if name not in groups:
                continue
            whole, own = groups.root(node.outputs[0]), groups.root(name)
            one, other = ranges[whole], ranges[own]
            if whole == own or one is None or other is None:
                continue
            inside = groups.of(own)
            readers = {reader.name for member in inside for reader in wiring.readers[member]}
            only_here = len(inside) == 1 and readers == {node.name}
            if only_here or _width(other) >= ALIKE * _width(one):
                groups.join(whole, own)
                ranges[whole] = min(one[0], other[0]), max(one[1], other[1])


def _width(limits: Range) -> float:
    return max(limits[1], 0.0) - min(limits[0], 0.0)
