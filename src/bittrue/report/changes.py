"""Does the structure change when a network is compiled? What became of each source layer.

Facts first (`changes_of`), then their renderings: text here, SVG in `bittrue.report.changes_svg`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bittrue.compiler.plan import Home, homes
from bittrue.compiler.program import Program
from bittrue.passes.history import History
from bittrue.report.tables import shape, size, table

SCHEMA = "bittrue.changes/1"
#: Fate of a node whose bytes stay where they are: lowering gives its tensor another shape only.
RELABELLED = "relabelled"


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
            fate: fates.count(fate)
            # Of equally many, the one that comes first in the network.
            for fate in sorted(dict.fromkeys(fates), key=fates.count, reverse=True)
        }


def changes_of(program: Program, history: History) -> Changes:
    """Return what became of each source node: through the passes, and in the program.

    Args:
        program: The planned program.
        history: What the float passes did.
    """
    places = homes(program)
    by_source: dict[str, list[int]] = {}
    for at, row in enumerate(program.instructions):
        for source in row.origin:
            by_source.setdefault(source, []).append(at)
    layers = tuple(
        _layer(program, history, source, by_source.get(source, []), places)
        for source in history.sources
    )
    arena = [row.nbytes for row in program.buffers if not row.constant]
    return Changes(program.name, layers, len(program.instructions), program.arena_bytes, sum(arena))


def _layer(
    program: Program,
    history: History,
    source: str,
    instructions: list[int],
    places: Mapping[int, Home],
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
        homes=tuple(places[index] for index in written),
    )


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
