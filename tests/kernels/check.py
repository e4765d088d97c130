"""Running one case in the engine, with guard bytes, against the emulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bittrue.compiler.program import ALIGNMENT, Buffer, Program, Tensor
from bittrue.contract.tensor import TensorContract
from bittrue.engines.emulate import Emulator
from tests.kernels.places import place
from tests.kernels.programs import Case

GUARD = 64


def guarded(program: Program) -> Program:
    """Return the program with its output moved into a larger buffer that is input and output too.

    The buffer's bytes before and after the output, up to the next multiple of 64 and 64 more, are
    thereby set before the run and seen after it.
    """
    (output,) = program.outputs
    row = program.tensors[output]
    start = program.arena_bytes + GUARD
    cover = -(-row.nbytes // ALIGNMENT) * ALIGNMENT + 2 * GUARD
    buffers = list(program.buffers)
    buffers[row.buffer] = replace(buffers[row.buffer], offset=start)
    buffers.append(Buffer(cover, False, start - GUARD))
    tensor = Tensor("cover", "uint8", (cover,), len(buffers) - 1)
    promise = TensorContract("cover", (cover,), "uint8")
    contract = replace(
        program.contract,
        inputs=(promise, *program.contract.inputs),
        outputs=(*program.contract.outputs, promise),
    )
    index = len(program.tensors)
    return replace(
        program,
        tensors=(*program.tensors, tensor),
        buffers=tuple(buffers),
        inputs=(index, *program.inputs),
        outputs=(output, index),
        contract=contract,
        arena_bytes=program.arena_bytes + cover,
    )


def check(case: Case, isa: str, threads: int = 1) -> str:
    """Run a case; fail unless every bit is the emulator's and no guard byte has changed.

    Args:
        case: One program and its inputs.
        isa: A name of `tests.kernels.places.place`: an instruction set, or one "@" a CPU.
        threads: That compute.

    Returns:
        The name of the kernel that the last instruction ran by.
    """
    with np.errstate(all="ignore"):
        (want,), _ = Emulator(case.program).run(case.inputs)
    cover = np.random.default_rng(1).integers(
        0, 256, -(-want.nbytes // ALIGNMENT) * ALIGNMENT + 2 * GUARD, np.uint8
    )
    program = guarded(case.program)
    name = isa.partition("@")[0]
    found = place(isa).run(Case(program, (cover, *case.inputs)), name, threads)
    got, after = (np.frombuffer(output, np.uint8) for output in found.outputs)
    kernel = found.kernels[-1]
    about = f"{case.program.instructions[-1]} {want.shape} by {kernel} on {isa}, {threads} threads"
    assert found.isa == name
    wanted = np.frombuffer(want.tobytes(), np.uint8)
    assert np.array_equal(wanted, got), f"{np.sum(wanted != got)} bytes differ: {about}"
    cover[GUARD : GUARD + want.nbytes] = wanted
    assert np.array_equal(after, cover), f"bytes beside the output were written: {about}"
    return kernel
