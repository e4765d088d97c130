"""Every case that ONNX itself has for an operator we claim passes in the float reference."""

from collections import Counter
from fnmatch import fnmatch

import numpy as np
import pytest

from bittrue.errors import Error
from bittrue.graph.reference import run_reference
from bittrue.graph.verify import verify
from bittrue.importers.onnx import import_onnx
from tests.unit.onnx_cases import EXCLUDED, Case, claimed_cases


def differences(case: Case) -> list[str]:
    """Return where the reference and the case differ; empty when they agree."""
    graph = import_onnx(case.model)
    verify(graph)
    found = run_reference(graph, {name: case.inputs[name] for name in graph.inputs})
    if set(found) != set(case.outputs):
        return [f"{case.name}: it gives {sorted(found)}, not {sorted(case.outputs)}"]
    return [
        f"{case.name}: {name}: {text}"
        for name, wanted in case.outputs.items()
        for text in unlike(found[name], wanted, case.rtol)
    ]


def unlike(found: np.ndarray, wanted: np.ndarray, rtol: float) -> list[str]:
    """Return how two arrays differ: floats by more than rtol, or anything else at all."""
    if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
        return [f"{found.dtype} {found.shape}, not {wanted.dtype} {wanted.shape}"]
    if wanted.dtype.kind == "f":
        near = np.isclose(found, wanted, rtol=rtol, atol=1e-6, equal_nan=True)
        return [] if near.all() else [f"{found[~near][:3]}, not {wanted[~near][:3]}"]
    same = found == wanted
    return [] if same.all() else [f"{found[~same][:3]}, not {wanted[~same][:3]}"]


def test_each_claimed_case_passes_in_the_reference() -> None:
    cases = claimed_cases()
    wrong = []
    for case in cases.run:
        try:
            wrong += differences(case)
        except Error as error:
            wrong.append(f"{case.name}: {type(error).__name__}: {error}")
    reasons = Counter(cases.excluded.values())
    total = len(cases.run) + len(cases.excluded)
    print(f"\n{total} cases claimed, {len(cases.run)} run, {len(wrong)} wrong; not run:")
    for reason, count in reasons.most_common():
        print(f"  {count:4} {reason}")
    assert not wrong, "\n".join(wrong)
    assert len(cases.run) >= 700  # so that none gets lost


def test_each_exclusion_names_a_case() -> None:
    excluded = claimed_cases().excluded
    stale = [p for p in EXCLUDED if not any(fnmatch(name, p) for name in excluded)]
    assert not stale


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
