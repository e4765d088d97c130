"""Every case that ONNX has for an operator we claim passes through import, export and ONNX Runtime.

The way there and back checks `to_onnx`; the cases' results come from neither of the two.
"""

from __future__ import annotations

import pytest

from bittrue.engines.float_ import FloatRunner
from bittrue.errors import Error, InternalError
from bittrue.importers.onnx import import_onnx
from tests.unit.onnx_cases import Case, claimed_cases
from tests.unit.test_reference_onnx_cases import unlike

#: Types that ONNX Runtime has no kernel for; the reference runs them.
NO_KERNEL = {
    *("test_max_int16", "test_max_uint16", "test_min_int16", "test_min_uint16"),
    *("test_reduce_max_bool_inputs", "test_reduce_min_bool_inputs"),
}


def differences(case: Case) -> list[str]:
    graph = import_onnx(case.model)
    found = FloatRunner(graph, threads=1).run({name: case.inputs[name] for name in graph.inputs})
    if set(found.outputs) != set(case.outputs):
        return [f"{case.name}: it gives {sorted(found.outputs)}, not {sorted(case.outputs)}"]
    return [
        f"{case.name}: {name}: {text}"
        for name, wanted in case.outputs.items()
        for text in unlike(found.outputs[name], wanted, case.rtol)
    ]


def test_each_claimed_case_passes_through_export_and_onnx_runtime() -> None:
    wrong: list[str] = []
    cases = [case for case in claimed_cases().run if case.name not in NO_KERNEL]
    for case in cases:
        try:
            wrong += differences(case)
        except (Error, InternalError) as error:
            wrong.append(f"{case.name}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
    assert len(cases) >= 700  # so that none gets lost


def test_what_is_left_out_has_no_kernel() -> None:
    cases = {case.name: case for case in claimed_cases().run}
    for name in NO_KERNEL:
        with pytest.raises(InternalError, match="does not take the network"):
            differences(cases[name])
