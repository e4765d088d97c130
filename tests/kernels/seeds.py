"""Small legal programs as files, from which the fuzzers of native/fuzz start.

python -m tests.kernels.seeds build/fuzz/corpus
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from bittrue.compiler.fileformat import to_bytes
from tests.bte import with_meta
from tests.kernels.hostile import cases

#: Bytes with which `interface_fuzzer` chooses its arguments.
CHOICES = 32
SEEDS = 3


def seeds() -> dict[str, bytes]:
    """Return a file for each program of `hostile.cases`, some times over.

    META is `{}`: the engine never reads it, and a fuzzer's bytes are dear.
    """
    return {
        f"{name.replace(' ', '_')}_{seed}": with_meta(to_bytes(case.program), b"{}")
        for seed in range(SEEDS)
        for name, case in cases(seed).items()
    }


def main() -> int:
    """Write the seeds of both fuzzers below a folder."""
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(0)
    for name in ("open", "interface"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        (folder / "open" / name).write_bytes(data)
        (folder / "interface" / name).write_bytes(rng.bytes(CHOICES) + data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
