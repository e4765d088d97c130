"""Calibration: where samples come from, and one streaming pass that gathers statistics.

This room knows no engine: whoever calls gives a function that runs the float graph.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from bittrue.arrays import read_arrays
from bittrue.contract.picture import PICTURES
from bittrue.dtypes import nbytes
from bittrue.errors import DataError
from bittrue.graph.model import Graph, Value
from bittrue.quant.observers import Collector, Statistics
from bittrue.quant.target import channel_values

log = logging.getLogger(__name__)

Sample = np.ndarray | Mapping[str, np.ndarray]

#: Fewer samples than this are used, with a warning: extremes are then mostly missed.
FEW = 16
#: Tensors of one run that are read together take at most this many bytes.
TAP_BYTES = 2**28


class Run(Protocol):
    """Runs a graph on one sample and returns the values asked for, by name."""

    def __call__(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str]
    ) -> Mapping[str, np.ndarray]:
        """Return float32 arrays in logical order for every name in `taps`."""


# --- sources ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileSamples(Sequence[Sample]):
    """Samples that are read from one file each, when they are asked for.

    Args:
        paths: The files, in order.
        load: Turns a path into a sample.
    """

    paths: tuple[Path, ...]
    load: Callable[[Path], Sample]

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """Return one sample, read anew."""
        return self.load(self.paths[index])


@dataclass(frozen=True, slots=True)
class StackedSamples(Sequence[Sample]):
    """Samples that lie one behind the other along the first axis of arrays.

    Args:
        arrays: By input name; the only one has an empty name where the file named none.
    """

    arrays: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """How many samples there are."""
        return min((len(array) for array in self.arrays.values()), default=0)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """Return one sample, without the stacking axis."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = {name: np.asarray(array[index]) for name, array in self.arrays.items()}
        return rows[""] if set(rows) == {""} else rows


def samples_from(
    path: str | Path, *, prepare: Callable[[Path], Sample] | None = None, limit: int = 64
) -> Sequence[Sample]:
    """Return the calibration samples in a folder of pictures or arrays, or in one .npy or .npz.

    Args:
        path: A folder of pictures (each goes through `prepare`) or of .npy and .npz files (one
            sample each); or one .npy [n, ...] or .npz of such arrays by input name.
        prepare: Turns a picture's path into the network's input.
        limit: At most this many are taken, spread evenly over the sorted folder or array.

    Raises:
        DataError: if there is nothing to be read, or pictures come without `prepare`.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path, prepare, limit)
    arrays = _read_arrays(path)
    if any(array.ndim < 1 for array in arrays.values()):
        raise DataError("an array has no axis that counts samples", where=str(path))
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            f"the inputs have unlike numbers of samples: {lengths}",
            where=str(path),
            hint="give each input the same number of rows along its first axis",
        )
    count = next(iter(lengths.values()), 0)
    rows = _spread(count, limit)
    chosen = arrays if len(rows) == count else {n: a[rows] for n, a in arrays.items()}
    return StackedSamples(chosen)


def _folder(path: Path, prepare: Callable[[Path], Sample] | None, limit: int) -> Sequence[Sample]:
    files = sorted(item for item in path.iterdir() if item.is_file())
    arrays = [item for item in files if item.suffix.lower() in (".npy", ".npz")]
    pictures = [item for item in files if item.suffix.lower() in PICTURES]
    chosen = arrays or pictures
    if not chosen:
        raise DataError(
            "the folder holds no pictures and no .npy or .npz files",
            where=str(path),
            hint="give a folder with some 64 pictures like those the network will see",
        )
    picked = tuple(chosen[row] for row in _spread(len(chosen), limit))
    if arrays:
        return FileSamples(picked, _read_one)
    if prepare is None:
        raise DataError(
            "pictures cannot be used before it is known how the network wants them",
            where=str(path),
            hint="give the preprocessing, or calibrate with .npy files",
        )
    return FileSamples(picked, prepare)


def _spread(count: int, limit: int) -> list[int]:
    """Return up to `limit` row numbers of `count`, evenly spread, in order."""
    taken = min(count, limit)
    return [row * count // taken for row in range(taken)]


def _read_one(path: Path) -> Sample:
    arrays = _read_arrays(path)
    return arrays[""] if set(arrays) == {""} else arrays


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npy (under the empty name) or .npz file; nothing is unpickled."""
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    return read_arrays(path, hint="write it with numpy.save or numpy.savez")


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


def gather(graph: Graph, samples: Iterable[Sample], run: Run, *, limit: int = 512) -> Statistics:
    """Return what each float32 tensor of a graph holds over the samples.

    Memory stays bounded: tensors are read in portions of at most TAP_BYTES, one sample at a time.

    Args:
        graph: The optimised float graph.
        samples: At least one; a lazy sequence is read anew for each portion, anything else is
            kept.
        run: Runs this graph.
        limit: At most this many samples are taken.

    Raises:
        DataError: if there are no samples, or one does not fit, or a tensor is not finite.
    """
    listed = samples if isinstance(samples, Sequence) else list(islice(samples, limit))
    count = min(len(listed), limit)
    if count == 0:
        raise DataError("there are no calibration samples", hint="give some 64 typical inputs")
    if count < FEW:
        log.warning("only %d calibration samples: ranges are guesses; give some 64", count)
    wanted = [
        name
        for name, value in graph.values.items()
        if name not in graph.constants and value.dtype == "float32"
    ]
    separate = channel_values(graph)
    collectors = {
        name: Collector(channels=graph.values[name].shape[1] if name in separate else 0)
        for name in wanted
    }
    for number, taps in enumerate(_portions(graph, wanted)):
        for index in range(count):
            inputs = inputs_of(graph, listed[index], where=f"calibration sample {index}")
            if number == 0:
                _warn_if_flat(inputs, index)
            found = run(inputs, taps)
            for name in taps:
                collectors[name].add(_finite(found[name], name, index))
    return Statistics({name: item.finish() for name, item in collectors.items()}, count)


def _portions(graph: Graph, names: Sequence[str]) -> list[list[str]]:
    """Return the names in runs that take at most TAP_BYTES each, or hold one name."""
    portions: list[list[str]] = [[]]
    size = 0
    for name in names:
        own = nbytes("float32", graph.values[name].shape)
        if portions[-1] and size + own > TAP_BYTES:
            portions.append([])
            size = 0
        portions[-1].append(name)
        size += own
    return portions


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
