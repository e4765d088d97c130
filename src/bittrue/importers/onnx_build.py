"""The graph while it is being built: values, constants, nodes, and what equals what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bittrue.errors import ModelError
from bittrue.graph.model import Graph, Node, Shape, Value
from bittrue.graph.names import fresh
from bittrue.graph.ops import complete_attrs


@dataclass(slots=True)
class Builder:
    """Everything converted so far; lives as long as one import.

    Args:
        taken: Tensor and node names of the source, which no made-up name may equal.
        read: Tensors of the source that a node reads, or that are outputs.

    `sequences` are the source's sequences of tensors, each by the values that it holds.
    """

    taken: set[str]
    read: frozenset[str]
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    sequences: dict[str, tuple[str, ...]] = field(default_factory=dict)
    folded: int = 0

    def add(self, name: str, dtype: str, shape: Shape) -> None:
        """Add an input, or the result of a node that cannot be converted."""
        self.values[name] = Value(name, dtype, shape, (name,))

    def add_constant(self, name: str, array: np.ndarray, origin: tuple[str, ...]) -> None:
        """Add a constant."""
        self.values[name] = Value(name, array.dtype.name, array.shape, origin)
        self.constants[name] = array

    def alias(self, name: str, target: str, *, inner: bool = False) -> None:
        """Let a source's tensor be the same as a value that is there; an inner one is no origin."""
        self.aliases[name] = target
        if inner:
            return
        value = self.values[target]
        self.values[target] = replace(value, origin=(*value.origin, name))

    def find(self, name: str) -> str:
        """Return the value that a source's tensor is."""
        return self.aliases.get(name, name)

    def fresh(self, base: str) -> str:
        """Return a new name that starts with `base`."""
        return fresh(base, self.taken)

    def graph(self, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> Graph:
        """Return the finished graph: outputs under their own names, only what they need.

        Args:
            name: The network's name.
            inputs: Input names.
            outputs: The source's output tensors.

        Raises:
            ModelError: if an output is constant.
        """
        for output in outputs:
            self._name_output(output, set(inputs), outputs)
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                nodes.append(node)
                needed.update(node.inputs)
        used = tuple(item for item in inputs if item in needed)
        graph = Graph(name, used, tuple(outputs), (), dict(self.values), dict(self.constants))
        return graph.with_nodes(reversed(nodes))

    def _name_output(self, output: str, inputs: set[str], outputs: Sequence[str]) -> None:
        """Make an output that equals another value a value of its own name."""
        if output in self.sequences:
            raise ModelError(
                f"output '{output}' is a sequence of tensors",
                hint="name its members instead, with --end",
            )
        target = self.find(output)
        if target in self.constants or output in inputs:
            what = "the network's input itself" if output in inputs else "constant"
            raise ModelError(
                f"output '{output}' is {what}",
                hint="leave it out: name the other outputs with --end",
            )
        if target in inputs or (target in outputs and target != output):
            self._copy(target, output)
        elif target != output:
            self.rename(target, output)

    def _copy(self, target: str, output: str) -> None:
        value = self.values[target]
        attrs = complete_attrs("Reshape", {"shape": value.shape})
        node = Node(self.fresh(f"{output}/copy"), "Reshape", (target,), (output,), attrs)
        self.nodes.append(node)
        rest = tuple(name for name in value.origin if name != output)
        self.values[target] = replace(value, origin=rest)
        self.values[output] = replace(value, name=output, origin=(output,))

    def rename(self, old: str, new: str) -> None:
        """Give a value that is there another name."""

        def swap(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(new if name == old else name for name in names)

        self.nodes = [
            replace(node, inputs=swap(node.inputs), outputs=swap(node.outputs))
            if old in node.inputs or old in node.outputs
            else node
            for node in self.nodes
        ]
        self.values[new] = replace(self.values.pop(old), name=new)
        self.sequences = {name: swap(row) for name, row in self.sequences.items()}
        self.aliases = {k: new if v == old else v for k, v in self.aliases.items() if k != new}
        self.aliases[old] = new
