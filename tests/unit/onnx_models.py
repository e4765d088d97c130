"""Small ONNX models for the importer's tests, and the comparison with the file itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bittrue.engines.float_ import FloatRunner, OnnxRunner, ReferenceRunner
from bittrue.engines.runner import contract_of
from bittrue.graph.model import Graph
from bittrue.graph.verify import verify
from bittrue.importers.onnx import import_onnx

N = helper.make_node
RNG = np.random.default_rng(7)


def model(
    nodes: Sequence[onnx.NodeProto],
    outputs: Sequence[str] = ("y",),
    *,
    inputs: Mapping[str, Sequence[int | str]] | None = None,
    opset: int = 13,
    dtype: int = TensorProto.FLOAT,
    **constants: object,
) -> bytes:
    """Bytes of a model with float inputs; constants are initialisers."""
    rows = inputs if inputs is not None else {"x": (1, 3, 8, 8)}
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in rows.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(item), name) for name, item in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    ).SerializeToString()


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def imported(data: bytes, **options: object) -> Graph:
    graph = import_onnx(data, **options)  # type: ignore[arg-type]
    verify(graph)
    return graph


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def agrees_with_source(data: bytes, graph: Graph) -> None:
    """Our graph, in ONNX Runtime and in NumPy, gives what ONNX Runtime gives for the file."""
    draw = np.random.default_rng(11)  # its own: no test depends on what ran before it
    inputs = {
        name: draw.standard_normal(graph.values[name].shape).astype(np.float32)
        for name in graph.inputs
    }
    expected = OnnxRunner(data, contract_of(graph), threads=1).run(inputs).outputs
    for runner in (FloatRunner(graph, threads=1), ReferenceRunner(graph)):
        found = runner.run(inputs).outputs
        assert list(found) == list(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)
