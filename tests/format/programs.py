"""A small program by hand with every kind of section, for the tests of the format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bittrue.compiler.instructions import BY_NAME
from bittrue.compiler.program import (
    ALIGNMENT,
    Buffer,
    Instruction,
    Program,
    Tensor,
    Vector,
    Vectors,
)
from bittrue.compiler.vectors import input_ranges
from bittrue.contract.tensor import Contract, TensorContract


class Builder:
    """Collects tensors and steps; every tensor gets a buffer of its own, one after the other."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.buffers: list[Buffer] = []
        self.steps: list[Instruction] = []
        self.constants: dict[int, np.ndarray] = {}
        self.ends = [0, 0]

    def _place(self, nbytes: int, constant: bool) -> None:
        start = -(-self.ends[constant] // ALIGNMENT) * ALIGNMENT
        self.buffers.append(Buffer(nbytes, constant, start))
        self.ends[constant] = start + nbytes

    def tensor(self, name: str, shape: tuple[int, ...], dtype: str = "uint8") -> int:
        scale = (0.5,) if dtype == "uint8" else ()
        tensor = Tensor(name, dtype, shape, len(self.buffers), (), scale, 0, (f"source {name}",))
        self._place(tensor.nbytes, False)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, name: str, array: np.ndarray) -> int:
        self.tensors.append(Tensor(name, array.dtype.name, array.shape, len(self.buffers)))
        self.constants[len(self.buffers)] = np.frombuffer(array.tobytes(), np.uint8)
        self._place(array.nbytes, True)
        return len(self.tensors) - 1

    def step(self, kind: str, inputs: tuple[int, ...], output: int, **params: int) -> None:
        values = tuple(params.get(name, 0) for name in BY_NAME[kind].params)
        step = Instruction(kind, inputs, (output,), values, f"node {len(self.steps)}", ("layer",))
        self.steps.append(step)

    def program(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Program:
        contract = Contract(
            tuple(self._contract(index) for index in inputs),
            tuple(self._contract(index) for index in outputs),
        )
        return Program(
            "small",
            tuple(self.tensors),
            tuple(self.buffers),
            tuple(self.steps),
            self.constants,
            inputs,
            outputs,
            contract,
            -(-self.ends[0] // ALIGNMENT) * ALIGNMENT,
            {"x": {"resize": "bilinear"}},
            {"tool": "bittrue", "seed": 1},
        )

    def _contract(self, index: int) -> TensorContract:
        tensor = self.tensors[index]
        scale = tensor.scale[0] if tensor.scale else None
        return TensorContract(tensor.name, tensor.shape, tensor.dtype, "NHWC", scale=scale)


WINDOW = {"stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1}


def small_program() -> Program:
    """A convolution 2x2 over 3x3x1 with padding, then a table, then float."""
    made = Builder()
    x = made.tensor("x", (1, 3, 3, 1))
    weight = made.constant("w", np.arange(-4, 4, dtype=np.int8).reshape(2, 2, 2, 1))
    bias = made.constant("b", np.array([[[3, -3]]], np.int32))
    row = made.constant("row", np.zeros(3, np.int32))
    col = made.constant("col", np.zeros(3, np.int32))
    mult = made.constant("m", np.array([0.25, 0.125], np.float32))
    y = made.tensor("y", (1, 3, 3, 2))
    made.step(
        "CONV", (x, weight, bias, row, col, mult), y, **WINDOW, groups=1, zero_point=3, hi=255
    )
    table = made.constant("table", np.arange(255, -1, -1, dtype=np.uint8).reshape(1, 256))
    z = made.tensor("z", (1, 3, 3, 2))
    made.step("TABLE", (y, table), z)
    scale = made.constant("scale", np.array([0.5], np.float32))
    f = made.tensor("f", (1, 3, 3, 2), "float32")
    made.step("DEQUANTIZE", (z, scale), f)
    return made.program((x,), (f, z))


def with_some_vectors(program: Program) -> Program:
    """The program with a random and a highest vector whose hashes mean nothing."""
    count = len(program.computed)
    hashes = tuple(bytes([index]) * 32 for index in range(count))
    rows = (Vector("random", 2**64 - 1, hashes), Vector("highest", 0, hashes))
    return replace(program, vectors=Vectors(input_ranges(program), rows))
