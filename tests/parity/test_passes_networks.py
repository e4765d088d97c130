"""Real networks after the float passes: which operators are left, and the same outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bittrue.graph.reference import run_reference
from bittrue.graph.verify import verify
from bittrue.importers.onnx import import_onnx
from bittrue.passes.pipeline import optimize
from tests.graphs import random_inputs

MODELS = Path(__file__).parents[3] / "shared" / "models"
#: Operators that are left in each network, however many.
LEFT = {
    "mobilenet_v2": {"Conv", "Add", "AveragePool", "Reshape", "Dense"},
    "resnet20_cifar10": {"Conv", "Add", "Slice", "Pad", "AveragePool", "Reshape", "Dense"},
    "yolox_nano": {
        *("Conv", "Add", "Pointwise", "MaxPool", "Resize", "Concat", "Slice", "Reshape"),
        "Transpose",
    },
}


@pytest.mark.parametrize("name", sorted(LEFT))
def test_a_real_network_is_lean_and_gives_the_same(name: str) -> None:
    path = MODELS / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    graph = import_onnx(path)
    after = optimize(graph).graph
    verify(after)
    assert {node.op for node in after.nodes} == LEFT[name]
    inputs = random_inputs(graph, 4)
    old, new = run_reference(graph, inputs), run_reference(after, inputs)
    for output in graph.outputs:
        limit = 1e-5 * float(np.abs(old[output]).max())
        np.testing.assert_allclose(new[output], old[output], rtol=0, atol=limit)
