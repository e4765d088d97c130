"""ONNX graphs of several opsets, imported: what becomes of nodes, names, constants and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bittrue.engines.float_ import FloatRunner, OnnxRunner, ReferenceRunner
from bittrue.engines.runner import contract_of
from bittrue.errors import ModelError, UnsupportedError, UsageError
from bittrue.graph.model import Graph
from bittrue.graph.verify import verify
from bittrue.importers.onnx import import_onnx
from bittrue.importers.onnx_ops import ONNX_OPS, REFUSED

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
    inputs = {name: floats(*graph.values[name].shape) for name in graph.inputs}
    expected = OnnxRunner(data, contract_of(graph), threads=1).run(inputs).outputs
    for runner in (FloatRunner(graph, threads=1), ReferenceRunner(graph)):
        found = runner.run(inputs).outputs
        assert list(found) == list(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)


# --- names -----------------------------------------------------------------------------------


def test_names_are_kept_and_nameless_nodes_are_named_by_operator_and_position() -> None:
    graph = imported(
        model([N("Relu", ["x"], ["/a/b::0"], name="/a/b"), N("Abs", ["/a/b::0"], ["y"])])
    )
    assert [node.name for node in graph.nodes] == ["/a/b", "Abs_1"]
    assert [node.origin for node in graph.nodes] == [("/a/b",), ("Abs_1",)]
    assert graph.values["/a/b::0"].origin == ("/a/b::0",)


def test_two_nodes_of_one_name_get_two_names() -> None:
    graph = imported(model([N("Relu", ["x"], ["a"], name="n"), N("Abs", ["a"], ["y"], name="n")]))
    assert [node.name for node in graph.nodes] == ["n", "n_1"]


def test_removed_nodes_leave_their_tensors_names_in_the_origin() -> None:
    nodes = [
        N("Relu", ["x"], ["r"]),
        N("Identity", ["r"], ["i"]),
        N("Dropout", ["i"], ["d"]),
        N("Cast", ["d"], ["c"], to=TensorProto.DOUBLE),
        N("Abs", ["c"], ["y"]),
    ]
    graph = imported(model(nodes))
    assert ops(graph) == ["Relu", "Abs"]
    assert graph.values["r"].origin == ("r", "i", "d", "c")


def test_an_output_behind_an_identity_keeps_the_outputs_name() -> None:
    graph = imported(model([N("Relu", ["x"], ["r"]), N("Identity", ["r"], ["y"])]))
    assert graph.outputs == ("y",)
    assert graph.nodes[0].outputs == ("y",)
    assert set(graph.values["y"].origin) == {"r", "y"}


def test_two_outputs_that_are_one_tensor_both_exist() -> None:
    data = model(
        [N("Relu", ["x"], ["r"]), N("Identity", ["r"], ["y"]), N("Identity", ["r"], ["z"])],
        ("r", "y", "z"),
    )
    graph = imported(data)
    assert graph.outputs == ("r", "y", "z")
    assert ops(graph) == ["Relu", "Reshape", "Reshape"]
    agrees_with_source(data, graph)


def test_an_input_that_is_also_an_output_through_identity_is_copied() -> None:
    data = model([N("Identity", ["x"], ["y"])])
    graph = imported(data)
    assert ops(graph) == ["Reshape"]
    agrees_with_source(data, graph)


def test_unused_nodes_and_inputs_are_dropped() -> None:
    data = model(
        [N("Relu", ["x"], ["y"]), N("Abs", ["z"], ["w"])], inputs={"x": (1, 2), "z": (1, 2)}
    )
    graph = imported(data)
    assert graph.inputs == ("x",)
    assert ops(graph) == ["Relu"]


def test_nodes_out_of_order_are_put_in_order() -> None:
    assert ops(imported(model([N("Abs", ["a"], ["y"]), N("Relu", ["x"], ["a"])]))) == [
        "Relu",
        "Abs",
    ]


# --- constants and shapes ----------------------------------------------------------------------


def shape_arithmetic() -> bytes:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "i0"], ["n"]),
        N("Unsqueeze", ["n", "i0v"], ["n1"]),
        N("ConstantOfShape", ["one"], ["fill"], value=numpy_helper.from_array(np.array([-1]))),
        N("Cast", ["fill"], ["m1f"], to=TensorProto.FLOAT),
        N("Cast", ["m1f"], ["m1"], to=TensorProto.INT64),
        N("Concat", ["n1", "m1"], ["to"], axis=0),
        N("Range", ["i0", "two", "step"], ["rng"]),
        N("Equal", ["rng", "rng"], ["eq"]),
        N("Where", ["eq", "to", "rng"], ["chosen"]),
        N("Reshape", ["x", "chosen"], ["y"]),
    ]
    return model(
        nodes,
        inputs={"x": ("batch", 3, 4, 5)},
        i0=np.int64(0),
        i0v=np.array([0]),
        one=np.array([1]),
        two=np.int64(2),
        step=np.int64(1),
    )


def test_shape_arithmetic_folds_away() -> None:
    graph = imported(shape_arithmetic())
    assert ops(graph) == ["Reshape"]
    assert graph.values["y"].shape == (1, 60)
    assert not graph.constants


def test_a_symbolic_batch_takes_the_given_size() -> None:
    graph = imported(shape_arithmetic(), input_shapes={"x": (4, 3, 4, 5)})
    assert graph.values["y"].shape == (4, 60)


def test_unknown_dimensions_are_all_listed_with_the_option() -> None:
    data = model(
        [N("Add", ["a", "b"], ["y"])], inputs={"a": ("n", 3, "h", "w"), "b": ("n", "c", 4, 4)}
    )
    with pytest.raises(UsageError) as error:
        import_onnx(data)
    assert "'a' is [n, 3, h, w]; 'b' is [n, c, 4, 4]" in error.value.message
    assert "--input-shape a=1,3,640,640" in error.value.hint
    assert "--input-shape b=1,640,4,4" in error.value.hint


def test_a_symbol_given_once_is_known_everywhere() -> None:
    data = model([N("Add", ["a", "b"], ["y"])], inputs={"a": (1, "h"), "b": (1, "h")})
    assert imported(data, input_shapes={"a": (1, 6)}).values["b"].shape == (1, 6)


@pytest.mark.parametrize("shape", [(1, 3, 9, 8), (1, 3, 8), (0, 3, 8, 8)])
def test_a_given_shape_must_not_contradict_the_file(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="--input-shape"):
        import_onnx(model([N("Relu", ["x"], ["y"])]), input_shapes={"x": shape})


def test_a_shape_for_no_input_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'image'"):
        import_onnx(
            model([N("Relu", ["image"], ["y"])], inputs={"image": (1, 2)}),
            input_shapes={"imag": (1, 2)},
        )


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_become_float32(dtype: type) -> None:
    weights = floats(4, 3, 3, 3).astype(dtype)
    nodes = [N("Cast", ["x"], ["h"], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))]
    data = model([*nodes, N("Conv", ["h", "w"], ["y"])], w=weights)
    graph = imported(data)
    assert graph.constants["w"].dtype == np.float32
    assert np.array_equal(graph.constants["w"], weights.astype(np.float32))
    assert graph.values["y"].dtype == "float32"


def test_a_float16_network_runs_as_float32_against_the_file() -> None:
    data = model(
        [N("Mul", ["x", "w"], ["y"])], dtype=TensorProto.FLOAT16, w=np.float16([[[[0.5]]]])
    )
    graph = imported(data)
    assert graph.values["x"].dtype == "float32"
    agrees = {"x": np.ones((1, 3, 8, 8), np.float32)}
    found = OnnxRunner(data, contract_of(graph), threads=1).run(agrees).outputs["y"]
    assert found.dtype == np.float32
    assert np.array_equal(found, np.full((1, 3, 8, 8), 0.5))


def test_constant_nodes_of_every_kind_are_constants() -> None:
    nodes = [
        N("Constant", [], ["a"], value=numpy_helper.from_array(np.float32([2]))),
        N("Constant", [], ["b"], value_float=3.0),
        N("Constant", [], ["c"], value_floats=[4.0]),
        N("Constant", [], ["d"], value_ints=[1, -1]),
        N("Mul", ["x", "a"], ["p"]),
        N("Mul", ["p", "b"], ["q"]),
        N("Mul", ["q", "c"], ["r"]),
        N("Reshape", ["r", "d"], ["y"]),
    ]
    graph = imported(model(nodes))
    assert [float(graph.constants[name].reshape(-1)[0]) for name in "abc"] == [2, 3, 4]
    assert graph.values["y"].shape == (1, 192)


def test_a_constant_of_an_unread_type_is_reported_by_the_node_that_reads_it() -> None:
    data = model([N("Add", ["x", "w"], ["y"])], w=np.array([1 + 2j], np.complex64))
    with pytest.raises(UnsupportedError, match="its constant 'w' is complex64"):
        import_onnx(data)


def test_a_constant_output_is_refused() -> None:
    with pytest.raises(ModelError, match="output 'y' is constant"):
        import_onnx(model([N("Relu", ["w"], ["y"]), N("Abs", ["x"], ["z"])], ("y", "z"), w=floats(2)))


def test_a_huge_result_is_refused_before_it_is_made() -> None:
    nodes = [N("ConstantOfShape", ["s"], ["c"]), N("Add", ["x", "c"], ["y"])]
    with pytest.raises(ModelError, match="more than 2 GiB"):
        import_onnx(model(nodes, s=np.array([10**6, 10**6])))
    nodes = [N("Range", ["a", "b", "c"], ["r"]), N("Add", ["x", "r"], ["y"])]
    with pytest.raises(ModelError, match="more than 2 GiB"):
        import_onnx(model(nodes, a=np.int64(0), b=np.int64(2**60), c=np.int64(1)))


# --- forms of operators by opset -----------------------------------------------------------------


def forms() -> list[tuple[str, list[onnx.NodeProto], int, dict[str, np.ndarray]]]:
    pool = {"kernel_shape": [3, 3], "strides": [2, 2]}
    conv = {"w": floats(4, 3, 3, 3)}
    up = np.float32([1, 1, 2, 2])
    return [
        ("same_upper", [N("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])], 11, conv),
        ("same_lower", [N("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER", strides=[2, 2])], 22, conv),
        ("valid", [N("Conv", ["x", "w"], ["y"], auto_pad="VALID")], 9, conv),
        ("transposed", [N("ConvTranspose", ["x", "v"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])], 11, {"v": floats(3, 2, 3, 3)}),
        ("transposed_shape", [N("ConvTranspose", ["x", "v"], ["y"], output_shape=[16, 16], strides=[2, 2])], 11, {"v": floats(3, 2, 4, 4)}),
        ("max_pool", [N("MaxPool", ["x"], ["y"], ceil_mode=1, pads=[1, 1, 1, 1], **pool)], 12, {}),
        ("max_pool_same", [N("MaxPool", ["x"], ["y"], auto_pad="SAME_UPPER", **pool)], 9, {}),
        ("average_pool", [N("AveragePool", ["x"], ["y"], count_include_pad=1, pads=[1, 0, 1, 0], **pool)], 10, {}),
        ("average_dilated", [N("AveragePool", ["x"], ["y"], dilations=[2, 2], **pool)], 19, {}),
        ("upsample", [N("Upsample", ["x", "s"], ["y"], mode="nearest")], 9, {"s": up}),
        ("upsample_linear", [N("Upsample", ["x", "s"], ["y"], mode="linear")], 9, {"s": up}),
        ("resize_10", [N("Resize", ["x", "s"], ["y"], mode="nearest")], 10, {"s": up / np.float32([1, 1, 3, 3])}),
        ("resize_11", [N("Resize", ["x", "roi", "s"], ["y"], mode="linear")], 11, {"s": up * np.float32([1, 1, 1.3, 0.8]), "roi": np.float32([])}),
        ("resize_sizes", [N("Resize", ["x", "", "", "n"], ["y"], mode="cubic", coordinate_transformation_mode="align_corners")], 13, {"n": np.array([1, 3, 5, 11])}),
        ("resize_axes", [N("Resize", ["x", "", "s"], ["y"], axes=[2, 3], mode="nearest")], 18, {"s": np.float32([2, 3])}),
        ("softmax_old", [N("Softmax", ["x"], ["y"], axis=1)], 11, {}),
        ("softmax_new", [N("Softmax", ["x"], ["y"], axis=1)], 13, {}),
        ("log_softmax_old", [N("LogSoftmax", ["x"], ["y"], axis=2)], 9, {}),
        ("clip_attr", [N("Clip", ["x"], ["y"], min=-0.5, max=0.25)], 9, {}),
        ("clip_input", [N("Clip", ["x", "", "hi"], ["y"])], 12, {"hi": np.float32(0.1)}),
        ("pad_attr", [N("Pad", ["x"], ["y"], pads=[0, 0, 1, 2, 0, 0, -1, 1], value=2.0)], 10, {}),
        ("pad_input", [N("Pad", ["x", "p", "v"], ["y"])], 13, {"p": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "v": np.float32(2)}),
        ("pad_axes", [N("Pad", ["x", "p", "", "a"], ["y"], mode="reflect")], 18, {"p": np.array([1, 2]), "a": np.array([-1])}),
        ("pad_wrap", [N("Pad", ["x", "p"], ["y"], mode="wrap")], 19, {"p": np.array([0, 0, 1, 2, 0, 0, 1, 0])}),
        ("slice_attr", [N("Slice", ["x"], ["y"], starts=[1, -3], ends=[9, 100], axes=[2, 3])], 9, {}),
        ("slice_back", [N("Slice", ["x", "a", "b", "c", "d"], ["y"])], 13, {"a": np.array([-1]), "b": np.array([-(2**60)]), "c": np.array([3]), "d": np.array([-2])}),
        ("split_attr", [N("Split", ["x"], ["p", "q"], axis=-1, split=[3, 5]), N("Concat", ["q", "p"], ["y"], axis=3)], 11, {}),
        ("split_uneven", [N("Split", ["x"], ["p", "q", "r"], axis=2, num_outputs=3), N("Concat", ["r", "q", "p"], ["y"], axis=2)], 18, {}),
        ("reduce_attr", [N("ReduceMean", ["x"], ["y"], axes=[-1, 2], keepdims=0)], 13, {}),
        ("reduce_input", [N("ReduceMean", ["x", "a"], ["y"], keepdims=0)], 18, {"a": np.array([-1, 2])}),
        ("reduce_sum_13", [N("ReduceSum", ["x", "a"], ["y"])], 13, {"a": np.array([1])}),
        ("reduce_all", [N("ReduceSumSquare", ["x"], ["y"])], 13, {}),
        ("reduce_nothing", [N("ReduceMax", ["x"], ["y"], noop_with_empty_axes=1)], 18, {}),
        ("squeeze_11", [N("Squeeze", ["x"], ["s"], axes=[0]), N("Unsqueeze", ["s"], ["y"], axes=[-1, 0])], 11, {}),
        ("squeeze_13", [N("Squeeze", ["x"], ["s"]), N("Unsqueeze", ["s", "a"], ["y"])], 13, {"a": np.array([0, 4])}),
        ("flatten", [N("Flatten", ["x"], ["y"], axis=-2)], 13, {}),
        ("batch_norm", [N("BatchNormalization", ["x", "s", "b", "b", "s"], ["y"], epsilon=0.01)], 9, {"s": np.float32([1, 2, 3]), "b": floats(3)}),
        ("gemm", [N("Flatten", ["x"], ["f"]), N("Gemm", ["f", "w", "b"], ["y"], transB=1, alpha=0.5, beta=2.0)], 11, {"w": floats(4, 192), "b": floats(4)}),
        ("chain", [N("Max", ["x", "c", "d"], ["m"]), N("Sum", ["m", "x", "c"], ["s"]), N("Mean", ["s", "x", "d"], ["y"])], 13, {"c": floats(3, 8, 8), "d": floats(1)}),
        ("layer_norm", [N("LayerNormalization", ["x", "s", "b"], ["y"], axis=-1)], 17, {"s": floats(8), "b": floats(8)}),
        ("instance_norm", [N("InstanceNormalization", ["x", "s", "b"], ["y"])], 9, {"s": floats(3), "b": floats(3)}),
        ("group_norm", [N("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=3)], 21, {"s": floats(3), "b": floats(3)}),
        ("gelu", [N("Gelu", ["x"], ["y"], approximate="tanh")], 20, {}),
        ("pow_int", [N("Pow", ["x", "e"], ["y"])], 13, {"e": np.int64(2)}),
        ("expand", [N("Expand", ["x", "s"], ["y"])], 13, {"s": np.array([2, 1, 1, 8, 1])}),
        ("conv_1d", [N("Reshape", ["x", "t"], ["r"]), N("Conv", ["r", "w"], ["y"], pads=[1, 1])], 13, {"t": np.array([1, 3, 64]), "w": floats(2, 3, 3)}),
        ("conv_3d", [N("Reshape", ["x", "t"], ["r"]), N("Conv", ["r", "w"], ["y"], auto_pad="SAME_UPPER")], 13, {"t": np.array([1, 3, 4, 4, 4]), "w": floats(2, 3, 2, 2, 2)}),
    ]  # fmt: skip


@pytest.mark.parametrize(("nodes", "opset", "constants"), [row[1:] for row in forms()], ids=[row[0] for row in forms()])  # fmt: skip
def test_each_form_gives_what_onnx_runtime_gives(
    nodes: list[onnx.NodeProto], opset: int, constants: dict[str, np.ndarray]
) -> None:
    data = model(nodes, opset=opset, **constants)
    agrees_with_source(data, imported(data))


def test_every_row_of_the_table_has_an_opset_that_is_read() -> None:
    for rows in ONNX_OPS.values():
        assert all(9 <= row.since <= row.until <= 22 for row in rows)
    assert not set(ONNX_OPS) & set(REFUSED)


# --- cuts ------------------------------------------------------------------------------------


def ladder() -> bytes:
    names = ["x", "a", "b", "c", "y"]
    nodes = [
        N("Conv", ["x", "w"], ["a"], name="conv"),
        N("Relu", ["a"], ["b"], name="act"),
        N("Reshape", ["b", "s"], ["c"], name="flat"),
        N("Softmax", ["c"], ["y"], name="head"),
    ]
    assert names
    return model(nodes, w=floats(4, 3, 3, 3), s=np.array([1, -1]))


@pytest.mark.parametrize("end", ["b", "act"])
def test_the_network_can_end_at_a_tensor_or_at_a_node(end: str) -> None:
    graph = imported(ladder(), end=[end])
    assert graph.outputs == ("b",)
    assert ops(graph) == ["Conv", "Relu"]


@pytest.mark.parametrize("start", ["b", "flat"])
def test_the_network_can_start_at_a_tensor_or_at_a_node(start: str) -> None:
    graph = imported(ladder(), start=[start])
    assert graph.inputs == ("b",)
    assert graph.values["b"].shape == (1, 4, 6, 6)
    assert ops(graph) == ["Reshape", "Softmax"]
    agrees_with_source(ladder(), graph)


def test_a_middle_part_runs_as_in_the_file() -> None:
    graph = imported(ladder(), start=["a"], end=["c"])
    assert (graph.inputs, graph.outputs) == (("a",), ("c",))
    agrees_with_source(ladder(), graph)


@pytest.mark.parametrize("option", ["start", "end"])
def test_a_wrong_name_is_answered_with_the_nearest(option: str) -> None:
    with pytest.raises(UsageError, match="did you mean 'head'"):
        import_onnx(ladder(), **{option: ["haed"]})  # type: ignore[arg-type]


def test_a_start_behind_the_end_is_refused() -> None:
    with pytest.raises(UsageError, match="no end of the network depends on c"):
        import_onnx(ladder(), start=["c"], end=["a"])


def test_a_start_behind_what_is_not_handled_takes_its_shape_from_the_file_or_the_user() -> None:
    nodes = [
        N("Hardmax", ["x"], ["a"]),
        N("Strange", ["x"], ["b"], domain="odd"),
        N("Relu", ["a"], ["c"]),
        N("Add", ["b", "c"], ["y"]),
    ]
    data = model(nodes)
    with pytest.raises(UsageError, match="--input-shape b="):
        import_onnx(data, start=["b"])
    shape = (1, 3, 8, 8)
    graph = imported(data, start=["a", "b"], input_shapes={"a": shape, "b": shape})
    assert graph.inputs == ("a", "b")
    assert graph.values["y"].shape == shape


# --- what is not handled -------------------------------------------------------------------------


def test_all_unsupported_nodes_are_reported_at_once_with_their_cuts() -> None:
    nodes = [
        N("Relu", ["x"], ["r"], name="relu"),
        N("Hardmax", ["r"], ["h"], name="hard"),
        N("Abs", ["h"], ["i"], name="abs"),
        N("Einsum", ["i"], ["e"], name="sum", equation="abcd->ab"),
        N("MaxPool", ["h"], ["p", "where"], name="pool", kernel_shape=[2, 2]),
        N("Neg", ["x"], ["z"], name="side"),
        N("Hardmax", ["z"], ["k"], name="other"),
    ]
    with pytest.raises(UnsupportedError) as error:
        import_onnx(model(nodes, ("e", "p", "where", "k")))
    rows = {row.node: row for row in error.value.nodes}
    assert set(rows) == {"hard", "sum", "pool", "other"}
    assert rows["hard"].cut_at == rows["sum"].cut_at == rows["pool"].cut_at == ("r",)
    assert rows["other"].cut_at == ("z",)
    assert "indices" in rows["pool"].reason
    assert "--end r --end z" in error.value.hint
    assert imported(model(nodes, ("e", "p", "where", "k")), end=["r", "z"]).outputs == ("r", "z")


@pytest.mark.parametrize(
    ("op", "words"),
    [
        ("QuantizeLinear", "already quantised"),
        ("DynamicQuantizeLinear", "already quantised"),
        ("QLinearConv", "already quantised"),
        ("If", "fixed shapes"),
        ("Loop", "fixed shapes"),
        ("LSTM", "recurrent"),
        ("NonMaxSuppression", "on the host"),
        ("StringNormalizer", "texts"),
        ("Bogus", "not handled"),
    ],
)
def test_refused_operators_say_why(op: str, words: str) -> None:
    with pytest.raises(UnsupportedError) as error:
        import_onnx(model([N(op, ["x"], ["y"])]))
    assert words in str(error.value)
    assert error.value.nodes[0].op == op


def test_parameters_computed_at_run_time_are_not_handled() -> None:
    nodes = [
        N("ReduceMax", ["x"], ["m"]),
        N("Clip", ["x", "", "m"], ["a"], name="clip"),
        N("ArgMax", ["x"], ["i"], keepdims=0, axis=1),
        N("Reshape", ["i", "flat"], ["j"]),
        N("Reshape", ["x", "j"], ["y"], name="shape"),
    ]
    with pytest.raises(UnsupportedError) as error:
        import_onnx(model(nodes, ("a", "y"), flat=np.array([-1])))
    assert {row.node for row in error.value.nodes} == {"clip", "shape"}


@pytest.mark.parametrize("dtype", [TensorProto.INT64, TensorProto.STRING, TensorProto.COMPLEX64])
def test_inputs_that_hold_no_values_are_refused(dtype: int) -> None:
    with pytest.raises(UnsupportedError, match="an input must hold pixels or values"):
        import_onnx(model([N("Identity", ["x"], ["y"])], dtype=dtype))


@pytest.mark.parametrize("opset", [1, 8, 23, 99])
def test_opsets_that_are_not_read_are_named(opset: int) -> None:
    with pytest.raises(UnsupportedError, match=f"opset {opset}; opsets 9 to 22"):
        import_onnx(model([N("Relu", ["x"], ["y"])], opset=opset))


def test_batch_norm_and_dropout_in_training_are_not_handled() -> None:
    norm = N("BatchNormalization", ["x", "s", "s", "s", "s"], ["y", "m", "v"], training_mode=1)
    with pytest.raises(UnsupportedError, match="training mode"):
        import_onnx(model([norm], opset=15, s=np.ones(3, np.float32)))
    drop = N("Dropout", ["x", "r", "t"], ["y"])
    with pytest.raises(UnsupportedError, match="training mode"):
        import_onnx(model([drop], r=np.float32(0.5), t=np.bool_(True)))


def test_shapes_that_do_not_fit_name_the_node() -> None:
    with pytest.raises(ModelError, match="Conv 'bad'"):
        import_onnx(model([N("Conv", ["x", "w"], ["y"], name="bad")], w=floats(4, 5, 3, 3)))


def test_local_functions_are_put_in_place() -> None:
    function = helper.make_function(
        "mine", "twice", ["a"], ["b"], [N("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 13)]
    )
    proto = onnx.load_model_from_string(model([N("twice", ["x"], ["y"], domain="mine")]))
    proto.functions.append(function)
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    assert ops(imported(proto.SerializeToString())) == ["Add"]


# --- real networks ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet20_cifar10", "yolox_nano_640"])
def test_every_tensor_of_a_real_network_equals_the_files(name: str, shared: Path) -> None:
    path = shared / "models" / f"{name}.onnx"
    graph = import_onnx(path)
    verify(graph)
    made = {item for node in graph.nodes for item in node.outputs}
    pairs = {item: graph.values[item].origin for item in made}
    assert all(pairs.values()), "a value without a tensor of the source"
    inputs = {item: floats(*graph.values[item].shape) for item in graph.inputs}
    source = OnnxRunner(path.read_bytes(), contract_of(graph), threads=1)
    expected = source.run(inputs, [origins[0] for origins in pairs.values()])
    found = FloatRunner(graph, threads=1).run(inputs, list(pairs))
    for value, origins in pairs.items():
        wanted = expected.taps[origins[0]]
        assert found.taps[value].shape == wanted.shape
        error = np.abs(found.taps[value] - wanted).max() / np.abs(wanted).max()
        assert error < 1e-4, f"{value}: {error}"


@pytest.mark.parametrize("name", ["super_resolution", "ultraface_rfb320", "fsanet_1x1"])
def test_the_other_networks_are_imported_whole(name: str, shared: Path) -> None:
    verify(import_onnx(shared / "models" / f"{name}.onnx"))
