"""A judgement as text, for a terminal of 100 columns, and as JSON (schema bittrue.judge/1)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict

from bittrue.diagnosis.judge import FAILED, PASSED, SKIPPED, Check, Judgement
from bittrue.report.diagnosis import WIDTH, plain, plain_fields
from bittrue.report.visible import one_line, visible

SCHEMA = "bittrue.judge/1"
_WORDS = {PASSED: "ok", FAILED: "FAILED", SKIPPED: "skipped"}


def judgement_text(found: Judgement) -> str:
    """Return the verdict, then a line a check; a failed one with its evidence and mend."""
    order = (FAILED, SKIPPED, PASSED)
    rows = sorted(found.checks, key=lambda row: order.index(row.status))
    checks = (line for row in rows for line in _check(row))
    told = _wrapped(f"the result says: {found.saved.verdict}", "", "  ")
    return "\n".join([judgement_verdict(found), told, *checks])


def judgement_verdict(found: Judgement) -> str:
    """Return what the exit code says, in words."""
    counts = dict.fromkeys(_WORDS, 0)
    for row in found.checks:
        counts[row.status] += 1
    looked_at = counts[PASSED] + counts[FAILED]
    if found.passed:
        tail = f", {counts[SKIPPED]} not looked at" if counts[SKIPPED] else ""
        return f"within: {looked_at} of {looked_at} checks passed{tail}"
    return f"NOT within: {counts[FAILED]} of {looked_at} checks failed"


def _check(found: Check) -> Iterator[str]:
    head = f"  {_WORDS[found.status]:<9} {found.kind.replace('_', ' '):<9} "
    yield _wrapped(f"{found.name}: {found.message}", head, " " * len(head))
    if found.status == FAILED:
        for line in (line for row in found.details for line in visible(row).splitlines()):
            yield " " * 12 + line  # not wrapped: some are to be copied


def _wrapped(text: str, head: str, hanging: str) -> str:
    return textwrap.fill(
        one_line(text),
        WIDTH,
        initial_indent=head,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def judgement_json(path: str, found: Judgement) -> dict[str, object]:
    """Return the verdict, the limits and every check as plain JSON values.

    Args:
        path: Of the saved result.
        found: What was found about it.
    """
    limits = found.limits
    return {
        "result": path,
        "result_schema": found.saved.schema,
        "passed": found.passed,
        "verdict": found.saved.verdict,
        "limits": {**plain_fields(asdict(limits)), "allow": sorted(limits.allow)},
        "checks": [plain(asdict(row)) for row in found.checks],
    }
