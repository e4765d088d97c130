"""A tiny network at every stage, made once, for the tests of archive, stages and commands."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bittrue import chain
from bittrue.contract.preprocess import Preprocess
from bittrue.network import Network
from bittrue.stages import Subject

SIDE = 16
PREPROCESS = Preprocess(size=(SIDE, SIDE), colour="BGR", mean=(0.5, 0.4, 0.3), std=(0.5, 0.4, 0.3))
TOML = """size = [16, 16]
colour = "BGR"
mean = [0.5, 0.4, 0.3]
std = [0.5, 0.4, 0.3]
"""


def tiny_onnx() -> bytes:
    """Conv, Relu, depthwise Conv, Mul by a scalar, pool, Flatten, Gemm: 1x3x16x16 to 1x5."""
    rng = np.random.default_rng(3)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(0, 0.4, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["images", "w1", "b1"], ["c1"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "depthwise", group=8, pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["c2", "half"], ["m2"], "halve"),
        helper.make_node("GlobalAveragePool", ["m2"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["logits"], "dense", transB=1),
    ]
    constants = [
        weight("w1", 8, 3, 3, 3),
        weight("b1", 8),
        weight("w2", 8, 1, 3, 3),
        numpy_helper.from_array(np.float32(0.5), "half"),
        weight("w3", 5, 8),
        weight("b3", 5),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 5])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def pixels(seed: int) -> np.ndarray:
    """A raw picture, uint8 [1, 16, 16, 3], with 0 and 255 in it."""
    raw = np.random.default_rng(seed).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    raw[0, 0, 0], raw[0, 0, 1] = 0, 255
    return raw


def write_onnx(folder: Path) -> Path:
    path = folder / "tiny.onnx"
    path.write_bytes(tiny_onnx())
    return path


def write_inputs(folder: Path) -> Path:
    """Write tiny.onnx, pre.toml, pictures/ and x.png into a folder, and return it."""
    write_onnx(folder)
    (folder / "pre.toml").write_text(TOML)
    (folder / "pictures").mkdir()
    for seed in range(4):
        Image.fromarray(pixels(seed)[0]).save(folder / "pictures" / f"{seed}.png")
    Image.fromarray(pixels(9)[0]).save(folder / "x.png")
    return folder


@functools.cache
def tiny(stage: str = "compiled") -> Network:
    """The network, taken as far as a stage: native, fp_optimized, quantized or compiled."""
    if stage == "native":
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            return chain.import_model(write_onnx(Path(folder)), preprocess=PREPROCESS)
    if stage == "fp_optimized":
        return chain.optimize(tiny("native"))
    if stage == "quantized":
        samples = [pixels(seed) for seed in range(4)]
        return chain.quantize(tiny("fp_optimized"), samples, observer="minmax")
    return chain.compile(tiny("quantized"))


def subject(stage: str = "compiled") -> Subject:
    network = tiny(stage)
    return Subject("tiny.bta", network, network.executable)
