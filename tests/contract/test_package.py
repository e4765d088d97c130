"""Promises of the package as a whole: public names, a light import, layers."""

from __future__ import annotations

import subprocess
import sys

import bittrue

HEAVY = ("onnx", "onnxruntime", "torch", "safetensors", "jinja2", "PIL", "rich", "click", "scipy")


def test_every_public_name_loads() -> None:
    for name in bittrue.__all__:
        assert getattr(bittrue, name) is not None


def test_the_public_names_are_those_of_the_table() -> None:
    assert set(bittrue.__all__) == set(bittrue._PUBLIC)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, bittrue; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_session_needs_numpy_and_pillow_at_most() -> None:
    code = (
        f"import sys, bittrue; bittrue.Session; print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(eval(done.stdout)) <= {"PIL"}
