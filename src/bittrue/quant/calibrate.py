"""Calibration: one streaming pass over samples that gathers statistics.

This room knows no engine: whoever calls gives a function that runs the float graph.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from bittrue.arrays import portions
from bittrue.dtypes import nbytes
from bittrue.errors import DataError
from bittrue.graph.model import Graph, Value
from bittrue.quant.policy import channel_values
from bittrue.quant.samples import Sample, Samples
from bittrue.quant.statistics import Collector, Statistics
from bittrue.quant.wiring import wire

log = logging.getLogger(__name__)

#: Fewer samples than this are used, with a warning: extremes are then mostly missed.
FEW = 16


class Run(Protocol):
    """Runs a graph on one sample and returns the values asked for, by name."""

    def __call__(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str]
    ) -> Mapping[str, np.ndarray]:
        """Return float32 arrays in logical order for every name in `taps`."""


# --- checks ----------------------------------------------------------------------------------


def inputs_of(graph: Graph, sample: Sample, *, where: str = "sample") -> dict[str, np.ndarray]:
    """Return a sample as the graph's inputs, by name and with the batch axis.

    Args:
        graph: Names the inputs, their shapes and types.
        sample: One array for a graph with one input, or arrays by input name; without the batch
            axis if that is 1.
        where: What the sample is called in messages.

    Raises:
        DataError: if an input is missing, unknown, of another shape, empty, or not finite.
    """
    if not isinstance(sample, Mapping):
        if len(graph.inputs) != 1:
            raise DataError(
                f"one array is given, the network has the inputs {', '.join(graph.inputs)}",
                where=where,
                hint="give a dict of arrays, or an .npz, by input name",
            )
        sample = {graph.inputs[0]: sample}
    missing = [name for name in graph.inputs if name not in sample]
    unknown = [name for name in sample if name not in graph.inputs]
    if missing or unknown:
        raise DataError(
            f"inputs missing: {missing}, unknown: {unknown}",
            where=where,
            hint=f"the network's inputs are {', '.join(graph.inputs)}",
        )
    return {name: _as_input(graph.values[name], sample[name], where) for name in graph.inputs}


def _as_input(value: Value, given: np.ndarray, where: str) -> np.ndarray:
    array = np.asarray(given)
    where = f"{where}, input '{value.name}'"
    if array.shape != value.shape and (1, *array.shape) == value.shape:
        array = array[None]
    if array.shape != value.shape:
        raise DataError(
            f"the shape is {list(array.shape)}, the network takes {list(value.shape)}",
            where=where,
            hint="prepare the samples as the network's inputs: right size, axes in this order",
        )
    if not np.all(np.isfinite(array)):
        raise DataError(
            "it holds NaN or infinity", where=where, hint="mend or leave out this sample"
        )
    if value.dtype == "float32":
        return array.astype(np.float32)
    if array.dtype != np.dtype(value.dtype):
        raise DataError(
            f"the type is {array.dtype}, the network takes {value.dtype}",
            where=where,
            hint="give raw pixels 0 to 255 as uint8" if value.dtype == "uint8" else "convert it",
        )
    return array


# --- the pass --------------------------------------------------------------------------------


def gather(graph: Graph, samples: Samples, run: Run, *, limit: int | None = None) -> Statistics:
    """Return what each float32 tensor of a graph holds over the samples.

    Memory stays bounded: tensors are read in portions, one sample at a time.

    Args:
        graph: The optimised float graph.
        samples: At least one; read anew for each portion.
        run: Runs this graph.
        limit: At most this many samples are taken, the first ones; None for all.

    Raises:
        DataError: if there are no samples, or one does not fit, or a tensor is not finite.
    """
    count = len(samples) if limit is None else min(len(samples), limit)
    if count == 0:
        raise DataError("there are no calibration samples", hint="give some 64 typical inputs")
    if count < FEW:
        log.warning("only %d calibration samples: ranges are guesses; give some 64", count)
    wanted = [
        name
        for name, value in graph.values.items()
        if name not in graph.constants and value.dtype == "float32"
    ]
    separate = channel_values(wire(graph))
    collectors = {
        name: Collector(channels=graph.values[name].shape[1] if name in separate else 0)
        for name in wanted
    }
    # A graph without float32 tensors runs too: its samples are checked.
    parts = portions(wanted, lambda name: nbytes("float32", graph.values[name].shape)) or [[]]
    for number, taps in enumerate(parts):
        for index in range(count):
            inputs = inputs_of(graph, samples[index], where=f"calibration sample {index}")
            if number == 0:
                _warn_if_flat(inputs, index)
            found = run(inputs, taps)
            for name in taps:
                collectors[name].add(_finite(found[name], name, index))
    return Statistics({name: item.finish() for name, item in collectors.items()}, count)


def _warn_if_flat(inputs: Mapping[str, np.ndarray], index: int) -> None:
    for name, array in inputs.items():
        if array.size > 1 and array.min() == array.max():
            log.warning(
                "calibration sample %d, input '%s': every element is %s", index, name, array.flat[0]
            )


def _finite(array: np.ndarray, name: str, index: int) -> np.ndarray:
    if array.size == 0 or not np.isfinite(array.min()) or not np.isfinite(array.max()):
        raise DataError(
            f"tensor '{name}' is empty or not finite on calibration sample {index}",
            hint="run the float network on this sample and look at its outputs",
        )
    return array.astype(np.float32, copy=False)
