"""Which of a device's tensors is which, as a table to read and to correct by hand."""

from __future__ import annotations

from collections.abc import Sequence

from bittrue.parity.align import Alignment, Match
from bittrue.report.json_form import finite
from bittrue.report.tables import table

#: Below this a pair is a guess, and the text says so.
SURE = 0.8


def alignment_text(found: Alignment) -> str:
    """Return the map with its confidence, what has no partner, and both readings if names lie."""
    lines = [_pairs(found.pairs) if found.pairs else "no tensor of the device was matched"]
    for whose, names in (
        ("the reference", found.unmatched_reference),
        ("the device", found.unmatched_device),
    ):
        if names:
            lines += ["", f"without a partner, of {whose}: {', '.join(map(str, names))}"]
    if found.permuted:
        lines += ["", "the names say another order than the values do; by the names it would be:"]
        lines += ["", _pairs(found.by_name)]
    unsure = [row for row in found.pairs if row.confidence < SURE]
    if unsure:
        row = min(unsure, key=lambda row: row.confidence)
        told = f"{len(unsure)} of {len(found.pairs)} pairs are unsure; the least sure is"
        lines += ["", f"{told} {row.reference!r} with {row.device!r}: give the map by hand"]
    return "\n".join(lines)


def _pairs(pairs: Sequence[Match]) -> str:
    rows = [
        (
            row.reference,
            row.device,
            f"{row.confidence:.2f}",
            row.how,
            "; ".join(row.undone) or "nothing",
        )
        for row in pairs
    ]
    columns = ("reference", "device", "confidence", "by", "undone")
    return table(columns, rows, right=("confidence",))


def alignment_json(found: Alignment) -> dict[str, object]:
    """Return the map as plain JSON values."""
    return {
        "pairs": [_row(row) for row in found.pairs],
        "unmatched_reference": list(found.unmatched_reference),
        "unmatched_device": list(found.unmatched_device),
        "permuted": found.permuted,
        "by_name": [_row(row) for row in found.by_name],
    }


def _row(row: Match) -> dict[str, object]:
    return finite(
        {
            "reference": row.reference,
            "device": row.device,
            "confidence": row.confidence,
            "how": row.how,
            "undone": list(row.undone),
        }
    )
