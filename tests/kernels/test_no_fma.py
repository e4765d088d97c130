"""The law of floats: the built engine holds no fused multiply-add."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from bittrue.engines.native_library import library_path

FUSED = re.compile(r"\bv?f(?:n?m(?:add|sub)|maddsub|msubadd)\w*|\bfml[as]\b|\bfn?m(?:add|sub)\b")


def test_pattern_knows_fused_instructions() -> None:
    for name in ("vfmadd213ps", "vfnmadd231ss", "vfmsub132ps", "vfmaddsub213ps", "fmla", "fnmsub"):
        assert FUSED.search(f"  12ab:\t{name} %ymm0,%ymm1,%ymm2")
    for name in ("vmulps", "vpmaddwd", "vaddps", "vpdpbusd"):
        assert not FUSED.search(f"  12ab:\t{name} %ymm0,%ymm1,%ymm2")


def test_library_holds_no_fused_multiply_add() -> None:
    objdump = shutil.which("objdump")
    if objdump is None:
        pytest.skip("objdump is not installed; it comes with binutils")
    command = [objdump, "--disassemble", "--no-show-raw-insn", str(library_path())]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "mulps" in listing  # the listing is one
    found = [line for line in listing.splitlines() if FUSED.search(line.split("#")[0])]
    assert not found, found[:5]
