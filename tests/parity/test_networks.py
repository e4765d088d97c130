"""Real networks through every stage: the same as their source, and bit for bit as emulated.

The small ones of ../shared run always; the others, which take minutes, are `nightly`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.cases import CASES, Case
from bench.data import Counts, cifar, photographs, tones
from bench.measure import compare_exactly, measure, relative
from bench.tasks.figure import nothing
from bittrue import chain
from bittrue.parity.compare import compare, make_side
from bittrue.stages import Subject

#: Samples: to calibrate with, to compare.
FEW = Counts(calibration=4, judged=2, quantized=0)
#: Small enough for every run, with what they are fed here: nothing that must be downloaded.
SMALL = {
    "resnet8_cifar10": cifar,
    "mtcnn_pnet": photographs,
    "mtcnn_rnet": photographs,
    "mtcnn_onet": photographs,
    "ultraface": photographs,
    "crepe_tiny": tones,
    "fsanet_1x1": photographs,
}


#: Operators that the engine does not have yet; taken out as soon as it does.
def case_of(name: str) -> Case:
    (case,) = [row for row in CASES if row.name == name]
    return case


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_network_goes_through_all_stages(name: str, shared: Path) -> None:
    case = case_of(name)
    data = SMALL[name](case.preprocess, FEW)
    path, weights = case.source()
    assert Path(path).is_relative_to(shared)
    network = chain.import_model(path, weights=weights, preprocess=case.preprocess)
    imported = Subject(name, network, None)
    inputs = [{network.native.inputs[0]: sample} for sample in data.samples]
    sides = [make_side(imported, stage, inputs[0]) for stage in ("source", "native")]
    edge = compare(*sides)
    assert relative(edge) <= 1e-4
    assert edge.same
    assert edge.inner_compared >= 8
    quantized = chain.quantize(network, data.calibration, observer="power")
    built = chain.compile(quantized)
    subject = Subject(name, built, built.executable)
    for given in inputs:
        tensors, wrong = compare_exactly(subject, given)
        assert not wrong
        assert tensors >= 15


@pytest.mark.nightly
@pytest.mark.parametrize("name", [row.name for row in CASES if row.name not in SMALL])
def test_a_large_network_goes_through_all_stages(name: str) -> None:
    row = measure(case_of(name), quick=True)
    assert not row.problems
    assert row.reached == "compiled"
    assert row.tensors >= 15
    assert row.native is not None
    assert row.native.same
    assert row.figures_compiled


def test_a_network_that_is_refused_keeps_its_row_and_its_reason() -> None:
    broken = Case(
        "broken",
        lambda: ("there_is_no_such.onnx", None),
        None,
        tones,
        case_of("crepe_tiny").task,
        judged=1,
        quantized=1,
    )
    row = measure(broken)
    assert row.reached == "none"
    assert "after none" in row.problems[0]
    assert row.native is None
    assert nothing([], [np.zeros(1)]) == ()
