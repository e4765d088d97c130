"""A comparison of two stages as text and as JSON (schema bittrue.compare/1)."""

from __future__ import annotations

import math
from dataclasses import asdict

from bittrue.parity.compare import Comparison, TensorComparison
from bittrue.parity.metrics import Difference
from bittrue.report.json_form import finite
from bittrue.report.tables import table

SCHEMA = "bittrue.compare/1"


def comparison_text(found: Comparison) -> str:
    """Return what was compared, the figures of each output, and the verdict."""
    lines = [
        f"reference {found.reference}",
        f"other     {found.other}",
        f"bound     {found.bound} ({found.bound.why})"
        if found.bound.why
        else f"bound     {found.bound}",
        "",
        table(
            (
                "output",
                "max abs",
                "mean abs",
                "SQNR dB",
                "cosine",
                "values that differ",
                "codes",
                "",
            ),
            [_row(row) for row in found.outputs],
            right=("max abs", "mean abs", "SQNR dB", "cosine", "values that differ", "codes"),
        ),
        "",
        _inner(found),
        verdict(found),
    ]
    return "\n".join(lines)


def verdict(found: Comparison) -> str:
    """Return the last line: what the exit code says, in words."""
    if not found.same:
        return "DIFFERENT"
    return "equal in every bit" if found.bound.exact else "same, within the bound"


def _row(row: TensorComparison) -> tuple[str, ...]:
    told = row.problem or ("ok" if row.within else "over the bound")
    if row.difference is None:
        return (row.name, "-", "-", "-", "-", "-", "-", row.problem)
    return (row.name, *figures(row.difference), told)


def figures(d: Difference) -> tuple[str, ...]:
    """Return a difference as table cells: max, mean, SQNR, cosine, values, codes."""
    codes = "-" if d.codes_differing is None else f"{d.codes_differing:,} of {d.elements:,}"
    return (
        f"{d.max_abs:.6g}",
        f"{d.mean_abs:.6g}",
        decibels(d.sqnr_db),
        f"{d.cosine:.8f}",
        f"{d.differing:,} of {d.elements:,}",
        codes,
    )


def decibels(value: float) -> str:
    """Return a ratio in dB, "equal" where there is no error at all."""
    return "equal" if value == math.inf else f"{value:.2f}"


def _inner(found: Comparison) -> str:
    if found.inner_compared == 0:
        return "no inner tensors were compared"
    counted = f"{found.inner_compared} inner tensors compared in running order"
    if found.inner_unmatched:
        counted += f" ({found.inner_unmatched} of the reference have no counterpart)"
    if found.first is None:
        return f"{counted}: none is over the bound"
    row = found.first
    reason = row.problem or (
        f"SQNR {decibels(row.difference.sqnr_db)} dB, max abs {row.difference.max_abs:.6g}"
        if row.difference
        else ""
    )
    said = "" if found.bound.exact else " (the verdict is about the outputs)"
    return f"{counted}; the first over the bound is '{row.name}': {reason}{said}"


def comparison_json(found: Comparison) -> dict[str, object]:
    """Return a comparison as plain JSON values; infinities become their names."""
    return {
        "reference": found.reference,
        "other": found.other,
        "same": found.same,
        "bound": asdict(found.bound),
        "outputs": [_row_json(row) for row in found.outputs],
        "first_over_bound": None if found.first is None else _row_json(found.first),
        "inner_compared": found.inner_compared,
        "inner_unmatched": found.inner_unmatched,
    }


def _row_json(row: TensorComparison) -> dict[str, object]:
    figures = {} if row.difference is None else finite(asdict(row.difference))
    return {"name": row.name, "within": row.within, "problem": row.problem, **figures}
