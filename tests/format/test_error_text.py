"""What the engine says of a hostile file is UTF-8 on one line, whatever names the file holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bittrue.compiler.fileformat import to_bytes
from bittrue.engines.native import Engine
from bittrue.errors import Error, FormatError
from tests.bte import sealed
from tests.format.programs import small_program


def with_equal_names(name: str) -> bytes:
    """The small program with two tensors of one name: its rule N3 is what the engine names."""
    program = small_program()
    other = name[:-1] + chr(ord(name[-1]) + 1)
    tensors = [replace(row) for row in program.tensors]
    tensors[1], tensors[2] = replace(tensors[1], name=name), replace(tensors[2], name=other)
    data = to_bytes(replace(program, tensors=tuple(tensors)))
    return sealed(data.replace(other.encode(), name.encode(), 1))


@pytest.mark.parametrize(
    "name", ["\N{EURO SIGN}" * 50, "a" + "\U0001f600" * 40, "line\nline\x1b[2J"]
)
def test_a_name_that_is_cut_or_odd_is_still_text(name: str) -> None:
    with pytest.raises(FormatError, match="second tensor") as caught:
        Engine(with_equal_names(name))
    said = caught.value.message
    assert "\N{REPLACEMENT CHARACTER}" not in said
    assert said.isprintable()


def test_an_odd_name_of_an_instruction_set_is_still_text() -> None:
    with pytest.raises(Error) as caught:
        Engine(to_bytes(small_program()), "\N{EURO SIGN}" * 30)
    assert "\N{REPLACEMENT CHARACTER}" not in caught.value.message
