"""Where the tensors of an instruction may lie: in constants, on each other, at the ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bittrue.compiler.instructions import INSTRUCTIONS
from bittrue.compiler.program import Program, aligned
from tests.format.instruction_cases import ROWS, assert_accepted, assert_refused, i32, program_of
from tests.programs import Builder


@pytest.mark.parametrize(
    ("kind", "role"),
    [(kind, role) for kind, row in ROWS.items() for role in row[1]],
)
def test_what_must_be_constant(kind: str, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    array = ROWS[kind][1][role]
    program = program_of(kind, {role: (array.dtype.name, array.shape)})
    assert_refused(program, "is no constant", monkeypatch)


def _sharing(
    kind: str, role: str, tensors: dict[str, tuple[str, tuple[int, ...]]] | None = None
) -> Program:
    """The output on the buffer of an input."""
    program = program_of(kind, tensors)
    names = [row.name for row in program.tensors]
    buffer = program.tensors[names.index(role)].buffer
    index = names.index("y")
    moved = replace(program.tensors[index], buffer=buffer)
    return replace(
        program, tensors=(*program.tensors[:index], moved, *program.tensors[index + 1 :])
    )


@pytest.mark.parametrize("kind", ["GATHER_2D", "COPY", "F32_SOFTMAX"])
def test_an_output_on_its_input(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "GATHER_2D":
        base = program_of(kind, {"x": ("float32", (1, 4, 5, 6)), "y": ("float32", (1, 4, 5, 6))},
                          {"rows": i32(0, 1, 2, 3), "cols": i32(0, 1, 2, 3, 4)})  # fmt: skip
        x = base.tensors[0].buffer
        program = replace(base, tensors=(base.tensors[0], replace(base.tensors[1], buffer=x),
                                         *base.tensors[2:]))  # fmt: skip
    else:
        program = _sharing(kind, "x")
    assert_refused(program, "shares the buffer", monkeypatch)


@pytest.mark.parametrize(
    ("kind", "role", "shapes"),
    [
        ("F32_WHERE", "b", {}),
        ("F32_WHERE", "condition", {"condition": (2, 3)}),
        ("F32_REDUCE", "x", {"x": (2, 1)}),
        ("F32_MATMUL", "a", {"a": (2, 2), "b": (2, 2), "y": (2, 2)}),
        ("F32_MATMUL", "b", {"a": (2, 2), "b": (2, 2), "y": (2, 2)}),
    ],
)
def test_selects_sums_and_products_never_write_on_an_input(
    kind: str, role: str, shapes: dict[str, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {name: ("float32", shape) for name, shape in shapes.items()}
    assert_accepted(program_of(kind, tensors))
    assert_refused(_sharing(kind, role, tensors), "shares the buffer", monkeypatch)


@pytest.mark.parametrize(
    ("kind", "role"),
    # F32_BINARY's two are shorter than its output in ROWS.
    [
        (row.name, row.computed[0])
        for row in INSTRUCTIONS
        if row.in_place and row.name != "F32_BINARY"
    ],
)
def test_elementwise_steps_may_write_on_their_input(kind: str, role: str) -> None:
    assert_accepted(_sharing(kind, role))


def test_elementwise_steps_write_on_inputs_of_their_shape_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Builder()
    x = made.tensor((2, 3), "float32", "x")
    y = made.tensor((3, 2), "float32", "y")
    made.step("F32_UNARY", (x,), y)
    made.tensors[y] = replace(made.tensors[y], buffer=made.tensors[x].buffer)
    assert_refused(made.program((x,), (y,)), "shares the buffer", monkeypatch)


def _moved(program: Program, name: str, offset: int) -> Program:
    """The buffer of a tensor at another place of the arena."""
    index = [row.name for row in program.tensors].index(name)
    buffers = list(program.buffers)
    at = program.tensors[index].buffer
    buffers[at] = replace(buffers[at], offset=offset)
    end = aligned(offset + buffers[at].nbytes)
    return replace(program, buffers=tuple(buffers), arena_bytes=max(end, program.arena_bytes))


@pytest.mark.parametrize(
    ("kind", "role"), [(kind, role) for kind, row in ROWS.items() for role in row[0]]
)
def test_an_output_that_overlaps_an_input(
    kind: str, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = program_of(kind)
    index = [row.name for row in program.tensors].index(role)
    place = program.buffers[program.tensors[index].buffer].offset
    message = f"output overlaps {role}"
    assert_refused(_moved(program, "y", place), message, monkeypatch)


def test_an_output_may_begin_where_an_input_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of("F32_UNARY", {"x": ("float32", (64, 1)), "y": ("float32", (64, 1))})
    at, end = 256, 512
    assert_accepted(_moved(_moved(program, "x", at), "y", end))
    assert_accepted(_moved(_moved(program, "y", at), "x", end))
    assert_accepted(_moved(_moved(program, "x", at), "y", 0))
    for place in (64, 128, 192, at, 320, 384, 448):
        moved = _moved(_moved(program, "x", at), "y", place)
        assert_refused(moved, "output overlaps x", monkeypatch)


def test_an_input_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of("ADD")
    assert_refused(replace(program, inputs=(0, 0)), "shares its buffer", monkeypatch)


def test_two_inputs_in_one_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of("F32_BINARY", {"b": ("float32", (1, 3)), "y": ("float32", (1, 3))})
    alias = replace(program.tensors[1], buffer=program.tensors[0].buffer)
    tensors = (program.tensors[0], alias, *program.tensors[2:])
    assert_refused(replace(program, tensors=tensors), "shares its buffer", monkeypatch)


def test_a_constant_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Builder()
    x = made.tensor((1, 256), name="x")
    table = made.constant(np.zeros((1, 256), np.uint8), "table")
    y = made.tensor((1, 256), name="y")
    made.step("TABLE", (x, table), y)
    made.step("TABLE", (x, table), table)
    assert_refused(made.program((x,), (y,)), "writes a constant", monkeypatch)
