"""The error tree: exit codes as documented, and messages with all their parts."""

from __future__ import annotations

import pytest

from bittrue import errors
from bittrue.errors import FormatError, UnsupportedError, UnsupportedNode

DOCUMENTED = {
    "UsageError": 2,
    "ModelError": 3,
    "FormatError": 3,
    "UnsupportedError": 4,
    "DataError": 5,
    "DeviceError": 6,
    "InternalError": 70,
}


@pytest.mark.parametrize(("name", "code"), DOCUMENTED.items())
def test_each_class_ends_with_its_documented_exit_code(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_docstring_that_draws_the_tree_names_each_class(name: str) -> None:
    assert name in (errors.__doc__ or "")


def test_a_format_error_names_file_byte_and_mend() -> None:
    error = FormatError("section is cut", path="a.bte", offset=64, hint="write it again")
    assert str(error) == "a.bte at byte 64: section is cut\n  next: write it again"


def test_an_unsupported_error_lists_every_node_and_where_to_cut() -> None:
    nodes = (
        UnsupportedNode("n1", "If", "control flow"),
        UnsupportedNode("n2", "LSTM", "state", ("t",)),
    )
    text = str(UnsupportedError("2 nodes cannot be handled", nodes=nodes))
    assert "If 'n1': control flow" in text
    assert "LSTM 'n2': state" in text
    assert "the graph could end at: t" in text
