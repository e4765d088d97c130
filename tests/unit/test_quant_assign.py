"""Which values are codes, which scales they share, and where float begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bittrue.arith import QParams
from bittrue.compiler.lower import compile_graph
from bittrue.engines.simulate import codes_of
from bittrue.errors import UsageError
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_reference
from bittrue.quant.assign import (
    CHANNEL_FLOOR,
    TRUSTED_FLOOR,
    least_scales,
    params_of_channels,
    params_of_range,
    params_of_shared_channels,
)
from bittrue.quant.calibrate import Run, gather
from bittrue.quant.model import QuantizedGraph
from bittrue.quant.observers import Collector
from bittrue.quant.pipeline import quantize_with
from tests.unit.quant_graphs import Builder, pictures, weights


def runner(graph: Graph) -> Run:
    return lambda inputs, taps: run_reference(graph, inputs, taps)


def quantized(
    graph: Graph, samples: Sequence[np.ndarray] | None = None, **options: str
) -> QuantizedGraph:
    shape = graph.values[graph.inputs[0]].shape
    statistics = gather(graph, samples or pictures(16, shape), runner(graph))
    return quantize_with(graph, statistics, **{"observer": "minmax", **options})


def scale_of(result: QuantizedGraph, name: str) -> float:
    params = result.activations[name]
    assert params.scale.size == 1
    return float(params.scale[0])


def builder(channels: int = 4) -> Builder:
    return Builder({"x": (1, channels, 8, 8)})


# --- one range --------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 1.0), (0.0, 6.0), (2.0, 3.0), (-5.0, -1.0), (-0.001, 900.0)]
)
def test_zero_is_a_code_and_both_ends_are_within_one_step(low: float, high: float) -> None:
    params = params_of_range(low, high)
    step = float(params.scale[0])
    least, most = -params.zero_point * step, (255 - params.zero_point) * step
    assert 0 <= params.zero_point <= 255
    assert least <= min(low, 0) + 0.51 * step
    assert most >= max(high, 0) - 0.51 * step


def test_a_range_from_zero_has_zero_point_0_and_one_up_to_zero_has_255() -> None:
    assert params_of_range(0.0, 3.0).zero_point == 0
    assert params_of_range(1.0, 3.0).zero_point == 0
    assert params_of_range(-3.0, 0.0).zero_point == 255


@pytest.mark.parametrize("width", [0.0, 1e-45, 1e-30])
def test_a_range_of_nothing_has_steps_of_one_255th(width: float) -> None:
    params = params_of_range(0.0, width)
    assert params.scale[0] == np.float32(1 / 255)


def test_the_common_zero_point_is_the_best_of_all_256() -> None:
    low = np.array([-1.0, -0.1, -3.0, 0.0], np.float32)
    high = np.array([1.0, 4.0, 1.0, 2.0], np.float32)
    got = params_of_channels(low, high, least=np.full(4, 1e-5))

    def cost(z: int) -> float:
        total = 0.0
        for lo, hi in zip(low.tolist(), high.tolist(), strict=True):
            if (lo < 0 and z == 0) or (hi > 0 and z == 255):
                return float("inf")
            need = max(hi / (255 - z) if hi else 0, -lo / z if lo else 0)
            total += (need / (hi - lo)) ** 2
        return total

    assert got.zero_point == min(range(256), key=cost)
    real_low = -got.zero_point * got.scale
    real_high = (255 - got.zero_point) * got.scale
    assert np.all(real_low <= low + 1e-5)
    assert np.all(real_high >= high - 1e-5)


def test_dead_channels_get_the_floor() -> None:
    low, high = np.zeros(3, np.float32), np.array([0.0, 1e-9, 2.0], np.float32)
    least = np.array([0.001, 0.002, 0.003])
    got = params_of_channels(low, high, least=least)
    assert np.allclose(got.scale, [0.001, 0.002, 2 / 255])
    assert got.zero_point == 0


def test_a_small_channel_is_trusted_if_most_samples_use_it() -> None:
    collector = Collector(channels=4)
    for index in range(16):
        x = np.zeros((1, 4, 2, 2), np.float32)
        x[:, 0] = 100.0
        x[:, 1] = 0.5  # always at work
        x[:, 2] = 0.5 if index == 3 else 0.0  # once
        collector.add(x)  # the last channel is dead
    got = least_scales(collector.finish(), 1.0)
    assert got.tolist() == [TRUSTED_FLOOR, TRUSTED_FLOOR, CHANNEL_FLOOR, CHANNEL_FLOOR]


def test_a_narrow_channel_on_a_side_without_codes_keeps_its_least_scale() -> None:
    low, high = np.array([0.0, -0.001], np.float32), np.array([10.0, 0.0], np.float32)
    got = params_of_channels(low, high, least=np.full(2, 0.001))
    assert got.zero_point == 0
    assert np.allclose(got.scale, [10 / 255, 0.001])


# --- who shares -------------------------------------------------


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


# --- channels ---------------------------------------------------


def depthwise_graph(*, extra_reader: bool = False, table: bool = False) -> Graph:
    build = builder()
    w = weights(4, 4, 1, 1)
    w *= np.array([0.01, 0.1, 1, 10], np.float32).reshape(-1, 1, 1, 1)
    a = build.conv("a", "x", w)
    if table:
        a = build.add("Pointwise", "s", "a", expr="x x sigmoid mul")
    build.conv("d", a, weights(4, 1, 3, 3), group=4)
    build.conv("y", "d", weights(2, 4, 1, 1))
    outputs = ["y"]
    if extra_reader:
        build.conv("z", a, weights(2, 4, 1, 1))
        outputs.append("z")
    return build.finish(outputs)


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


def test_channels_that_meet_in_sums_have_scales_a_quarter_of_the_way_to_their_own() -> None:
    low = np.array([0, 0, 0, 0], np.float32)
    high = np.array([0.01, 1, 4, 1000], np.float32)  # the last is cut off by the tensor's range
    whole = params_of_range(0, 4)
    least = np.full(4, 0.03 * float(whole.scale[0]))
    got = params_of_shared_channels(low, high, whole=whole, least=least)
    step = 4 / 255
    expected = [step * 0.03**0.25, step * 0.25**0.25, step, step]
    np.testing.assert_allclose(got.scale, expected, rtol=1e-6)
    assert got.zero_point == whole.zero_point == 0


def test_channels_that_meet_in_sums_keep_the_tensors_zero_point_and_fit_on_both_sides() -> None:
    low = np.array([-1, -0.5, 0], np.float32)
    high = np.array([3, 0.1, 0.2], np.float32)
    whole = params_of_range(-1, 3)
    got = params_of_shared_channels(low, high, whole=whole, least=np.full(3, 1e-6))
    assert got.zero_point == whole.zero_point
    room = float(whole.scale[0]) * 1.01  # half a step of rounding of the zero point
    assert np.all((0 - got.zero_point) * got.scale <= low + room)
    assert np.all((255 - got.zero_point) * got.scale >= high - room)
    assert np.all(got.scale <= whole.scale)


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


# --- float ------------------------------------------------------


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


def test_a_last_convolution_emits_float() -> None:
    result = quantized(depthwise_graph())
    assert result.float_values == {"y"}


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
        for tail in ("float", "int8"):
            result = quantized(graph, tail=tail)
            named = [n for n in graph.values if n not in graph.constants]
            assert sorted([*result.activations, *result.float_values]) == sorted(named)


def test_what_an_integer_node_reads_is_always_codes() -> None:
    for graph in (head_graph(), depthwise_graph(table=True, extra_reader=True)):
        result = quantized(graph)
        for node in graph.nodes:
            if node.op == "Conv":
                assert node.inputs[0] in result.activations


@pytest.mark.parametrize("option", ["observer", "tail", "rounding"])
def test_an_unknown_word_is_refused_with_the_words_that_there_are(option: str) -> None:
    with pytest.raises(UsageError, match="'nonsense' is not one of"):
        quantized(depthwise_graph(), **{option: "nonsense"})


# --- limits -----------------------------------------------------


def test_a_tensor_that_was_all_but_dead_keeps_its_sums_below_two_to_the_thirty_one() -> None:
    build = builder(1)
    build.conv("a", "x", np.full((1, 1, 1, 1), 1e6, np.float32))
    build.conv("y", "a", weights(1, 1, 1, 1))
    graph = build.finish(["y"])
    samples = [np.full((1, 1, 8, 8), 1e-12 * (i + 1), np.float32) for i in range(15)]
    samples.append(np.full((1, 1, 8, 8), 1.0, np.float32))
    statistics = gather(graph, samples, runner(graph))
    tiny = statistics.tensors["a"]
    low = np.minimum(tiny.sample_max, np.float32(1e-6))
    from dataclasses import replace

    forged = dict(statistics.tensors)
    forged["a"] = replace(tiny, sample_min=0 * low, sample_max=low)
    result = quantize_with(graph, replace(statistics, tensors=forged), observer="minmax")
    largest = 255 * scale_of(result, "x") * 1e6
    assert largest / scale_of(result, "a") < 2.0**31


def test_per_channel_codes_come_back_by_channel() -> None:
    params = QParams(np.array([0.1, 1.0], np.float32), 3)
    x = np.array([[[[0.5]], [[0.5]]]], np.float32)
    assert codes_of(params, x).reshape(-1).tolist() == [8, 3]


# --- products, choices ------------------------------------------


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
    statistics = gather(graph, samples, runner(graph))
    return quantize_with(graph, statistics, observer="minmax", tail=tail)


def test_scores_stay_float_from_their_accumulator_to_the_softmax() -> None:
    result = attention()
    assert {"scores", "scaled", "masked", "mask", "part"} - result.float_values == {"part"}
    assert {"x", "q", "part", "mixed"} <= set(result.activations)
    kinds = [step.kind for step in compile_graph(result).instructions]
    assert [kind for kind in kinds if kind in ("DEQUANTIZE", "QUANTIZE")] == ["QUANTIZE"]


def test_an_int8_tail_keeps_scores_as_codes() -> None:
    assert {"scores", "scaled"} <= set(attention("int8").activations)


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


def test_a_product_that_was_dead_in_calibration_stays_below_two_to_the_thirty_one() -> None:
    build = Builder({"a": (1, 512), "b": (512, 1)})
    build.add("MatMul", "m", "a", "b")
    graph = build.finish(["m"])
    one = {name: np.zeros(graph.values[name].shape, np.float32) for name in graph.inputs}
    one["a"][0, 0], one["b"][1, 0] = 1e6, 1e6  # never in the same place
    statistics = gather(graph, [one] * 16, runner(graph))
    result = quantize_with(graph, statistics, observer="minmax", tail="int8")
    most = 512 * 255**2 * scale_of(result, "a") * scale_of(result, "b")
    assert most / scale_of(result, "m") <= 2.0**30 * (1 + 1e-6)
    compile_graph(result)


def test_lone_peaks_of_what_the_float_tail_reads_are_not_cut_off() -> None:
    build = Builder({"x": (1, 1, 64, 64)})
    build.add("Sigmoid", "s", "x")
    build.add("Div", "y", "s", build.constant(np.array([2], np.float32)), clip=(-np.inf, np.inf))
    graph = build.finish(["y"])
    samples = [np.full((1, 1, 64, 64), -9, np.float32) for _ in range(20)]
    samples[3][0, 0, 5, 7] = 2
    statistics = gather(graph, samples, runner(graph))
    for observer in ("power", "mse", "percentile"):
        params = quantize_with(graph, statistics, observer=observer).activations["s"]
        assert float(params.scale[0]) * 255 >= 0.88 * 0.99  # sigmoid(2) = 0.8808
