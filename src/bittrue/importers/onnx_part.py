"""A part of an ONNX file as an ONNX file: what runs between any of its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from bittrue.errors import UsageError
from bittrue.graph.model import Shape
from bittrue.importers.onnx_cut import needed_tensors
from bittrue.importers.onnx_file import serialized
from bittrue.suggest import did_you_mean


def part_of(model: bytes, inputs: Mapping[str, Shape], outputs: Sequence[str]) -> bytes:
    """Return the part of an ONNX file that makes some of its tensors from others.

    Args:
        model: The file's bytes, without external data.
        inputs: Tensors that are given, and their shapes; inputs of the file keep their type, inner
            tensors become float32 inputs.
        outputs: Tensors that become the outputs; their types are left open.

    Raises:
        UsageError: if the file has no such tensor.
    """
    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    makers = {name: node for node in graph.node for name in node.output if name}
    there = {row.name: row for row in graph.input}
    fixed = {row.name for row in graph.initializer}
    for name in (*inputs, *outputs):
        if name not in makers and name not in there and name not in fixed:
            raise UsageError(
                f"the file has no tensor {name!r}", hint=did_you_mean(name, [*makers, *there])
            )
    reads = {name: _reads(node) for name, node in makers.items()}
    needed = needed_tensors(reads, outputs, inputs)
    nodes = [node for node in graph.node if needed.intersection(node.output) - inputs.keys()]
    given = [there.get(name) or _float_info(name, shape) for name, shape in inputs.items()]
    kept = [row for row in graph.initializer if row.name in needed]
    for rows, new in ((graph.node, nodes), (graph.input, given), (graph.initializer, kept)):
        copies = [type(row).FromString(row.SerializeToString()) for row in new]
        del rows[:]
        rows.extend(copies)
    del graph.output[:]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return serialized(proto)


def _reads(node: onnx.NodeProto) -> set[str]:
    """Return what a node reads, its inner graphs included."""
    found = set(node.input)
    for attr in node.attribute:
        for graph in (attr.g, *attr.graphs):
            found.update(*(_reads(inner) for inner in graph.node))
            found.update(row.name for row in graph.output)
    return found


def _float_info(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
