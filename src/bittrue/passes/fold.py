"""Passes that take work out of the network: constants, paddings, and products with constants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bittrue.dtypes import nbytes
from bittrue.graph.model import NO_CLIP, Attr, Graph, Node
from bittrue.graph.ops import OPS
from bittrue.graph.reference import run_node
from bittrue.passes.affine import along
from bittrue.passes.draft import Draft, make, rewrite

#: A result larger than this stays a node: the file would grow more than the network gets faster.
FOLDED_BYTES = 1 << 26
#: No finite number is below it: exporters write it for -inf, which codes could not span either.
LEAST = float(np.finfo(np.float32).min)


def fold_constants(graph: Graph) -> Graph:
    """Return the graph with the result in place of each node that reads only constants."""
    return rewrite(graph, _fold_constant)


def _fold_constant(draft: Draft, node: Node) -> bool:
    arrays = [draft.constant(name) for name in node.inputs]
    known = all(
        array is not None or not name for array, name in zip(arrays, node.inputs, strict=True)
    )
    rows = [draft.values[name] for name in node.outputs]
    if not known or any(row.name in draft.outputs for row in rows):
        return False
    if sum(nbytes(row.dtype, row.shape) for row in rows) > FOLDED_BYTES:
        return False
    results = run_node(node, arrays)
    draft.remove(node)
    for row, array in zip(rows, results, strict=True):
        draft.constants[row.name] = np.ascontiguousarray(array)
    return True


# --- padding -----------------------------------------------------------------------------------


def fold_pads(graph: Graph) -> Graph:
    """Return the graph with each Pad in the padding of the convolution or pool that follows it.

    Only where this changes nothing: zeros around rows and columns before a Conv, or an AveragePool
    that counts them; before a MaxPool what no number is below, or zeros where the input is never
    negative.
    """
    return rewrite(graph, _fold_pad)


def _fold_pad(draft: Draft, node: Node) -> bool:
    if node.op != "Pad" or node.text("mode") != "constant" or not draft.private(node.outputs[0]):
        return False
    reader = draft.readers(node.outputs[0])[0]
    pads = node.ints("pads")
    rank = len(pads) // 2
    outer = pads[:2] + pads[rank : rank + 2]
    inner = _inner(node)
    if rank < 3 or any(outer) or min(inner) < 0 or reader.inputs[0] != node.outputs[0]:
        return False
    more = _PADDED.get(reader.op, _never)(draft, node, reader)
    if more is None or reader.inputs.count(node.outputs[0]) != 1:
        return False
    joined = tuple(a + b for a, b in zip(reader.ints("pads"), inner, strict=True))
    inputs = (node.inputs[0], *reader.inputs[1:])
    attrs: dict[str, Attr] = {**reader.attrs, **more, "pads": joined}
    draft.replace([reader, node], [make(reader.name, reader.op, inputs, reader.outputs, attrs)])
    return True


More = dict[str, Attr] | None


def _never(draft: Draft, pad: Node, reader: Node) -> More:
    return None


def _pad_conv(draft: Draft, pad: Node, reader: Node) -> More:
    """Zeros are what a Conv pads with, but for one that subtracts an offset from them."""
    return {} if pad.number("value") == 0 and not reader.input(3) else None


def _pad_average(draft: Draft, pad: Node, reader: Node) -> More:
    """An AveragePool must count the zeros, and must not have counted otherwise before."""
    counted = reader.flag("count_include_pad") or not any(reader.ints("pads"))
    plain = pad.number("value") == 0 and not reader.flag("ceil_mode")
    return {"count_include_pad": True} if counted and plain else None


def _pad_max(draft: Draft, pad: Node, reader: Node) -> More:
    """A MaxPool skips its padding, so the border must never win, and no window be all border."""
    pads = [a + b for a, b in zip(reader.ints("pads"), _inner(pad), strict=True)]
    spans = [
        (size - 1) * step
        for size, step in zip(reader.ints("kernel_shape"), reader.ints("dilations"), strict=True)
    ]
    dense = all(step == 1 for step in reader.ints("dilations"))
    inside = dense and all(pads[at] <= span for at, span in enumerate(spans + spans))
    value = pad.number("value")
    loses = value <= LEAST or (value == 0 and _never_negative(draft, pad.inputs[0]))
    fits = inside and loses and not reader.flag("ceil_mode") and not any(reader.ints("pads"))
    return {} if fits else None


def _inner(pad: Node) -> tuple[int, ...]:
    pads = pad.ints("pads")
    rank = len(pads) // 2
    return pads[2:rank] + pads[rank + 2 :]


def _never_negative(draft: Draft, value: str) -> bool:
    maker = draft.producer(value)
    if maker is None:
        return False
    if maker.op == "Clip":
        return maker.number("min") >= 0
    return OPS[maker.op].not_negative or maker.clip[0] >= 0


_PADDED: dict[str, Callable[[Draft, Node, Node], More]] = {
    "Conv": _pad_conv,
    "AveragePool": _pad_average,
    "MaxPool": _pad_max,
}


# --- reductions and products with a constant ---------------------------------------------------


def pool_reductions(graph: Graph) -> Graph:
    """Return the graph with a pool over the whole picture for each global mean or maximum.

    GlobalAveragePool, GlobalMaxPool, and of 4 axes ReduceMean and ReduceMax over the last 2;
    without keepdims a Reshape follows.
    """
    return rewrite(graph, _pool_reduction)


_POOLS = {
    "GlobalAveragePool": "AveragePool",
    "ReduceMean": "AveragePool",
    "GlobalMaxPool": "MaxPool",
    "ReduceMax": "MaxPool",
}


def _pool_reduction(draft: Draft, node: Node) -> bool:
    shape = draft.shape(node.inputs[0])
    rank = len(shape)
    is_float = draft.values[node.outputs[0]].dtype == "float32"
    if node.op not in _POOLS or rank not in (3, 4, 5) or not is_float or 0 in shape:
        return False
    if node.op.startswith("Reduce") and (rank != 4 or node.ints("axes") != (2, 3)):
        return False
    ones = (1,) * (rank - 2)
    attrs: dict[str, Attr] = {
        "kernel_shape": shape[2:],
        "strides": ones,
        "pads": (0,) * (2 * (rank - 2)),
        "dilations": ones,
        "ceil_mode": False,
    }
    op = _POOLS[node.op]
    if op == "AveragePool":
        attrs["count_include_pad"] = False
    pooled = shape[:2] + ones
    if draft.shape(node.outputs[0]) == pooled:
        draft.replace([node], [make(node.name, op, node.inputs, node.outputs, attrs)])
        return True
    value = draft.new_value(f"{node.name}/pooled", "float32", pooled)
    flat: dict[str, Attr] = {"shape": draft.shape(node.outputs[0])}
    tail = make(draft.fresh(f"{node.name}/shape"), "Reshape", (value,), node.outputs, flat)
    draft.replace([node], [make(node.name, op, node.inputs, (value,), attrs), tail])
    return True


def use_dense(graph: Graph) -> Graph:
    """Return the graph with a Dense for each Gemm and MatMul whose second operand is constant."""
    return rewrite(graph, _use_dense)


def _use_dense(draft: Draft, node: Node) -> bool:
    rule = {"Gemm": _gemm_to_dense, "MatMul": _matmul_to_dense}.get(node.op)
    if rule is None or draft.values[node.outputs[0]].dtype != "float32":
        return False
    return rule(draft, node)


def _matmul_to_dense(draft: Draft, node: Node) -> bool:
    weights = draft.constant(node.inputs[1])
    rank = len(draft.shape(node.inputs[0]))
    if weights is None or weights.ndim < 2 or rank < max(2, weights.ndim):
        return False
    if any(dim != 1 for dim in weights.shape[:-2]):
        return False
    matrix = np.ascontiguousarray(weights.reshape(weights.shape[-2:]).T)  # [O, K]
    name = draft.own_constant(node, "w", matrix)
    attrs = {"clip": NO_CLIP}
    inputs = (node.inputs[0], name)
    draft.replace([node], [make(node.name, "Dense", inputs, node.outputs, attrs)])
    return True


def _gemm_to_dense(draft: Draft, node: Node) -> bool:
    """Put alpha and beta into the constants; an Add follows for a c that is no bias."""
    weights = draft.constant(node.inputs[1])
    third = node.input(2)
    bias = _gemm_bias(draft, node, third) if third else None
    added = bool(third) and bias is None
    if weights is None or (added and node.number("beta") != 1):
        return False
    matrix = weights if node.flag("transB") else weights.T  # [O, K]
    scaled = (matrix.astype(np.float64) * node.number("alpha")).astype(np.float32)
    new: list[Node] = []
    x, result = node.inputs[0], node.outputs[0]
    if node.flag("transA"):
        x = draft.new_value(f"{node.name}/turned", "float32", draft.shape(x)[::-1])
        name = draft.fresh(f"{node.name}/transpose")
        new.append(make(name, "Transpose", node.inputs[:1], (x,), {"perm": (1, 0)}))
    if added:
        result = draft.new_value(f"{node.name}/product", "float32", draft.shape(result))
    inputs = [x, draft.own_constant(node, "w", np.ascontiguousarray(scaled))]
    if bias is not None:
        inputs.append(draft.own_constant(node, "b", bias))
    new.append(make(node.name, "Dense", inputs, (result,), {"clip": NO_CLIP}))
    if added:
        name = draft.fresh(f"{node.name}/add")
        new.append(make(name, "Add", (result, third), node.outputs, {"clip": NO_CLIP}))
    draft.replace([node], new)
    return True


def _gemm_bias(draft: Draft, node: Node, name: str) -> np.ndarray | None:
    """Return beta * c as float32 [O]; None where c is no constant or differs between rows."""
    array = draft.constant(name)
    columns = draft.shape(node.outputs[0])[1]
    row = None if array is None else along(array.astype(np.float64), 2, 1, columns)
    return None if row is None else (row * node.number("beta")).astype(np.float32)
