"""Scenes for the tests of the diagnosis: a small network that sees, pictures, and a device.

The device is ONNX Runtime on the float network, its outputs rounded to a grid of this file's own:
its noise is not that of our integers. What it is fed is prepared by plain NumPy in the tests.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bittrue import chain
from bittrue.contract.preprocess import Preprocess
from bittrue.contract.tensor import Contract
from bittrue.diagnosis.decide import accepted
from bittrue.diagnosis.door import Door, usual_doors
from bittrue.diagnosis.experiment import Experiment, Tried
from bittrue.diagnosis.hypotheses import Hypothesis, hypotheses
from bittrue.diagnosis.instruments import instruments
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.diagnosis.search import Searched, search
from bittrue.stages import Subject

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Arrays = Mapping[str, np.ndarray]

SIDE = 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RECIPE = Preprocess(size=(SIDE, SIDE), resize="none", mean=MEAN, std=STD)
TOML = f"""size = [{SIDE}, {SIDE}]
resize = "none"
mean = {list(MEAN)}
std = {list(STD)}
"""


def seeing_onnx() -> bytes:
    """Three convolutions to `map` [1, 8, 8, 8], and a pool and a Gemm to `logits` [1, 10]."""
    rng = np.random.default_rng(11)

    def weight(name: str, spread: float, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(0, spread, shape).astype(np.float32), name)

    nodes = [
        helper.make_node(
            "Conv", ["images", "w1", "b1"], ["c1"], "one", strides=[2, 2], pads=[1] * 4
        ),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "two", strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("Conv", ["r2", "w3"], ["map"], "three"),
        helper.make_node("GlobalAveragePool", ["r2"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w4", "b4"], ["logits"], "dense", transB=1),
    ]
    constants = [
        weight("w1", 0.3, 12, 3, 3, 3),
        weight("b1", 0.3, 12),
        weight("w2", 0.2, 16, 12, 3, 3),
        weight("b2", 0.2, 16),
        weight("w3", 0.4, 8, 16, 1, 1),
        weight("w4", 0.5, 10, 16),
        weight("b4", 0.5, 10),
    ]
    graph = helper.make_graph(
        nodes,
        "seeing",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 8, SIDE // 4, SIDE // 4]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> U8:
    """Waves of three colours under a bright and a dark corner, uint8 [1, H, W, 3], 0 and 255 in it.

    Nothing in it is symmetric, and neighbours are alike as in a photograph.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 32.0
    waves = []
    for channel in range(3):
        phase, turn = rng.uniform(0, 6, 2), rng.uniform(2, 9, 4)
        one = np.sin(turn[0] * x + turn[1] * y + phase[0])
        other = np.sin(turn[2] * x - turn[3] * y + phase[1])
        waves.append(90 + 30 * channel + 60 * one + 40 * other)
    made = np.stack(waves, axis=-1) + rng.normal(0, 6, (height, width, 3))
    made[: height // 3, : width // 4] += 90
    made[height // 2 : height // 2 + 6, width // 3 :] -= 110
    whole = np.clip(np.rint(made), 0, 255).astype(np.uint8)[None]
    whole[0, 0, 0], whole[0, -1, -1] = 255, 0
    return whole


def host(pixels: np.ndarray, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> F32:
    """Pixels [1, H, W, 3] normalised by plain NumPy: float32 [1, H, W, 3]."""
    wide = np.asarray(pixels, np.float64) / 255.0
    return np.asarray((wide - np.array(mean)) / np.array(std), np.float32)


@functools.cache
def _session() -> object:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(seeing_onnx(), options, ["CPUExecutionProvider"])


def run_float(values: np.ndarray) -> dict[str, F32]:
    """What ONNX Runtime gives for values [1, H, W, 3]."""
    fed = np.ascontiguousarray(values.transpose(0, 3, 1, 2), np.float32)
    made = _session().run(["map", "logits"], {"images": fed})  # type: ignore[attr-defined]
    return {"map": made[0], "logits": made[1]}


@functools.cache
def grids() -> dict[str, float]:
    """The step of each output's codes on the device: 250 of them over what four pictures span."""
    rows = [run_float(host(picture(seed))) for seed in range(4)]
    return {
        name: float(max(np.abs(row[name]).max() for row in rows)) / 125
        for name in ("map", "logits")
    }


def device(values: np.ndarray) -> dict[str, np.ndarray]:
    """What the device gives for the values that it computes with, as real numbers on its grid."""
    return {
        name: np.asarray(np.rint(row / grids()[name]) * grids()[name], np.float32)
        for name, row in run_float(values).items()
    }


def codes(values: np.ndarray) -> dict[str, np.ndarray]:
    """The same as uint8 codes with zero point 128."""
    return {
        name: np.clip(np.rint(row / grids()[name]) + 128, 0, 255).astype(np.uint8)
        for name, row in run_float(values).items()
    }


@functools.cache
def subject(stage: str = "compiled") -> Subject:
    """The network at a stage: native or compiled."""
    if stage == "native":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "seeing.onnx"
            path.write_bytes(seeing_onnx())
            network = chain.import_model(path, preprocess=RECIPE)
        return Subject("seeing.onnx", network, None)
    native = subject("native").network
    assert native is not None
    samples = [picture(seed) for seed in range(20, 26)]
    network = chain.compile(chain.quantize(chain.optimize(native), samples, observer="minmax"))
    return Subject("seeing.bta", network, network.executable)


def frame(index: int, pixels: U8, gave: Arrays, **more: object) -> Frame:
    """A frame whose intended input is made of pixels."""
    planar = np.ascontiguousarray(host(pixels).transpose(0, 3, 1, 2))
    made = Frame(f"frame {index + 1}", None, {"images": planar}, pixels, None, gave, {})
    return replace(made, **more)  # type: ignore[arg-type]


def scene(
    frames: Sequence[Frame],
    *,
    doors: tuple[Door, ...] | None = None,
    contract: Contract | None = None,
    stage: str = "compiled",
) -> Scene:
    """A scene of the seeing network."""
    found = usual_doors(RECIPE) if doors is None else doors
    return Scene(subject(stage), "images", RECIPE, found, contract, tuple(frames))


def experiment(made: Scene) -> Experiment:
    """An experiment on a scene, outputs paired by their names."""
    tools = instruments(made)
    return Experiment(made, tools.noise, tools.rows, {"map": "map", "logits": "logits"})


def searched(
    made: Scene,
    *,
    budget: float = 60.0,
    fit: bool = False,
    rows: Sequence[Hypothesis] | None = None,
) -> tuple[Searched, list[Tried]]:
    """Every input mistake tried, and what is accepted of it."""
    ours = experiment(made)
    found = search(ours, hypotheses(made) if rows is None else rows, budget=budget, fit=fit)
    return found, accepted(found, ours)
