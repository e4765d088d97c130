"""Two builds of the engine, side by side: `python -m bench.engines OLD.so NEW.so MODEL.bte ...`.

Each executable runs in turn in either build, one thread, in one process; the outputs must be the
same bits. Prints for each the medians and the minima of the CPU time of a run, and their ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bittrue.compiler.fileformat import from_bytes
from bittrue.compiler.program import Program
from bittrue.engines.native import Engine

#: Runs of each build: as many as take so many seconds together, within limits.
SECONDS = 6.0
RUNS = (15, 200)


@dataclass(frozen=True, slots=True)
class Pair:
    """CPU seconds of each run, of either build, in the order in which they were run."""

    old: tuple[float, ...]
    new: tuple[float, ...]

    def __str__(self) -> str:
        """Medians and minima in milliseconds, and how many times as long the new build takes."""
        told = []
        for name, figure in (("median", statistics.median), ("minimum", min)):
            old, new = 1e3 * figure(self.old), 1e3 * figure(self.new)
            told.append(f"{name} {old:.3f} and {new:.3f} ms, ratio {new / old:.3f}")
        return f"{'; '.join(told)}; {len(self.old)} runs each"


def opened(library: Path, data: bytes) -> Engine:
    """Return an executable in a build of the engine, one thread."""
    os.environ["BITTRUE_LIBRARY"] = str(library)
    return Engine(data, threads=1)


def inputs(program: Program) -> list[np.ndarray]:
    """Return random inputs: codes from 0 to 255, floats of unit variance."""
    rng = np.random.default_rng(0)
    rows = [program.tensors[index] for index in program.inputs]
    return [
        rng.integers(0, 256, row.shape).astype(np.uint8)
        if row.dtype == "uint8"
        else rng.normal(size=row.shape).astype(np.float32)
        for row in rows
    ]


def timed(engine: Engine, given: list[np.ndarray]) -> float:
    """Return the CPU seconds of one run."""
    start = time.process_time()
    engine.run(given)
    return time.process_time() - start


def compare(old: Path, new: Path, data: bytes, seconds: float = SECONDS) -> Pair:
    """Time an executable in both builds, one run of each in turn, the first of a turn changing.

    Raises:
        ValueError: if the builds give other outputs.
    """
    given = inputs(from_bytes(data))
    engines = (opened(old, data), opened(new, data))
    one, two = ([a.tobytes() for a in engine.run(given)[0]] for engine in engines)
    if one != two:
        raise ValueError("the two builds give other outputs")
    count = int(seconds / 2 / max(timed(engines[0], given), 1e-4))
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(min(max(count, RUNS[0]), RUNS[1])):
        for build in (turn % 2, 1 - turn % 2):
            found[build].append(timed(engines[build], given))
    return Pair(tuple(found[0]), tuple(found[1]))


def main() -> int:
    """Compare the builds on each executable."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, metavar="OLD.so")
    parser.add_argument("new", type=Path, metavar="NEW.so")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.bte")
    given = parser.parse_args()
    for model in given.models:
        print(f"{model.name}: {compare(given.old, given.new, model.read_bytes())}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
