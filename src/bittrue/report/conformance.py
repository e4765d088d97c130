"""What `bittrue verify` found, as text and as JSON (schema bittrue.verify/1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bittrue.engines.conformance import Mismatch, Verdict

SCHEMA = "bittrue.verify/1"


def verdict_text(found: Verdict) -> str:
    """Return one verdict as a line, for example "avx2, 2 threads: 3 vectors, ... same bits"."""
    head = (
        f"{found.isa}, {_counted(found.threads, 'thread')}: "
        f"{_counted(found.vectors, 'vector')}, {_counted(found.tensors, 'tensor')}, "
    )
    return head + ("same bits" if found.mismatch is None else f"DIFFERENT: {_why(found.mismatch)}")


def verdicts_json(path: str, found: Sequence[Verdict]) -> dict[str, object]:
    """Return all verdicts as plain JSON values."""
    rows = [asdict(row) for row in found]
    return {"model": path, "same": all(row.mismatch is None for row in found), "verdicts": rows}


def _why(row: Mismatch) -> str:
    place = "an input" if row.instruction < 0 else (
        f"written by instruction {row.instruction}, {row.kind}"
        f"{f' of {row.node!r}' if row.node else ''}, in {row.kernel}"
    )  # fmt: skip
    return (
        f"vector {row.vector} ({row.pattern}), first at tensor {row.tensor!r}, {place}; "
        f"tensors that differ in it: {row.differing:,}"
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
