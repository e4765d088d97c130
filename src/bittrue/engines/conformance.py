"""Does this machine compute the bits that the emulator said when the network was compiled?

`with_vectors` asks the emulator, once, on the machine that compiles; `verify` runs the engine on
the machine at hand and compares every tensor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bittrue.compiler.limits import VECTORS_MAX
from bittrue.compiler.program import Program, Vector, Vectors
from bittrue.compiler.vectors import input_ranges, recipes, vector_inputs
from bittrue.engines.emulate import Emulator
from bittrue.engines.native import Engine
from bittrue.errors import UsageError


def with_vectors(program: Program, count: int) -> Program:
    """Return the program with conformance vectors; those that it had are dropped.

    Args:
        program: A planned program.
        count: How many, 0 to 64; each is one run of the emulator.

    Raises:
        UsageError: if the count is another.
    """
    if not 0 <= count <= VECTORS_MAX:
        raise UsageError(
            f"{count} conformance vectors, not 0 to {VECTORS_MAX}", hint="two are enough for most"
        )
    if count == 0:
        return replace(program, vectors=Vectors())
    bare = [Vector(pattern, seed, ()) for pattern, seed in recipes(count)]
    made = replace(program, vectors=Vectors(input_ranges(program), tuple(bare)))
    rows = tuple(replace(row, hashes=_emulated(made, row)) for row in bare)
    return replace(made, vectors=replace(made.vectors, rows=rows))


def _emulated(program: Program, vector: Vector) -> tuple[bytes, ...]:
    wanted = program.computed
    found = Emulator(program).run(vector_inputs(program, vector), wanted)[1]
    return tuple(hashlib.sha256(found[index].data).digest() for index in wanted)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first tensor, in running order, whose bits are not those of the emulator.

    Args:
        vector: Index of the vector.
        pattern: How its inputs are made.
        tensor: Name.
        instruction: Index of the instruction that wrote it last; -1 for an input.
        kind: That instruction's kind; empty for an input.
        node: The graph node that it comes from; likewise.
        kernel: The kernel that computed it; likewise.
        differing: How many tensors differ in that vector, this one included.
    """

    vector: int
    pattern: str
    tensor: str
    instruction: int
    kind: str
    node: str
    kernel: str
    differing: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one instruction set and number of threads gave.

    Args:
        isa: Instruction set.
        threads: Threads that computed, the caller's included.
        vectors: How many were run.
        tensors: How many tensors were compared in each.
        mismatch: The first difference; None where all bits are the same.
    """

    isa: str
    threads: int
    vectors: int
    tensors: int
    mismatch: Mismatch | None


def verify(
    program: Program, data: bytes, isas: Sequence[str], threads: Sequence[int]
) -> Iterator[Verdict]:
    """Run every vector with each instruction set and number of threads.

    Args:
        program: What `data` holds.
        data: The executable.
        isas: Instruction sets that this CPU runs.
        threads: Numbers of threads, each at least 1.

    Yields:
        One verdict for each pair.

    Raises:
        UsageError: if the executable holds no vectors, or this CPU does not run a set.
    """
    if not program.vectors.rows:
        raise UsageError(
            "the executable holds no conformance vectors: there is nothing to compare with",
            where=program.name,
            hint="compile it again with them: bittrue compile model.bta --vectors 2 -o model.bte",
        )
    for isa in isas:
        for count in threads:
            with Engine(data, isa, count) as engine:
                yield _verdict(program, engine)


def _verdict(program: Program, engine: Engine) -> Verdict:
    rows = program.vectors.rows
    found = (_mismatch(program, engine, index) for index in range(len(rows)))
    first = next((item for item in found if item is not None), None)
    counts = (len(rows), len(program.computed))
    return Verdict(engine.isa, engine.threads, *counts, first)


def _mismatch(program: Program, engine: Engine, index: int) -> Mismatch | None:
    vector, wanted = program.vectors.rows[index], program.computed
    inputs = vector_inputs(program, vector)
    taps = engine.run(inputs, wanted)[1]
    # A tap forces its tensor to exist, so the outputs are also compared of a run without any.
    outputs = dict(zip(program.outputs, engine.run(inputs)[0], strict=True))
    differing = [
        tensor
        for tensor, digest in zip(wanted, vector.hashes, strict=True)
        if any(
            hashlib.sha256(run[tensor].data).digest() != digest
            for run in (taps, outputs)
            if tensor in run
        )
    ]
    if not differing:
        return None
    last = program.last_writes()
    first = min(differing, key=lambda tensor: (last[tensor], tensor))
    at = last[first]
    step = program.instructions[at] if at >= 0 else None
    return Mismatch(
        vector=index,
        pattern=vector.pattern,
        tensor=program.tensors[first].name,
        instruction=at,
        kind="" if step is None else step.kind,
        node="" if step is None else step.name,
        kernel="" if step is None else engine.kernels()[at].name,
        differing=len(differing),
    )
