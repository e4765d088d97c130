"""What every operator means in float, in NumPy: normative for the stages before quantisation.

`REFERENCE` holds one function an operator; it takes the node and its input arrays (None for an
input that is left out) and returns its output arrays. It is written to be read and to be right;
ONNX Runtime is the fast way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from bittrue.errors import DataError, InternalError, UsageError
from bittrue.graph import reference_conv as conv
from bittrue.graph import reference_math as math
from bittrue.graph import reference_move as move
from bittrue.graph.model import Graph, Node
from bittrue.graph.pointwise import UNARY_EXPR
from bittrue.graph.reference_conv import Arrays, Results

#: The function of every operator in OPS.
REFERENCE: dict[str, Callable[[Node, Arrays], Results]] = {
    "Conv": conv.conv,
    "ConvTranspose": conv.conv_transpose,
    "Dense": conv.dense,
    "MatMul": conv.matmul,
    "Gemm": conv.gemm,
    "BatchNormalization": conv.batch_norm,
    "MaxPool": conv.max_pool,
    "AveragePool": conv.average_pool,
    **{op: math.pair(function) for op, function in math.PAIRS.items()},
    **dict.fromkeys(UNARY_EXPR, math.unary),
    "ThresholdedRelu": math.threshold,
    "Clip": math.clip_between,
    "Not": math.logical_not,
    "Cast": math.cast,
    "Where": math.where,
    "Softmax": math.softmax,
    "LogSoftmax": math.log_softmax,
    **{op: math.reduction(function) for op, function in math.REDUCTIONS.items()},
    "GlobalAveragePool": math.global_pool(math.REDUCTIONS["ReduceMean"]),
    "GlobalMaxPool": math.global_pool(math.REDUCTIONS["ReduceMax"]),
    "ArgMax": math.arg(np.argmax),
    "ArgMin": math.arg(np.argmin),
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


def run_node(node: Node, arrays: Arrays) -> Results:
    """Return a node's output arrays.

    Args:
        node: A node with complete attributes.
        arrays: Its input arrays in order; None for one that is left out.

    Raises:
        InternalError: if the operator has no reference.
        ModelError: if an index that the model computes lies outside its tensor.
    """
    run = REFERENCE.get(node.op)
    if run is None:
        raise InternalError(f"{node.op} '{node.name}' has no float reference")
    with np.errstate(all="ignore"):  # NaN and infinities are results, as in ONNX
        return run(node, arrays)


def run_reference(
    graph: Graph, inputs: Mapping[str, np.ndarray], taps: Iterable[str] = ()
) -> dict[str, np.ndarray]:
    """Return the graph's outputs, and its inner values named by `taps`, for one set of inputs.

    Args:
        graph: A graph that `verify` accepts.
        inputs: An array for each input of the graph, of exactly its dtype and shape.
        taps: Names of values to return as well.

    Returns:
        Arrays by value name: outputs in the graph's order, then taps.

    Raises:
        DataError: if an input is missing, unknown, or of another dtype or shape.
        UsageError: if a tap is no value of the graph.
        InternalError: if a node makes what the graph does not say.
    """
    wanted = tuple(dict.fromkeys((*graph.outputs, *taps)))
    _check_inputs(graph, inputs)
    _check_taps(graph, wanted)
    arrays: dict[str, np.ndarray] = {**graph.constants, **inputs}
    last = _last_use(graph)
    for index, node in enumerate(graph.nodes):
        results = run_node(node, [arrays[name] if name else None for name in node.inputs])
        for name, result in zip(node.outputs, results, strict=True):
            arrays[name] = _checked(graph, node, name, result)
        for name in last.get(index, ()):
            if name not in wanted:
                arrays.pop(name, None)
    return {name: arrays[name] for name in wanted}


def _check_inputs(graph: Graph, inputs: Mapping[str, np.ndarray]) -> None:
    """Refuse inputs that are not exactly what the graph takes, all at once."""
    problems = [f"input {name!r} is missing" for name in graph.inputs if name not in inputs]
    problems += [f"there is no input {name!r}" for name in inputs if name not in graph.inputs]
    for name in graph.inputs:
        if name in inputs:
            value, array = graph.values[name], inputs[name]
            if array.dtype.name != value.dtype or array.shape != value.shape:
                problems.append(
                    f"input {name!r} is {array.dtype.name} {array.shape}, "
                    f"it must be {value.dtype} {value.shape}"
                )
    if problems:
        takes = ", ".join(f"{name} {graph.values[name].shape}" for name in graph.inputs)
        raise DataError("; ".join(problems), where=graph.name, hint=f"the graph takes {takes}")


def _check_taps(graph: Graph, wanted: Iterable[str]) -> None:
    unknown = [name for name in wanted if name not in graph.values]
    if unknown:
        raise UsageError(
            f"the graph has no value {', '.join(map(repr, unknown))}",
            where=graph.name,
            hint="name values of the graph, as its listing shows them",
        )


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
