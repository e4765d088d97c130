"""The picture of what became of each layer: source, program, and memory over time, as one SVG.

Rows are instructions from top to bottom. Left stand the source's layers, coloured by their fate,
each joined to the instructions that do its work. Right is the arena: a bar a buffer, as wide as
its bytes, from the instruction that first writes it to the last that reads it. Bars never overlap.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from bittrue.compiler.plan import placed_buffers
from bittrue.compiler.program import Program
from bittrue.report.changes import Changes
from bittrue.report.tables import size

ROW = 16
LEFT, MIDDLE, MEMORY, MEMORY_WIDTH = 20, 470, 760, 480
COLOURS = {
    "kept": "#4c9f70",
    "fused": "#3b7dd8",
    "folded": "#9a6dd7",
    "removed": "#b0b0b0",
    "split": "#e08e2b",
    "rewritten": "#2aa5a0",
    "relabelled": "#c9b458",
}


def changes_svg(found: Changes, program: Program) -> str:
    """Return the picture as SVG text.

    Args:
        found: What became of each layer.
        program: The program that the facts were taken from.
    """
    rows = max(len(found.layers), len(program.instructions), 1)
    height, width = (rows + 6) * ROW, MEMORY + MEMORY_WIDTH + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="10">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_heading(found),
        *_links(found, program, rows),
        *_layers(found, rows),
        *_instructions(program, rows),
        *_memory(program, rows),
        "</svg>",
    ]
    return "\n".join(parts)


def _y(index: int, count: int, rows: int) -> float:
    """Return the middle of row `index` where `count` rows share the whole height."""
    return (4.5 + index * rows / max(count, 1)) * ROW


def _text(x: float, y: float, words: str, *, bold: bool = False, tip: str = "") -> str:
    weight = ' font-weight="bold"' if bold else ""
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<text x="{x:.1f}" y="{y + 3:.1f}"{weight}>{title}{escape(words)}</text>'


def _short(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: length // 2 - 1]}…{name[-length // 2 :]}"


def _heading(found: Changes) -> list[str]:
    parts = [_text(LEFT, ROW, f"{found.name}: what became of each layer", bold=True)]
    x = float(LEFT)
    for fate, number in found.counts().items():
        parts.append(f'<circle cx="{x + 4:.1f}" cy="{2 * ROW}" r="4" fill="{COLOURS[fate]}"/>')
        parts.append(_text(x + 12, 2 * ROW, f"{fate} {number}"))
        x += 92
    parts.append(_text(LEFT, 3.4 * ROW, "source layers", bold=True))
    parts.append(_text(MIDDLE, 3.4 * ROW, "instructions", bold=True))
    memory = f"arena, {size(found.arena_bytes)} (time runs down)"
    return [*parts, _text(MEMORY, 3.4 * ROW, memory, bold=True)]


def _links(found: Changes, program: Program, rows: int) -> list[str]:
    parts = []
    for index, layer in enumerate(found.layers):
        y = _y(index, len(found.layers), rows)
        for at in layer.instructions:
            other = _y(at, len(program.instructions), rows)
            middle = (LEFT + 330 + MIDDLE) / 2
            parts.append(
                f'<path d="M{LEFT + 330},{y:.1f} C{middle},{y:.1f} {middle},{other:.1f} '
                f'{MIDDLE - 6},{other:.1f}" fill="none" stroke="{COLOURS[layer.fate]}" '
                'stroke-opacity="0.5"/>'
            )
    return parts


def _layers(found: Changes, rows: int) -> list[str]:
    parts = []
    for index, layer in enumerate(found.layers):
        y = _y(index, len(found.layers), rows)
        tip = "; ".join(layer.details) or layer.fate
        parts.append(f'<circle cx="{LEFT + 4}" cy="{y:.1f}" r="4" fill="{COLOURS[layer.fate]}"/>')
        parts.append(_text(LEFT + 14, y, f"{layer.op} {_short(layer.source, 44)}", tip=tip))
    return parts


def _instructions(program: Program, rows: int) -> list[str]:
    parts = []
    for at, row in enumerate(program.instructions):
        tip = f"{row.kind} {row.name} from {', '.join(row.origin)}"
        y = _y(at, len(program.instructions), rows)
        parts.append(_text(MIDDLE, y, f"{at} {row.kind} {_short(row.name, 30)}", tip=tip))
    return parts


def _memory(program: Program, rows: int) -> list[str]:
    scale = MEMORY_WIDTH / max(program.arena_bytes, 1)
    count = len(program.instructions)
    parts = []
    for row in placed_buffers(program):
        top = _y(max(row.first, 0), count, rows) - ROW / 2
        bottom = _y(min(row.last, count - 1), count, rows) + ROW / 2
        tip = f"{', '.join(row.names)}: {row.nbytes:,} bytes at {row.offset:,}"
        parts.append(
            f'<rect x="{MEMORY + row.offset * scale:.2f}" y="{top:.1f}" '
            f'width="{max(row.nbytes * scale, 0.5):.2f}" height="{max(bottom - top, 1):.1f}" '
            f'fill="hsl({row.buffer * 47 % 360},55%,72%)" stroke="#555" stroke-width="0.4">'
            f"<title>{escape(tip)}</title></rect>"
        )
    return parts
