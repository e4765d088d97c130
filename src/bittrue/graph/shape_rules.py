"""The dtype and shape of every operator's outputs: the rules that the rows of `ops` name.

A rule takes the node and its input values (None for an optional input that is left out; `infer`
has counted them) and returns one (dtype, shape) for each output. It raises ModelError, naming the
node and both shapes, where the inputs do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from bittrue.errors import ModelError
from bittrue.graph.expression import parse
from bittrue.graph.model import Node, Shape, Value
from bittrue.graph.windows import transposed_size, window_count, window_reach

Inputs = Sequence[Value | None]
Types = tuple[tuple[str, Shape], ...]
Rule = Callable[[Node, Inputs], Types]

FLOATS = ("float16", "float32", "float64")


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """Return the shape that two shapes broadcast to, by ONNX's rule (NumPy's); None if to none."""
    rank = max(len(a), len(b))
    left = (1,) * (rank - len(a)) + a
    right = (1,) * (rank - len(b)) + b
    if any(m != n and 1 not in (m, n) for m, n in zip(left, right, strict=True)):
        return None
    return tuple(n if m == 1 else m for m, n in zip(left, right, strict=True))


# --- what the rules share --------------------------------------------------------------------


def misfit(node: Node, message: str, *, hint: str = "") -> ModelError:
    """Return the error that says why a node cannot have these inputs."""
    return ModelError(
        message,
        where=f"{node.op} '{node.name}'",
        hint=hint or "the model is inconsistent at this node; check how it was exported",
    )


def _given(node: Node, inputs: Inputs, index: int) -> Value:
    """Return an input that must be there; `infer` has counted them."""
    value = inputs[index]
    if value is None:
        raise misfit(node, f"input {index} is left out")
    return value


def _optional(inputs: Inputs, index: int) -> Value | None:
    return inputs[index] if index < len(inputs) else None


def _same_dtype(node: Node, *values: Value | None) -> str:
    """Return the one dtype of all values that are there."""
    there = [value for value in values if value is not None]
    for value in there[1:]:
        if value.dtype != there[0].dtype:
            raise misfit(
                node,
                f"'{there[0].name}' is {there[0].dtype}, '{value.name}' is {value.dtype}; "
                "they must be alike",
            )
    return there[0].dtype


def _want(node: Node, value: Value | None, shape: Shape, meaning: str) -> None:
    if value is not None and value.shape != shape:
        raise misfit(node, f"{meaning} has shape {value.shape}, it must have {shape}")


def _want_float(node: Node, value: Value) -> None:
    if value.dtype not in FLOATS:
        raise misfit(node, f"its input '{value.name}' is {value.dtype}, it must be a float")


def _want_rank(node: Node, value: Value, least: int) -> None:
    if len(value.shape) < least:
        raise misfit(node, f"its input has shape {value.shape}, it must have at least {least} axes")


def _want_items(node: Node, attr: str, count: int, shape: Shape) -> tuple[int, ...]:
    """Return an attribute that must hold `count` whole numbers."""
    items = node.ints(attr)
    if len(items) != count:
        raise misfit(node, f"{attr} {items} must have {count} items for input shape {shape}")
    return items


def _axis(node: Node, shape: Shape) -> int:
    axis = node.integer("axis")
    if not 0 <= axis < len(shape):
        raise misfit(node, f"axis {axis} is not an axis of shape {shape}")
    return axis


def _positive(node: Node, out: Shape, shape: Shape) -> Shape:
    if any(size < 1 for size in out):
        raise misfit(node, f"input shape {shape} is too small: the output would be {out}")
    return out


# --- products with weights -------------------------------------------------------------------


def conv(node: Node, inputs: Inputs) -> Types:
    """Weights are [O, I/group, *kernel]; bias [O] and offset [I] may be left out."""
    x, w = _given(node, inputs, 0), _given(node, inputs, 1)
    _want_float(node, x)
    dtype = _same_dtype(node, x, w, _optional(inputs, 2), _optional(inputs, 3))
    _want_rank(node, x, 3)
    group, dims = node.integer("group"), len(x.shape) - 2
    if len(w.shape) != dims + 2 or w.shape[1] * group != x.shape[1] or w.shape[0] % group:
        raise misfit(node, f"weights {w.shape} in {group} groups do not fit input {x.shape}")
    _want(node, _optional(inputs, 2), (w.shape[0],), "the bias")
    _want(node, _optional(inputs, 3), (x.shape[1],), "the offset")
    sizes = _windows(node, x.shape, w.shape[2:], False)
    return ((dtype, (x.shape[0], w.shape[0], *sizes)),)


def _windows(node: Node, shape: Shape, kernel: Shape, ceil: bool) -> Shape:
    """Return the number of windows along each spatial axis of a convolution or a pooling."""
    dims = len(shape) - 2
    strides = _want_items(node, "strides", dims, shape)
    pads = _want_items(node, "pads", 2 * dims, shape)
    dilations = _want_items(node, "dilations", dims, shape)
    counts = []
    for d in range(dims):
        reach = window_reach(kernel[d], dilations[d])
        if reach > shape[2 + d] + pads[d] + pads[dims + d]:
            raise misfit(
                node, f"kernel {kernel} with dilations {dilations} is larger than input {shape}"
            )
        counts.append(window_count(shape[2 + d], reach, strides[d], pads[d], pads[dims + d], ceil))
    return _positive(node, tuple(counts), shape)


def conv_transpose(node: Node, inputs: Inputs) -> Types:
    """Weights are [I, O/group, *kernel]; the bias [O] may be left out."""
    x, w = _given(node, inputs, 0), _given(node, inputs, 1)
    _want_float(node, x)
    dtype = _same_dtype(node, x, w, _optional(inputs, 2))
    _want_rank(node, x, 3)
    group, dims = node.integer("group"), len(x.shape) - 2
    if len(w.shape) != dims + 2 or w.shape[0] != x.shape[1] or w.shape[0] % group:
        raise misfit(node, f"weights {w.shape} in {group} groups do not fit input {x.shape}")
    channels = w.shape[1] * group
    _want(node, _optional(inputs, 2), (channels,), "the bias")
    strides = _want_items(node, "strides", dims, x.shape)
    pads = _want_items(node, "pads", 2 * dims, x.shape)
    dilations = _want_items(node, "dilations", dims, x.shape)
    extra = _want_items(node, "output_padding", dims, x.shape)
    reach = tuple(map(window_reach, w.shape[2:], dilations))
    sizes = tuple(
        transposed_size(x.shape[2 + d], reach[d], strides[d], extra[d]) - pads[d] - pads[dims + d]
        for d in range(dims)
    )
    return ((dtype, (x.shape[0], channels, *_positive(node, sizes, x.shape))),)


def dense(node: Node, inputs: Inputs) -> Types:
    """The last axis K of x becomes O; weights are [O, K]."""
    x, w = _given(node, inputs, 0), _given(node, inputs, 1)
    _want_float(node, x)
    dtype = _same_dtype(node, x, w, _optional(inputs, 2))
    if len(w.shape) != 2 or not x.shape or x.shape[-1] != w.shape[1]:
        raise misfit(node, f"weights {w.shape} do not fit input {x.shape}")
    _want(node, _optional(inputs, 2), (w.shape[0],), "the bias")
    return ((dtype, (*x.shape[:-1], w.shape[0])),)


def matmul(node: Node, inputs: Inputs) -> Types:
    """Leading axes broadcast; a vector is a row on the left and a column on the right."""
    a, b = _given(node, inputs, 0), _given(node, inputs, 1)
    dtype = _same_dtype(node, a, b)
    _want_rank(node, a, 1)
    _want_rank(node, b, 1)
    left = a.shape if len(a.shape) > 1 else (1, *a.shape)
    right = b.shape if len(b.shape) > 1 else (*b.shape, 1)
    lead = broadcast(left[:-2], right[:-2])
    if lead is None or left[-1] != right[-2]:
        raise misfit(node, f"shapes {a.shape} and {b.shape} cannot be multiplied")
    rows = left[-2:-1] if len(a.shape) > 1 else ()
    columns = right[-1:] if len(b.shape) > 1 else ()
    return ((dtype, (*lead, *rows, *columns)),)


def gemm(node: Node, inputs: Inputs) -> Types:
    """Two matrices, and c that broadcasts to their product."""
    a, b, c = _given(node, inputs, 0), _given(node, inputs, 1), _optional(inputs, 2)
    dtype = _same_dtype(node, a, b, c)
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise misfit(node, f"shapes {a.shape} and {b.shape} must both have 2 axes")
    left = a.shape[::-1] if node.flag("transA") else a.shape
    right = b.shape[::-1] if node.flag("transB") else b.shape
    if left[1] != right[0]:
        raise misfit(node, f"shapes {a.shape} and {b.shape} cannot be multiplied")
    out = (left[0], right[1])
    if c is not None and broadcast(c.shape, out) != out:
        raise misfit(node, f"c has shape {c.shape}, which does not broadcast to {out}")
    return ((dtype, out),)


def batch_norm(node: Node, inputs: Inputs) -> Types:
    """The input's own type; the parameters are one number a channel."""
    x = _given(node, inputs, 0)
    _want_float(node, x)
    channels = (x.shape[1],) if len(x.shape) > 1 else (1,)
    for index, meaning in enumerate(("scale", "bias", "mean", "var"), 1):
        _want(node, inputs[index], channels, meaning)
    return ((x.dtype, x.shape),)


# --- two tensors -----------------------------------------------------------------------------


def pair(node: Node, inputs: Inputs) -> Types:
    """Two alike dtypes, shapes broadcast."""
    a, b = _given(node, inputs, 0), _given(node, inputs, 1)
    return ((_same_dtype(node, a, b), _together(node, a, b)),)


def power(node: Node, inputs: Inputs) -> Types:
    """The base's dtype, whatever the exponent's; shapes broadcast."""
    a, b = _given(node, inputs, 0), _given(node, inputs, 1)
    return ((a.dtype, _together(node, a, b)),)


def comparison(node: Node, inputs: Inputs) -> Types:
    """Truth values; two alike dtypes, shapes broadcast."""
    ((_, shape),) = pair(node, inputs)
    return (("bool", shape),)


def logic(node: Node, inputs: Inputs) -> Types:
    """Truth values of one or two tensors of truth values."""
    for index in range(len(inputs)):
        value = _given(node, inputs, index)
        if value.dtype != "bool":
            raise misfit(node, f"its input '{value.name}' is {value.dtype}, it must be bool")
    return pair(node, inputs) if len(inputs) == 2 else same(node, inputs)


def _together(node: Node, a: Value, b: Value) -> Shape:
    shape = broadcast(a.shape, b.shape)
    if shape is None:
        raise misfit(
            node,
            f"'{a.name}' has shape {a.shape}, '{b.name}' has {b.shape}; they do not broadcast",
        )
    return shape


def where(node: Node, inputs: Inputs) -> Types:
    """Two alike dtypes; the condition is bool, and all three shapes broadcast."""
    condition, a, b = (_given(node, inputs, index) for index in range(3))
    if condition.dtype != "bool":
        raise misfit(node, f"the condition is {condition.dtype}, it must be bool")
    shape = broadcast(condition.shape, _together(node, a, b))
    if shape is None:
        raise misfit(
            node, f"the condition {condition.shape} does not broadcast with {a.shape}, {b.shape}"
        )
    return ((_same_dtype(node, a, b), shape),)


# --- one tensor ------------------------------------------------------------------------------


def same(node: Node, inputs: Inputs) -> Types:
    """The input's own type."""
    x = _given(node, inputs, 0)
    return ((x.dtype, x.shape),)


def same_float(node: Node, inputs: Inputs) -> Types:
    """The input's own type, which is a float."""
    _want_float(node, _given(node, inputs, 0))
    return same(node, inputs)


def pointwise(node: Node, inputs: Inputs) -> Types:
    """The input's own type, which is a float; the expression can be read."""
    try:
        parse(node.text("expr"))
    except ModelError as error:
        raise misfit(node, f"{error.where}: {error.message}", hint=error.hint) from None
    return same_float(node, inputs)


def cast(node: Node, inputs: Inputs) -> Types:
    """The input's shape in another dtype."""
    return ((node.text("to"), _given(node, inputs, 0).shape),)


def softmax(node: Node, inputs: Inputs) -> Types:
    """The input's own type, which is a float; the axis is one of it."""
    _axis(node, _given(node, inputs, 0).shape)
    return same_float(node, inputs)


def pool(node: Node, inputs: Inputs) -> Types:
    """The batch and the channels, then the number of windows along each axis."""
    x = _given(node, inputs, 0)
    _want_rank(node, x, 3)
    kernel = _want_items(node, "kernel_shape", len(x.shape) - 2, x.shape)
    sizes = _windows(node, x.shape, kernel, node.flag("ceil_mode"))
    return ((x.dtype, (*x.shape[:2], *sizes)),)


def average_pool(node: Node, inputs: Inputs) -> Types:
    """As `pool`, of floats."""
    _want_float(node, _given(node, inputs, 0))
    return pool(node, inputs)


def global_pool(node: Node, inputs: Inputs) -> Types:
    """The batch and the channels, every other axis 1."""
    x = _given(node, inputs, 0)
    _want_rank(node, x, 3)
    return ((x.dtype, (*x.shape[:2], *(1,) * (len(x.shape) - 2))),)


def reduction(node: Node, inputs: Inputs) -> Types:
    """The axes that are reduced are 1, or gone without keepdims."""
    x, axes = _given(node, inputs, 0), node.ints("axes")
    if list(axes) != sorted(set(axes)) or any(axis >= len(x.shape) for axis in axes):
        raise misfit(node, f"axes {axes} are not distinct axes of shape {x.shape}, in order")
    return ((x.dtype, _reduced(node, x.shape, axes)),)


def arg(node: Node, inputs: Inputs) -> Types:
    """Indices, int64; the axis is 1, or gone without keepdims."""
    x = _given(node, inputs, 0)
    axis = _axis(node, x.shape)
    if x.shape[axis] == 0:
        raise misfit(node, f"axis {axis} of shape {x.shape} is empty")
    return (("int64", _reduced(node, x.shape, (axis,))),)


def _reduced(node: Node, shape: Shape, axes: tuple[int, ...]) -> Shape:
    if node.flag("keepdims"):
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


# --- elements move ---------------------------------------------------------------------------


def reshape(node: Node, inputs: Inputs) -> Types:
    """The shape asked for, of as many elements."""
    x, shape = _given(node, inputs, 0), node.ints("shape")
    if prod(shape) != prod(x.shape):
        raise misfit(node, f"shape {x.shape} has {prod(x.shape)} elements, {shape} another number")
    return ((x.dtype, shape),)


def transpose(node: Node, inputs: Inputs) -> Types:
    """The axes in the order of perm."""
    x, perm = _given(node, inputs, 0), node.ints("perm")
    if sorted(perm) != list(range(len(x.shape))):
        raise misfit(node, f"perm {perm} is not an order of the axes of shape {x.shape}")
    return ((x.dtype, tuple(x.shape[axis] for axis in perm)),)


def concat(node: Node, inputs: Inputs) -> Types:
    """The sum of all inputs' sizes along the axis; else they are alike."""
    values = [_given(node, inputs, index) for index in range(len(inputs))]
    first = values[0].shape
    axis = _axis(node, first)
    for value in values[1:]:
        rest = (*value.shape[:axis], *value.shape[axis + 1 :])
        if len(value.shape) != len(first) or rest != (*first[:axis], *first[axis + 1 :]):
            raise misfit(node, f"shapes {first} and {value.shape} cannot be joined at axis {axis}")
    total = sum(value.shape[axis] for value in values)
    return ((_same_dtype(node, *values), (*first[:axis], total, *first[axis + 1 :])),)


def split(node: Node, inputs: Inputs) -> Types:
    """One type a part; the parts add up to the axis."""
    x, parts = _given(node, inputs, 0), node.ints("split")
    axis = _axis(node, x.shape)
    if sum(parts) != x.shape[axis] or not parts:
        raise misfit(node, f"parts {parts} do not add up to axis {axis} of shape {x.shape}")
    return tuple((x.dtype, (*x.shape[:axis], part, *x.shape[axis + 1 :])) for part in parts)


def slice_(node: Node, inputs: Inputs) -> Types:
    """The sizes asked for, every element of which lies within x."""
    x = _given(node, inputs, 0)
    rank = len(x.shape)
    starts, steps, sizes = (
        _want_items(node, name, rank, x.shape) for name in ("starts", "steps", "sizes")
    )
    for axis, (start, step, size) in enumerate(zip(starts, steps, sizes, strict=True)):
        last = start + (size - 1) * step
        if step == 0 or (size and not (start < x.shape[axis] and 0 <= last < x.shape[axis])):
            raise misfit(
                node,
                f"start {start}, step {step}, size {size} leave axis {axis} of shape {x.shape}",
            )
    return ((x.dtype, sizes),)


def pad(node: Node, inputs: Inputs) -> Types:
    """Each axis with both its pads, which may be negative."""
    x = _given(node, inputs, 0)
    rank = len(x.shape)
    pads = _want_items(node, "pads", 2 * rank, x.shape)
    out = tuple(size + pads[axis] + pads[rank + axis] for axis, size in enumerate(x.shape))
    if any(size < 0 for size in out):
        raise misfit(node, f"pads {pads} cut more from shape {x.shape} than it has")
    if node.text("mode") != "constant" and 0 in x.shape and 0 not in out:
        raise misfit(node, f"shape {x.shape} has no elements to fill a border from")
    return ((x.dtype, out),)


def resize(node: Node, inputs: Inputs) -> Types:
    """The shape asked for; only nearest takes whole numbers."""
    x, shape = _given(node, inputs, 0), node.ints("shape")
    scales = node.numbers("scales")
    if not len(scales) == len(shape) == len(x.shape):
        raise misfit(node, f"shape {shape} and scales {scales} must fit input shape {x.shape}")
    if any(not scale > 0 for scale in scales):
        raise misfit(node, f"scales {scales} must be above 0")
    if node.text("mode") != "nearest":
        _want_float(node, x)
    return ((x.dtype, shape),)


def gather(node: Node, inputs: Inputs) -> Types:
    """The shape of the indices in the axis's place."""
    x, indices = _given(node, inputs, 0), _given(node, inputs, 1)
    axis = _axis(node, x.shape)
    if indices.dtype not in ("int32", "int64"):
        raise misfit(node, f"indices are {indices.dtype}, they must be int32 or int64")
    return ((x.dtype, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])),)


def expand(node: Node, inputs: Inputs) -> Types:
    """What the shape and the one asked for broadcast to."""
    x = _given(node, inputs, 0)
    shape = broadcast(x.shape, node.ints("shape"))
    if shape is None:
        raise misfit(node, f"shape {x.shape} does not broadcast with {node.ints('shape')}")
    return ((x.dtype, shape),)


def tile(node: Node, inputs: Inputs) -> Types:
    """Each axis times its repeats."""
    x = _given(node, inputs, 0)
    repeats = _want_items(node, "repeats", len(x.shape), x.shape)
    return ((x.dtype, tuple(n * times for n, times in zip(x.shape, repeats, strict=True))),)


def depth_to_space(node: Node, inputs: Inputs) -> Types:
    """Height and width times blocksize, channels over its square."""
    x, block = _given(node, inputs, 0), node.integer("blocksize")
    if len(x.shape) != 4 or x.shape[1] % block**2:
        raise misfit(node, f"channels of shape {x.shape} are no multiple of {block} * {block}")
    n, c, h, w = x.shape
    return ((x.dtype, (n, c // block**2, h * block, w * block)),)


def space_to_depth(node: Node, inputs: Inputs) -> Types:
    """Height and width over blocksize, channels times its square."""
    x, block = _given(node, inputs, 0), node.integer("blocksize")
    if len(x.shape) != 4 or x.shape[2] % block or x.shape[3] % block:
        raise misfit(node, f"height and width of shape {x.shape} are no multiples of {block}")
    n, c, h, w = x.shape
    return ((x.dtype, (n, c * block**2, h // block, w // block)),)
