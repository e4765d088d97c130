"""The proof of a memory plan as text."""

from __future__ import annotations

from bittrue.compiler.plan import Proof


def proof_text(told: Proof) -> str:
    """Return a proof as lines of text: totals, what was checked, and a row for each buffer."""
    saved = 100 * (1 - told.arena / told.total) if told.total else 0.0
    verdict = "none overlap" if not told.overlaps else f"OVERLAP: {list(told.overlaps)}"
    inside = "all lie within it" if not told.outside else f"OUTSIDE: {list(told.outside)}"
    lines = [
        f"arena        {told.arena:>12} bytes, {saved:.1f} % less than without reuse",
        f"lower bound  {told.lower_bound:>12} bytes alive at one moment",
        f"all buffers  {told.total:>12} bytes in {len(told.buffers)} buffers; {inside}",
        f"checked      {told.pairs:>12} pairs alive at one moment: {verdict}",
        "",
        f"{'buffer':>6} {'offset':>12} {'bytes':>12} {'first':>6} {'last':>6}  tensors",
    ]
    for row in told.buffers:
        place = f"{row.buffer:>6} {row.offset:>12} {row.nbytes:>12}"
        lines.append(f"{place} {row.first:>6} {row.last:>6}  {', '.join(row.names)}")
    return "\n".join(lines) + "\n"
