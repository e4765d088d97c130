"""Nodes that stand for others: a branch chosen while importing, and operators ONNX defines so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx

from bittrue.dtypes import DTYPES
from bittrue.importers.onnx_source import SourceNode, Subgraph, read_subgraph
from bittrue.importers.onnx_step import NotHandledError, Step
from bittrue.importers.onnx_tensor import as_read

#: Why no operator with a graph inside runs that depends on data.
CONTROL = "what runs would depend on data; export the network with fixed shapes, without branches"


def branch(step: Step) -> Sequence[str]:
    """If with a constant condition: the branch that it chooses."""
    if not step.are_constant([0]):
        raise NotHandledError(CONTROL)
    chosen = step.array(0, "its condition").reshape(-1)
    if chosen.size != 1:
        raise step.wrong(f"its condition has {chosen.size} elements, not 1")
    name = "then_branch" if chosen[0] else "else_branch"
    graph = step.node.attrs.get(name)
    if not isinstance(graph, Subgraph):
        raise step.wrong(f"it has no {name}")
    return _in_place(step, graph, {})


def function(step: Step) -> Sequence[str]:
    """An operator that ONNX defines by others: the body of its definition."""
    outputs = [name if step.wanted(i) else "" for i, name in enumerate(step.node.outputs)]
    node = _as_proto(step, step.node.inputs, outputs)
    body = _body(step, node)
    nodes = [_with_attrs(inner, node) for inner in body.node]
    rows = [onnx.ValueInfoProto(name=name) for name in body.output]
    graph = onnx.helper.make_graph(nodes, body.name, [], rows)
    given = dict.fromkeys(body.input, "")
    given.update(zip(body.input, step.node.inputs, strict=False))
    return _in_place(step, read_subgraph(graph, None), given)


def evaluated(step: Step) -> Sequence[str]:
    """An operator that is no part of a Graph, computed by ONNX's reference on constants."""
    from onnx.reference import ReferenceEvaluator

    given = {
        f"x{index}": step.array(index, "its input")
        for index, name in enumerate(step.node.inputs)
        if name
    }
    names = [f"x{index}" if name else "" for index, name in enumerate(step.node.inputs)]
    results = [f"y{index}" for index in range(len(step.node.outputs))]
    rows = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), None
        )
        for name, array in given.items()
    ]
    outs = [onnx.ValueInfoProto(name=name) for name in results]
    graph = onnx.helper.make_graph([_as_proto(step, names, results)], "one", rows, outs)
    opset = onnx.helper.make_opsetid("", step.opset)
    model = onnx.helper.make_model(graph, opset_imports=[opset])
    try:
        computed = ReferenceEvaluator(model).run(None, given)
    except Exception as why:  # whatever it stumbles over is the file's: nothing here is checked
        raise step.wrong(f"it cannot be computed: {why}") from why
    for array in computed:
        if not isinstance(array, np.ndarray):
            raise NotHandledError("its result is no tensor")
    return [step.const(as_read(array), step.node.op) for array in computed]


def _as_proto(step: Step, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.NodeProto:
    attrs = {
        key: onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for key, value in step.node.attrs.items()
    }
    return onnx.helper.make_node(step.node.op, inputs, outputs, **attrs)


def _body(step: Step, node: onnx.NodeProto) -> onnx.FunctionProto:
    """Return the function that ONNX's schema gives for this node with its attributes and types."""
    schema = onnx.defs.get_schema(node.op_type, step.opset, "")
    types = [
        onnx.helper.make_tensor_type_proto(DTYPES[step.dtype(i)].onnx, step.shape(i))
        if step.has(i)
        else onnx.TypeProto()
        for i in range(len(node.input))
    ]
    given = [row.SerializeToString() for row in types]
    try:
        text = schema.get_context_dependent_function(node.SerializeToString(), given)
    except Exception as why:  # whatever ONNX stumbles over is the file's: nothing was checked
        raise step.wrong(f"ONNX cannot say how it is computed: {why}") from why
    body = onnx.FunctionProto()
    body.ParseFromString(text)
    if not body.node:
        raise NotHandledError("ONNX does not say how it is computed with these attributes")
    return body


def _with_attrs(inner: onnx.NodeProto, outer: onnx.NodeProto) -> onnx.NodeProto:
    """Return a node of a body with the outer node's attributes where it refers to them."""
    given = {row.name: row for row in outer.attribute}
    made = onnx.NodeProto()
    made.CopyFrom(inner)
    del made.attribute[:]
    for row in inner.attribute:
        found = given.get(row.ref_attr_name) if row.ref_attr_name else row
        if found is not None:
            made.attribute.append(found)
            made.attribute[-1].name = row.name
    return made


def _in_place(step: Step, graph: Subgraph, given: Mapping[str, str]) -> Sequence[str]:
    """Convert a subgraph's nodes, and return the values of its outputs.

    Args:
        step: The node that they stand for.
        graph: What stands in its place.
        given: Tensors outside, by their names inside; all others keep their names if the subgraph
            does not make them.
    """
    label = step.node.inside or step.node.name
    inner = [*graph.constants, *(name for node in graph.nodes for name in node.outputs if name)]
    names = {**given, "": ""}
    names.update({name: step.builder.fresh(f"{label}/{name}") for name in inner})
    for name, array in graph.constants.items():
        if isinstance(array, str):
            raise NotHandledError(f"its constant '{name}' is {array}")
        step.builder.add_constant(names[name], as_read(array), ())
    why = step.run([_renamed(node, names, label) for node in graph.nodes])
    if why:
        raise NotHandledError(why)
    results = [step.builder.find(names.get(name, name)) for name in graph.outputs]
    # A body leaves out what nobody reads; any value stands for it.
    pairs = zip(results, step.node.outputs, strict=False)
    known = step.builder.values
    return [name if out and name in known else results[0] for name, out in pairs]


def _renamed(node: SourceNode, names: Mapping[str, str], label: str) -> SourceNode:
    return replace(
        node,
        name=f"{label}/{node.name}",
        inputs=tuple(names.get(name, name) for name in node.inputs),
        outputs=tuple(names.get(name, name) for name in node.outputs),
        attrs={
            key: _renamed_graph(value, names) if isinstance(value, Subgraph) else value
            for key, value in node.attrs.items()
        },
        inside=label,
    )


def _renamed_graph(graph: Subgraph, names: Mapping[str, str]) -> Subgraph:
    """Return a subgraph of a renamed node with the tensors around it under their new names."""
    outer = {name: names[name] for name in graph.captured() if name in names}
    nodes = tuple(
        replace(
            node,
            inputs=tuple(outer.get(name, name) for name in node.inputs),
            attrs={
                key: _renamed_graph(value, outer) if isinstance(value, Subgraph) else value
                for key, value in node.attrs.items()
            },
        )
        for node in graph.nodes
    )
    return replace(
        graph, nodes=nodes, outputs=tuple(outer.get(name, name) for name in graph.outputs)
    )
