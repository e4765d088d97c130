"""From results to figures: was the planted cause named, and anything that was not there?"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.faults.run import Result

HARMLESS = frozenset({"none", "quant.expected", "runtime.rounding"})
#: More explanations than this that fit equally well are no answer.
TIES = 3
#: Cases whose outputs need not be wrong for the cause to be there.
NEVER_SMALL = frozenset(
    {"runtime.damaged_file", "test.unrepresentative", "runtime.nondeterministic"}
)
FIRST_ERROR = 2
#: Planted and named causes that are one.
Also = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Alias:
    """Two causes that are the same experiment.

    Args:
        planted: Cause.
        named: Cause that is right as well.
        without_sent: Whether only where the array that was sent is not given.
        fault: The only input mistake that it holds for; empty for all of the cause.
        reason: Why nobody could tell one from the other.
    """

    planted: str
    named: str
    without_sent: bool
    reason: str
    fault: str = ""


ALIASES = (
    Alias(
        "input.noncontiguous",
        "input.layout",
        True,
        "the same bytes in the same order; only the array that was sent shows which of the two",
    ),
    Alias(
        "input.wrong_qparams",
        "input.wrong_mean_std",
        True,
        "both are one affine map of the input; only the codes that were sent show which",
    ),
    Alias(
        "input.double_normalization",
        "input.wrong_mean_std",
        False,
        "dividing by 255 what a network takes from 0 to 255 is both, word for word",
        "divided",
    ),
)


@dataclass(frozen=True, slots=True)
class Scored:
    """One case with what is true of it and what was said.

    Args:
        folder: Of the case.
        group: "healthy", "small" (its effect is below the healthy device's noise), "single" or
            "pair".
        planted: Causes.
        named: Causes of each explanation that is first or tied for first.
        right: Whether the planted causes are exactly one explanation of at most TIES.
        some: Whether one of them is in such an explanation.
        area: Whether an explanation names the planted area (quant, input, ...).
        alarm: Of a healthy case: whether anything else than harmless causes was named.
        exact: Like `right`, but a harmless explanation is not enough however small the effect.
        effect: Energy of what the mistake changes, over the healthy device's error.
        error_ratio: Error energy over the healthy device's.
        give: What the user gave, one of `plans.GIVES`.
        verdict: As it was said.
        seconds: Of the command.
        code: Exit code.
    """

    folder: str
    group: str
    planted: tuple[str, ...]
    named: tuple[tuple[str, ...], ...]
    right: bool
    some: bool
    area: bool
    alarm: bool
    exact: bool
    effect: float
    error_ratio: float
    give: str
    verdict: str
    seconds: float
    code: int


def scored(result: Result, folder: Path) -> Scored:
    """Return a result beside the truth of its case, whose network's folder is below `folder`."""
    network, name = result.folder.split("/")
    truth = json.loads((folder / network / "cases" / name / "truth.json").read_text())
    planted = tuple(truth["causes"])
    also = aliases(truth["planted"][0], truth["give"] in {"sent", "all"})
    group = group_of(planted, float(truth["effect"]))
    named = tuple(row.causes for row in result.best)
    if _damage_told(planted, result):
        named = (planted,)
    few = len(named) <= TIES
    return Scored(
        result.folder,
        group,
        planted,
        named,
        few and any(_same(planted, row, also, group) for row in named),
        few and any(_is(cause, one, also) for row in named for one in row for cause in planted),
        few
        and any(_area(one) == _area(cause) for row in named for one in row for cause in planted),
        group == "healthy" and not (named and all(set(row) <= HARMLESS for row in named)),
        few and any(_same(planted, row, also, "") for row in named),
        float(truth["effect"]),
        float(truth["error_ratio"]),
        str(truth["give"]),
        result.verdict,
        result.seconds,
        result.code,
    )


def aliases(fault: str, sent: bool) -> Also:
    """Return which planted causes may be named otherwise.

    Args:
        fault: The input mistake that was made.
        sent: Whether the array that was sent is given.
    """
    rows = [row for row in ALIASES if row.fault in {"", fault}]
    return frozenset((row.planted, row.named) for row in rows if not (row.without_sent and sent))


def group_of(planted: tuple[str, ...], effect: float) -> str:
    """Return "healthy", "small", "pair" or "single"."""
    if set(planted) <= HARMLESS:
        return "healthy"
    if effect < 1 and not NEVER_SMALL & set(planted):
        return "small"
    return "pair" if len(planted) > 1 else "single"


def _damage_told(planted: tuple[str, ...], result: Result) -> bool:
    """Whether a damaged file was refused with a message that calls it damaged or cut short."""
    words = ("damaged", "cut short", "truncated", "not a zip", "cannot be read")
    told = any(word in result.verdict for word in words)
    return planted == ("runtime.damaged_file",) and result.code >= FIRST_ERROR and told


def _same(planted: tuple[str, ...], named: tuple[str, ...], also: Also, group: str) -> bool:
    """Whether an explanation is the planted one; in small cases a harmless one is right too."""
    if group in {"small", "healthy"} and set(named) <= HARMLESS:
        return True
    if len(named) != len(planted):
        return False
    return all(any(_is(cause, one, also) for one in named) for cause in planted)


def _is(planted: str, named: str, also: Also) -> bool:
    return planted == named or (planted, named) in also


def _area(cause: str) -> str:
    return cause.partition(".")[0]


@dataclass(frozen=True, slots=True)
class OfCause:
    """Precision and recall of one cause.

    Args:
        cause: Id.
        planted: Cases it is in, small ones apart.
        found: Of these, those where it is in an explanation that is first or tied.
        named: Weight of such explanations over all cases: one of three that tie counts a third.
        named_right: Weight of those in cases where it was planted.
    """

    cause: str
    planted: int
    found: int
    named: float
    named_right: float


def by_cause(rows: Sequence[Scored]) -> list[OfCause]:
    """Return every cause that was planted or named."""
    planted: dict[str, int] = defaultdict(int)
    found: dict[str, int] = defaultdict(int)
    named: dict[str, float] = defaultdict(float)
    hit: dict[str, float] = defaultdict(float)
    for row in rows:
        truths = row.planted if row.group in {"single", "pair"} else ()
        for cause in truths:
            planted[cause] += 1
            few = len(row.named) <= TIES
            aliased = row.right and len(row.planted) == 1
            found[cause] += (few and any(cause in one for one in row.named)) or aliased
        for one in row.named:
            for cause in set(one) - HARMLESS:
                weight = 1 / len(row.named)
                named[cause] += weight
                hit[cause] += weight * (cause in row.planted or (row.right and bool(truths)))
    every = sorted({*planted, *named})
    return [OfCause(c, planted[c], found[c], named[c], hit[c]) for c in every]


def share(rows: Sequence[Scored], what: str = "right") -> str:
    """Return "k of n (p %)" of rows where a field is true."""
    count = sum(bool(getattr(row, what)) for row in rows)
    part = f"{100 * count / len(rows):.1f} %" if rows else "-"
    return f"{count} of {len(rows)} ({part})"


def of_group(rows: Sequence[Scored], *groups: str) -> list[Scored]:
    """Return the rows of some groups."""
    return [row for row in rows if row.group in groups]


def summary(rows: Sequence[Scored]) -> list[tuple[str, str]]:
    """Return the figures as pairs of words and value."""
    planted = of_group(rows, "single", "pair")
    healthy = of_group(rows, "healthy")
    seconds = np.array([row.seconds for row in rows] or [0.0])
    errors = [row for row in rows if row.code >= FIRST_ERROR]
    return [
        ("cases measured", str(len(rows))),
        ("planted, first or tied for first", share(planted)),
        ("... single mistakes", share(of_group(rows, "single"))),
        ("... pairs, both named", share(of_group(rows, "pair"))),
        ("... pairs, at least one named", share(of_group(rows, "pair"), "some")),
        ("... single, right area", share(of_group(rows, "single"), "area")),
        ("false alarms on healthy pairs", share(healthy, "alarm")),
        ("below the noise: planted cause or harmless", share(of_group(rows, "small"))),
        ("any planted with an error ratio of 1 or more", share(_showing(rows), "exact")),
        ("commands that ended with an error", f"{len(errors)} of {len(rows)}"),
        ("seconds a case, median", f"{np.median(seconds):.2f}"),
        ("seconds a case, 95th percentile", f"{np.percentile(seconds, 95):.2f}"),
    ]


def _showing(rows: Sequence[Scored]) -> list[Scored]:
    """Return planted mistakes after which the outputs are no better, small effects included."""
    planted = of_group(rows, "single", "pair", "small")
    return [row for row in planted if row.error_ratio >= 1 or row.group != "small"]


def misses(rows: Sequence[Scored]) -> list[Scored]:
    """Return false alarms, and planted mistakes that were not named."""
    return [row for row in rows if row.alarm or (row.group != "healthy" and not row.right)]


def write_json(rows: Sequence[Scored], target: Path) -> None:
    """Write everything as JSON."""
    found = {
        "summary": dict(summary(rows)),
        "causes": [asdict(row) for row in by_cause(rows)],
        "cases": [asdict(row) for row in rows],
    }
    target.write_text(json.dumps(found, indent=1) + "\n")
