"""What every operator means in float, in NumPy: normative for the stages before quantisation.

`REFERENCE` holds one function an operator; it takes the node and its input arrays (None for an
input that is left out) and returns its output arrays. It is written to be read and to be right;
ONNX Runtime is the fast way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from bittrue.errors import InternalError
from bittrue.graph import reference_conv as conv
from bittrue.graph import reference_math as arithmetic
from bittrue.graph import reference_move as move
from bittrue.graph.model import Graph, Node
from bittrue.graph.ops import FAMILIES
from bittrue.graph.reference_arrays import Arrays, Results, Run

#: The function of every operator in OPS.
REFERENCE: dict[str, Run] = {
    "Conv": conv.conv,
    "ConvTranspose": conv.conv_transpose,
    "Dense": conv.dense,
    "MatMul": conv.matmul,
    "Gemm": conv.gemm,
    "BatchNormalization": conv.batch_norm,
    "MaxPool": conv.max_pool,
    "AveragePool": conv.average_pool,
    **{op: arithmetic.pair(function) for op, function in arithmetic.PAIRS.items()},
    **dict.fromkeys(FAMILIES["unary"], arithmetic.unary),
    "ThresholdedRelu": arithmetic.threshold,
    "Clip": arithmetic.clip_between,
    "Not": arithmetic.logical_not,
    "Cast": arithmetic.cast,
    "Where": arithmetic.where,
    "Softmax": arithmetic.softmax,
    "LogSoftmax": arithmetic.log_softmax,
    **{op: arithmetic.reduction(function) for op, function in arithmetic.REDUCTIONS.items()},
    "GlobalAveragePool": arithmetic.global_pool(arithmetic.REDUCTIONS["ReduceMean"]),
    "GlobalMaxPool": arithmetic.global_pool(arithmetic.REDUCTIONS["ReduceMax"]),
    "ArgMax": arithmetic.arg(np.argmax),
    "ArgMin": arithmetic.arg(np.argmin),
    "Reshape": move.reshape,
    "Transpose": move.transpose,
    "Concat": move.concat,
    "Split": move.split,
    "Slice": move.slice_,
    "Pad": move.pad,
    "Resize": move.resize,
    "Gather": move.gather,
    "Expand": move.expand,
    "Tile": move.tile,
    "DepthToSpace": move.depth_to_space,
    "SpaceToDepth": move.space_to_depth,
}


def run_node(node: Node, arrays: Arrays, rules: Mapping[str, Run] = REFERENCE) -> Results:
    """Return a node's output arrays.

    Args:
        node: A node with complete attributes.
        arrays: Its input arrays in order; None for one that is left out.
        rules: The function of each operator.

    Raises:
        ModelError: if an index that the model computes lies outside its tensor.
    """
    with np.errstate(all="ignore"):  # NaN and infinities are results, as in ONNX
        return rules[node.op](node, arrays)


def run_reference(
    graph: Graph,
    inputs: Mapping[str, np.ndarray],
    taps: Iterable[str] = (),
    *,
    rules: Mapping[str, Run] = REFERENCE,
) -> dict[str, np.ndarray]:
    """Return the graph's outputs, and its inner values named by `taps`, for one set of inputs.

    Args:
        graph: A graph that `verify` accepts.
        inputs: An array for each input of the graph, of exactly its dtype and shape. A runner
            checks what a user gives, and what is tapped.
        taps: Names of values to return as well.
        rules: The function of each operator.

    Returns:
        Arrays by value name: outputs in the graph's order, then taps.

    Raises:
        InternalError: if a node makes what the graph does not say.
    """
    wanted = tuple(dict.fromkeys((*graph.outputs, *taps)))
    arrays: dict[str, np.ndarray] = {**graph.constants, **inputs}
    last = _last_use(graph)
    for index, node in enumerate(graph.nodes):
        given = [arrays[name] if name else None for name in node.inputs]
        for name, result in zip(node.outputs, run_node(node, given, rules), strict=True):
            arrays[name] = _checked(graph, node, name, result)
        for name in last.get(index, ()):
            if name not in wanted:
                arrays.pop(name, None)
    return {name: arrays[name] for name in wanted}


def _last_use(graph: Graph) -> dict[int, list[str]]:
    """Return which values no node after each node reads, so that their memory is given back."""
    last: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        last.update({name: index for name in (*node.inputs, *node.outputs) if name})
    found: dict[int, list[str]] = {}
    for name, index in last.items():
        found.setdefault(index, []).append(name)
    return found


def _checked(graph: Graph, node: Node, name: str, result: np.ndarray) -> np.ndarray:
    value = graph.values[name]
    if result.dtype.name != value.dtype or result.shape != value.shape:
        raise InternalError(
            f"{node.op} '{node.name}' makes {result.dtype.name} {result.shape}, the graph says "
            f"'{name}' is {value.dtype} {value.shape}"
        )
    return result
