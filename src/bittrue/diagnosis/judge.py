"""Saved results judged again, by limits that were not known when they were made. Nothing runs.

A result that lacks what a limit is about has failed: it was not shown to keep it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bittrue.diagnosis.facts import HARMLESS, Explanation, Mistake
from bittrue.diagnosis.saved import Edge, Figures, Saved

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
STATUSES = (PASSED, FAILED, SKIPPED)
#: What a check may be about, in the order in which they are made.
KINDS = ("cause", "contract", "edge", "output", "limit", "not_tried")
COMPARE_SCHEMA = "bittrue.compare/1"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a result must keep; None: no such limit.

    Args:
        min_sqnr_db: Least SQNR of each output.
        max_abs: Greatest absolute difference of each output.
        max_relative: The same over the greatest absolute reference value.
        max_error_ratio: Most that the error may be of the error that 8 bits alone make.
        min_confidence: Least confidence with which nothing is wrong, or only what is allowed; a
            cause that is not allowed fails whatever its confidence.
        allow: Ids of causes that are known and taken.
    """

    min_sqnr_db: float | None = None
    max_abs: float | None = None
    max_relative: float | None = None
    max_error_ratio: float | None = None
    min_confidence: float | None = None
    allow: frozenset[str] = frozenset()

    @property
    def of_outputs(self) -> bool:
        """Whether there is a limit that each output's figures must keep."""
        limits = (self.min_sqnr_db, self.max_abs, self.max_relative)
        return any(limit is not None for limit in limits)

    def taken(self, found: Explanation) -> bool:
        """Return whether all causes of an explanation are harmless or allowed."""
        return set(found.causes) <= HARMLESS | self.allow


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Args:
        kind: One of KINDS.
        name: What was looked at: "native to quantized", "boxes", "input.channel_order".
        status: One of STATUSES.
        message: What was found, in a sentence.
        details: More lines: evidence, and the mend.
        seconds: How long it took when the result was made; 0 where nobody knows.
    """

    kind: str
    name: str
    status: str
    message: str
    details: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """A saved result under limits: every check, at least one that is not skipped."""

    saved: Saved
    limits: Limits
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all that was looked at kept its limits."""
        return all(row.status != FAILED for row in self.checks)


def judge(saved: Saved, limits: Limits | None = None) -> Judgement:
    """Return every check of a saved result; without limits, those of the result itself.

    Args:
        saved: A result.
        limits: Limits on outputs take the place of a comparison's own bound. The edges of a ladder
            keep their own budgets besides.
    """
    limits = limits or Limits()
    checks: tuple[Check, ...] = (
        *_causes(saved, limits),
        *_contract(saved, limits),
        *_edges(saved, limits),
        *_outputs(saved, limits),
        *_ratio(saved, limits),
        *(Check("not_tried", row.cause, SKIPPED, row.reason) for row in saved.not_tried),
    )
    if all(row.status == SKIPPED for row in checks):
        nothing = "the result holds nothing that could be judged"
        checks = (Check("limit", "anything", FAILED, nothing), *checks)
    return Judgement(saved, limits, checks)


def _status(fine: bool) -> str:
    return PASSED if fine else FAILED


# --- causes, and what the buffers show -------------------------------------------------------


def _causes(saved: Saved, limits: Limits) -> Iterator[Check]:
    if saved.schema.startswith("bittrue.diagnose/") and not saved.best:
        yield Check("cause", "verdict", FAILED, "the result names no cause, not even that of none")
    if limits.min_confidence is not None and not saved.best:
        lacking = "the result holds no confidence: judge one of diagnose"
        yield Check("limit", "confidence", FAILED, lacking)
    for row in saved.best:
        yield _cause(row, saved, limits)


def _cause(found: Explanation, saved: Saved, limits: Limits) -> Check:
    name, taken = " with ".join(found.causes), limits.taken(found)
    sure = limits.min_confidence is None or found.confidence >= limits.min_confidence
    told = f"confidence {found.confidence:.0%}"
    if len(saved.best) > 1:
        told += f", tied with {len(saved.best) - 1} more"
    if taken and not sure:
        told += f", at least {limits.min_confidence:.0%} asked"
    if set(found.causes) - HARMLESS:
        told += ", allowed" if taken else ""
    return Check(
        "cause",
        name,
        _status(taken and sure),
        f"{'; '.join(map(mistake_line, found.mistakes))} ({told})",
        explanation_lines(found),
        saved.seconds.get("experiments", 0.0),
    )


def explanation_lines(found: Explanation) -> tuple[str, ...]:
    """Return the mend and the evidence of an explanation, a line each."""
    mends = (f"mend: {line}" for row in found.mistakes for line in row.mend)
    return (*mends, *(f"evidence: {row}" for row in found.evidence))


def mistake_line(found: Mistake) -> str:
    """Return where and what: "input 'images': blue, green, red where ..."."""
    return f"{found.where}{': ' if found.where else ''}{found.what}"


def _contract(saved: Saved, limits: Limits) -> Iterator[Check]:
    """Yield one check: an error that is not allowed fails it, a warning does not."""
    if not saved.schema.startswith("bittrue.diagnose/"):
        return
    errors = [row for row in saved.findings if row.severity == "error"]
    open_ = [row for row in errors if row.cause not in limits.allow]
    told = ", ".join(f"{row.cause} at input '{row.input}'" for row in open_ or saved.findings)
    message = told if open_ else (f"allowed or warnings only: {told}" if told else "nothing found")
    details = tuple(line for row in saved.findings for line in str(row).splitlines())
    seconds = saved.seconds.get("contract", 0.0)
    yield Check("contract", "buffers", _status(not open_), message, details, seconds)


# --- figures ---------------------------------------------------------------------------------


def _edges(saved: Saved, limits: Limits) -> Iterator[Check]:
    if saved.schema == COMPARE_SCHEMA and limits.of_outputs:
        return  # the limits take the place of its bound
    for row in saved.edges:
        yield _edge(row)


def _edge(found: Edge) -> Check:
    if found.within is None:
        return Check("edge", found.label, SKIPPED, f"not measured: {found.bound}")
    if not found.outputs:
        return Check("edge", found.label, FAILED, "it has no outputs: nothing was compared")
    worst = [
        f"output '{row.output}': {_told(row)}"
        for row in found.outputs
        if not found.within or row.problem
    ]
    details = (*worst, *([f"first inner tensor over it: {found.first}"] if found.first else []))
    message = f"{'within' if found.within else 'over'} the bound: {found.bound}"
    return Check("edge", found.label, _status(found.within), message, details, found.seconds)


def _told(found: Figures) -> str:
    """Return an output's figures in words."""
    figures = ((found.sqnr_db, "SQNR {:.4g} dB"), (found.max_abs, "max abs {:.6g}"))
    parts = [text.format(value) for value, text in figures if value is not None]
    if found.problem:
        parts.append(found.problem)
    return ", ".join(parts) or "no figures"


def _outputs(saved: Saved, limits: Limits) -> Iterator[Check]:
    if limits.of_outputs and not saved.outputs:
        lacking = "the result holds no output's figures: it is not shown to keep any limit"
        yield Check("output", "every output", FAILED, lacking)
    for row in saved.outputs:
        if limits.of_outputs:
            yield _limited(row, limits)
        elif row.within is not None or saved.best:  # else the edges alone have a bound
            yield _unlimited(row, saved, limits)


def _limited(found: Figures, limits: Limits) -> Check:
    over = [] if not found.problem else [found.problem]
    for what, value, limit, least in (
        ("SQNR in dB", found.sqnr_db, limits.min_sqnr_db, True),
        ("max abs", found.max_abs, limits.max_abs, False),
        ("relative error", found.relative, limits.max_relative, False),
    ):
        if limit is None:
            continue
        if value is None:
            over.append(f"the result does not hold its {what}")
        elif not (value >= limit if least else value <= limit):  # of NaN, neither holds
            over.append(f"{what} {value:.9g}, {'at least' if least else 'at most'} {limit:g} asked")
    message = "; ".join(over) or _told(found)
    return Check("output", found.output or "all outputs", _status(not over), message)


def _unlimited(found: Figures, saved: Saved, limits: Limits) -> Check:
    """Return the result's own verdict on an output: its bound, or a mend that brings it nearer."""
    blamed = [row for row in saved.best if not limits.taken(row) and _nearer(row, found.output)]
    known = not any(math.isnan(value or 0.0) for value in (found.sqnr_db, found.max_abs))
    fine = known and not found.problem and (not blamed if found.within is None else found.within)
    details = () if fine else tuple(line for row in blamed for line in _blame(row, found.output))
    name = found.output or "all outputs"
    return Check("output", name, _status(fine), _told(found), details)


def _blame(found: Explanation, output: str) -> Iterator[str]:
    """Yield which mend brings an output nearer, and its lines."""
    causes = " with ".join(found.causes)
    for row in found.effects:
        if row.output == output:
            figures = f"SQNR {row.before_sqnr_db:.4g} -> {row.after_sqnr_db:.4g} dB"
            yield f"with the mend of {causes}: {figures}"
    yield from (f"mend: {line}" for row in found.mistakes for line in row.mend)


def _nearer(found: Explanation, output: str) -> bool:
    rows = [row for row in found.effects if row.output == output]
    return any(row.after_sqnr_db > row.before_sqnr_db for row in rows)


def _ratio(saved: Saved, limits: Limits) -> Iterator[Check]:
    """Yield the limit on what the error is of the ordinary one: of the whole, or of each output."""
    limit = limits.max_error_ratio
    if limit is None:
        return
    ratios = [row.error_ratio for row in saved.outputs]
    if saved.residual is not None:
        ratios = [math.sqrt(saved.residual) if saved.residual >= 0 else math.nan]
    known = [row for row in ratios if row is not None]
    if not known or len(known) < len(ratios):
        lacking = "the result does not hold it for every output: give diagnose or compare a capture"
        yield Check("limit", "error ratio", FAILED, lacking)
        return
    over = [row for row in known if not row <= limit]
    told = ", ".join(f"{row:.4g}" for row in over or known)
    message = f"{told} times the ordinary noise, at most {limit:g} asked"
    yield Check("limit", "error ratio", _status(not over), message)
