"""The figures for a terminal and as docs/faults.md."""

from __future__ import annotations

from collections.abc import Sequence

from bench.faults.score import (
    ALIASES,
    TIES,
    OfCause,
    Scored,
    by_cause,
    misses,
    of_group,
    share,
    summary,
)

HEAD = """# Planted faults: does `bittrue diagnose` name what is wrong?

Made by `make faults`; bench/faults/README.md says how a case is made and run again. The device
is ONNX Runtime on an int8 network of its own quantiser; the generator shares no code with the
diagnosis. No threshold was tuned on the pictures and networks below; the `dev` split has others.
Rules that were added after an earlier run on these had been read: what chance gains on few numbers,
that an effect below the noise is not guessed, that one late frame of few numbers is no
`runtime.stale`, that pads are no picture, that figures and what an output shows are taken from all
frames together, that the nearest trial is named where none fits, that less than half a code is an
input's own rounding, and that no scale is fitted to what our own networks doubt. None has a figure
that was taken from it.

A case has 3 pictures, or as many as hold 64 numbers, but at most 16: half of the networks below
give 2 to 16 numbers a picture, and no tool can tell causes apart by six numbers. The int8 networks
of some leave the float network altogether when their input is wrong.

A planted mistake counts as found when it is the first explanation, or one of at most {ties} that
fit equally well, with no other mistake beside it. The *effect* of a mistake is the energy of what
it changes in the outputs over the energy of the healthy device's own error; mistakes with an effect
below 1 are counted apart, as nobody could see them in the outputs.
"""


def text(rows: Sequence[Scored]) -> str:
    """Return the figures for a terminal: figures, causes, every miss."""
    lines = [f"{name:48} {value}" for name, value in summary(rows)]
    lines += ["", f"{'cause':32} {'recall':>12} {'precision':>12}"]
    lines += [f"{row.cause:32} {_recall(row):>12} {_precision(row):>12}" for row in by_cause(rows)]
    lines += ["", "misses and false alarms:"]
    lines += [_miss(row) for row in misses(rows)]
    return "\n".join(lines)


def markdown(rows: Sequence[Scored], left_out: Sequence[str]) -> str:
    """Return docs/faults.md.

    Args:
        rows: What was measured.
        left_out: Cases of the split that were not run, as network/case.
    """
    parts = [HEAD.format(ties=TIES), _left_out(left_out), _table(("", "result"), summary(rows))]
    parts.append("## By cause\n")
    causes = [(f"`{row.cause}`", _recall(row), _precision(row)) for row in by_cause(rows)]
    parts.append(_table(("cause", "recall", "precision"), causes))
    parts.append("## By network\n")
    parts.append(_table(("network", "planted found", "false alarms"), _networks(rows)))
    parts.append("## By what the user gives\n")
    parts.append(_table(("given", "planted found", "false alarms"), _gives(rows)))
    parts.append("## The same experiment under two names\n")
    parts.append(_table(("planted", "also right", "where", "why"), _aliases()))
    parts.append("## Misses\n")
    parts.append(_table(("case", "planted", "named", "effect"), _missed(rows)))
    return "\n".join(parts)


def _left_out(cases: Sequence[str]) -> str:
    """Return which cases were not run: a figure of a part is not one of the whole."""
    counts: dict[str, int] = {}
    for case in cases:
        network = case.split("/")[0]
        counts[network] = counts.get(network, 0) + 1
    each = ", ".join(f"{count} of {name}" for name, count in counts.items())
    return f"**A part only:** {len(cases)} cases were not run ({each}).\n" if cases else ""


def _recall(row: OfCause) -> str:
    return f"{row.found} of {row.planted}" if row.planted else "-"


def _precision(row: OfCause) -> str:
    return f"{row.named_right:.1f} of {row.named:.1f}" if row.named else "-"


def _networks(rows: Sequence[Scored]) -> list[tuple[str, str, str]]:
    names = dict.fromkeys(row.folder.split("/")[0] for row in rows)
    return [
        _both(name, [row for row in rows if row.folder.startswith(f"{name}/")]) for name in names
    ]


def _gives(rows: Sequence[Scored]) -> list[tuple[str, str, str]]:
    words = {
        "outputs": "model, pictures, outputs",
        "sent": "the array that was sent as well",
        "all": "that and the device's contract",
        "reference": "no model: the float network's outputs",
    }
    return [_both(said, [row for row in rows if row.give == give]) for give, said in words.items()]


def _both(name: str, rows: Sequence[Scored]) -> tuple[str, str, str]:
    healthy = share(of_group(rows, "healthy"), "alarm")
    return name, share(of_group(rows, "single", "pair")), healthy


def _aliases() -> list[tuple[str, ...]]:
    return [
        (row.planted, row.named, "array not given" if row.without_sent else "always", row.reason)
        for row in ALIASES
    ]


def _missed(rows: Sequence[Scored]) -> list[tuple[str, ...]]:
    return [
        (row.folder, ", ".join(row.planted), _named(row), f"{row.effect:.3g}")
        for row in misses(rows)
    ]


def _named(row: Scored) -> str:
    if not row.named:
        return f"exit {row.code}"
    return "; ".join(" with ".join(one) for one in row.named)


def _miss(row: Scored) -> str:
    return (
        f"  {row.folder}: {', '.join(row.planted)} (effect {row.effect:.3g}, {row.group}) "
        f"-> {_named(row)} | {row.verdict[:160]}"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
