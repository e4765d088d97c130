"""Small legal programs as files, from which the fuzzers of native/fuzz start.

python -m tests.kernels.seeds build/fuzz/corpus
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np

from bittrue.compiler.fileformat import to_bytes
from tests.kernels.hostile import SECTION_TABLE, SECTIONS, cases, mended

#: Bytes with which `interface_fuzzer` chooses its arguments.
CHOICES = 32
ALIGNMENT = 64
TABLE = f"<{2 * SECTIONS}Q"
SEEDS = 3


def without_meta(data: bytes) -> bytes:
    """Return the file with META `{}`, which the engine never reads: a fuzzer's bytes are dear."""
    table = list(struct.unpack_from(TABLE, data, SECTION_TABLE))
    start, rest = table[0], table[2]
    shift = rest - start - ALIGNMENT
    table[1] = 2
    table[2::2] = [at - shift for at in table[2::2]]
    made = bytearray(data[:start] + b"{}".ljust(ALIGNMENT, b"\0") + data[rest:])
    struct.pack_into(TABLE, made, SECTION_TABLE, *table)
    struct.pack_into("<Q", made, 16, len(made))
    return mended(made)


def seeds() -> dict[str, bytes]:
    """Return a file for each program of `hostile.cases`, some times over."""
    return {
        f"{name.replace(' ', '_')}_{seed}": without_meta(to_bytes(case.program))
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
