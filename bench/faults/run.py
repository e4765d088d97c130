"""Every case through the command line of the diagnosis, as a user would run it.

It is called within worker processes, not started anew for each case: start-up is no part of the
time that is measured.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.faults.networks import Network

#: Of --quick: one case of so many. Odd, as neighbours differ in what is given.
EVERY = 5
#: Seconds for experiments: twice the default, as each worker has one core of two.
BUDGET = 12
#: How many cases go by between two writings of the results.
OFTEN = 20


@dataclass(frozen=True, slots=True)
class Explained:
    """One explanation that is first or tied for first."""

    causes: tuple[str, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one case.

    Args:
        folder: Of the case, below the split's.
        code: Exit code.
        verdict: One sentence; of an error: the end of its message.
        best: Explanations that are first or tied for first.
        others: Causes of the other explanations, in their order.
        seconds: Wall time of the whole command, without starting Python.
    """

    folder: str
    code: int
    verdict: str
    best: tuple[Explained, ...]
    others: tuple[tuple[str, ...], ...]
    seconds: float


def cases(networks: Sequence[Network], folder: Path) -> list[Path]:
    """Return the folders of the cases of some networks, in a fixed order."""
    found: list[Path] = []
    for network in networks:
        where = folder / network.split / network.name / "cases"
        found += sorted(path.parent for path in where.glob("*/truth.json"))
    return found


def run(folders: Sequence[Path], jobs: int, target: Path) -> list[Result]:
    """Return the results; they are also written to `target` as JSON, every so often."""
    results: list[Result] = []
    with ProcessPoolExecutor(jobs, initializer=_quietly) as pool:
        for number, result in enumerate(pool.map(diagnose, folders), 1):
            results.append(result)
            if number % OFTEN == 0 or number == len(folders):
                print(f"{number} of {len(folders)}", flush=True)
                target.write_text(json.dumps([asdict(row) for row in results], indent=1) + "\n")
    return results


def _quietly() -> None:
    """Leave the other core to the other worker."""
    os.environ.setdefault("BITTRUE_THREADS", "1")


def diagnose(folder: Path) -> Result:
    """Run one case."""
    from bittrue.cli.main import run_command

    truth = json.loads((folder / "truth.json").read_text())
    said, complained = io.StringIO(), io.StringIO()
    started = time.monotonic()
    with _inside(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        try:
            words = ["diagnose", *truth["arguments"], "--budget", str(BUDGET), "--json"]
            code = run_command(words)
        except Exception as why:  # Whatever escapes is what a user would see.
            code = 70
            complained.write(f"{type(why).__name__}: {why}")
    seconds = time.monotonic() - started
    return _result(folder, code, said.getvalue(), complained.getvalue(), seconds)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _result(folder: Path, code: int, said: str, complained: str, seconds: float) -> Result:
    name = f"{folder.parent.parent.name}/{folder.name}"
    if code not in (0, 1) or not said.lstrip().startswith("{"):
        return Result(name, code, complained.strip()[-600:], (), (), seconds)
    found = json.loads(said)
    rows = found["explanations"]
    best = [row for row in rows if row.get("best")]
    explained = tuple(Explained(tuple(row["causes"]), float(row["confidence"])) for row in best)
    others = tuple(tuple(row["causes"]) for row in rows if not row.get("best"))
    return Result(name, code, str(found["verdict"]), explained, others, seconds)


def read(path: Path) -> list[Result]:
    """Return results that `run` wrote."""
    rows = json.loads(path.read_text())
    for row in rows:
        row["best"] = tuple(Explained(tuple(x["causes"]), x["confidence"]) for x in row["best"])
        row["others"] = tuple(tuple(x) for x in row["others"])
    return [Result(**row) for row in rows]
