"""The `quantized` stage: float arithmetic with a quantise-dequantise point at every stored value.

It shows what the codes cost, at the speed of a float network; the integers themselves are
`bit_true`'s. Weights are what their codes stand for. `simulate_reference` is the same in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bittrue import arith
from bittrue.arith import QParams
from bittrue.contract.tensor import Contract
from bittrue.engines.float_ import Sessions
from bittrue.engines.runner import RunResult, check_inputs, check_taps, contract_of, result_of
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_node
from bittrue.packages import require
from bittrue.quant.model import QuantizedGraph
from bittrue.quant.weights import dequantize_weights


class SimulateRunner:
    """Runs a quantised graph in ONNX Runtime: the stage `quantized`.

    Args:
        quantized: What to run.
        contract: What to check inputs against; the graph's own where None.
        threads: Threads of one operator; None takes BITTRUE_THREADS, 0 means one a core.
    """

    def __init__(
        self,
        quantized: QuantizedGraph,
        contract: Contract | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        self.quantized = quantized
        self.graph = quantized.graph
        self.contract = contract or contract_of(quantized.graph)
        self._real = with_real_weights(quantized)
        self._sessions = Sessions(self._model, threads)

    def run(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
    ) -> RunResult:
        """Return the outputs and the tapped values; see `Runner.run`.

        With `codes`, values that are stored as uint8 come as their codes, others as they are.

        Raises:
            DataError: if an input does not fit, or ONNX Runtime cannot compute with it.
            UsageError: if a tap is no value of the graph.
        """
        check_inputs(self.contract, inputs)
        check_taps(taps, self.graph.values)
        stored = {name: _point(self.quantized, name, array) for name, array in inputs.items()}
        given = {**self.graph.constants, **stored}
        inner = tuple(sorted({name for name in taps if name not in given}))
        made = tuple(name for name in self.graph.outputs if name not in given)
        wanted = tuple(dict.fromkeys((*made, *inner)))
        arrays = given | self._sessions.run(inner, wanted, inputs)
        if codes:
            arrays = {name: self._codes(name, array) for name, array in arrays.items()}
        return result_of(arrays, self.graph.outputs, taps)

    def _model(self, taps: tuple[str, ...]) -> bytes:
        require("onnx", "tools")
        from bittrue.importers.export import to_onnx

        return to_onnx(self._real, taps, qdq=self.quantized.activations)

    def _codes(self, name: str, array: np.ndarray) -> np.ndarray:
        params = self.quantized.activations.get(name)
        return array if params is None else codes_of(params, array)


def simulate_reference(
    quantized: QuantizedGraph, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return the outputs and taps of a quantised graph, in NumPy: slow and plain.

    Args:
        quantized: What to run.
        inputs: By name, of the graph's dtypes and shapes.
        taps: Values to return as well, as real values.
    """
    graph = with_real_weights(quantized)
    arrays: dict[str, np.ndarray] = dict(graph.constants)
    for name in graph.inputs:
        arrays[name] = _point(quantized, name, np.asarray(inputs[name]))
    for node in graph.nodes:
        given = [arrays[name] if name else None for name in node.inputs]
        for name, array in zip(node.outputs, run_node(node, given), strict=True):
            arrays[name] = _point(quantized, name, array)
    return {name: arrays[name] for name in dict.fromkeys((*graph.outputs, *taps))}


def with_real_weights(quantized: QuantizedGraph) -> Graph:
    """Return the graph with the weights that the codes stand for; a shared constant is copied."""
    graph = quantized.graph
    constants, values = dict(graph.constants), dict(graph.values)
    nodes = []
    for node in graph.nodes:
        weights = quantized.weights.get(node.name)
        if weights is not None:
            name = f"{node.inputs[1]}@{node.name}"
            constants[name] = dequantize_weights(node, weights)
            values[name] = replace(values[node.inputs[1]], name=name)
            node = replace(node, inputs=(node.inputs[0], name, *node.inputs[2:]))
        nodes.append(node)
    return replace(graph, constants=constants, values=values).with_nodes(nodes)


def codes_of(params: QParams, array: np.ndarray) -> np.ndarray:
    """Return the codes of real values, raw pixels or truth values, uint8 in the array's shape."""
    if array.dtype in (np.uint8, np.bool_):
        return array.astype(np.uint8)
    return arith.quantize(array, params.along(array.ndim), params.zero_point)


def _point(quantized: QuantizedGraph, name: str, array: np.ndarray) -> np.ndarray:
    """Return what is left of an array once it was stored as its codes."""
    params = quantized.activations.get(name)
    if params is None or array.dtype != np.float32:
        return array
    return arith.dequantize(codes_of(params, array), params.along(array.ndim), params.zero_point)
