"""One pass over the nodes of an ONNX file: what was built, and which nodes could not be."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from bittrue.dtypes import DTYPES
from bittrue.errors import Error, FormatError, InternalError, ModelError
from bittrue.graph.model import Shape
from bittrue.importers.onnx_build import Builder
from bittrue.importers.onnx_finite import check_attrs
from bittrue.importers.onnx_ops import find_row
from bittrue.importers.onnx_sequence import READERS
from bittrue.importers.onnx_source import OnnxSource, SourceNode
from bittrue.importers.onnx_step import Convert, NotHandledError, Step
from bittrue.importers.onnx_tensor import normal_dtype
from bittrue.importers.onnx_unsupported import refusal

_log = logging.getLogger(__name__)
#: What arithmetic on a file's absurd numbers may raise inside a converter.
_SYMPTOMS = (ValueError, TypeError, KeyError, IndexError, ArithmeticError, MemoryError)

Types = Mapping[str, tuple[str, Shape]]


@dataclass(slots=True)
class Run:
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
                return f"its inner {node.label}: {what}"
        return ""

    def _known(self, node: SourceNode) -> bool:
        built = self.builder
        found = (built.find(name) for name in node.inputs if name)
        return all(name in built.values or name in built.sequences for name in found)

    def _convert_node(self, node: SourceNode) -> str:
        """Convert one node, or return why it cannot be; empty also when inputs are not known."""
        row = find_row(node.op, node.domain, self.source.opset)
        if isinstance(row, str):
            return refusal(node, self.source.opset)
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
        return InternalError(f"{node.label} cannot be converted: {why!r}")


def _run_converter(convert: Convert, step: Step) -> None:
    results = convert(step)
    for name in results:
        if name not in step.builder.values:
            raise ModelError("an input is left out", where=step.node.label)
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
