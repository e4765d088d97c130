"""Damaged executables for both readers, with their checksums mended so that the damage is reached.

Run as a program it tries many more of them, for a build with sanitizers:

    cmake -S . -B build/sanitize -G Ninja -DBITTRUE_SANITIZE=ON && cmake --build build/sanitize
    LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)" \\
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:detect_odr_violation=0 \\
    BITTRUE_LIBRARY=build/sanitize/libbittrue.so python -m tests.kernels.hostile 400
"""

from __future__ import annotations

import re
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bittrue.compiler.file_layout import CRC_AT, HEADER_BYTES, SECTIONS
from bittrue.compiler.fileformat import from_bytes, to_bytes
from bittrue.engines.native import Engine
from bittrue.errors import DeviceError, FormatError
from tests.bte import sealed, section
from tests.format.programs import with_some_vectors
from tests.kernels.programs import CASES, Case, ConvShape, conv_case

META_RULE = re.compile("META|the contract says|in the contract")
#: What is added to a 32-bit word, and what it becomes.
DELTAS = (1, 2**32 - 1, 64, 2**32 - 64, 2**31)
VALUES = (0, 1, 2, 255, 256, 2**15 + 1, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
#: A program is run only if its tensors are no larger than this, all together.
MOST_BYTES = 2**22


def cases(seed: int) -> dict[str, Case]:
    """Return one small program of each instruction, and three convolutions."""
    rng = np.random.default_rng(seed)
    found = {kind: make(rng) for kind, make in CASES.items()}
    for name, groups in (("dense", 1), ("depthwise", 6), ("grouped", 2)):
        shape = ConvShape((1, 4, 5, 6), 6, (2, 3), pad=(1, 1, 0, 1), groups=groups)
        found[f"CONV {name}"] = conv_case(rng, shape, classes=(2, 2))
    for name in ("ADD", "F32_BINARY"):  # vectors of codes and of floats
        found[name] = replace(found[name], program=with_some_vectors(found[name].program))
    return found


def words(data: bytes) -> Iterator[int]:
    """Yield the place of every 32-bit word but those of META, NAMES and the checksum."""
    yield from (at for at in range(0, HEADER_BYTES, 4) if at != CRC_AT)
    for name in SECTIONS[2:]:
        start, length = section(data, name)
        last = start + length // 4 * 4
        if name in ("CONSTANTS", "VECTORS"):  # the first of them are enough
            last = min(last, start + 256)
        yield from range(start, last, 4)


def damaged(data: bytes, rng: np.random.Generator, most: int) -> Iterator[bytes]:
    """Yield up to `most` files that differ from `data` in one word, and as many in two."""
    singles = [
        (at, value)
        for at in words(data)
        for value in (*VALUES, *((_word(data, at) + delta) % 2**32 for delta in DELTAS))
    ]
    order = rng.permutation(len(singles))[:most]
    for first, second in zip(order, np.roll(order, 1), strict=True):
        yield changed(data, singles[first])
        yield changed(data, singles[first], singles[second])


def changed(data: bytes, *changes: tuple[int, int]) -> bytes:
    """Return the file with the words at some places changed."""
    made = bytearray(data)
    for at, value in changes:
        struct.pack_into("<I", made, at, value)
    return sealed(made)


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def cut(data: bytes) -> Iterator[bytes]:
    """Yield the file cut short: as it is, and with length and checksum mended."""
    for length in [*range(0, 16), *range(16, len(data), 28)]:
        part = data[:length]
        yield part
        if length >= 24:
            made = bytearray(part)
            struct.pack_into("<Q", made, 16, length)
            yield sealed(made)


def judge_python(data: bytes) -> str:
    """Return "accepts", "refuses", or "refuses META", which the engine does not read."""
    try:
        from_bytes(data)
    except FormatError as error:
        return "refuses META" if META_RULE.search(error.message) else "refuses"
    return "accepts"


def judge_engine(data: bytes, isa: str) -> str:
    """Return "accepts", "refuses" or "no memory"; run what is accepted."""
    try:
        engine = Engine(data, isa, threads=2)
    except FormatError:
        return "refuses"
    except DeviceError:
        return "no memory"
    with engine:
        sizes = [np.prod(row.shape, dtype=np.float64) * 4 for row in engine.tensors]
        if sum(sizes) <= MOST_BYTES:
            inputs = [
                np.zeros(engine.tensors[index].shape, engine.tensors[index].dtype)
                for index in engine.inputs
            ]
            engine.run(inputs, range(len(engine.tensors)))
    return "accepts"


def disagreement(data: bytes, isa: str, counts: Counter[str]) -> str:
    """Return how the two readers differ on a file; empty if they agree on what both read."""
    python, engine = judge_python(data), judge_engine(data, isa)
    said = f"python {python}, engine {engine}"
    counts[said] += 1
    allowed = engine == "no memory" or python in (engine, "refuses META")
    return "" if allowed else said


def main() -> int:
    """Try many damaged files; print what became of them."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    counts: Counter[str] = Counter()
    rng = np.random.default_rng(most)
    for seed, isa in enumerate(("auto", "scalar")):
        for name, case in cases(seed).items():
            data = to_bytes(case.program)
            for file in (*damaged(data, rng, most), *cut(data)):
                said = disagreement(file, isa, counts)
                if said:
                    sys.stdout.write(f"{name}: {said}\n")
    sys.stdout.write("\n".join(f"{count} {what}" for what, count in counts.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
