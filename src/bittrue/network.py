"""A network at every stage that it has reached, and the ladder of stages itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bittrue.contract.preprocess import Preprocess
from bittrue.graph.model import Graph
from bittrue.passes.history import History
from bittrue.quant.model import QuantizedGraph


@dataclass(frozen=True, slots=True)
class Source:
    """The file that the network came from.

    Args:
        name: Its file name, for messages.
        sha256: Of `onnx`, in hex.
        kind: "onnx", or "torch" where `onnx` was exported from a PyTorch module.
        onnx: The network as ONNX, so that the `source` stage can be run from the archive alone.
    """

    name: str
    sha256: str
    kind: str
    onnx: bytes


@dataclass(frozen=True, slots=True)
class Network:
    """One network at every stage that it has reached.

    Args:
        name: The network's name.
        source: Where it came from.
        native: The graph as imported.
        preprocess: By input name: what turns a picture into that input.
        optimized: The graph after the float passes; None before `optimize`.
        history: What the passes did; None before `optimize`.
        quantized: The graph with its codes; None before `quantize`.
        executable: The bytes of the .bte file; None before `compile`.
        provenance: Versions and settings of each step, plain JSON values.
    """

    name: str
    source: Source
    native: Graph
    preprocess: Mapping[str, Preprocess] = field(default_factory=dict)
    optimized: Graph | None = None
    history: History | None = None
    quantized: QuantizedGraph | None = None
    executable: bytes | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that can be run, in the order of the ladder."""
        return tuple(row.name for row in STAGES if row.reached(self))


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the ladder.

    Args:
        name: As users write it.
        arithmetic: "float"; "codes", which is float with a quantise-dequantise point at every
            stored value; or "program", which is integers.
        command: The command that reaches it.
        reached: Whether a network has come so far.
    """

    name: str
    arithmetic: Literal["float", "codes", "program"]
    command: str
    reached: Callable[[Network], bool]


#: Every stage, first to last; each is compared with the one before it.
STAGES = (
    Stage("source", "float", "import", lambda network: True),
    Stage("native", "float", "import", lambda network: True),
    Stage("fp_optimized", "float", "optimize", lambda network: network.optimized is not None),
    Stage("quantized", "codes", "quantize", lambda network: network.quantized is not None),
    Stage("bit_true", "program", "compile", lambda network: network.executable is not None),
    Stage("compiled", "program", "compile", lambda network: network.executable is not None),
)
LADDER = tuple(row.name for row in STAGES)
BY_NAME = {row.name: row for row in STAGES}
#: The stages that an executable alone can run.
PROGRAM_STAGES = tuple(row.name for row in STAGES if row.arithmetic == "program")
