"""Does the structure change when a network is compiled? What became of each source layer.

Facts first (`changes_of`), then their renderings: text here, SVG in `bittrue.report.changes_svg`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bittrue.compiler.plan import lifetimes
from bittrue.compiler.program import Program
from bittrue.passes.history import History
from bittrue.report.tables import shape, size, table

SCHEMA = "bittrue.changes/1"
#: Fate of a node whose bytes stay where they are: lowering gives its tensor another shape only.
RELABELLED = "relabelled"


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


@dataclass(frozen=True, slots=True)
class Layer:
    """What became of one source node.

    Args:
        source: Its name in the source.
        op: Its operator.
        fate: One of `bittrue.passes.history.FATES`, or RELABELLED.
        steps: The passes that changed it, in order.
        details: What each of them did, in words.
        into: The graph nodes that do its work at the end.
        instructions: Numbers of the program's instructions that do its work.
        kinds: Their kinds.
        homes: The tensors that those write.
    """

    source: str
    op: str
    fate: str
    steps: tuple[str, ...]
    details: tuple[str, ...]
    into: tuple[str, ...]
    instructions: tuple[int, ...]
    kinds: tuple[str, ...]
    homes: tuple[Home, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of a network when it was compiled.

    Args:
        name: The network's name.
        layers: One a source node, in running order.
        instructions: How many instructions the program has.
        arena_bytes: Length of the arena.
        tensor_bytes: What the tensors would take without reuse.
    """

    name: str
    layers: tuple[Layer, ...]
    instructions: int
    arena_bytes: int
    tensor_bytes: int

    @property
    def changed(self) -> bool:
        """Whether the program that runs has another structure than the source."""
        return any(layer.fate != "kept" or len(layer.instructions) != 1 for layer in self.layers)

    def counts(self) -> dict[str, int]:
        """Return how many layers have each fate, most frequent first."""
        fates = [layer.fate for layer in self.layers]
        return {
            fate: fates.count(fate) for fate in sorted(set(fates), key=fates.count, reverse=True)
        }


def changes_of(program: Program, history: History) -> Changes:
    """Return what became of each source node: through the passes, and in the program.

    Args:
        program: The planned program.
        history: What the float passes did.
    """
    homes = _homes(program)
    by_source: dict[str, list[int]] = {}
    for at, row in enumerate(program.instructions):
        for source in row.origin:
            by_source.setdefault(source, []).append(at)
    layers = tuple(
        _layer(program, history, source, by_source.get(source, []), homes)
        for source in history.sources
    )
    arena = [row.nbytes for row in program.buffers if not row.constant]
    return Changes(program.name, layers, len(program.instructions), program.arena_bytes, sum(arena))


def _layer(
    program: Program,
    history: History,
    source: str,
    instructions: list[int],
    homes: Mapping[int, Home],
) -> Layer:
    trail = [change for change in history.trail(source) if change.fate != "kept"]
    into = history.final.get(source, ())
    fate = history.fate(source)
    if into and not instructions:
        fate = RELABELLED
    written = dict.fromkeys(
        index for at in instructions for index in program.instructions[at].outputs
    )
    return Layer(
        source=source,
        op=history.sources[source],
        fate=fate,
        steps=tuple(dict.fromkeys(change.stage_or_pass for change in trail)),
        details=tuple(change.detail for change in trail),
        into=into,
        instructions=tuple(instructions),
        kinds=tuple(dict.fromkeys(program.instructions[at].kind for at in instructions)),
        homes=tuple(homes[index] for index in written),
    )


def _homes(program: Program) -> dict[int, Home]:
    """Return where each tensor of the arena lives, and with what it shares its bytes."""
    lives = {life.buffer: life for life in lifetimes(program)}
    arena = [index for index, row in enumerate(program.buffers) if not row.constant]
    names: dict[int, list[str]] = {index: [] for index in arena}
    for row in program.tensors:
        if row.buffer in names:
            names[row.buffer].append(row.name)
    found: dict[int, Home] = {}
    sharing = {index: _sharing(program, index, arena) for index in arena}
    for index, row in enumerate(program.tensors):
        if row.buffer not in names:
            continue
        others = [name for other in sharing[row.buffer] for name in names[other]]
        life = lives[row.buffer]
        found[index] = Home(
            row.name,
            row.dtype,
            row.shape,
            row.nbytes,
            program.buffers[row.buffer].offset,
            life.first,
            life.last,
            tuple(name for name in others if name != row.name),
        )
    return found


def _sharing(program: Program, index: int, arena: Sequence[int]) -> list[int]:
    """Return the buffers (this one too) that overlap a buffer's place in the arena."""
    own = program.buffers[index]
    return [
        other
        for other in arena
        if program.buffers[other].offset < own.offset + own.nbytes
        and own.offset < program.buffers[other].offset + program.buffers[other].nbytes
    ]


# --- text and JSON ---------------------------------------------------------------------------


def changes_text(found: Changes) -> str:
    """Return the table of layers, and the answer to the question in words."""
    counts = ", ".join(f"{number} {fate}" for fate, number in found.counts().items())
    saved = 1 - found.arena_bytes / found.tensor_bytes if found.tensor_bytes else 0.0
    answer = "yes, the structure changes" if found.changed else "no, the structure is the source's"
    return "\n".join(
        [
            table(
                ("source layer", "op", "fate", "by", "runs as", "dtype", "bytes", "arena at"),
                [_row(layer) for layer in found.layers],
                right=("bytes", "arena at"),
            ),
            "",
            f"{answer}: {len(found.layers)} source layers ({counts}) run as "
            f"{found.instructions} instructions.",
            f"memory: {size(found.arena_bytes)} of arena for {size(found.tensor_bytes)} of tensors"
            f" ({saved:.0%} saved by reuse); `--proof` shows that no two live ones overlap.",
        ]
    )


def _row(layer: Layer) -> tuple[str, ...]:
    runs = ", ".join(f"{kind}" for kind in layer.kinds)
    if layer.instructions:
        runs += f" #{layer.instructions[0]}"
        if len(layer.instructions) > 1:
            runs += f"..{layer.instructions[-1]}"
    last = layer.homes[-1] if layer.homes else None
    return (
        layer.source,
        layer.op,
        layer.fate,
        ", ".join(layer.steps) or ("lower" if layer.fate == RELABELLED else "-"),
        runs or "-",
        "-" if last is None else f"{last.dtype} {shape(last.shape)}",
        "-" if last is None else f"{last.nbytes:,}",
        "-" if last is None else f"{last.offset:,}",
    )


def changes_json(found: Changes) -> dict[str, object]:
    """Return the facts as plain JSON values."""
    return {
        "name": found.name,
        "changed": found.changed,
        "counts": found.counts(),
        "instructions": found.instructions,
        "arena_bytes": found.arena_bytes,
        "tensor_bytes": found.tensor_bytes,
        "layers": [asdict(layer) for layer in found.layers],
    }
