"""ONNX files, opsets 7 to 27, to a Graph.

read_bytes -> parse -> read_source -> cut -> resolve_shapes -> convert each node -> Graph
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

import onnx

from bittrue.errors import UsageError
from bittrue.graph.model import Graph, Shape
from bittrue.importers.onnx_convert import Run, Types
from bittrue.importers.onnx_cut import cut, end_tensors, start_tensors
from bittrue.importers.onnx_file import parse
from bittrue.importers.onnx_finite import check_constants
from bittrue.importers.onnx_inputs import OPTION, check_types, resolve_shapes
from bittrue.importers.onnx_source import OnnxSource, SourceInput, read_source
from bittrue.importers.onnx_unsupported import refused, unsupported
from bittrue.importers.source_file import named, read_bytes

_log = logging.getLogger(__name__)


def import_onnx(
    source: str | os.PathLike[str] | bytes,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    start: Sequence[str] = (),
    end: Sequence[str] = (),
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

    Raises:
        DataError: if the file cannot be read.
        ModelError: if its network contradicts itself, or a constant holds NaN or infinite weights.
        FormatError: if it is no ONNX model, damaged, or too long.
        UnsupportedError: if it has operators that are not handled; all of them are listed.
        UsageError: if a shape is missing, or a name is not in the network.
    """
    data, path, folder = read_bytes(source)
    with named(path):
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
    check_types(part.inputs, refused(part))
    return _convert(model, part, resolve_shapes(part.inputs, _of_inputs(part, whole, shapes)))


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
        run = Run(model, before, resolve_shapes(before.inputs, given))
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
    run = Run(model, part, shapes)
    run.convert()
    if run.bad:
        fixed = {row.name for row in part.inputs} | set(run.builder.constants)
        fixed.update(name for name, target in run.builder.aliases.items() if target in fixed)
        raise unsupported(part, run.bad, fixed)
    graph = run.builder.graph(part.name, [row.name for row in part.inputs], part.outputs)
    check_constants(graph)
    unused = [row.name for row in part.inputs if row.name not in graph.inputs]
    if unused:
        _log.warning("inputs that nothing depends on are left out: %s", ", ".join(unused))
    return graph
