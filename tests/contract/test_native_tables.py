"""The engine's tables are the compiler's, row by row."""

from __future__ import annotations

import re

from bittrue import settings
from bittrue.compiler.instructions import (
    BINARY_FUNCTIONS,
    COMPARE_FUNCTIONS,
    INSTRUCTIONS,
    REDUCTIONS,
    UNARY_FUNCTIONS,
)
from bittrue.engines.native_library import (
    InstructionRow,
    available_isas,
    float_functions,
    instruction_rows,
    kernel_rows,
)
from tests.conftest import ROOT

INSTRUCTION = re.compile(r'^INSTRUCTION\((\w+), \d+, "[^"]*", (\d+),[^)]*, (true|false)\)', re.M)


def test_instruction_table_is_the_compilers() -> None:
    assert instruction_rows() == tuple(
        InstructionRow(row.name, row.code, row.inputs, row.outputs, row.params)
        for row in INSTRUCTIONS
    )


def test_float_functions_are_the_compilers() -> None:
    assert float_functions(0) == REDUCTIONS
    assert float_functions(1) == UNARY_FUNCTIONS
    assert float_functions(2) == BINARY_FUNCTIONS


def test_functions_of_codes_are_the_compilers() -> None:
    text = (ROOT / "native" / "float_functions.inc").read_text()
    assert tuple(re.findall(r"^COMPARE_FUNCTION\((\w+),", text, re.M)) == COMPARE_FUNCTIONS


def test_what_must_be_constant_and_what_may_be_in_place_are_the_compilers() -> None:
    rows = INSTRUCTION.findall((ROOT / "native" / "instructions.inc").read_text())
    assert [(name, int(constants), flag) for name, constants, flag in rows] == [
        (row.name, len(row.constants), str(row.in_place).lower()) for row in INSTRUCTIONS
    ]


def test_each_instruction_has_one_general_scalar_kernel() -> None:
    scalar = [(row.instruction, row.form) for row in kernel_rows() if row.isa == "scalar"]
    assert scalar == [(row.name, "general") for row in INSTRUCTIONS]


def test_no_instruction_has_two_kernels_of_one_form_and_set() -> None:
    rows = [(row.instruction, row.form, row.isa) for row in kernel_rows()]
    assert len(rows) == len(set(rows))


def test_instruction_sets_have_the_names_of_the_settings() -> None:
    assert {row.isa for row in kernel_rows()} <= set(settings.ISAS)
    assert available_isas()[0] == "scalar"
    assert set(available_isas()) <= set(settings.ISAS)
