"""Scales are so large that no sum leaves what 32 bits hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bittrue.compiler.lower import compile_graph
from bittrue.quant.calibrate import gather
from bittrue.quant.options import QuantizeOptions
from bittrue.quant.pipeline import quantize_with
from tests.unit.quant_graphs import (
    Builder,
    builder,
    quantized,
    runner,
    scale_of,
    weights,
)


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
    forged = dict(statistics.tensors)
    forged["a"] = replace(tiny, sample_min=0 * low, sample_max=low)
    result = quantize_with(
        graph, replace(statistics, tensors=forged), QuantizeOptions(observer="minmax")
    ).quantized
    largest = 255 * scale_of(result, "x") * 1e6
    assert largest / scale_of(result, "a") < 2.0**31


def test_a_product_that_was_dead_in_calibration_stays_below_two_to_the_thirty_one() -> None:
    build = Builder({"a": (1, 512), "b": (512, 1)})
    build.add("MatMul", "m", "a", "b")
    graph = build.finish(["m"])
    one = {name: np.zeros(graph.values[name].shape, np.float32) for name in graph.inputs}
    one["a"][0, 0], one["b"][1, 0] = 1e6, 1e6  # never in the same place
    result = quantized(graph, [one] * 16, tail="int8")
    most = 512 * 255**2 * scale_of(result, "a") * scale_of(result, "b")
    assert most / scale_of(result, "m") <= 2.0**30 * (1 + 1e-6)
    compile_graph(result)
