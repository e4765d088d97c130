"""Which values share one scale, and which range it spans."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.engines.simulate import codes_of
from bittrue.quant.model import QuantizedGraph
from tests.unit.quant_graphs import (
    Builder,
    builder,
    quantized,
    scale_of,
    weights,
)


def test_bytes_that_only_move_keep_their_scale() -> None:
    build = builder()
    build.conv("a", "x", weights(8, 4, 3, 3))
    build.add(
        "MaxPool",
        "b",
        "a",
        kernel_shape=(2, 2),
        strides=(2, 2),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        ceil_mode=False,
    )
    build.add("Reshape", "c", "b", shape=(1, 8, 16, 1))
    build.add("Transpose", "d", "c", perm=(0, 1, 3, 2))
    build.conv("y", "d", weights(2, 8, 1, 1))
    result = quantized(build.finish(["y"]))
    assert len({id(result.activations[name]) for name in "abcd"}) == 1
    assert result.activations["x"] is not result.activations["a"]


def scores_behind_a_resize(*, read_twice: bool = False, answer: bool = False) -> QuantizedGraph:
    """Scores of -60 to 60 that are enlarged, and then read by a sigmoid on codes."""
    build = builder()
    build.conv("a", "x", 100 * weights(1, 4, 1, 1))
    scales = (1.0, 1.0, 2.0, 2.0)
    build.add("Resize", "b", "a", mode="linear", shape=(1, 1, 16, 16), scales=scales)
    build.add("Sigmoid", "c", "b")
    build.conv("y", "c", weights(2, 1, 1, 1))
    if read_twice:
        build.conv("z", "b", weights(2, 1, 1, 1))
    outputs = ["y", *["z"] * read_twice, *["a"] * answer]
    return quantized(build.finish(outputs))


def test_what_a_sigmoid_flattens_needs_no_codes_before_bytes_move_to_it_either() -> None:
    result = scores_behind_a_resize()
    least, most = result.ranges["a"]
    assert most - least > 60
    assert result.activations["a"] is result.activations["b"]
    assert scale_of(result, "a") < (most - least) / 255 / 2


@pytest.mark.parametrize("option", ["read_twice", "answer"])
def test_scores_that_are_read_elsewhere_keep_their_whole_range(option: str) -> None:
    result = scores_behind_a_resize(**{option: True})
    least, most = result.ranges["a"]
    assert scale_of(result, "a") == pytest.approx((most - least) / 255, rel=0.01)


def test_a_concat_and_what_only_it_reads_share_a_scale() -> None:
    build = builder()
    build.conv("a", "x", 0.01 * weights(4, 4, 1, 1))
    build.conv("b", "x", 10 * weights(4, 4, 1, 1, seed=1))
    build.add("Concat", "c", "a", "b", axis=1)
    build.conv("y", "c", weights(2, 8, 1, 1))
    result = quantized(build.finish(["y"]))
    assert result.activations["a"] is result.activations["c"]
    assert result.activations["b"] is result.activations["c"]


def test_a_small_input_of_a_concat_that_others_read_keeps_its_own_scale() -> None:
    build = builder()
    build.conv("a", "x", 0.01 * weights(4, 4, 1, 1))
    build.conv("b", "x", 10 * weights(4, 4, 1, 1, seed=1))
    build.add("Concat", "c", "a", "b", axis=1)
    build.conv("d", "c", weights(4, 8, 1, 1))
    build.add("Add", "e", "d", "a")
    build.conv("y", "e", weights(2, 4, 1, 1))
    result = quantized(build.finish(["y"]))
    assert scale_of(result, "a") < 0.01 * scale_of(result, "c")
    assert result.activations["b"] is result.activations["c"]


def test_a_pads_constant_is_inside_the_range() -> None:
    build = builder()
    build.conv("a", "x", weights(4, 4, 1, 1))
    build.add("Pad", "p", "a", pads=(0, 0, 1, 1, 0, 0, 1, 1), mode="constant", value=50.0)
    build.conv("y", "p", weights(2, 4, 1, 1))
    result = quantized(build.finish(["y"]))
    params = result.activations["p"]
    assert codes_of(params, np.array([50.0], np.float32))[0] == 255
    assert result.activations["a"] is params


def test_raw_pixels_are_their_own_codes() -> None:
    build = Builder({"x": (1, 8, 8, 3)}, dtype="uint8")
    build.add("Transpose", "t", "x", perm=(0, 3, 1, 2))
    build.add("Cast", "f", "t", to="float32")
    build.conv("y", "f", weights(2, 3, 3, 3))
    graph = build.finish(["y"])
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, 200, (1, 8, 8, 3), np.uint8) for _ in range(16)]
    result = quantized(graph, samples)
    for name in ("x", "t", "f"):
        assert scale_of(result, name) == 1.0
        assert result.activations[name].zero_point == 0


def test_truth_values_are_codes_0_and_1_and_what_they_are_cast_to_as_well() -> None:
    build = builder()
    build.conv("a", "x", weights(4, 4, 3, 3))
    build.add("Tanh", "b", "a")
    build.add("Less", "less", "a", "b")
    build.add("Cast", "factor", "less", to="float32")
    build.add("Mul", "m", "a", "factor")
    build.conv("y", "m", weights(4, 4, 3, 3))
    result = quantized(build.finish(["y"]))
    for name in ("less", "factor"):
        held = result.activations[name]
        assert (held.scale.tolist(), held.zero_point) == ([1.0], 0)
    assert codes_of(result.activations["less"], np.array([True, False])).tolist() == [1, 0]


def test_lone_peaks_of_what_the_float_tail_reads_are_not_cut_off() -> None:
    build = Builder({"x": (1, 1, 64, 64)})
    build.add("Sigmoid", "s", "x")
    build.add("Div", "y", "s", build.constant(np.array([2], np.float32)), clip=(-np.inf, np.inf))
    graph = build.finish(["y"])
    samples = [np.full((1, 1, 64, 64), -9, np.float32) for _ in range(20)]
    samples[3][0, 0, 5, 7] = 2
    for observer in ("power", "mse", "percentile"):
        params = quantized(graph, samples, observer=observer).activations["s"]
        assert float(params.scale[0]) * 255 >= 0.88 * 0.99  # sigmoid(2) = 0.8808
