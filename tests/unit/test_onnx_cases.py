"""Every case that ONNX itself has for an operator we claim passes, and docs/operators.md says so.

Once in the float reference; once through import, export and ONNX Runtime, which checks `to_onnx`:
the cases' results come from neither of the two.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch

import numpy as np
import onnx
import pytest

from bench.onnx_cases import (
    EXCLUDED,
    NO_KERNEL,
    OUT_OF_SCOPE,
    claimed_cases,
    reference_differences,
    unlike,
)
from bench.operators import PAGE, Outcome, page, run_cases
from bittrue.importers.onnx import import_onnx
from bittrue.importers.onnx_ops import ONNX_OPS
from tests.conftest import SHARED


@pytest.fixture(scope="module")
def outcomes() -> tuple[Outcome, ...]:
    return run_cases(claimed_cases().run)


def test_each_claimed_case_passes_in_both_and_the_page_is_up_to_date(
    outcomes: tuple[Outcome, ...],
) -> None:
    wrong = [item.reference for item in outcomes if item.reference]
    wrong += [x.runtime for x in outcomes if x.runtime and x.case.name not in NO_KERNEL]
    assert not wrong, "\n".join(wrong)
    assert len(outcomes) >= 1231  # so that none gets lost
    for item in outcomes:
        if item.case.name in NO_KERNEL:
            assert "does not take the network" in item.runtime
    text = PAGE.read_text()
    if f"in ONNX {onnx.__version__}\n" not in text:
        pytest.skip(f"docs/operators.md was made with other cases than ONNX {onnx.__version__}'s")
    assert page(claimed_cases(), outcomes) == text, "stale: run python -m bench.operators"


def test_a_case_that_fails_is_seen() -> None:
    case = next(item for item in claimed_cases().run if item.name == "test_relu")
    broken = replace(case, outputs={name: -a for name, a in case.outputs.items()})
    outcome = run_cases([broken])[0]
    assert outcome.reference.startswith("test_relu: y:")
    assert outcome.runtime.startswith("test_relu: y:")
    assert not reference_differences(case, import_onnx(case.model))
    assert "| Relu | 7 to 27 | float | 1 | 0 | 0 | no |" in page(claimed_cases(), [outcome])


def test_each_exclusion_names_a_case() -> None:
    excluded = claimed_cases().excluded
    stale = [p for p in EXCLUDED if not any(fnmatch(name, p) for name in excluded)]
    assert not stale
    assert set(OUT_OF_SCOPE) <= set(excluded.values())


def test_a_difference_is_seen() -> None:
    ones = np.ones(2, np.float32)
    assert unlike(ones, ones * np.float32(1.01), 1e-3)
    assert unlike(ones, np.ones(3, np.float32), 1e-3)
    assert unlike(ones, np.ones(2, np.int64), 1e-3)
    assert unlike(np.array([1]), np.array([2]), 1.0)
    assert unlike(np.float32([np.nan]), np.float32([1]), 1.0)
    assert not unlike(np.float32([np.nan]), np.float32([np.nan]), 0)


@pytest.mark.parametrize(
    "name", ["test_conv_with_strides_padding", "test_resize_upsample_scales_cubic"]
)
def test_cases_that_matter_are_among_those_run(name: str) -> None:
    assert name in {case.name for case in claimed_cases().run}


def test_the_operators_of_all_real_networks_are_handled_except_recurrent_layers() -> None:
    table = SHARED / "MODELS.md"
    if not table.is_file():
        pytest.skip("../shared is not there: the list of real networks cannot be read")
    cells = [line.split("|") for line in table.read_text().splitlines()]
    known = {row.name for row in onnx.defs.get_all_schemas() if row.domain == ""}
    rows = [set(row[7].split()) for row in cells if len(row) == 11]
    used = set().union(*(row for row in rows if row and row <= known))
    assert len(used) >= 48
    assert used - set(ONNX_OPS) == {"LSTM"}
