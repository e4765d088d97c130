"""From a float graph and samples to a quantised graph: gather, partition, assign, round."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bittrue.arith import QParams
from bittrue.graph.model import Graph, Node
from bittrue.graph.weights import WEIGHTED, output_channels
from bittrue.quant.assign import assign
from bittrue.quant.calibrate import Run, gather, inputs_of
from bittrue.quant.groups import Basis
from bittrue.quant.model import QuantizedGraph, WeightCodes
from bittrue.quant.observers import OBSERVERS, minmax
from bittrue.quant.options import AUTO, DEFAULTS, QuantizeOptions
from bittrue.quant.partition import Partition, Ranges, partition
from bittrue.quant.samples import Samples
from bittrue.quant.statistics import BINS, Statistics, TensorStatistics
from bittrue.quant.weights import quantize_weights
from bittrue.quant.wiring import wire

log = logging.getLogger(__name__)

#: Makes a runner of a quantised graph; given by whoever knows the engines.
Simulate = Callable[[QuantizedGraph], Run]
#: Samples on which `auto` compares the observers.
AUTO_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """How well one observer did on calibration samples.

    Args:
        observer: Its name.
        sqnr: Least signal-to-noise ratio of the network's outputs in dB, mean over samples.
    """

    observer: str
    sqnr: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A quantised graph with what was seen and decided on the way; it lives in memory only.

    Args:
        quantized: The result.
        options: As they were taken: the observer is never AUTO.
        partition: What runs in float.
        statistics: What calibration saw.
        choices: Every observer that was compared, the best first; empty where none were.
    """

    quantized: QuantizedGraph
    options: QuantizeOptions
    partition: Partition
    statistics: Statistics
    choices: tuple[Choice, ...] = ()


def quantize(
    graph: Graph,
    samples: Samples,
    *,
    run: Run,
    simulate: Simulate | None = None,
    options: QuantizeOptions = DEFAULTS,
) -> Calibrated:
    """Return the graph with a place among the codes for each of its values and weights.

    Args:
        graph: The optimised float graph.
        samples: Calibration inputs, see `bittrue.quant.samples`.
        run: Runs this graph in float.
        simulate: Runs a quantised graph; needed only to choose an observer by measurement.
        options: How.

    Raises:
        UsageError: if an option holds an unknown word.
        DataError: if the samples do not fit the network.
    """
    statistics = gather(graph, samples, run, limit=options.samples)
    if options.observer != AUTO or simulate is None:
        return quantize_with(graph, statistics, options)
    choices = choose_observer(
        graph, statistics, samples, run=run, simulate=simulate, options=options
    )
    taken = replace(options, observer=choices[0].observer)
    return replace(quantize_with(graph, statistics, taken), choices=choices)


def quantize_with(
    graph: Graph, statistics: Statistics, options: QuantizeOptions = DEFAULTS
) -> Calibrated:
    """Return the quantised graph from statistics that were gathered before.

    Raises:
        UsageError: if an option holds an unknown word.
    """
    observer = options.observer_row()
    wiring, tail, rounding = wire(graph), options.tail_row(), options.rounding_row()
    ranges: Ranges = {name: seen.extremes for name, seen in statistics.tensors.items()}
    part = partition(wiring, ranges, tail)
    activations = assign(Basis(wiring, statistics, part, observer))
    weights = {
        node.name: quantize_weights(graph, node, activations[node.inputs[0]], rounding)
        for node in _weighted(graph, activations)
    }
    quantized = QuantizedGraph(graph, activations, weights, part.float_values, ranges)
    return Calibrated(quantized, options.settled(), part, statistics)


def _weighted(graph: Graph, activations: Mapping[str, QParams]) -> list[Node]:
    """Return the nodes whose weights become codes."""
    return [
        node
        for node in graph.nodes
        if node.op in WEIGHTED
        and node.inputs[1] in graph.constants
        and node.inputs[0] in activations
    ]


def uncalibrated(graph: Graph, options: QuantizeOptions = DEFAULTS) -> QuantizedGraph:
    """Return the graph in the form that it will have, without samples.

    Which values are codes is right but where that hangs on magnitudes; every range is -1 to 1, and
    every weight 0.

    Raises:
        UsageError: if the tail is an unknown word.
    """
    ends = np.ones(1, np.float32)
    unit = TensorStatistics(-ends, ends, np.zeros(BINS, np.int64), 1.0, 0)
    names = [name for name, value in graph.values.items() if value.dtype == "float32"]
    ranges: Ranges = dict.fromkeys(names, unit.extremes)
    wiring = wire(graph)
    part = partition(wiring, ranges, options.tail_row())
    activations = assign(Basis(wiring, Statistics(dict.fromkeys(names, unit), 1), part, minmax))
    weights = {
        node.name: WeightCodes(
            np.zeros(graph.constants[node.inputs[1]].shape, np.int8),
            np.ones(output_channels(graph, node), np.float32),
        )
        for node in _weighted(graph, activations)
    }
    return QuantizedGraph(graph, activations, weights, part.float_values, ranges)


def choose_observer(
    graph: Graph,
    statistics: Statistics,
    samples: Samples,
    *,
    run: Run,
    simulate: Simulate,
    options: QuantizeOptions = DEFAULTS,
) -> tuple[Choice, ...]:
    """Return every observer with its figure on some of the samples, the best first."""
    step = max(1, len(samples) // AUTO_SAMPLES)
    inputs = [inputs_of(graph, samples[i]) for i in range(0, len(samples), step)][:AUTO_SAMPLES]
    exact = [run(sample, graph.outputs) for sample in inputs]
    choices: list[Choice] = []
    for name in OBSERVERS:
        runner = simulate(
            quantize_with(graph, statistics, replace(options, observer=name)).quantized
        )
        figures = [
            min(_sqnr(wanted[out], got[out]) for out in graph.outputs)
            for sample, wanted in zip(inputs, exact, strict=True)
            for got in [runner(sample, graph.outputs)]
        ]
        choices.append(Choice(name, float(np.mean(figures))))
        log.info("observer %s: %.2f dB", name, choices[-1].sqnr)
    return tuple(sorted(choices, key=lambda choice: -choice.sqnr))


def _sqnr(exact: np.ndarray, got: np.ndarray) -> float:
    """Return signal power over error power in dB, between -200 and 200.

    `bittrue.parity.metrics` gives infinity where there is no error; a mean needs numbers.
    """
    signal = float(np.sum(exact.astype(np.float64) ** 2))
    noise = float(np.sum((exact.astype(np.float64) - got.astype(np.float64)) ** 2))
    return float(np.clip(10 * np.log10((signal + 1e-30) / (noise + 1e-30)), -200, 200))
