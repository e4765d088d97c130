"""The layers in words, for the HTML report: boxes, bars, lines of the table, and cards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bittrue.report.page_facts import PageFacts
from bittrue.report.page_layers import Layer
from bittrue.report.page_words import bounded, decibels, height, level, named, number
from bittrue.report.tables import shape

#: Layers with a line in the table and a whole card, at most; names of a list that are shown.
WHOLE, NAMES = 400, 12
#: The rest of a card that is not whole.
LEFT_OUT: Mapping[str, object] = {
    **{"t": "", "o": [], "q": [], "e": [], "h": None, "a": [], "b": [], "k": []},
    "x": f"Its figures are left out: the page keeps those of the {WHOLE} layers of most error.",
}
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
    listed: bool


def layer_rows(facts: PageFacts) -> tuple[LayerRow, ...]:
    """Return the layers in words."""
    whole = shown_whole(facts)
    return tuple(_row(row, at in facts.outputs, at in whole) for at, row in enumerate(facts.layers))


def shown_whole(facts: PageFacts) -> frozenset[int]:
    """Return the layers that have a line in the table and a whole card: those of most error.

    A page must stay below 2 MB; the others are drawn, and their two errors are shown.
    """
    rows = facts.layers
    errors = [(row.own_db if facts.own else row.path_db) for row in rows]
    keys = [math.inf if value is None or math.isnan(value) else value for value in errors]
    return frozenset(sorted(range(len(rows)), key=keys.__getitem__)[:WHOLE])


def name_of(row: Layer) -> str:
    """Return what a layer is called: as the source calls it, or as we do."""
    return named(row.drawn.name) or named(row.drawn.tensor)


def _row(row: Layer, is_end: bool, listed: bool) -> LayerRow:
    path, own = row.path_db, row.own_db
    return LayerRow(
        name_of(row),
        named(row.drawn.op),
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
        listed,
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
    whole = shown_whole(facts)
    return {
        "reference": facts.reference,
        "other": facts.other,
        "own": facts.own,
        "shares": list(SHARE_ORDER),
        "left_out": LEFT_OUT,
        "layers": [
            _head(row) | (_rest(row) if at in whole else {}) for at, row in enumerate(facts.layers)
        ],
    }


def _head(row: Layer) -> dict[str, object]:
    """Return what every card has: names, neighbours, both errors with their colours."""
    drawn = row.drawn
    return {
        "n": name_of(row),
        "op": named(drawn.op),
        "s": shape(drawn.shape),
        "r": list(drawn.reads),
        "p": decibels(row.path_db),
        "w": decibels(row.own_db),
        "pl": level(row.path_db),
        "wl": level(row.own_db),
        "pv": _json_number(row.path_db),
        "wv": _json_number(row.own_db),
    }


def _rest(row: Layer) -> dict[str, object]:
    """Return the rest of a whole card."""
    drawn = row.drawn
    return {
        "t": named(drawn.tensor),
        "o": _names(drawn.origin),
        "q": _names(drawn.sources),
        "x": _note(row),
        "e": _shares(row),
        "h": _histogram(row),
        "a": _spread(row, "reference"),
        "b": _spread(row, "other"),
        "k": _more(row),
    }


def _names(names: Sequence[str]) -> list[str]:
    more = len(names) - NAMES
    said = [named(name) for name in names[:NAMES]]
    return [*said, f"and {more} more"] if more > 0 else said


def _json_number(value: float | None) -> float | None:
    return None if not _sortable(value) else float(_sortable(value))


def _note(row: Layer) -> str:
    if row.error is not None and row.error.inherited_from:
        return f"passes on the error of {named(row.error.inherited_from)}"
    return bounded(row.problem)


def _shares(row: Layer) -> list[float]:
    """Return each part of the error in percent, in the order of SHARE_ORDER."""
    shares: Mapping[str, float] = row.error.shares if row.error else {}
    if not any(shares.values()):
        return []
    return [round(100 * shares.get(name, 0.0), 1) for name in SHARE_ORDER]


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
    return [list(pair) for pair in found]
