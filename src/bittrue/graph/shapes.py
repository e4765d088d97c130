"""The dtype and shape of every operator's outputs: one rule each, in the table SHAPES.

A rule takes the node and its input values (None for an optional input that is left out) and
returns one (dtype, shape) for each output. It raises ModelError, naming the node and both shapes,
where the inputs do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from bittrue.errors import ModelError
from bittrue.graph.model import Node, Shape, Value
from bittrue.graph.ops import input_problem
from bittrue.graph.pointwise import parse

Inputs = Sequence[Value | None]
Types = tuple[tuple[str, Shape], ...]
Rule = Callable[[Node, Inputs], Types]

FLOATS = ("float16", "float32", "float64")


def infer(node: Node, inputs: Inputs) -> Types:
    """Return the dtype and shape of each of a node's outputs.

    Args:
        node: A node with complete attributes (`bittrue.graph.ops.complete_attrs`).
        inputs: Its input values in order; None for one that is left out.

    Raises:
        ModelError: if the operator is unknown, or the inputs do not fit it or one another.
    """
    if node.op not in SHAPES:
        raise _error(node, "no operator has this name", hint="see bittrue.graph.ops")
    names = tuple("" if value is None else value.name for value in inputs)
    problem = input_problem(node.op, names)
    if problem:
        raise _error(node, problem)
    types = SHAPES[node.op](node, inputs)
    if len(node.outputs) != len(types):
        raise _error(node, f"it has {len(node.outputs)} outputs, {node.op} makes {len(types)}")
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
        raise _error(node, f"nothing makes its input {unknown[0]!r}")
    types = infer(node, [values[name] if name else None for name in node.inputs])
    return tuple(
        Value(name, dtype, shape) for name, (dtype, shape) in zip(node.outputs, types, strict=True)
    )


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """Return the shape that two shapes broadcast to, by ONNX's rule (NumPy's); None if to none."""
    rank = max(len(a), len(b))
    left = (1,) * (rank - len(a)) + a
    right = (1,) * (rank - len(b)) + b
    if any(m != n and 1 not in (m, n) for m, n in zip(left, right, strict=True)):
        return None
    return tuple(n if m == 1 else m for m, n in zip(left, right, strict=True))


def pooled_size(size: int, kernel: int, stride: int, before: int, after: int, ceil: bool) -> int:
    """Return the number of windows along one axis.

    ``floor((size + before + after - kernel) / stride) + 1``, or with ceil; then a last window that
    would start in the padding behind the data is left out (ONNX opset 22, PyTorch).

    Args:
        size: Length of the axis.
        kernel: Length of the window, dilation included.
        stride: Distance of two windows.
        before: Padding before the data.
        after: Padding behind the data.
        ceil: Whether a last window may hang over the padding's end.
    """
    room = size + before + after - kernel
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= size + before:
        count -= 1
    return count


# --- what the rules share --------------------------------------------------------------------


def _error(node: Node, message: str, *, hint: str = "") -> ModelError:
    return ModelError(
        message,
        where=f"{node.op} '{node.name}'",
        hint=hint or "the model is inconsistent at this node; check how it was exported",
    )


def _given(node: Node, inputs: Inputs, index: int) -> Value:
    """Return an input that must be there; `infer` has counted them."""
    value = inputs[index]
    if value is None:
        raise _error(node, f"input {index} is left out")
    return value


def _optional(inputs: Inputs, index: int) -> Value | None:
    return inputs[index] if index < len(inputs) else None


def _same_dtype(node: Node, *values: Value | None) -> str:
    """Return the one dtype of all values that are there."""
    there = [value for value in values if value is not None]
    for value in there[1:]:
        if value.dtype != there[0].dtype:
            raise _error(
                node,
                f"'{there[0].name}' is {there[0].dtype}, '{value.name}' is {value.dtype}; "
                "they must be alike",
            )
    return there[0].dtype


def _want(node: Node, value: Value | None, shape: Shape, meaning: str) -> None:
    if value is not None and value.shape != shape:
        raise _error(node, f"{meaning} has shape {value.shape}, it must have {shape}")


def _want_float(node: Node, value: Value) -> None:
    if value.dtype not in FLOATS:
        raise _error(node, f"its input '{value.name}' is {value.dtype}, it must be a float")


def _want_rank(node: Node, value: Value, least: int) -> None:
    if len(value.shape) < least:
        raise _error(node, f"its input has shape {value.shape}, it must have at least {least} axes")


def _want_items(node: Node, attr: str, count: int, shape: Shape) -> tuple[int, ...]:
    """Return an attribute that must hold `count` whole numbers."""
    items = node.ints(attr)
    if len(items) != count:
        raise _error(node, f"{attr} {items} must have {count} items for input shape {shape}")
    return items


def _axis(node: Node, shape: Shape) -> int:
    axis = node.integer("axis")
    if not 0 <= axis < len(shape):
        raise _error(node, f"axis {axis} is not an axis of shape {shape}")
    return axis


def _positive(node: Node, out: Shape, shape: Shape) -> Shape:
    if any(size < 1 for size in out):
        raise _error(node, f"input shape {shape} is too small: the output would be {out}")
    return out


# --- products with weights -------------------------------------------------------------------


def _conv(node: Node, inputs: Inputs) -> Types:
    x, w = _given(node, inputs, 0), _given(node, inputs, 1)
    _want_float(node, x)
    dtype = _same_dtype(node, x, w, _optional(inputs, 2), _optional(inputs, 3))
    _want_rank(node, x, 3)
    group, dims = node.integer("group"), len(x.shape) - 2
    if len(w.shape) != dims + 2 or w.shape[1] * group != x.shape[1] or w.shape[0] % group:
        raise _error(node, f"weights {w.shape} in {group} groups do not fit input {x.shape}")
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
        reach = (kernel[d] - 1) * dilations[d] + 1
        if reach > shape[2 + d] + pads[d] + pads[dims + d]:
            raise _error(
                node, f"kernel {kernel} with dilations {dilations} is larger than input {shape}"
            )
        counts.append(pooled_size(shape[2 + d], reach, strides[d], pads[d], pads[dims + d], ceil))
    return _positive(node, tuple(counts), shape)


def _conv_transpose(node: Node, inputs: Inputs) -> Types:
    x, w = _given(node, inputs, 0), _given(node, inputs, 1)
    _want_float(node, x)
    dtype = _same_dtype(node, x, w, _optional(inputs, 2))
    _want_rank(node, x, 3)
    group, dims = node.integer("group"), len(x.shape) - 2
    if len(w.shape) != dims + 2 or w.shape[0] != x.shape[1] or w.shape[0] % group:
        raise _error(node, f"weights {w.shape} in {group} groups do not fit input {x.shape}")
    channels = w.shape[1] * group
    _want(node, _optional(inputs, 2), (channels,), "the bias")
    strides = _want_items(node, "strides", dims, x.shape)
    pads = _want_items(node, "pads", 2 * dims, x.shape)
    dilations = _want_items(node, "dilations", dims, x.shape)
    extra = _want_items(node, "output_padding", dims, x.shape)
    sizes = tuple(
        strides[d] * (x.shape[2 + d] - 1)
        + (w.shape[2 + d] - 1) * dilations[d]
        + 1
        + extra[d]
        - pads[d]
        - pads[dims + d]
        for d in range(dims)
    )
    return ((dtype, (x.shape[0], channels, *_positive(node, sizes, x.shape))),)


def _dense(node: Node, inputs: Inputs) -> Types:
    x, w = _given(node, inputs, 0), _given(node, inputs, 1)
    _want_float(node, x)
    dtype = _same_dtype(node, x, w, _optional(inputs, 2))
    if len(w.shape) != 2 or not x.shape or x.shape[-1] != w.shape[1]:
        raise _error(node, f"weights {w.shape} do not fit input {x.shape}")
    _want(node, _optional(inputs, 2), (w.shape[0],), "the bias")
    return ((dtype, (*x.shape[:-1], w.shape[0])),)


def _matmul(node: Node, inputs: Inputs) -> Types:
    a, b = _given(node, inputs, 0), _given(node, inputs, 1)
    dtype = _same_dtype(node, a, b)
    _want_rank(node, a, 1)
    _want_rank(node, b, 1)
    left = a.shape if len(a.shape) > 1 else (1, *a.shape)
    right = b.shape if len(b.shape) > 1 else (*b.shape, 1)
    lead = broadcast(left[:-2], right[:-2])
    if lead is None or left[-1] != right[-2]:
        raise _error(node, f"shapes {a.shape} and {b.shape} cannot be multiplied")
    rows = left[-2:-1] if len(a.shape) > 1 else ()
    columns = right[-1:] if len(b.shape) > 1 else ()
    return ((dtype, (*lead, *rows, *columns)),)


def _gemm(node: Node, inputs: Inputs) -> Types:
    a, b, c = _given(node, inputs, 0), _given(node, inputs, 1), _optional(inputs, 2)
    dtype = _same_dtype(node, a, b, c)
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise _error(node, f"shapes {a.shape} and {b.shape} must both have 2 axes")
    left = a.shape[::-1] if node.integer("transA") else a.shape
    right = b.shape[::-1] if node.integer("transB") else b.shape
    if left[1] != right[0]:
        raise _error(node, f"shapes {a.shape} and {b.shape} cannot be multiplied")
    out = (left[0], right[1])
    if c is not None and broadcast(c.shape, out) != out:
        raise _error(node, f"c has shape {c.shape}, which does not broadcast to {out}")
    return ((dtype, out),)


def _batch_norm(node: Node, inputs: Inputs) -> Types:
    x = _given(node, inputs, 0)
    _want_float(node, x)
    channels = (x.shape[1],) if len(x.shape) > 1 else (1,)
    for index, meaning in enumerate(("scale", "bias", "mean", "var"), 1):
        _want(node, inputs[index], channels, meaning)
    return ((x.dtype, x.shape),)


# --- two tensors -----------------------------------------------------------------------------


def _pair(node: Node, inputs: Inputs) -> Types:
    a, b = _given(node, inputs, 0), _given(node, inputs, 1)
    return ((_same_dtype(node, a, b), _together(node, a, b)),)


def _pow(node: Node, inputs: Inputs) -> Types:
    a, b = _given(node, inputs, 0), _given(node, inputs, 1)
    return ((a.dtype, _together(node, a, b)),)


def _comparison(node: Node, inputs: Inputs) -> Types:
    ((_, shape),) = _pair(node, inputs)
    return (("bool", shape),)


def _logic(node: Node, inputs: Inputs) -> Types:
    for index in range(len(inputs)):
        value = _given(node, inputs, index)
        if value.dtype != "bool":
            raise _error(node, f"its input '{value.name}' is {value.dtype}, it must be bool")
    return _pair(node, inputs) if len(inputs) == 2 else _same(node, inputs)


def _together(node: Node, a: Value, b: Value) -> Shape:
    shape = broadcast(a.shape, b.shape)
    if shape is None:
        raise _error(
            node,
            f"'{a.name}' has shape {a.shape}, '{b.name}' has {b.shape}; they do not broadcast",
        )
    return shape


def _where(node: Node, inputs: Inputs) -> Types:
    condition, a, b = (_given(node, inputs, index) for index in range(3))
    if condition.dtype != "bool":
        raise _error(node, f"the condition is {condition.dtype}, it must be bool")
    shape = broadcast(condition.shape, _together(node, a, b))
    if shape is None:
        raise _error(
            node, f"the condition {condition.shape} does not broadcast with {a.shape}, {b.shape}"
        )
    return ((_same_dtype(node, a, b), shape),)


# --- one tensor ------------------------------------------------------------------------------


def _same(node: Node, inputs: Inputs) -> Types:
    x = _given(node, inputs, 0)
    return ((x.dtype, x.shape),)


def _same_float(node: Node, inputs: Inputs) -> Types:
    _want_float(node, _given(node, inputs, 0))
    return _same(node, inputs)


def _pointwise(node: Node, inputs: Inputs) -> Types:
    try:
        parse(node.text("expr"))
    except ModelError as error:
        raise _error(node, f"{error.where}: {error.message}", hint=error.hint) from None
    return _same_float(node, inputs)


def _cast(node: Node, inputs: Inputs) -> Types:
    return ((node.text("to"), _given(node, inputs, 0).shape),)


def _softmax(node: Node, inputs: Inputs) -> Types:
    _axis(node, _given(node, inputs, 0).shape)
    return _same_float(node, inputs)


def _pool(node: Node, inputs: Inputs) -> Types:
    x = _given(node, inputs, 0)
    _want_rank(node, x, 3)
    if node.op == "AveragePool":
        _want_float(node, x)
    kernel = _want_items(node, "kernel_shape", len(x.shape) - 2, x.shape)
    sizes = _windows(node, x.shape, kernel, bool(node.integer("ceil_mode")))
    return ((x.dtype, (*x.shape[:2], *sizes)),)


def _global_pool(node: Node, inputs: Inputs) -> Types:
    x = _given(node, inputs, 0)
    _want_rank(node, x, 3)
    return ((x.dtype, (*x.shape[:2], *(1,) * (len(x.shape) - 2))),)


def _reduce(node: Node, inputs: Inputs) -> Types:
    x, axes = _given(node, inputs, 0), node.ints("axes")
    if list(axes) != sorted(set(axes)) or any(axis >= len(x.shape) for axis in axes):
        raise _error(node, f"axes {axes} are not distinct axes of shape {x.shape}, in order")
    return ((x.dtype, _reduced(node, x.shape, axes)),)


def _arg(node: Node, inputs: Inputs) -> Types:
    x = _given(node, inputs, 0)
    axis = _axis(node, x.shape)
    if x.shape[axis] == 0:
        raise _error(node, f"axis {axis} of shape {x.shape} is empty")
    return (("int64", _reduced(node, x.shape, (axis,))),)


def _reduced(node: Node, shape: Shape, axes: tuple[int, ...]) -> Shape:
    if node.integer("keepdims"):
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


# --- elements move ---------------------------------------------------------------------------


def _reshape(node: Node, inputs: Inputs) -> Types:
    x, shape = _given(node, inputs, 0), node.ints("shape")
    if prod(shape) != prod(x.shape):
        raise _error(node, f"shape {x.shape} has {prod(x.shape)} elements, {shape} another number")
    return ((x.dtype, shape),)


def _transpose(node: Node, inputs: Inputs) -> Types:
    x, perm = _given(node, inputs, 0), node.ints("perm")
    if sorted(perm) != list(range(len(x.shape))):
        raise _error(node, f"perm {perm} is not an order of the axes of shape {x.shape}")
    return ((x.dtype, tuple(x.shape[axis] for axis in perm)),)


def _concat(node: Node, inputs: Inputs) -> Types:
    values = [_given(node, inputs, index) for index in range(len(inputs))]
    first = values[0].shape
    axis = _axis(node, first)
    for value in values[1:]:
        rest = (*value.shape[:axis], *value.shape[axis + 1 :])
        if len(value.shape) != len(first) or rest != (*first[:axis], *first[axis + 1 :]):
            raise _error(node, f"shapes {first} and {value.shape} cannot be joined at axis {axis}")
    total = sum(value.shape[axis] for value in values)
    return ((_same_dtype(node, *values), (*first[:axis], total, *first[axis + 1 :])),)


def _split(node: Node, inputs: Inputs) -> Types:
    x, parts = _given(node, inputs, 0), node.ints("split")
    axis = _axis(node, x.shape)
    if sum(parts) != x.shape[axis] or not parts:
        raise _error(node, f"parts {parts} do not add up to axis {axis} of shape {x.shape}")
    return tuple((x.dtype, (*x.shape[:axis], part, *x.shape[axis + 1 :])) for part in parts)


def _slice(node: Node, inputs: Inputs) -> Types:
    x = _given(node, inputs, 0)
    rank = len(x.shape)
    starts, steps, sizes = (
        _want_items(node, name, rank, x.shape) for name in ("starts", "steps", "sizes")
    )
    for axis, (start, step, size) in enumerate(zip(starts, steps, sizes, strict=True)):
        last = start + (size - 1) * step
        if step == 0 or (size and not (start < x.shape[axis] and 0 <= last < x.shape[axis])):
            raise _error(
                node,
                f"start {start}, step {step}, size {size} leave axis {axis} of shape {x.shape}",
            )
    return ((x.dtype, sizes),)


def _pad(node: Node, inputs: Inputs) -> Types:
    x = _given(node, inputs, 0)
    rank = len(x.shape)
    pads = _want_items(node, "pads", 2 * rank, x.shape)
    out = tuple(size + pads[axis] + pads[rank + axis] for axis, size in enumerate(x.shape))
    if any(size < 0 for size in out):
        raise _error(node, f"pads {pads} cut more from shape {x.shape} than it has")
    if node.text("mode") != "constant" and 0 in x.shape and 0 not in out:
        raise _error(node, f"shape {x.shape} has no elements to fill a border from")
    return ((x.dtype, out),)


def _resize(node: Node, inputs: Inputs) -> Types:
    x, shape = _given(node, inputs, 0), node.ints("shape")
    scales = node.attrs["scales"]
    if not isinstance(scales, tuple) or not len(scales) == len(shape) == len(x.shape):
        raise _error(node, f"shape {shape} and scales {scales} must fit input shape {x.shape}")
    if any(not float(scale) > 0 for scale in scales):
        raise _error(node, f"scales {scales} must be above 0")
    if node.text("mode") != "nearest":
        _want_float(node, x)
    return ((x.dtype, shape),)


def _gather(node: Node, inputs: Inputs) -> Types:
    x, indices = _given(node, inputs, 0), _given(node, inputs, 1)
    axis = _axis(node, x.shape)
    if indices.dtype not in ("int32", "int64"):
        raise _error(node, f"indices are {indices.dtype}, they must be int32 or int64")
    return ((x.dtype, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])),)


def _expand(node: Node, inputs: Inputs) -> Types:
    x = _given(node, inputs, 0)
    shape = broadcast(x.shape, node.ints("shape"))
    if shape is None:
        raise _error(node, f"shape {x.shape} does not broadcast with {node.ints('shape')}")
    return ((x.dtype, shape),)


def _tile(node: Node, inputs: Inputs) -> Types:
    x = _given(node, inputs, 0)
    repeats = _want_items(node, "repeats", len(x.shape), x.shape)
    return ((x.dtype, tuple(n * times for n, times in zip(x.shape, repeats, strict=True))),)


def _depth_to_space(node: Node, inputs: Inputs) -> Types:
    x, block = _given(node, inputs, 0), node.integer("blocksize")
    if len(x.shape) != 4 or x.shape[1] % block**2:
        raise _error(node, f"channels of shape {x.shape} are no multiple of {block} * {block}")
    n, c, h, w = x.shape
    return ((x.dtype, (n, c // block**2, h * block, w * block)),)


def _space_to_depth(node: Node, inputs: Inputs) -> Types:
    x, block = _given(node, inputs, 0), node.integer("blocksize")
    if len(x.shape) != 4 or x.shape[2] % block or x.shape[3] % block:
        raise _error(node, f"height and width of shape {x.shape} are no multiples of {block}")
    n, c, h, w = x.shape
    return ((x.dtype, (n, c * block**2, h // block, w // block)),)


_ANY_NUMBER = ("Relu", "Neg", "Abs", "Sign", "Clip")
_FLOAT_ONLY = (
    *("Sigmoid", "HardSwish", "Tanh", "Exp", "Log", "Sqrt", "Reciprocal", "Floor", "Ceil"),
    *("Round", "Erf", "Softplus", "Softsign", "Mish", "Sin", "Cos", "LeakyRelu", "Elu", "Celu"),
    *("ThresholdedRelu", "Selu", "HardSigmoid", "Gelu"),
)
_REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2")

#: The rule of every operator in OPS.
SHAPES: dict[str, Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Dense": _dense,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "BatchNormalization": _batch_norm,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Min", "Max", "Mod", "PRelu"), _pair),
    "Pow": _pow,
    **dict.fromkeys(("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"), _comparison),
    **dict.fromkeys(("And", "Or", "Not"), _logic),
    "Where": _where,
    **dict.fromkeys(_ANY_NUMBER, _same),
    **dict.fromkeys(_FLOAT_ONLY, _same_float),
    "Pointwise": _pointwise,
    "Cast": _cast,
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Resize": _resize,
    "Gather": _gather,
    "Expand": _expand,
    "Tile": _tile,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
