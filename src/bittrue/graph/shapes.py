"""The dtype and shape of what a node makes: its operator's rule, in its row of the op table."""

from __future__ import annotations

from collections.abc import Mapping

from bittrue.graph.model import Node, Value
from bittrue.graph.ops import input_problem, known
from bittrue.graph.shape_rules import Inputs, Types, misfit


def infer(node: Node, inputs: Inputs) -> Types:
    """Return the dtype and shape of each of a node's outputs.

    Args:
        node: A node with complete attributes (`bittrue.graph.ops.complete_attrs`).
        inputs: Its input values in order; None for one that is left out.

    Raises:
        ModelError: if the operator is unknown, or the inputs do not fit it or one another.
    """
    row = known(node.op, where=node.name)
    problem = input_problem(node.op, ["" if value is None else value.name for value in inputs])
    if problem:
        raise misfit(node, problem)
    types = row.types(node, inputs)
    if len(node.outputs) != len(types):
        raise misfit(node, f"it has {len(node.outputs)} outputs, {node.op} makes {len(types)}")
    return types


def infer_values(node: Node, values: Mapping[str, Value]) -> tuple[Value, ...]:
    """Return the values that a node makes, with its output names and no origin.

    Args:
        node: A node with complete attributes.
        values: The values that it reads, by name.

    Raises:
        ModelError: as `infer`; also if an input is not in `values`.
    """
    unknown = [name for name in node.inputs if name and name not in values]
    if unknown:
        raise misfit(node, f"nothing makes its input {unknown[0]!r}")
    types = infer(node, [values[name] if name else None for name in node.inputs])
    return tuple(
        Value(name, dtype, shape) for name, (dtype, shape) in zip(node.outputs, types, strict=True)
    )
