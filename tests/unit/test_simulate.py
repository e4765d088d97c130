"""The quantised stage: ONNX Runtime against NumPy, and both against what codes can hold."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue import arith
from bittrue.engines.simulate import SimulateRunner, codes_of, simulate_reference
from bittrue.errors import DataError, UsageError
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_reference
from bittrue.quant.partition import TAILS
from tests.unit.quant_graphs import Builder, pictures, quantized, weights

pytest.importorskip("onnxruntime", reason="the quantised stage runs in onnxruntime")


def network() -> Graph:
    build = Builder({"x": (1, 4, 8, 8)})
    w = weights(8, 4, 3, 3) * np.logspace(-1, 1, 8, dtype=np.float32).reshape(-1, 1, 1, 1)
    build.conv("a", "x", w, weights(8, seed=5))
    build.add("Pointwise", "s", "a", expr="x x sigmoid mul")
    build.conv("d", "s", weights(8, 1, 3, 3), group=8, clip=(0.0, 6.0))
    build.conv("p", "d", weights(4, 8, 1, 1), weights(4, seed=6))
    build.add("Add", "r", "p", "x")
    build.add("Concat", "c", "r", "p", axis=1)
    build.conv("y", "c", weights(3, 8, 1, 1), weights(3, seed=7))
    build.add("Sigmoid", "z", "y")
    return build.finish(["z"])


@pytest.mark.parametrize("tail", TAILS)
def test_onnxruntime_and_numpy_agree_up_to_one_step(tail: str) -> None:
    graph = network()
    result = quantized(graph, tail=tail)
    taps = [name for name in graph.values if name not in graph.constants]
    runner = SimulateRunner(result, threads=1)
    for x in pictures(3, (1, 4, 8, 8), seed=9):
        ours = simulate_reference(result, {"x": x}, taps)
        theirs = runner.run({"x": x}, taps)
        for name in taps:
            params = result.activations.get(name)
            step = 1e-4 if params is None else params.along(ours[name].ndim) * 1.01
            far = np.abs(ours[name] - theirs.taps[name])
            # A sum next to a tie may round the other way, and what follows differs with it.
            assert np.mean(far > 1e-3 * np.abs(ours[name]).max()) < 0.02
            if name in ("x", "a"):
                assert np.all(far <= step)


def test_every_stored_value_is_a_code() -> None:
    graph = network()
    result = quantized(graph)
    x = pictures(1, (1, 4, 8, 8), seed=9)[0]
    names = sorted(result.activations)
    runner = SimulateRunner(result, threads=1)
    real = runner.run({"x": x}, names).taps
    codes = runner.run({"x": x}, names, codes=True).taps
    for name in names:
        params = result.activations[name]
        assert codes[name].dtype == np.uint8
        back = arith.dequantize(codes[name], params.along(4), params.zero_point)
        assert np.allclose(back, real[name], rtol=1e-6, atol=0)
        assert np.array_equal(codes_of(params, real[name]), codes[name])


def test_the_quantised_network_is_near_the_float_one() -> None:
    graph = network()
    runner = SimulateRunner(quantized(graph), threads=1)
    for x in pictures(4, (1, 4, 8, 8), seed=9):
        exact = run_reference(graph, {"x": x})["z"]
        got = runner.run({"x": x}).outputs["z"]
        noise = np.sum((got - exact) ** 2) / np.sum(exact**2)
        assert 0 < noise < 10**-2.5  # 25 dB; eight bits and eight layers give some 35


def test_float_values_are_not_rounded() -> None:
    graph = network()
    result = quantized(graph)
    assert {"y", "z"} == set(result.float_values)
    x = pictures(1, (1, 4, 8, 8))[0]
    taps = SimulateRunner(result, threads=1).run({"x": x}, ["y"], codes=True).taps
    assert taps["y"].dtype == np.float32
    assert np.unique(taps["y"]).size > 150


def test_a_wrong_shape_and_an_unknown_tap_are_refused() -> None:
    runner = SimulateRunner(quantized(network()), threads=1)
    with pytest.raises(DataError, match="must be float32"):
        runner.run({"x": np.zeros((1, 4, 8, 9), np.float32)})
    with pytest.raises(UsageError, match="'nothing'"):
        runner.run({"x": pictures(1, (1, 4, 8, 8))[0]}, ["nothing"])


def test_raw_pixels_pass_unchanged() -> None:
    build = Builder({"x": (1, 6, 6, 3)}, dtype="uint8")
    build.add("Transpose", "t", "x", perm=(0, 3, 1, 2))
    build.add("Cast", "f", "t", to="float32")
    build.conv("y", "f", weights(2, 3, 3, 3))
    graph = build.finish(["y"])
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, 256, (1, 6, 6, 3), np.uint8) for _ in range(16)]
    result = quantized(graph, samples)
    taps = SimulateRunner(result, threads=1).run({"x": samples[0]}, ["x", "f"]).taps
    assert np.array_equal(taps["x"], samples[0])
    assert np.array_equal(taps["f"], samples[0].transpose(0, 3, 1, 2).astype(np.float32))
