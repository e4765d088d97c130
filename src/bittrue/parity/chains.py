"""The float chain and a quantised one side by side, and each layer by itself on either's input.

What is asked for is fetched in one run of each chain, and one run of all layers apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bittrue.arith import F32, F64
from bittrue.engines.runner import Runner
from bittrue.engines.simulate import SimulateRunner
from bittrue.graph.model import Graph, Node
from bittrue.graph.weights import WEIGHTED
from bittrue.inputs import adapt
from bittrue.network import PROGRAM_STAGES
from bittrue.parity.apart import Apart, bias_errors, layers_apart
from bittrue.parity.energies import Look
from bittrue.quant.model import QuantizedGraph
from bittrue.stages import Subject, open_runner

REFERENCE = "fp_optimized"


@dataclass(frozen=True, slots=True)
class Layer:
    """A node and how many elements its outputs have."""

    node: Node
    elements: int


def layers_of(graph: Graph) -> list[Layer]:
    """Return the nodes, in running order."""
    return [
        Layer(node, sum(math.prod(graph.values[name].shape) for name in node.outputs if name))
        for node in graph.nodes
    ]


class Chains:
    """Both chains of a network, and how to look at layers in them.

    Args:
        subject: Holds both.
        quantized: Its quantised graph.
        stage: The quantised chain: "quantized", "bit_true" or "compiled".
    """

    def __init__(self, subject: Subject, quantized: QuantizedGraph, stage: str) -> None:
        self.subject, self.quantized = subject, quantized
        self.float_, self.path = open_runner(subject, REFERENCE), open_runner(subject, stage)
        program = subject.program() if stage in PROGRAM_STAGES else None
        self.tables: frozenset[str] = frozenset()
        self.biases: dict[str, F64] = {}
        self.held = frozenset(quantized.graph.values) - quantized.graph.constants.keys()
        if program is not None:
            self.biases = bias_errors(quantized)
            self.held &= {program.tensors[index].name for index in program.computed}
            self.tables = frozenset(
                program.tensors[index].name
                for step in program.instructions
                if step.kind == "TABLE"
                for index in step.outputs
            )

    def prepare(self, layers: Sequence[Layer]) -> Looks:
        """Return what gives looks at these layers, sample by sample."""
        nodes = [row.node for row in layers]
        weighted = [node for node in nodes if node.name in self.quantized.weights]
        apart = layers_apart(self.quantized, self._closed(nodes), self.held, self.biases)
        own = layers_apart(self.quantized, weighted, self.quantized.graph.values, self.biases)
        return Looks(self, nodes, apart, own)

    def _closed(self, nodes: Sequence[Node]) -> list[Node]:
        """Return the nodes, and those before them whose values nobody holds."""
        makers = self.quantized.graph.producers()
        wanted = {node.name for node in nodes}
        stack = [name for node in nodes for name in node.inputs]
        while stack:
            maker = None if (name := stack.pop()) in self.held else makers.get(name)
            if maker is not None and maker.name not in wanted:
                wanted.add(maker.name)
                stack += maker.inputs
        return [node for node in self.quantized.graph.nodes if node.name in wanted]


class Looks:
    """Looks at some layers on one sample after another; the sessions are made once.

    Args:
        chains: What runs.
        nodes: The layers.
        apart: They, and what they need, on the quantised chain's values.
        own: Those with weights, on the float chain's.
    """

    def __init__(self, chains: Chains, nodes: Sequence[Node], apart: Apart, own: Apart) -> None:
        self.chains, self.nodes = chains, nodes
        self.apart, self.own = apart, own
        graph = chains.quantized.graph
        made = [name for node in nodes for name in node.outputs if name]
        self.made = frozenset(name for name in made if graph.values[name].dtype == "float32")
        self._apart = SimulateRunner(apart.quantized)
        self._own = SimulateRunner(own.quantized) if own.results else None

    def __call__(self, given: Mapping[str, np.ndarray]) -> Iterable[tuple[str, Look]]:
        """Yield each layer's float32 values by name with their tensors on one sample."""
        chains = self.chains
        needs = self.apart.quantized.graph.inputs
        weighed = self.own.quantized.graph.inputs
        real = _tapped(chains, chains.float_, given, {*self.made, *weighed})
        path = _tapped(chains, chains.path, given, {*needs, *(chains.held & self.made)})
        own = {} if self._own is None else _run(self._own, self.own, real)
        raw = _run(self._apart, self.apart, path)
        for node in self.nodes:
            for name in node.outputs:
                if name in self.made:
                    yield name, self._look(node, name, real, own, raw, path)

    def _look(
        self,
        node: Node,
        name: str,
        real: Mapping[str, F32],
        own: Mapping[str, F32],
        raw: Mapping[str, F32],
        path: Mapping[str, F32],
    ) -> Look:
        chains, mine = self.chains, own.get(name, real[name])
        return Look(
            real[name],
            mine,
            raw[name],
            path.get(name, raw[name]),
            chains.quantized.activations.get(name),
            _bias(node, mine, chains.biases.get(node.name)),
            _channel_axis(node, mine.shape),
        )


def _run(runner: SimulateRunner, apart: Apart, arrays: Mapping[str, F32]) -> dict[str, F32]:
    given = {name: arrays[name] for name in apart.quantized.graph.inputs}
    done = runner.run(given).outputs
    return {name: done[result] for name, result in apart.results.items()}


def _tapped(
    chains: Chains, runner: Runner, given: Mapping[str, np.ndarray], names: set[str]
) -> dict[str, F32]:
    """Return values of a chain by name, in the graph's own dtypes."""
    feeds = adapt(given, runner.contract, chains.subject.preprocess)
    values = chains.quantized.graph.values
    taps = runner.run(feeds, sorted(names)).taps
    return {name: array.astype(values[name].dtype, copy=False) for name, array in taps.items()}


def _bias(node: Node, own: F32, error: F64 | None) -> F32 | None:
    """Return what the program's bias adds to each element that the clip does not hold."""
    if error is None:
        return None
    shape = [1] * own.ndim
    shape[WEIGHTED[node.op]] = error.size
    low, high = node.clip
    spread = np.broadcast_to(error.astype(np.float32).reshape(shape), own.shape)
    return np.where((own > low) & (own < high), spread, np.float32(0))


def _channel_axis(node: Node, shape: tuple[int, ...]) -> int | None:
    """Return the axis of channels; None where a channel is one element or there are none."""
    axis = WEIGHTED.get(node.op, 1) % max(len(shape), 1)
    alone = math.prod(shape[:axis] + shape[axis + 1 :]) < 2
    return None if len(shape) < 3 or alone else axis
