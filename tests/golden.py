"""Texts that people read, kept as files: a change shows in the diff, and is accepted by one switch.

    BITTRUE_UPDATE_GOLDEN=1 python -m pytest tests/unit/test_buffers.py

writes what the tests saw; read the diff before committing it. The files are in tests/golden/, which
must hold no __init__.py: this module has its name.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def check_golden(name: str, text: str) -> None:
    """Compare a text with tests/golden/<name>, or write it when BITTRUE_UPDATE_GOLDEN is 1.

    Args:
        name: Path below tests/golden, for example "buffers/float64.txt".
        text: What was produced; a final line break is added if it has none.
    """
    path = FOLDER / name
    text = text if text.endswith("\n") else text + "\n"
    if os.environ.get("BITTRUE_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    assert path.is_file(), f"{path} is missing; run again with BITTRUE_UPDATE_GOLDEN=1 and read it"
    assert text == path.read_text(encoding="utf-8"), (
        f"{name} differs; if that is wanted, run again with BITTRUE_UPDATE_GOLDEN=1"
    )
