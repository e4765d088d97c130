"""Names of a network that an executable can hold, and those that it cannot."""

from __future__ import annotations

import pytest

from bittrue.compiler.fileformat import from_bytes, to_bytes
from bittrue.compiler.lower import SOURCE_NAME_BYTES_MAX, compile_graph
from bittrue.errors import ModelError
from tests.unit.lowering import Net, qp


def relu(given: str, made: str) -> Net:
    net = Net()
    net.node("Relu", [net.input(given, (1, 4), qp())], qp(), outputs=(made,))
    return net


@pytest.mark.parametrize(
    ("given", "made"), [("x\0", "y"), ("x", "\0"), ("x", "y" * (SOURCE_NAME_BYTES_MAX + 1))]
)
def test_names_that_an_executable_cannot_hold_are_the_networks_fault(given: str, made: str) -> None:
    with pytest.raises(ModelError, match="1 names have a zero byte or more than") as caught:
        compile_graph(relu(given, made).done(made))
    assert len(caught.value.message) < 300
    assert "other names" in caught.value.hint


def test_the_longest_names_and_odd_ones_are_kept() -> None:
    made = "\N{SNOWMAN}\n'\"" + "y" * (SOURCE_NAME_BYTES_MAX - 6)
    program = compile_graph(relu("x", made).done(made))
    assert from_bytes(to_bytes(program)).tensors[program.outputs[0]].name == made
