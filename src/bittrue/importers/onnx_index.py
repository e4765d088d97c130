"""Converters of operators that address elements by indices: each becomes one Gather of rows.

A scatter is a Gather too: from the old elements and the updates, joined, each place of the result
takes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from bittrue.dtypes import DTYPES
from bittrue.graph.model import Shape
from bittrue.importers.onnx_inner import evaluated
from bittrue.importers.onnx_step import NotHandledError, Step
from bittrue.importers.onnx_tensor import normal_dtype

#: A running sum is a product with a triangle of so many rows at most (64 MiB of ones).
CUMSUM_MAX = 4096
#: So many updates of one element are combined one after the other.
ROUNDS_MAX = 64
#: The operator of each way in which a scatter combines.
COMBINED = {"none": "", "add": "Add", "mul": "Mul", "max": "Max", "min": "Min"}


def _indices(step: Step, index: int) -> np.ndarray:
    array = step.array(index, "its indices")
    if array.dtype.kind not in "iu":
        raise step.wrong(f"its indices are {array.dtype}, not whole numbers")
    return array.astype(np.int64)


def _wrapped(step: Step, indices: np.ndarray, size: int | np.ndarray) -> np.ndarray:
    """Return indices counted from the front.

    Raises:
        ModelError: if one lies outside.
    """
    if ((indices < -np.asarray(size)) | (indices >= size)).any():
        raise step.wrong(f"an index lies outside its axis: {np.unique(indices)[:5]} of {size}")
    return np.where(indices < 0, indices + size, indices)


def _take(step: Step, x: str, rows: Shape, index: str, shape: Shape) -> str:
    """Return x as rows, those at the flat indices in `index`, in a shape."""
    flat = step.emit("Reshape", [x], {"shape": rows})
    line = step.emit("Reshape", [index], {"shape": (prod(step.value(index).shape),)})
    taken = step.emit("Gather", [flat, line], {"axis": 0})
    return step.emit("Reshape", [taken], {"shape": shape})


# --- reading ---------------------------------------------------------------------------------


def gather_elements(step: Step) -> Sequence[str]:
    """GatherElements: each element by its number in the flat tensor."""
    shape, sizes = step.shape(), step.shape(1)
    axis = step.axis(0, len(shape))
    _check_elements(step, shape, sizes, axis)
    strides = _strides(shape)
    step.check_size("int64", (len(sizes), *sizes))
    rest = np.indices(sizes)
    base = sum((rest[a] * strides[a] for a in range(len(shape)) if a != axis), np.int64(0))
    index = _whole_index(step, _as_long(step, step.x(1)), shape[axis], strides[axis])
    number = step.emit("Add", [index, step.const(np.asarray(base, np.int64), "before")], {})
    return [_take(step, step.x(), (prod(shape),), number, sizes)]


def gather_nd(step: Step) -> Sequence[str]:
    """GatherND: each slice by its number among the leading axes."""
    shape, sizes = step.shape(), step.shape(1)
    batch = step.integer("batch_dims", 0)
    depth = sizes[-1] if sizes else 0
    legal = 0 <= batch < min(len(shape), len(sizes)) and 1 <= depth <= len(shape) - batch
    if not legal or sizes[:batch] != shape[:batch]:
        raise step.wrong(f"indices {sizes} do not fit input shape {shape}")
    lead = batch + depth
    strides = _strides(shape[:lead])
    step.check_size("int64", (len(sizes), *sizes[:-1]))
    rest = np.indices(sizes[:-1])
    base = sum((rest[a] * strides[a] for a in range(batch)), np.int64(0))
    number = step.const(np.broadcast_to(base, sizes[:-1]).astype(np.int64), "before")
    parts = {"axis": len(sizes) - 1, "split": (1,) * depth}
    columns = step.emit_many("Split", [_as_long(step, step.x(1))], parts, depth)
    for place, column in enumerate(columns, batch):
        flat = step.emit("Reshape", [column], {"shape": sizes[:-1]})
        index = _whole_index(step, flat, shape[place], strides[place])
        number = step.emit("Add", [number, index], {})
    rows = (prod(shape[:lead]), prod(shape[lead:]))
    return [_take(step, step.x(), rows, number, (*sizes[:-1], *shape[lead:]))]


def _as_long(step: Step, x: str) -> str:
    if step.value(x).dtype not in ("int32", "int64"):
        raise step.wrong(f"its indices are {step.value(x).dtype}, not whole numbers")
    return x if step.value(x).dtype == "int64" else step.emit("Cast", [x], {"to": "int64"})


def _whole_index(step: Step, index: str, size: int, stride: int) -> str:
    """Return int64 indices along one axis, counted from the front, times the axis' stride."""
    array = step.constant(index)
    if array is not None:
        return step.const(_wrapped(step, array, size) * stride, "index")
    negative = step.emit("Less", [index, step.const(np.zeros((), np.int64), "zero")], {})
    moved = step.emit("Add", [index, step.const(np.asarray(size, np.int64), "size")], {})
    front = step.emit("Where", [negative, moved, index], {})
    return step.emit("Mul", [front, step.const(np.asarray(stride, np.int64), "stride")], {})


def _strides(shape: Shape) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _check_elements(step: Step, shape: Shape, sizes: Shape, axis: int) -> None:
    fits = len(shape) == len(sizes) and all(
        n <= m for a, (n, m) in enumerate(zip(sizes, shape, strict=True)) if a != axis
    )
    if not fits:
        raise step.wrong(f"indices {sizes} do not fit input shape {shape}")


# --- writing ---------------------------------------------------------------------------------


def scatter_nd(step: Step) -> Sequence[str]:
    """ScatterND at constant indices."""
    shape, indices = step.shape(), _indices(step, 1)
    depth = indices.shape[-1] if indices.ndim else 0
    if not 1 <= depth <= len(shape) or step.shape(2) != (*indices.shape[:-1], *shape[depth:]):
        raise step.wrong(f"indices {indices.shape}, updates {step.shape(2)}, input {shape}")
    strides = _strides(shape[:depth])
    columns = [_wrapped(step, indices[..., i], shape[i]) * strides[i] for i in range(depth)]
    places = np.sum(columns, axis=0)
    return _scatter(step, places, prod(shape[:depth]), prod(shape[depth:]))


def scatter_elements(step: Step) -> Sequence[str]:
    """ScatterElements (and Scatter, its old name) at constant indices."""
    shape, indices = step.shape(), _indices(step, 1)
    axis = step.axis(0, len(shape))
    _check_elements(step, shape, indices.shape, axis)
    if step.shape(2) != indices.shape:
        raise step.wrong(f"indices {indices.shape} and updates {step.shape(2)} differ")
    columns: list[np.ndarray] = list(np.indices(indices.shape))
    columns[axis] = _wrapped(step, indices, shape[axis])
    strides = _strides(shape)
    places = np.sum([columns[a] * strides[a] for a in range(len(shape))], axis=0)
    return _scatter(step, places, prod(shape), 1)


def _scatter(step: Step, places: np.ndarray, count: int, width: int) -> Sequence[str]:
    """Return the input with updates written over rows, or combined with what is there.

    Args:
        step: The node: input, indices, updates.
        places: Which row each update goes to.
        count: Rows of the input.
        width: Elements a row.
    """
    reduction = step.text("reduction", "none")
    if reduction not in COMBINED:
        raise step.wrong(f"its reduction is {reduction!r}")
    flat = places.reshape(-1)
    step.check_size("int64", (count,))
    rows = step.emit("Reshape", [step.x()], {"shape": (count, width)})
    updates = step.emit("Reshape", [step.x(2)], {"shape": (flat.size, width)})
    # Without a reduction the last of several updates holds; with one they follow each other.
    rounds = [np.arange(flat.size)] if reduction == "none" else _rounds(step, flat)
    for chosen in rounds:
        part = updates
        if len(chosen) < flat.size:
            part = step.emit("Gather", [updates, step.const(chosen, "chosen")], {"axis": 0})
        if reduction != "none":
            old = step.emit("Gather", [rows, step.const(flat[chosen], "places")], {"axis": 0})
            part = step.emit(COMBINED[reduction], [old, part], {})
        picked = np.arange(count)
        picked[flat[chosen]] = count + np.arange(len(chosen))
        joined = step.emit("Concat", [rows, part], {"axis": 0})
        rows = step.emit("Gather", [joined, step.const(picked, "picked")], {"axis": 0})
    return [step.emit("Reshape", [rows], {"shape": step.shape()})]


def _rounds(step: Step, places: np.ndarray) -> list[np.ndarray]:
    """Return the updates in groups, in none of which two go to one row."""
    seen: dict[int, int] = {}
    turns = []
    for place in places.tolist():
        seen[place] = seen.get(place, 0) + 1
        turns.append(seen[place])
    if max(turns, default=0) > ROUNDS_MAX:
        raise NotHandledError(f"more than {ROUNDS_MAX} updates go to one element")
    order = np.asarray(turns)
    return [np.flatnonzero(order == turn) for turn in range(1, int(order.max(initial=0)) + 1)]


# --- made from indices -------------------------------------------------------------------------


def one_hot(step: Step) -> Sequence[str]:
    """OneHot of constant depth: where an index (or index + depth) equals its place along axis."""
    depth = int(step.array(1, "its depth").reshape(-1)[0])
    shape = step.shape()
    axis = step.from_front(step.integer("axis", -1), len(shape) + 1)
    if depth < 1 or step.shape(2) != (2,):
        raise step.wrong(f"depth {depth} is below 1, or values {step.shape(2)} are not two")
    wide = (*shape[:axis], 1, *shape[axis:])
    step.check_size("int64", (*shape, depth))
    index = step.emit("Reshape", [step.x()], {"shape": wide})
    index = step.emit("Cast", [index], {"to": "int64"})
    column = (-1,) + (1,) * (len(shape) - axis)
    places = np.arange(depth).reshape(column)
    hits = [
        step.emit("Equal", [index, step.const(array, "places")], {})
        for array in (places, places - depth)
    ]
    hit = step.emit("Or", hits, {})
    off, on = step.emit_many("Split", [step.x(2)], {"axis": 0, "split": (1, 1)}, 2)
    return [step.emit("Where", [hit, on, off], {})]


def eye_like(step: Step) -> Sequence[str]:
    """EyeLike: only its input's shape and type matter, so a constant."""
    shape = step.shape()
    kind = normal_dtype(step.integer("dtype")) if "dtype" in step.node.attrs else step.dtype()
    if len(shape) != 2:
        raise step.wrong(f"its input shape {shape} has not two axes")
    if kind not in DTYPES:
        raise NotHandledError(f"it makes {kind}")
    step.check_size(kind, shape)
    ones = np.eye(*shape, k=step.integer("k", 0)).astype(kind)
    return [step.const(ones, "EyeLike")]


def trilu(step: Step) -> Sequence[str]:
    """Trilu with a constant diagonal: 0 on the other side of it."""
    shape = step.shape()
    if len(shape) < 2:
        raise step.wrong(f"its input shape {shape} has not two axes")
    k = int(step.array(1, "its diagonal").reshape(-1)[0]) if step.has(1) else 0
    k = max(-shape[-2], min(k, shape[-1]))
    step.check_size("bool", shape[-2:])
    ones = np.ones(shape[-2:], np.bool_)
    kept = np.triu(ones, k) if step.integer("upper", 1) else np.tril(ones, k)
    zero = step.const(np.zeros((), step.dtype()), "zero")
    return [step.emit("Where", [step.const(kept, "kept"), step.x(), zero], {})]


def running_sum(step: Step) -> Sequence[str]:
    """CumSum along a constant axis: a product with a triangle of ones."""
    shape, x = step.shape(), step.x()
    axis = step.from_front(int(step.array(1, "its axis").reshape(-1)[0]), len(shape))
    size = shape[axis]
    if step.are_constant(range(len(step.node.inputs))):
        return evaluated(step)
    if size > CUMSUM_MAX:
        raise NotHandledError(f"it sums {size} elements, at most {CUMSUM_MAX} are handled")
    # [k, j]: whether element k is part of the sum at j.
    ones = np.triu(np.ones((size, size)), step.flag("exclusive"))
    ones = ones.T if step.integer("reverse", 0) else ones
    order = (*(a for a in range(len(shape)) if a != axis), axis)
    turned = step.emit("Transpose", [x], {"perm": order})
    triangle = step.const(np.ascontiguousarray(ones, step.dtype()), "triangle")
    rows = step.emit("Reshape", [turned], {"shape": (prod(shape) // max(size, 1), size)})
    summed = step.emit("MatMul", [rows, triangle], {})
    back = step.emit("Reshape", [summed], {"shape": tuple(shape[a] for a in order)})
    return [step.emit("Transpose", [back], {"perm": tuple(np.argsort(order).tolist())})]
