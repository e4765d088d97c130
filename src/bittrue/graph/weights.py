"""Weights by their channels: which axis of an operator's constant means what.

Conv and Dense have [O, I/group, *kernel], ConvTranspose [I, O/group, *kernel]. Shapes below are
those of the weights.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bittrue.graph.model import Graph, Node, Shape

Scalar = TypeVar("Scalar", bound=np.generic)

#: Operators with weights: the axis of their output that runs over output channels. The same axis of
#: their input runs over input channels.
WEIGHTED = {"Conv": 1, "ConvTranspose": 1, "Dense": -1}


def output_channels(graph: Graph, node: Node) -> int:
    """Return how many outputs the constant weights of a node have."""
    shape: Shape = graph.constants[node.inputs[1]].shape
    return shape[1] * _groups(node) if node.op == "ConvTranspose" else shape[0]


def by_output(node: Node, shape: Shape, factor: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return factors of output channels, [O], shaped to multiply the weights."""
    return _spread(_groups(node), shape, factor, first=node.op != "ConvTranspose")


def by_input(node: Node, shape: Shape, factor: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return factors of input channels, [I], shaped to multiply the weights."""
    return _spread(_groups(node), shape, factor, first=node.op == "ConvTranspose")


def _spread(groups: int, shape: Shape, factor: NDArray[Scalar], *, first: bool) -> NDArray[Scalar]:
    """Return a factor a channel along the first axis, or along the second of each group."""
    rest = (1,) * (len(shape) - 2)
    if first:
        return factor.reshape(-1, 1, *rest)
    return np.repeat(factor.reshape(groups, -1), shape[0] // groups, axis=0).reshape(
        shape[0], -1, *rest
    )


def to_rows(node: Node, array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return weights as [O, inputs, taps], whatever order of axes the operator has."""
    if node.op != "ConvTranspose":
        return array.reshape(array.shape[0], array.shape[1], -1)
    groups = _groups(node)
    inputs, outputs = array.shape[:2]
    split = array.reshape(groups, inputs // groups, outputs, -1).transpose(0, 2, 1, 3)
    return split.reshape(groups * outputs, inputs // groups, -1)


def from_rows(node: Node, rows: NDArray[Scalar], shape: Shape) -> NDArray[Scalar]:
    """Return what `to_rows` took apart in the operator's order of axes and `shape`."""
    if node.op != "ConvTranspose":
        return rows.reshape(shape)
    groups = _groups(node)
    split = rows.reshape(groups, shape[1], shape[0] // groups, -1).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(split).reshape(shape)


def _groups(node: Node) -> int:
    return 1 if node.op == "Dense" else node.integer("group")
