"""The runners of float networks: what they take, what they give, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.contract.tensor import Contract, TensorContract
from bittrue.engines.float_ import (
    SESSIONS_KEPT,
    FloatRunner,
    OnnxRunner,
    ReferenceRunner,
    open_session,
)
from bittrue.engines.runner import Runner
from bittrue.errors import DataError, InternalError, ModelError, UsageError
from bittrue.graph.model import Graph
from bittrue.importers.export import to_onnx
from tests.graphs import GraphBuilder

X = np.float32([[1, -2, 3, -4]])


def graph() -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", (1, 4))
    r = builder.add("Relu", x, name="relu")
    y = builder.add("Mul", r, builder.const(np.float32(2), "two"), name="mul")
    return Graph("net", ("x",), (y,), tuple(builder.nodes), builder.values, builder.constants)


def runners() -> list[Runner]:
    one = graph()
    contract = Contract(
        (TensorContract("x", (1, 4), "float32"),),
        (TensorContract("mul:out", (1, 4), "float32"),),
    )
    return [
        FloatRunner(one, threads=1),
        ReferenceRunner(one),
        OnnxRunner(to_onnx(one), contract, threads=1),
    ]


KINDS = pytest.mark.parametrize("runner", runners(), ids=["float", "reference", "onnx"])


@KINDS
def test_outputs_and_taps_come_by_name(runner: Runner) -> None:
    found = runner.run({"x": X}, ["relu:out", "x"])
    assert found.outputs["mul:out"].tolist() == [[2, 0, 6, 0]]
    assert found.taps["relu:out"].tolist() == [[1, 0, 3, 0]]
    assert np.array_equal(found.taps["x"], X)
    assert list(found.outputs) == ["mul:out"]
    assert list(found.taps) == ["relu:out", "x"]


@KINDS
def test_the_contract_names_inputs_and_outputs(runner: Runner) -> None:
    assert [row.name for row in runner.contract.inputs] == ["x"]
    assert runner.contract.outputs[0].shape == (1, 4)


@KINDS
def test_an_output_can_be_tapped_too(runner: Runner) -> None:
    assert runner.run({"x": X}, ["mul:out"]).taps["mul:out"].tolist() == [[2, 0, 6, 0]]


@KINDS
@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "input 'x' is missing"),
        ({"x": X, "z": X}, "there is no input 'z'"),
        ({"x": X.astype(np.float64)}, "is float64"),
        ({"x": X[0]}, r"is float32 \[4\]"),
    ],
)
def test_inputs_that_do_not_fit_are_named(
    runner: Runner, inputs: dict[str, np.ndarray], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        runner.run(inputs)


@KINDS
def test_an_unknown_tap_names_the_nearest(runner: Runner) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'relu:out'"):
        runner.run({"x": X}, ["relu:ou"])


def test_taps_change_no_bit_of_the_outputs() -> None:
    builder = GraphBuilder()
    draw = np.random.default_rng(2)
    x = builder.input("x", (1, 8, 9, 9))
    weights = draw.standard_normal((16, 8, 3, 3)).astype(np.float32)
    a = builder.conv(x, weights, draw.standard_normal(16).astype(np.float32))
    statistics = [builder.const(np.float32(range(1, 17))) for _ in range(4)]
    b = builder.add("BatchNormalization", a, *statistics)
    c = builder.add("Relu", b)
    one = Graph("net", ("x",), (c,), tuple(builder.nodes), builder.values, builder.constants)
    inputs = {"x": draw.standard_normal((1, 8, 9, 9)).astype(np.float32)}
    runner = FloatRunner(one, threads=1)
    plain, tapped = runner.run(inputs), runner.run(inputs, [a, b])
    assert np.array_equal(plain.outputs[c], tapped.outputs[c])
    assert np.array_equal(np.maximum(tapped.taps[b], 0), plain.outputs[c])


def test_sessions_are_kept_by_taps_up_to_a_limit() -> None:
    runner = FloatRunner(graph(), threads=1)
    made: list[tuple[str, ...]] = []
    original = runner._sessions._model

    def counted(taps: tuple[str, ...]) -> bytes:
        made.append(taps)
        return original(taps)

    runner._sessions._model = counted
    for _ in range(3):
        runner.run({"x": X})
        runner.run({"x": X}, ["relu:out"])
    assert made == [(), ("relu:out",)]
    assert len(runner._sessions._kept) <= SESSIONS_KEPT


def test_an_index_outside_its_tensor_is_a_data_error() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1,))
    index = builder.add("Cast", x, to="int64")
    y = builder.add("Gather", builder.const(np.float32([1, 2])), index, axis=0)
    one = Graph("net", ("x",), (y,), tuple(builder.nodes), builder.values, builder.constants)
    assert FloatRunner(one, threads=1).run({"x": np.float32([1])}).outputs[y].tolist() == [2]
    with pytest.raises(DataError, match="ONNX Runtime cannot run"):
        FloatRunner(one, threads=1).run({"x": np.float32([5])})


def test_a_file_that_onnx_runtime_does_not_take_is_a_model_error() -> None:
    with pytest.raises(InternalError, match="does not take the network"):
        open_session(b"nonsense", 1)
    contract = Contract((), (TensorContract("y", (1,), "float32"),))
    import onnx
    from onnx import helper

    body = helper.make_graph(
        [helper.make_node("Bogus", [], ["y"])], "g", [], [onnx.ValueInfoProto(name="y")]
    )
    data = helper.make_model(body, ir_version=8).SerializeToString()
    with pytest.raises(ModelError, match="Bogus"):
        OnnxRunner(data, contract, threads=1).run({})
