"""The static program bittrue-run, as tests call it."""

from __future__ import annotations

import fcntl
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bittrue.engines.native_library import library_path

ROOT = Path(__file__).parent.parent


def program() -> Path:
    """Return the path of bittrue-run: where the wheel puts it, or in the build folder."""
    folder = library_path().parent
    for path in (folder / "bin" / "bittrue-run", folder / "bittrue-run"):
        if path.is_file():
            return path
    raise AssertionError(f"no bittrue-run beside {folder}: build the engine again")


def call(
    *words: str | Path, before: Sequence[str] = (), path: Path | None = None, most_bytes: int = 0
) -> tuple[int, str, str]:
    """Run it; return exit code, standard output and standard error.

    Args:
        words: Its command line.
        before: What runs it: an emulator of another CPU, and that one's options.
        path: Another build of it.
        most_bytes: No file may grow past this, as on a full disk; 0 for no limit.
    """

    def limit() -> None:
        if most_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    line = [*before, str(path or program()), *map(str, words)]
    # Python ignores SIGXFSZ, and so does its child here: writing too much is then an error.
    done = subprocess.run(
        line, capture_output=True, text=True, preexec_fn=limit, restore_signals=False, check=False
    )
    return done.returncode, done.stdout, done.stderr


def aarch64_program() -> Path:
    """Return a static build for AArch64, made now; skip the test where it cannot be made or run."""
    beside = Path(sys.executable).parent / "cmake"
    cmake = str(beside) if beside.is_file() else shutil.which("cmake")
    tools = {"aarch64-linux-gnu-g++": None, "qemu-aarch64": None, "cmake": cmake}
    for tool, found in tools.items():
        if not (found or shutil.which(tool)):
            pytest.skip(f"{tool} is not there: AArch64 cannot be built and run")
    folder = ROOT / "build" / "test-aarch64"
    toolchain = ROOT / "native" / "toolchains" / "aarch64-linux-gnu.cmake"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may want it at once
        for line in (
            ["-S", str(ROOT), "-B", str(folder), f"-DCMAKE_TOOLCHAIN_FILE={toolchain}"],
            ["--build", str(folder), "--target", "bittrue-run", "--parallel", "2"],
        ):
            done = subprocess.run([str(cmake), *line], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bittrue-run"
