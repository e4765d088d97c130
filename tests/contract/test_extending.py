"""The recipes of docs/extending.md: each works, and each forgotten part is named by a test."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bittrue.engines.native_library import library_path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"
#: What is copied to be extended, beside the library, which stays where it is.
COPIED = ("CMakeLists.txt", "pyproject.toml", "bench", "docs", "native", "src", "tests")
BLOCK = re.compile(
    r"^(?P<how>New|In) `(?P<file>[^`]+)`(?:, (?P<side>after|before) `(?P<anchor>.+?)`)?:\n\n"
    r"```\w*\n(?P<text>.*?)^```\n(?:\nForgotten: `(?P<named>[^`]+)`\n)?",
    re.MULTILINE | re.DOTALL,
)
#: Before the program of a recipe: it is the copy that is looked at.
HEAD = """import bittrue, pathlib
assert pathlib.Path(bittrue.__file__).is_relative_to(pathlib.Path.cwd()), bittrue.__file__
"""
SHOWN = re.compile(r"^```python shown\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: The tests of tables, which are to name what a table lacks.
TABLES = (
    "tests/contract/test_operators.py",
    "tests/contract/test_security.py",
    "tests/unit/test_causes.py",
    "tests/unit/test_passes_pipeline.py::test_every_pass_stands_in_the_table",
    "tests/unit/test_readers.py",
    "tests/kernels/test_dispatch.py::test_every_list_of_instruction_sets_is_that_of_the_engine",
)
#: Those that build the engine anew.
LONG = ("An instruction set",)


@dataclass(frozen=True, slots=True)
class Part:
    """One block of a recipe: where its text goes, and which words tell that it was left out."""

    file: str
    side: str
    anchor: str
    text: str
    named: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """A section of the page: its parts, and the program that shows that they work."""

    parts: tuple[Part, ...]
    shown: str


def recipes() -> dict[str, Recipe]:
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {text.partition("\n")[0]: recipe(text) for text in sections}


def recipe(text: str) -> Recipe:
    parts = [
        Part(row["file"], row["side"] or "", row["anchor"] or "", row["text"], row["named"] or "")
        for row in BLOCK.finditer(text)
    ]
    (shown,) = SHOWN.findall(text)
    return Recipe(tuple(parts), shown)


RECIPES = recipes()


def test_the_page_has_its_five_recipes() -> None:
    assert list(RECIPES) == [
        "An operator",
        "A pass",
        "An instruction set",
        "A cause",
        "A reader of files",
    ]


def test_the_page_says_how_many_files_a_recipe_touches() -> None:
    told = re.findall(r"^\| (An? [a-z ]+) \| (\d+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE)
    found = []
    for name, row in RECIPES.items():
        files = {part.file for part in row.parts}
        sources = {file for file in files if file.startswith(("src/", "native/"))}
        found.append((name, str(len(files)), str(len(sources))))
    assert told == found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def put_in(folder: Path, parts: Sequence[Part]) -> None:
    for part in parts:
        path = folder / part.file
        if not part.anchor:
            assert not path.exists(), f"{part.file} is there already"
            path.write_text(part.text)
            continue
        lines = path.read_text().splitlines(keepends=True)
        (at,) = [index for index, line in enumerate(lines) if part.anchor in line]
        lines.insert(at + (part.side == "after"), part.text)
        path.write_text("".join(lines))


def run(folder: Path, *words: str) -> tuple[int, str]:
    environment = {
        "PYTHONPATH": f"{folder / 'tests' / 'other_tree'}:{folder / 'src'}:{folder}",
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    if not (folder / "build").exists():
        environment["BITTRUE_LIBRARY"] = str(library_path())
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in LONG])
def test_a_recipe_works(copy: Path, name: str) -> None:
    show(copy, name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", LONG)
def test_a_recipe_that_takes_a_build_works(copy: Path, name: str) -> None:
    (copy / "build").mkdir()  # its own engine, not ours
    show(copy, name)


def show(copy: Path, name: str) -> None:
    put_in(copy, RECIPES[name].parts)
    (copy / "shown.py").write_text(HEAD + RECIPES[name].shown)
    code, said = run(copy, "shown.py")
    assert code == 0, said
    code, said = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TABLES)
    assert code == 0, said


def forgotten() -> list[tuple[str, int]]:
    """Return each part that a test is to miss, by its recipe and place."""
    return [
        (name, at)
        for name, row in RECIPES.items()
        for at, part in enumerate(row.parts)
        if part.named
    ]


@pytest.mark.parametrize(("name", "at"), forgotten())
def test_what_was_forgotten_is_named(copy: Path, name: str, at: int) -> None:
    parts = RECIPES[name].parts
    put_in(copy, [part for index, part in enumerate(parts) if index != at])
    code, said = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TABLES)
    if parts[at].named not in said and name not in LONG:
        (copy / "shown.py").write_text(HEAD + RECIPES[name].shown)
        code, said = run(copy, "shown.py")
    assert code
    assert parts[at].named in said
