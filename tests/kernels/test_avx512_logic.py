"""The AVX-512 sources, built on SIMDe's emulation of each intrinsic, equal the rules.

This proves the logic of the source on a CPU without AVX-512, not the silicon: where the CPU has
AVX512-VNNI, test_kernels.py runs the real thing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HEADER = Path("/usr/include/simde/x86/avx512.h")


def tool(name: str) -> str:
    """Return the path of a build tool, from the interpreter's folder or the system's."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not installed; pip install {name}")
    return found


def test_avx512_sources_equal_the_rules_on_an_emulation(tmp_path: Path) -> None:
    if not HEADER.is_file():
        pytest.skip(f"SIMDe is not installed ({HEADER}); apt-get install libsimde-dev")
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler is installed; apt-get install g++")
    build = ROOT / "build" / "emulate"
    configure = [tool("cmake"), "-S", str(ROOT), "-B", str(build), "-G", "Ninja"]
    configure += [f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", "-DBITTRUE_EMULATE_AVX512=ON"]
    run(configure)
    run([tool("cmake"), "--build", str(build)])
    environment = {**os.environ, "BITTRUE_LIBRARY": str(build / "libbittrue.so")}
    tests = ["tests/kernels/test_kernels.py", "-k", "avx512vnni", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    said = run(command, environment)
    assert " passed" in said, said
    assert "skipped" not in said, said


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Return what a command printed; fail with it if the command fails."""
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout[-4000:] + made.stderr[-4000:]
    return made.stdout
