"""Tables as text, the same whether a terminal or a file reads them."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 160


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
) -> str:
    """Return rows under their columns' names as aligned text.

    Args:
        columns: Names, in order.
        rows: Texts, one a column.
        right: Names of the columns that are set flush right.
    """
    view = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        view.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        view.add_row(*(Text(cell) for cell in row))
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None, legacy_windows=False).print(view)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def size(nbytes: int) -> str:
    """Return a number of bytes for people: exact below 10 kB, else with its unit."""
    if nbytes < 10_000:
        return f"{nbytes} B"
    power = min(3, (len(str(nbytes)) - 1) // 3)
    return f"{nbytes / 1000**power:.2f} {('B', 'kB', 'MB', 'GB')[power]}"


def shape(dims: Sequence[int]) -> str:
    """Return a shape as people write it, for example 1x640x640x3."""
    return "x".join(str(dim) for dim in dims) or "scalar"
