"""Converters of operators that move elements, and of those that only tell or make shapes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from bittrue.graph.model import Shape
from bittrue.graph.shape_rules import broadcast
from bittrue.importers.onnx_step import Step
from bittrue.importers.onnx_tensor import as_read


def to_shape(step: Step, shape: Shape) -> Sequence[str]:
    """Return the input in another shape; itself where that is its shape."""
    if shape == step.shape():
        return [step.x()]
    return [step.emit("Reshape", [step.x()], {"shape": shape})]


def reshape(step: Step) -> Sequence[str]:
    """Reshape, with 0 (as the input) and -1 (the rest) worked out."""
    old, asked = step.shape(), step.whole(1, "its shape")
    if asked.count(-1) > 1 or min(asked, default=0) < -1:
        raise step.wrong(f"its shape is {list(asked)}")
    keep = not step.integer("allowzero", 0)
    if keep and any(n == 0 and axis >= len(old) for axis, n in enumerate(asked)):
        raise step.wrong(f"shape {list(asked)} keeps an axis that {old} has not")
    sizes = [old[axis] if n == 0 and keep else n for axis, n in enumerate(asked)]
    known = prod(n for n in sizes if n >= 0)
    if -1 in sizes:
        if not known or prod(old) % known:
            raise step.wrong(f"{old} cannot take the shape {list(asked)}")
        sizes[sizes.index(-1)] = prod(old) // known
    return to_shape(step, tuple(sizes))


def flatten(step: Step) -> Sequence[str]:
    """Flatten to two axes."""
    shape = step.shape()
    axis = step.axis(1, len(shape), limit=1)
    return to_shape(step, (prod(shape[:axis]), prod(shape[axis:])))


def squeeze(step: Step) -> Sequence[str]:
    """Squeeze; axes are an input from opset 13 on."""
    shape = step.shape()
    axes = _axes(step)
    if axes is None:
        return to_shape(step, tuple(n for n in shape if n != 1))
    front = {step.from_front(axis, len(shape)) for axis in axes}
    if any(shape[axis] != 1 for axis in front):
        raise step.wrong(f"axes {axes} of {shape} are not all 1")
    return to_shape(step, tuple(n for axis, n in enumerate(shape) if axis not in front))


def unsqueeze(step: Step) -> Sequence[str]:
    """Unsqueeze; axes count in the result, and are an input from opset 13 on."""
    shape, axes = step.shape(), _axes(step) or ()
    rank = len(shape) + len(axes)
    front = {step.from_front(axis, rank) for axis in axes}
    if len(front) != len(axes):
        raise step.wrong(f"axes {axes} are not distinct")
    rest = iter(shape)
    return to_shape(step, tuple(1 if axis in front else next(rest) for axis in range(rank)))


def _axes(step: Step) -> tuple[int, ...] | None:
    return step.listed("axes", 1, 13)


def transpose(step: Step) -> Sequence[str]:
    """Transpose; axes are reversed where no order is given."""
    rank = len(step.shape())
    perm = step.integers("perm") or tuple(reversed(range(rank)))
    if perm == tuple(range(rank)):
        return [step.x()]
    return [step.emit("Transpose", [step.x()], {"perm": perm})]


def concat(step: Step) -> Sequence[str]:
    """Concat."""
    inputs = [step.x(index) for index in range(len(step.node.inputs))]
    return [step.emit("Concat", inputs, {"axis": step.axis(None, len(step.shape()))})]


def split(step: Step) -> Sequence[str]:
    """Split into given or equal parts."""
    shape = step.shape()
    axis, count = step.axis(0, len(shape)), len(step.node.outputs)
    sizes = step.listed("split", 1, 13)
    if sizes is None:
        part = -(-shape[axis] // count)
        uneven = step.opset >= 18
        if (part * count != shape[axis] and not uneven) or part * (count - 1) > shape[axis]:
            raise step.wrong(f"axis {axis} of {shape} cannot be split in {count}")
        sizes = (part,) * (count - 1) + (shape[axis] - part * (count - 1),)
    if len(sizes) != count:
        raise step.wrong(f"split {sizes} does not fit {count} outputs")
    return step.emit_many("Split", [step.x()], {"axis": axis, "split": sizes}, count)


def slice_(step: Step) -> Sequence[str]:
    """Slice with constant bounds; they are attributes before opset 10."""
    shape = step.shape()
    starts, ends, axes, steps = _bounds(step, len(shape))
    plan = [(0, 1, n) for n in shape]  # start, step, size
    for axis, start, end, stride in zip(axes, starts, ends, steps, strict=True):
        if stride == 0:
            raise step.wrong("a step is 0")
        front = step.from_front(axis, len(shape))
        # Python's slices clamp as ONNX says: negative counts from the end, then limits.
        points = range(*slice(start, end, stride).indices(shape[front]))
        plan[front] = (points.start if len(points) else 0, stride, len(points))
    if all(row == (0, 1, n) for row, n in zip(plan, shape, strict=True)):
        return [step.x()]
    attrs = {
        "starts": tuple(row[0] for row in plan),
        "steps": tuple(row[1] for row in plan),
        "sizes": tuple(row[2] for row in plan),
    }
    return [step.emit("Slice", [step.x()], attrs)]


def _bounds(step: Step, rank: int) -> tuple[tuple[int, ...], ...]:
    if step.opset < 10:
        starts, ends = step.integers("starts") or (), step.integers("ends") or ()
    else:
        starts, ends = step.whole(1, "its starts"), step.whole(2, "its ends")
    axes = step.listed("axes", 3, 10)
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = step.whole(4, "its steps") if step.has(4) else (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) <= rank:
        raise step.wrong("starts, ends, axes and steps are of unlike length")
    return starts, ends, axes, steps


def pad(step: Step) -> Sequence[str]:
    """Pad by constant widths; they are attributes before opset 11."""
    rank, value = len(step.shape()), 0.0
    if step.opset < 11:
        pads, value = step.integers("pads") or (), step.number("value", 0.0)
    else:
        pads = step.whole(1, "its pads")
        if step.has(2):
            value = float(step.array(2, "its value").reshape(-1)[0])
    axes = step.whole(3, "its axes") if step.has(3) else tuple(range(rank))
    if len(pads) != 2 * len(axes):
        raise step.wrong(f"pads {pads} do not fit {len(axes)} axes")
    full = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        front = step.from_front(axis, rank)
        full[front], full[rank + front] = pads[index], pads[len(axes) + index]
    if not any(full):
        return [step.x()]
    attrs = {"pads": tuple(full), "mode": step.text("mode", "constant"), "value": value}
    return [step.emit("Pad", [step.x()], attrs)]


def gather(step: Step) -> Sequence[str]:
    """Gather."""
    return [step.emit("Gather", [step.x(), step.x(1)], {"axis": step.axis(0, len(step.shape()))})]


def expand(step: Step) -> Sequence[str]:
    """Expand to a constant shape."""
    asked = step.whole(1, "its shape")
    shape = broadcast(step.shape(), asked)
    if shape is None or min(asked, default=1) < 0:
        raise step.wrong(f"{step.shape()} does not broadcast with {asked}")
    if shape == step.shape():
        return [step.x()]
    return [step.emit("Expand", [step.x()], {"shape": shape})]


def tile(step: Step) -> Sequence[str]:
    """Tile by constant repeats."""
    repeats = step.whole(1, "its repeats")
    if all(times == 1 for times in repeats):
        return [step.x()]
    return [step.emit("Tile", [step.x()], {"repeats": repeats})]


# --- shapes, and constants made of them --------------------------------------------------------


def shape_of(step: Step) -> Sequence[str]:
    """Shape: known while importing, so a constant."""
    shape = step.shape()
    end = step.integer("end", len(shape))
    part = shape[slice(step.integer("start", 0), end)]
    return [step.const(np.asarray(part, np.int64), "Shape")]


def size_of(step: Step) -> Sequence[str]:
    """Size: known while importing, so a constant."""
    return [step.const(np.asarray(prod(step.shape()), np.int64), "Size")]


def constant_of_shape(step: Step) -> Sequence[str]:
    """ConstantOfShape of a constant shape."""
    shape = step.whole(0, "its shape")
    value = step.node.attrs.get("value", np.zeros(1, np.float32))
    if not isinstance(value, np.ndarray) or value.size != 1 or min(shape, default=0) < 0:
        raise step.wrong(f"its shape is {shape} and its value {value!r}")
    item = as_read(value.reshape(-1))[0]
    step.check_size(item.dtype.name, shape)
    return [step.const(np.full(shape, item), "ConstantOfShape")]


def range_(step: Step) -> Sequence[str]:
    """Range of constants."""
    start, limit, delta = (
        step.array(index, what)
        for index, what in enumerate(("its start", "its limit", "its delta"))
    )
    if not start.size == limit.size == delta.size == 1 or not delta.any():
        raise step.wrong("start, limit and delta must be one number each, delta not 0")
    first, last, by = (array.reshape(-1)[0].item() for array in (start, limit, delta))
    steps = (last - first) / by
    count = max(0, int(np.ceil(steps))) if np.isfinite(steps) else 2**62
    step.check_size(start.dtype.name, (count,))
    return [step.const((first + np.arange(count) * by).astype(start.dtype), "Range")]


def non_zero(step: Step) -> Sequence[str]:
    """NonZero of a constant."""
    array = step.array(0, "its input")
    return [step.const(np.asarray(np.nonzero(np.atleast_1d(array)), np.int64), "NonZero")]
