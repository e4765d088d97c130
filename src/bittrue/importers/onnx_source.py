"""A parsed ONNX model as plain frozen data: nodes in running order, constants, inputs, outputs.

What ONNX offers for storing a constant (initialisers of every type, external files, Constant
nodes) ends here: later modules see NumPy arrays. float64, float16 and bfloat16 become float32.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from bittrue.dtypes import BY_ONNX, DTYPES
from bittrue.errors import FormatError
from bittrue.importers.onnx_file import DEFAULT_DOMAINS, opset_of, parse, read_bytes

Dims = tuple[int | str, ...]

_log = logging.getLogger(__name__)
#: Types that are read as another one.
STAND_INS = {
    "float16": "float32",
    "float64": "float32",
    "bfloat16": "float32",
    "uint32": "int64",
    "uint64": "int64",
}


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
class Source:
    """A whole ONNX graph.

    Args:
        name: The graph's name.
        path: The file, for messages.
        opset: Version of ONNX's operator set.
        nodes: Without Constant nodes, in an order in which they can run.
        inputs: Without initialisers.
        outputs: Tensor names.
        constants: Every initialiser and Constant, as bittrue reads it.
        unreadable: Constants of a type that bittrue does not read: name and the type's name.
    """

    name: str
    path: str
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


def read_source(model: onnx.ModelProto, path: str, folder: Path | None) -> Source:
    """Return the graph of a parsed model as plain data.

    Args:
        model: As `onnx_file.parse` returns it.
        path: The file, for messages.
        folder: Where external data lies; None refuses external data.

    Raises:
        FormatError: if the graph breaks ONNX's rules or external data is missing.
    """
    graph = model.graph
    nodes, arrays = _parts(graph, path, folder)
    _note_stand_ins(arrays)
    source = Source(
        name=graph.name or "network",
        path=path,
        opset=opset_of(model),
        nodes=tuple(nodes),
        inputs=tuple(_input(row) for row in graph.input if row.name not in arrays),
        outputs=tuple(row.name for row in graph.output),
        constants={k: stand_in(v) for k, v in arrays.items() if not isinstance(v, str)},
        unreadable={name: what for name, what in arrays.items() if isinstance(what, str)},
    )
    return _sorted(source)


def _parts(
    graph: onnx.GraphProto, path: str, folder: Path | None
) -> tuple[list[SourceNode], dict[str, np.ndarray | str]]:
    """Return a graph's nodes without Constants, and its constants; a text is a type's name."""
    arrays: dict[str, np.ndarray | str] = {
        tensor.name: read_tensor(tensor, path, folder) for tensor in graph.initializer
    }
    arrays.update({row.values.name: _dense(row, path, folder) for row in graph.sparse_initializer})
    nodes: list[SourceNode] = []
    for node in _named(graph.node, path, folder):
        if node.op == "Constant" and node.domain == "" and len(node.outputs) == 1:
            arrays[node.outputs[0]] = _constant(node)
        else:
            nodes.append(node)
    return nodes, arrays


def read_subgraph(graph: onnx.GraphProto, path: str, folder: Path | None) -> Subgraph:
    """Return a graph inside a node.

    Raises:
        FormatError: if it breaks ONNX's rules or external data is missing.
    """
    nodes, arrays = _parts(graph, path, folder)
    outputs = tuple(row.name for row in graph.output)
    raw = Subgraph(tuple(nodes), outputs, arrays)
    inputs = {row.name for row in graph.input}
    ready = _in_order(raw.nodes, {"", *raw.captured(), *arrays, *inputs}, path)
    return replace(raw, nodes=ready)


def self_contained(source: str | os.PathLike[str]) -> bytes:
    """Return an ONNX file's bytes with its external data moved inside, so they stand alone.

    Args:
        source: A path.

    Raises:
        FormatError: if it is no ONNX file, its data is missing, or both are too long together.
        DataError: if the file cannot be read.
        UnsupportedError: if its opset is not in 7 to 27.
    """
    data, path, folder = read_bytes(source)
    model = parse(data, path)
    outside = onnx.TensorProto.EXTERNAL
    rows = [row for row in model.graph.initializer if row.data_location == outside]
    for tensor in rows:
        array = read_tensor(tensor, path, folder)
        if isinstance(array, str):
            raise FormatError(f"constant {tensor.name!r} is {array}, outside the file", path=path)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    try:
        return bytes(model.SerializeToString()) if rows else data
    except ValueError as why:
        raise FormatError(f"with its external data it is too long: {why}", path=path) from why


def normal_dtype(number: int) -> str:
    """Return the type that bittrue reads an ONNX type as; ONNX's own name where it reads none."""
    try:
        name = onnx.TensorProto.DataType.Name(number).lower()
    except ValueError:
        return f"type {number}"
    name = BY_ONNX[number].name if number in BY_ONNX else name
    return STAND_INS.get(name, name)


# --- constants -------------------------------------------------------------------------------


def read_tensor(tensor: onnx.TensorProto, path: str, folder: Path | None) -> np.ndarray | str:
    """Return a tensor's array in its own type; the type's name where bittrue reads no such type.

    Raises:
        FormatError: if its sizes contradict each other or its external file is not there.
    """
    dtype = normal_dtype(tensor.data_type)
    if dtype not in DTYPES:
        return dtype
    shape = tuple(tensor.dims)
    if any(dim < 0 for dim in shape):
        raise FormatError(f"constant {tensor.name!r} has the shape {list(shape)}", path=path)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _external(tensor, shape, path, folder)
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError, MemoryError) as why:
        raise FormatError(
            f"constant {tensor.name!r} cannot be read: {why}",
            path=path,
            hint="the file is damaged; export it again",
        ) from why
    if array.shape != shape:
        raise FormatError(f"constant {tensor.name!r} is {array.shape}, not {shape}", path=path)
    return np.ascontiguousarray(array).reshape(shape)


def _external(
    tensor: onnx.TensorProto, shape: tuple[int, ...], path: str, folder: Path | None
) -> np.ndarray:
    entries = {row.key: row.value for row in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise FormatError(
            f"constant {tensor.name!r} lies in the file {location!r}, and bytes have no folder",
            path=path,
            hint="give the path of the .onnx file instead of its bytes",
        )
    file = _inside(folder, location, tensor.name, path)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).newbyteorder("<")
    length = math.prod(shape) * dtype.itemsize
    offset = _whole(entries.get("offset", "0"), "offset", tensor.name, path)
    stated = _whole(entries.get("length", str(length)), "length", tensor.name, path)
    size = file.stat().st_size
    if stated != length or offset + length > size:
        raise FormatError(
            f"constant {tensor.name!r} needs {length} bytes at {offset} of {location!r}, which has "
            f"{size} bytes (the file says {stated})",
            path=path,
            hint="fetch the model and its data file again; they belong together",
        )
    with file.open("rb") as stream:
        stream.seek(offset)
        return np.frombuffer(stream.read(length), dtype).reshape(shape)


def _inside(folder: Path, location: str, name: str, path: str) -> Path:
    """Return the file of external data; links and parents must not lead out of the folder."""
    root = folder.resolve()
    try:
        file = (root / location).resolve()
        inside = bool(location) and file.is_relative_to(root)
        there = inside and file.is_file()
    except (OSError, ValueError):
        inside = there = False
    if there:
        return file
    why = "is not there" if inside else "is not inside the model's folder"
    raise FormatError(
        f"constant {name!r} lies in the file {location!r}, which {why}",
        path=path,
        hint="put the data file beside the .onnx file, under the name that it was saved with",
    )


#: No constant of a network is longer; a sparse one says little and may claim much.
DENSE_MAX = 2**28


def _dense(tensor: onnx.SparseTensorProto, path: str, folder: Path | None) -> np.ndarray | str:
    """Return a sparse tensor as an array: values at flat indices or at rows of coordinates.

    Raises:
        FormatError: if its parts contradict each other or it is too long.
    """
    values = read_tensor(tensor.values, path, folder)
    places = read_tensor(tensor.indices, path, folder)
    if isinstance(values, str) or isinstance(places, str):
        return f"sparse tensor of {values if isinstance(values, str) else places}"
    shape, name = tuple(tensor.dims), tensor.values.name
    if min(shape, default=1) < 1 or math.prod(shape) > DENSE_MAX or places.dtype.kind not in "iu":
        raise FormatError(f"sparse constant {name!r} has the shape {list(shape)}", path=path)
    rows = places.reshape(-1, 1) if places.ndim == 1 else places
    limits = (math.prod(shape),) if places.ndim == 1 else shape
    legal = rows.ndim == 2 and rows.shape == (values.size, len(limits))
    if not legal or (rows < 0).any() or (rows >= np.asarray(limits)).any():
        raise FormatError(f"sparse constant {name!r} has indices outside its shape", path=path)
    flat = np.zeros(limits, values.dtype)
    flat[tuple(rows.T)] = values.reshape(-1)
    return flat.reshape(shape)


def _whole(text: str, what: str, name: str, path: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FormatError(f"external data of {name!r} has the {what} {text!r}", path=path)
    return int(text)


def _constant(node: SourceNode) -> np.ndarray | str:
    types = {"value_float": "float32", "value_floats": "float32"}
    types |= {"value_int": "int64", "value_ints": "int64"}
    for key, value in node.attrs.items():
        if key in ("value", "sparse_value") and isinstance(value, np.ndarray):
            return value
        if key in types and not isinstance(value, str):
            return np.asarray(value, types[key])
    return "/".join(str(value) for value in node.attrs.values() if isinstance(value, str)) or "none"


def stand_in(array: np.ndarray) -> np.ndarray:
    """Return an array in the type that bittrue reads its own as."""
    wanted = np.dtype(STAND_INS.get(array.dtype.name, array.dtype.name))
    with np.errstate(over="ignore"):
        return array if array.dtype == wanted else array.astype(wanted)


def _note_stand_ins(arrays: Mapping[str, np.ndarray | str]) -> None:
    for kind, wanted in STAND_INS.items():
        names = [
            name
            for name, array in arrays.items()
            if not isinstance(array, str) and array.dtype.name == kind
        ]
        if names:
            _log.info("%d constants are %s and read as %s", len(names), kind, wanted)


# --- nodes -----------------------------------------------------------------------------------


def _named(
    protos: Iterable[onnx.NodeProto], path: str, folder: Path | None
) -> Iterable[SourceNode]:
    taken: set[str] = set()
    for index, proto in enumerate(protos):
        name = proto.name or f"{proto.op_type}_{index}"
        while name in taken:
            name = f"{name}_{index}"
        taken.add(name)
        attrs = {row.name: _attr(row, path, folder) for row in proto.attribute}
        domain = "" if proto.domain in DEFAULT_DOMAINS else proto.domain
        inner = [
            name
            for value in attrs.values()
            if isinstance(value, Subgraph)
            for name in value.captured()
        ]
        inputs = (*proto.input, *(n for n in dict.fromkeys(inner) if n not in proto.input))
        yield SourceNode(name, proto.op_type, domain, inputs, tuple(proto.output), attrs)


def _attr(proto: onnx.AttributeProto, path: str, folder: Path | None) -> AttrValue:
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
        return read_tensor(proto.t, path, folder)
    if proto.type == kinds.SPARSE_TENSOR:
        return _dense(proto.sparse_tensor, path, folder)
    if proto.type == kinds.GRAPH:
        return read_subgraph(proto.g, path, folder)
    return "an unknown attribute"


def _input(proto: onnx.ValueInfoProto) -> SourceInput:
    if not proto.type.HasField("tensor_type"):
        kind = proto.type.WhichOneof("value") or "untyped"
        return SourceInput(proto.name, kind.removesuffix("_type"), None)
    tensor = proto.type.tensor_type
    if tensor.elem_type in (onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE):
        kind = BY_ONNX[tensor.elem_type].name
        _log.warning("input %s is %s and read as float32", proto.name, kind)
    if not tensor.HasField("shape"):
        return SourceInput(proto.name, normal_dtype(tensor.elem_type), None)
    dims = tuple(
        int(dim.dim_value) if dim.dim_value > 0 else str(dim.dim_param or "?")
        for dim in tensor.shape.dim
    )
    return SourceInput(proto.name, normal_dtype(tensor.elem_type), dims)


def _sorted(source: Source) -> Source:
    """Return the source with its nodes in running order, which some exporters do not keep.

    Raises:
        FormatError: if a tensor is made twice, never, or from itself, or an output is not made or
            listed twice.
    """
    known = {row.name for row in source.inputs} | set(source.constants) | set(source.unreadable)
    made = [name for node in source.nodes for name in node.outputs if name]
    twice = sorted(name for name, times in Counter(made).items() if times > 1 or name in known)
    if twice:
        raise FormatError(f"tensors are made twice: {', '.join(twice[:5])}", path=source.path)
    available = known | set(made) | {""}
    missing = [name for node in source.nodes for name in node.inputs if name not in available]
    missing += [name for name in source.outputs if name not in available or not name]
    if missing or not source.outputs:
        what = ", ".join(repr(name) for name in dict.fromkeys(missing)) or "the outputs"
        raise FormatError(f"no node makes {what}", path=source.path, hint="export the file again")
    repeated = sorted(name for name, times in Counter(source.outputs).items() if times > 1)
    if repeated:
        raise FormatError(
            f"outputs are listed twice: {', '.join(repeated[:5])}",
            path=source.path,
            hint="list each output once, or pass it through an Identity of another name",
        )
    nodes = _in_order(source.nodes, known | {""}, source.path)
    return replace(source, nodes=nodes)


def _in_order(nodes: Sequence[SourceNode], known: set[str], path: str) -> tuple[SourceNode, ...]:
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
            raise FormatError(f"node {late[0].name!r} depends on itself", path=path)
        waiting = late
    return tuple(ready)
