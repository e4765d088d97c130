"""Calibration: sources of samples, what is refused, and the statistics of the pass."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import bittrue.quant.calibrate as calibrate
from bittrue.errors import DataError
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_reference
from bittrue.quant.calibrate import Run, gather, inputs_of, samples_from
from bittrue.quant.pipeline import choose_observer, quantize
from tests.unit.quant_graphs import Builder, pictures, weights

SHAPE = (1, 2, 6, 6)


def graph() -> Graph:
    build = Builder({"x": SHAPE})
    build.conv("a", "x", weights(4, 2, 3, 3), clip=(0.0, 6.0))
    build.conv("d", "a", weights(4, 1, 3, 3), group=4)
    build.conv("y", "d", weights(3, 4, 1, 1))
    return build.finish(["y"])


def runner(network: Graph) -> Run:
    return lambda inputs, taps: run_reference(network, inputs, taps)


# --- sources ---------------------------------------------------------------------------------


def test_a_folder_of_arrays_is_read_one_by_one_and_thinned_evenly(tmp_path: Path) -> None:
    for index in range(10):
        np.save(tmp_path / f"{index}.npy", np.full(SHAPE, index, np.float32))
    got = samples_from(tmp_path, limit=5)
    values = [float(np.asarray(got[i]).flat[0]) for i in range(len(got))]
    assert values == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_a_folder_of_pictures_goes_through_the_given_function(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    got = samples_from(tmp_path, prepare=lambda path: np.full(SHAPE, len(path.stem), np.float32))
    assert len(got) == 2
    assert np.asarray(got[0]).shape == SHAPE
    with pytest.raises(DataError, match="how the network wants them"):
        samples_from(tmp_path)


def test_npy_and_npz_are_stacks_of_samples(tmp_path: Path) -> None:
    stack = np.arange(3 * 72, dtype=np.float32).reshape(3, *SHAPE)
    np.save(tmp_path / "s.npy", stack)
    np.savez(tmp_path / "s.npz", x=stack)
    one, other = samples_from(tmp_path / "s.npy"), samples_from(tmp_path / "s.npz")
    assert len(one) == len(other) == 3
    for index in range(3):
        assert np.array_equal(inputs_of(graph(), one[index])["x"], stack[index])
        assert np.array_equal(inputs_of(graph(), other[index])["x"], stack[index])


def test_sources_without_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures"):
        samples_from(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        samples_from(tmp_path / "none.npy")
    (tmp_path / "bad.npy").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"cannot be read as \.npy"):
        samples_from(tmp_path / "bad.npy")
    np.savez(tmp_path / "unlike.npz", x=np.zeros((3, 2)), z=np.zeros((4, 2)))
    with pytest.raises(DataError, match="unlike numbers"):
        samples_from(tmp_path / "unlike.npz")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"cannot be read as \.npy"):
        samples_from(tmp_path / "o.npy")


# --- checks ----------------------------------------------------------------------------------


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


def test_portions_change_nothing_and_a_generator_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, samples = graph(), pictures(16, SHAPE)
    whole = gather(network, samples, runner(network))
    asked: list[int] = []

    def watched(inputs: object, taps: object) -> dict[str, np.ndarray]:
        asked.append(len(taps))  # type: ignore[arg-type]
        return run_reference(network, inputs, taps)  # type: ignore[arg-type]

    monkeypatch.setattr(calibrate, "TAP_BYTES", 1000)
    parts = gather(network, iter(samples), watched)
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
    best = quantize(network, samples, run=run, observer=choices[0].observer)
    for name, params in best.activations.items():
        assert np.array_equal(auto.activations[name].scale, params.scale)
