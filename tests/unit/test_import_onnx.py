"""ONNX graphs of several opsets, imported: what becomes of nodes, names, constants and shapes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from bittrue.engines.float_ import FloatRunner, OnnxRunner
from bittrue.engines.runner import contract_of
from bittrue.errors import ModelError, UnsupportedError, UsageError
from bittrue.graph.verify import verify
from bittrue.importers import onnx_step
from bittrue.importers.onnx import import_onnx
from bittrue.importers.onnx_file import OPSET_MAX, OPSET_MIN
from bittrue.importers.onnx_ops import ONNX_OPS, REFUSED
from tests.unit.onnx_models import N, agrees_with_source, floats, imported, model, ops

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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["w", "b", "m", "c"])
def test_weights_that_are_not_finite_are_refused_with_their_reader(name: str, value: float) -> None:
    nodes = [
        N("Conv", ["x", "w", "b"], ["f"], name="conv"),
        N("BatchNormalization", ["f", "s", "o", "m", "v"], ["n"], name="norm"),
        N("Identity", ["c"], ["d"], name="copy"),
        N("MatMul", ["n", "d"], ["y"], name="product"),
    ]
    ones = np.ones(4, np.float32)
    parts = {"w": floats(4, 3, 1, 1), "b": floats(4), "m": floats(4), "c": floats(8, 5)}
    parts[name].flat[1] = value
    reader = {"w": "Conv 'conv'", "b": "Conv 'conv'", "m": "BatchNormalization 'norm'"}
    kind = "NaN" if np.isnan(value) else "infinity"
    node = reader.get(name, "MatMul 'product'")
    with pytest.raises(ModelError, match=f"{node}: constant '{name}' .* holds {kind}"):
        import_onnx(model(nodes, s=ones, o=ones, v=ones, **parts))


def test_nan_that_constants_come_to_is_refused_and_unread_nan_is_not() -> None:
    nodes = [N("Div", ["k", "k"], ["q"]), N("Add", ["x", "q"], ["y"], name="add")]
    with pytest.raises(ModelError, match=r"Add 'add': constant 'q' of shape \[1\] holds NaN"):
        import_onnx(model(nodes, k=np.zeros(1, np.float32)))
    unread = model([N("Relu", ["x"], ["y"])], k=np.float32([np.nan]))
    assert not imported(unread).constants


def test_infinities_of_masks_are_legal() -> None:
    mask = np.where(np.eye(8), np.float32(0), np.float32(-np.inf))
    data = model([N("Add", ["x", "m"], ["s"]), N("Softmax", ["s"], ["y"])], m=mask)
    graph = imported(data)
    np.testing.assert_array_equal(graph.constants["m"], mask)
    agrees_with_source(data, graph)


def test_a_constant_output_is_refused() -> None:
    with pytest.raises(ModelError, match="output 'y' is constant"):
        import_onnx(
            model([N("Relu", ["w"], ["y"]), N("Abs", ["x"], ["z"])], ("y", "z"), w=floats(2))
        )


def test_many_large_constants_are_refused_before_they_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [N("ConstantOfShape", ["s"], [f"c{index}"]) for index in range(3)]
    nodes += [N("Sum", ["x", "c0", "c1", "c2"], ["y"])]
    data = model(nodes, s=np.array([8, 8]))
    assert ops(imported(data)) == ["Add"] * 3
    monkeypatch.setattr(onnx_step, "TENSOR_BYTES_MAX", 3 * 8 * 8 * 4 - 1)
    with pytest.raises(ModelError, match="computed so far"):
        import_onnx(data)


def test_without_onnx_the_line_that_installs_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model([N("Relu", ["x"], ["y"])]))
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from bittrue.errors import UsageError\n"
        "from bittrue.chain import import_model\n"
        f"try:\n    import_model({str(path)!r})\n"
        "except UsageError as error:\n    print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'pip install "bittrue[tools]"'


def test_a_huge_result_is_refused_before_it_is_made() -> None:
    nodes = [N("ConstantOfShape", ["s"], ["c"]), N("Add", ["x", "c"], ["y"])]
    with pytest.raises(ModelError, match="more than 2 GiB"):
        import_onnx(model(nodes, s=np.array([10**6, 10**6])))
    nodes = [N("Range", ["a", "b", "c"], ["r"]), N("Add", ["x", "r"], ["y"])]
    with pytest.raises(ModelError, match="more than 2 GiB"):
        import_onnx(model(nodes, a=np.int64(0), b=np.int64(2**60), c=np.int64(1)))


def test_every_row_of_the_table_has_an_opset_that_is_read() -> None:
    for rows in ONNX_OPS.values():
        assert all(OPSET_MIN <= row.since <= row.until <= OPSET_MAX for row in rows)
    assert not set(ONNX_OPS) & set(REFUSED)


# --- cuts ------------------------------------------------------------------------------------


def ladder() -> bytes:
    nodes = [
        N("Conv", ["x", "w"], ["a"], name="conv"),
        N("Relu", ["a"], ["b"], name="act"),
        N("Reshape", ["b", "s"], ["c"], name="flat"),
        N("Softmax", ["c"], ["y"], name="head"),
    ]
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


@pytest.mark.parametrize("names", [["w"], ["a", "s"]])
def test_a_start_at_a_constant_is_refused(names: list[str]) -> None:
    with pytest.raises(UsageError, match=f"--start: '{names[-1]}' is a constant of the network"):
        import_onnx(ladder(), start=names)


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
        N("Acos", ["r"], ["h"], name="hard"),
        N("Abs", ["h"], ["i"], name="abs"),
        N("Sinh", ["i"], ["e"], name="sum"),
        N("MaxPool", ["h"], ["p", "where"], name="pool", kernel_shape=[2, 2]),
        N("Neg", ["x"], ["z"], name="side"),
        N("Acos", ["z"], ["k"], name="other"),
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


def test_a_graph_is_never_told_to_end_at_an_input_or_a_constant() -> None:
    nodes = [
        N("Identity", ["x"], ["i"]),
        N("Reshape", ["w", "to"], ["v"]),
        N("TensorScatter", ["i", "v"], ["y"]),
    ]
    with pytest.raises(UnsupportedError) as error:
        import_onnx(model(nodes, w=floats(8, 1), to=np.array([8])))
    assert error.value.nodes[0].cut_at == ()
    assert "--end" not in error.value.hint


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
        N("Pad", ["x", "p", "m"], ["a"], name="pad"),
        N("ArgMax", ["x"], ["i"], keepdims=0, axis=1),
        N("Reshape", ["i", "flat"], ["j"]),
        N("Expand", ["x", "j"], ["b"], name="expand"),
        N("Reshape", ["x", "j"], ["y"], name="shape"),
    ]
    with pytest.raises(UnsupportedError) as error:
        import_onnx(model(nodes, ("a", "b", "y"), flat=np.array([-1]), p=np.ones(8, int)))
    assert {row.node for row in error.value.nodes} == {"pad", "expand", "shape"}


def test_a_computed_bound_of_several_numbers_is_refused() -> None:
    nodes = [N("ReduceMax", ["x"], ["m"], axes=[1]), N("Clip", ["x", "m"], ["y"])]
    with pytest.raises(ModelError, match="its bound 'min' must be one number"):
        import_onnx(model(nodes))


@pytest.mark.parametrize("dtype", [TensorProto.INT64, TensorProto.STRING, TensorProto.COMPLEX64])
def test_inputs_that_hold_no_values_are_refused(dtype: int) -> None:
    with pytest.raises(UnsupportedError, match="an input must hold pixels or values"):
        import_onnx(model([N("Identity", ["x"], ["y"])], dtype=dtype))


@pytest.mark.parametrize("opset", [1, 6, 28, 99])
def test_opsets_that_are_not_read_are_named(opset: int) -> None:
    with pytest.raises(UnsupportedError, match=f"opset {opset}; opsets 7 to 27"):
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
