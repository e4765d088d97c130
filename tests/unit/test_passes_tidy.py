"""What does nothing goes; names of inputs and outputs stay; origins follow the values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bittrue.graph.model import Graph
from bittrue.passes.tidy import NO_OPS, remove_unused, share_duplicates, tidy_moves
from tests.graphs import GraphBuilder, assert_equal, ops

SHAPE = (1, 4, 6, 6)
POOL = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1)}
WITHOUT_EFFECT: dict[str, dict[str, object]] = {
    "Reshape": {"shape": SHAPE},
    "Cast": {"to": "float32"},
    "Expand": {"shape": (4, 1, 1)},
    "Tile": {"repeats": (1,) * 4},
    "Split": {"axis": 1, "split": (4,)},
    "Resize": {"mode": "cubic", "shape": SHAPE, "scales": (1.0,) * 4},
    "Transpose": {"perm": (0, 1, 2, 3)},
    "Slice": {"starts": (0,) * 4, "steps": (1,) * 4, "sizes": SHAPE},
    "Pad": {"pads": (0,) * 8},
    "MaxPool": POOL,
    "AveragePool": POOL,
    "Concat": {"axis": 2},
    "Clip": {"min": -math.inf, "max": math.inf},
    "DepthToSpace": {"blocksize": 1},
    "SpaceToDepth": {"blocksize": 1},
    "Add": {},
    "Sub": {},
    "Mul": {},
    "Div": {},
    "Pow": {},
}
WITH_EFFECT: dict[str, dict[str, object]] = {
    "Transpose": {"perm": (0, 1, 3, 2)},
    "Slice": {"starts": (0, 0, 5, 0), "steps": (1, 1, -1, 1), "sizes": SHAPE},
    "Resize": {"mode": "linear", "shape": SHAPE, "scales": (1.0, 1.0, 1.1, 1.0)},
    "Pad": {"pads": (0, 0, 1, 0, 0, 0, -1, 0)},
    "MaxPool": POOL | {"kernel_shape": (3, 3), "pads": (1,) * 4},
    "Clip": {"min": 0.0, "max": math.inf},
}


def around(op: str, attrs: dict[str, object]) -> Graph:
    """Relu, then the operator, then Tanh."""
    b = GraphBuilder()
    inner = b.add("Relu", b.input("x", SHAPE))
    neutral = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0, "Pow": 1.0}
    more = [b.const(np.float32([neutral[op]]))] if op in neutral else []
    return b.graph(b.add("Tanh", b.add(op, inner, *more, name="middle", **attrs)))


@pytest.mark.parametrize("op", sorted(NO_OPS))
def test_an_operator_without_effect_goes_and_its_origin_stays(op: str) -> None:
    graph = around(op, WITHOUT_EFFECT[op])
    after = tidy_moves(graph)
    assert ops(after) == ["Relu", "Tanh"]
    assert after.values["Relu_0:out"].origin == ("Relu_0:out", "middle:out")
    assert_equal(graph, after, atol=0)


@pytest.mark.parametrize("op", sorted(WITH_EFFECT))
def test_an_operator_that_only_keeps_the_shape_stays(op: str) -> None:
    graph = around(op, WITH_EFFECT[op])
    assert tidy_moves(graph) is graph


def test_a_clip_on_a_neutral_addition_stays() -> None:
    b = GraphBuilder()
    x = b.input("x", (3,))
    graph = b.graph(b.add("Add", x, b.const(np.float32(0)), clip=(0.0, 1.0)))
    assert tidy_moves(graph) is graph


def test_an_output_that_equals_an_inner_value_keeps_its_name() -> None:
    b = GraphBuilder()
    inner = b.add("Relu", b.input("x", (2, 3)))
    other = b.add("Tanh", inner)
    graph = b.graph(b.add("Reshape", inner, shape=(2, 3), name="last"), other)
    after = tidy_moves(graph)
    assert ops(after) == ["Relu", "Tanh"]
    assert after.outputs == ("last:out", other)
    assert after.values["last:out"].origin == ("last:out", inner)
    assert_equal(graph, after, atol=0)


def test_between_an_input_and_an_output_both_names_stay() -> None:
    b = GraphBuilder()
    x = b.input("x", (2, 3))
    graph = b.graph(b.add("Reshape", x, shape=(2, 3)))
    assert tidy_moves(graph) is graph


def test_transposes_that_undo_each_other_go() -> None:
    b = GraphBuilder()
    x = b.add("Relu", b.input("x", (1, 2, 3, 4)))
    there = b.add("Transpose", x, perm=(0, 2, 3, 1))
    back = b.add("Transpose", there, perm=(0, 3, 1, 2))
    graph = b.graph(b.add("Tanh", back), b.add("Neg", there))
    after = tidy_moves(graph)
    assert ops(after) == ["Relu", "Transpose", "Tanh", "Neg"]
    assert_equal(graph, after, atol=0)


def test_moves_of_one_kind_become_one() -> None:
    b = GraphBuilder()
    x = b.input("x", (2, 3, 4))
    turned = b.add("Transpose", b.add("Transpose", x, perm=(2, 0, 1)), perm=(0, 2, 1))
    shaped = b.add("Reshape", b.add("Reshape", x, shape=(6, 4)), shape=(3, 8))
    graph = b.graph(turned, shaped)
    after = tidy_moves(graph)
    assert ops(after) == ["Transpose", "Reshape"]
    assert after.nodes[0].origin == ("Transpose_0", "Transpose_1")
    assert_equal(graph, after, atol=0)


def test_slices_of_a_slice_read_its_input() -> None:
    b = GraphBuilder()
    x = b.input("x", (9, 8))
    rows = b.add("Slice", x, starts=(1, 0), steps=(2, 1), sizes=(4, 8))
    even = b.add("Slice", rows, starts=(3, 0), steps=(-1, 2), sizes=(3, 4))
    odd = b.add("Slice", rows, starts=(0, 1), steps=(1, 2), sizes=(4, 4))
    graph = b.graph(even, odd)
    after = tidy_moves(graph)
    assert ops(after) == ["Slice", "Slice"]
    assert_equal(graph, after, atol=0)


def test_a_slice_that_others_read_is_not_done_twice() -> None:
    b = GraphBuilder()
    rows = b.add("Slice", b.input("x", (9, 8)), starts=(1, 0), steps=(2, 1), sizes=(4, 8))
    even = b.add("Slice", rows, starts=(0, 0), steps=(1, 2), sizes=(4, 4))
    graph = b.graph(even, b.add("Tanh", rows))
    assert tidy_moves(graph) is graph


def test_what_no_output_needs_goes() -> None:
    b = GraphBuilder()
    x, unused = b.input("x", (2,)), b.input("unused", (2,))
    b.add("Add", b.add("Relu", x), b.const(np.float32([1, 2])))
    graph = b.graph(b.add("Tanh", x))
    after = remove_unused(graph)
    assert ops(after) == ["Tanh"]
    assert after.inputs == (x, unused)
    assert not after.constants
    assert remove_unused(after) is after


def test_the_same_work_is_done_once() -> None:
    b = GraphBuilder()
    x = b.input("x", (2, 2))
    chains = []
    for _ in range(2):
        moved = b.add("Add", x, b.const(np.float32([3, 4])))
        chains.append(b.add("Clip", moved, min=0.0, max=6.0))
    third = b.add("Clip", b.add("Add", x, b.const(np.float32([3, 5]))), min=0.0, max=6.0)
    graph = b.graph(b.add("Mul", b.add("Mul", *chains), third))
    after = share_duplicates(graph)
    assert ops(after) == ["Add", "Clip", "Add", "Clip", "Mul", "Mul"]
    assert after.nodes[0].origin == ("Add_0", "Add_2")
    assert after.values[chains[0]].origin == tuple(chains)
    assert_equal(graph, after, atol=0)


def test_outputs_that_are_the_same_keep_both_names() -> None:
    b = GraphBuilder()
    x = b.input("x", (2, 2))
    graph = b.graph(b.add("Relu", x), b.add("Relu", x))
    assert share_duplicates(graph) is graph
