"""The memory plan: where each buffer lies in the arena, and the proof that none is overwritten.

Time is counted in instructions: -1 is when the caller fills the inputs, n (the number of
instructions) is when it fetches the outputs. A buffer is alive from the first instruction that
writes it to the last that touches it; two buffers alive at one moment share no byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from bittrue.compiler.program import ALIGNMENT, Buffer, Instruction, Program, aligned

# --- unused parts ----------------------------------------------------------------------------


def pruned(program: Program) -> Program:
    """Return the program without instructions, tensors and buffers that no output needs.

    Inputs stay, whether read or not.
    """
    steps, used = _needed_steps(program)
    tensors = [index for index, row in enumerate(program.tensors) if row.buffer in used]
    buffers = sorted(used)
    new_tensor = {old: new for new, old in enumerate(tensors)}
    new_buffer = {old: new for new, old in enumerate(buffers)}

    def renumbered(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(new_tensor[index] for index in indices)

    return replace(
        program,
        tensors=tuple(
            replace(program.tensors[old], buffer=new_buffer[program.tensors[old].buffer])
            for old in tensors
        ),
        buffers=tuple(program.buffers[old] for old in buffers),
        instructions=tuple(
            replace(step, inputs=renumbered(step.inputs), outputs=renumbered(step.outputs))
            for step in steps
        ),
        constants={new_buffer[old]: a for old, a in program.constants.items() if old in used},
        inputs=renumbered(program.inputs),
        outputs=renumbered(program.outputs),
    )


def _needed_steps(program: Program) -> tuple[list[Instruction], set[int]]:
    """Return the instructions that some output needs, and every buffer in use."""
    used = {program.tensors[index].buffer for index in program.outputs}
    kept: list[Instruction] = []
    for step in reversed(program.instructions):
        if any(program.tensors[index].buffer in used for index in step.outputs):
            kept.append(step)
            used |= {program.tensors[index].buffer for index in step.inputs}
    used |= {program.tensors[index].buffer for index in program.inputs}
    return kept[::-1], used


# --- planning --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a buffer of the arena is alive: instructions first to last, both included."""

    buffer: int
    nbytes: int
    first: int
    last: int


def lifetimes(program: Program) -> list[Lifetime]:
    """Return the lifetime of every arena buffer, in the order of the buffers."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for at, index in _touches(program):
        buffer = program.tensors[index].buffer
        first.setdefault(buffer, at)
        last[buffer] = at
    return [
        Lifetime(index, buffer.nbytes, first.get(index, -1), last.get(index, -1))
        for index, buffer in enumerate(program.buffers)
        if not buffer.constant
    ]


def _touches(program: Program) -> Iterator[tuple[int, int]]:
    """Yield (moment, tensor) for every time a tensor is touched."""
    yield from ((-1, index) for index in program.inputs)
    for at, step in enumerate(program.instructions):
        yield from ((at, index) for index in (*step.inputs, *step.outputs))
    yield from ((len(program.instructions), index) for index in program.outputs)


#: The orders in which buffers are given a place; the best of them is taken.
ORDERS: dict[str, Callable[[Lifetime], tuple[int, ...]]] = {
    "size": lambda life: (-life.nbytes, life.first, life.buffer),
    "time": lambda life: (life.first, -life.nbytes, life.buffer),
    "area": lambda life: (-life.nbytes * (life.last - life.first + 1), life.buffer),
}


def place(lives: list[Lifetime]) -> dict[int, int]:
    """Return an offset for each buffer: each order tried greedily, the smallest arena taken.

    Args:
        lives: Of all arena buffers.
    """
    plans = [_greedy(sorted(lives, key=order)) for order in ORDERS.values()]
    sizes = {life.buffer: life.nbytes for life in lives}
    return min(plans, key=lambda offsets: _end(offsets, sizes))


def _greedy(lives: list[Lifetime]) -> dict[int, int]:
    """Give each buffer in turn the lowest place that is free during its life."""
    offsets: dict[int, int] = {}
    placed: list[tuple[int, int, Lifetime]] = []  # start, end, whose; sorted by start
    for life in lives:
        offset = 0
        for start, end, other in placed:
            if other.first > life.last or life.first > other.last:
                continue
            if start >= offset + life.nbytes:
                break
            offset = max(offset, aligned(end))
        offsets[life.buffer] = offset
        placed.append((offset, offset + life.nbytes, life))
        placed.sort(key=lambda item: item[:2])
    return offsets


def _end(offsets: dict[int, int], sizes: dict[int, int]) -> int:
    return max((offset + sizes[buffer] for buffer, offset in offsets.items()), default=0)


def plan(program: Program) -> Program:
    """Return the program with a place for each buffer.

    Arena buffers share bytes where their lives do not meet; constants lie one after the other.
    All offsets are multiples of ALIGNMENT.
    """
    lives = lifetimes(program)
    offsets = place(lives)
    arena = aligned(_end(offsets, {life.buffer: life.nbytes for life in lives}))
    buffers: list[Buffer] = []
    constants = 0
    for index, buffer in enumerate(program.buffers):
        start = aligned(constants) if buffer.constant else offsets[index]
        buffers.append(replace(buffer, offset=start))
        if buffer.constant:
            constants = start + buffer.nbytes
    return replace(program, buffers=tuple(buffers), arena_bytes=arena)


# --- what lies where -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlacedBuffer:
    """One buffer of the arena.

    Args:
        buffer: Index in the program.
        offset: First byte.
        nbytes: Length.
        first: First moment at which it is alive.
        last: Last moment.
        names: The tensors that view it.
    """

    buffer: int
    offset: int
    nbytes: int
    first: int
    last: int
    names: tuple[str, ...]


def placed_buffers(program: Program) -> tuple[PlacedBuffer, ...]:
    """Return every arena buffer of a planned program, in the order of the buffers."""
    names = _names(program)
    return tuple(
        PlacedBuffer(
            life.buffer,
            program.buffers[life.buffer].offset,
            life.nbytes,
            life.first,
            life.last,
            names[life.buffer],
        )
        for life in lifetimes(program)
    )


def _names(program: Program) -> list[tuple[str, ...]]:
    """Return for each buffer the names of the tensors that view it."""
    found: list[list[str]] = [[] for _ in program.buffers]
    for row in program.tensors:
        found[row.buffer].append(row.name)
    return [tuple(names) for names in found]


@dataclass(frozen=True, slots=True)
class Home:
    """Where a tensor lives.

    Args:
        tensor: Its name.
        dtype: Its element type.
        shape: Physical shape.
        nbytes: Its length.
        offset: In the arena.
        first: The instruction that writes it first; -1 for an input.
        last: The last instruction that reads or writes it.
        shares_with: Tensors that use some of the same bytes at other times, or view the same ones.
    """

    tensor: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    offset: int
    first: int
    last: int
    shares_with: tuple[str, ...]


def homes(program: Program) -> dict[int, Home]:
    """Return by tensor where each computed one of a planned program lives."""
    places = {row.buffer: row for row in placed_buffers(program)}
    sharing = {index: _sharing(row, places.values()) for index, row in places.items()}
    found: dict[int, Home] = {}
    for index in program.computed:
        row = program.tensors[index]
        at = places[row.buffer]
        others = tuple(name for name in sharing[row.buffer] if name != row.name)
        place = (at.offset, at.first, at.last)
        found[index] = Home(row.name, row.dtype, row.shape, row.nbytes, *place, others)
    return found


def _sharing(own: PlacedBuffer, places: Iterable[PlacedBuffer]) -> list[str]:
    """Return the tensors of the buffers (its own too) that lie on a buffer's bytes."""
    return [
        name
        for row in places
        if row.offset < own.offset + own.nbytes and own.offset < row.offset + row.nbytes
        for name in row.names
    ]


# --- the proof -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """What a plan does with the arena, worked out anew from the program alone.

    Args:
        buffers: Every arena buffer.
        total: Sum of all buffers' bytes: the arena without reuse.
        lower_bound: Most bytes alive at one moment, each buffer on its own multiple of ALIGNMENT:
            no plan needs less.
        arena: Bytes of the plan's arena.
        pairs: How many pairs alive at one moment were compared.
        overlaps: Pairs of buffers that are alive at one moment and share bytes; empty if right.
        outside: Buffers that do not lie within the arena; empty if right.
    """

    buffers: tuple[PlacedBuffer, ...]
    total: int
    lower_bound: int
    arena: int
    pairs: int
    overlaps: tuple[tuple[int, int], ...]
    outside: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether the plan overwrites nothing that is still needed."""
        return not self.overlaps and not self.outside


def proof(program: Program) -> Proof:
    """Return the proof of a planned program.

    Lives come from a backward walk over sets of live buffers, not from the planner: a buffer is
    alive before an instruction that reads it, and until then back to its first writer.
    """
    arena = [index for index, buffer in enumerate(program.buffers) if not buffer.constant]
    row_of = {buffer: row for row, buffer in enumerate(arena)}
    alive = _alive_matrix(program, row_of)  # [buffers, moments]
    starts = np.array([program.buffers[index].offset for index in arena], np.int64)
    sizes = np.array([program.buffers[index].nbytes for index in arena], np.int64)
    ends = starts + sizes
    pairs, overlaps = 0, []
    for row in range(len(arena)):
        later = slice(row + 1, None)
        meets = (alive[row] & alive[later]).any(1)
        shares = (starts[row] < ends[later]) & (starts[later] < ends[row])
        pairs += int(meets.sum())
        overlaps += [(arena[row], arena[row + 1 + k]) for k in np.flatnonzero(meets & shares)]
    names = _names(program)
    padded = -(-sizes // ALIGNMENT) * ALIGNMENT
    outside = np.flatnonzero((starts < 0) | (ends > program.arena_bytes))
    return Proof(
        buffers=tuple(
            PlacedBuffer(index, int(starts[row]), int(sizes[row]), *_span(alive[row]), names[index])
            for index, row in row_of.items()
        ),
        total=int(sizes.sum()),
        lower_bound=int((alive * padded[:, None]).sum(0).max(initial=0)),
        arena=program.arena_bytes,
        pairs=pairs,
        overlaps=tuple(overlaps),
        outside=tuple(arena[row] for row in outside),
    )


def _alive_matrix(program: Program, row_of: dict[int, int]) -> np.ndarray:
    """Return bool [buffers, n + 2]: whether a buffer is alive at moments -1 to n."""
    count = len(program.instructions)
    alive = np.zeros((len(row_of), count + 2), np.bool_)

    def rows(tensors: tuple[int, ...]) -> set[int]:
        buffers = (program.tensors[index].buffer for index in tensors)
        return {row_of[buffer] for buffer in buffers if buffer in row_of}

    first_write: dict[int, int] = dict.fromkeys(rows(program.inputs), -1)
    for at, step in enumerate(program.instructions):
        for row in rows(step.outputs):
            first_write.setdefault(row, at)
    live = rows(program.outputs)
    alive[list(live), count + 1] = True
    for at in range(count - 1, -1, -1):
        step = program.instructions[at]
        # What is written here or read here is alive now; before, all but what starts here.
        now = live | rows(step.inputs) | rows(step.outputs)
        alive[list(now), at + 1] = True
        live = {row for row in now if first_write.get(row, -1) != at}
    alive[list(live | rows(program.inputs)), 0] = True
    return alive


def _span(alive: np.ndarray) -> tuple[int, int]:
    moments = np.flatnonzero(alive)
    return (int(moments[0]) - 1, int(moments[-1]) - 1) if moments.size else (-1, -1)
