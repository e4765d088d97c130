"""A parsed ONNX model as plain frozen data: nodes in running order, constants, inputs, outputs.

What ONNX offers for storing a constant (initialisers of every type, external files, Constant
nodes) ends here: later modules see NumPy arrays. float64, float16 and bfloat16 become float32.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from bittrue.dtypes import BY_ONNX
from bittrue.errors import FormatError
from bittrue.importers.onnx_file import DEFAULT_DOMAINS, opset_of
from bittrue.importers.onnx_tensor import READ_AS, as_read, dense, normal_dtype, read_tensor

Dims = tuple[int | str, ...]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceNode:
    """One node of an ONNX file.

    Args:
        name: Unique; made from operator and position where the file has none.
        op: ONNX's name of the operator.
        domain: Empty for ONNX's own.
        inputs: Tensors; behind them those that only its subgraphs read.
        outputs: Tensors.
        attrs: By name.
        inside: The node of the main graph that this one was put in the place of; empty for one
            that stands in the main graph itself.
    """

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, AttrValue]
    inside: str = ""

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.op} '{self.name}'"


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A branch of an If, or the body of an operator that ONNX defines by others.

    Args:
        nodes: In an order in which they can run.
        outputs: Tensor names.
        constants: By name; a text is the name of a type that bittrue does not read.
    """

    nodes: tuple[SourceNode, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, np.ndarray | str]

    @property
    def ops(self) -> frozenset[str]:
        """The operators in it, at any depth."""
        inner = [v.ops for n in self.nodes for v in n.attrs.values() if isinstance(v, Subgraph)]
        return frozenset(node.op for node in self.nodes).union(*inner)

    def captured(self) -> tuple[str, ...]:
        """Return the tensors that it reads and does not make."""
        made = {name for node in self.nodes for name in node.outputs} | set(self.constants) | {""}
        read = [name for node in self.nodes for name in node.inputs] + list(self.outputs)
        return tuple(dict.fromkeys(name for name in read if name not in made))


AttrValue = (
    int
    | float
    | str
    | np.ndarray
    | Subgraph
    | tuple[int, ...]
    | tuple[float, ...]
    | tuple[str, ...]
)


@dataclass(frozen=True, slots=True)
class SourceInput:
    """One input: its type as bittrue reads it, and its dimensions (a text where it is unknown).

    `dims` is None where the file says nothing at all; `dtype` is ONNX's name for the type where
    bittrue has none (`string`, `sequence`).
    """

    name: str
    dtype: str
    dims: Dims | None


@dataclass(frozen=True, slots=True)
class OnnxSource:
    """A whole ONNX graph.

    Args:
        name: The graph's name.
        opset: Version of ONNX's operator set.
        nodes: Without Constant nodes, in an order in which they can run.
        inputs: Without initialisers.
        outputs: Tensor names.
        constants: Every initialiser and Constant, as bittrue reads it.
        unreadable: Constants of a type that bittrue does not read: name and the type's name.
    """

    name: str
    opset: int
    nodes: tuple[SourceNode, ...]
    inputs: tuple[SourceInput, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, np.ndarray]
    unreadable: Mapping[str, str]

    def tensors(self) -> set[str]:
        """Return the names of all tensors."""
        names = {row.name for row in self.inputs} | set(self.constants) | set(self.unreadable)
        return names.union(*(set(node.outputs) - {""} for node in self.nodes))


def read_source(model: onnx.ModelProto, folder: Path | None) -> OnnxSource:
    """Return the graph of a parsed model as plain data.

    Args:
        model: As `onnx_file.parse` returns it.
        folder: Where external data lies; None refuses external data.

    Raises:
        FormatError: if the graph breaks ONNX's rules or external data is missing.
    """
    graph = model.graph
    nodes, arrays = _parts(graph, folder)
    _note_stand_ins(arrays)
    source = OnnxSource(
        name=graph.name or "network",
        opset=opset_of(model),
        nodes=tuple(nodes),
        inputs=tuple(_input(row) for row in graph.input if row.name not in arrays),
        outputs=tuple(row.name for row in graph.output),
        constants={k: as_read(v) for k, v in arrays.items() if not isinstance(v, str)},
        unreadable={name: what for name, what in arrays.items() if isinstance(what, str)},
    )
    return _sorted(source)


def _parts(
    graph: onnx.GraphProto, folder: Path | None
) -> tuple[list[SourceNode], dict[str, np.ndarray | str]]:
    """Return a graph's nodes without Constants, and its constants; a text is a type's name."""
    arrays: dict[str, np.ndarray | str] = {
        tensor.name: read_tensor(tensor, folder) for tensor in graph.initializer
    }
    arrays.update({row.values.name: dense(row, folder) for row in graph.sparse_initializer})
    nodes: list[SourceNode] = []
    for node in _named(graph.node, folder):
        if node.op == "Constant" and node.domain == "" and len(node.outputs) == 1:
            arrays[node.outputs[0]] = _constant(node)
        else:
            nodes.append(node)
    return nodes, arrays


def read_subgraph(graph: onnx.GraphProto, folder: Path | None) -> Subgraph:
    """Return a graph inside a node.

    Raises:
        FormatError: if it breaks ONNX's rules or external data is missing.
    """
    nodes, arrays = _parts(graph, folder)
    outputs = tuple(row.name for row in graph.output)
    raw = Subgraph(tuple(nodes), outputs, arrays)
    inputs = {row.name for row in graph.input}
    ready = _in_order(raw.nodes, {"", *raw.captured(), *arrays, *inputs})
    return replace(raw, nodes=ready)


def self_contained(model: onnx.ModelProto, data: bytes, folder: Path) -> bytes:
    """Return an ONNX file's bytes with its external data moved inside, so that they stand alone.

    Args:
        model: The parsed file; the data is moved into it.
        data: The file's bytes.
        folder: Where external data lies.

    Raises:
        FormatError: if its data is missing, or both are too long together.
    """
    outside = onnx.TensorProto.EXTERNAL
    rows = [row for row in model.graph.initializer if row.data_location == outside]
    for tensor in rows:
        array = read_tensor(tensor, folder)
        if isinstance(array, str):
            raise FormatError(f"constant {tensor.name!r} is {array}, outside the file")
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    try:
        return bytes(model.SerializeToString()) if rows else data
    except ValueError as why:
        raise FormatError(f"with its external data it is too long: {why}") from why


def _constant(node: SourceNode) -> np.ndarray | str:
    types = {"value_float": "float32", "value_floats": "float32"}
    types |= {"value_int": "int64", "value_ints": "int64"}
    for key, value in node.attrs.items():
        if key in ("value", "sparse_value") and isinstance(value, np.ndarray):
            return value
        if key in types and not isinstance(value, str):
            return np.asarray(value, types[key])
    return "/".join(str(value) for value in node.attrs.values() if isinstance(value, str)) or "none"


def _note_stand_ins(arrays: Mapping[str, np.ndarray | str]) -> None:
    for kind, wanted in READ_AS.items():
        names = [
            name
            for name, array in arrays.items()
            if not isinstance(array, str) and array.dtype.name == kind
        ]
        if names:
            _log.info("%d constants are %s and read as %s", len(names), kind, wanted)


# --- nodes -----------------------------------------------------------------------------------


def _named(protos: Iterable[onnx.NodeProto], folder: Path | None) -> Iterable[SourceNode]:
    taken: set[str] = set()
    for index, proto in enumerate(protos):
        name = proto.name or f"{proto.op_type}_{index}"
        while name in taken:
            name = f"{name}_{index}"
        taken.add(name)
        attrs = {row.name: _attr(row, folder) for row in proto.attribute}
        domain = "" if proto.domain in DEFAULT_DOMAINS else proto.domain
        inner = [
            name
            for value in attrs.values()
            if isinstance(value, Subgraph)
            for name in value.captured()
        ]
        inputs = (*proto.input, *(n for n in dict.fromkeys(inner) if n not in proto.input))
        yield SourceNode(name, proto.op_type, domain, inputs, tuple(proto.output), attrs)


def _attr(proto: onnx.AttributeProto, folder: Path | None) -> AttrValue:
    """Return an attribute's value; a text that names its type where it is none of ours."""
    kinds = onnx.AttributeProto
    if proto.type == kinds.INT:
        return int(proto.i)
    if proto.type == kinds.FLOAT:
        return float(proto.f)
    if proto.type == kinds.STRING:
        return bytes(proto.s).decode("utf-8", "replace")
    if proto.type == kinds.INTS:
        return tuple(int(item) for item in proto.ints)
    if proto.type == kinds.FLOATS:
        return tuple(float(item) for item in proto.floats)
    if proto.type == kinds.STRINGS:
        return tuple(bytes(item).decode("utf-8", "replace") for item in proto.strings)
    if proto.type == kinds.TENSOR:
        return read_tensor(proto.t, folder)
    if proto.type == kinds.SPARSE_TENSOR:
        return dense(proto.sparse_tensor, folder)
    if proto.type == kinds.GRAPH:
        return read_subgraph(proto.g, folder)
    return "an unknown attribute"


def _input(proto: onnx.ValueInfoProto) -> SourceInput:
    if not proto.type.HasField("tensor_type"):
        kind = proto.type.WhichOneof("value") or "untyped"
        return SourceInput(proto.name, kind.removesuffix("_type"), None)
    tensor = proto.type.tensor_type
    dtype = normal_dtype(tensor.elem_type)
    if tensor.elem_type in (onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE):
        kind = BY_ONNX[tensor.elem_type].name
        _log.warning("input %s is %s and read as float32", proto.name, kind)
    if not tensor.HasField("shape"):
        return SourceInput(proto.name, dtype, None)
    dims = tuple(
        int(dim.dim_value) if dim.dim_value > 0 else str(dim.dim_param or "?")
        for dim in tensor.shape.dim
    )
    return SourceInput(proto.name, dtype, dims)


def _sorted(source: OnnxSource) -> OnnxSource:
    """Return the source with its nodes in running order, which some exporters do not keep.

    Raises:
        FormatError: if a tensor is made twice, never, or from itself, or an output is not made or
            listed twice.
    """
    known = {row.name for row in source.inputs} | set(source.constants) | set(source.unreadable)
    made = [name for node in source.nodes for name in node.outputs if name]
    twice = sorted(name for name, times in Counter(made).items() if times > 1 or name in known)
    if twice:
        raise FormatError(f"tensors are made twice: {', '.join(twice[:5])}")
    available = known | set(made) | {""}
    missing = [name for node in source.nodes for name in node.inputs if name not in available]
    missing += [name for name in source.outputs if name not in available or not name]
    if missing or not source.outputs:
        what = ", ".join(repr(name) for name in dict.fromkeys(missing)) or "the outputs"
        raise FormatError(f"no node makes {what}", hint="export the file again")
    repeated = sorted(name for name, times in Counter(source.outputs).items() if times > 1)
    if repeated:
        raise FormatError(
            f"outputs are listed twice: {', '.join(repeated[:5])}",
            hint="list each output once, or pass it through an Identity of another name",
        )
    nodes = _in_order(source.nodes, known | {""})
    return replace(source, nodes=nodes)


def _in_order(nodes: Sequence[SourceNode], known: set[str]) -> tuple[SourceNode, ...]:
    ready, waiting = [], list(nodes)
    while waiting:
        late = []
        for node in waiting:
            if known.issuperset(node.inputs):
                ready.append(node)
                known.update(node.outputs)
            else:
                late.append(node)
        if len(late) == len(waiting):
            raise FormatError(f"node {late[0].name!r} depends on itself")
        waiting = late
    return tuple(ready)
