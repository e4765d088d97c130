"""A line detector whose last layer makes offsets beside scores: each gets a scale of its own."""

from __future__ import annotations

import numpy as np
import pytest

from bench.measure import compare_exactly
from bittrue import chain
from bittrue.errors import DataError
from bittrue.fetch import fetch
from bittrue.parity.compare import compare, make_side
from bittrue.stages import Subject

#: At 320x320 the emulator takes its time.
pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def subject() -> Subject:
    try:
        source = fetch("mlsd_tiny.onnx")
    except DataError as why:
        pytest.skip(f"mlsd_tiny.onnx cannot be fetched: {why.message}")
    network = chain.optimize(chain.import_model(source))
    samples = [given(network.native.inputs[0], seed) for seed in range(2)]
    network = chain.compile(chain.quantize(network, samples, observer="minmax"))
    return Subject("mlsd_tiny", network, network.executable)


def given(name: str, seed: int) -> dict[str, np.ndarray]:
    """Bright rectangles on dark ground, values 0 to 255; the last channel is 1."""
    rng = np.random.default_rng(seed)
    picture = np.full((1, 320, 320, 4), 20.0, np.float32)
    for top, left, height, width in rng.integers(20, 150, (6, 4)):
        picture[0, top : top + height, left : left + width, :3] = rng.uniform(60, 255, 3)
    picture[..., 3] = 1.0
    return {name: picture}


def test_the_last_layer_is_two_and_scores_have_finer_steps_than_offsets(subject: Subject) -> None:
    network = subject.network
    assert network is not None
    assert network.history is not None
    assert network.quantized is not None
    assert network.history.fate("Conv__294") == "split"
    layers = network.history.final["Conv__294"]
    scales = {
        node.outputs[0]: float(network.quantized.activations[node.outputs[0]].scale[0])
        for node in network.quantized.graph.nodes
        if node.name in layers
    }
    scores, offsets = scales.values()
    assert scores < offsets / 4
    shapes = [network.quantized.graph.values[name].shape[1] for name in scales]
    assert shapes == [1, 4]


def test_float_outputs_stay_and_compiled_is_bit_true(subject: Subject) -> None:
    network = subject.network
    assert network is not None
    inputs = given(network.native.inputs[0], 9)
    sides = [make_side(subject, stage, inputs) for stage in ("source", "fp_optimized")]
    assert compare(*sides).same
    tensors, wrong = compare_exactly(subject, inputs)
    assert not wrong
    assert tensors > 60
