"""Inputs: from a file to arrays, and from arrays to what a contract asks for."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bittrue import arith
from bittrue.arrays import read_arrays
from bittrue.contract.buffers import check_buffers, raise_on_error
from bittrue.contract.picture import PICTURES
from bittrue.contract.preprocess import Preprocess, denormalise, normalise, raw_pixels
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.errors import DataError
from bittrue.files import unreadable

log = logging.getLogger(__name__)

RAW_BYTES = frozenset({".bin", ".raw"})

# --- from a file ---------------------------------------------------------------------------------


def read_input(path: str | Path, preprocess: Mapping[str, Preprocess]) -> dict[str, np.ndarray]:
    """Return what a picture, .npy, .npz or .bin holds, by input name ("" where it names none).

    A picture is taken through the preprocessing up to raw pixels. Raw bytes have no shape and no
    type: they become a flat uint8 array, which `in_domain` gives those of the contract.

    Raises:
        DataError: if the file cannot be read, or is a picture and there is no preprocessing.
    """
    file = Path(path)
    if file.suffix.lower() in PICTURES:
        return _read_picture(file, preprocess)
    hint = "give a picture, a .npy or .npz file, or raw bytes as .bin"
    if file.suffix.lower() not in RAW_BYTES:
        return read_arrays(file, hint=hint)
    try:
        return {"": np.fromfile(file, np.uint8)}
    except OSError as why:
        raise unreadable(path, why, hint) from why


def _read_picture(file: Path, preprocess: Mapping[str, Preprocess]) -> dict[str, np.ndarray]:
    if len(preprocess) != 1:
        raise DataError(
            f"is a picture, but the model has preprocessing for {len(preprocess)} inputs, not one",
            where=str(file),
            hint="import the model with --preprocess FILE.toml, or give arrays as .npz",
        )
    name, row = next(iter(preprocess.items()))
    return {name: raw_pixels(row, file)}


# --- in the domain of a stage --------------------------------------------------------------------


def adapt(
    given: Mapping[str, np.ndarray], contract: Contract, preprocess: Mapping[str, Preprocess]
) -> dict[str, np.ndarray]:
    """Return the inputs in the domain that a contract asks for.

    Raw pixels become normalised values where a float stage wants them, and the codes of those where
    the input has a scale; whole normalised values become raw pixels again; flat bytes of the right
    number get the contract's type and shape, and floats become codes where the input has a scale.
    With preprocessing, uint8 of the picture's shape (or as many flat bytes) are raw pixels, never
    codes, so that one input means the same at every stage. Everything else is checked as it is.

    Args:
        given: By input name; the name "" means the only input.
        contract: Of the stage that is to run.
        preprocess: By input name.

    Raises:
        DataError: if a buffer does not fit, before anything runs.
    """
    if set(given) == {""} and len(contract.inputs) > 1:
        return accept(contract, given[""])
    return accept(contract, in_domain(given, contract, preprocess))


def in_domain(
    given: Mapping[str, np.ndarray], contract: Contract, preprocess: Mapping[str, Preprocess]
) -> dict[str, np.ndarray]:
    """Return what `adapt` would check: pixels or normalised values, as the contract asks."""
    only = contract.inputs[0].name if len(contract.inputs) == 1 else ""
    rows = {row.name: row for row in contract.inputs}
    named = {name or only: array for name, array in given.items()}
    return {
        name: _to_domain(rows[name], array, preprocess.get(name)) if name in rows else array
        for name, array in named.items()
    }


def _to_domain(row: TensorContract, array: np.ndarray, preprocess: Preprocess | None) -> np.ndarray:
    is_flat = array.ndim == 1 != len(row.shape) and array.dtype == np.uint8
    if is_flat and array.size == row.nbytes and (preprocess is None or row.scale is None):
        return array.view(row.dtype).reshape(row.shape)
    if is_flat and preprocess is not None and array.size == math.prod(preprocess.raw_shape):
        array = array.reshape(preprocess.raw_shape)
    if preprocess is None:
        return array
    raw_shape, network_shape = preprocess.raw_shape, preprocess.input_shape
    is_raw = (array.dtype.name, array.shape) == ("uint8", raw_shape)
    if is_raw and row.scale is not None and row.shape == network_shape:
        # Normalised outside: pixels are as many bytes as codes, but no codes.
        scale = np.array([row.scale], np.float32)
        return arith.quantize(normalise(preprocess, array), scale, row.zero_point)
    if (array.dtype.name, array.shape) == (row.dtype, row.shape):
        return array
    if is_raw and (row.dtype, row.shape) == (preprocess.dtype, network_shape):
        return normalise(preprocess, array)
    is_input = (array.dtype.name, array.shape) == (preprocess.dtype, network_shape)
    if is_input and row.scale is None and (row.dtype, row.shape) == ("uint8", raw_shape):
        # Values that are no whole pixels stay: the check says more about them than this would.
        with contextlib.suppress(DataError):
            return denormalise(preprocess, array)
    return array


# --- checked -------------------------------------------------------------------------------------


def accept(
    contract: Contract, given: np.ndarray | Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Check buffers against a contract, log what only looks wrong, and return them ready to run.

    Args:
        contract: Of what is to run.
        given: By input name; or one array, where the network has one input.

    Returns:
        By input name: C-contiguous, of the contract's dtype and shape; floats became codes where
        the input has a scale.

    Raises:
        DataError: if a buffer does not fit; holds every finding.
    """
    findings = check_buffers(contract, given)
    raise_on_error(findings)
    for finding in findings:
        log.warning("%s", finding)
    arrays = {contract.inputs[0].name: given} if isinstance(given, np.ndarray) else given
    return {row.name: _to_codes(row, arrays[row.name]) for row in contract.inputs}


def _to_codes(row: TensorContract, array: np.ndarray) -> np.ndarray:
    """Return an accepted buffer in the contract's dtype: as it is, or floats as codes."""
    if array.dtype.name == row.dtype or row.scale is None:
        return np.ascontiguousarray(array)
    scale = np.array([row.scale], np.float32)
    return arith.quantize(array.astype(np.float32), scale, row.zero_point)
