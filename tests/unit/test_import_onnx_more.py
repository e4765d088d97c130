"""Operators that become others, and odd but legal files: each gives what ONNX Runtime gives for it.

Refused ones name the file, the node and what to do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bittrue import chain
from bittrue.errors import FormatError, ModelError, UnsupportedError
from bittrue.importers.onnx import import_onnx
from tests.unit.onnx_models import N, agrees_with_source, floats, imported, model, ops

FLOAT = TensorProto.FLOAT

# --- operators written out ---------------------------------------------------------------------

EQUATIONS = (
    *("abcd->dcba", "abcd->ac", "abcc->bac", "ijkk", "...ij->...ji", "abcd->", "a...->..."),
    *("abcd,abde->abce", "abcd,cd->abd", "abcd,ad->bc", "abcd,abcd->", "abcd,e->eabcd"),
    *(
        "...ij,...jk->...ik",
        "a...b,b->a...",
        "bhid,bhjd->bhij",
        "abcd,abcd->abcd",
        "abcd,bd,ae->ec",
    ),
)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_is_transposes_products_and_sums(equation: str) -> None:
    sizes = {"a": 2, "b": 3, "h": 3, "c": 4, "i": 4, "d": 4, "j": 4, "k": 4, "e": 5}
    first, *others = equation.partition("->")[0].split(",")
    wide = {"...ij": (2, 3, 4, 4), "...jk": (1, 3, 4, 4), "a...": (2, 3, 4, 4)}
    wide |= {"a...b": (2, 4, 4, 3)}
    shapes = [wide.get(t) or tuple(sizes[n] for n in t) for t in (first, *others)]
    given = {name: floats(*shape) for name, shape in zip("wuv", shapes[1:], strict=False)}
    node = N("Einsum", ["x", *given], ["y"], equation=equation)
    data = model([node], inputs={"x": shapes[0]}, **given)
    agrees_with_source(data, imported(data))


def test_einsum_of_two_computed_factors_is_one_product_of_matrices() -> None:
    nodes = [N("Tanh", ["x"], ["t"]), N("Einsum", ["x", "t"], ["y"], equation="bhid,bhjd->bhij")]
    data = model(nodes, inputs={"x": (1, 2, 3, 4)})
    graph = imported(data)
    assert ops(graph).count("MatMul") == 1
    agrees_with_source(data, graph)


@pytest.mark.parametrize(
    "equation", ["ab->ab", "abcd,ab->ab", "abcd->abx", "abcd->aab", "", "abcd->abcd,", "ab..cd"]
)
def test_an_equation_that_does_not_fit_names_the_node(equation: str) -> None:
    with pytest.raises((ModelError, FormatError), match="Einsum"):
        import_onnx(model([N("Einsum", ["x"], ["y"], equation=equation)]))


def test_group_norm_of_opset_18_scales_groups() -> None:
    node = N("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)
    data = model(
        [node], inputs={"x": (1, 4, 5, 5)}, opset=18, s=np.float32([2, 3]), b=np.float32([1, 5])
    )
    graph = imported(data)
    x = floats(1, 4, 5, 5)
    groups = x.reshape(1, 2, -1)
    spread = np.sqrt(groups.var(axis=2, keepdims=True) + 1e-5)
    wanted = (groups - groups.mean(axis=2, keepdims=True)) / spread
    wanted = wanted * np.float32([[2], [3]]) + np.float32([[1], [5]])
    from bittrue.graph.reference import run_reference

    found = run_reference(graph, {"x": x})["y"]
    np.testing.assert_allclose(found, wanted.reshape(x.shape), rtol=1e-4, atol=1e-5)


# --- branches and functions --------------------------------------------------------------------


def branching(cond: list[onnx.NodeProto], **constants: object) -> bytes:
    """An If whose branches read tensors around them and have constants and names of their own."""
    rows = [onnx.ValueInfoProto(name="o")]
    two = numpy_helper.from_array(np.float32(2), "two")
    inner = helper.make_graph(
        [N("Mul", ["r", "two"], ["t"]), N("Add", ["t", "x"], ["o"])], "yes", [], rows, [two]
    )
    other = helper.make_graph([N("Neg", ["r"], ["o"])], "no", [], rows)
    nodes = [*cond, N("Relu", ["x"], ["r"])]
    nodes += [N("If", ["c"], ["i"], name="choice", then_branch=inner, else_branch=other)]
    return model([*nodes, N("Tanh", ["i"], ["y"])], opset=16, **constants)


@pytest.mark.parametrize("rank", [4, 3])
def test_an_if_whose_condition_is_known_is_the_branch_that_it_chooses(rank: int) -> None:
    known = [N("Shape", ["x"], ["s"]), N("Size", ["s"], ["n"]), N("Equal", ["n", "k"], ["c"])]
    data = branching(known, k=np.int64(rank))
    graph = imported(data)
    assert ops(graph) == (["Relu", "Mul", "Add", "Tanh"] if rank == 4 else ["Relu", "Neg", "Tanh"])
    assert {node.origin for node in graph.nodes if node.op in ("Mul", "Add", "Neg")} == {
        ("choice",)
    }
    # A tap of a tensor inside the branch would not be found in the file.
    assert {name for value in graph.values.values() for name in value.origin}.isdisjoint({"t"})
    agrees_with_source(data, graph)


def test_an_if_whose_condition_is_computed_is_refused_with_what_to_do() -> None:
    seen = [N("ReduceMax", ["x"], ["m"], keepdims=0), N("Greater", ["m", "k"], ["c"])]
    with pytest.raises(UnsupportedError, match=r"If 'choice': .*fixed shapes"):
        import_onnx(branching(seen, k=np.float32(0)))


def test_what_a_branch_cannot_do_is_named_with_its_node() -> None:
    inner = helper.make_graph(
        [N("Acos", ["x"], ["o"], name="deep")], "g", [], [onnx.ValueInfoProto(name="o")]
    )
    node = N("If", ["c"], ["y"], name="choice", then_branch=inner, else_branch=inner)
    with pytest.raises(UnsupportedError, match=r"If 'choice': its inner Acos 'choice/deep'"):
        import_onnx(model([node], opset=16, c=np.bool_(True)))


def test_attention_is_written_out_as_onnx_defines_it() -> None:
    node = N("Attention", ["q", "k", "v"], ["y"], is_causal=1)
    shape = (1, 2, 3, 4)
    data = model([node], inputs={"q": shape, "k": shape, "v": shape}, opset=23)
    graph = imported(data)
    assert "Softmax" in ops(graph)
    assert {node.origin for node in graph.nodes} == {("Attention_0",)}
    agrees_with_source(data, graph)


def local_function() -> bytes:
    body = [N("Sigmoid", ["a"], ["s"]), N("Mul", ["a", "s"], ["b"])]
    opset = [helper.make_opsetid("", 17)]
    silu = helper.make_function("mine", "SiLU", ["a"], ["b"], body, opset)
    value = [helper.make_tensor_value_info(name, FLOAT, [2, 3]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("SiLU", ["x"], ["y"], domain="mine")], "g", value[:1], value[1:]
    )
    made = helper.make_model(
        graph, functions=[silu], opset_imports=[*opset, helper.make_opsetid("mine", 1)]
    )
    made.ir_version = 8
    return made.SerializeToString()


def test_a_local_function_is_put_in_place() -> None:
    graph = imported(local_function())
    assert ops(graph) == ["Sigmoid", "Mul"]
    agrees_with_source(local_function(), graph)


# --- odd files ---------------------------------------------------------------------------------


def sparse(index: np.ndarray, shape: list[int] | None = None) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.float32([5, 7]), "w")
    places = numpy_helper.from_array(index, "w_indices")
    return helper.make_sparse_tensor(values, places, shape or [2, 3])


@pytest.mark.parametrize("index", [np.array([1, 5]), np.array([[0, 1], [1, 2]])])
@pytest.mark.parametrize("stored", ["initialiser", "node"])
def test_a_sparse_constant_is_made_dense(index: np.ndarray, stored: str) -> None:
    nodes = [N("Add", ["x", "w"], ["y"])]
    if stored == "node":
        nodes.insert(0, N("Constant", [], ["w"], sparse_value=sparse(index)))
    proto = onnx.load_from_string(model(nodes, inputs={"x": (2, 3)}))
    if stored == "initialiser":
        proto.graph.sparse_initializer.append(sparse(index))
    graph = imported(proto.SerializeToString())
    assert graph.constants["w"].tolist() == [[0, 5, 0], [0, 0, 7]]


@pytest.mark.parametrize(
    ("index", "shape"),
    [
        (np.array([1, 6]), [2, 3]),
        (np.array([-1, 2]), [2, 3]),
        (np.array([1]), [2, 3]),
        (np.array([[0, 1], [2, 0]]), [2, 3]),
        (np.array([[0, 1, 0], [1, 0, 0]]), [2, 3]),
        (np.array([1, 2]), [2**20, 2**20]),
        (np.array([1, 2]), [0, 3]),
    ],
)
def test_a_sparse_constant_that_contradicts_itself_is_refused(
    index: np.ndarray, shape: list[int]
) -> None:
    proto = onnx.load_from_string(model([N("Add", ["x", "w"], ["y"])]))
    proto.graph.sparse_initializer.append(sparse(index, shape))
    with pytest.raises(FormatError, match="sparse constant 'w'"):
        import_onnx(proto.SerializeToString())


def test_initialisers_that_are_inputs_too_are_constants() -> None:
    proto = onnx.load_from_string(model([N("Add", ["x", "w"], ["y"])], w=floats(8)))
    proto.graph.input.append(helper.make_tensor_value_info("w", FLOAT, [8]))
    proto.ir_version = 3
    assert imported(proto.SerializeToString()).inputs == ("x",)


def test_a_scalar_input_and_an_optional_input_in_the_middle_are_read() -> None:
    data = model([N("Clip", ["x", "", "h"], ["y"])], inputs={"x": ()}, h=np.float32(1))
    graph = imported(data)
    assert graph.values["y"].shape == ()
    agrees_with_source(data, graph)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([N("Identity", ["x"], ["x"])], "made twice"),
        ([N("Relu", ["x"], ["y"]), N("Abs", ["x"], ["y"])], "made twice"),
        ([N("Relu", ["nowhere"], ["y"])], "no node makes 'nowhere'"),
        ([N("Relu", ["y"], ["y"])], "depends on itself"),
        ([N("Elu", ["x"], ["y"], alpha=float("nan"))], "NaN"),
        ([N("Shrink", ["x"], ["y"], bias=float("nan"))], "NaN"),
        ([N("LeakyRelu", ["x"], ["y"], alpha=float("inf"))], "inf"),
        ([N("Relu", ["x"], ["y"], domain="com.microsoft")], "give the file that it optimised"),
        ([N("Relu", ["x"], ["y"], domain="my.own")], "domain 'my.own'"),
    ],
)
def test_a_wrong_network_is_refused_and_the_file_named(
    nodes: list[onnx.NodeProto], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "face.onnx"
    path.write_bytes(model(nodes))
    for run in (lambda: import_onnx(path), lambda: chain.import_model(path)):
        with pytest.raises((ModelError, FormatError)) as error:
            run()
        assert words in str(error.value)
        assert "face.onnx" in str(error.value)


def test_an_output_that_is_the_input_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="output 'x' is the network's input itself"):
        import_onnx(model([N("Relu", ["x"], ["y"])], ("x", "y")))


def test_what_the_engine_cannot_run_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "face.onnx"
    nodes = [N("Relu", ["x"], ["r"]), N("ArgMax", ["r"], ["y"])]
    path.write_bytes(model(nodes, inputs={"x": (1, 4)}))
    network = chain.optimize(chain.import_model(path))
    samples = [floats(1, 4) for _ in range(4)]
    with pytest.raises(UnsupportedError, match=r"^face.onnx: 1 nodes? cannot run on the engine"):
        chain.compile(chain.quantize(network, samples, observer="minmax"))
