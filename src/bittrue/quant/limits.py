"""How small a scale may be: what an int32 accumulator and float32 steps of an output hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from bittrue.arith import ACC_LIMIT, CODE_MAX, QParams
from bittrue.graph.model import Graph, Node
from bittrue.quant.target import target_of

#: A bias in steps of the accumulator, and a sum in steps of its output, stay below half of what
#: 32 bits hold (docs/numerics.md, 3): the other half is for the products, and for roundings.
HALF_LIMIT = ACC_LIMIT / 2


def raise_small(
    graph: Graph, params: Mapping[str, QParams], groups: Iterable[list[str]]
) -> dict[str, QParams]:
    """Return the scales raised so that no sum is 2^30 output steps or more (docs/numerics.md, 3).

    Only a tensor that was all but dead in calibration is concerned.

    Args:
        graph: The optimised float graph.
        params: Of each value that is stored as codes.
        groups: The values that share one scale.
    """
    found = dict(params)
    group_of = {name: names for names in groups for name in names}
    for node in graph.nodes:
        result = node.outputs[0]
        if not target_of(node).emits or result not in found:
            continue
        if node.op != "MatMul" and node.inputs[0] not in found:
            continue
        least = _largest_sum(graph, node, found) / HALF_LIMIT
        old = found[result]
        if float(old.scale.min()) < least:
            raised = QParams(np.maximum(old.scale, np.float32(least)), old.zero_point, old.axis)
            found.update(dict.fromkeys(group_of[result], raised))
    return found


def _largest_product(graph: Graph, node: Node, params: Mapping[str, QParams]) -> float:
    """Return the largest sum of a MatMul, each of its factors a code or a constant."""
    size = float(graph.values[node.inputs[0]].shape[-1])
    for name in node.inputs:
        array = graph.constants.get(name)
        if array is not None:
            size *= float(np.ptp(np.append(array, 0)))
        elif name in params:
            size *= CODE_MAX * float(params[name].scale.max())
    return size


def _largest_sum(graph: Graph, node: Node, params: Mapping[str, QParams]) -> float:
    if node.op == "MatMul":
        return _largest_product(graph, node, params)
    given, weights = params[node.inputs[0]], graph.constants.get(node.inputs[1])
    if weights is None:
        return 0.0
    # ConvTranspose has its output channels second; the sum over all is a bound for each.
    rows = np.abs(weights.astype(np.float64))
    total = rows.sum() if node.op == "ConvTranspose" else rows.reshape(len(rows), -1).sum(1).max()
    bias = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
    largest = 0.0 if bias is None else float(np.abs(bias).max(initial=0.0))
    return float(total) * CODE_MAX * float(given.scale.max()) + largest
