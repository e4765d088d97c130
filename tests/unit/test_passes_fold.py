"""Constants, pads, reductions and products with constants become simpler nodes."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.passes.fold import fold_constants, fold_pads, pool_reductions, use_dense
from tests.graphs import GraphBuilder, assert_equal, normal, ops


def test_nodes_of_constants_become_constants_that_keep_their_origin() -> None:
    b = GraphBuilder()
    x = b.input("x", (2, 3))
    inner = b.add("Transpose", b.add("Neg", b.const(normal(3, 2))), perm=(1, 0))
    graph = b.graph(b.add("Add", x, inner))
    after = fold_constants(graph)
    assert ops(after) == ["Add"]
    assert after.values[inner].origin == (inner,)
    assert_equal(graph, after, atol=0)


def test_a_constant_output_keeps_its_node() -> None:
    b = GraphBuilder()
    graph = b.graph(b.add("Neg", b.const(normal(3))), b.add("Relu", b.input("x", (1,))))
    assert fold_constants(graph) is graph


def pad(b: GraphBuilder, x: str, value: float = 0.0, mode: str = "constant") -> str:
    return b.add("Pad", x, pads=(0, 0, 1, 0, 0, 0, 0, 2), mode=mode, value=value)


@pytest.mark.parametrize(
    ("value", "mode", "folds"),
    [(0.0, "constant", True), (1.0, "constant", False), (0.0, "edge", False)],
)
def test_only_zeros_go_into_a_convolution(value: float, mode: str, folds: bool) -> None:
    b = GraphBuilder()
    padded = pad(b, b.input("x", (1, 2, 4, 4)), value, mode)
    graph = b.graph(b.conv(padded, normal(3, 2, 3, 3), pads=(1, 1, 1, 1)))
    after = fold_pads(graph)
    assert ops(after) == (["Conv"] if folds else ["Pad", "Conv"])
    if folds:
        assert after.nodes[0].attrs["pads"] == (2, 1, 1, 3)
    assert_equal(graph, after, atol=0)


def test_zeros_stay_before_a_convolution_that_subtracts_an_offset() -> None:
    b = GraphBuilder()
    padded = pad(b, b.input("x", (1, 2, 4, 4)))
    constants = (b.const(normal(3, 2, 2, 2)), b.const(normal(3)), b.const(normal(2)))
    attrs = {"strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1)}
    graph = b.graph(b.add("Conv", padded, *constants, **attrs))
    assert fold_pads(graph) is graph


@pytest.mark.parametrize("front", ["Relu", "Sigmoid", "Tanh"])
def test_zeros_go_into_a_max_pool_only_if_nothing_is_negative(front: str) -> None:
    b = GraphBuilder()
    padded = pad(b, b.add(front, b.input("x", (1, 2, 5, 5))))
    kernel = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1)}
    graph = b.graph(b.add("MaxPool", padded, **kernel))
    after = fold_pads(graph)
    assert ops(after) == ([front, "Pad", "MaxPool"] if front == "Tanh" else [front, "MaxPool"])
    assert_equal(graph, after, atol=0)


@pytest.mark.parametrize(
    ("value", "folds"), [(-np.inf, True), (float(np.finfo(np.float32).min), True), (-1e30, False)]
)
def test_only_what_no_number_is_below_goes_into_a_max_pool(value: float, folds: bool) -> None:
    b = GraphBuilder()
    padded = pad(b, b.input("x", (1, 2, 5, 5)), value)
    kernel = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1)}
    graph = b.graph(b.add("MaxPool", padded, **kernel))
    after = fold_pads(graph)
    assert ops(after) == (["MaxPool"] if folds else ["Pad", "MaxPool"])
    assert_equal(graph, after, atol=0)


def test_a_window_that_would_be_all_padding_keeps_the_pad() -> None:
    b = GraphBuilder()
    padded = pad(b, b.add("Relu", b.input("x", (1, 2, 5, 5))))
    kernel = {"kernel_shape": (1, 2), "strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1)}
    graph = b.graph(b.add("MaxPool", padded, **kernel))
    assert fold_pads(graph) is graph


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1)])
@pytest.mark.parametrize("counted", [False, True])
def test_zeros_go_into_an_average_pool_that_counts_them(
    pads: tuple[int, ...], counted: bool
) -> None:
    b = GraphBuilder()
    padded = pad(b, b.input("x", (1, 2, 5, 5)))
    kernel = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": pads, "dilations": (1, 1)}
    graph = b.graph(b.add("AveragePool", padded, **kernel, count_include_pad=counted))
    after = fold_pads(graph)
    assert len(after.nodes) == (2 if any(pads) and not counted else 1)
    assert_equal(graph, after)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("op", "pool"), [("ReduceMean", "AveragePool"), ("ReduceMax", "MaxPool")])
def test_reductions_over_the_picture_are_pools(op: str, pool: str, keepdims: bool) -> None:
    b = GraphBuilder()
    graph = b.graph(b.add(op, b.input("x", (2, 3, 4, 5)), axes=(2, 3), keepdims=keepdims))
    after = pool_reductions(graph)
    assert ops(after) == ([pool] if keepdims else [pool, "Reshape"])
    assert_equal(graph, after)


def test_reductions_over_other_axes_stay() -> None:
    b = GraphBuilder()
    x, y = b.input("x", (2, 3, 4, 5)), b.input("y", (1, 4, 6))
    graph = b.graph(b.add("ReduceMean", x, axes=(1, 2)), b.add("ReduceMean", y, axes=(2,)))
    assert pool_reductions(graph) is graph


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", [None, (), (1,), (4,), (1, 4), (2, 1), (2, 4)])
def test_gemm_with_constant_weights_is_dense(turned: bool, shape: tuple[int, ...] | None) -> None:
    b = GraphBuilder()
    x = b.input("x", (3, 2) if turned else (2, 3))
    weights = normal(4, 3) if turned else normal(3, 4)
    inputs = [x, b.const(weights)] + ([] if shape is None else [b.const(normal(*shape))])
    rows = shape is not None and shape[:1] == (2,)
    beta = 1.0 if rows else 0.25
    graph = b.graph(b.add("Gemm", *inputs, alpha=1.5, beta=beta, transA=turned, transB=turned))
    after = use_dense(graph)
    wanted = ["Transpose"] * turned + ["Dense"] + ["Add"] * rows
    assert ops(after) == wanted
    assert_equal(graph, after)


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4), (2, 3, 4)])
def test_matmul_with_one_constant_matrix_is_dense(shape: tuple[int, ...]) -> None:
    b = GraphBuilder()
    graph = b.graph(b.add("MatMul", b.input("x", (2, 5, 3)), b.const(normal(*shape))))
    after = use_dense(graph)
    assert ops(after) == (["MatMul"] if shape[0] == 2 else ["Dense"])
    assert_equal(graph, after)
