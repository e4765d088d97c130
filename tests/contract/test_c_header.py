"""What ctypes believes of native/bittrue.h is what a C compiler makes of it."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bittrue import settings
from bittrue.engines import native_library
from tests.conftest import ROOT

CONSTANTS = {
    "ABI": native_library.ABI,
    "MAX_RANK": native_library.MAX_RANK,
    "MAX_THREADS": settings.THREADS_MAX,
    "NO_OFFSET": native_library.NO_OFFSET,
    "COPY": native_library.COPY,
    **{
        name: getattr(native_library, name)
        for name in ("OK", "FORMAT", "DATA", "USAGE", "MEMORY", "INTERNAL")
    },
}


def structures() -> dict[str, type[ctypes.Structure]]:
    """By the names of C, which stand in the docstrings."""
    classes = [
        item
        for item in vars(native_library).values()
        if isinstance(item, type) and issubclass(item, ctypes.Structure)
    ]
    return {
        name: item for item in classes for name in re.findall(r"bittrue_\w+", item.__doc__ or "")
    }


def facts() -> dict[str, int]:
    """What ctypes says, by the expression of C that says the same."""
    found = {f"BITTRUE_{name}": value for name, value in CONSTANTS.items()}
    for name, item in structures().items():
        found[f"sizeof({name})"] = ctypes.sizeof(item)
        for field, *_ in item._fields_:
            found[f"offsetof({name}, {field})"] = getattr(item, field).offset
            found[f"sizeof((({name}*)0)->{field})"] = getattr(item, field).size
    return found


def test_sizes_places_and_numbers_are_those_of_the_header(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("cc is not there: nothing says what the header's structures are")
    expressions = list(facts())
    prints = [f'printf("%llu\\n", (unsigned long long)({text}));' for text in expressions]
    source = ["#include <stdio.h>", '#include "bittrue.h"', "int main(void) {", *prints, "}"]
    (tmp_path / "facts.c").write_text("\n".join(source))
    line = ["cc", "-std=c11", f"-I{ROOT / 'native'}", "facts.c", "-o", "facts"]
    subprocess.run(line, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "facts"], capture_output=True, text=True, check=True)
    found = dict(zip(expressions, map(int, done.stdout.split()), strict=True))
    assert found == facts()


def test_every_structure_of_the_header_has_its_size_asserted_and_ctypes_form() -> None:
    header = (ROOT / "native" / "bittrue.h").read_text()
    declared = set(re.findall(r"typedef struct (\w+) \{", header))
    asserted = re.findall(
        r"sizeof\((bittrue_\w+)\) == ", (ROOT / "native/interface.cc").read_text()
    )
    assert sorted(asserted) == sorted(declared)
    assert declared - set(structures()) == {"bittrue_vector_info"}  # Python makes its own vectors
