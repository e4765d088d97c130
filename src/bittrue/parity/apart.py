"""Each layer by itself: one graph in which every node reads values that are given from outside.

Fed with the float chain's values it says what a layer's own weights do; fed with the values of a
quantised chain, what the layer makes of an error that came with its input. Two runs stand for a
run of each layer alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bittrue.arith import F64, QParams
from bittrue.compiler.constants import accumulator_scale, zero_of_channels
from bittrue.graph.model import Graph, Node, Value
from bittrue.graph.names import fresh
from bittrue.graph.weights import by_input, to_rows
from bittrue.quant.model import QuantizedGraph
from bittrue.quant.weights import dequantize_weights


@dataclass(frozen=True, slots=True)
class Apart:
    """Nodes of a graph, each by itself.

    Args:
        quantized: The nodes with real weights; what they read is an input, what they make an
            output. Only values that nobody gives are stored as codes.
        results: By value of the original graph: the output that holds it. One that nobody gives
            has its own name, and is what is left once it was stored.
    """

    quantized: QuantizedGraph
    results: Mapping[str, str]


def layers_apart(
    quantized: QuantizedGraph,
    nodes: Sequence[Node],
    held: Collection[str],
    biases: Mapping[str, F64],
) -> Apart:
    """Return nodes as a graph whose inputs are what they read.

    Args:
        quantized: Their graph, and the codes of their weights, which they compute with.
        nodes: In running order.
        held: Values that will be given. A value that is read, and not among them, is computed by
            its node in here: that must then be one of `nodes`, earlier.
        biases: By node name: what to add to its bias, float64 [O]; see `bias_errors`.
    """
    graph = quantized.graph
    taken = set(graph.values)
    values: dict[str, Value] = dict(graph.values)
    constants = dict(graph.constants)
    results: dict[str, str] = {}
    written: list[Node] = []
    for node in nodes:
        for name in node.outputs:
            results[name] = fresh(f"{name}@apart", taken) if name in held else name
            values[results[name]] = replace(graph.values[name], name=results[name])
        renamed = replace(node, outputs=tuple(results[name] for name in node.outputs))
        written.append(_with_real(quantized, renamed, biases.get(node.name), values, constants))
    read = {name for node in written for name in node.inputs if name}
    made = {name for node in written for name in node.outputs}
    given = tuple(name for name in graph.values if name in read - made and name not in constants)
    whole = Graph(graph.name, given, tuple(results.values()), (), values, constants)
    stored = {name: item for name, item in quantized.activations.items() if name in made}
    apart = QuantizedGraph(whole.with_nodes(written), stored, {}, frozenset(), {})
    return Apart(apart, results)


def _with_real(
    quantized: QuantizedGraph,
    node: Node,
    bias: F64 | None,
    values: dict[str, Value],
    constants: dict[str, np.ndarray],
) -> Node:
    """Return a node that reads the weights its codes stand for, which are added to the rest."""
    weights = quantized.weights.get(node.name)
    if weights is None:
        return node
    arrays = {1: dequantize_weights(node, weights)}
    if bias is not None:
        old = constants.get(node.input(2), np.zeros(1, np.float32))
        arrays[2] = (old.astype(np.float64) + bias).astype(np.float32)
    inputs = [*node.inputs, *[""] * (max(arrays) + 1 - len(node.inputs))]
    for index, array in arrays.items():
        name = fresh(f"{node.name}/{index}@apart", values.keys() | constants.keys())
        inputs[index], constants[name] = name, array
        values[name] = Value(name, "float32", array.shape)
    return replace(node, inputs=tuple(inputs))


def bias_errors(quantized: QuantizedGraph) -> dict[str, F64]:
    """Return by how much the program's bias of each layer is off, in real values.

    The bias is a whole number of accumulator steps (docs/numerics.md, 2.4 and 4.1):
    ``s_acc * (rint(t) - t)`` with ``t = b / s_acc - sum p * z``, over all taps; the classes of a
    padded border, whose sums are others, may round another way where an offset is folded in.

    Returns:
        By node name, float64 [O].
    """
    found = {}
    for node in quantized.graph.nodes:
        stored = quantized.activations.get(node.inputs[0]) if node.inputs else None
        if node.name in quantized.weights and stored is not None:
            found[node.name] = _bias_error(quantized, node, stored)
    return found


def _bias_error(quantized: QuantizedGraph, node: Node, stored: QParams) -> F64:
    weights, constants = quantized.weights[node.name], quantized.graph.constants
    codes = weights.codes.astype(np.float64)
    scale = accumulator_scale(stored, weights.scale, weights.input_scale)  # [O]
    channels = quantized.graph.values[node.inputs[0]].shape[-1 if node.op == "Dense" else 1]
    offset = constants.get(node.input(3))
    zero = zero_of_channels(
        stored, channels, None if offset is None else offset.astype(np.float64), weights.input_scale
    )  # [I]
    shift = to_rows(node, codes * by_input(node, codes.shape, zero)).sum(axis=(1, 2))  # [O]
    bias = constants.get(node.input(2))
    steps = (0.0 if bias is None else bias.astype(np.float64).reshape(-1)) / scale - shift
    return np.asarray(scale * (np.rint(steps) - steps), np.float64)
