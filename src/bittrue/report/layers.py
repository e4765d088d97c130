"""Each layer's error as text and as JSON: path and own side by side, and what the path's is."""

from __future__ import annotations

from bittrue.parity.attribute import CLOSES, SHARES, LayerError, LayerTable
from bittrue.report.comparison import decibels
from bittrue.report.json_form import finite
from bittrue.report.tables import table

#: Layers that the text shows; JSON has them all.
SHOWN = 20
#: Parts of an error that the text names.
MOST = 3
#: Characters of a name in the text.
NAME = 36
_FIGURES = ("own dB", "path dB", "cut off", "dead")


def layers_text(found: LayerTable, *, shown: int = SHOWN) -> str:
    """Return the layers with the largest own error, and where the others' errors come from."""
    reference, other = found.stages
    samples = f"{found.samples} sample{'s' if found.samples > 1 else ''}"
    rows = found.by_own[:shown]
    lines = [
        f"layers, {reference} to {other}, {samples}, the largest own error first",
        table(
            ("layer", "op", *_FIGURES, "the path's error is", "inherited from"),
            [_row(row) for row in rows],
            right=_FIGURES,
        ),
        f"own: fed with {reference}'s input; path: as it runs. The shares of each layer add up to "
        f"the measured error within {found.closes:.0e} (promised: {CLOSES:.0e})",
    ]
    if len(found.rows) > len(rows):
        lines.append(f"{len(found.rows) - len(rows)} more layers have less: --json lists them all")
    return "\n".join(lines)


def _row(row: LayerError) -> tuple[str, ...]:
    return (
        _short(row.name),
        row.op,
        decibels(row.own_sqnr_db),
        decibels(row.path_sqnr_db),
        f"{row.clipped:.2%}" if row.clipped else "",
        str(row.dead_channels or ""),
        shares_text(row),
        _short(row.inherited_from),
    )


def _short(name: str) -> str:
    """Return both ends of a long name: either may be what tells it from others."""
    head = NAME // 2 + 2
    return name if len(name) <= NAME else f"{name[:head]}...{name[head + 3 - NAME :]}"


def shares_text(row: LayerError, least: float = 0.01) -> str:
    """Return what a layer's path error is made of, the largest part first.

    Args:
        row: The layer.
        least: Parts below this share are left out.
    """
    if not row.path:
        return "nothing"
    parts = sorted(row.shares.items(), key=lambda item: -abs(item[1]))
    return ", ".join(f"{name} {share:.0%}" for name, share in parts[:MOST] if abs(share) >= least)


def layers_json(found: LayerTable) -> dict[str, object]:
    """Return every layer as plain JSON values, in running order."""
    reference, other = found.stages
    return {
        "reference": reference,
        "other": other,
        "samples": found.samples,
        "closes": found.closes,
        "promised": CLOSES,
        "rows": [_row_json(row) for row in found.rows],
    }


def _row_json(row: LayerError) -> dict[str, object]:
    return {
        "name": row.name,
        "origin": list(row.origin),
        "node": row.node,
        "op": row.op,
        "elements": row.elements,
        **finite(
            {
                "path": row.path,
                "own": row.own,
                "path_sqnr_db": row.path_sqnr_db,
                "own_sqnr_db": row.own_sqnr_db,
            }
        ),
        "inherited_from": row.inherited_from,
        "shares": finite({name: row.shares[name] for name in SHARES}),
        "clipped": row.clipped,
        "dead_channels": row.dead_channels,
    }
