"""Calibration: which samples are refused, and the statistics of the pass."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from bittrue.errors import DataError
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_reference
from bittrue.quant.calibrate import gather, inputs_of
from bittrue.quant.pipeline import choose_observer, quantize
from tests.unit.quant_graphs import Builder, pictures, runner, weights

SHAPE = (1, 2, 6, 6)


def graph() -> Graph:
    build = Builder({"x": SHAPE})
    build.conv("a", "x", weights(4, 2, 3, 3), clip=(0.0, 6.0))
    build.conv("d", "a", weights(4, 1, 3, 3), group=4)
    build.conv("y", "d", weights(3, 4, 1, 1))
    return build.finish(["y"])


def test_a_batch_axis_of_one_is_added() -> None:
    assert inputs_of(graph(), np.zeros(SHAPE[1:], np.float64))["x"].shape == SHAPE


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (np.zeros((1, 2, 6, 7), np.float32), "the network takes"),
        (np.full(SHAPE, np.nan, np.float32), "NaN"),
        (np.full(SHAPE, np.inf, np.float32), "infinity"),
        ({"z": np.zeros(SHAPE, np.float32)}, "unknown: \\['z'\\]"),
        ({}, "missing: \\['x'\\]"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused(
    sample: np.ndarray | dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        gather(graph(), [sample], runner(graph()))


def test_floats_for_raw_pixels_are_refused() -> None:
    build = Builder({"x": (1, 4, 4, 3)}, dtype="uint8")
    build.add("Cast", "y", "x", to="float32")
    with pytest.raises(DataError, match="the type is float32"):
        inputs_of(build.finish(["y"]), np.zeros((1, 4, 4, 3), np.float32))


def test_no_samples_are_refused_and_few_or_flat_ones_are_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(DataError, match="no calibration samples"):
        gather(graph(), [], runner(graph()))
    with caplog.at_level(logging.WARNING):
        gather(graph(), [np.ones(SHAPE, np.float32)], runner(graph()))
    assert "only 1 calibration samples" in caplog.text
    assert "every element is 1.0" in caplog.text


def test_a_tensor_that_overflows_is_named() -> None:
    build = Builder({"x": (1, 4)})
    build.add("Exp", "e", "x")
    network = build.finish(["e"])
    with pytest.raises(DataError, match="tensor 'e'"), np.errstate(over="ignore"):
        gather(network, [np.full((1, 4), 1000, np.float32)], runner(network))


# --- the pass --------------------------------------------------------------------------------


def test_statistics_are_what_the_network_gave() -> None:
    network, samples = graph(), pictures(20, SHAPE)
    got = gather(network, samples, runner(network))
    every = [run_reference(network, {"x": x}, ["a"])["a"] for x in samples]
    assert got.samples == 20
    assert got.tensors["a"].extremes == (
        min(float(a.min()) for a in every),
        max(float(a.max()) for a in every),
    )
    assert len(got.tensors["a"].channels) == 4  # it feeds a depthwise convolution
    assert len(got.tensors["d"].channels) == 4  # and so does what a full one reads
    assert got.tensors["y"].channels == ()
    channel = got.tensors["a"].channels[2]
    assert np.array_equal(channel.sample_max, [a[0, 2].max() for a in every])


def test_portions_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, samples = graph(), pictures(16, SHAPE)
    whole = gather(network, samples, runner(network))
    asked: list[int] = []

    def watched(inputs: object, taps: object) -> dict[str, np.ndarray]:
        asked.append(len(taps))  # type: ignore[arg-type]
        return run_reference(network, inputs, taps)  # type: ignore[arg-type]

    monkeypatch.setattr("bittrue.arrays.PORTION_BYTES", 1000)
    parts = gather(network, samples, watched)
    assert max(asked) < 4
    for name, seen in whole.tensors.items():
        assert np.array_equal(seen.counts, parts.tensors[name].counts)


def test_auto_takes_the_observer_that_measures_best() -> None:
    from bittrue.engines.simulate import simulate_reference

    network, samples = graph(), pictures(16, SHAPE)
    statistics = gather(network, samples, runner(network))

    def simulate(result):  # type: ignore[no-untyped-def]
        return lambda inputs, taps: simulate_reference(result, inputs, taps)

    run = runner(network)
    choices = choose_observer(network, statistics, samples, run=run, simulate=simulate)
    assert [c.sqnr for c in choices] == sorted((c.sqnr for c in choices), reverse=True)
    assert choices[0].sqnr > 25
    auto = quantize(network, samples, run=run, simulate=simulate)
    assert auto.choices == choices
    assert auto.options.observer == choices[0].observer
    best = quantize(network, samples, run=run, options=auto.options)
    assert best.choices == ()
    for name, params in best.quantized.activations.items():
        assert np.array_equal(auto.quantized.activations[name].scale, params.scale)
