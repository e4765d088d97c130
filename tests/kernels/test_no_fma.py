"""The law of floats: the built engine holds no fused multiply-add."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from bittrue.engines.native_library import library_path
from tests.kernels.places import aarch64, run, tool

FUSED = re.compile(r"\bv?f(?:n?m(?:add|sub)|maddsub|msubadd)\w*|\bfml[as]\b|\bfn?m(?:add|sub)\b")


def test_pattern_knows_fused_instructions() -> None:
    for name in (
        "vfmadd213ps",
        "vfnmadd231ss",
        "vfmsub132ps",
        "vfmaddsub213ps",
        "fmla",
        "fnmsub",
        "fmls",
        "fmadd",
    ):
        assert FUSED.search(f"  12ab:\t{name} %ymm0,%ymm1,%ymm2")
    for name in ("vmulps", "vpmaddwd", "vaddps", "vpdpbusd", "smlal", "fmul"):
        assert not FUSED.search(f"  12ab:\t{name} %ymm0,%ymm1,%ymm2")


def fused(objdump: str, library: Path, known: str) -> list[str]:
    """Return the lines of a disassembly that fuse; fail unless it holds a known instruction."""
    listing = run((objdump, "--disassemble", "--no-show-raw-insn", str(library)))
    assert re.search(known, listing)
    return [line for line in listing.splitlines() if FUSED.search(line.split("#")[0])]


def test_library_holds_no_fused_multiply_add() -> None:
    known = r"\bv?mulps\b" if platform.machine() == "x86_64" else r"\bfmul\b"
    assert not fused(tool("objdump", "binutils"), library_path(), known)


def test_library_for_aarch64_holds_no_fused_multiply_add() -> None:
    objdump = tool("aarch64-linux-gnu-objdump", "binutils-aarch64-linux-gnu")
    assert not fused(objdump, aarch64() / "libbittrue.so", r"\bfmul\b")


def test_only_the_file_for_dot_products_holds_them() -> None:
    """A CPU without sdot must be able to run all the rest."""
    objdump = tool("aarch64-linux-gnu-objdump", "binutils-aarch64-linux-gnu")
    objects = sorted((aarch64() / "native").glob("**/bittrue.dir/*.o"))
    holders = [
        path.name
        for path in objects
        if re.search(r"\b[su]s?dot\b", run((objdump, "--disassemble", str(path))))
    ]
    assert len(objects) > 8
    assert holders == ["kernels_neondot.cc.o"]
