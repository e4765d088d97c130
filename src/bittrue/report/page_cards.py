"""The layers in words, for the HTML report: boxes, bars, lines of the table, and cards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bittrue.report.page_facts import PageFacts
from bittrue.report.page_layers import Layer
from bittrue.report.page_words import decibels, height, level, number
from bittrue.report.tables import shape
from bittrue.report.visible import one_line

#: Which colour of a stacked bar each part of an error has, in its order.
SHARE_ORDER = ("weights", "bias", "rounding", "clipping", "requantisation", "table", "inherited")


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer in words: its box, its bar and its line of the table."""

    name: str
    op: str
    shape: str
    path: str
    own: str
    path_short: str
    own_short: str
    path_level: str
    own_level: str
    path_height: float
    own_height: float
    path_sort: str
    own_sort: str
    max_abs: str
    chief: str
    is_end: bool


def layer_rows(facts: PageFacts) -> tuple[LayerRow, ...]:
    """Return the layers in words."""
    return tuple(_row(row, at in facts.outputs) for at, row in enumerate(facts.layers))


def name_of(row: Layer) -> str:
    """Return what a layer is called: as the source calls it, or as we do."""
    return one_line(row.drawn.name) or one_line(row.drawn.tensor)


def _row(row: Layer, is_end: bool) -> LayerRow:
    path, own = row.path_db, row.own_db
    return LayerRow(
        name_of(row),
        one_line(row.drawn.op),
        shape(row.drawn.shape),
        decibels(path),
        decibels(own),
        decibels(path, ""),
        decibels(own, ""),
        level(path),
        level(own),
        height(path),
        height(own),
        _sortable(path),
        _sortable(own),
        "" if row.path is None else f"{row.path.max_abs:.4g}",
        _chief(row),
        is_end,
    )


def _sortable(value: float | None) -> str:
    """Return a figure that sorts as a number, empty (last) where there is none."""
    if value is None or math.isnan(value):
        return ""
    return f"{min(max(value, -1e6), 1e6):.4g}"


def _chief(row: Layer) -> str:
    """Return what most of a layer's error is made of."""
    if row.error is None or not any(row.error.shares.values()):
        return ""
    name, share = max(row.error.shares.items(), key=lambda item: item[1])
    return f"{share:.0%} {name}"


# --- the cards -----------------------------------------------------------------------------------


def page_data(facts: PageFacts) -> dict[str, object]:
    """Return what the page's script makes the layers' cards of, as plain JSON values."""
    return {
        "reference": facts.reference,
        "other": facts.other,
        "own": facts.own,
        "layers": [_card(row) for row in facts.layers],
    }


def _card(row: Layer) -> dict[str, object]:
    drawn = row.drawn
    return {
        "n": name_of(row),
        "op": one_line(drawn.op),
        "t": one_line(drawn.tensor),
        "o": [one_line(name) for name in (*drawn.origin, *drawn.sources)],
        "s": shape(drawn.shape),
        "r": list(drawn.reads),
        "p": decibels(row.path_db),
        "w": decibels(row.own_db),
        "pl": level(row.path_db),
        "wl": level(row.own_db),
        "pv": _json_number(row.path_db),
        "wv": _json_number(row.own_db),
        "x": _note(row),
        "e": _shares(row),
        "h": _histogram(row),
        "a": _spread(row, "reference"),
        "b": _spread(row, "other"),
        "k": _more(row),
    }


def _json_number(value: float | None) -> float | None:
    return None if not _sortable(value) else float(_sortable(value))


def _note(row: Layer) -> str:
    if row.error is not None and row.error.inherited_from:
        return f"passes on the error of {one_line(row.error.inherited_from)}"
    return row.problem


def _shares(row: Layer) -> list[list[object]]:
    """Return colour, name and percent of each part of the error, in the order of the colours."""
    shares: Mapping[str, float] = row.error.shares if row.error else {}
    if not any(shares.values()):
        return []
    return [
        [at % 7, name, round(100 * shares.get(name, 0.0), 1)]
        for at, name in enumerate(dict.fromkeys((*SHARE_ORDER, *shares)))
    ]


def _histogram(row: Layer) -> list[object] | None:
    found = row.histogram
    if found is None:
        return None
    most = math.log1p(max((*found.reference, *found.other, 1)))
    heights = [
        [round(100 * math.log1p(count) / most) for count in side]
        for side in (found.reference, found.other)
    ]
    return [number(found.low), number(found.high), *heights]


def _spread(row: Layer, side: str) -> list[str]:
    found = row.reference if side == "reference" else row.other
    if found is None:
        return []
    return [number(value) for value in (found.low, found.high, found.mean, found.deviation)]


def _more(row: Layer) -> list[list[str]]:
    """Return the further facts of a card: name and value."""
    found: list[tuple[str, str]] = []
    if row.path is not None:
        found.append(("max abs", number(row.path.max_abs)))
        found.append(("cosine", f"{row.path.cosine:.6f}"))
        found.append(("differing", f"{row.path.differing:,} of {row.path.elements:,}"))
    if row.error is not None and row.error.clipped:
        found.append(("clipped", f"{row.error.clipped:.3%} of the values"))
    if row.error is not None and row.error.dead_channels:
        found.append(("dead channels", str(row.error.dead_channels)))
    found.append(("tensor", one_line(row.drawn.tensor)))
    found += [("source layers", ", ".join(map(one_line, row.drawn.origin)))] * bool(
        row.drawn.origin
    )
    return [list(pair) for pair in found]
