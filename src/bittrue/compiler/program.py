"""The compiled program: what a .bte file holds, as frozen values.

Physical shapes only. A tensor is a typed view of a whole buffer; several tensors may view one
buffer (a reshape costs nothing). Buffers live in the arena, where the memory plan puts them, or
in the constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bittrue.arith import QParams
from bittrue.contract.tensor import Contract
from bittrue.dtypes import nbytes

#: Every buffer starts at a multiple of it, in the arena and among the constants.
ALIGNMENT = 64
HASH_BYTES = 32
#: How a vector's inputs are made; the position is the number in a file.
PATTERNS = ("random", "lowest", "highest")


def aligned(count: int) -> int:
    """Return the least multiple of ALIGNMENT that is at least `count`."""
    return -(-count // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True)
class Buffer:
    """A run of bytes.

    Args:
        nbytes: Its length; at least 1.
        constant: Whether it lies in the constants, not in the arena.
        offset: From the start of the arena or of the constants, a multiple of ALIGNMENT;
            -1 until the plan has placed it.
    """

    nbytes: int
    constant: bool
    offset: int = -1


@dataclass(frozen=True, slots=True)
class Tensor:
    """A typed view of a whole buffer.

    Args:
        name: Unique in the program; a graph value's name where the tensor is one.
        dtype: A type with a file code: uint8, int8, int32 or float32.
        shape: Physical shape, 1 to 6 axes, each at least 1.
        buffer: Index of the buffer; its length is exactly this tensor's.
        perm: Physical axis i holds logical axis perm[i]; empty for a tensor with no logical form
            (weights, tables).
        scale: Of one code, [1] or [C]; empty for a float tensor or plain integers.
        zero_point: Code of the real value 0.
        origin: The source's tensors that this one equals.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    buffer: int
    perm: tuple[int, ...] = ()
    scale: tuple[float, ...] = ()
    zero_point: int = 0
    origin: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor, and of its buffer."""
        return nbytes(self.dtype, self.shape)

    @property
    def qparams(self) -> QParams | None:
        """What its codes stand for; None for floats and for plain integers.

        Several scales are those of channels: logical axis 1, wherever that lies in memory.
        """
        if not self.scale or self.dtype != "uint8":
            return None
        return QParams(np.asarray(self.scale, np.float32), self.zero_point)

    def to_logical(self, array: np.ndarray) -> np.ndarray:
        """Return a physical array of this tensor as a view in the graph's order of axes."""
        if not self.perm:
            return array.reshape(self.shape)
        return array.reshape(self.shape).transpose(np.argsort(self.perm))


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step.

    Args:
        kind: Name of a row of `bittrue.compiler.instructions.INSTRUCTIONS`.
        inputs: Tensor indices.
        outputs: Tensor indices.
        params: int32 each, in the row's order.
        name: The graph node that it comes from (several steps may share one).
        origin: The source's nodes whose work it does.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    params: tuple[int, ...]
    name: str = ""
    origin: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vector:
    """One conformance vector: how its inputs are made, and what every tensor must then be.

    Args:
        pattern: A word of PATTERNS.
        seed: Of the random sequence, 0 to 2^64 - 1; 0 for the other patterns.
        hashes: sha256 of each tensor in the arena, in the tensors' order, of its bytes after the
            last instruction that writes its buffer.
    """

    pattern: str
    seed: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Vectors:
    """All conformance vectors of a program.

    Args:
        ranges: Least and greatest element for each input; empty where there are no vectors.
        rows: The vectors.
    """

    ranges: tuple[tuple[float, float], ...] = ()
    rows: tuple[Vector, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """Everything that the engine and the emulator need, and what reports say of it.

    Args:
        name: The network's name.
        tensors: All tensors.
        buffers: All buffers; their offsets are set once planned.
        instructions: In running order.
        constants: The bytes of each constant buffer, uint8 [nbytes], by buffer index.
        inputs: Tensor indices, in the contract's order. Their physical shape is the contract's.
        outputs: Tensor indices, in the contract's order. Likewise.
        contract: What the caller's buffers must be.
        arena_bytes: Length of the arena; 0 until planned.
        preprocess: By input name: JSON form of its preprocessing.
        provenance: Tool version, source file's sha256, settings: plain JSON values.
        vectors: Conformance vectors, by which a machine shows that it computes the same bits.
    """

    name: str
    tensors: tuple[Tensor, ...]
    buffers: tuple[Buffer, ...]
    instructions: tuple[Instruction, ...]
    constants: Mapping[int, np.ndarray]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    contract: Contract
    arena_bytes: int = 0
    preprocess: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)
    vectors: Vectors = Vectors()

    @property
    def computed(self) -> tuple[int, ...]:
        """The tensors that are no constants, in order: those that lie in the arena."""
        return tuple(
            index for index, row in enumerate(self.tensors) if not self.buffers[row.buffer].constant
        )

    def last_writes(self) -> list[int]:
        """Return for each tensor the last instruction that writes its buffer; -1 for none."""
        by_buffer = {
            self.tensors[index].buffer: at
            for at, step in enumerate(self.instructions)
            for index in step.outputs
        }
        return [by_buffer.get(row.buffer, -1) for row in self.tensors]

    def constant(self, tensor: int) -> np.ndarray:
        """Return a constant tensor's array in its physical shape, a view."""
        row = self.tensors[tensor]
        return self.constants[row.buffer].view(row.dtype).reshape(row.shape)
