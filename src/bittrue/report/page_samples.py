"""What several inputs say together, in words, for the HTML report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bittrue.parity.samples import CONFIDENCE, Interval, Survey
from bittrue.report.page_words import decibels, named

#: Flips that the page lists.
FLIPS = 40


@dataclass(frozen=True, slots=True)
class MeanRow:
    """One output of one stage over all samples, in words."""

    stage: str
    output: str
    mean: str
    interval: str
    equal: str
    least: str


@dataclass(frozen=True, slots=True)
class Samples:
    """What several inputs say together, in words.

    Args:
        count: How many there are.
        reference: The stage that figures are against.
        confidence: Of the intervals.
        means: A row a stage and output.
        flips: Answers that become others: sample and what happens.
        more: How many flips are not listed.
        silent: Outputs that no answer is defined for.
    """

    count: int
    reference: str
    confidence: str
    means: tuple[MeanRow, ...]
    flips: tuple[tuple[str, str], ...]
    more: int
    silent: str


def samples_of(found: Survey | None) -> Samples | None:
    """Return the words of a survey; None where there is none."""
    if found is None:
        return None
    flips = tuple(
        (
            named(row.sample),
            f"{named(row.output)}: {row.reference} becomes {row.answer} at {row.stage}"
            + ("" if row.final else ", and back again"),
        )
        for row in found.flips
    )
    return Samples(
        len(found.samples),
        found.ladders[0].rungs[0].stage,
        f"{CONFIDENCE:.0%}",
        tuple(_mean_rows(found)),
        flips[:FLIPS],
        max(0, len(flips) - FLIPS),
        ", ".join(map(named, found.unanswered)),
    )


def _mean_rows(found: Survey) -> Iterator[MeanRow]:
    for row in found.means:
        key = (row.stage, row.output)
        mine = [item for item in found.figures if (item.stage, item.output) == key]
        least = min(mine, key=lambda item: item.sqnr_db)
        yield MeanRow(
            row.stage,
            named(row.output),
            decibels(math.inf if row.equal == len(mine) else row.sqnr_db.mean),
            _interval(row.sqnr_db),
            f"{row.equal} of {len(found.samples)}",
            ""
            if least.sqnr_db == math.inf
            else f"{named(least.sample)}, {decibels(least.sqnr_db)}",
        )


def _interval(row: Interval) -> str:
    if math.isnan(row.mean) or row.low == row.high == row.mean:
        return "–"
    return f"{decibels(row.low, '')} to {decibels(row.high, '')}"
