"""What of that which the engine accepts is worth while: products in float, scales a channel."""

from __future__ import annotations

from bittrue.graph.model import Graph, Node
from bittrue.quant.target import TABLES, is_plain_product
from bittrue.quant.wiring import Wiring

#: Weights of a product that may run in float; the projection of a distribution onto its mean (a DFL
#: head) has 16, a classifier thousands, which in float would take four times the bytes.
SMALL_PRODUCT = 4096
#: Operators that can write one scale a channel: a multiplier or a table for each.
CHANNEL_MAKERS = frozenset({"Conv", "Add", "Sub", "Mul"}) | TABLES


def is_float_product(graph: Graph, node: Node) -> bool:
    """Return whether a layer is a product so small that it may run in float.

    It is worth it where its input is made in float: codes between the two would cost more than the
    product.
    """
    return is_plain_product(graph, node) and (graph.constants[node.inputs[1]].size <= SMALL_PRODUCT)


def is_depthwise(graph: Graph, node: Node) -> bool:
    """Return whether each of the node's kernels reads exactly one channel of its first input."""
    if node.op != "Conv":
        return False
    channels = graph.values[node.inputs[0]].shape[1]
    return channels > 1 and node.integer("group") == channels


def channel_values(wiring: Wiring) -> set[str]:
    """Return the values whose readers all take one scale a channel at no cost.

    These are convolutions with constant weights, which fold it into those, and tables whose own
    result is such a value and is read by depthwise convolutions alone. What a table makes for full
    convolutions has one scale: 256 entries for each channel cost more than the little they gain.
    """
    graph = wiring.graph
    found: set[str] = set()
    for node in reversed(graph.nodes):
        for name in node.outputs:
            readers = wiring.readers[name]
            if name in graph.outputs or len(graph.values[name].shape) < 3:
                continue
            if node.op in TABLES and not separates(wiring, name):
                continue
            if readers and all(_takes_channels(wiring, reader, name, found) for reader in readers):
                found.add(name)
    return found


def _takes_channels(wiring: Wiring, reader: Node, name: str, found: set[str]) -> bool:
    if reader.op in TABLES:
        result = reader.outputs[0]
        return result in found and separates(wiring, result)
    if reader.op != "Conv" or reader.inputs.count(name) != 1:
        return False
    return len(reader.inputs) < 4 and reader.inputs[1] in wiring.graph.constants


def separates(wiring: Wiring, name: str) -> bool:
    """Return whether every convolution that reads a value, or a table of it, is depthwise."""
    return all(
        separates(wiring, reader.outputs[0])
        if reader.op in TABLES
        else is_depthwise(wiring.graph, reader)
        for reader in wiring.readers[name]
    )
