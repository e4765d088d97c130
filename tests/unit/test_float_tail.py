"""Each operator of the float tail as an ONNX file: near ONNX Runtime, and one set of bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from onnx import NodeProto

from bittrue.arith import QParams
from bittrue.compiler.fileformat import to_bytes
from bittrue.compiler.lower import compile_graph
from bittrue.compiler.program import Program
from bittrue.engines.emulate import Emulator
from bittrue.engines.float_ import OnnxRunner
from bittrue.engines.native import Engine
from bittrue.engines.native_library import available_isas
from bittrue.engines.runner import contract_of
from bittrue.errors import UnsupportedError
from bittrue.graph.model import Graph
from bittrue.passes.pipeline import optimize
from bittrue.quant.model import QuantizedGraph
from tests.unit.lowering import kinds
from tests.unit.onnx_models import N, floats, imported, model

Inputs = Mapping[str, np.ndarray]


def all_float(graph: Graph) -> Program:
    """Compile a graph with every value in float32."""
    computed = frozenset(set(graph.values) - set(graph.constants))
    return compile_graph(QuantizedGraph(graph, {}, {}, computed, {}))


def run_everywhere(program: Program, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the outputs; fail unless every tensor has the emulator's bits on each ISA."""
    taps = program.computed
    outputs, tapped = Emulator(program).run(inputs, taps)
    for isa in available_isas():
        with Engine(to_bytes(program), isa, 2) as engine:
            got, found = engine.run(inputs, taps)
        for index in taps:
            assert tapped[index].tobytes() == found[index].tobytes(), program.tensors[index]
        for one, other in zip(outputs, got, strict=True):
            assert one.tobytes() == other.tobytes()
    return outputs


def assert_near(data: bytes, inputs: Inputs, *, rtol: float = 2e-6, atol: float = 2e-6) -> Program:
    """Compare the program with ONNX Runtime on the file; return the program."""
    graph = optimize(imported(data)).graph
    program = all_float(graph)
    outputs = run_everywhere(program, [inputs[row.name] for row in program.contract.inputs])
    source = imported(data)
    expected = OnnxRunner(data, contract_of(source), threads=1).run(inputs).outputs
    for row, found in zip(program.contract.outputs, outputs, strict=True):
        want = expected[row.name]
        np.testing.assert_allclose(found, want.astype(found.dtype), rtol=rtol, atol=atol)
    return program


X = {"x": floats(2, 3, 5) * 3}
POSITIVE = {"x": np.abs(floats(2, 3, 5)) * 4 + np.float32(1e-3)}
UNARY: dict[str, tuple[Inputs, dict[str, object]]] = {
    **dict.fromkeys(("Tanh", "Erf", "Reciprocal", "Floor", "Ceil", "Round"), (X, {})),
    **dict.fromkeys(("Sign", "Softplus", "Softsign", "Sin", "Cos", "Sigmoid"), (X, {})),
    **dict.fromkeys(("Relu", "Abs", "Neg", "Exp", "HardSwish"), (X, {})),
    **dict.fromkeys(("Log", "Sqrt"), (POSITIVE, {})),
    "LeakyRelu": (X, {"alpha": 0.125}),
    "Elu": (X, {"alpha": 0.7}),
    "Celu": (X, {"alpha": 0.7}),
    "Selu": (X, {}),
    "ThresholdedRelu": (X, {"alpha": 0.6}),
    "HardSigmoid": (X, {"alpha": 0.25, "beta": 0.4}),
    "Mish": (X, {}),
    "Gelu": (X, {}),
}


@pytest.mark.parametrize("op", UNARY)
def test_functions_of_one_number(op: str) -> None:
    inputs, attrs = UNARY[op]
    data = model([N(op, ["x"], ["y"], **attrs)], inputs={"x": (2, 3, 5)}, opset=20)
    assert_near(data, inputs)


def test_gelu_by_tanh() -> None:
    data = model([N("Gelu", ["x"], ["y"], approximate="tanh")], inputs={"x": (2, 3, 5)}, opset=20)
    assert_near(data, X)


@pytest.mark.parametrize("power", [-3, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 7, 64, 0.3, -2.7])
def test_constant_powers(power: float) -> None:
    data = model([N("Pow", ["x", "c"], ["y"])], inputs={"x": (2, 3, 5)}, c=np.float32(power))
    assert_near(data, POSITIVE, rtol=4e-6 * max(1, abs(power)))


def test_whole_powers_of_negative_numbers() -> None:
    for power in (2, 3, -3):
        data = model([N("Pow", ["x", "c"], ["y"])], inputs={"x": (2, 3, 5)}, c=np.float32(power))
        assert_near(data, X, rtol=1e-5)


def test_computed_powers_and_rests() -> None:
    shapes = {"a": (2, 3, 5), "b": (3, 1)}
    inputs = {"a": POSITIVE["x"], "b": floats(3, 1)}
    assert_near(model([N("Pow", ["a", "b"], ["y"])], inputs=shapes), inputs, rtol=1e-5)
    rest = model([N("Mod", ["a", "b"], ["y"], fmod=1)], inputs=shapes)
    assert_near(rest, {"a": X["x"], "b": inputs["b"]}, rtol=0, atol=0)


@pytest.mark.parametrize("op", ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
def test_comparisons_select_one_of_two(op: str) -> None:
    nodes = [N(op, ["a", "b"], ["t"]), N("Where", ["t", "a", "c"], ["y"])]
    whole = {"a": np.rint(floats(2, 3, 5)), "b": np.rint(floats(3, 1)), "c": floats(1, 5)}
    shapes = {name: array.shape for name, array in whole.items()}
    program = assert_near(model(nodes, inputs=shapes, opset=16), whole, rtol=0, atol=0)
    assert "F32_WHERE" in kinds(program)


def test_truth_values_are_joined_negated_and_cast() -> None:
    nodes = [
        N("Less", ["a", "b"], ["less"]),
        N("Greater", ["a", "c"], ["greater"]),
        N("And", ["less", "greater"], ["both"]),
        N("Not", ["both"], ["no"]),
        N("Cast", ["a"], ["some"], to=9),
        N("Or", ["no", "some"], ["t"]),
        N("Cast", ["t"], ["y"], to=1),
        N("Cast", ["both"], ["z"], to=1),
    ]
    given = {"a": np.rint(floats(4, 7)), "b": floats(4, 7), "c": floats(4, 1)}
    shapes = {name: array.shape for name, array in given.items()}
    assert_near(model(nodes, ("y", "z"), inputs=shapes, opset=16), given, rtol=0, atol=0)


def test_a_constant_condition_chooses_too() -> None:
    mask = np.array([[True], [False], [True]])
    data = model([N("Where", ["m", "x", "c"], ["y"])], inputs={"x": (2, 3, 5)}, opset=16,
                 m=mask, c=np.float32(-1e9))  # fmt: skip
    assert_near(data, X, rtol=0, atol=0)


def test_slopes_that_are_computed() -> None:
    inputs = {"x": X["x"], "s": floats(3, 1)}
    data = model([N("PRelu", ["x", "s"], ["y"])], inputs={"x": (2, 3, 5), "s": (3, 1)}, opset=16)
    assert_near(data, inputs)


def test_batch_normalization() -> None:
    parts = {"scale": floats(3), "bias": floats(3), "mean": floats(3), "var": np.abs(floats(3))}
    nodes = [N("BatchNormalization", ["x", *parts], ["y"])]
    assert_near(model(nodes, inputs={"x": (2, 3, 5)}, **parts), X, rtol=1e-5)


REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2",
              "ReduceL1", "ReduceSumSquare")  # fmt: skip


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize(("axes", "keep"), [((2,), 1), ((1,), 0), ((0, 2), 0), ((1, 3), 1)])
def test_reductions_over_any_axes(op: str, axes: tuple[int, ...], keep: int) -> None:
    nodes = [N(op, ["x", "axes"], ["y"], keepdims=keep)]
    data = model(nodes, inputs={"x": (3, 4, 5, 6)}, opset=18, axes=np.array(axes))
    assert_near(data, {"x": floats(3, 4, 5, 6)}, rtol=1e-5, atol=1e-5)


def test_a_sum_over_everything_is_a_number_without_axes() -> None:
    """A bound that is computed has no axes; an output must have some."""
    nodes = [
        N("ReduceMax", ["x"], ["m"], keepdims=0),
        N("Sub", ["m", "c"], ["low"]),
        N("Clip", ["x", "low"], ["y"]),
    ]
    shapes = {"x": (2, 3, 5)}
    assert_near(model(nodes, inputs=shapes, c=np.float32(2)), X, rtol=0, atol=0)
    with pytest.raises(UnsupportedError, match="outputs are float32 or uint8, with axes"):
        all_float(imported(model(nodes[:1], ("m",), inputs=shapes)))


def test_truth_values_are_outputs_as_codes_only() -> None:
    data = model([N("Less", ["x", "c"], ["y"])], inputs={"x": (2, 3)}, c=np.float32(0))
    graph = imported(data)
    with pytest.raises(UnsupportedError, match="output 'y' is bool"):
        all_float(graph)
    truth = QParams(np.ones(1, np.float32), 0)
    program = compile_graph(QuantizedGraph(graph, {"y": truth}, {}, frozenset({"x"}), {}))
    x = np.float32([[0, -0.0, 1], [-1, np.nan, -np.inf]])
    (found,) = run_everywhere(program, [x])
    np.testing.assert_array_equal(found, np.uint8([[0, 0, 0], [1, 0, 1]]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_and_its_logarithm(axis: int) -> None:
    nodes = [N("Softmax", ["x"], ["y"], axis=axis), N("LogSoftmax", ["x"], ["z"], axis=axis)]
    assert_near(model(nodes, ("y", "z"), inputs={"x": (2, 3, 5)}), X, rtol=1e-5, atol=1e-6)


MATRICES = [
    ((4, 5), (5, 6)),
    ((2, 3, 4, 5), (2, 3, 5, 17)),
    ((2, 1, 9, 33), (3, 33, 16)),
    ((5,), (5, 6)),
    ((2, 4, 5), (5,)),
    ((1, 300), (300, 1)),
]


@pytest.mark.parametrize(("a", "b"), MATRICES)
def test_products_of_two_computed_matrices(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    data = model([N("MatMul", ["a", "b"], ["y"])], inputs={"a": a, "b": b})
    program = assert_near(data, {"a": floats(*a), "b": floats(*b)}, rtol=1e-5, atol=1e-5)
    assert "F32_MATMUL" in kinds(program)


@pytest.mark.parametrize("turned", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_gemm_of_computed_factors(turned: tuple[int, int]) -> None:
    a, b = floats(4, 5), floats(5, 6)
    inputs = {"a": a.T.copy() if turned[0] else a, "b": b.T.copy() if turned[1] else b,
              "c": floats(6)}  # fmt: skip
    shapes = {name: array.shape for name, array in inputs.items()}
    attrs = {"alpha": 0.5, "beta": 2.0, "transA": turned[0], "transB": turned[1]}
    data = model([N("Gemm", ["a", "b", "c"], ["y"], **attrs)], inputs=shapes)
    assert_near(data, inputs, rtol=1e-5, atol=1e-5)


def test_small_projections_stay_in_float() -> None:
    """The mean of a distribution, as detectors have it: Softmax, then a 1x1 convolution."""
    w = np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)
    nodes = [
        N("Reshape", ["x", "shape"], ["r"]),
        N("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3]),
        N("Softmax", ["t"], ["s"], axis=1),
        N("Conv", ["s", "w", "b"], ["y"]),
    ]
    data = model(nodes, inputs={"x": (1, 64, 10)}, w=w, b=np.float32([0.5]),
                 shape=np.array([1, 4, 16, 10]))  # fmt: skip
    program = assert_near(data, {"x": floats(1, 64, 10) * 3}, rtol=1e-5)
    assert {"F32_SOFTMAX", "F32_MATMUL"} <= set(kinds(program))
    dense = [N("Softmax", ["x"], ["s"], axis=2), N("MatMul", ["s", "w"], ["p"]),
             N("Add", ["p", "b"], ["y"])]  # fmt: skip
    data = model(dense, inputs={"x": (2, 3, 5)}, w=floats(5, 4), b=floats(4))
    assert_near(data, X, rtol=1e-5)


def test_a_layer_norm_written_out() -> None:
    nodes: list[NodeProto] = [
        N("LayerNormalization", ["x", "g", "b"], ["y"], axis=-1, epsilon=1e-5),
    ]
    data = model(nodes, inputs={"x": (2, 7, 48)}, opset=17, g=floats(48), b=floats(48))
    assert_near(data, {"x": floats(2, 7, 48) * 5 + 1}, rtol=1e-4, atol=1e-5)


MOVES: dict[str, tuple[list[NodeProto], dict[str, object]]] = {
    "Gather": ([N("Gather", ["x", "i"], ["y"], axis=1)], {"i": np.array([2, 0, -1])}),
    "Expand": ([N("Expand", ["x", "s"], ["y"])], {"s": np.array([4, 2, 3, 5])}),
    "Tile": ([N("Tile", ["x", "s"], ["y"])], {"s": np.array([1, 2, 3])}),
    "Concat": ([N("Concat", ["x", "x"], ["y"], axis=2)], {}),
    "Split": ([N("Split", ["x", "s"], ["y", "z"], axis=2)], {"s": np.array([2, 3])}),
    "Slice": (
        [N("Slice", ["x", "s", "e", "a", "d"], ["y"])],
        {"s": np.array([4]), "e": np.array([-9]), "a": np.array([2]), "d": np.array([-2])},
    ),
    "Pad": ([N("Pad", ["x", "p", "v"], ["y"])],
            {"p": np.array([0, 1, 0, 0, 2, 3]), "v": np.float32(-0.5)}),
    "Reflect": ([N("Pad", ["x", "p"], ["y"], mode="reflect")],
                {"p": np.array([0, 1, 2, 0, 2, 3])}),
    "Transpose": ([N("Transpose", ["x"], ["y"], perm=[2, 0, 1])], {}),
    "Reshape": ([N("Reshape", ["x", "s"], ["y"])], {"s": np.array([5, -1])}),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
def test_elements_move_in_float_as_they_are(name: str) -> None:
    nodes, constants = MOVES[name]
    outputs = tuple(nodes[-1].output)
    data = model(nodes, outputs, inputs={"x": (2, 3, 5)}, opset=15, **constants)
    assert_near(data, X, rtol=0, atol=0)


def test_blocks_move_in_float() -> None:
    for nodes, shape in (
        ([N("DepthToSpace", ["x"], ["y"], blocksize=2)], (1, 8, 3, 2)),
        ([N("SpaceToDepth", ["x"], ["y"], blocksize=2)], (1, 2, 4, 6)),
        ([N("Resize", ["x", "", "s"], ["y"], mode="nearest")], (1, 2, 4, 6)),
    ):
        scales = {"s": np.float32([1, 1, 2, 2])} if len(nodes[0].input) > 1 else {}
        data = model(nodes, inputs={"x": shape}, opset=13, **scales)
        assert_near(data, {"x": floats(*shape)}, rtol=0, atol=0)
