"""A network with knobs: each stored value can be cut off and rounded, each weight replaced.

One ONNX model serves every experiment on how a network was quantised: the knobs are inputs with
defaults that change nothing, so that a session is made once.

    stored = turned(raw) = round(clip(raw, low, high) / step) * step      (step 0: no rounding)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bittrue.graph.model import Graph
from bittrue.importers.export import to_onnx
from bittrue.importers.onnx_file import serialized

#: Operators that only move values: what they make is stored as what they read.
MOVES = frozenset(
    (
        *("Reshape", "Transpose", "Slice", "Gather", "Expand", "Tile"),
        *("DepthToSpace", "SpaceToDepth", "Split", "Pad", "MaxPool"),
    )
)
#: Wider than any range: what is cut off here is nothing.
WIDE = np.float32(3e38)


@dataclass(frozen=True, slots=True)
class Altered:
    """The model and its knobs.

    Args:
        model: ONNX bytes. Outputs: the graph's own, then `raw` of every stored value.
        stored: Names of the values that have knobs, in running order.
        raw: By stored value: the tensor as it is before it is stored.
        weights: By node name: the constant that its weights are.
        clips: By node name: the constants of its fused activation's bounds, low and high; empty
            for one that there is not.
    """

    model: bytes
    stored: tuple[str, ...]
    raw: Mapping[str, str]
    weights: Mapping[str, str]
    clips: Mapping[str, tuple[str, str]]


def knobs(name: str) -> tuple[str, str, str]:
    """Return the names of the inputs that cut a value off and round it: low, high, step."""
    return f"{name}/knob.low", f"{name}/knob.high", f"{name}/knob.step"


def altered(graph: Graph, *, rounding: bool = True) -> Altered:
    """Return a float graph with knobs.

    Args:
        graph: After the float passes, so that batch norms are folded and activations fused.
        rounding: Whether stored values can be rounded: without, a run takes half the time.

    Raises:
        ModelError: if the model is longer than protobuf allows.
    """
    proto = onnx.load_model_from_string(to_onnx(graph))
    stored = tuple(_stored(graph))
    raw = {name: f"{name}/raw" for name in stored}
    nodes: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        made = [raw.get(name, name) for name in node.output]
        del node.output[:]
        node.output.extend(made)
        nodes.append(node)
        for name in (name for name in stored if raw[name] in made):
            nodes += _turned(raw[name], name) if rounding else [_cut(raw[name], name, name)]
    _replace(proto.graph.node, nodes)
    for name in stored:
        defaults = (-WIDE, WIDE, np.float32(0))[: 3 if rounding else 2]
        for knob, default in zip(knobs(name), defaults, strict=False):
            proto.graph.initializer.append(numpy_helper.from_array(np.asarray(default), knob))
    proto.graph.output.extend(
        helper.make_tensor_value_info(raw[name], TensorProto.FLOAT, graph.values[name].shape)
        for name in stored
    )
    weights = {
        node.name: node.inputs[1]
        for node in graph.nodes
        if node.op in ("Conv", "ConvTranspose", "Dense") and node.inputs[1] in graph.constants
    }
    clips = _clips(proto)
    _open_defaults(proto, {*weights.values(), *(name for row in clips.values() for name in row)})
    return Altered(serialized(proto), stored, raw, weights, clips)


def _stored(graph: Graph) -> list[str]:
    return [
        name
        for node in graph.nodes
        if node.op not in MOVES
        for name in node.outputs
        if name and graph.values[name].dtype == "float32" and name not in graph.constants
    ]


def _turned(raw: str, name: str) -> list[onnx.NodeProto]:
    """Return the nodes that make a stored value of what was computed."""
    step = knobs(name)[2]
    inner = {part: f"{name}/{part}" for part in ("cut", "scaled", "whole", "rounded", "on")}
    made = (
        ("Div", (inner["cut"], step), inner["scaled"]),
        ("Round", (inner["scaled"],), inner["whole"]),
        ("Mul", (inner["whole"], step), inner["rounded"]),
        ("Cast", (step,), inner["on"]),
        ("Where", (inner["on"], inner["rounded"], inner["cut"]), name),
    )
    nodes = [
        _cut(raw, name, inner["cut"]),
        *(
            helper.make_node(op, list(reads), [gives], name=f"{name}/knob.{op}")
            for op, reads, gives in made
        ),
    ]
    nodes[4].attribute.append(helper.make_attribute("to", int(TensorProto.BOOL)))
    return nodes


def _cut(raw: str, name: str, result: str) -> onnx.NodeProto:
    """Return the node that cuts a value off."""
    low, high, _ = knobs(name)
    return helper.make_node("Clip", [raw, low, high], [result], name=f"{name}/knob.Clip")


def _clips(proto: onnx.ModelProto) -> dict[str, tuple[str, str]]:
    """Return the bounds of fused activations, by the name of the node that they are fused into."""
    there = {row.name for row in proto.graph.initializer}
    found = {}
    for node in proto.graph.node:
        if node.op_type != "Clip" or "/knob." in "".join(node.input[1:]):
            continue
        names = [*node.input[1:], "", ""][:2]
        if all(not name or name in there for name in names):
            found[node.name.removesuffix("/Clip")] = (names[0], names[1])
    return found


def _open_defaults(proto: onnx.ModelProto, names: set[str]) -> None:
    """List constants among the inputs, so that a run may give others in their place."""
    for row in proto.graph.initializer:
        if row.name in names or "/knob." in row.name:
            proto.graph.input.append(
                helper.make_tensor_value_info(row.name, row.data_type, list(row.dims))
            )


def _replace(rows: Sequence[onnx.NodeProto], new: list[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(row.SerializeToString()) for row in new]
    del rows[:]  # type: ignore[attr-defined]
    rows.extend(copies)  # type: ignore[attr-defined]
