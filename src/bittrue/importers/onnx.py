"""ONNX files, opsets 7 to 27, to a Graph.

read_bytes -> parse -> read_source -> cut -> resolve_shapes -> convert each node -> Graph
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from bittrue.dtypes import DTYPES
from bittrue.errors import (
    Error,
    FormatError,
    InternalError,
    ModelError,
    UnsupportedError,
    UnsupportedNode,
    UsageError,
)
from bittrue.graph.model import Graph, Shape
from bittrue.importers.onnx_build import Builder, NotHandledError, Step
from bittrue.importers.onnx_constants import check_attrs, check_constants
from bittrue.importers.onnx_cut import cut, cut_points, end_tensors, start_tensors
from bittrue.importers.onnx_file import parse
from bittrue.importers.onnx_inputs import OPTION, check_types, resolve_shapes
from bittrue.importers.onnx_ops import QUANTIZED_OPS, REFUSED, find_row
from bittrue.importers.onnx_sequence import READERS
from bittrue.importers.onnx_source import (
    OnnxSource,
    SourceInput,
    SourceNode,
    Subgraph,
    read_source,
)
from bittrue.importers.onnx_tensor import normal_dtype
from bittrue.importers.source_file import named, read_bytes

_log = logging.getLogger(__name__)
#: What arithmetic on a file's absurd numbers may raise inside a converter.
_SYMPTOMS = (ValueError, TypeError, KeyError, IndexError, ArithmeticError, MemoryError)

#: Of QUANTIZED_OPS, those that find their scales while the network runs.
ON_THE_FLY = {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"}

Types = Mapping[str, tuple[str, Shape]]


def import_onnx(
    source: str | os.PathLike[str] | bytes,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    start: Sequence[str] = (),
    end: Sequence[str] = (),
    label: str = "",
) -> Graph:
    """Return the network in an ONNX file as a Graph of canonical operators.

    Constants are computed, shapes are fixed, and every value and node keeps the names of the
    file's tensors and nodes that it stands for. Half and double precision become float32.

    Args:
        source: A path, or the file's bytes.
        input_shapes: Shapes of inputs that the file leaves open, by name; also of tensors named in
            `start` whose shape cannot be worked out. An unknown first axis is 1.
        start: Tensors or nodes that the network begins with; everything before them is left out.
        end: Tensors or nodes that it ends with.
        label: What messages call the file; empty for its path.

    Raises:
        DataError: if the file cannot be read.
        ModelError: if its network contradicts itself, or a constant holds NaN or infinite weights.
        FormatError: if it is no ONNX model, damaged, or too long.
        UnsupportedError: if it has operators that are not handled; all of them are listed.
        UsageError: if a shape is missing, or a name is not in the network.
    """
    data, path, folder = read_bytes(source)
    with named(label or path):
        model = parse(data)
        return to_graph(model, read_source(model, folder), input_shapes or {}, start, end)


def to_graph(
    model: onnx.ModelProto,
    whole: OnnxSource,
    shapes: Mapping[str, Shape],
    start: Sequence[str],
    end: Sequence[str],
) -> Graph:
    """Return the network of a parsed file, or the part that is asked for, as a Graph.

    Args:
        model: The file.
        whole: The same as plain data.
        shapes: As `import_onnx`, as are the others.
        start: Where it begins.
        end: Where it ends.

    Raises:
        Error: as `import_onnx`.
    """
    ends = end_tensors(whole, end) if end else whole.outputs
    starts = _starts(model, whole, start_tensors(whole, start), shapes)
    part = cut(whole, starts, ends) if start or end else whole
    check_types(part.inputs, _refused(part))
    return _convert(model, part, resolve_shapes(part.inputs, _of_inputs(part, whole, shapes)))


def _refused(part: OnnxSource) -> tuple[UnsupportedNode, ...]:
    """Return the nodes that could not be handled whatever they read, for a message about more."""
    rows = [(node, _refusal(node, part.opset)) for node in part.nodes]
    return tuple(UnsupportedNode(node.name, node.op, why) for node, why in rows if why)


def _refusal(node: SourceNode, opset: int) -> str:
    """Return why no converter takes a node, or what no converter takes in its branches.

    Branches are worth a word: who takes the If away meets the LSTM in it next.
    """
    row = find_row(node.op, node.domain, opset)
    branches = {
        op for value in node.attrs.values() if isinstance(value, Subgraph) for op in value.ops
    }
    inner = ", ".join(sorted(branches & set(REFUSED) - {node.op}))
    reasons = [row if isinstance(row, str) else "", f"its branches hold {inner}" if inner else ""]
    return "; ".join(filter(None, reasons))


def _of_inputs(
    part: OnnxSource, whole: OnnxSource, shapes: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Return the given shapes without those of inputs that the cut has removed."""
    removed = {row.name for row in whole.inputs} - {row.name for row in part.inputs}
    return {name: shape for name, shape in shapes.items() if name not in removed}


def _starts(
    model: onnx.ModelProto, whole: OnnxSource, names: Sequence[str], shapes: Mapping[str, Shape]
) -> tuple[SourceInput, ...]:
    """Return the tensors of a new beginning as inputs, with the type that they have there."""
    inputs = {row.name: row for row in whole.inputs}
    inner = [name for name in names if name not in inputs]
    types = _types_before(model, whole, inner, shapes) if inner else {}
    return tuple(
        inputs[name] if name in inputs else SourceInput(name, *types[name]) for name in names
    )


def _types_before(
    model: onnx.ModelProto, whole: OnnxSource, names: Sequence[str], shapes: Mapping[str, Shape]
) -> Types:
    if all(name in shapes for name in names):
        return {name: ("float32", tuple(shapes[name])) for name in names}
    before = cut(whole, (), names)
    given = {row.name: shapes[row.name] for row in before.inputs if row.name in shapes}
    try:
        run = _Run(model, before, resolve_shapes(before.inputs, given))
        run.convert()
    except UsageError as why:
        raise UsageError(
            f"the shape of {', '.join(names)} is not known, since an input's is not: {why.message}",
            where="--start",
            hint=why.hint,
        ) from why
    missing = [name for name in names if run.builder.find(name) not in run.builder.values]
    if missing:
        examples = " ".join(f"{OPTION} {name}=1,64,80,80" for name in missing)
        raise UsageError(
            f"the shape of {', '.join(missing)} is not known, since what makes it is not handled",
            where="--start",
            hint=f"give it, for example {examples}",
        )
    values = {name: run.builder.values[run.builder.find(name)] for name in names}
    return {name: (value.dtype, value.shape) for name, value in values.items()}


def _convert(model: onnx.ModelProto, part: OnnxSource, shapes: Mapping[str, Shape]) -> Graph:
    run = _Run(model, part, shapes)
    run.convert()
    if run.bad:
        raise _unsupported(part, run)
    graph = run.builder.graph(part.name, [row.name for row in part.inputs], part.outputs)
    check_constants(graph)
    unused = [row.name for row in part.inputs if row.name not in graph.inputs]
    if unused:
        _log.warning("inputs that nothing depends on are left out: %s", ", ".join(unused))
    return graph


def _unsupported(part: OnnxSource, run: _Run) -> UnsupportedError:
    fixed = {row.name for row in part.inputs} | set(run.builder.constants)
    fixed.update(name for name, target in run.builder.aliases.items() if target in fixed)
    points = cut_points(part, run.bad, fixed)
    bad = [node for node in part.nodes if node.name in run.bad]
    quantized = Counter(node.op for node in bad if node.op in QUANTIZED_OPS)
    first = {node.op: node for node in reversed(bad)}
    # Of hundreds of quantised nodes, the first of each kind is enough.
    nodes = tuple(
        UnsupportedNode(node.name, node.op, run.bad[node.name], points[node.name])
        for node in bad
        if node.op not in quantized or node is first[node.op]
    )
    if quantized:
        return _quantized(quantized, nodes)
    ends = dict.fromkeys(name for node in nodes for name in node.cut_at)
    return UnsupportedError(
        f"{len(nodes)} node{'s are' if len(nodes) > 1 else ' is'} not handled",
        nodes=nodes,
        hint="end the network before them: " + " ".join(f"--end {name}" for name in ends)
        if ends
        else "nothing could be kept before them; replace them in the network",
    )


def _quantized(found: Mapping[str, int], nodes: tuple[UnsupportedNode, ...]) -> UnsupportedError:
    """Return one message for all quantised nodes: listing hundreds of them would help nobody."""
    counts = ", ".join(f"{count} {op}" for op, count in sorted(found.items()))
    how = "on the fly, as quantize_dynamic does" if set(found) & ON_THE_FLY else "to int8"
    return UnsupportedError(
        f"the network is already quantised {how} ({counts}), and bittrue chooses its own codes, "
        "from float weights; not handled (quantised: the first of each kind):",
        nodes=nodes,
        hint="give the float network that it was made from (the exporter's own file, before any "
        "quantize_static, quantize_dynamic or QAT conversion): bittrue build FLOAT.onnx "
        "--calibrate pictures/ -o model.bte",
    )


@dataclass(slots=True)
class _Run:
    """One pass over the nodes: what was built, and which nodes could not be.

    Args:
        model: The parsed file, for second opinions.
        source: The nodes.
        shapes: Shape of each input.
    """

    model: onnx.ModelProto
    source: OnnxSource
    shapes: Mapping[str, Shape]
    builder: Builder = field(init=False)
    bad: dict[str, str] = field(default_factory=dict)
    _inferred: Types | None = None

    def __post_init__(self) -> None:
        """Enter inputs and constants."""
        source = self.source
        read = {name for node in source.nodes for name in node.inputs} | set(source.outputs)
        taken = source.tensors() | {node.name for node in source.nodes}
        self.builder = Builder(taken, frozenset(read))
        for row in source.inputs:
            self.builder.add(row.name, row.dtype, self.shapes[row.name])
        for name, array in source.constants.items():
            self.builder.add_constant(name, array, (name,))

    def convert(self) -> None:
        """Convert every node; those that cannot be go to `bad` with their reasons."""
        for node in self.source.nodes:
            reason = self._convert_node(node)
            if reason:
                self.bad[node.name] = reason
            if reason or not self._known(node):
                self._guess(node)

    def _convert_inner(self, nodes: Sequence[SourceNode]) -> str:
        """Convert nodes in the place of another; return why one of them cannot be."""
        for node in nodes:
            reason = self._convert_node(node)
            if reason or not self._known(node):
                what = reason or "it reads what is not handled"
                return f"its inner {node.op} '{node.name}': {what}"
        return ""

    def _known(self, node: SourceNode) -> bool:
        built = self.builder
        found = (built.find(name) for name in node.inputs if name)
        return all(name in built.values or name in built.sequences for name in found)

    def _convert_node(self, node: SourceNode) -> str:
        """Convert one node, or return why it cannot be; empty also when inputs are not known."""
        row = find_row(node.op, node.domain, self.source.opset)
        if isinstance(row, str):
            return _refusal(node, self.source.opset)
        odd = [name for name in node.inputs if name in self.source.unreadable]
        if odd:
            return f"its constant '{odd[0]}' is {self.source.unreadable[odd[0]]}"
        if not self._known(node):
            return ""
        if node.op not in READERS and self.builder.sequences.keys() & set(node.inputs):
            return "it reads a sequence of tensors"
        check_attrs(node)
        step = Step(self.builder, node, self.source.opset, self._convert_inner)
        try:
            _run_converter(row.convert, step)
        except NotHandledError as why:
            return str(why)
        except Error:
            raise
        except _SYMPTOMS as why:
            raise self._explained(node, why) from why
        return ""

    def _guess(self, node: SourceNode) -> None:
        """Give the results of a node that was not converted the types that ONNX infers.

        So the nodes behind it can be looked at, too, and all that is not handled is listed.
        """
        if self._inferred is None:
            self._inferred = _infer(self.model, self.shapes)
        for name in node.outputs:
            if name in self._inferred:
                self.builder.add(name, *self._inferred[name])

    def _explained(self, node: SourceNode, why: Exception) -> Exception:
        """Return whose fault it is: the file's if ONNX's own checker complains, else ours."""
        try:
            onnx.checker.check_model(self.model, full_check=True)
        except Exception as fault:  # the checker raises many types, all mean an invalid model
            return FormatError(f"at node '{node.name}': {fault}")
        return InternalError(f"{node.op} '{node.name}' cannot be converted: {why!r}")


def _run_converter(convert: Callable[[Step], Sequence[str]], step: Step) -> None:
    results = convert(step)
    for name in results:
        if name not in step.builder.values:
            raise ModelError("an input is left out", where=f"{step.node.op} '{step.node.name}'")
    step.commit(results)


def _infer(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> Types:
    """Return the types that ONNX's shape inference finds, where it finds them fully."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for row in fixed.graph.input:
        if row.name in shapes and row.type.HasField("tensor_type"):
            tensor = row.type.tensor_type
            del tensor.shape.dim[:]
            tensor.shape.dim.extend(
                onnx.TensorShapeProto.Dimension(dim_value=size) for size in shapes[row.name]
            )
    try:
        fixed = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
    except Exception as why:  # raised for what the converters complain about in better words
        _log.debug("shape inference failed: %s", why)
    found: dict[str, tuple[str, Shape]] = {}
    for row in [*fixed.graph.value_info, *fixed.graph.output]:
        tensor = row.type.tensor_type
        sizes = tuple(int(dim.dim_value) for dim in tensor.shape.dim)
        dtype = normal_dtype(tensor.elem_type)
        if tensor.HasField("shape") and all(size > 0 for size in sizes) and dtype in DTYPES:
            found[row.name] = (dtype, sizes)
    return found
