"""An operator or an instruction without one of its parts is named here."""

from __future__ import annotations

import onnx
import pytest

from bittrue import arith_float
from bittrue.compiler.instruction_rules import RULES
from bittrue.compiler.instructions import (
    BINARY_FUNCTIONS,
    INSTRUCTIONS,
    REDUCTIONS,
    UNARY_FUNCTIONS,
)
from bittrue.compiler.lower import LOWERINGS, NOT_LOWERED
from bittrue.engines.emulate import EMULATORS
from bittrue.engines.native_library import kernel_rows
from bittrue.graph.elementwise import BINARY_EXPR, UNARY_EXPR
from bittrue.graph.expression import WORDS
from bittrue.graph.ops import FAMILIES, OPS
from bittrue.graph.reference import REFERENCE
from bittrue.graph.weights import WEIGHTED
from bittrue.importers.export import EXPORTS, OPSET
from bittrue.passes.channels import ALIKE, CARRIERS, NOT_CUT
from bittrue.quant.target import TARGETS


@pytest.mark.parametrize("op", OPS)
def test_each_operator_has_a_reference(op: str) -> None:
    assert op in REFERENCE


def test_the_unary_operators_are_those_with_an_expression() -> None:
    assert set(FAMILIES["unary"]) == set(UNARY_EXPR)


def test_each_operator_that_a_clip_is_fused_into_has_two_numbers_or_weights() -> None:
    clipped = {op for op, row in OPS.items() if row.attribute("clip") is not None}
    assert clipped == {"Conv", "ConvTranspose", "Dense", "Add", "Sub", "Mul", "Div"}


@pytest.mark.parametrize("op", [op for op in OPS if op not in EXPORTS])
def test_each_operator_without_an_export_is_onnx_s_own(op: str) -> None:
    schema = onnx.defs.get_schema(op, OPSET)
    assert not schema.deprecated
    assert {row.name for row in OPS[op].attrs} - {"clip"} <= set(schema.attributes)
    assert schema.min_input <= len(OPS[op].inputs) <= schema.max_input


@pytest.mark.parametrize("op", OPS)
def test_each_operator_is_lowered_or_says_why_not(op: str) -> None:
    assert (op in LOWERINGS) != (op in NOT_LOWERED)


@pytest.mark.parametrize("op", LOWERINGS)
def test_each_lowered_operator_has_a_form(op: str) -> None:
    assert LOWERINGS[op].codes or LOWERINGS[op].floats


@pytest.mark.parametrize("op", OPS)
def test_each_operator_is_cut_by_channels_in_one_way_or_says_why_not(op: str) -> None:
    ways = (WEIGHTED, BINARY_EXPR, ALIKE, CARRIERS, ("Reshape",), NOT_CUT)
    assert sum(op in way for way in ways) == 1


@pytest.mark.parametrize("op", LOWERINGS)
def test_each_lowered_operator_has_a_quantisation_target(op: str) -> None:
    assert op in {row.op for row in TARGETS}


def test_no_part_is_there_for_an_operator_that_is_not() -> None:
    tables = (REFERENCE, BINARY_EXPR, EXPORTS, LOWERINGS, NOT_LOWERED, CARRIERS, NOT_CUT)
    for table in tables:
        assert set(table) <= set(OPS)


def test_no_part_is_there_for_an_instruction_that_is_not() -> None:
    for table in (RULES, EMULATORS):
        assert set(table) <= {row.name for row in INSTRUCTIONS}


@pytest.mark.parametrize("kind", [row.name for row in INSTRUCTIONS])
def test_each_instruction_has_rules_an_emulation_and_a_scalar_kernel(kind: str) -> None:
    assert kind in RULES
    assert kind in EMULATORS
    assert ("scalar", kind) in {(row.isa, row.instruction) for row in kernel_rows()}


def test_each_float_function_has_its_rule() -> None:
    assert tuple(arith_float.UNARY) == UNARY_FUNCTIONS
    assert tuple(arith_float.BINARY) == BINARY_FUNCTIONS
    assert tuple(arith_float.REDUCTIONS) == REDUCTIONS


def test_every_word_of_an_expression_is_a_float_function() -> None:
    assert set(WORDS) <= {*UNARY_FUNCTIONS, *BINARY_FUNCTIONS}
