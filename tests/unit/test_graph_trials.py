"""The network itself, made worse on purpose: the layer and the figure are found.

The device is the NumPy reference with one thing changed; what is looked for runs in ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the network with knobs runs in onnxruntime")

from bittrue.diagnosis.graph_trials import (
    CALIBRATIONS,
    RIGHT,
    WRONG,
    GraphTrial,
    GraphTrials,
    search_graph,
    suspects,
)
from bittrue.diagnosis.inner import within_limits
from bittrue.diagnosis.noise import INNER, Noise
from bittrue.engines.altered import Alteration
from bittrue.graph.model import Node
from tests.unit.test_altered import by_reference, graph, runner, same, stored_as

NEVER = float("inf")
FEEDS = [
    np.random.default_rng(seed).normal(0, 1, (1, 3, 8, 8)).astype(np.float32) for seed in range(4)
]
RIGHT_Y = [by_reference(same, x=x)["y"] for x in FEEDS]
POWER = float(np.mean([np.square(y).mean() for y in RIGHT_Y]))
#: 40 dB under the output: a device of few layers is as near as that.
NOISE = {"y": Noise(np.array(1e-4 * POWER), True)}


def trials(change: Callable[..., dict[str, np.ndarray]], taps: Sequence[str] = ()) -> GraphTrials:
    gave = []
    for seed, x in enumerate(FEEDS):
        made = {name: row.astype(np.float64) for name, row in change(x=x, taps=taps).items()}
        step = np.sqrt(12 * float(NOISE["y"].power)) * 0.5  # a grid of half the noise's amplitude
        offset = np.random.default_rng(seed).uniform(0, step)
        made["y"] = np.rint((made["y"] + offset) / step) * step - offset
        gave.append(made)
    return GraphTrials(runner(), [{"x": x} for x in FEEDS], gave, NOISE)


def stored(name: str, made: Callable[[np.ndarray], np.ndarray]):
    return lambda **more: by_reference(stored_as(name, made), **more)


def named(op: str, index: int = 0) -> Node:
    return [node for node in graph().nodes if node.op == op][index]


def best(found: Sequence[GraphTrial]) -> tuple[str, str]:
    return found[0].mistake.cause, found[0].mistake.where


def searched(there: GraphTrials, **samples: list[dict[str, np.ndarray]]) -> list[GraphTrial]:
    return search_graph(there, samples, deadline=NEVER)


def test_the_network_as_it_is_leaves_only_the_devices_rounding() -> None:
    there = trials(lambda **more: by_reference(same, **more))
    assert there.residual(0, None) < 1
    assert max(there.residual(index, None) for index in range(4)) < 1


# --- one layer ------------------------------------------------------------------------------------


def coarse(node: Node, part: float) -> np.ndarray:
    """Weights in steps of a part of their greatest value."""
    array = graph().constants[node.inputs[1]]
    step = float(np.abs(array).max()) * part
    return (np.rint(array / step) * step).astype(np.float32)


@pytest.mark.parametrize("op", ["one", "two", "dense"])
def test_a_layer_whose_weights_are_coarse_is_found_with_its_step(op) -> None:
    """One outlying channel 16 times as large makes steps of 16 / 127 for all others."""
    node = next(row for row in graph().nodes if row.name == op)
    weights = {node.name: coarse(node, 16 / 127)}
    there = trials(lambda **more: by_reference(same, weights=weights, **more))
    found = searched(there)
    assert best(found) == ("quant.weights", f"layer '{op}'")
    peak = float(np.abs(graph().constants[node.inputs[1]]).max())
    assert f"in steps of {peak * 16 / 127:.4g}," in found[0].mistake.what
    assert found[0].residual < 1 < there.residual(0, None)


@pytest.mark.parametrize(
    ("node", "part"), [(named("Conv", 0), 0.4), (named("Conv", 1), 0.3)], ids=["one", "two"]
)
def test_a_layer_that_is_cut_off_is_found_with_its_limit(node, part) -> None:
    there = trials(lambda **more: by_reference(same, **more))
    high = there.ranges[node.outputs[0]][1] * part
    found = searched(trials(stored(node.outputs[0], lambda a: np.minimum(a, high))))
    assert best(found) == ("quant.clipping", f"layer '{node.origin[0]}'")
    told = found[0].mistake.what
    assert float(told.split("..")[1].split(",")[0]) == pytest.approx(high, rel=0.1)


@pytest.mark.parametrize("op", ["Conv", "Concat"])
def test_a_layer_in_coarse_steps_is_found_and_a_concatenation_shares_its_scale(op) -> None:
    node = named(op)
    there = trials(lambda **more: by_reference(same, **more))
    low, high = there.ranges[node.outputs[0]]
    step = (high - low) / 12
    found = searched(trials(stored(node.outputs[0], lambda a: np.rint(a / step) * step)))
    cause = "quant.shared_scale" if op == "Concat" else "quant.activations"
    assert best(found) == (cause, f"layer '{node.origin[0]}'")


def test_an_activation_that_was_left_out_is_another_network() -> None:
    node = named("Conv", 1)
    bare = replace(node, attrs={k: v for k, v in node.attrs.items() if k != "clip"})
    found = searched(trials(lambda **more: by_reference(same, nodes={node.name: bare}, **more)))
    assert best(found) == ("graph.weights", f"layer '{node.origin[0]}'")
    assert found[0].residual < 1


@pytest.mark.parametrize("part", [0.2, 0.5])
def test_an_input_that_is_cut_off_is_found(part) -> None:
    low, high = (part * float(end) for end in (np.min(FEEDS), np.max(FEEDS)))

    def cut(x, **more):
        return by_reference(same, x=np.clip(x, low, high), **more)

    found = searched(trials(cut))
    assert best(found) == ("quant.clipping", "input 'x'")


def test_an_input_in_coarse_steps_is_found() -> None:
    step = float(np.max(FEEDS) - np.min(FEEDS)) / 12

    def rounded(x, **more):
        return by_reference(same, x=(np.rint(x / step) * step).astype(np.float32), **more)

    assert best(searched(trials(rounded))) == ("quant.activations", "input 'x'")


# --- the whole network ----------------------------------------------------------------------------


def in_codes_of(factor: float):
    """Every value stored in 256 codes over what it spans on inputs `factor` as large."""
    spans: dict[str, tuple[float, float]] = {}
    for x in FEEDS:
        rows = runner().run({"x": x * np.float32(factor)}, None, runner().made.stored)
        for name, row in {**rows, "x": x * factor}.items():
            low, high = spans.get(name, (0.0, 0.0))
            spans[name] = (min(low, float(row.min())), max(high, float(row.max())))

    def store(name: str, array: np.ndarray) -> np.ndarray:
        if name not in spans:
            return array
        low, high = spans[name]
        step = (high - low) / 255
        return np.rint(np.clip(array, low, high) / step) * step

    return lambda x, **more: by_reference(store, x=store("x", x).astype(np.float32), **more)


@pytest.mark.parametrize(
    ("factor", "told", "cause"),
    [
        (20.0, "raw pixels", "quant.calibration_domain"),
        (0.2, "weak: dark pictures", "quant.calibration_weak"),
    ],
)
def test_a_network_calibrated_with_other_values_is_found(factor, told, cause) -> None:
    samples = {
        "raw pixels": [{"x": x * np.float32(20)} for x in FEEDS],
        "weak: dark pictures": [{"x": x * np.float32(0.2)} for x in FEEDS],
    }
    found = search_graph(trials(in_codes_of(factor)), samples, deadline=NEVER)
    assert found[0].mistake.cause == cause
    assert found[0].mistake.what == f"calibrated with {told.removeprefix('weak: ')}"


def test_only_a_calibration_says_how_unsure_it_is() -> None:
    samples = {"raw pixels": [{"x": x * np.float32(20)} for x in FEEDS]}
    found = search_graph(trials(in_codes_of(20.0)), samples, deadline=NEVER)
    for row in found:
        assert (row.unsure > 0) is (row.mistake.cause in CALIBRATIONS)


# --- inner tensors --------------------------------------------------------------------------------


def inner(change) -> GraphTrials:
    return trials(
        change, [node.outputs[0] for node in graph().nodes if node.op in ("Conv", "Concat")]
    )


def test_inner_tensors_that_the_device_gave_come_in_running_order() -> None:
    there = inner(lambda **more: by_reference(same, **more))
    assert there.inner == tuple(n.outputs[0] for n in graph().nodes if n.op in ("Conv", "Concat"))


def test_depth_counts_the_layers_with_weights_up_to_a_value() -> None:
    there = inner(lambda **more: by_reference(same, **more))
    depths = [there.depth(name) for name in there.inner]
    assert depths == sorted(depths)
    assert there.depth(named("Conv", 0).outputs[0]) == 1
    assert there.depth(named("Conv", 1).outputs[0]) == 2


def test_what_is_left_is_a_mean_over_the_frames() -> None:
    there = inner(lambda **more: by_reference(same, **more))
    rows = [there.lefts(index, None) for index in range(len(FEEDS))]
    for name, left in there.mean_lefts().items():
        assert left == pytest.approx(np.mean([row[name] for row in rows]))


def test_an_inner_tensor_has_27_db_for_noise() -> None:
    name = named("Conv").outputs[0]
    power = [np.square(by_reference(same, x=x, taps=[name])[name]).mean() for x in FEEDS]
    there = trials(stored(name, lambda a: a + 1.0), [name])
    assert there.lefts(0, None)[name] == pytest.approx(1 / (INNER * power[-1]), rel=0.4)


def test_right_inner_tensors_clear_the_layers_before_them() -> None:
    first, second = named("Conv", 0), named("Conv", 1)
    there = inner(stored(second.outputs[0], lambda a: np.minimum(a, 0.4)))
    lefts = there.lefts(0, None)
    assert lefts[first.outputs[0]] <= RIGHT
    assert lefts[second.outputs[0]] > WRONG
    kept = [node.name for node in suspects(there)]
    assert (kept[0], kept[-1]) == (first.name, second.name)
    assert best(searched(there)) == ("quant.clipping", f"layer '{second.origin[0]}'")


@pytest.mark.parametrize("part", [0.41, 0.7])
def test_with_inner_tensors_the_layer_is_found_whatever_the_step(part) -> None:
    node = named("Conv", 1)
    weights = {node.name: coarse(node, part)}
    there = inner(lambda **more: by_reference(same, weights=weights, **more))
    assert suspects(there)[-1].name == node.name
    assert searched(there)[0].mistake.where in ("layer 'one'", "layer 'two'")


def test_without_inner_tensors_every_layer_is_suspect() -> None:
    there = trials(stored(named("Conv").outputs[0], lambda a: a * 0.5))
    assert suspects(there) == list(graph().nodes)


def test_what_comes_before_a_fused_activation_is_cut_off_at_its_limits() -> None:
    exact = np.maximum(np.linspace(-2, 2, 100), 0)
    assert np.array_equal(within_limits(np.linspace(-2, 2, 100), exact), exact)
    plain = np.linspace(-2, 2, 100)
    assert np.array_equal(within_limits(plain * 3, plain), plain * 3)  # no value that many share
    assert np.array_equal(within_limits(plain, np.zeros(100)), plain)  # nothing to see


# --- time -----------------------------------------------------------------------------------------


def test_without_time_something_is_said_all_the_same() -> None:
    there = trials(stored(named("Conv").outputs[0], lambda a: np.minimum(a, 0.3)))
    found = search_graph(there, {}, deadline=0.0)
    assert 1 <= len(found) <= 6


def test_trials_are_sorted_and_shown() -> None:
    shown: list[tuple[str, int, int]] = []
    there = trials(stored(named("Conv").outputs[0], lambda a: np.minimum(a, 0.3)))
    found = search_graph(there, {}, deadline=NEVER, seen=lambda *item: shown.append(item))
    assert [row.residual for row in found] == sorted(row.residual for row in found)
    assert [index for _, index, _ in shown] == list(range(shown[0][2]))


def test_a_trial_is_the_mean_of_its_frames() -> None:
    there = trials(lambda **more: by_reference(same, **more))
    made = there.on_all(searched(there)[0].mistake, Alteration())
    assert len(made.residuals) == 4
    assert made.residual == pytest.approx(np.mean([there.residual(i, None) for i in range(4)]))
