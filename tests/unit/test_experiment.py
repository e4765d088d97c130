"""Experiments: an output mistake is found with a reference alone, and together with an input's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

from bittrue.contract.tensor import Contract, TensorContract
from bittrue.diagnosis.decide import accepted
from bittrue.diagnosis.experiment import Experiment, Tried, grid
from bittrue.diagnosis.instruments import instruments
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.diagnosis.search import pair_names, search
from tests.unit.scenes import codes, device, frame, grids, host, picture, scene, searched

Outputs = dict[str, np.ndarray]
Change = Callable[[Outputs], Outputs]
STEPS = {"boxes": (3.0, 0), "scores": (1 / 256, 0), "map": (0.05, 128), "twin": (0.05, 128)}


def reference(seed: int) -> Outputs:
    """What a detector may give: boxes in pixels, scores that are mostly low, two maps alike."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(50, 500, (2, 80))
    w, h = rng.uniform(20, 120, (2, 80))
    return {
        "boxes": np.stack([x, y, x + w, y + h], axis=-1)[None].astype(np.float32),
        "scores": (rng.uniform(0, 1, (1, 80, 3)) ** 3).astype(np.float32),
        "map": rng.normal(0, 1.5, (1, 5, 6, 7)).astype(np.float32),
        "twin": rng.normal(0, 1.5, (1, 5, 6, 7)).astype(np.float32),
    }


def as_codes(outputs: Mapping[str, np.ndarray]) -> Outputs:
    return {
        name: np.clip(np.rint(row / STEPS[name][0]) + STEPS[name][1], 0, 255).astype(np.uint8)
        for name, row in outputs.items()
    }


def healthy(outputs: Mapping[str, np.ndarray]) -> Outputs:
    """The same on the device's own grids of 8 bits."""
    return {
        name: ((row.astype(np.float64) - STEPS[name][1]) * STEPS[name][0]).astype(np.float32)
        for name, row in as_codes(outputs).items()
    }


CONTRACT = Contract(
    (),
    tuple(
        TensorContract(name, (1,), "uint8", scale=scale, zero_point=zero)
        for name, (scale, zero) in STEPS.items()
    ),
)


def recorded(
    change: Change, *, known: bool = False, raw: bool = False
) -> tuple[Tried, list[Tried]]:
    """No mistake, and what is accepted, where both sides are only known by what they gave."""
    frames = []
    for seed in range(3):
        exact = reference(seed)
        gave = change(as_codes(exact) if raw else healthy(exact))
        frames.append(Frame(f"frame {seed + 1}", None, {}, None, None, gave, exact))
    there = Scene(None, "input", None, (), CONTRACT if known else None, tuple(frames))
    tools = instruments(there)
    names = {name: name for name in STEPS}
    ours = Experiment(there, tools.noise, tools.rows, names)
    found = search(ours, [], budget=30.0)
    return found.baseline, accepted(found, ours)


def one(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda outputs: outputs | {name: np.ascontiguousarray(change(outputs[name]))}


def logits(p: np.ndarray) -> np.ndarray:
    inner = np.clip(p.astype(np.float64), 1e-3, 1 - 1e-3)
    return np.log(inner / (1 - inner))


def twice_dequantised(name: str) -> Callable[[np.ndarray], np.ndarray]:
    scale, zero = STEPS[name]
    return lambda values: ((values - zero) * scale).astype(np.float32)


def from_twin(row: np.ndarray) -> np.ndarray:
    return ((row / 0.05 + 128 - 100) * 0.09).astype(np.float32)


BOX = np.array([640.0, 480.0, 640.0, 480.0], np.float32)
CASES: list[tuple[str, str, Change]] = [
    ("layout", "output.layout", one("map", lambda m: m.transpose(0, 2, 3, 1))),
    (
        "memory",
        "output.layout",
        one("map", lambda m: m.transpose(0, 2, 3, 1).copy().reshape(m.shape)),
    ),
    ("order", "output.order", lambda o: o | {"map": o["twin"], "twin": o["map"]}),
    (
        "padding",
        "output.padding",
        one("map", lambda m: np.pad(m, ((0, 0), (0, 3), (0, 0), (0, 0)))),
    ),
    ("logits", "output.activation_missing", one("scores", logits)),
    (
        "sigmoid twice",
        "output.activation_twice",
        one("scores", lambda s: 1 / (1 + np.exp(-s))),
    ),
    (
        "centres",
        "output.box_format",
        one(
            "boxes",
            lambda b: np.concatenate([(b[..., :2] + b[..., 2:]) / 2, b[..., 2:] - b[..., :2]], -1),
        ),
    ),
    ("y first", "output.box_format", one("boxes", lambda b: b[..., [1, 0, 3, 2]])),
    ("unit", "output.box_format", one("boxes", lambda b: b / BOX)),
    ("threshold", "output.threshold", one("scores", lambda s: np.where(s < 0.5, 0, s))),
    ("other scale", "output.wrong_qparams", one("map", lambda m: m * 1.7 + 0.4)),
]


@pytest.mark.parametrize(("cause", "change"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_an_output_mistake_is_found_with_a_reference_alone(cause, change) -> None:
    base, found = recorded(change)
    assert base.residual > 3
    assert [set(row.causes) for row in found] == [{cause}]
    assert found[0].residual < 2


@pytest.mark.parametrize("known", [True, False], ids=["contract", "no contract"])
@pytest.mark.parametrize("name", ["map", "scores"])
def test_codes_are_found_with_and_without_a_contract(name, known) -> None:
    def change(outputs: Outputs) -> Outputs:
        scale, zero = STEPS[name]
        return outputs | {
            name: np.clip(np.rint(outputs[name] / scale) + zero, 0, 255).astype("uint8")
        }

    assert [set(row.causes) for row in recorded(change, known=known)[1]] == [
        {"output.not_dequantized"}
    ]


def test_all_outputs_left_as_codes_are_one_cause() -> None:
    found = recorded(lambda o: o, raw=True, known=True)[1]
    assert [set(row.causes) for row in found] == [{"output.not_dequantized"}]
    assert {mistake.where for mistake in found[0].output} == {f"output {name!r}" for name in STEPS}


@pytest.mark.parametrize("known", [True, False], ids=["contract", "no contract"])
def test_dequantised_twice_is_told_from_another_scale(known) -> None:
    found = recorded(one("map", twice_dequantised("map")), known=known)[1]
    assert [set(row.causes) for row in found] == [{"output.dequantized_twice"}]


def test_a_healthy_device_has_no_output_mistake() -> None:
    base, found = recorded(lambda o: o)
    assert base.residual < 2
    assert found == []


def test_outputs_of_nobody_are_explained_by_nothing() -> None:
    strange = np.random.default_rng(99)
    assert recorded(one("map", lambda m: strange.normal(0, 1.5, m.shape)))[1] == []


def test_a_mistake_in_one_frame_alone_is_not_accepted() -> None:
    turned = iter([True, False, False])
    change = one("boxes", lambda b: b[..., [1, 0, 3, 2]] if next(turned) else b)
    assert recorded(change)[1] == []


def test_without_a_network_no_input_is_tried() -> None:
    frames = [Frame("one", None, {}, None, None, reference(0), reference(0))]
    there = Scene(None, "input", None, (), None, tuple(frames))
    (only,) = instruments(there).rows
    assert only.name == "reference"
    assert only.intended(frames[0]) is not None


# --- with an input mistake ------------------------------------------------------------------------

PICTURES = (picture(0), picture(1))
INPUTS = {
    "input.channel_order": lambda p: host(p[..., ::-1]),
    "input.double_normalization": lambda p: host(p) / 255,
    "input.wrong_mean_std": lambda p: host(p, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
GIVES = {
    "output.not_dequantized": codes,
    "output.layout": lambda v: {**device(v), "map": device(v)["map"].transpose(0, 2, 3, 1).copy()},
    "output.padding": lambda v: {
        **device(v),
        "map": np.pad(device(v)["map"], ((0, 0), (0, 8), (0, 0), (0, 0))),
    },
    "output.activation_missing": lambda v: {
        **device(v),
        "logits": np.exp(device(v)["logits"]) / np.exp(device(v)["logits"]).sum(),
    },
}


def contract() -> Contract:
    rows = [TensorContract(n, (1,), "uint8", scale=s, zero_point=128) for n, s in grids().items()]
    return Contract((), tuple(rows))


@pytest.mark.parametrize("output", GIVES)
@pytest.mark.parametrize("cause", INPUTS)
def test_an_input_and_an_output_mistake_are_found_together(cause, output) -> None:
    frames = [frame(i, p, GIVES[output](INPUTS[cause](p))) for i, p in enumerate(PICTURES)]
    there = replace(scene(frames), contract=contract() if "dequant" in output else None)
    best = searched(there)[1]
    assert set(best[0].causes) == {cause, output}
    assert all(len(row.causes) == 2 for row in best)


# --- which array is which output ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device_rows", "expected"),
    [
        ([("a", 6), ("b", 4)], {"a": "a", "b": "b"}),
        ([("b", 4), ("a", 6)], {"a": "a", "b": "b"}),
        ([("p", 4), ("q", 6)], {"a": "q", "b": "p"}),  # by size
        ([("q", 24), ("p", 4)], {"a": "q", "b": "p"}),  # what is left over, padded
        ([("b", 6), ("q", 4)], {"a": "q", "b": "b"}),  # a name is believed
        ([("p", 6)], {"a": "p", "b": ""}),
        ([], {"a": "", "b": ""}),
    ],
)
def test_outputs_are_paired_by_name_then_by_size_then_by_place(device_rows, expected) -> None:
    assert pair_names({"a": (2, 3), "b": (4,)}, device_rows) == expected


@pytest.mark.parametrize(
    ("values", "step"),
    [
        (np.array([0.0, 0.5, 2.0, 3.5]), 0.5),
        (np.array([1.0, 1.3, 1.9, 2.8]), 0.3),
        (np.array([0.0, 0.2, 0.5]), 0.1),  # the least gap is two steps
        (np.array([0.0, 1.0]), None),
        (np.random.default_rng(1).normal(0, 1, 300), None),
    ],
)
def test_a_grid_is_the_step_of_all_differences(values: Sequence[float], step) -> None:
    assert grid(np.asarray(values)) == (None if step is None else pytest.approx(step))
