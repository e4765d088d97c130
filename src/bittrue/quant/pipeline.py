"""From a float graph and samples to a quantised graph: gather, partition, assign, round."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bittrue.errors import UsageError
from bittrue.graph.model import Graph
from bittrue.graph.weights import WEIGHTED, output_channels
from bittrue.quant.assign import assign
from bittrue.quant.calibrate import Run, Sample, gather, inputs_of
from bittrue.quant.model import QuantizedGraph, WeightCodes
from bittrue.quant.observers import BINS, OBSERVERS, Range, Statistics, TensorStatistics
from bittrue.quant.partition import partition
from bittrue.quant.weights import quantize_weights

log = logging.getLogger(__name__)

#: Makes a runner of a quantised graph; given by whoever knows the engines.
Simulate = Callable[[QuantizedGraph], Run]
AUTO = "auto"
#: Taken where `auto` is asked for and nothing can be measured.
DEFAULT_OBSERVER = "power"
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


def quantize(
    graph: Graph,
    samples: Iterable[Sample],
    *,
    run: Run,
    simulate: Simulate | None = None,
    observer: str = AUTO,
    tail: str = "float",
    rounding: str = "kernel-sum",
    limit: int = 512,
) -> QuantizedGraph:
    """Return the graph with a place among the codes for each of its values and weights.

    Args:
        graph: The optimised float graph.
        samples: Calibration inputs, see `bittrue.quant.calibrate`.
        run: Runs this graph in float.
        simulate: Runs a quantised graph; needed only to choose an observer by measurement.
        observer: A name of OBSERVERS, or "auto": the one whose outputs are nearest to the float
            network's on some of the samples.
        tail: "float" or "int8", see `bittrue.quant.partition`.
        rounding: "kernel-sum" or "nearest", see `bittrue.quant.weights`.
        limit: At most this many samples are taken.

    Raises:
        UsageError: if an option holds an unknown word.
        DataError: if the samples do not fit the network.
    """
    kept = samples if isinstance(samples, Sequence) else list(samples)
    statistics = gather(graph, kept, run, limit=limit)
    if observer == AUTO and simulate is not None:
        observer = choose_observer(
            graph,
            statistics,
            kept,
            run=run,
            simulate=simulate,
            tail=tail,
            rounding=rounding,
        )[0].observer
    return quantize_with(graph, statistics, observer=observer, tail=tail, rounding=rounding)


def quantize_with(
    graph: Graph,
    statistics: Statistics,
    *,
    observer: str = AUTO,
    tail: str = "float",
    rounding: str = "kernel-sum",
) -> QuantizedGraph:
    """Return the quantised graph from statistics that were gathered before.

    Raises:
        UsageError: if an option holds an unknown word.
    """
    if observer != AUTO and observer not in OBSERVERS:
        raise UsageError(
            f"observer={observer!r} is not one of {', '.join((AUTO, *OBSERVERS))}",
            hint="use observer='auto'",
        )
    row = OBSERVERS[DEFAULT_OBSERVER if observer == AUTO else observer]
    ranges: dict[str, Range] = {name: seen.extremes for name, seen in statistics.tensors.items()}
    part = partition(graph, ranges, tail=tail)
    activations = assign(graph, statistics, part, row)
    weights: dict[str, WeightCodes] = {}
    for node in graph.nodes:
        if node.op in WEIGHTED and node.inputs[1] in graph.constants:
            given = activations.get(node.inputs[0])
            if given is not None:
                weights[node.name] = quantize_weights(graph, node, given, rounding=rounding)
    return QuantizedGraph(graph, activations, weights, part.float_values, ranges)


def draft(graph: Graph, *, tail: str = "float") -> QuantizedGraph:
    """Return the graph in the form that it will have, without samples.

    Which values are codes is right but where that hangs on magnitudes; every range is -1 to 1, and
    every weight 0.

    Raises:
        UsageError: if `tail` is an unknown word.
    """
    ends = np.ones(1, np.float32)
    unit = TensorStatistics(-ends, ends, np.zeros(BINS, np.int64), 1.0, 0)
    names = [name for name, value in graph.values.items() if value.dtype == "float32"]
    ranges: dict[str, Range] = dict.fromkeys(names, (-1.0, 1.0))
    part = partition(graph, ranges, tail=tail)
    seen = Statistics(dict.fromkeys(names, unit), 1)
    activations = assign(graph, seen, part, OBSERVERS["minmax"])
    weights = {
        node.name: WeightCodes(
            np.zeros(graph.constants[node.inputs[1]].shape, np.int8),
            np.ones(output_channels(graph, node), np.float32),
        )
        for node in graph.nodes
        if node.op in WEIGHTED and node.inputs[1] in graph.constants
        if node.inputs[0] in activations
    }
    return QuantizedGraph(graph, activations, weights, part.float_values, ranges)


def choose_observer(
    graph: Graph,
    statistics: Statistics,
    samples: Sequence[Sample],
    *,
    run: Run,
    simulate: Simulate,
    tail: str = "float",
    rounding: str = "kernel-sum",
) -> list[Choice]:
    """Return every observer with its figure on some of the samples, the best first."""
    step = max(1, len(samples) // AUTO_SAMPLES)
    inputs = [inputs_of(graph, samples[i]) for i in range(0, len(samples), step)][:AUTO_SAMPLES]
    exact = [run(sample, graph.outputs) for sample in inputs]
    choices: list[Choice] = []
    for name in OBSERVERS:
        quantized = quantize_with(graph, statistics, observer=name, tail=tail, rounding=rounding)
        runner = simulate(quantized)
        figures = [
            min(_sqnr(wanted[out], got[out]) for out in graph.outputs)
            for sample, wanted in zip(inputs, exact, strict=True)
            for got in [runner(sample, graph.outputs)]
        ]
        choices.append(Choice(name, float(np.mean(figures))))
        log.info("observer %s: %.2f dB", name, choices[-1].sqnr)
    return sorted(choices, key=lambda choice: -choice.sqnr)


def _sqnr(exact: np.ndarray, got: np.ndarray) -> float:
    """Return signal power over error power in dB, between -200 and 200."""
    signal = float(np.sum(exact.astype(np.float64) ** 2))
    noise = float(np.sum((exact.astype(np.float64) - got.astype(np.float64)) ** 2))
    return float(np.clip(10 * np.log10((signal + 1e-30) / (noise + 1e-30)), -200, 200))
