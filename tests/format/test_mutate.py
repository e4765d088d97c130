"""Every kind of file that bittrue reads, damaged: its reader says so in words, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.format.mutate import KINDS, findings

#: Files of each kind; `make fuzz` tries thousands.
COUNT = 25


@pytest.mark.filterwarnings("ignore")  # Pillow's, about what it skips in a damaged picture
@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_damaged_file_gives_an_error_of_ours(name: str, tmp_path: Path) -> None:
    if name.startswith(("torch", "safetensors")):
        pytest.importorskip("torch")
    assert findings(name, COUNT, 1, tmp_path) == []


@pytest.mark.parametrize("name", ["bte", "bta", "npy"])
def test_files_are_refused_in_little_memory(name: str) -> None:
    """The program limits its own address space before it reads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.format.mutate", "20", name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name}: 20 files, 0 findings" in done.stdout
