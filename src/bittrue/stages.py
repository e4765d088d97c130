"""The one place that knows the ladder: from a file and a stage's name to something that runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bittrue.archive import ZIP_MAGIC, archive_from_bytes
from bittrue.compiler.file_layout import MAGIC
from bittrue.compiler.fileformat import from_bytes
from bittrue.compiler.program import Program
from bittrue.contract.preprocess import Preprocess, normalised_range, preprocess_from_json
from bittrue.contract.tensor import HOLDS_NORMALISED, HOLDS_PIXELS, Contract, TensorContract
from bittrue.engines.emulate import Emulator
from bittrue.engines.program_runner import ProgramRunner
from bittrue.engines.runner import Runner, contract_of
from bittrue.errors import FormatError, UsageError
from bittrue.files import unreadable
from bittrue.graph.model import Graph
from bittrue.network import BY_NAME, PROGRAM_STAGES, Network
from bittrue.passes.history import History, history_from_json
from bittrue.suggest import did_you_mean


@dataclass(frozen=True)  # no slots: what is parsed is kept
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
        return PROGRAM_STAGES if self.network is None else self.network.stages

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
        return self._program

    @cached_property
    def _program(self) -> Program:
        return from_bytes(self.executable or b"", path=self.path)

    @property
    def history(self) -> History:
        """What the float passes did, from the archive or from the executable's provenance.

        Raises:
            FormatError: if the executable's is damaged.
            UsageError: if it holds none, or the network is not compiled yet.
        """
        if self.network is not None and self.network.history is not None:
            return self.network.history
        data = self.program().provenance.get("history")
        if data is None:
            raise UsageError(
                "the executable does not say what became of the source's layers",
                where=self.path,
                hint="compile it again with this version of bittrue, or give the archive",
            )
        return history_from_json(data, path=self.path)


def split_reference(text: str) -> tuple[str, str]:
    """Return the path and the stage of "FILE" or "FILE@STAGE"; the stage is empty if not given.

    Raises:
        UsageError: if what follows the last @ is no stage and no file has the whole name.
    """
    path, at, stage = text.rpartition("@")
    if not at or Path(text).exists():
        return text, ""
    if stage not in BY_NAME:
        raise UsageError(f"{stage!r} is no stage", where=text, hint=did_you_mean(stage, BY_NAME))
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
    if BY_NAME[stage].arithmetic == "program":
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
    if stage not in BY_NAME:
        return did_you_mean(stage, subject.stages)
    return f"`bittrue {BY_NAME[stage].command} --help` says how to reach it"


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
    if subject.network is None or stage in PROGRAM_STAGES:
        return subject.program().contract
    return stage_contract(subject.network, stage)


def stage_contract(network: Network, stage: str) -> Contract:
    """Return the contract of a stage that runs in float; see `Program.contract` for the others."""
    plain = contract_of(stage_graph(network, stage))
    ranges = {} if network.quantized is None else network.quantized.ranges
    return Contract(
        tuple(_fed(row, network.preprocess.get(row.name)) for row in plain.inputs),
        tuple(replace(row, value_range=ranges.get(row.name)) for row in plain.outputs),
    )


def _fed(row: TensorContract, preprocess: Preprocess | None) -> TensorContract:
    """Return the contract of an input with what its preprocessing says of it."""
    if preprocess is None:
        return row
    if row.dtype == "uint8":
        return replace(
            row,
            layout="NHWC" if row.shape == preprocess.raw_shape else preprocess.layout,
            colour=preprocess.colour,
            value_range=(0.0, 255.0),
            holds=HOLDS_PIXELS,
        )
    return replace(
        row,
        layout=preprocess.layout,
        colour=preprocess.colour,
        value_range=normalised_range(preprocess),
        holds=HOLDS_NORMALISED,
    )
