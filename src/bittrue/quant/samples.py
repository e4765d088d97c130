"""Where calibration samples come from: folders of pictures or arrays, and stacks of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from bittrue.arrays import read_arrays
from bittrue.contract.picture import PICTURES
from bittrue.errors import DataError

#: One array for a network with one input, or arrays by input name.
Sample = np.ndarray | Mapping[str, np.ndarray]


class Samples(Protocol):
    """Samples that are read when they are asked for, and again whenever they are."""

    def __len__(self) -> int:
        """How many samples there are."""

    def __getitem__(self, index: int, /) -> Sample:
        """Return one sample; `index` is 0 or more."""


@dataclass(frozen=True, slots=True)
class FileSamples:
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

    def __getitem__(self, index: int) -> Sample:
        """Return one sample, read anew."""
        return self.load(self.paths[index])


@dataclass(frozen=True, slots=True)
class StackedSamples:
    """Samples that lie one behind the other along the first axis of arrays.

    Args:
        arrays: By input name; the only one has an empty name where the file named none.
    """

    arrays: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """How many samples there are."""
        return min((len(array) for array in self.arrays.values()), default=0)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample, without the stacking axis."""
        rows = {name: np.asarray(array[index]) for name, array in self.arrays.items()}
        return rows[""] if set(rows) == {""} else rows


def samples_from(
    path: str | Path, *, prepare: Callable[[Path], Sample] | None = None, limit: int = 64
) -> Samples:
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


def _folder(path: Path, prepare: Callable[[Path], Sample] | None, limit: int) -> Samples:
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
