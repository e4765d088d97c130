"""What can be wrong with a deployed network itself: ranges, weights, another version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

Edit = Callable[[onnx.ModelProto, float], None]


def edited(source: Path, target: Path, edit: Edit, place: float) -> None:
    """Write a copy of a network after one edit.

    Args:
        source: int8 network of QuantizeLinear and DequantizeLinear, or a float one.
        target: Where to.
        edit: Changes the model at a place.
        place: 0 is the network's beginning, 1 its end.
    """
    model = onnx.load(source)
    edit(model, place)
    onnx.save(model, target)


def clip_activations(model: onnx.ModelProto, place: float) -> None:
    """Make the range of one layer's activations a fifth of what it should be."""
    _rescale(model, place, 0.2)


def coarsen_activations(model: onnx.ModelProto, place: float) -> None:
    """Make the steps of one layer's activations 24 times as wide."""
    _rescale(model, place, 24.0)


def _rescale(model: onnx.ModelProto, place: float, factor: float) -> None:
    weights = {row.name: row for row in model.graph.initializer}
    scales = [node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    scales = [name for name in dict.fromkeys(scales) if name in weights]
    row = weights[scales[min(int(place * len(scales)), len(scales) - 1)]]
    if factor > 1 and _wide(model, weights):
        factor *= 257
    scaled = numpy_helper.to_array(row) * np.float32(factor)
    row.CopyFrom(numpy_helper.from_array(np.asarray(scaled, np.float32), row.name))


def _wide(model: onnx.ModelProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether its activations have 16 bits."""
    points = [node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    return any(
        name in constants and constants[name].data_type == onnx.TensorProto.UINT16
        for name in points
    )


def coarsen_weights(model: onnx.ModelProto, place: float) -> None:
    """Give one layer's weights a single scale, as coarse as one outlying channel makes it."""
    constants = {row.name: row for row in model.graph.initializer}
    layers = _weights_of_layers(model, constants)
    codes, scales = layers[min(int(place * len(layers)), len(layers) - 1)]
    integers = numpy_helper.to_array(constants[codes]).astype(np.float64)  # [O, ...] int8
    steps = numpy_helper.to_array(constants[scales]).astype(np.float64)  # [O]
    shape = (-1, *(1,) * (integers.ndim - 1)) if integers.shape[0] == steps.size else (1, -1)
    real = integers * steps.reshape(shape)
    coarse = 16 * np.abs(real).max() / 127
    kept = np.clip(np.rint(real / coarse), -127, 127).astype(np.int8)
    constants[codes].CopyFrom(numpy_helper.from_array(kept, codes))
    same = np.full(steps.shape, coarse, np.float32)
    constants[scales].CopyFrom(numpy_helper.from_array(same, scales))


def _weights_of_layers(
    model: onnx.ModelProto, constants: dict[str, onnx.TensorProto]
) -> list[tuple[str, str]]:
    """Return codes and scales of the weights of each layer that has a scale a channel."""
    found = []
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in constants:
            continue
        codes, scales = constants[node.input[0]], constants.get(node.input[1])
        one_a_channel = scales is not None and len(scales.dims) == 1 and scales.dims[0] > 1
        if one_a_channel and len(codes.dims) >= 2:
            found.append((node.input[0], node.input[1]))
    return found


def other_checkpoint(model: onnx.ModelProto, _: float) -> None:
    """Move every layer's weights as some more epochs of training would, by a tenth."""
    rng = np.random.default_rng(11)
    for row in model.graph.initializer:
        if row.data_type == onnx.TensorProto.FLOAT and len(row.dims) >= 2:
            weights = numpy_helper.to_array(row)
            moved = weights + 0.1 * weights.std() * rng.standard_normal(weights.shape)
            row.CopyFrom(numpy_helper.from_array(np.asarray(moved, np.float32), row.name))


def other_version(model: onnx.ModelProto, place: float) -> None:
    """Leave out one activation, as an export of an older version of the code would."""
    nodes = [node for node in model.graph.node if node.op_type in {"Relu", "Clip", "LeakyRelu"}]
    nodes = nodes or [node for node in model.graph.node if node.op_type in {"PRelu", "Sigmoid"}]
    node = nodes[min(int(place * len(nodes)), len(nodes) - 1)]
    kept = onnx.helper.make_node("Identity", node.input[:1], node.output, name=node.name)
    node.CopyFrom(kept)
