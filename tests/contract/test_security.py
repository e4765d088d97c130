"""docs/security.md says who reads each kind of file; each reader is there, and each is attacked."""

from __future__ import annotations

import re
from pathlib import Path

from bittrue.importers.readers import READERS
from tests.format.mutate import KINDS

ROOT = Path(__file__).parents[2]
#: What is no file of its own: Python of the user's, and a file that is tried as ONNX.
NO_KIND = {"factory", "unknown"}


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "security.md").read_text()
    table = text[text.index("| file | reader |") :].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.split("\n")][
        2:
    ]


def test_every_reader_that_the_page_names_is_there() -> None:
    for _, readers, *_ in rows():
        folder = Path()
        names = re.findall(r"`([^`]+\.(?:py|cc))`", readers)
        assert names
        for name in names:
            # A name without a folder lies beside the one before it.
            folder = Path(name).parent if "/" in name else folder
            place = ROOT if folder.parts[:1] == ("native",) else ROOT / "src" / "bittrue"
            assert (place / folder / Path(name).name).exists(), name


def test_every_test_that_the_page_names_is_there() -> None:
    for *_, tests, _ in rows():
        names = re.findall(r"`([^`]+)`", tests)
        assert names
        assert [name for name in names if not (ROOT / name).exists()] == []


def test_every_kind_of_file_is_damaged_by_the_fuzzer_and_is_on_the_page() -> None:
    listed = [kind for *_, kinds in rows() for kind in kinds.split(", ")]
    assert sorted(listed) == sorted(KINDS)
    assert set(READERS) - NO_KIND <= set(KINDS)
