"""Which layer the quantisation error comes from, and what it is made of.

Two chains run on the same input, the float one and the quantised one; and every layer runs by
itself, on the input of either (`apart`). What differs between those four is divided as
`energies` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bittrue.arith import F32, F64
from bittrue.arrays import portions
from bittrue.engines.runner import Runner
from bittrue.engines.simulate import SimulateRunner
from bittrue.errors import DataError, UsageError
from bittrue.graph.model import Graph, Node
from bittrue.graph.weights import WEIGHTED
from bittrue.inputs import adapt
from bittrue.network import PROGRAM_STAGES
from bittrue.parity.apart import Apart, bias_errors, layers_apart
from bittrue.parity.energies import PARTS, Energies, Look, decibels, energies
from bittrue.quant.model import QuantizedGraph
from bittrue.stages import Subject, open_runner

REFERENCE = "fp_optimized"
#: What a layer's error may be made of, in the order of reports.
SHARES = ("weights", "bias", "rounding", "clipping", "requantisation", "table", "inherited")
#: A layer passes an error on if its own is at most this share of it (in energy), and most of it
#: came with the input.
PASSES_ON = 0.25
#: The shares of a layer add up to 1 within this: they are sums in float64 of float32 differences.
CLOSES = 1e-6


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far one layer's output is off, and why.

    Args:
        name: Of the value that it makes.
        origin: The source's tensors that this value equals.
        node: Of the node that makes it.
        op: Of the node.
        elements: Of the value, on one sample.
        path: Error energy in the quantised chain over the signal's: ``sum e^2 / sum y^2``.
        own: The same of the layer alone: fed with the reference's input, its output stored.
        path_sqnr_db: `path` in dB.
        own_sqnr_db: `own` in dB.
        inherited_from: The value behind it in the graph with the largest own error, where this
            layer only passes an error on; else empty.
        shares: Of the path error's energy, by the words of SHARES; negative where a part cancels
            others. They add up to 1, or are all 0 where there is no error.
        clipped: Share of elements that the codes' range cuts off.
        dead_channels: How many channels are exactly one code in the quantised chain while they
            are alive in the float one.
    """

    name: str
    origin: tuple[str, ...]
    node: str
    op: str
    elements: int
    path: float
    own: float
    path_sqnr_db: float
    own_sqnr_db: float
    inherited_from: str
    shares: Mapping[str, float]
    clipped: float
    dead_channels: int


@dataclass(frozen=True, slots=True)
class LayerTable:
    """Every layer's error.

    Args:
        rows: In running order.
        closes: The most that a layer's shares are away from adding up to 1; CLOSES is promised.
        samples: How many inputs the figures are over.
        stages: The reference, and what was compared with it.
    """

    rows: tuple[LayerError, ...]
    closes: float
    samples: int
    stages: tuple[str, str]

    @property
    def by_own(self) -> tuple[LayerError, ...]:
        """The rows, the largest own error first."""
        return tuple(sorted(self.rows, key=lambda row: -row.own))


def attribute(
    subject: Subject, feeds: Sequence[Mapping[str, np.ndarray]], *, stage: str = ""
) -> LayerTable:
    """Return every layer's error in a quantised stage against the float one.

    Args:
        subject: An archive that is at least quantised.
        feeds: The samples, each as `bittrue.inputs.read_input` gives it.
        stage: "quantized", "bit_true" or "compiled"; "compiled" by default where it was reached,
            whose bits are those of "bit_true" at a fraction of the time.

    Raises:
        DataError: if there is no sample, or one does not fit.
        UsageError: if the subject is not quantised, or holds no float stage.
    """
    quantized, stage = _quantized(subject, stage)
    if not feeds:
        raise DataError("no sample was given", hint="give at least one input")
    chains = _Chains(subject, quantized, stage)
    found: dict[str, Energies] = {}
    for part in portions(_layers(quantized.graph), lambda row: 8 * row.elements):
        looks = chains.prepare(part)
        for given in feeds:
            for name, look in looks(given):
                more = energies(look)
                found[name] = found[name].plus(more) if name in found else more
    rows = _rows(quantized.graph, found, chains.tables, len(feeds))
    closes = max((item.gap for item in found.values()), default=0.0)
    return LayerTable(rows, closes, len(feeds), (REFERENCE, stage))


def _quantized(subject: Subject, stage: str) -> tuple[QuantizedGraph, str]:
    network = subject.network
    if network is None:
        raise UsageError(
            "an executable holds no float stage to compare its layers with",
            where=subject.path,
            hint="give the archive (.bta) that it was compiled from",
        )
    if network.quantized is None:
        raise UsageError(
            "the network is not quantised yet: its layers have no quantisation error",
            where=subject.path,
            hint=f"bittrue quantize {subject.path} --calibrate pictures/ -o {subject.path}",
        )
    stage = stage or ("quantized" if subject.executable is None else "compiled")
    if stage not in ("quantized", *PROGRAM_STAGES):
        raise UsageError(
            f"stage {stage!r} has no quantisation error",
            where=subject.path,
            hint="name quantized, bit_true or compiled",
        )
    return network.quantized, stage


@dataclass(frozen=True, slots=True)
class Layer:
    """A node and how many elements its outputs have."""

    node: Node
    elements: int


def _layers(graph: Graph) -> list[Layer]:
    """Return the nodes, in running order."""
    return [
        Layer(node, sum(math.prod(graph.values[name].shape) for name in node.outputs if name))
        for node in graph.nodes
    ]


class _Chains:
    """Both chains of a network, and how to look at layers in them."""

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

    def prepare(self, layers: Sequence[Layer]) -> _Looks:
        """Return what gives looks at these layers, sample by sample."""
        nodes = [row.node for row in layers]
        weighted = [node for node in nodes if node.name in self.quantized.weights]
        apart = layers_apart(self.quantized, self._closed(nodes), self.held, self.biases)
        own = layers_apart(self.quantized, weighted, self.quantized.graph.values, self.biases)
        return _Looks(self, nodes, apart, own)

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


class _Looks:
    """Looks at some layers on one sample after another; the sessions are made once."""

    def __init__(self, chains: _Chains, nodes: Sequence[Node], apart: Apart, own: Apart) -> None:
        self.chains, self.nodes = chains, nodes
        self.apart, self.own = apart, own
        graph = chains.quantized.graph
        made = [name for node in nodes for name in node.outputs if name]
        self.made = [name for name in made if graph.values[name].dtype == "float32"]
        self._apart = SimulateRunner(apart.quantized)
        self._own = SimulateRunner(own.quantized) if own.results else None

    def __call__(self, given: Mapping[str, np.ndarray]) -> Iterable[tuple[str, Look]]:
        """Yield each layer's float32 values by name with their tensors on one sample."""
        chains = self.chains
        needs = self.apart.quantized.graph.inputs
        real = _tapped(
            chains, chains.float_, REFERENCE, given, {*self.made, *self.own.quantized.graph.inputs}
        )
        held = {name for name in self.made if name in chains.held}
        path = _tapped(chains, chains.path, "", given, {*held, *needs})
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
    chains: _Chains, runner: Runner, stage: str, given: Mapping[str, np.ndarray], names: set[str]
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


# --- from sums to rows ----------------------------------------------------------------------------


def _rows(
    graph: Graph, found: Mapping[str, Energies], tables: frozenset[str], samples: int
) -> tuple[LayerError, ...]:
    rows = []
    strongest: dict[str, str] = {}  # by value: that with the largest own error up to it
    own = {name: _relative(item.own, item.signal) for name, item in found.items()}
    for node in graph.nodes:
        before = [strongest[name] for name in node.inputs if name in strongest]
        source = max(before, key=own.__getitem__, default="")
        for name in node.outputs:
            if name not in found:
                strongest |= {name: source} if source else {}
                continue
            row = _row(graph, node, name, found[name], name in tables, source, samples)
            strongest[name] = name if not source or own[name] > own[source] else source
            rows.append(row)
    return tuple(rows)


def _row(
    graph: Graph,
    node: Node,
    name: str,
    sums: Energies,
    table: bool,
    source: str,
    samples: int,
) -> LayerError:
    path, own = _relative(sums.path, sums.signal), _relative(sums.own, sums.signal)
    parts = dict(zip(PARTS, sums.parts / sums.path if sums.path else sums.parts, strict=True))
    parts["table" if table else "requantisation"] = parts.pop("last")
    shares = {key: float(parts.get(key, 0.0)) for key in SHARES}
    passes = path > 0 and own <= PASSES_ON * path and shares["inherited"] > 0.5
    return LayerError(
        name,
        graph.values[name].origin,
        node.name,
        node.op,
        sums.elements // samples,
        path,
        own,
        decibels(path),
        decibels(own),
        source if passes else "",
        shares,
        sums.cut / sums.elements if sums.elements else 0.0,
        sums.dead,
    )


def _relative(error: float, signal: float) -> float:
    if error == 0:
        return 0.0
    return error / signal if signal else math.inf
