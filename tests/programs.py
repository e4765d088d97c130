"""Programs by hand: tensors, constants and steps, one after the other."""

from __future__ import annotations

import numpy as np

from bittrue.compiler.instructions import BY_NAME
from bittrue.compiler.program import ALIGNMENT, Buffer, Instruction, Program, Tensor
from bittrue.contract.tensor import Contract, TensorContract


class Builder:
    """Collects tensors and steps; every tensor has a buffer of its own, one after the other.

    Codes stand for values by a scale of 0.5; nodes, origins, preprocessing and metadata are made
    up, so that every section of a file has something in it.
    """

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.buffers: list[Buffer] = []
        self.steps: list[Instruction] = []
        self.constants: dict[int, np.ndarray] = {}
        self._ends = {False: 0, True: 0}

    def _place(self, nbytes: int, constant: bool) -> int:
        start = -(-self._ends[constant] // ALIGNMENT) * ALIGNMENT
        self.buffers.append(Buffer(nbytes, constant, start))
        self._ends[constant] = start + nbytes
        return len(self.buffers) - 1

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def tensor(self, shape: tuple[int, ...], dtype: str = "uint8", name: str = "") -> int:
        """Add a tensor of the arena; return its index. Without a name it is called by that."""
        name = name or f"t{len(self.tensors)}"
        scale = (0.5,) if dtype == "uint8" else ()
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        buffer = self._place(nbytes, False)
        return self._add(Tensor(name, dtype, shape, buffer, (), scale, 0, (f"source {name}",)))

    def alias(self, tensor: int, shape: tuple[int, ...]) -> int:
        """Add a tensor of another shape on the buffer of an old one; return its index."""
        old = self.tensors[tensor]
        return self._add(Tensor(f"t{len(self.tensors)}", old.dtype, shape, old.buffer))

    def constant(self, array: np.ndarray, name: str = "") -> int:
        """Add a constant; return its index."""
        buffer = self._place(array.nbytes, True)
        self.constants[buffer] = np.frombuffer(array.tobytes(), np.uint8)
        name = name or f"t{len(self.tensors)}"
        return self._add(Tensor(name, array.dtype.name, array.shape, buffer))

    def step(self, kind: str, inputs: tuple[int, ...], output: int, **params: int) -> None:
        """Add an instruction; parameters that are not given are 0."""
        values = tuple(params.pop(name, 0) for name in BY_NAME[kind].params)
        assert not params, f"{kind} has no {', '.join(params)}"
        step = Instruction(kind, inputs, (output,), values, f"node {len(self.steps)}", ("layer",))
        self.steps.append(step)

    def program(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Program:
        """Return what was added, as a program with these ports."""
        ports = (tuple(self._contract(index) for index in side) for side in (inputs, outputs))
        return Program(
            "small",
            tuple(self.tensors),
            tuple(self.buffers),
            tuple(self.steps),
            self.constants,
            inputs,
            outputs,
            Contract(*ports),
            -(-self._ends[False] // ALIGNMENT) * ALIGNMENT,
            {"x": {"resize": "bilinear"}},
            {"tool": "bittrue", "seed": 1},
        )

    def _contract(self, index: int) -> TensorContract:
        tensor = self.tensors[index]
        scale = tensor.scale[0] if tensor.scale else None
        return TensorContract(tensor.name, tensor.shape, tensor.dtype, "NHWC", scale=scale)
