"""Where integers end and float begins."""

from __future__ import annotations

import numpy as np

from bittrue.compiler.lower import compile_graph
from bittrue.graph.model import Graph
from bittrue.quant.model import QuantizedGraph
from bittrue.quant.partition import TAILS
from tests.unit.quant_graphs import (
    Builder,
    builder,
    depthwise_graph,
    quantized,
    weights,
)


def head_graph() -> Graph:
    build = builder()
    build.conv("a", "x", weights(4, 4, 3, 3))
    build.conv("box", "a", 100 * weights(4, 4, 1, 1))
    build.conv("score", "a", weights(3, 4, 1, 1))
    build.add("Sigmoid", "p", "score")
    build.add("Concat", "c", "box", "p", axis=1)
    build.add("Reshape", "y", "c", shape=(1, 7, 64))
    return build.finish(["y"])


def test_a_detectors_head_is_float_from_the_last_convolutions_on() -> None:
    result = quantized(head_graph())
    assert result.float_values == {"box", "score", "p", "c", "y"}
    assert set(result.activations) == {"x", "a"}


def test_an_int8_tail_has_codes_wherever_there_is_an_integer_form() -> None:
    result = quantized(head_graph(), tail="int8")
    assert result.float_values == frozenset()


def test_a_softmax_in_the_middle_is_an_island_whose_result_is_stored_as_codes() -> None:
    build = builder()
    build.conv("a", "x", weights(4, 4, 1, 1))
    build.add("Softmax", "s", "a", axis=1)
    build.conv("y", "s", weights(2, 4, 3, 3))
    result = quantized(build.finish(["y"]))
    assert set(result.activations) == {"x", "s"}
    assert result.float_values == {"a", "y"}  # both convolutions emit float


def test_a_small_projection_of_a_softmax_at_the_end_stays_in_float() -> None:
    build = builder()
    build.conv("a", "x", weights(4, 4, 1, 1))
    build.add("Softmax", "s", "a", axis=1)
    build.conv("y", "s", weights(2, 4, 1, 1))
    result = quantized(build.finish(["y"]))
    assert set(result.activations) == {"x"}
    assert set(result.weights) == {"n_a"}
    build.conv("z", "y", weights(2, 2, 3, 3))
    again = quantized(build.finish(["z"]))
    assert set(again.weights) == {"n_a", "n_y", "n_z"}  # what needs codes behind it has codes
    assert set(quantized(build.finish(["z"]), tail="int8").weights) == {"n_a", "n_y", "n_z"}


def layer_norm_graph() -> Graph:
    """A layer norm between two convolutions, with the square written as a product."""
    build = builder()
    build.conv("a", "x", weights(4, 4, 3, 3))
    build.add("ReduceMean", "m", "a", axes=(1,), keepdims=True)
    build.add("Sub", "d", "a", "m")
    build.add("Mul", "q", "d", "d")
    build.add("ReduceMean", "v", "q", axes=(1,), keepdims=True)
    build.add("Add", "e", "v", np.float32([1e-3]))
    build.add("Sqrt", "r", "e")
    build.add("Div", "n", "d", "r")
    build.add("Mul", "g", "n", weights(4, 1, 1))
    build.add("Add", "b", "g", weights(4, 1, 1))
    build.conv("y", "b", weights(2, 4, 3, 3))
    return build.finish(["y"])


def test_a_layer_norm_in_the_middle_is_one_island() -> None:
    result = quantized(layer_norm_graph())
    assert set(result.activations) == {"x", "b"}  # its own input is emitted as float
    inside = {"m", "d", "q", "v", "e", "r", "n", "g"}
    assert inside <= result.float_values
    codes = quantized(layer_norm_graph(), tail="int8")
    assert {"d", "e", "r", "g"} <= set(codes.activations)


def test_a_value_that_an_integer_node_reads_too_stays_codes() -> None:
    build = builder()
    build.conv("a", "x", weights(4, 4, 1, 1))
    build.add("Sigmoid", "s", "a")
    build.conv("y", "a", weights(2, 4, 1, 1))
    result = quantized(build.finish(["y", "s"]))
    assert "a" in result.activations
    assert "y" in result.float_values


def test_a_join_of_unlike_magnitudes_is_float_even_without_a_convolution_before_it() -> None:
    build = builder()
    build.add("Pointwise", "a", "x", expr="x 100.0 mul")
    build.add("Concat", "c", "x", "a", axis=1)
    build.add("Neg", "y", "c")
    result = quantized(build.finish(["y"]))
    assert {"c", "y"} <= result.float_values


def test_a_network_of_one_addition_stays_integer() -> None:
    build = builder()
    build.add("Add", "y", "x", "x")
    result = quantized(build.finish(["y"]))
    assert set(result.activations) == {"x", "y"}


def test_every_value_is_in_exactly_one_of_the_two() -> None:
    for graph in (head_graph(), depthwise_graph(table=True)):
        for tail in TAILS:
            result = quantized(graph, tail=tail)
            named = [n for n in graph.values if n not in graph.constants]
            assert sorted([*result.activations, *result.float_values]) == sorted(named)


def test_what_an_integer_node_reads_is_always_codes() -> None:
    for graph in (head_graph(), depthwise_graph(table=True, extra_reader=True)):
        result = quantized(graph)
        for node in graph.nodes:
            if node.op == "Conv":
                assert node.inputs[0] in result.activations


def attention(tail: str = "float") -> QuantizedGraph:
    """Scores of a value with itself, scaled and masked on their way to a Softmax."""
    build = Builder({"x": (1, 6, 8), "mask": (1, 1, 6)})
    build.add("Dense", "q", "x", weights(8, 8))
    build.add("Transpose", "k", "q", perm=(0, 2, 1))
    build.add("MatMul", "scores", "q", "k")
    build.add("Mul", "scaled", "scores", np.float32([0.25]))
    build.add("Add", "masked", "scaled", "mask")
    build.add("Softmax", "part", "masked", axis=2)
    build.add("MatMul", "mixed", "part", "q")
    build.add("Dense", "y", "mixed", weights(4, 8))
    graph = build.finish(["y"])
    rng = np.random.default_rng(0)
    samples = [
        {
            name: rng.normal(size=graph.values[name].shape).astype(np.float32)
            for name in graph.inputs
        }
        for _ in range(16)
    ]
    return quantized(graph, samples, tail=tail)


def test_scores_stay_float_from_their_accumulator_to_the_softmax() -> None:
    result = attention()
    assert {"scores", "scaled", "masked", "mask", "part"} - result.float_values == {"part"}
    assert {"x", "q", "part", "mixed"} <= set(result.activations)
    kinds = [step.kind for step in compile_graph(result).instructions]
    assert [kind for kind in kinds if kind in ("DEQUANTIZE", "QUANTIZE")] == ["QUANTIZE"]


def test_an_int8_tail_keeps_scores_as_codes() -> None:
    assert {"scores", "scaled"} <= set(attention("int8").activations)
