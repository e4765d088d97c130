"""What every program must be before anything runs it, whoever made it: the compiler or a file.

The rules are those of docs/format.md. The reader of files turns a problem into a FormatError with
its byte; the compiler turns one into an InternalError. All sizes are Python's whole numbers, so no
product below can overflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bittrue.compiler.constant_values import ConstantValues
from bittrue.compiler.instruction_rules import instruction_problems
from bittrue.compiler.instructions import BY_NAME, InstructionKind
from bittrue.compiler.limits import (
    BYTES_MAX,
    COUNT_MAX,
    DIM_MAX,
    IO_MAX,
    NAME_BYTES_MAX,
    RANK_MAX,
)
from bittrue.compiler.program import ALIGNMENT, Instruction, Program, Tensor
from bittrue.dtypes import DTYPES
from bittrue.errors import InternalError

FLOAT32_MAX = float(np.finfo(np.float32).max)

Place = Literal["program", "buffer", "tensor", "io", "instruction"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule.

    Args:
        place: Which list it is in.
        index: Position in that list; for "io" in the inputs followed by the outputs.
        message: The rule that is broken, with its values.
    """

    place: Place
    index: int
    message: str


def verify_program(program: Program) -> None:
    """Check a program of ours.

    Raises:
        InternalError: if any rule is broken; the first ten are listed.
    """
    found = [f"{item.place} {item.index}: {item.message}" for item in problems(program)]
    if found:
        raise InternalError(f"program {program.name!r} is broken:\n  " + "\n  ".join(found[:10]))


def problems(program: Program) -> Iterator[Problem]:
    """Yield every rule that a program breaks; rules on what is broken already are not tried.

    Offsets of -1 (not planned yet) are accepted in arena buffers while `arena_bytes` is 0.
    """
    first = list(_structure(program))
    yield from first
    if first:
        return
    yield from _network_ends(program)
    values = ConstantValues(program)
    for index, step in enumerate(program.instructions):
        for message in instruction_problems(program, step, values):
            yield Problem("instruction", index, f"{step.kind} {step.name!r}: {message}")


# --- lists -----------------------------------------------------------------------------------


def _structure(program: Program) -> Iterator[Problem]:
    counts = (len(program.tensors), len(program.buffers), len(program.instructions))
    if max(counts) > COUNT_MAX:
        yield Problem("program", 0, f"{max(counts)} entries in one list, at most {COUNT_MAX}")
    for index, _ in enumerate(program.buffers):
        for message in _buffer(program, index):
            yield Problem("buffer", index, message)
    names: set[str] = set()
    for index, tensor in enumerate(program.tensors):
        for message in _tensor(program, tensor):
            yield Problem("tensor", index, message)
        if tensor.name in names:
            yield Problem("tensor", index, f"a second tensor is called {tensor.name!r}")
        names.add(tensor.name)
    for index, tensor_index in enumerate((*program.inputs, *program.outputs)):
        if not 0 <= tensor_index < len(program.tensors):
            yield Problem("io", index, f"tensor {tensor_index} of {len(program.tensors)}")
    for index, step in enumerate(program.instructions):
        for message in _counts(program, step):
            yield Problem("instruction", index, message)


def _buffer(program: Program, index: int) -> Iterator[str]:
    buffer = program.buffers[index]
    if not 1 <= buffer.nbytes <= BYTES_MAX:
        yield f"{buffer.nbytes} bytes, not 1 to 2^40"
    planned = buffer.offset >= 0
    if planned and buffer.offset % ALIGNMENT:
        yield f"offset {buffer.offset} is no multiple of {ALIGNMENT}"
    if not buffer.constant and planned != (program.arena_bytes > 0):
        yield f"offset {buffer.offset}, while the arena has {program.arena_bytes} bytes"
    if not buffer.constant and planned and buffer.offset + buffer.nbytes > program.arena_bytes:
        end = buffer.offset + buffer.nbytes
        yield f"ends at {end}, the arena has {program.arena_bytes} bytes"
    if buffer.constant:
        array = program.constants.get(index)
        held = None if array is None else array.nbytes
        if held != buffer.nbytes:
            yield f"{buffer.nbytes} bytes of constants are promised, {held} are there"


def _tensor(program: Program, tensor: Tensor) -> Iterator[str]:
    if tensor.dtype not in DTYPES or not DTYPES[tensor.dtype].code:
        yield f"type {tensor.dtype!r} cannot be in a program"
        return
    if not 1 <= len(tensor.name.encode()) <= NAME_BYTES_MAX:
        yield f"a name of {len(tensor.name.encode())} bytes, not 1 to {NAME_BYTES_MAX}"
    if "\0" in tensor.name:
        yield f"its name {tensor.name!r} has a zero byte"
    if not 1 <= len(tensor.shape) <= RANK_MAX:
        yield f"{len(tensor.shape)} axes, not 1 to {RANK_MAX}"
    if not all(1 <= dim <= DIM_MAX for dim in tensor.shape):
        yield f"shape {list(tensor.shape)} has an axis that is not 1 to 2^31-1"
    if tensor.perm and sorted(tensor.perm) != list(range(len(tensor.shape))):
        yield f"perm {list(tensor.perm)} is no order of {len(tensor.shape)} axes"
    if not 0 <= tensor.zero_point <= 255:
        yield f"zero point {tensor.zero_point} is not 0 to 255"
    if not all(0 < scale <= FLOAT32_MAX and np.float32(scale) > 0 for scale in tensor.scale):
        yield "a scale is not positive and finite as float32"
    if len(tensor.scale) > 1 and len(tensor.scale) not in tensor.shape:
        yield f"{len(tensor.scale)} scales for shape {list(tensor.shape)}"
    if not 0 <= tensor.buffer < len(program.buffers):
        yield f"buffer {tensor.buffer} of {len(program.buffers)}"
    elif tensor.nbytes != program.buffers[tensor.buffer].nbytes:
        held = program.buffers[tensor.buffer].nbytes
        what = f"{tensor.dtype} {list(tensor.shape)}"
        yield f"{what} takes {tensor.nbytes} bytes, its buffer has {held}"


def arity_problems(row: InstructionKind, counts: tuple[int, int, int]) -> Iterator[str]:
    """Yield what is wrong with an instruction's numbers of inputs, outputs and params."""
    inputs, outputs, params = counts
    optional = sum(role.endswith("?") for role in row.inputs)
    if not len(row.inputs) - optional <= inputs <= len(row.inputs):
        yield f"{row.name} has {inputs} inputs, not {len(row.inputs)}"
    if outputs != len(row.outputs):
        yield f"{row.name} has {outputs} outputs, not {len(row.outputs)}"
    if params != len(row.params):
        yield f"{row.name} has {params} params, not {len(row.params)}"


def _counts(program: Program, step: Instruction) -> Iterator[str]:
    row = BY_NAME.get(step.kind)
    if row is None:
        yield f"kind {step.kind!r} is unknown"
        return
    yield from arity_problems(row, (len(step.inputs), len(step.outputs), len(step.params)))
    for index in (*step.inputs, *step.outputs):
        if not 0 <= index < len(program.tensors):
            yield f"{step.kind} uses tensor {index} of {len(program.tensors)}"
    for param in step.params:
        if not -(2**31) <= param < 2**31:
            yield f"{step.kind} has param {param}, which is no int32"


def _network_ends(program: Program) -> Iterator[Problem]:
    """Inputs and outputs: arena, distinct, on distinct buffers, as the contract says."""
    base = 0
    for ends, contract in (
        (program.inputs, program.contract.inputs),
        (program.outputs, program.contract.outputs),
    ):
        if not 1 <= len(ends) <= IO_MAX or len(ends) != len(contract):
            yield Problem("io", base, f"{len(ends)} tensors, {len(contract)} in the contract")
            return
        buffers: set[int] = set()
        for index, (tensor_index, promise) in enumerate(zip(ends, contract, strict=True)):
            tensor = program.tensors[tensor_index]
            if program.buffers[tensor.buffer].constant:
                yield Problem("io", base + index, f"{tensor.name!r} is a constant")
            if tensor.buffer in buffers:
                yield Problem("io", base + index, f"{tensor.name!r} shares its buffer")
            buffers.add(tensor.buffer)
            if (tensor.dtype, tensor.shape) != (promise.dtype, promise.shape):
                yield Problem(
                    "io",
                    base + index,
                    f"{tensor.name!r} is {tensor.dtype} {list(tensor.shape)}, the contract says "
                    f"{promise.dtype} {list(promise.shape)}",
                )
        base += len(ends)
