"""A real network with products of two activations, sums over axes and quotients: FSA-Net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bittrue import chain
from bittrue.parity.compare import compare, make_side
from bittrue.stages import Subject

MODEL = Path(__file__).parents[3] / "shared" / "models" / "fsanet_1x1.onnx"


@pytest.fixture(scope="module")
def subject() -> Subject:
    if not MODEL.exists():
        pytest.skip(f"{MODEL} is not here")
    network = chain.optimize(chain.import_model(MODEL))
    samples = [given(seed) for seed in range(4)]
    network = chain.compile(chain.quantize(network, samples, observer="minmax"))
    return Subject("fsanet.bta", network, network.executable)


def given(seed: int) -> dict[str, np.ndarray]:
    values = np.random.default_rng(seed).uniform(-1, 1, (1, 3, 64, 64))
    return {"input": values.astype(np.float32)}


def test_no_part_of_it_needed_a_cut(subject: Subject) -> None:
    kinds = {step.kind for step in subject.program().instructions}
    assert {"MATMUL", "AVG_POOL", "MUL"} <= kinds


@pytest.mark.parametrize(
    ("first", "second", "inner"),
    [("source", "native", 200), ("source", "fp_optimized", 150), ("bit_true", "compiled", 250)],
)
def test_stages_agree(subject: Subject, first: str, second: str, inner: int) -> None:
    one, other = (make_side(subject, stage, given(9)) for stage in (first, second))
    found = compare(one, other)
    assert found.same
    assert found.inner_compared > inner


def test_codes_keep_the_angles(subject: Subject) -> None:
    one, other = (make_side(subject, stage, given(9)) for stage in ("source", "compiled"))
    (row,) = compare(one, other).outputs
    assert row.difference is not None
    assert row.difference.sqnr_db > 15
