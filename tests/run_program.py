"""The static program bittrue-run, as tests call it."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bittrue.engines.native_library import library_path


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
