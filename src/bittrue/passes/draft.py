"""A graph while one pass rewrites it. Graphs are frozen: a draft lives inside one pass only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

import numpy as np

from bittrue.errors import InternalError
from bittrue.graph.model import Attr, Graph, Node, Shape, Value, frozen_attrs
from bittrue.graph.names import fresh

Rule = Callable[["Draft", Node], bool]


def merged(*origins: Iterable[str]) -> tuple[str, ...]:
    """Return all names of several origins, each once, in the order in which they come."""
    return tuple(dict.fromkeys(name for origin in origins for name in origin))


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Return the graph after a rule has been tried on every node until it changes nothing more.

    Args:
        graph: Left as it is.
        rule: Looks at one node of the draft; changes the draft and returns True, or returns False.
    """
    draft = Draft(graph)
    changed, ever = True, False
    while changed:
        changed = False
        for node in draft.in_order():
            if draft.holds(node) and rule(draft, node):
                changed = ever = True
    return draft.finish() if ever else graph


class Draft:
    """Nodes, values and constants that can be replaced, and who makes and reads each value."""

    def __init__(self, graph: Graph) -> None:
        """Start from a graph, which is left as it is."""
        self._graph = graph
        self._nodes: dict[str, Node] = {}
        self._rank: dict[str, int] = {}
        self._producer: dict[str, str] = {}
        self._readers: dict[str, dict[str, None]] = {}
        self.values: dict[str, Value] = dict(graph.values)
        self.constants: dict[str, np.ndarray] = dict(graph.constants)
        self.inputs = graph.inputs
        self.outputs = graph.outputs
        self._taken = {node.name for node in graph.nodes} | set(graph.values)
        for rank, node in enumerate(graph.nodes):
            self._insert(node, rank)

    # --- looking ------------------------------------------------------------------------------

    def in_order(self) -> list[Node]:
        """Return the nodes, each after those whose outputs it reads; old order where it can be."""
        waiting = {
            name: sum(1 for item in set(node.inputs) if item in self._producer)
            for name, node in self._nodes.items()
        }
        ready = [(self._rank[name], name) for name, count in waiting.items() if not count]
        heapify(ready)
        ordered: list[Node] = []
        while ready:
            node = self._nodes[heappop(ready)[1]]
            ordered.append(node)
            for value in dict.fromkeys(node.outputs):
                for reader in self._readers.get(value, {}):
                    waiting[reader] -= 1
                    if not waiting[reader]:
                        heappush(ready, (self._rank[reader], reader))
        if len(ordered) != len(self._nodes):
            raise InternalError(f"a pass made a circle in graph {self._graph.name!r}")
        return ordered

    def holds(self, node: Node) -> bool:
        """Return whether this very node is still part of the draft."""
        return self._nodes.get(node.name) is node

    def node(self, name: str) -> Node:
        """Return a node by its name."""
        return self._nodes[name]

    def producer(self, value: str) -> Node | None:
        """Return the node that makes a value; None for inputs, constants and left-out inputs."""
        name = self._producer.get(value)
        return None if name is None else self._nodes[name]

    def readers(self, value: str) -> list[Node]:
        """Return the nodes that read a value, each once."""
        return [self._nodes[name] for name in self._readers.get(value, {})]

    def private(self, value: str) -> bool:
        """Return whether one node alone reads a value, and it is no output of the graph."""
        return len(self._readers.get(value, {})) == 1 and value not in self.outputs

    def constant(self, value: str) -> np.ndarray | None:
        """Return a constant's array; None for any other value."""
        return self.constants.get(value)

    def shape(self, value: str) -> Shape:
        """Return a value's shape."""
        return self.values[value].shape

    # --- changing -----------------------------------------------------------------------------

    def replace(self, old: Sequence[Node], new: Sequence[Node]) -> None:
        """Put new nodes where the last of the old ones stood, and credit them with their work.

        Args:
            old: Nodes to take out; all their outputs that are still read must be made by `new`.
            new: Nodes to put in. Each gets the origins of all old ones in front of its own.
        """
        rank = max(self._rank[node.name] for node in old)
        origin = merged(*(node.origin for node in old))
        for node in old:
            self._remove(node)
        for node in new:
            self._insert(replace(node, origin=merged(origin, node.origin)), rank)

    def put_first(self, nodes: Sequence[Node]) -> None:
        """Put nodes in front of all others, in the order given."""
        first = min(self._rank.values(), default=0) - len(nodes)
        for at, node in enumerate(nodes):
            self._insert(node, first + at)

    def read_instead(self, old: str, new: str) -> None:
        """Let the readers of one value read another one."""
        self._rename_reads(old, new)

    def remove(self, node: Node) -> None:
        """Take out a node that nothing needs any more."""
        self._remove(node)

    def stand_in(self, node: Node, value: str) -> bool:
        """Take out a node whose only output equals a value that exists already.

        Its readers read that value instead, which takes over its origin. Where the output is the
        graph's, the value's own producer makes it under that name.

        Returns:
            False, with nothing changed, where both names are needed.
        """
        (output,) = node.outputs
        if output not in self.outputs:
            self._remove(node)
            self._rename_reads(output, value)
            self._add_origin(value, self.values.pop(output).origin)
            return True
        maker = self.producer(value)
        if maker is None or value in self.outputs:
            return False
        self._remove(node)
        outputs = tuple(output if name == value else name for name in maker.outputs)
        rank = self._rank[maker.name]
        self._remove(maker)
        self._insert(replace(maker, outputs=outputs), rank)
        self._rename_reads(value, output)
        self._add_origin(output, self.values.pop(value).origin)
        return True

    def add_origin(self, node: Node, origin: tuple[str, ...]) -> None:
        """Credit a node with the work of further source nodes."""
        rank = self._rank[node.name]
        self._remove(node)
        self._insert(replace(node, origin=merged(node.origin, origin)), rank)

    def fresh(self, name: str) -> str:
        """Return a name that no node or value has: this one, or this one with a number."""
        return fresh(name, self._taken)

    def new_value(self, name: str, dtype: str, shape: Shape, origin: tuple[str, ...] = ()) -> str:
        """Enter a value and return its name, made unique."""
        name = self.fresh(name)
        self.values[name] = Value(name, dtype, shape, origin)
        return name

    def new_constant(self, name: str, array: np.ndarray) -> str:
        """Enter a constant that equals no tensor of the source; return its name, made unique."""
        name = self.new_value(name, array.dtype.name, array.shape)
        self.constants[name] = array
        return name

    def own_constant(self, node: Node, part: str, array: np.ndarray) -> str:
        """Enter or replace the constant ``node/part`` that this node alone reads."""
        name = f"{node.name}/{part}"
        mine = name in self.constants and set(self._readers.get(name, {})) <= {node.name}
        if not mine:
            return self.new_constant(name, array)
        self.values[name] = Value(name, array.dtype.name, array.shape)
        self.constants[name] = array
        return name

    def finish(self) -> Graph:
        """Return the graph as it is now, with the values and constants still in use."""
        nodes = self.in_order()
        graph = replace(
            self._graph, inputs=self.inputs, values=self.values, constants=self.constants
        )
        return graph.with_nodes(nodes)

    # --- book-keeping -------------------------------------------------------------------------

    def _insert(self, node: Node, rank: int) -> None:
        if node.name in self._nodes:
            raise InternalError(f"a pass made a second node called {node.name!r}")
        self._nodes[node.name] = node
        self._rank[node.name] = rank
        self._taken.add(node.name)
        for value in node.outputs:
            if value:
                self._producer[value] = node.name
        for value in node.inputs:
            if value:
                self._readers.setdefault(value, {})[node.name] = None

    def _remove(self, node: Node) -> None:
        del self._nodes[node.name], self._rank[node.name]
        for value in node.outputs:
            self._producer.pop(value, None)
        for value in set(node.inputs):
            self._readers.get(value, {}).pop(node.name, None)

    def _rename_reads(self, old: str, new: str) -> None:
        for reader in self.readers(old):
            rank = self._rank[reader.name]
            inputs = tuple(new if name == old else name for name in reader.inputs)
            self._remove(reader)
            self._insert(replace(reader, inputs=inputs), rank)

    def _add_origin(self, value: str, origin: tuple[str, ...]) -> None:
        row = self.values[value]
        self.values[value] = replace(row, origin=merged(row.origin, origin))


def make(
    name: str,
    op: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attrs: Mapping[str, Attr] | None = None,
) -> Node:
    """Return a node without origin; `Draft.replace` gives it one. Trailing empty inputs go."""
    kept = list(inputs)
    while kept and not kept[-1]:
        kept.pop()
    return Node(name, op, tuple(kept), tuple(outputs), frozen_attrs(attrs or {}))
