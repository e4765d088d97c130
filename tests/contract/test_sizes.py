"""No file and no function grows past what one can take in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES = 600
FUNCTION_LINES = 60
FOLDERS = ("src", "native", "tests", "bench", "examples")
KINDS = (".py", ".cc", ".h", ".inc", ".c")


def sources() -> list[Path]:
    found = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in KINDS]
    assert len(found) > 300
    return found


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def test_no_file_is_longer_than_one_can_take_in() -> None:
    lines = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in sources()}
    assert {str(p.relative_to(ROOT)): n for p, n in lines.items() if n > FILE_LINES} == {}


def test_no_function_is_longer_than_one_can_take_in() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name} has {length} lines"
        for path in sources()
        if path.suffix == ".py"
        for name, length in functions(path)
        if length > FUNCTION_LINES
    ]
    assert found == []
