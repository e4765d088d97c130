"""Cases in a file, for native/tests/thread_driver.cc under ThreadSanitizer:

cmake -S . -B build/tsan -G Ninja -DBITTRUE_SANITIZE_THREAD=ON -DBITTRUE_TEST_DRIVERS=ON
cmake --build build/tsan
python -m tests.kernels.write_cases build/tsan/cases && build/tsan/thread_driver build/tsan/cases
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tests.kernels.places import case_bytes
from tests.kernels.programs import CASES, Case, ConvShape, conv_case, conv_chain_case

ONES = (1, 1, 1, 1)
#: Large enough to be shared by threads (PART_COST in native/plan.cc).
SHARED = (
    ConvShape((2, 60, 61, 24), 40, (3, 3), pad=ONES),
    ConvShape((1, 40, 40, 64), 64, (3, 3), pad=ONES, groups=64),
    ConvShape((1, 40, 40, 64), 64, (3, 3), pad=ONES, groups=2),
    ConvShape((1, 20, 20, 100), 300),
)


def cases() -> list[Case]:
    """Return convolutions that threads share, a chain of them, and a case of each instruction."""
    rng = np.random.default_rng(0)
    found = [conv_case(rng, shape) for shape in SHARED]
    chain = (ConvShape((1, 48, 48, 16), 16, (3, 3), pad=ONES),) * 4
    return [*found, conv_chain_case(rng, chain), *(make(rng) for make in CASES.values())]


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(b"".join(case_bytes(case, "auto", 1) for case in cases()))
