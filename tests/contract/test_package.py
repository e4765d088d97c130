"""Promises of the package as a whole: public names, a light import."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import bittrue

HEAVY = ("onnx", "onnxruntime", "torch", "safetensors", "jinja2", "PIL", "rich", "click", "scipy")


def imported_for_types() -> dict[str, object]:
    """What a type checker believes the names of the package to be: its imports, done here."""
    tree = ast.parse(Path(bittrue.__file__).read_text(encoding="utf-8"))
    rows = [row for row in ast.walk(tree) if isinstance(row, ast.ImportFrom)]
    return {
        item.asname or item.name: getattr(importlib.import_module(row.module), item.name)
        for row in rows
        if row.module and row.module.startswith("bittrue.") and row.module != "bittrue.version"
        for item in row.names
    }


def test_every_public_name_is_what_a_type_checker_believes() -> None:
    loaded = {name: getattr(bittrue, name) for name in bittrue.__all__}
    assert loaded == imported_for_types()
    assert dir(bittrue) == sorted(bittrue.__all__)


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'import_modle'"):
        bittrue.import_modle  # noqa: B018


@pytest.mark.parametrize("code", ["bittrue", "bittrue.Session"])
def test_what_runs_on_a_device_loads_nothing_heavy(code: str) -> None:
    program = f"import bittrue, json, sys; {code}; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert set(json.loads(done.stdout)) & set(HEAVY) == set()
