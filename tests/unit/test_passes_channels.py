"""Channels that are read in parts are made in parts: the same numbers, and nothing made twice."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.graph.model import Graph, Node
from bittrue.passes.channels import ALIKE, CARRIERS, PARTS_MAX, split_layers
from bittrue.passes.history import begin, record
from tests.graphs import GraphBuilder, assert_equal, normal, ops

WINDOW = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1)}
TRANSPOSED = {"strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1), "output_padding": (0, 0)}


def cut(b: GraphBuilder, x: str, axis: int, start: int, size: int, step: int = 1) -> str:
    """Add a Slice that cuts one axis."""
    shape = list(b.shape(x))
    starts, steps, sizes = [0] * len(shape), [1] * len(shape), shape
    starts[axis], steps[axis], sizes[axis] = start, step, size
    return b.add("Slice", x, starts=tuple(starts), steps=tuple(steps), sizes=tuple(sizes))


def head(b: GraphBuilder, channels: int = 6) -> str:
    x = b.input("x", (1, 3, 7, 4))
    return b.conv(x, normal(channels, 3, 3, 3), normal(channels), pads=(1,) * 4, name="head")


def rows(graph: Graph, op: str) -> list[int]:
    """How many output channels each layer of a kind has, in running order."""
    return [graph.values[node.outputs[0]].shape[1] for node in graph.nodes if node.op == op]


def layers(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op in ("Conv", "ConvTranspose", "Dense")]


def test_each_slice_of_a_convolution_becomes_a_convolution_and_unread_channels_vanish() -> None:
    b = GraphBuilder()
    whole = head(b)
    outputs = [cut(b, whole, 1, 4, 1), cut(b, whole, 1, 1, 2)]
    graph = b.graph(*outputs)
    after = split_layers(graph)
    assert ops(after) == ["Conv", "Conv"]
    assert sorted(rows(after, "Conv")) == [1, 2]
    for name in outputs:
        assert after.values[name] == graph.values[name]
    assert_equal(graph, after)


def test_the_history_says_split_of_the_layer_and_where_each_slice_went() -> None:
    b = GraphBuilder()
    whole = head(b)
    first, second = cut(b, whole, 1, 0, 2), cut(b, whole, 1, 2, 4)
    graph = b.graph(first, second)
    after = split_layers(graph)
    history = record(begin(graph), "split_layers", graph, after)
    assert history.fate("head") == "split"
    assert history.final["head"] == ("head/0", "head/1")
    assert history.final[first.removesuffix(":out")] == ("head/0",)
    assert history.final[second.removesuffix(":out")] == ("head/1",)


def test_steps_and_reversed_channels_become_an_order_of_weights() -> None:
    b = GraphBuilder()
    whole = head(b)
    graph = b.graph(cut(b, whole, 1, 0, 3, step=2), cut(b, whole, 1, 5, 3, step=-2))
    after = split_layers(graph)
    assert ops(after) == ["Conv", "Conv"]
    assert_equal(graph, after)


CARRIED: dict[str, dict[str, object]] = {
    "Resize": {"mode": "linear", "shape": (1, 6, 14, 8), "scales": (1.0, 1.0, 2.0, 2.0)},
    "MaxPool": WINDOW,
    "AveragePool": WINDOW,
    "GlobalMaxPool": {},
    "GlobalAveragePool": {},
    "Transpose": {"perm": (0, 2, 3, 1)},
    "ReduceMean": {"axes": (2,), "keepdims": False},
    "ReduceSum": {"axes": (0, 2), "keepdims": True},
    "ReduceMax": {"axes": (0, 3), "keepdims": False},
    "ReduceMin": {"axes": (3,), "keepdims": True},
    "ReduceProd": {"axes": (2, 3), "keepdims": True},
    "ReduceL2": {"axes": (0,), "keepdims": False},
    "Softmax": {"axis": 2},
    "LogSoftmax": {"axis": 3},
    "Slice": {"starts": (0, 0, 1, 3), "steps": (1, 1, 2, -1), "sizes": (1, 6, 2, 3)},
    "Pad": {"pads": (0, 0, 1, 0, 0, 0, 0, 2), "value": 1.5},
}
ENTANGLED: dict[str, dict[str, object]] = {
    "Resize": {"mode": "linear", "shape": (1, 12, 7, 4), "scales": (1.0, 2.0, 1.0, 1.0)},
    "ReduceSum": {"axes": (1,), "keepdims": True},
    "Softmax": {"axis": 1},
    "LogSoftmax": {"axis": 1},
    "Pad": {"pads": (0, 1, 0, 0, 0, 0, 0, 0)},
    "DepthToSpace": {"blocksize": 2},
    "Reshape": {"shape": (1, 42, 4)},
}


@pytest.mark.parametrize("op", sorted(CARRIERS))
def test_slices_move_up_through_what_treats_channels_apart(op: str) -> None:
    b = GraphBuilder()
    moved = b.add(op, b.add("Sigmoid", head(b)), **CARRIED[op])
    axis = b.shape(moved).index(6)
    graph = b.graph(cut(b, moved, axis, 0, 2), cut(b, moved, axis, 2, 4))
    after = split_layers(graph)
    assert sorted(ops(after)) == sorted(["Conv", "Sigmoid", op] * 2)
    assert_equal(graph, after)


@pytest.mark.parametrize("op", sorted(ENTANGLED))
def test_slices_stay_behind_what_mixes_channels(op: str) -> None:
    b = GraphBuilder()
    whole = head(b, 8) if op == "DepthToSpace" else head(b)
    mixed = b.add(op, whole, **ENTANGLED[op])
    axis = 1 if b.shape(mixed)[1] > 1 else 2
    graph = b.graph(cut(b, mixed, axis, 0, 1), cut(b, mixed, axis, 1, 1))
    assert split_layers(graph) is graph


@pytest.mark.parametrize("op", sorted(ALIKE - {"Pointwise", "Cast", "Not", "BatchNormalization"}))
def test_slices_move_up_through_every_function_of_one_value(op: str) -> None:
    b = GraphBuilder()
    value = b.add(op, b.add("Clip", head(b), min=0.25, max=2.0))
    graph = b.graph(cut(b, value, 1, 0, 2), cut(b, value, 1, 2, 4))
    after = split_layers(graph)
    assert rows(after, "Conv") == [2, 4]
    assert_equal(graph, after)


def test_constants_are_cut_with_the_channels_that_they_belong_to() -> None:
    b = GraphBuilder()
    value = b.add("Mul", head(b), b.const(normal(6, 1, 1)))
    value = b.add("Sub", b.const(normal(4)), value)
    value = b.add("PRelu", value, b.const(normal(1, 6, 1, 1)))
    value = b.add("BatchNormalization", value, *(b.const(np.abs(normal(6)) + 1) for _ in range(4)))
    graph = b.graph(cut(b, value, 1, 3, 3), cut(b, value, 1, 0, 3))
    after = split_layers(graph)
    assert rows(after, "Conv") == [3, 3]
    assert "Slice" not in ops(after)
    assert_equal(graph, after)


def test_both_ways_of_a_silu_and_both_layers_of_a_sum_are_split() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, 3, 5, 5))
    one, other = b.conv(x, normal(4, 3, 1, 1)), b.conv(x, normal(4, 3, 1, 1), normal(4))
    silu = b.add("Mul", one, b.add("Sigmoid", one))
    total = b.add("Add", silu, other)
    graph = b.graph(cut(b, total, 1, 0, 1), cut(b, total, 1, 1, 3))
    after = split_layers(graph)
    assert sorted(rows(after, "Conv")) == [1, 1, 3, 3]
    assert_equal(graph, after)


def test_a_part_of_each_anchor_behind_a_reshape_takes_its_channels_from_all_anchors() -> None:
    b = GraphBuilder()
    boxes = b.add("Reshape", head(b, 15), shape=(1, 3, 5, 7, 4))
    turned = b.add("Sigmoid", b.add("Transpose", boxes, perm=(0, 1, 3, 4, 2)))
    graph = b.graph(cut(b, turned, 4, 0, 2), cut(b, turned, 4, 2, 2), cut(b, turned, 4, 4, 1))
    after = split_layers(graph)
    assert sorted(rows(after, "Conv")) == [3, 6, 6]
    assert "Slice" not in ops(after)
    assert_equal(graph, after)


def test_transposed_convolutions_and_dense_layers_are_split_too() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, 3, 4, 4))
    wide = b.add("ConvTranspose", x, b.const(normal(3, 5, 2, 2)), b.const(normal(5)), **TRANSPOSED)
    dense = b.add("Dense", x, b.const(normal(6, 4)))
    parts = [cut(b, wide, 1, 0, 4), cut(b, wide, 1, 4, 1), cut(b, dense, 3, 0, 3)]
    graph = b.graph(*parts)
    after = split_layers(graph)
    assert [len(after.constants[node.inputs[1]]) for node in layers(after)] == [3, 3, 3]
    assert [after.constants[node.inputs[1]].shape[1] for node in layers(after)] == [4, 1, 4]
    assert_equal(graph, after)


def test_the_offset_of_an_input_belongs_to_every_part() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, 3, 5, 5))
    whole = b.conv(x, normal(3, 3, 3, 3), normal(3), pads=(1,) * 4, offset=normal(3))
    graph = b.graph(cut(b, whole, 1, 0, 1), cut(b, whole, 1, 1, 2))
    assert_equal(graph, split_layers(graph))


def overlapping(b: GraphBuilder) -> list[str]:
    whole = head(b)
    return [cut(b, whole, 1, 0, 3), cut(b, whole, 1, 2, 4)]


def read_whole(b: GraphBuilder) -> list[str]:
    whole = head(b)
    return [cut(b, whole, 1, 0, 3), b.add("Relu", whole)]


def read_whole_above(b: GraphBuilder) -> list[str]:
    whole = head(b)
    return [cut(b, b.add("Relu", whole), 1, 0, 3), b.add("Tanh", whole)]


def an_output(b: GraphBuilder) -> list[str]:
    whole = head(b)
    return [cut(b, whole, 1, 0, 3), cut(b, whole, 1, 3, 3), whole]


def other_axis(b: GraphBuilder) -> list[str]:
    return [cut(b, head(b), 2, 0, 3)]


def two_axes(b: GraphBuilder) -> list[str]:
    whole = head(b)
    return [cut(b, whole, 1, 0, 3), cut(b, whole, 2, 0, 3)]


def depthwise(b: GraphBuilder) -> list[str]:
    whole = b.conv(b.input("x", (1, 4, 3, 3)), normal(4, 1, 1, 1), group=4)
    return [cut(b, whole, 1, 0, 3), cut(b, whole, 1, 3, 1)]


def no_layer(b: GraphBuilder) -> list[str]:
    whole = b.add("Relu", b.input("x", (1, 4, 3, 3)))
    return [cut(b, whole, 1, 0, 3), cut(b, whole, 1, 3, 1)]


def cut_two_ways(b: GraphBuilder) -> list[str]:
    """A value and its transpose: channels of one are rows of the other."""
    whole = b.conv(b.input("x", (1, 2, 3, 3)), normal(3, 2, 1, 1))
    turned = b.add("Transpose", whole, perm=(0, 2, 1, 3))
    total = b.add("Add", turned, b.add("Relu", whole))
    return [cut(b, total, 1, 0, 1), cut(b, total, 1, 1, 2)]


def many(b: GraphBuilder) -> list[str]:
    whole = head(b, PARTS_MAX + 1)
    return [cut(b, whole, 1, at, 1) for at in range(PARTS_MAX + 1)]


@pytest.mark.parametrize(
    "made",
    [
        *(overlapping, read_whole, read_whole_above, an_output, other_axis),
        *(two_axes, depthwise, no_layer, cut_two_ways, many),
    ],
)
def test_a_layer_stays_whole_where_it_would_not_pay(made: object) -> None:
    assert callable(made)
    b = GraphBuilder()
    graph = b.graph(*made(b))
    assert split_layers(graph) is graph
