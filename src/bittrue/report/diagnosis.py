"""A diagnosis as text, for a terminal of 100 columns, and as JSON (schema bittrue.diagnose/1)."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from bittrue.contract.finding import Finding
from bittrue.diagnosis.facts import Diagnosis, Effect, Explanation, Mistake, NotTried, Trial
from bittrue.parity.captured import Ratio
from bittrue.parity.compare import Comparison
from bittrue.parity.ladder import Ladder
from bittrue.report.comparison import comparison_json, decibels
from bittrue.report.ladder import ladder_text
from bittrue.report.visible import one_line, visible

SCHEMA = "bittrue.diagnose/1"
WIDTH = 100
#: Rows of the table of what explains less, and the gain that an experiment needs to be in it: below
#: this it explains nothing. JSON has all.
MOST_TRIALS = 8
LEAST_GAIN = 1.1
#: How an explanation's `proved` and a mistake's `decided_by` are said.
DECIDED = {
    "contract": "read off the buffers",
    "experiment": "reproduced by experiment",
    "ladder": "read off the stages",
    "statistics": "read off statistics",
}


# --- text ------------------------------------------------------------------------------------


def diagnosis_text(found: Diagnosis) -> str:
    """Return the verdict, why, and the mend; then what else was looked at and what was not."""
    parts = (
        _wrapped(found.verdict),
        *_answers(found.best, eliminated=found.by_elimination),
        _ground(found),
        _also(found),
        _trials(found),
        "\n".join(line for row in found.findings for line in _finding(row)),
        "" if found.ladder is None else visible(ladder_text(found.ladder)),
        _not_tried(found.not_tried),
        _closing(found),
    )
    return "\n\n".join(part for part in parts if part)


def _wrapped(text: str, indent: str = "", hanging: str | None = None) -> str:
    """Return a text in lines of at most WIDTH columns; a long name is never cut."""
    return textwrap.fill(
        one_line(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _answers(best: Sequence[Explanation], *, eliminated: bool) -> Iterator[str]:
    """Yield a block for each explanation that is first or tied for first."""
    tie = "" if eliminated else ", a tie"
    if len(best) > 1 and eliminated:
        yield "nothing fits; where to look, likeliest first:"
    elif len(best) > 1:
        yield _wrapped(
            f"these {len(best)} fit equally well: "
            + "; ".join(" with ".join(row.causes) for row in best)
        )
    for number, row in enumerate(best, 1):
        yield _answer(row, f"{number} of {len(best)}{tie}: " if len(best) > 1 else "")


def _answer(found: Explanation, lead: str) -> str:
    lines = [_wrapped(f"{lead}{' with '.join(found.causes)} ({_sureness(found)})", "", "    ")]
    for row in found.mistakes:
        lines += _mistake(row, named=len(found.mistakes) > 1)
    said = {row.what for row in found.mistakes}
    lines += _listed("evidence", [one_line(row) for row in found.evidence if row not in said])
    lines += _effects(found.effects)
    return "\n".join(lines)


def _sureness(found: Explanation) -> str:
    ways = dict.fromkeys(DECIDED[row.decided_by] for row in found.mistakes)
    proof = "" if found.proved else "; not proved by experiment"
    return f"confidence {found.confidence:.0%}, {', '.join(ways)}{proof}"


def _mistake(found: Mistake, *, named: bool) -> Iterator[str]:
    label = found.cause if named else "what"
    place = f"{found.where}: " if found.where else ""
    yield from _listed(label, [f"{one_line(place)} {one_line(found.what)}".strip()])
    # Never wrapped: it is to be copied.
    lines = [line for row in found.mend for line in visible(row).splitlines()]
    yield from _code("mend", lines)


def _listed(label: str, texts: Sequence[str]) -> Iterator[str]:
    """Yield texts under a label, each wrapped; a label longer than its column has its own line."""
    head = f"  {label:<9} "
    if texts and len(label) > 9:
        yield f"  {label}"
        head = " " * 12
    for text in texts:
        yield _wrapped(text, head, " " * 12)
        head = " " * 12


def _code(label: str, lines: Sequence[str]) -> Iterator[str]:
    head = f"  {label:<9} "
    for line in lines:
        yield head + line
        head = " " * 12


def _effects(found: Sequence[Effect]) -> Iterator[str]:
    """Yield a row an output: before -> after the mend."""
    rows = [("", "SQNR dB", "max abs")]
    for row in found:
        sqnr = f"{decibels(row.before_sqnr_db)} -> {decibels(row.after_sqnr_db)}"
        worst = f"{row.before_max_abs:.4g} -> {row.after_max_abs:.4g}"
        rows.append((one_line(row.output) or "all outputs", sqnr, worst))
    if found:
        names, ratios = (max(len(row[i]) for row in rows) for i in (0, 1))
        lines = [f"{name:<{names}}  {sqnr:<{ratios}}  {worst}" for name, sqnr, worst in rows]
        yield from _code("mended", [line.rstrip() for line in lines])


def _also(found: Diagnosis) -> str:
    """Return the runners-up that no experiment tried; those that one did are in its table."""
    tried = {row.causes for row in found.trials}
    rows = [row for row in found.explanations if not row.best and row.causes not in tried]
    lines = [
        _wrapped(
            f"{' with '.join(row.causes)} ({_sureness(row)}): "
            + "; ".join([*(m.what for m in row.mistakes), *row.evidence]),
            "  ",
            "    ",
        )
        for row in rows
    ]
    return "\n".join(["less likely", *lines]) if rows else ""


def other_trials(found: Diagnosis) -> tuple[Trial, ...]:
    """Return the experiments without those that made the best explanations, best first.

    Of several with one label, which differ in how the device was taken to read its input, the best.
    """
    best = [row.causes for row in found.best]
    rest: dict[str, Trial] = {}
    for row in found.trials:
        if row.causes in best:
            best.remove(row.causes)
        else:
            rest.setdefault(row.label, row)
    return tuple(rest.values())


def _trials(found: Diagnosis) -> str:
    rows = other_trials(found)
    if not rows:
        return ""
    shown = [row for row in rows if row.gain >= LEAST_GAIN][:MOST_TRIALS]
    lines = [f"{'residual':>10} {'gain':>8}  what else was tried"]
    for row in shown:
        head = f"{row.residual:>10.4g} {row.gain:>8.4g}  "
        lines.append(_wrapped(row.label, head, " " * len(head)))
    rest = len(rows) - len(shown)
    if not shown:
        return f"{_counted(rest, 'other experiment')} explained nothing; --json lists them"
    if rest:
        lines.append(f"{'':>19}  and {rest} more that explain less or nothing; --json lists them")
    return "\n".join(lines)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _finding(found: Finding) -> Iterator[str]:
    """Yield a finding's lines: what is told is wrapped, its mend is to be copied and is not."""
    told, mend, code = str(found).partition("\n  mend: ")
    for line in told.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        yield _wrapped(line, indent, indent + "    ")
    yield visible((mend + code).removeprefix("\n"))


def _ground(found: Diagnosis) -> str:
    """Return what the residuals are measured in, and where the difference starts."""
    lines = []
    if found.residual is not None:
        lines.append(f"without a mend the difference is {found.residual:.4g} times the noise")
    if found.noise:
        lines.append(f"noise: {found.noise}")
    places = [("stage", found.first_stage), ("layer", found.first_layer)]
    over = ", ".join(f"{what} '{name}'" for what, name in places if name)
    if over:
        lines.append(f"first beyond its bound: {over}")
    return "\n".join(_wrapped(line, "", "  ") for line in lines)


def _not_tried(found: Sequence[NotTried]) -> str:
    """Return the causes that were not looked at, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for row in found:
        reasons.setdefault(row.reason, []).append(row.cause)
    lines = [_wrapped(f"{', '.join(ids)}: {why}", "  ", "    ") for why, ids in reasons.items()]
    return "\n".join(["not tried", *lines]) if lines else ""


def _closing(found: Diagnosis) -> str:
    lines = []
    if found.given:
        given = (f"{role} {name}" for role, name in found.given.items())
        lines.append(_wrapped(f"given: {', '.join(given)}", "", "  "))
    if found.seconds:
        steps = ", ".join(f"{step} {time:.2f}" for step, time in found.seconds.items())
        total = sum(found.seconds.values())
        lines.append(_wrapped(f"seconds: {steps}; {total:.2f} in all", "", "  "))
    return "\n".join(lines)


# --- JSON ------------------------------------------------------------------------------------


def diagnosis_json(found: Diagnosis) -> dict[str, object]:
    """Return everything as plain JSON values; infinities and NaN become their names."""
    return {
        "verdict": found.verdict,
        "healthy": found.healthy,
        "explanations": [
            {"causes": list(row.causes), **plain_fields(asdict(row))} for row in found.explanations
        ],
        "findings": [plain_fields(asdict(row)) for row in found.findings],
        "trials": [plain_fields(asdict(row)) for row in found.trials],
        "not_tried": [plain_fields(asdict(row)) for row in found.not_tried],
        "residual": plain(found.residual),
        "noise": found.noise,
        "ladder": None if found.ladder is None else _ladder_json(found.ladder),
        "first_stage": found.first_stage,
        "first_layer": found.first_layer,
        "given": plain(found.given),
        "seconds": plain(found.seconds),
    }


def _ladder_json(found: Ladder) -> dict[str, object]:
    """Return the stages, and each edge between one and the next, in order."""
    return {
        "stages": [{"stage": row.stage, "seconds": plain(row.seconds)} for row in found.rungs],
        "edges": [_edge_json(row) for row in found.edges],
        "unmeasured": [plain_fields(asdict(row)) for row in found.unmeasured],
        "ratios": [_ratio_json(row) for row in found.ratios],
    }


def _ratio_json(found: Ratio) -> dict[str, object]:
    figures = {"error": found.error, "predicted": found.predicted, "ratio": found.ratio}
    return {"stage": found.stage, "output": found.output, **plain_fields(figures)}


def _edge_json(found: Comparison) -> dict[str, object]:
    """Return an edge: which two, its verdict and bound in words, and each output's figures."""
    rows = plain_fields(comparison_json(found))
    kept = ("reference", "other", "same", "outputs", "first_over_bound")
    return {name: rows[name] for name in kept} | {"bound": str(found.bound)}


def plain_fields(found: Mapping[str, object]) -> dict[str, object]:
    """Return a mapping whose values are plain, at any depth."""
    return {name: plain(value) for name, value in found.items()}


def plain(value: object) -> object:
    """Return a value as JSON can hold it: NumPy's numbers as Python's, infinities as names."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return plain_fields({str(name): item for name, item in value.items()})
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
