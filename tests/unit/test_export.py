"""A graph written to ONNX: what ONNX Runtime makes of it equals the reference, or plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest

from bittrue import arith
from bittrue.arith import QParams
from bittrue.engines.float_ import FloatRunner, ReferenceRunner, open_session
from bittrue.errors import InternalError
from bittrue.graph.model import Graph
from bittrue.importers.export import IR_VERSION, OPSET, to_onnx
from tests.graphs import GraphBuilder

RNG = np.random.default_rng(11)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def run(data: bytes, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    session = open_session(data, 1)
    names = [row.name for row in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def finished(builder: GraphBuilder, *outputs: str) -> Graph:
    return Graph(
        "net",
        tuple(builder.inputs),
        outputs,
        tuple(builder.nodes),
        builder.values,
        builder.constants,
    )


def same_as_reference(graph: Graph, feeds: dict[str, np.ndarray]) -> None:
    taps = [name for node in graph.nodes for name in node.outputs]
    expected = ReferenceRunner(graph).run(feeds, taps)
    found = FloatRunner(graph, threads=1).run(feeds, taps)
    for name in taps:
        np.testing.assert_allclose(
            found.taps[name], expected.taps[name], rtol=1e-4, atol=1e-5, err_msg=name
        )


def test_the_model_is_of_the_stated_version_and_legal() -> None:
    builder = GraphBuilder()
    y = builder.add("Relu", builder.input("x", (1, 4)))
    proto = onnx.load_model_from_string(to_onnx(finished(builder, y)))
    assert (proto.opset_import[0].version, proto.ir_version) == (OPSET, IR_VERSION)
    onnx.checker.check_model(proto, full_check=True)


def test_a_fused_clip_is_applied_last_and_the_name_is_that_of_its_result() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 4))
    y = builder.add("Add", x, builder.const(np.float32([1, 1, 1, 1])), clip=(0.0, 1.5))
    z = builder.add("Mul", y, builder.const(np.float32(-2)), clip=(-math.inf, -1.0))
    graph = finished(builder, z)
    feeds = {"x": np.float32([[-3, -0.5, 0.25, 9]])}
    found = FloatRunner(graph, threads=1).run(feeds, [y])
    assert found.taps[y].tolist() == [[0, 0.5, 1.25, 1.5]]
    assert found.outputs[z].tolist() == [[-1, -1, -2.5, -3]]


def test_a_convolution_with_offset_pads_with_the_real_zero() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 2, 2, 2))
    w = builder.const(np.ones((1, 2, 3, 3), np.float32))
    bias, offset = builder.const(np.float32([10])), builder.const(np.float32([1, 2]))
    y = builder.add("Conv", x, w, bias, offset, strides=[1, 1], pads=[1] * 4, dilations=[1, 1])
    found = FloatRunner(finished(builder, y), threads=1).run(
        {"x": np.full((1, 2, 2, 2), 5, np.float32)}
    )
    # Each window holds all four pixels: 4 * (5 - 1) + 4 * (5 - 2), and 10.
    assert np.array_equal(found.outputs[y], np.full((1, 1, 2, 2), 38))


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 3), (3,)])
@pytest.mark.parametrize("bias", [False, True])
def test_dense_is_x_times_w_transposed_plus_b(shape: tuple[int, ...], bias: bool) -> None:
    builder = GraphBuilder()
    weights, b, x = floats(5, 3), floats(5), floats(*shape)
    names = [builder.input("x", shape), builder.const(weights)]
    y = builder.add("Dense", *names, *([builder.const(b)] if bias else []))
    found = FloatRunner(finished(builder, y), threads=1).run({"x": x}).outputs[y]
    np.testing.assert_allclose(found, x @ weights.T + b * bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "expr",
    [
        "x x sigmoid mul",
        "x",
        "2.5",
        "x 3.0 add 0.0 max 6.0 min x mul 0.25 mul",
        "x x mul x erf sub",
    ],
)
def test_pointwise_is_written_out(expr: str) -> None:
    builder = GraphBuilder()
    y = builder.add("Pointwise", builder.input("x", (2, 5)), expr=expr)
    same_as_reference(finished(builder, y), {"x": floats(2, 5)})


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("Gelu", {"approximate": "none"}),
        ("Gelu", {"approximate": "tanh"}),
        ("Mish", {}),
        ("HardSwish", {}),
        ("Clip", {"min": -0.25}),
        ("Slice", {"starts": [1, 4], "steps": [1, -2], "sizes": [1, 3]}),
        ("Slice", {"starts": [0, 0], "steps": [1, 1], "sizes": [0, 5]}),
        ("ReduceMean", {"axes": [1], "keepdims": False}),
        ("ReduceSum", {"axes": []}),
        ("Pad", {"pads": [1, 0, 0, -2], "mode": "edge"}),
        ("Pad", {"pads": [1, 0, 0, 2], "mode": "wrap"}),
        ("Tile", {"repeats": [2, 3]}),
        ("Expand", {"shape": [3, 1, 1]}),
        ("ArgMax", {"axis": 1, "keepdims": False}),
        ("Cast", {"to": "int32"}),
        ("Transpose", {"perm": [1, 0]}),
    ],
)
def test_an_operator_alone_equals_the_reference(op: str, attrs: dict[str, object]) -> None:
    builder = GraphBuilder()
    y = builder.add(op, builder.input("x", (2, 5)), **attrs)
    same_as_reference(finished(builder, y), {"x": floats(2, 5)})


def points() -> tuple[Graph, str, str]:
    """x -> relu -> (relu * w), both of which are quantised."""
    builder = GraphBuilder()
    r = builder.add("Relu", builder.input("x", (1, 3, 2, 2)))
    w = builder.const(np.full((1, 3, 1, 1), 2, np.float32), "w")
    y = builder.add("Mul", r, w)
    return finished(builder, y), r, y


@pytest.mark.parametrize("scale", [[0.1], [0.1, 0.02, 0.5]])
def test_points_quantise_where_a_value_is_made(scale: list[float]) -> None:
    graph, r, y = points()
    x = floats(1, 3, 2, 2)
    first, last = QParams(np.float32(scale), 3), QParams(np.float32([0.07]), 0)
    entry = QParams(np.float32([0.37]), 128)
    found = run(to_onnx(graph, [r], qdq={"x": entry, r: first, y: last, "w": entry}), {"x": x})

    def stored(array: np.ndarray, params: QParams) -> np.ndarray:
        grid = params.along(4)
        return arith.dequantize(
            arith.quantize(array, grid, params.zero_point), grid, params.zero_point
        )

    relu = stored(np.maximum(stored(x, entry), 0), first)
    assert np.array_equal(found[r], relu)
    assert np.array_equal(found[y], stored(relu * np.float32(2), last))


def test_weights_take_the_place_of_constants() -> None:
    graph, _, y = points()
    x = np.ones((1, 3, 2, 2), np.float32)
    other = np.full((1, 3, 1, 1), 7, np.float32)
    assert np.array_equal(run(to_onnx(graph, weights={"w": other}), {"x": x})[y], 7 * x)
    assert np.array_equal(run(to_onnx(graph), {"x": x})[y], 2 * x)


def test_names_that_are_not_in_the_graph_are_our_bug() -> None:
    graph, _, _ = points()
    params = QParams(np.float32([1]), 0)
    for options in ({"taps": ["no"]}, {"qdq": {"no": params}}, {"weights": {"w": np.zeros(1)}}):
        with pytest.raises(InternalError):
            to_onnx(graph, **options)  # type: ignore[arg-type]


def test_made_up_names_avoid_those_of_the_graph() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 4))
    y = builder.add("Add", x, x, name="a", clip=(0.0, 1.0))
    builder.values = dict(builder.values)
    clash = builder.const(np.float32(3), f"{y}/unclipped")
    z = builder.add("Mul", y, clash)
    same_as_reference(finished(builder, z), {"x": floats(1, 4)})
