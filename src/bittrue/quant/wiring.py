"""Who makes and who reads each value of a graph, found once for all decisions about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bittrue.graph.model import Graph, Node


@dataclass(frozen=True, slots=True)
class Wiring:
    """A graph with the makers and readers of its values; `wire` makes it.

    Args:
        graph: The optimised float graph.
        maker: The node that makes each value that a node makes.
        readers: The nodes that read each value, once a node, in running order.
    """

    graph: Graph
    maker: Mapping[str, Node]
    readers: Mapping[str, list[Node]]

    def before(self, node: Node) -> list[Node]:
        """Return the nodes that make what a node reads."""
        return [self.maker[name] for name in node.inputs if name in self.maker]

    def behind(self, node: Node) -> list[Node]:
        """Return the nodes that read what a node makes."""
        return [reader for name in node.outputs if name for reader in self.readers[name]]


def wire(graph: Graph) -> Wiring:
    """Return a graph with the makers and readers of its values."""
    return Wiring(graph, graph.producers(), graph.consumers())
