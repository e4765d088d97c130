"""Affine maps fold into weights; the values are compared with the unfolded network's."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.passes.affine import (
    along,
    fold_affine_back,
    fold_affine_forward,
    fold_batch_norm,
)
from tests.graphs import RNG, GraphBuilder, assert_equal, normal, ops


def batch_norm(b: GraphBuilder, x: str, scale: np.ndarray | None = None) -> str:
    channels = b.shape(x)[1]
    parts = (
        normal(channels) if scale is None else scale,
        normal(channels),
        normal(channels),
        RNG.uniform(0.5, 2, channels),
    )
    return b.add("BatchNormalization", x, *(b.const(part) for part in parts))


def test_batch_norm_goes_into_the_convolution_before_it() -> None:
    b = GraphBuilder()
    conv = b.conv(b.input("x", (1, 3, 6, 5)), normal(4, 3, 3, 3), pads=(1, 1, 1, 1))
    graph = b.graph(batch_norm(b, conv))
    after = fold_batch_norm(graph)
    assert ops(after) == ["Conv"]
    assert after.nodes[0].origin == tuple(node.name for node in graph.nodes)
    assert after.outputs == graph.outputs
    assert_equal(graph, after)


@pytest.mark.parametrize("group", [1, 2])
def test_batch_norm_goes_into_a_grouped_transposed_convolution(group: int) -> None:
    b = GraphBuilder()
    x = b.input("x", (2, 4, 3, 4))
    attrs = {"strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1), "output_padding": (0, 0)}
    conv = b.add("ConvTranspose", x, b.const(normal(4, 3, 2, 2)), group=group, **attrs)
    graph = b.graph(batch_norm(b, conv))
    after = fold_batch_norm(graph)
    assert ops(after) == ["ConvTranspose"]
    assert_equal(graph, after)


def test_batch_norm_before_a_padded_convolution_is_right_at_the_border() -> None:
    b = GraphBuilder()
    norm = batch_norm(b, b.input("x", (1, 3, 5, 5)))
    graph = b.graph(b.conv(norm, normal(2, 3, 3, 3), normal(2), pads=(1, 0, 2, 1)))
    after = fold_batch_norm(graph)
    assert ops(after) == ["Conv"]
    assert len(after.nodes[0].inputs) == 4
    assert_equal(graph, after)


def test_batch_norm_before_an_unpadded_convolution_needs_no_offset() -> None:
    b = GraphBuilder()
    norm = batch_norm(b, b.input("x", (1, 4, 5, 5)))
    graph = b.graph(b.conv(norm, normal(6, 2, 3, 3), group=2))
    after = fold_batch_norm(graph)
    assert ops(after) == ["Conv"]
    assert len(after.nodes[0].inputs) == 3
    assert_equal(graph, after)


def test_a_zero_factor_before_a_padded_convolution_stays_outside() -> None:
    b = GraphBuilder()
    norm = batch_norm(b, b.input("x", (1, 2, 4, 4)), np.array([1.5, 0.0], np.float32))
    graph = b.graph(b.conv(norm, normal(2, 2, 3, 3), pads=(1, 1, 1, 1)))
    after = fold_batch_norm(graph)
    assert ops(after) == ["Mul", "Add", "Conv"]
    assert_equal(graph, after)


def test_batch_norm_of_a_value_that_others_read_becomes_mul_and_add() -> None:
    b = GraphBuilder()
    conv = b.conv(b.input("x", (1, 3, 4, 4)), normal(2, 3, 1, 1))
    graph = b.graph(batch_norm(b, conv), b.add("Relu", conv))
    after = fold_batch_norm(graph)
    assert sorted(ops(after)) == ["Add", "Conv", "Mul", "Relu"]
    assert_equal(graph, after)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (1, 4, 1, 1)])
@pytest.mark.parametrize("left", [False, True])
def test_constants_behind_a_convolution_go_into_it(
    op: str, shape: tuple[int, ...], left: bool
) -> None:
    b = GraphBuilder()
    conv = b.conv(b.input("x", (1, 3, 4, 4)), normal(4, 3, 2, 2), normal(4), pads=(1, 1, 0, 0))
    constant = b.const(RNG.uniform(0.5, 2, shape))
    graph = b.graph(b.add(op, *((constant, conv) if left else (conv, constant))))
    after = fold_affine_back(graph)
    assert ops(after) == (["Conv", "Div"] if op == "Div" and left else ["Conv"])
    assert_equal(graph, after)


@pytest.mark.parametrize("shape", [(1, 1, 4, 1), (1, 1, 1, 4), (1, 4, 4, 1)])
def test_constants_that_change_along_rows_or_columns_stay(shape: tuple[int, ...]) -> None:
    b = GraphBuilder()
    conv = b.conv(b.input("x", (1, 3, 4, 4)), normal(4, 3, 1, 1))
    graph = b.graph(b.add("Mul", conv, b.const(normal(*shape))))
    assert fold_affine_back(graph) is graph


def test_a_clip_of_the_map_moves_to_the_convolution_but_not_past_one() -> None:
    b = GraphBuilder()
    conv = b.conv(b.input("x", (1, 3, 4, 4)), normal(4, 3, 1, 1))
    half = b.add("Mul", conv, b.const(np.float32(0.5)), clip=(0.0, 1.0))
    graph = b.graph(b.add("Add", half, b.const(np.float32(1))))
    after = fold_affine_back(graph)
    assert ops(after) == ["Conv", "Add"]
    assert after.nodes[0].attrs["clip"] == (0.0, 1.0)
    assert_equal(graph, after)


def test_weights_that_two_convolutions_share_stay_for_the_other() -> None:
    b = GraphBuilder()
    x, weights = b.input("x", (1, 3, 4, 4)), b.const(normal(4, 3, 1, 1))
    attrs = {"strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1)}
    first, second = b.add("Conv", x, weights, **attrs), b.add("Conv", x, weights, **attrs)
    graph = b.graph(b.add("Mul", first, b.const(np.float32(3))), second)
    after = fold_affine_back(graph)
    assert ops(after) == ["Conv", "Conv"]
    assert_equal(graph, after)


def test_an_offset_that_is_there_already_stays_right_behind_and_before_maps() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, 3, 4, 4))
    moved = b.add("Add", b.add("Mul", x, b.const(normal(3, 1, 1))), b.const(normal(3, 1, 1)))
    conv = b.conv(moved, normal(2, 3, 3, 3), pads=(1, 1, 1, 1), offset=normal(3))
    graph = b.graph(b.add("Mul", conv, b.const(normal(2, 1, 1))))
    behind = fold_affine_back(graph)
    assert ops(behind) == ["Mul", "Add", "Conv"]
    assert_equal(graph, behind)
    after = fold_affine_forward(behind)
    assert ops(after) == ["Conv"]
    assert_equal(graph, after)


def test_a_foreign_constant_with_the_name_of_new_weights_is_left_alone() -> None:
    b = GraphBuilder()
    x, weights = b.input("x", (1, 3, 4, 4)), b.const(normal(4, 3, 1, 1), "first/w")
    attrs = {"strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1)}
    first = b.add("Conv", x, weights, name="first", **attrs)
    second = b.add("Conv", x, weights, name="second", **attrs)
    graph = b.graph(b.add("Mul", first, b.const(np.float32(3))), second)
    after = fold_affine_back(graph)
    assert ops(after) == ["Conv", "Conv"]
    assert_equal(graph, after)


def test_a_map_before_a_dense_layer_goes_into_it() -> None:
    b = GraphBuilder()
    x = b.input("x", (2, 3, 5))
    moved = b.add("Add", b.add("Mul", x, b.const(normal(5))), b.const(normal(1, 1, 5)))
    graph = b.graph(b.add("Dense", moved, b.const(normal(4, 5))))
    after = fold_affine_forward(graph)
    assert ops(after) == ["Dense"]
    assert_equal(graph, after)


def test_a_map_goes_through_a_transpose_into_the_convolution_behind() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, 5, 4, 3))
    moved = b.add("Sub", x, b.const(np.array([104.0, 117.0, 123.0])))
    turned = b.add("Transpose", moved, perm=(0, 3, 1, 2))
    graph = b.graph(b.conv(turned, normal(2, 3, 3, 3), pads=(1, 1, 1, 1)))
    after = fold_affine_forward(graph)
    assert ops(after) == ["Transpose", "Conv"]
    assert after.values[after.nodes[0].outputs[0]].origin == ()
    assert_equal(graph, after, atol=1e-3)


POOL = {"kernel_shape": (2, 2), "strides": (2, 2), "dilations": (1, 1)}


@pytest.mark.parametrize(
    ("op", "positive", "attrs", "folds"),
    [
        ("MaxPool", True, {"pads": (1, 1, 0, 0)}, True),
        ("MaxPool", False, {"pads": (0,) * 4}, False),
        ("AveragePool", False, {"pads": (1, 1, 0, 0), "count_include_pad": False}, True),
        ("AveragePool", False, {"pads": (0,) * 4, "count_include_pad": True}, True),
        ("AveragePool", True, {"pads": (1, 1, 0, 0), "count_include_pad": True}, False),
    ],
)
def test_a_map_goes_through_a_pool_only_where_that_changes_nothing(
    op: str, positive: bool, attrs: dict[str, object], folds: bool
) -> None:
    b = GraphBuilder()
    scale = np.array([0.5, 1.5 if positive else -1.5])
    norm = batch_norm(b, b.input("x", (1, 2, 6, 6)), scale)
    pooled = b.add(op, norm, **POOL, **attrs)
    graph = b.graph(b.conv(pooled, normal(2, 2, 3, 3), pads=(1, 1, 1, 1)))
    after = fold_batch_norm(graph)
    assert ops(after) == ([op, "Conv"] if folds else ["Mul", "Add", op, "Conv"])
    assert_equal(graph, after)
    if folds:
        assert after.values[after.nodes[0].outputs[0]].origin == ()


@pytest.mark.parametrize("factors", [np.float32(2.0), np.arange(1.0, 9.0).reshape(8, 1)])
def test_a_map_does_not_go_through_a_pool_that_slides_along_the_weights_axis(
    factors: np.ndarray,
) -> None:
    b = GraphBuilder()
    scaled = b.add("Mul", b.input("x", (1, 3, 8, 8)), b.const(factors))
    window = {"kernel_shape": (2, 1), "strides": (1, 1), "dilations": (1, 1)}
    pooled = b.add("MaxPool", scaled, **window, pads=(0, 0, 1, 0))
    turned = b.add("Transpose", pooled, perm=(0, 2, 1, 3))
    graph = b.graph(b.conv(turned, normal(5, 8, 1, 1)))
    assert fold_affine_forward(graph) is graph


def test_factors_that_overflow_float32_are_not_folded() -> None:
    b = GraphBuilder()
    conv = b.conv(b.input("x", (1, 1, 2, 2)), np.full((1, 1, 1, 1), 1e30, np.float32))
    graph = b.graph(b.add("Mul", conv, b.const(np.float32(1e30))))
    assert fold_affine_back(graph) is graph


def test_along_tells_channels_from_rows() -> None:
    array = np.arange(3.0).reshape(3, 1, 1)
    found = along(array, 4, 1, 3)
    assert found is not None
    assert found.tolist() == [0.0, 1.0, 2.0]
    assert along(array, 4, 2, 3) is None
    assert along(np.ones((1, 1, 1, 1, 1)), 4, 1, 3) is None
