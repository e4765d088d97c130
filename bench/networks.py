"""Networks through every stage: `python bench/networks.py [NAME ...]`; writes docs/benchmarks.md.

For each network: `native` against the source, SQNR at `quantized` and `compiled`, whether
`compiled` equals `bit_true` in every byte of every tensor, the task's own figures, sizes and times.
Exit code 1 if a network was refused, or is not what it must be.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.cases import CASES  # noqa: E402
from bench.measure import Row, measure, relative  # noqa: E402
from bench.tasks.figure import Figure  # noqa: E402
from bittrue.parity.compare import Comparison  # noqa: E402

DOCUMENT = ROOT / "docs" / "benchmarks.md"
START, END = "<!-- networks: begin -->", "<!-- networks: end -->"
HEADS = (
    *("network", "stages", "native against source", "compiled = bit_true"),
    *("SQNR quantized", "SQNR compiled", ".bte", "build", "run, 1 thread"),
)
TASKS = ("network", "float", "quantized", "compiled")


def render(rows: Sequence[Row]) -> str:
    """Return the part of the document between the markers: two tables and what is wrong."""
    today = datetime.date.today().isoformat()
    wrong = [f"* {row.name}: {text}" for row in rows for text in row.problems]
    lines = [
        START,
        f"Measured {today} on {_cpu()} by `make bench`, {sum(row.seconds for row in rows):.0f} s.",
        "",
        *_table(HEADS, [_stages(row) for row in rows]),
        "",
        *_table(TASKS, [_tasks(row) for row in rows]),
        "",
        *(["Refused or wrong:", "", *wrong] if wrong else ["Nothing was refused."]),
        END,
    ]
    return "\n".join(lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    marked = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in marked]


def _stages(row: Row) -> tuple[str, ...]:
    compiled = row.reached == "compiled"
    return (
        row.name,
        "all" if compiled else f"up to {row.reached}",
        "-" if row.native is None else f"{relative(row.native):.1e}",
        f"{row.tensors} tensors" if row.tensors else "-",
        _decibels(row.quantized),
        _decibels(row.compiled),
        f"{row.bytes_executable / 1e6:.2f} MB" if compiled else "-",
        f"{row.seconds_build:.1f} s",
        f"{row.milliseconds:.2f} ms" if row.milliseconds else "-",
    )


def _tasks(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        _figures(row.own),
        _figures(row.figures_quantized),
        _figures(row.figures_compiled),
    )


def _figures(figures: Sequence[Figure]) -> str:
    return "; ".join(map(str, figures)) or "-"


def _decibels(edge: Comparison | None) -> str:
    return "-" if edge is None else f"{edge.worst.sqnr_db:.1f} dB"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write(text: str) -> None:
    """Replace the part of docs/benchmarks.md between the markers."""
    old = DOCUMENT.read_text() if DOCUMENT.exists() else f"# Benchmarks\n\n{START}\n{END}\n"
    head, _, rest = old.partition(START)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(head + text + tail)


def main() -> int:
    """Measure the networks named on the command line, or all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *(case.name for case in CASES)])
    parser.add_argument("--print", action="store_true", help="print the table, write nothing")
    parser.add_argument("--quick", action="store_true", help="few samples; writes nothing")
    parser.add_argument("--samples", type=int, default=0, help="judge at most so many; 0: all")
    options = parser.parse_args()
    rows = []
    for case in CASES:
        if options.names and case.name not in options.names:
            continue
        rows.append(measure(case, quick=options.quick, most=options.samples))
        said = "; ".join(rows[-1].problems) or "all stages"
        print(f"{case.name}: {rows[-1].seconds:.0f} s, {said}", flush=True)
        print(*_stages(rows[-1]), *_tasks(rows[-1])[1:], sep=" | ", flush=True)
    text = render(rows)
    print(text)
    if not (options.print or options.names or options.quick):
        write(text)
    return int(any(row.problems for row in rows))


if __name__ == "__main__":
    sys.exit(main())
