"""Weights as codes: scales, rounding, and the guarantee on the accumulator."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.arith import QParams
from bittrue.graph.model import Graph, Node
from bittrue.quant.weights import (
    ROUNDINGS,
    dequantize_weights,
    kernel_sum,
    nearest,
    quantize_weights,
)
from tests.unit.quant_graphs import Builder, weights

ONE = QParams(np.ones(1, np.float32), 0)


def conv_graph(
    w: np.ndarray, b: np.ndarray | None = None, *, channels: int, group: int = 1
) -> tuple[Graph, Node]:
    build = Builder({"x": (1, channels, 8, 8)})
    build.conv("y", "x", w, b, group=group)
    graph = build.finish(["y"])
    return graph, graph.nodes[0]


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_no_weight_is_off_by_a_step_or_more_and_the_largest_is_127(rounding: str) -> None:
    w = weights(6, 4, 3, 3)
    graph, node = conv_graph(w, channels=4)
    got = quantize_weights(graph, node, ONE, ROUNDINGS[rounding])
    steps = w / got.scale.reshape(-1, 1, 1, 1)
    limit = 0.5 + 1e-5 if rounding == "nearest" else 1 + 1e-5
    assert np.abs(got.codes - steps).max() <= limit
    assert np.abs(got.codes.astype(int)).max(axis=(1, 2, 3)).min() >= 126
    assert got.codes.min() >= -127


def test_kernel_sum_rounding_cancels_errors_in_each_output_and_nearly_in_each_kernel() -> None:
    w = weights(16, 8, 3, 3)
    graph, node = conv_graph(w, channels=8)
    kept = quantize_weights(graph, node, ONE, kernel_sum)
    plain = quantize_weights(graph, node, ONE, nearest)

    def error(codes: np.ndarray) -> np.ndarray:
        return np.asarray(codes - w / kept.scale.reshape(-1, 1, 1, 1))

    assert np.abs(error(kept.codes).sum(axis=(1, 2, 3))).max() <= 0.5 + 1e-3
    assert np.abs(error(kept.codes).sum(axis=(2, 3))).max() <= 1.0 + 1e-3
    assert np.abs(error(plain.codes).sum(axis=(1, 2, 3))).max() > 1.5
    assert np.abs(error(plain.codes).sum(axis=(2, 3))).max() > 1.0


def test_a_depthwise_input_with_a_scale_a_channel_folds_into_the_weights() -> None:
    w = weights(6, 1, 3, 3)  # two outputs for each of three channels
    scale = np.array([0.01, 0.1, 1.0], np.float32)
    graph, node = conv_graph(w, channels=3, group=3)
    got = quantize_weights(graph, node, QParams(scale, 7), nearest)
    folded = w * np.repeat(scale, 2).reshape(-1, 1, 1, 1)
    assert np.allclose(got.scale, np.abs(folded).max(axis=(1, 2, 3)) / 127)
    assert got.input_scale is not None
    assert np.array_equal(got.input_scale, scale)
    error = np.abs(dequantize_weights(node, got) - w).max(axis=(1, 2, 3))
    assert np.all(error <= np.abs(w).max(axis=(1, 2, 3)) / 127 * 0.501)


@pytest.mark.parametrize(("group", "inputs"), [(1, 6), (2, 3), (3, 2)])
def test_each_kernel_takes_the_scale_of_the_channel_that_it_reads(group: int, inputs: int) -> None:
    w = weights(6, inputs, 3, 3)
    scale = np.array([0.01, 0.02, 0.05, 0.1, 0.5, 1.0], np.float32)
    graph, node = conv_graph(w, channels=6, group=group)
    got = quantize_weights(graph, node, QParams(scale, 7), nearest)
    folded = w.astype(np.float64)
    for output, place in np.ndindex(6, inputs):
        folded[output, place] *= scale[output // (6 // group) * inputs + place]
    steps = np.abs(folded).max(axis=(1, 2, 3)) / 127
    assert np.allclose(got.scale, steps)
    error = np.abs(got.codes * got.scale.reshape(-1, 1, 1, 1) - folded)
    assert np.all(error.max(axis=(1, 2, 3)) <= steps * 0.501)
    real = dequantize_weights(node, got)
    unfolded = got.codes * got.scale.reshape(-1, 1, 1, 1).astype(np.float64) * w / folded
    np.testing.assert_allclose(real, unfolded, rtol=1e-5)


@pytest.mark.parametrize("group", [1, 2])
def test_a_transposed_convolution_has_its_scales_along_its_output_channels(group: int) -> None:
    w = weights(4, 3, 2, 2)
    w[:, 1] *= 100  # the second output channel of each group is large
    build = Builder({"x": (1, 4, 5, 5)})
    build.add(
        "ConvTranspose",
        "y",
        "x",
        w,
        strides=(2, 2),
        pads=(0, 0, 0, 0),
        output_padding=(0, 0),
        dilations=(1, 1),
        group=group,
    )
    graph = build.finish(["y"])
    node = graph.nodes[0]
    got = quantize_weights(graph, node, ONE, nearest)
    assert got.codes.shape == w.shape
    assert got.scale.shape == (3 * group,)
    for o in range(3 * group):
        inputs = slice((o // 3) * (4 // group), (o // 3 + 1) * (4 // group))
        assert np.isclose(got.scale[o], np.abs(w[inputs, o % 3]).max() / 127)
    assert np.allclose(dequantize_weights(node, got)[:, 1], w[:, 1], atol=got.scale.max() * 0.51)


def test_a_dead_channel_keeps_its_bias_below_two_to_the_thirty() -> None:
    w = weights(3, 2, 1, 1)
    w[1] = 1e-20
    w[2] = 0
    b = np.array([0.1, 5.0, 5.0], np.float32)
    graph, node = conv_graph(w, b, channels=2)
    got = quantize_weights(graph, node, QParams(np.array([0.02], np.float32), 128), kernel_sum)
    assert np.all(np.abs(b / (0.02 * got.scale.astype(np.float64))) < 2.0**30)
    assert not got.codes[1].any()
    assert not got.codes[2].any()
    assert np.isclose(got.scale[0], np.abs(w[0]).max() / 127)


def test_the_scale_is_raised_until_the_longest_sum_fits_in_32_bits() -> None:
    # 40,000 inputs of 127 steps: 255 * 127 * 40000 = 1.3e9 alone, twice with zero point 255.
    w = np.ones((2, 40_000), np.float32)
    build = Builder({"x": (1, 40_000)})
    build.add("Dense", "y", "x", w, np.array([0.0, 300.0], np.float32))
    graph = build.finish(["y"])
    got = quantize_weights(
        graph, graph.nodes[0], QParams(np.array([1e-5], np.float32), 255), kernel_sum
    )
    total = np.abs(got.codes.astype(np.int64)).sum(axis=1)
    bias = np.array([0.0, 300.0]) / (1e-5 * got.scale.astype(np.float64))
    assert np.all(255 * total + np.abs(bias - 255 * got.codes.astype(np.int64).sum(1)) < 2**31)
    assert got.scale[0] > 1 / 127


def test_all_zero_weights_have_a_usable_scale() -> None:
    graph, node = conv_graph(np.zeros((2, 2, 1, 1), np.float32), channels=2)
    got = quantize_weights(graph, node, ONE, kernel_sum)
    assert np.all(got.scale > 0)
    assert not got.codes.any()
