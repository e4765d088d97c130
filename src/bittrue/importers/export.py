"""A Graph written back to ONNX, so that ONNX Runtime can run any stage of it.

Opset 18 (19 where an operator needs it); value names are kept, and the values asked for become
further outputs. With quantisation parameters, a value is quantised and dequantised where it is
made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bittrue.arith import QParams
from bittrue.dtypes import DTYPES
from bittrue.errors import InternalError
from bittrue.graph.elementwise import unary_expr
from bittrue.graph.expression import onnx_steps
from bittrue.graph.model import NO_CLIP, Attr, Graph, Node, Value
from bittrue.graph.names import fresh
from bittrue.graph.ops import FAMILIES, OPS
from bittrue.importers.onnx_file import serialized

OPSET = 18
#: The IR version that came with OPSET; every ONNX Runtime that knows the opset reads it.
IR_VERSION = 8
#: Slices backwards to the first element end before it; ONNX clamps this far end.
BEFORE_ALL = -(2**31)


def to_onnx(
    graph: Graph,
    taps: Sequence[str] = (),
    *,
    qdq: Mapping[str, QParams] | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """Return the graph as the bytes of an ONNX model.

    Args:
        graph: A legal graph.
        taps: Values that become outputs behind the graph's own; inputs and constants among them
            are left out, since the caller has them.
        qdq: Values that are quantised to uint8 and dequantised where they are made: their
            consumers, the outputs and the taps see what is left of them. Values that are not
            float32 are passed over.
        weights: Arrays that take the place of constants, by name, of the same shape.

    Raises:
        InternalError: if a name in taps, qdq or weights is not in the graph.
        ModelError: if the model is longer than protobuf allows.
    """
    points = {name: params for name, params in (qdq or {}).items() if _is_float(graph, name, "qdq")}
    writer = Writer(graph, points, taken=set(graph.values))
    writer.add_constants(graph.constants, weights or {})
    for name in graph.inputs:
        if name in points:
            writer.reads[name] = writer.fresh(f"{name}/dequantized")
            writer.add_point(name, writer.reads[name], points[name])
    for node in graph.nodes:
        writer.add(node)
    made = {name for node in graph.nodes for name in node.outputs}
    unknown = [name for name in taps if name not in graph.values]
    if unknown:
        raise InternalError(f"the graph has no value {unknown[0]!r} to tap")
    outputs = dict.fromkeys((*graph.outputs, *(name for name in taps if name in made)))
    opset = max((_row(node).opset(node) for node in graph.nodes), default=OPSET)
    model = helper.make_model(
        helper.make_graph(
            writer.nodes,
            graph.name,
            [_info(graph.values[name]) for name in graph.inputs],
            [_info(graph.values[name]) for name in outputs],
            list(writer.initializers.values()),
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=IR_VERSION,
        producer_name="bittrue",
    )
    return serialized(model)


def _info(value: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, DTYPES[value.dtype].onnx, value.shape)


def _is_float(graph: Graph, name: str, what: str) -> bool:
    if name not in graph.values:
        raise InternalError(f"the graph has no value {name!r}, named in {what}")
    return graph.values[name].dtype == "float32" and name not in graph.constants


@dataclass(slots=True)
class Writer:
    """The ONNX graph while it is being written.

    Args:
        graph: What is written.
        points: Values that are quantised and dequantised.
        taken: Names of tensors that no new one may have.
        nodes: The nodes written so far.
        initializers: The constants written so far.
        reads: What consumers read in place of a value, where that is another tensor.
    """

    graph: Graph
    points: Mapping[str, QParams]
    taken: set[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, TensorProto] = field(default_factory=dict)
    reads: dict[str, str] = field(default_factory=dict)

    def fresh(self, base: str) -> str:
        """Return a tensor name that starts with `base` and that nothing has."""
        return fresh(base, self.taken)

    def add_constants(
        self, constants: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]
    ) -> None:
        """Add the graph's constants, some of them replaced."""
        for name, array in weights.items():
            if name not in constants or constants[name].shape != array.shape:
                raise InternalError(f"{name!r} is no constant of shape {array.shape}")
        for name, array in constants.items():
            whole = np.ascontiguousarray(weights.get(name, array)).reshape(array.shape)
            self.initializers[name] = numpy_helper.from_array(whole, name)

    def constant(self, label: str, array: np.ndarray) -> str:
        """Add a constant that the graph does not have, and return its name."""
        name = self.fresh(label)
        self.initializers[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attrs: Mapping[str, object] | None = None,
        *,
        name: str = "",
    ) -> str:
        """Add an ONNX node and return its first output."""
        proto = helper.make_node(op, list(inputs), list(outputs), name=name or f"{outputs[0]}/{op}")
        for key, value in (attrs or {}).items():
            if value != ():
                proto.attribute.append(helper.make_attribute(key, _plain(value)))
        self.nodes.append(proto)
        return outputs[0]

    def step(self, op: str, inputs: Sequence[str], label: str) -> str:
        """Add an inner ONNX node whose result has no name in the graph; return that result."""
        return self.node(op, inputs, [self.fresh(label)])

    def add(self, node: Node) -> None:
        """Write one canonical node, its fused activation, and its points."""
        raw = [self.fresh(f"{name}/real") if name in self.points else name for name in node.outputs]
        low, high = node.clip
        clipped = node.clip != NO_CLIP
        outputs = [self.fresh(f"{raw[0]}/unclipped")] if clipped else raw
        inputs = [self.reads.get(name, name) for name in node.inputs]
        _row(node).write(self, node, inputs, outputs)
        if clipped:
            self.clip(outputs[0], raw[0], node, low, high)
        for name, real in zip(node.outputs, raw, strict=True):
            if name in self.points:
                self.add_point(real, name, self.points[name])

    def add_point(self, real: str, result: str, params: QParams) -> None:
        """Quantise the tensor `real` to uint8, and dequantise it as `result`."""
        per_channel = params.per_channel
        scale = params.scale if per_channel else params.scale.reshape(())
        zero = np.full(scale.shape, params.zero_point, np.uint8)
        attrs = {"axis": params.axis} if per_channel else {}
        grid = [self.constant(f"{result}/scale", scale), self.constant(f"{result}/zero", zero)]
        codes = self.node("QuantizeLinear", [real, *grid], [self.fresh(f"{result}/codes")], attrs)
        self.node("DequantizeLinear", [codes, *grid], [result], attrs)

    def clip(self, x: str, result: str, node: Node, low: float, high: float) -> None:
        """Write a Clip to bounds of the node's dtype; an infinite one is left out."""
        dtype = self.graph.values[node.outputs[0]].dtype
        bounds = [
            self.constant(f"{result}/{label}", np.asarray(bound, dtype))
            if math.isfinite(bound)
            else ""
            for label, bound in (("min", low), ("max", high))
        ]
        name = node.name if node.op == "Clip" else f"{node.name}/Clip"
        self.node("Clip", [x, *bounds], [result], name=name)


def _plain(value: object) -> object:
    """Return an attribute as ONNX takes it: flags are whole numbers."""
    return int(value) if isinstance(value, bool) else value


# --- one function for each operator whose ONNX form differs --------------------------------------

Write = Callable[[Writer, Node, Sequence[str], Sequence[str]], None]


def _attrs(node: Node, *without: str) -> dict[str, Attr]:
    return {
        row.name: node.attrs[row.name]
        for row in OPS[node.op].attrs
        if row.name != "clip" and row.name not in without
    }


def _same(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """The same operator and attributes in ONNX."""
    writer.node(node.op, inputs, outputs, _attrs(node), name=node.name)


def _conv(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Conv; an offset is subtracted first, so that padding stays the real value 0."""
    x = inputs[0]
    if node.input(3):
        rank = len(writer.graph.values[node.inputs[0]].shape)
        column = writer.constant(f"{node.name}/column", np.asarray((-1,) + (1,) * (rank - 2)))
        offset = writer.step("Reshape", [inputs[3], column], f"{node.name}/offset")  # [C, 1, 1]
        x = writer.step("Sub", [x, offset], f"{node.name}/shifted")
    kept = [x, inputs[1], *([inputs[2]] if node.input(2) else [])]
    writer.node("Conv", kept, outputs, _attrs(node), name=node.name)


def _dense(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Dense: Gemm for two axes, else MatMul and Add."""
    if len(writer.graph.values[node.inputs[0]].shape) == 2:
        writer.node("Gemm", inputs, outputs, {"transB": 1}, name=node.name)
        return
    turned = writer.step("Transpose", [inputs[1]], f"{node.name}/weights")  # [K, O]
    if not node.input(2):
        writer.node("MatMul", [inputs[0], turned], outputs, name=node.name)
        return
    product = writer.step("MatMul", [inputs[0], turned], f"{node.name}/product")
    writer.node("Add", [product, inputs[2]], outputs, name=node.name)


def _expression(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Pointwise, and what opset 18 has not: the expression's steps."""
    steps = onnx_steps(unary_expr(node) or "x")
    names: list[str] = []
    for index, (op, args) in enumerate(steps):
        read = [
            inputs[0]
            if arg == "x"
            else names[arg]
            if isinstance(arg, int)
            else writer.constant(f"{outputs[0]}/constant", np.asarray(arg, np.float32))
            for arg in args
        ]
        last = index == len(steps) - 1
        names.append(outputs[0] if last else writer.fresh(f"{outputs[0]}/{index}"))
        writer.node(op, read, [names[-1]], name=node.name if last else "")


def _clip_node(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Clip, whose bounds are inputs in ONNX."""
    writer.clip(inputs[0], outputs[0], node, node.number("min"), node.number("max"))


def _listed(attr: str, *attrs: str) -> Write:
    """Return the export of an operator with a list as second input, and some attributes."""

    def export(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        items = writer.constant(f"{outputs[0]}/{attr}", np.asarray(node.ints(attr), np.int64))
        kept = {name: node.attrs[name] for name in attrs}
        writer.node(node.op, [inputs[0], items], outputs, kept, name=node.name)

    return export


def _reduce(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    axes = node.ints("axes")
    items = writer.constant(f"{outputs[0]}/axes", np.asarray(axes, np.int64))
    attrs = {"keepdims": node.flag("keepdims"), "noop_with_empty_axes": int(not axes)}
    writer.node(node.op, [inputs[0], items], outputs, attrs, name=node.name)


def _reshape(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    shape = writer.constant(f"{outputs[0]}/shape", np.asarray(node.ints("shape"), np.int64))
    writer.node("Reshape", [inputs[0], shape], outputs, {"allowzero": 1}, name=node.name)


def _slice(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    starts, steps, sizes = node.ints("starts"), node.ints("steps"), node.ints("sizes")
    ends = [
        end if end >= 0 else BEFORE_ALL
        for end in (a + n * by for a, by, n in zip(starts, steps, sizes, strict=True))
    ]
    lists = {"starts": starts, "ends": ends, "axes": range(len(starts)), "steps": steps}
    read = [
        writer.constant(f"{outputs[0]}/{label}", np.asarray(items, np.int64))
        for label, items in lists.items()
    ]
    writer.node("Slice", [inputs[0], *read], outputs, name=node.name)


def _pad(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    dtype = writer.graph.values[node.inputs[0]].dtype
    pads = writer.constant(f"{outputs[0]}/pads", np.asarray(node.ints("pads"), np.int64))
    value = writer.constant(f"{outputs[0]}/value", np.asarray(node.number("value"), dtype))
    mode = node.text("mode")
    read = [inputs[0], pads, value] if mode == "constant" else [inputs[0], pads]
    writer.node("Pad", read, outputs, {"mode": mode}, name=node.name)


def _resize(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Resize by scales where those give the shape, else by the shape."""
    shape, scales = node.ints("shape"), np.asarray(node.numbers("scales"), np.float32)
    size = np.asarray(writer.graph.values[node.inputs[0]].shape, np.float32)
    if tuple(np.floor(size * scales).astype(int)) == shape:
        target = [writer.constant(f"{outputs[0]}/scales", scales)]
    else:
        target = ["", writer.constant(f"{outputs[0]}/sizes", np.asarray(shape, np.int64))]
    attrs = _attrs(node, "shape", "scales")
    writer.node("Resize", [inputs[0], "", *target], outputs, attrs, name=node.name)


def _cast(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    writer.node("Cast", inputs, outputs, {"to": DTYPES[node.text("to")].onnx}, name=node.name)


def _mod(writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Mod; floats have the sign of the dividend, which ONNX calls fmod."""
    floats = writer.graph.values[node.inputs[0]].dtype.startswith("float")
    writer.node("Mod", inputs, outputs, {"fmod": int(floats)}, name=node.name)


def _average_pool(
    writer: Writer, node: Node, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    """AveragePool, which has dilations from opset 19 on."""
    attrs = _attrs(node) if _dilated(node) > OPSET else _attrs(node, "dilations")
    writer.node("AveragePool", inputs, outputs, attrs, name=node.name)


def _dilated(node: Node) -> int:
    return 19 if set(node.ints("dilations")) != {1} else OPSET


def _wrapping(node: Node) -> int:
    return 19 if node.text("mode") == "wrap" else OPSET


def _symmetric(node: Node) -> int:
    mode = node.text("coordinate_transformation_mode")
    return 19 if mode == "half_pixel_symmetric" else OPSET


@dataclass(frozen=True, slots=True)
class Export:
    """How an operator is written in ONNX.

    Args:
        write: Adds its nodes.
        opset: The least opset from OPSET on that has what a node uses.
    """

    write: Write
    opset: Callable[[Node], int] = lambda node: OPSET


#: Operators that are written in another way than by their own name, inputs and attributes of OPSET.
EXPORTS: dict[str, Export] = {
    "Conv": Export(_conv),
    "Dense": Export(_dense),
    "Pointwise": Export(_expression),
    "Gelu": Export(_expression),
    "Clip": Export(_clip_node),
    "Mod": Export(_mod),
    "Cast": Export(_cast),
    "AveragePool": Export(_average_pool, _dilated),
    **dict.fromkeys(FAMILIES["reduction"], Export(_reduce)),
    "Reshape": Export(_reshape),
    "Split": Export(_listed("split", "axis")),
    "Slice": Export(_slice),
    "Pad": Export(_pad, _wrapping),
    "Resize": Export(_resize, _symmetric),
    "Expand": Export(_listed("shape")),
    "Tile": Export(_listed("repeats")),
}
_SAME = Export(_same)


def _row(node: Node) -> Export:
    """Return how a node is written: by its own name unless its operator has a row."""
    return EXPORTS.get(node.op, _SAME)
