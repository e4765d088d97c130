"""The one place that knows the ladder: from a file and a stage's name to something that runs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bittrue import arith
from bittrue.archive import ZIP_MAGIC, Network, archive_from_bytes
from bittrue.arrays import read_arrays
from bittrue.compiler.fileformat import MAGIC, from_bytes
from bittrue.compiler.program import Program
from bittrue.contract.picture import PICTURES
from bittrue.contract.preprocess import (
    Preprocess,
    affine,
    denormalise,
    normalise,
    preprocess_from_json,
    raw_pixels,
)
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.engines.emulate import Emulator
from bittrue.engines.program_runner import ProgramRunner, accept
from bittrue.engines.runner import Runner
from bittrue.errors import DataError, FormatError, UsageError
from bittrue.files import unreadable
from bittrue.graph.model import Graph
from bittrue.suggest import did_you_mean

#: Every stage, first to last; each is compared with the one before it.
LADDER = ("source", "native", "fp_optimized", "quantized", "bit_true", "compiled")
RAW_BYTES = frozenset({".bin", ".raw"})


@dataclass(frozen=True, slots=True)
class Subject:
    """What a file on the command line turned out to be.

    Args:
        path: Where it was read from.
        network: The network, if the file is an archive (or was imported just now).
        executable: The bytes of the .bte; None if the network is not compiled yet.
    """

    path: str
    network: Network | None
    executable: bytes | None

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that can be run."""
        return ("bit_true", "compiled") if self.network is None else self.network.stages

    @property
    def preprocess(self) -> Mapping[str, Preprocess]:
        """By input name: how a picture becomes that input."""
        if self.network is not None:
            return self.network.preprocess
        rows = self.program().preprocess.items()
        return {name: preprocess_from_json(row, path=self.path) for name, row in rows}

    def program(self) -> Program:
        """Return the compiled program.

        Raises:
            UsageError: if the network is not compiled yet.
        """
        if self.executable is None:
            raise UsageError(
                "the network is not compiled yet",
                where=self.path,
                hint=f"bittrue compile {self.path} -o model.bte",
            )
        return from_bytes(self.executable, path=self.path)


def split_reference(text: str) -> tuple[str, str]:
    """Return the path and the stage of "FILE" or "FILE@STAGE"; the stage is empty if not given.

    Raises:
        UsageError: if what follows the last @ is no stage and no file has the whole name.
    """
    path, at, stage = text.rpartition("@")
    if not at or Path(text).exists():
        return text, ""
    if stage not in LADDER:
        raise UsageError(f"{stage!r} is no stage", where=text, hint=did_you_mean(stage, LADDER))
    return path, stage


def open_subject(path: str | Path) -> Subject:
    """Return what an archive or an executable holds; it is recognised by its content.

    Raises:
        DataError: if the file cannot be read.
        FormatError: if it is neither, or damaged.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(len(MAGIC))
            known = head == MAGIC or head[: len(ZIP_MAGIC)] == ZIP_MAGIC
            data = head + file.read() if known else b""
    except OSError as why:
        raise unreadable(path, why) from why
    if not known:
        raise FormatError(
            "neither a bittrue archive (.bta) nor an executable (.bte)",
            path=str(path),
            hint=f"if it is a network, import it first: bittrue import {path} -o model.bta",
        )
    if head == MAGIC:
        return Subject(str(path), None, data)
    network = archive_from_bytes(data, path=str(path))
    return Subject(str(path), network, network.executable)


def open_runner(
    subject: Subject, stage: str = "", *, isa: str = "auto", threads: int = 0
) -> Runner:
    """Return what runs a stage; the last stage reached where none is named.

    Raises:
        UsageError: if the subject has not reached that stage.
    """
    stage = reached(subject, stage)
    if stage in ("bit_true", "compiled"):
        return _program_runner(subject, stage, isa, threads)
    if subject.network is None:
        raise UsageError(f"an executable has no stage {stage!r}", where=subject.path)
    return _float_runner(subject.network, stage)


def reached(subject: Subject, stage: str = "") -> str:
    """Return a stage that the subject has reached; the last one where none is named.

    Raises:
        UsageError: if the subject has not reached that stage.
    """
    stage = stage or subject.stages[-1]
    if stage not in subject.stages:
        raise UsageError(
            f"stage {stage!r} is not in the file; it holds {', '.join(subject.stages)}",
            where=subject.path,
            hint=_next_step(stage, subject),
        )
    return stage


def _next_step(stage: str, subject: Subject) -> str:
    if subject.network is None:
        return "give the archive (.bta) that the executable was compiled from"
    command = {"fp_optimized": "optimize", "quantized": "quantize"}.get(stage, "compile")
    return f"`bittrue {command} --help` says how to reach it"


def _program_runner(subject: Subject, stage: str, isa: str, threads: int) -> ProgramRunner:
    program = subject.program()
    if stage == "bit_true":
        return ProgramRunner(program, Emulator(program))
    from bittrue.engines.native import Engine

    data = subject.executable or b""
    return ProgramRunner(program, Engine(data, isa=isa, threads=threads))


def _float_runner(network: Network, stage: str) -> Runner:
    from bittrue.engines.float_ import FloatRunner, OnnxRunner
    from bittrue.engines.simulate import SimulateRunner

    contract = stage_contract(network, stage)
    if stage == "source":
        return OnnxRunner(network.source.onnx, contract)
    if stage == "quantized" and network.quantized is not None:
        return SimulateRunner(network.quantized, contract)
    return FloatRunner(stage_graph(network, stage), contract)


def stage_graph(network: Network, stage: str) -> Graph:
    """Return the graph that a stage before `bit_true` runs."""
    if stage == "quantized" and network.quantized is not None:
        return network.quantized.graph
    if stage == "fp_optimized" and network.optimized is not None:
        return network.optimized
    return network.native


# --- contracts of the float stages ---------------------------------------------------------------


def contract_of_stage(subject: Subject, stage: str = "") -> Contract:
    """Return the contract of a stage of a subject; of the last one where none is named.

    Raises:
        UsageError: if the subject has not reached that stage.
    """
    stage = reached(subject, stage)
    if stage in LADDER[-2:] or subject.network is None:
        return subject.program().contract
    return stage_contract(subject.network, stage)


def stage_contract(network: Network, stage: str) -> Contract:
    """Return the contract of a stage that runs in float; see `Program.contract` for the others."""
    graph = stage_graph(network, stage)
    ranges = {} if network.quantized is None else network.quantized.ranges
    return Contract(
        tuple(_input_contract(graph, name, network.preprocess.get(name)) for name in graph.inputs),
        tuple(replace(_plain(graph, name), value_range=ranges.get(name)) for name in graph.outputs),
    )


def _plain(graph: Graph, name: str) -> TensorContract:
    value = graph.values[name]
    return TensorContract(name, value.shape, value.dtype)


def _input_contract(graph: Graph, name: str, preprocess: Preprocess | None) -> TensorContract:
    row = _plain(graph, name)
    if preprocess is None:
        return row
    if row.dtype == "uint8":
        return replace(
            row,
            layout="NHWC" if row.shape == preprocess.raw_shape else preprocess.layout,
            colour=preprocess.colour,
            value_range=(0.0, 255.0),
            holds="raw pixels",
        )
    return replace(
        row,
        layout=preprocess.layout,
        colour=preprocess.colour,
        value_range=normalised_range(preprocess),
        holds="normalised values",
    )


def normalised_range(preprocess: Preprocess) -> tuple[float, float]:
    """Return the least and greatest value that normalised pixels can have, over all channels."""
    offset, factor = affine(preprocess)
    ends = np.concatenate([(0.0 - offset) * factor, (255.0 - offset) * factor])
    return float(ends.min()), float(ends.max())


# --- inputs, in the domain of each stage ---------------------------------------------------------


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


# --- tensors that two stages share ---------------------------------------------------------------


def tensors_by_origin(subject: Subject, stage: str) -> dict[str, str]:
    """Return the name to tap for each source tensor that a stage still holds, in running order.

    Args:
        subject: What was opened.
        stage: One of its stages.

    Returns:
        By the source tensor's name: the name of the stage's own tensor that equals it. Tensors of
        a program that equal none stand under their own name.
    """
    found: dict[str, str] = {}
    if stage in ("bit_true", "compiled"):
        program = subject.program()
        for row in program.tensors:
            if not program.buffers[row.buffer].constant:
                found.update(dict.fromkeys(row.origin or (row.name,), row.name))
        return found
    if subject.network is None:
        return found
    graph = stage_graph(subject.network, stage)
    for node in graph.nodes:
        for name in node.outputs:
            if name:
                origins = graph.values[name].origin
                found.update((item, item if stage == "source" else name) for item in origins)
    return found


def tensor_elements(subject: Subject, stage: str) -> dict[str, int]:
    """Return how many elements each tensor that `tensors_by_origin` names has."""
    if stage in ("bit_true", "compiled"):
        return {row.name: math.prod(row.shape) for row in subject.program().tensors}
    if subject.network is None:
        return {}
    values = stage_graph(subject.network, stage).values
    found = {name: math.prod(value.shape) for name, value in values.items()}
    if stage == "source":
        found |= {item: found[name] for name, value in values.items() for item in value.origin}
    return found
