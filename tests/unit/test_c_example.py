"""examples/c/run.c: plain C11 on bittrue.h alone, and the same bytes as Python's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bittrue.engines.native_library import FUNCTIONS, library_path
from bittrue.session import Session
from tests.unit.networks import pixels, tiny

ROOT = Path(__file__).parents[2]
HEADER = ROOT / "native" / "bittrue.h"
STRICT = ("-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example, built, in a folder with tiny.bte and x.bin."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not there: the example in C cannot be built")
    library = library_path()
    link = (f"-L{library.parent}", "-lbittrue", f"-Wl,-rpath,{library.parent}")
    line = ["cc", *STRICT, f"-I{HEADER.parent}", str(ROOT / "examples" / "c" / "run.c")]
    subprocess.run([*line, "-o", str(tmp_path / "run"), *link], check=True)
    (tmp_path / "tiny.bte").write_bytes(tiny().executable or b"")
    (tmp_path / "x.bin").write_bytes(pixels(9).tobytes())
    return tmp_path / "run"


def call(example: Path, *words: str) -> tuple[int, str, str]:
    line = [str(example), *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=example.parent)
    return done.returncode, done.stdout, done.stderr


def test_the_example_gives_the_bytes_that_python_gives(example: Path) -> None:
    code, out, err = call(example, "tiny.bte", "x.bin", "y.bin")
    assert (code, err) == (0, "")
    with Session(tiny().executable or b"") as session:
        wanted = session.run(pixels(9))["logits"]
    assert (example.parent / "y.bin").read_bytes() == wanted.tobytes()
    order = np.argsort(-wanted[0], kind="stable")
    assert out.splitlines() == [f"logits[{i}] = {wanted[0, i]:.9g}" for i in order]


def test_the_example_says_what_is_wrong(example: Path) -> None:
    (example.parent / "short.bin").write_bytes(b"1")
    assert call(example, "tiny.bte", "short.bin", "y.bin") == (
        1, "", "short.bin: input 'images' takes 768 bytes, not 1\n"
    )  # fmt: skip
    code, _, err = call(example, "x.bin", "x.bin", "y.bin")
    assert code == 1
    assert err.startswith("x.bin: the file does not start with")
    assert call(example, "none.bte", "x.bin", "y.bin")[0] == 1
    assert call(example)[0] == 1


def test_the_makefile_builds_it(tmp_path: Path) -> None:
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.skip("make or cc is not there")
    for name in ("examples/c/run.c", "examples/c/Makefile", "native/bittrue.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    line = ["make", "-C", str(tmp_path / "examples" / "c"), f"ENGINE={library_path().parent}"]
    subprocess.run(line, check=True, capture_output=True)
    assert (tmp_path / "examples" / "c" / "run").is_file()


def test_the_library_shows_what_the_header_declares_and_nothing_else() -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not there")
    declared = set(re.findall(r"BITTRUE_API [^;]*?(bittrue_\w+)\(", HEADER.read_text()))
    line = ["nm", "-D", "--defined-only", str(library_path())]
    shown = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert {row.split()[-1] for row in shown.splitlines() if " T " in row} == declared
    assert {name for name, _, _ in FUNCTIONS} <= declared
