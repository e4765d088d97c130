"""ONNX's cases, imported and exported again, give in ONNX Runtime what the reference gives.

Runs each network as it is written, without ONNX Runtime's own optimisations.
"""

import numpy as np
import pytest

from bittrue.graph.ops import OPS
from bittrue.graph.reference import run_reference
from bittrue.importers.export import to_onnx
from bittrue.importers.onnx import import_onnx
from tests.unit.onnx_cases import Case, claimed_cases

ort = pytest.importorskip("onnxruntime")

_TYPES = "ONNX Runtime has no kernel for this element type"
#: Cases that ONNX Runtime itself cannot run, and why.
NOT_RUN = {
    "test_max_int16": _TYPES,
    "test_max_uint16": _TYPES,
    "test_min_int16": _TYPES,
    "test_min_uint16": _TYPES,
    "test_reduce_max_bool_inputs": _TYPES,
    "test_reduce_min_bool_inputs": _TYPES,
}
#: Operators that no case has: the importer does not make them, passes do.
BY_PASSES = {"Dense", "Pointwise"}
#: Two float32 computations of the same sum differ by its terms' rounding: here below 400 terms of
#: magnitude below 10, so 400 * 2**-24 relative, and less than 1e-4 where they cancel.
RTOL, ATOL = 400 * 2.0**-24, 1e-4


def run_exported(model: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def differences(case: Case, seen: set[str]) -> list[str]:
    """Return which outputs differ; add the operators of the case's graph to `seen`."""
    graph = import_onnx(case.model)
    seen.update(node.op for node in graph.nodes)
    inputs = {name: case.inputs[name] for name in graph.inputs}
    try:
        found = run_exported(to_onnx(graph), inputs)
    except ort.capi.onnxruntime_pybind11_state.Fail as error:
        return [f"{case.name}: {error}"]
    wrong = []
    for name, wanted in run_reference(graph, inputs).items():
        got = found.get(name, np.empty(0))
        alike = got.dtype == wanted.dtype and got.shape == wanted.shape
        floats = wanted.dtype.kind == "f"
        rtol, atol = (RTOL, ATOL) if floats else (0.0, 0.0)
        if not alike or not np.allclose(got, wanted, rtol=rtol, atol=atol, equal_nan=floats):
            wrong.append(f"{case.name}: {name}: {got!r:.100}, not {wanted!r:.100}")
    return wrong


def test_each_case_survives_export() -> None:
    cases = [case for case in claimed_cases().run if case.name not in NOT_RUN]
    seen: set[str] = set()
    wrong = [text for case in cases for text in differences(case, seen)]
    print(f"\n{len(cases)} cases exported, {len(wrong)} wrong, {len(NOT_RUN)} not run")
    assert not wrong, "\n".join(wrong)
    assert seen == set(OPS) - BY_PASSES
    assert len(cases) >= 700  # so that none gets lost


def test_each_case_that_is_not_run_exists_and_fails() -> None:
    cases = {case.name: case for case in claimed_cases().run}
    for name in NOT_RUN:
        graph = import_onnx(cases[name].model)
        with pytest.raises((ort.capi.onnxruntime_pybind11_state.NotImplemented,
                            ort.capi.onnxruntime_pybind11_state.InvalidGraph)):  # fmt: skip
            run_exported(to_onnx(graph), {key: cases[name].inputs[key] for key in graph.inputs})
