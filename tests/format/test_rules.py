"""Every numbered rule of a .bte in docs/format.md has tests here, and every MUST is in such a rule.

The names below are tests of `MODULES`, or rows of `test_fileformat.MUSTS`. All of them ask both
readers, but those of M1 to M4, which the engine never looks at: there they check that it accepts
the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bittrue.arith import MATMUL_DEPTH_MAX, RESIZE_ONE
from bittrue.compiler import limits
from bittrue.compiler.instructions import INSTRUCTIONS
from bittrue.compiler.program import ALIGNMENT
from tests.format import test_fileformat, test_instruction_places, test_instruction_rules
from tests.kernels import test_copy_twice

PAGE = Path(__file__).parents[2] / "docs" / "format.md"
MODULES = (test_fileformat, test_instruction_rules, test_instruction_places, test_copy_twice)
RULE = re.compile(r"\*\*([A-Z]\d+)\*\*")

TESTS: dict[str, tuple[str, ...]] = {
    "H1": ("magic",),
    "H2": ("version",),
    "H3": ("checksum", "test_any_changed_byte_breaks_the_checksum"),
    "H4": ("length", "test_a_file_cut_at_any_byte_is_refused", "test_a_longer_file_is_refused"),
    "H5": ("arena not aligned", "arena too large"),
    "H6": ("too many tensors",),
    "H7": ("too many buffers",),
    "H8": ("too many instructions",),
    "H9": ("too many words",),
    "H10": ("no inputs", "too many inputs"),
    "H11": ("no outputs", "too many outputs"),
    "H12": ("reserved bytes",),
    "H13": ("too many vectors",),
    "S1": ("META not at 192", "a hole between sections"),
    "S2": (
        "a section past the end",
        "test_a_file_cut_at_any_byte_that_says_so_itself_is_refused",
        "test_a_longer_file_that_says_so_itself_is_refused",
    ),
    "S3": ("bytes between sections", "bytes after the last section"),
    "S4": (
        "META too long",
        "NAMES too long",
        "BUFFERS too long",
        "TENSORS too long",
        "CODE too long",
        "IO too long",
        "CONSTANTS too long",
    ),
    "M1": ("test_a_meta_of_another_form_is_refused", "test_a_meta_that_is_no_object_is_refused"),
    "M2": ("test_a_meta_of_another_form_is_refused",),
    "M3": ("test_a_meta_of_another_form_is_refused",),
    "M4": (
        "test_a_meta_of_another_form_is_refused",
        "test_another_scale_than_that_of_meta_is_refused",
        "test_scales_are_positive_and_finite_as_float32",
    ),
    "N1": ("names with a hole", "a name past the end", "NAMES too long"),
    "N2": (
        "a name of no bytes",
        "test_names_of_65535_bytes_are_the_longest",
        "a name that is no UTF-8",
        "a name with a zero byte",
    ),
    "N3": ("a name twice",),
    "B1": ("buffer kind", "buffer's zero"),
    "B2": ("buffer of no bytes", "buffer too long"),
    "B3": ("arena buffer off its place", "arena buffer outside"),
    "B4": ("constants with a hole", "constants past the end", "CONSTANTS too long"),
    "B5": ("bytes between constants",),
    "T1": ("type 0", "type 5"),
    "T2": ("rank 0", "rank 7", "a dim of 0", "a dim of 2^31", "a dim past the rank"),
    "T3": ("dims that do not fill the buffer", "no such buffer"),
    "T4": ("a zero point of 256", "a zero point of -1"),
    "T5": (
        "a negative scale",
        "a scale of -0",
        "a scale that is no number",
        "an infinite scale",
    ),
    "T6": ("a tensor row's zeros",),
    "C1": ("an unknown kind", "other inputs than the table", "other outputs", "other params"),
    "C2": (
        "counts past the code",
        "an instruction past the code",
        "fewer instructions than code",
    ),
    "C3": ("an input that is no tensor",),
    "O1": ("an end that is no tensor",),
    "O2": ("a constant as input", "an output on a constant"),
    "O3": ("an output twice", "test_an_input_twice", "test_two_inputs_in_one_buffer"),
    "V1": (
        "VECTORS too long",
        "fewer vectors than the section has",
        "vectors that are not counted",
    ),
    "V2": (
        "a range above its type",
        "a range below its type",
        "a range the wrong way",
        "test_ranges_of_floats_are_finite_and_so_is_their_difference",
    ),
    "V3": ("pattern 3", "a vector's zero"),
    "V4": ("a seed where nothing is random",),
    "I1": ("test_a_constant_is_never_written",),
    "I2": ("test_what_must_be_constant",),
    "I3": (
        "test_an_output_on_its_input",
        "test_elementwise_steps_may_write_on_their_input",
        "test_elementwise_steps_write_on_inputs_of_their_shape_alone",
        "test_selects_sums_and_products_never_write_on_an_input",
    ),
    "I4": ("test_an_output_that_overlaps_an_input", "test_an_output_may_begin_where_an_input_ends"),
    "I5": ("test_types_and_shapes", "test_constants"),
    "I6": ("test_types_and_shapes", "test_what_two_inputs_broadcast_to"),
    "I7": ("test_constants",),
    "I8": ("test_constants",),
    "I9": ("test_params", "test_constants"),
    "I10": ("test_params", "test_lo_above_hi", "test_types_and_shapes"),
    "I11": ("test_params", "test_types_and_shapes"),
    "I12": ("test_sums_of_a_convolution_that_could_wrap",),
    "I13": ("test_sums_of_a_pool_that_could_wrap",),
    "I14": ("test_params",),
    "I15": ("test_params", "test_types_and_shapes"),
    "I16": (
        "test_params",
        "test_a_copy_of_more_elements_than_there_are",
        "test_the_last_write_counts_whatever_the_strides",
    ),
    "I17": ("test_sums_of_a_product_that_could_wrap",),
    "I18": ("test_constants",),
}


@pytest.fixture(scope="module")
def rules() -> dict[str, str]:
    """Each rule's text, from its number to the next one's."""
    text = PAGE.read_text(encoding="utf-8").partition("# The archive")[0]
    before, *parts = RULE.split(text)
    assert "MUST" not in before
    numbers = parts[::2]
    assert len(set(numbers)) == len(numbers)
    return dict(zip(numbers, parts[1::2], strict=True))


def test_every_rule_has_tests_and_says_must(rules: dict[str, str]) -> None:
    assert set(rules) == set(TESTS)
    assert all("MUST" in text for text in rules.values())
    assert all(TESTS.values())


def test_every_must_is_in_a_rule(rules: dict[str, str]) -> None:
    """A rule is one list item or one row: what follows it states no MUST."""
    for number, text in rules.items():
        end = re.search(r"\n\n|\n[*|]|\n(?=[^ ])", text)
        assert "MUST" not in text[end.start() if end else len(text) :], number


#: What a rule's limit is, and the rules that state it.
LIMITS: list[tuple[int, tuple[str, ...]]] = [
    (limits.RANK_MAX, ("T2",)),
    (limits.DIM_MAX, ("T2",)),
    (limits.BYTES_MAX, ("H5", "B2")),
    (limits.COUNT_MAX, ("H6", "H7", "H8")),
    (limits.WORDS_MAX, ("H9", "S4")),
    (limits.META_BYTES_MAX, ("S4",)),
    (limits.IO_MAX, ("H10", "H11")),
    (limits.VECTORS_MAX, ("H13",)),
    (limits.NAME_BYTES_MAX, ("N2",)),
    (limits.WINDOW_MAX, ("I9",)),
    (limits.CONV_TAPS_MAX, ("I12",)),
    (limits.POOL_TAPS_MAX, ("I13",)),
    (MATMUL_DEPTH_MAX, ("I17",)),
    (RESIZE_ONE, ("I18",)),
    (ALIGNMENT, ("H5", "S1", "S2", "B3", "B4")),
]


@pytest.mark.parametrize(("limit", "numbers"), LIMITS)
def test_the_page_states_each_limit(
    limit: int, numbers: tuple[str, ...], rules: dict[str, str]
) -> None:
    power = (limit + 1).bit_length() - 1
    forms = {2**power: f"2^{power}", 2**power - 1: f"2^{power}-1"}
    told = {str(limit), f"{limit:,}", forms.get(limit, "")} - {""}
    for number in numbers:
        words = re.findall(r"[\d^,-]*\d", rules[number])
        assert told & set(words), number


def test_the_page_names_the_roles_that_must_be_constants(rules: dict[str, str]) -> None:
    told = rules["I2"].partition("MUST")[0].replace("The roles", "").replace(" and ", ", ")
    roles = {role.rstrip("?") for row in INSTRUCTIONS for role in row.constants}
    assert {word.strip() for word in told.split(",")} == roles
    # So a role means one thing, whatever the kind.
    assert not roles & {role for row in INSTRUCTIONS for role in row.computed}


def test_the_page_names_the_kinds_that_may_write_on_an_input(rules: dict[str, str]) -> None:
    told = rules["I3"].partition("but for")[2].partition("on tensors")[0]
    assert set(re.findall(r"[A-Z]\w+", told)) == {row.name for row in INSTRUCTIONS if row.in_place}


def test_every_test_named_is_there() -> None:
    there = {name for module in MODULES for name in vars(module)}
    there |= {row[0] for row in test_fileformat.MUSTS}
    assert {name for names in TESTS.values() for name in names} <= there


def test_every_row_of_the_corpus_belongs_to_a_rule() -> None:
    named = {name for names in TESTS.values() for name in names}
    assert {row[0] for row in test_fileformat.MUSTS} <= named
