"""At least a billion output bytes: NumPy against every instruction set that can run here.

    make bits                            a billion bytes on every target: hours
    python -m tests.bits --total 1e9     a billion bytes over all targets together

Prints one line a target; exits 1 if a byte differs, 2 if a target asked for by name cannot run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from tests.bits.cases import NETWORKS, compiled, present
from tests.bits.chunks import chunk
from tests.bits.compare import Count
from tests.bits.targets import Target, all_targets


def main() -> int:
    """Compare until the number of bytes is reached; return the exit code."""
    options = _options()
    targets, missing = all_targets(options.targets)
    for line in missing:
        print(f"not compared: {line}")
    if options.targets and missing:
        return 2
    names = present()
    print(f"networks: {', '.join(names)}; absent: {sorted(set(NETWORKS) - set(names))}")
    executables = {name: compiled(NETWORKS[name]) for name in names}
    begin = time.monotonic()
    counts, differ = _run(options, targets, executables)
    for name, row in counts.items():
        print(
            f"{name:<32} {row.programs:>8} programs {row.tensors:>9} tensors "
            f"{row.bytes:>14,} bytes {row.differ:>6,} differ"
        )
        for text in row.where:
            print(f"    {text}")
    every = sum(row.bytes for row in counts.values())
    print(f"{every:,} bytes compared, {differ:,} differ; {time.monotonic() - begin:.0f} s")
    return 1 if differ else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=float, default=1e9, help="bytes on each target")
    parser.add_argument("--total", type=float, default=0, help="bytes over all targets instead")
    parser.add_argument("--targets", nargs="*", default=[], help="all that can run, if not given")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop there, with less")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _run(
    options: argparse.Namespace, targets: list[Target], executables: dict[str, bytes]
) -> tuple[dict[str, Count], int]:
    """Return a count a target."""
    totals = {target.name: Count() for target in targets}
    last = time.monotonic() + options.seconds
    wanted = options.total / len(targets) if options.total else options.each
    # Not forked: the threads of ONNX Runtime, which calibrated the networks, would be missing.
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        numbers = count()
        waiting = [
            pool.submit(chunk, next(numbers), targets, executables) for _ in range(2 * options.jobs)
        ]
        while waiting:
            found = waiting.pop(0).result()
            for name, row in found.items():
                totals[name].add(row)
            left = min(row.bytes for row in totals.values()) < wanted
            if left and time.monotonic() < last:
                waiting.append(pool.submit(chunk, next(numbers), targets, executables))
    return totals, sum(row.differ for row in totals.values())


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
