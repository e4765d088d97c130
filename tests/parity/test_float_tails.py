"""Real networks whose float parts hold more than a softmax: the same bits in every tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bittrue import chain
from bittrue.compiler.fileformat import from_bytes
from bittrue.parity.compare import compare, make_side
from bittrue.stages import Subject


def test_a_head_pose_network_has_one_set_of_bits_in_every_tensor(shared: Path) -> None:
    name = "fsanet_1x1"
    network = chain.import_model(shared / "models" / f"{name}.onnx")
    rng = np.random.default_rng(0)
    graph = network.native
    shapes = {item: graph.values[item].shape for item in graph.inputs}
    samples = [
        {item: rng.uniform(-1, 1, shape).astype(np.float32) for item, shape in shapes.items()}
        for _ in range(2)
    ]
    network = chain.compile(chain.quantize(chain.optimize(network), samples, observer="minmax"))
    assert network.executable is not None
    kinds = {step.kind for step in from_bytes(network.executable).instructions}
    assert {"F32_UNARY", "F32_REDUCE"} <= kinds
    subject = Subject(name, network, network.executable)
    sides = (make_side(subject, stage, samples[0]) for stage in ("bit_true", "compiled"))
    told = compare(*sides, inner=True)
    assert told.same
    assert told.inner_compared > 100
    floats = compare(
        make_side(subject, "quantized", samples[0]), make_side(subject, "bit_true", samples[0])
    )
    assert all(row.difference is not None for row in floats.outputs)
    assert min(row.difference.sqnr_db for row in floats.outputs if row.difference) > 20
