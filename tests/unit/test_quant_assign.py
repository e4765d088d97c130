"""Which values have one scale a channel."""

from __future__ import annotations

import numpy as np

from bittrue.arith import QParams
from bittrue.compiler.lower import compile_graph
from bittrue.engines.simulate import codes_of
from tests.unit.quant_graphs import (
    Builder,
    builder,
    depthwise_graph,
    quantized,
    weights,
)


def test_the_input_of_a_depthwise_convolution_has_a_scale_a_channel() -> None:
    result = quantized(depthwise_graph())
    params = result.activations["a"]
    assert params.per_channel
    assert params.axis == 1
    assert params.scale[3] > 5 * params.scale[2] > 5 * params.scale[0]
    assert result.weights["n_d"].input_scale is not None
    assert np.array_equal(result.weights["n_d"].input_scale, params.scale)
    assert np.array_equal(
        np.asarray(result.weights["n_y"].input_scale), result.activations["d"].scale
    )


def test_a_transposed_convolution_has_one_scale_since_its_results_interleave() -> None:
    b = Builder({"x": (1, 3, 4, 4)})
    spatial = {"strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1)}
    up = {**spatial, "output_padding": (0, 0), "group": 1}
    b.add("ConvTranspose", "a", "x", weights(3, 4, 2, 2), **up)
    b.conv("y", "a", weights(4, 1, 3, 3), group=4)
    result = quantized(b.finish(["y"]))
    assert not result.activations["a"].per_channel
    compile_graph(result)


def test_a_table_before_a_depthwise_convolution_has_scales_on_both_sides() -> None:
    result = quantized(depthwise_graph(table=True))
    assert result.activations["a"].per_channel
    assert result.activations["s"].per_channel


def test_a_full_convolution_beside_a_depthwise_one_has_the_same_scales_folded_in() -> None:
    result = quantized(depthwise_graph(extra_reader=True))
    scale = result.activations["a"].scale
    assert scale.size == 4
    for name in ("n_d", "n_z"):
        assert np.array_equal(np.asarray(result.weights[name].input_scale), scale)


def test_another_reader_forbids_scales_a_channel() -> None:
    build = builder()
    build.conv("a", "x", weights(4, 4, 1, 1))
    build.conv("d", "a", weights(4, 1, 3, 3), group=4)
    build.add("Add", "y", "a", "d", clip=(-np.inf, np.inf))
    result = quantized(build.finish(["y"]))
    assert not result.activations["a"].per_channel
    assert result.weights["n_d"].input_scale is None


def test_a_last_convolution_emits_float() -> None:
    result = quantized(depthwise_graph())
    assert result.float_values == {"y"}


def test_per_channel_codes_come_back_by_channel() -> None:
    params = QParams(np.array([0.1, 1.0], np.float32), 3)
    x = np.array([[[[0.5]], [[0.5]]]], np.float32)
    assert codes_of(params, x).reshape(-1).tolist() == [8, 3]
