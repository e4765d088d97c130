"""What no input or output mistake explains: nothing, ordinary noise, or the network itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

import onnxruntime

from bittrue import Session
from bittrue.diagnosis.inner import inner_names
from bittrue.diagnosis.instruments import instruments
from bittrue.diagnosis.leftover import Leftover, left_unexplained
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.diagnosis.search import search
from tests.unit.scenes import (
    device,
    experiment,
    frame,
    grids,
    host,
    picture,
    run_float,
    scene,
    seeing_onnx,
    subject,
)

PICTURES = (picture(0), picture(1), picture(2))
NAMES = {"map": "map", "logits": "logits"}
Outputs = Mapping[str, np.ndarray]
RNG = np.random.default_rng(21)


def left(gave: Sequence[Outputs]) -> Leftover:
    """What is said of frames whose outputs no input or output mistake is asked to explain."""
    rows = zip(PICTURES, gave, strict=False)
    there = scene([frame(i, p, outputs) for i, (p, outputs) in enumerate(rows)])
    return of_scene(there)


def of_scene(there: Scene) -> Leftover:
    tools = instruments(there)
    ours = replace(experiment(there), noise=tools.noise, instruments=tools.rows, inner=tools.inner)
    base = search(ours, [], budget=0.0, fit=False).baseline
    return left_unexplained(there, base, tools, NAMES, budget=30.0, seen=lambda *item: None)


def causes(found: Leftover) -> list[str]:
    return [cause for row in found.explanations for cause in row.causes]


# --- nothing --------------------------------------------------------------------------------------


def ours(p: np.ndarray) -> dict[str, np.ndarray]:
    return Session(subject().executable or b"").run({"images": p})


def test_every_bit_of_our_executable_is_nothing() -> None:
    found = left([ours(p) for p in PICTURES])
    assert causes(found) == ["none"]
    assert found.explanations[0].confidence == 1.0
    assert "our executable" in found.explanations[0].evidence[0]


def test_floats_are_nothing() -> None:
    assert causes(left([run_float(host(p)) for p in PICTURES])) == ["none"]


def test_another_grid_of_8_bits_is_ordinary() -> None:
    found = left([device(host(p)) for p in PICTURES])
    assert causes(found)[0] in ("quant.expected", "runtime.rounding")
    assert found.explanations[0].confidence == 0.9


def test_one_code_more_or_less_than_our_executable_is_another_rounding() -> None:
    gave = []
    for p in PICTURES:
        steps, made = grids(), {}
        for name, row in ours(p).items():
            whole = np.rint(row / steps[name]) + RNG.integers(-1, 2, row.shape)
            made[name] = (whole * steps[name]).astype(np.float32)
        gave.append(made)
    assert causes(left(gave)) == ["runtime.rounding"]
    # One code too many on average is no rounding: its mean is 0.
    moved = [{name: row + np.float32(grids()[name]) for name, row in g.items()} for g in gave]
    assert "runtime.rounding" not in causes(left(moved))


def test_noise_of_twice_the_ordinary_amplitude_is_ordinary() -> None:
    gave = []
    for p in PICTURES:
        exact, coded = run_float(host(p)), ours(p)
        gave.append({name: exact[name] + 2 * (coded[name] - exact[name]) for name in exact})
    assert causes(left(gave)) == ["quant.expected"]


# --- by elimination -------------------------------------------------------------------------------


def strange(factor: float = 1.0) -> list[dict[str, np.ndarray]]:
    return [
        {
            name: factor * row + RNG.normal(0, 0.5 * float(row.std()), row.shape)
            for name, row in run_float(host(p)).items()
        }
        for p in PICTURES
    ]


def test_what_nothing_reproduces_is_said_to_be_by_elimination() -> None:
    found = left(strange())
    assert causes(found) == ["graph.weights", "quant.activations"]
    for row in found.explanations:
        assert (row.confidence, row.proved) == (0.3, False)
        assert row.mistakes[0].decided_by == "statistics"
        assert row.mistakes[0].mend


def test_outputs_that_are_smaller_throughout_may_have_saturated() -> None:
    found = left(strange(0.85))
    assert "runtime.saturation" in causes(found)
    assert "0.8" in " ".join(found.explanations[-1].evidence)


@pytest.mark.parametrize("bad", [1, 2])
def test_frames_of_garbage_are_not_left_out_as_noise(bad) -> None:
    frames = []
    for index in range(8):
        gave = device(host(picture(index)))
        if index < bad:
            rng = np.random.default_rng(index)
            gave = {name: rng.normal(0, np.std(row), row.shape) for name, row in gave.items()}
        frames.append(frame(index, picture(index), gave))
    assert "quant.expected" not in causes(of_scene(scene(frames)))


def test_a_frame_that_lacks_a_tensor_of_the_others_is_no_error() -> None:
    frames = [frame(i, picture(i), device(host(picture(i)))) for i in range(3)]
    frames[1] = replace(frames[1], device={"map": frames[1].device["map"]})
    assert of_scene(scene(frames)).explanations


def test_where_the_noise_is_guessed_10_db_are_ordinary() -> None:
    def scene_of(factor: float) -> Scene:
        frames = []
        for index, p in enumerate(PICTURES):
            exact = run_float(host(p))
            rng = np.random.default_rng(index)
            gave = {
                name: row + factor * np.sqrt(np.square(row).mean()) * rng.normal(0, 1, row.shape)
                for name, row in exact.items()
            }
            frames.append(Frame(f"{index}", None, {}, None, None, gave, exact))
        return Scene(None, "images", None, (), None, tuple(frames))

    # 10 dB are a factor of 10^-0.5 = 0.316 in amplitude.
    ordinary = of_scene(scene_of(0.25))
    assert causes(ordinary) == ["quant.expected"]
    assert ordinary.explanations[0].confidence == 0.6
    assert causes(of_scene(scene_of(0.4)))[:1] == ["graph.weights"]


# --- the network itself ---------------------------------------------------------------------------


def built(
    knobs: Mapping[str, tuple[float, float, int]], taps: Sequence[str] = ()
) -> onnxruntime.InferenceSession:
    """The network with tensors cut off at low and high and stored in so many steps."""
    proto = onnx.load_model_from_string(seeing_onnx())
    nodes = []

    def stored(name: str, into: str) -> list[onnx.NodeProto]:
        low, high, count = knobs[name]
        step = (high - low) / count
        for part, number in (("low", low), ("high", high), ("step", step)):
            row = numpy_helper.from_array(np.float32(number), f"{name}.{part}")
            proto.graph.initializer.append(row)
        return [
            helper.make_node("Clip", [into, f"{name}.low", f"{name}.high"], [f"{name}.c"]),
            helper.make_node("Div", [f"{name}.c", f"{name}.step"], [f"{name}.d"]),
            helper.make_node("Round", [f"{name}.d"], [f"{name}.r"]),
            helper.make_node("Mul", [f"{name}.r", f"{name}.step"], [name]),
        ]

    for node in proto.graph.node:
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        made = [name for name in copy.output if name in knobs]
        for index, name in enumerate(copy.output):
            copy.output[index] = f"{name}.raw" if name in knobs else name
        nodes += [copy, *(row for name in made for row in stored(name, f"{name}.raw"))]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in taps)
    return onnxruntime.InferenceSession(proto.SerializeToString())


def gives(session: onnxruntime.InferenceSession, p: np.ndarray) -> dict[str, np.ndarray]:
    names = [row.name for row in session.get_outputs()]
    made = session.run(names, {"images": host(p).transpose(0, 3, 1, 2)})
    found = dict(zip(names, made, strict=True))
    for name, step in grids().items():
        found[name] = np.rint(found[name] / step) * np.float32(step)
    return found


def inner_of(pixels: np.ndarray, scale: float = 1.0) -> dict[str, float]:
    session = built({}, ("r1", "r2"))
    made = session.run(["r1", "r2"], {"images": pixels.transpose(0, 3, 1, 2)})
    return {name: scale * float(row.max()) for name, row in zip(("r1", "r2"), made, strict=True)}


def test_a_layer_in_coarse_steps_is_named() -> None:
    """One step is a twelfth of what the layer spans over these pictures."""
    high = max(inner_of(host(p))["r1"] for p in PICTURES)
    session = built({"r1": (0.0, high, 12)})
    found = left([gives(session, p) for p in PICTURES])
    assert causes(found) == ["quant.activations"]
    assert found.explanations[0].mistakes[0].where == "layer 'one'"
    assert found.explanations[0].proved
    assert found.gain > 2
    assert found.first_layer == "one"


def test_a_device_calibrated_with_raw_pixels_is_named() -> None:
    """Each value has 256 codes over what raw pixels make of it: the real ones have a few."""
    names = ("r1", "r2", "g", "map", "logits")
    probe = built({}, names[:3])
    raw = [p.astype(np.float32).transpose(0, 3, 1, 2) for p in PICTURES]
    rows = [dict(zip(names, probe.run(names, {"images": x}), strict=True)) for x in raw]
    spans = {
        name: (
            min(0.0, *(float(row[name].min()) for row in rows)),
            max(0.0, *(float(row[name].max()) for row in rows)),
            255,
        )
        for name in names
    }
    session = built(spans)
    gave = []
    for p in PICTURES:
        held = np.clip(np.rint(host(p)), 0, 255)  # the input too: one step is 1
        made = session.run(["map", "logits"], {"images": held.transpose(0, 3, 1, 2)})
        gave.append(dict(zip(("map", "logits"), made, strict=True)))
    found = left(gave)
    assert causes(found) == ["quant.calibration_domain"]
    assert found.explanations[0].mistakes[0].what.startswith("calibrated with raw pixels")


# --- inner tensors --------------------------------------------------------------------------------


def with_inner(session: onnxruntime.InferenceSession) -> Scene:
    return scene([frame(i, p, gives(session, p)) for i, p in enumerate(PICTURES)])


def test_inner_tensors_are_those_of_the_source_in_running_order() -> None:
    there = with_inner(built({}, ("r2", "r1")))
    assert inner_names(there) == ("r1", "r2")
    less = replace(there.frames[0], device={"map": np.zeros(3), "r2": np.zeros(3)})
    assert inner_names(replace(there, frames=(less, *there.frames[1:]))) == ("r2",)
    assert inner_names(replace(there, subject=None)) == ()


def test_the_first_inner_tensor_that_is_off_is_named() -> None:
    high = max(inner_of(host(p))["r2"] for p in PICTURES)
    there = with_inner(built({"r2": (0.0, 0.2 * high, 255)}, ("r1", "r2")))
    found = of_scene(there)
    assert found.first_layer == "r2"
    assert causes(found) == ["quant.clipping"]
    assert found.explanations[0].mistakes[0].where == "layer 'two'"
