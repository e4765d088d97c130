"""The graph: a frozen value that every stage up to the compiler reads, and none changes in place.

A graph is a list of nodes in an order in which each runs after what it reads. All shapes are
known. Whatever ONNX passes as a constant input that is no weight (axes, pads, new shapes) is an
attribute here. Tensors have ONNX's logical order (N, C, H, W); the compiler alone decides how they
lie in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

Attr = bool | int | float | str | tuple[int, ...] | tuple[float, ...]
Shape = tuple[int, ...]
#: The bounds of an operation without a fused activation.
NO_CLIP = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor of a graph.

    Args:
        name: Unique in the graph; never empty.
        dtype: A name of `bittrue.dtypes.DTYPES`.
        shape: Logical shape, every dimension known.
        origin: Names of the source's tensors that this one equals (up to rounding); empty when
            the source has no such tensor.
    """

    name: str
    dtype: str
    shape: Shape
    origin: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Args:
        name: Unique in the graph; never empty.
        op: A name of `bittrue.graph.ops.OPS`.
        inputs: Value names; an empty string stands for an optional input that is left out.
        outputs: Value names.
        attrs: Attributes in the op table's canonical form, defaults filled in.
        origin: Names of the source's nodes whose work this node does.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Attr] = field(default_factory=lambda: MappingProxyType({}))
    origin: tuple[str, ...] = ()

    def ints(self, name: str) -> tuple[int, ...]:
        """Return an attribute that is a list of whole numbers."""
        value = self.attrs[name]
        if not isinstance(value, tuple):
            raise TypeError(f"attribute {name!r} of {self.name!r} is {value!r}, not a list")
        return tuple(int(item) for item in value)

    def integer(self, name: str) -> int:
        """Return an attribute that is one whole number."""
        value = self.attrs[name]
        if isinstance(value, tuple | str | float):
            raise TypeError(f"attribute {name!r} of {self.name!r} is {value!r}, not a whole number")
        return int(value)

    def number(self, name: str) -> float:
        """Return an attribute that is one number."""
        value = self.attrs[name]
        if isinstance(value, tuple | str):
            raise TypeError(f"attribute {name!r} of {self.name!r} is {value!r}, not a number")
        return float(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return an attribute that is a list of numbers."""
        value = self.attrs[name]
        if not isinstance(value, tuple):
            raise TypeError(f"attribute {name!r} of {self.name!r} is {value!r}, not a list")
        return tuple(float(item) for item in value)

    def flag(self, name: str) -> bool:
        """Return an attribute that is true or false."""
        return bool(self.integer(name))

    @property
    def clip(self) -> tuple[float, float]:
        """The activation fused into the operation, applied last; NO_CLIP where there is none."""
        if "clip" not in self.attrs:
            return NO_CLIP
        low, high = self.numbers("clip")
        return low, high

    def input(self, index: int) -> str:
        """Return the name of an input; empty where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def text(self, name: str) -> str:
        """Return an attribute that is a text."""
        value = self.attrs[name]
        if not isinstance(value, str):
            raise TypeError(f"attribute {name!r} of {self.name!r} is {value!r}, not a text")
        return value


@dataclass(frozen=True, slots=True)
class Graph:
    """A network: nodes in running order, every tensor's type, and the constants.

    Args:
        name: The network's name.
        inputs: Names of the values that the caller gives, in order.
        outputs: Names of the values that the caller gets, in order.
        nodes: In an order in which each node runs after the nodes whose outputs it reads.
        values: Every value of the graph by name: inputs, constants and node outputs.
        constants: The arrays of the values that are constant; shared, never written to.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    constants: Mapping[str, np.ndarray]

    def producers(self) -> dict[str, Node]:
        """Return the node that makes each value that a node makes."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def consumers(self) -> dict[str, list[Node]]:
        """Return the nodes that read each value, once a node, in running order."""
        found: dict[str, list[Node]] = {name: [] for name in self.values}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                if name:
                    found[name].append(node)
        return found

    def with_nodes(self, nodes: Iterable[Node]) -> Graph:
        """Return this graph with other nodes, and the values and constants still in use."""
        graph = replace(self, nodes=tuple(nodes))
        used = set(graph.inputs) | set(graph.outputs)
        for node in graph.nodes:
            used.update(node.inputs)
            used.update(node.outputs)
        return replace(
            graph,
            values={name: value for name, value in graph.values.items() if name in used},
            constants={name: array for name, array in graph.constants.items() if name in used},
        )


def frozen_attrs(attrs: Mapping[str, Attr]) -> Mapping[str, Attr]:
    """Return a read-only copy of a node's attributes, in the order of their names."""
    return MappingProxyType({name: attrs[name] for name in sorted(attrs)})
