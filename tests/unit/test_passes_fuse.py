"""Clips become attributes, functions of one value become one Pointwise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bittrue.passes.fuse import WORDS_MAX, fuse_clips, fuse_functions, fuse_pointwise
from tests.graphs import GraphBuilder, assert_equal, ops


def scalar(b: GraphBuilder, number: float) -> str:
    return b.const(np.float32(number))


@pytest.mark.parametrize(
    ("first", "second", "clip"),
    [
        ((-math.inf, math.inf), (0.0, 6.0), (0.0, 6.0)),
        ((0.0, math.inf), (-1.0, 6.0), (0.0, 6.0)),
        ((0.0, 1.0), (2.0, 3.0), (2.0, 2.0)),
        ((2.0, 3.0), (0.0, 1.0), (1.0, 1.0)),
    ],
)
def test_two_clips_are_one(
    first: tuple[float, float], second: tuple[float, float], clip: tuple[float, float]
) -> None:
    b = GraphBuilder()
    total = b.add("Add", b.input("x", (2, 9)), b.input("y", (2, 9)), clip=first)
    graph = b.graph(b.add("Clip", total, min=second[0], max=second[1]))
    after = fuse_clips(graph)
    assert ops(after) == ["Add"]
    assert after.nodes[0].attrs["clip"] == clip
    assert_equal(graph, after, atol=0)


def test_a_clip_of_a_value_that_others_read_stays() -> None:
    b = GraphBuilder()
    total = b.add("Add", b.input("x", (2, 9)), b.input("y", (2, 9)))
    relu = b.add("Relu", total)
    as_output = b.graph(relu, total)
    assert fuse_clips(as_output) is as_output
    read_twice = b.graph(relu, b.add("Tanh", total))
    assert fuse_clips(read_twice) is read_twice


def silu(b: GraphBuilder, x: str) -> str:
    return b.add("Mul", x, b.add("Sigmoid", x))


def hard_swish(b: GraphBuilder, x: str) -> str:
    clipped = b.add("Clip", b.add("Add", x, scalar(b, 3)), min=0.0, max=6.0)
    return b.add("Div", b.add("Mul", x, clipped), scalar(b, 6))


def gelu_tanh(b: GraphBuilder, x: str) -> str:
    cube = b.add("Mul", b.add("Pow", x, scalar(b, 3)), scalar(b, 0.044715))
    inner = b.add("Mul", b.add("Add", x, cube), scalar(b, 0.7978846))
    outer = b.add("Add", b.add("Tanh", inner), scalar(b, 1))
    return b.add("Mul", b.add("Mul", x, scalar(b, 0.5)), outer)


def mish(b: GraphBuilder, x: str) -> str:
    return b.add("Mul", b.add("Tanh", b.add("Softplus", x)), x)


def crossed(b: GraphBuilder, x: str) -> str:
    """A tree whose inner value is read at two depths."""
    inner = b.add("Abs", x)
    product = b.add("Mul", b.add("Sin", inner), x)
    return b.add("Sub", product, inner)


@pytest.mark.parametrize("shape_of", [silu, hard_swish, gelu_tanh, mish, crossed])
def test_known_activations_are_one_pointwise(shape_of) -> None:  # type: ignore[no-untyped-def]
    b = GraphBuilder()
    total = b.add("Add", b.input("x", (2, 9)), b.input("y", (2, 9)))
    graph = b.graph(shape_of(b, total))
    after = fuse_functions(graph)
    assert ops(after) == ["Add", "Pointwise"]
    assert after.nodes[1].inputs == (total,)
    assert after.nodes[1].origin == tuple(node.name for node in graph.nodes[1:])
    assert_equal(graph, after)
    assert fuse_functions(after) is after


def test_silu_is_written_as_people_write_it() -> None:
    b = GraphBuilder()
    after = fuse_pointwise(b.graph(silu(b, b.input("x", (3,)))))
    assert after.nodes[0].attrs["expr"] == "x x sigmoid mul"


def test_an_output_inside_a_tree_ends_it() -> None:
    b = GraphBuilder()
    inner = b.add("Sigmoid", b.input("x", (3,)))
    graph = b.graph(b.add("Tanh", inner), inner)
    after = fuse_pointwise(graph)
    assert ops(after) == ["Pointwise", "Pointwise"]
    assert after.outputs == graph.outputs
    assert_equal(graph, after)


def test_two_tensors_are_no_function_of_one() -> None:
    b = GraphBuilder()
    x, y = b.input("x", (1, 2, 3, 3)), b.input("y", (1, 2, 1, 1))
    gate = b.add("Sigmoid", y)
    graph = b.graph(b.add("Relu", b.add("Mul", x, gate)))
    after = fuse_pointwise(graph)
    assert ops(after) == ["Pointwise", "Mul", "Pointwise"]
    assert_equal(graph, after)


def test_constants_a_channel_and_broadcasting_are_no_function_of_one() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, 2, 3, 3))
    by_channel = b.add("Mul", x, b.const(np.array([[[2.0]], [[3.0]]])))
    wider = b.add("Add", b.input("y", (3,)), b.const(np.ones((1, 1))))
    graph = b.graph(by_channel, wider)
    assert fuse_pointwise(graph) is graph


def test_multiplying_and_adding_alone_waits_for_weights() -> None:
    b = GraphBuilder()
    x = b.input("x", (3,))
    graph = b.graph(b.add("Sub", b.add("Mul", x, scalar(b, 2)), scalar(b, 0.5)))
    assert fuse_functions(graph) is graph
    after = fuse_pointwise(graph)
    assert after.nodes[0].attrs["expr"] == "x 2.0 mul 0.5 sub"
    assert_equal(graph, after, atol=0)


def test_integers_are_no_function() -> None:
    b = GraphBuilder()
    graph = b.graph(b.add("Neg", b.input("x", (3,), "int64")))
    assert fuse_pointwise(graph) is graph


def test_clips_and_slopes_are_part_of_the_expression() -> None:
    b = GraphBuilder()
    x = b.input("x", (2, 40))
    clipped = b.add("Add", x, scalar(b, 0.5), clip=(-1.0, 1.0))
    graph = b.graph(b.add("PRelu", clipped, b.const(np.float32([0.25]))))
    after = fuse_pointwise(graph)
    assert ops(after) == ["Pointwise"]
    assert_equal(graph, after)


def test_expressions_that_double_stop_growing() -> None:
    b = GraphBuilder()
    value = b.input("x", (3,))
    for _ in range(12):
        value = silu(b, value)
    graph = b.graph(value)
    after = fuse_pointwise(graph)
    assert 1 < len(after.nodes) < 12
    assert all(len(str(node.attrs["expr"]).split()) <= WORDS_MAX for node in after.nodes)
    assert_equal(graph, after)
    assert fuse_pointwise(after) is after
