"""Small graphs over the canonical operators: built by hand, or drawn by hypothesis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from bittrue.graph.model import Graph, Node, Shape, Value
from bittrue.graph.ops import complete_attrs
from bittrue.graph.reference import run_reference
from bittrue.graph.shapes import infer_values
from bittrue.graph.verify import verify

RNG = np.random.default_rng(5)
Draw = Callable[[st.SearchStrategy], object]


class GraphBuilder:
    """Adds nodes one by one; shapes are inferred, and every tensor is its own origin."""

    def __init__(self, name: str = "net") -> None:
        self.name = name
        self.inputs: list[str] = []
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.constants: dict[str, np.ndarray] = {}

    def input(self, name: str, shape: Sequence[int], dtype: str = "float32") -> str:
        self.values[name] = Value(name, dtype, tuple(shape), (name,))
        self.inputs.append(name)
        return name

    def const(self, array: object, name: str = "") -> str:
        data = np.asarray(array)
        if data.dtype == np.float64:
            data = data.astype(np.float32)
        name = name or f"c{len(self.constants)}"
        self.constants[name] = data
        self.values[name] = Value(name, data.dtype.name, data.shape)
        return name

    def add(self, op: str, *inputs: str, outputs: int = 1, name: str = "", **attrs: object) -> str:
        """Add a node and return the name of its (first) output."""
        name = name or f"{op}_{len(self.nodes)}"
        made = tuple(f"{name}:{index}" if index else f"{name}:out" for index in range(outputs))
        node = Node(name, op, inputs, made, complete_attrs(op, attrs), (name,))
        for value in infer_values(node, self.values):
            self.values[value.name] = Value(value.name, value.dtype, value.shape, (value.name,))
        self.nodes.append(node)
        return made[0]

    def conv(
        self,
        x: str,
        weights: object,
        bias: object = None,
        *,
        pads: Sequence[int] = (0, 0, 0, 0),
        strides: Sequence[int] = (1, 1),
        dilations: Sequence[int] = (1, 1),
        group: int = 1,
        offset: object = None,
        name: str = "",
    ) -> str:
        more = ["" if part is None else self.const(part) for part in (bias, offset)]
        while more and not more[-1]:
            more.pop()
        inputs = [x, self.const(weights), *more]
        attrs = {"pads": tuple(pads), "strides": tuple(strides), "dilations": tuple(dilations)}
        return self.add("Conv", *inputs, name=name, group=group, **attrs)

    def shape(self, value: str) -> Shape:
        return self.values[value].shape

    def graph(self, *outputs: str) -> Graph:
        graph = Graph(
            self.name,
            tuple(self.inputs),
            outputs,
            tuple(self.nodes),
            self.values,
            self.constants,
        )
        verify(graph)
        return graph


def random_inputs(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Return normally distributed inputs (uint8 ones: all codes)."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in graph.inputs:
        value = graph.values[name]
        if value.dtype == "float32":
            found[name] = rng.normal(size=value.shape).astype(np.float32)
        else:
            found[name] = rng.integers(0, 256, value.shape).astype(value.dtype)
    return found


def normal(*shape: int) -> np.ndarray:
    """Return normally distributed float32 numbers, others at each call."""
    return RNG.normal(size=shape).astype(np.float32)


def ops(graph: Graph) -> list[str]:
    """Return the operators of a graph in running order."""
    return [node.op for node in graph.nodes]


def assert_equal(before: Graph, after: Graph, atol: float = 1e-5) -> None:
    """Check that a graph is legal and gives what the one before it gives, to within `atol`."""
    verify(after)
    inputs = random_inputs(before, 3)
    old, new = run_reference(before, inputs), run_reference(after, inputs)
    for name in before.outputs:
        np.testing.assert_allclose(new[name], old[name], rtol=0, atol=atol)


# --- drawing -----------------------------------------------------------------------------------


class Grower:
    """A graph under way: what hypothesis decides, and a generator for the numbers in it."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        self.b = GraphBuilder()

    def pick(self, *choices: object) -> object:
        return self.draw(st.sampled_from(choices))

    def whole(self, least: int, most: int) -> int:
        return int(self.draw(st.integers(least, most)))

    def flag(self) -> bool:
        return bool(self.draw(st.booleans()))

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return (self.rng.normal(size=shape) * scale).astype(np.float32)

    def positive(self, *shape: int) -> np.ndarray:
        """Numbers that can be divided by: 0.5 to 2."""
        return self.rng.uniform(0.5, 2.0, shape).astype(np.float32)


def _conv(g: Grower, x: str) -> str | None:
    _, channels, height, width = g.b.shape(x)
    depthwise = g.flag()
    group = channels if depthwise else 1
    out = channels * g.whole(1, 2) if depthwise else g.whole(1, 4)
    size, dilation = g.whole(1, 3), g.whole(1, 2)
    pads = [g.whole(0, 1) for _ in range(4)]
    if min(height, width) < (size - 1) * dilation + 1:
        return None
    weights = g.normal(out, channels // group, size, size, scale=0.5)
    bias = g.normal(out) if g.flag() else None
    return g.b.conv(
        x,
        weights,
        bias,
        pads=pads,
        strides=(g.whole(1, 2), g.whole(1, 2)),
        dilations=(dilation,) * 2,
        group=group,
        offset=g.normal(channels) if g.whole(0, 3) == 0 else None,
    )


def _conv_transpose(g: Grower, x: str) -> str | None:
    channels, height = g.b.shape(x)[1:3]
    if height > 12:
        return None
    group = 2 if channels % 2 == 0 and g.flag() else 1
    weights = g.b.const(g.normal(channels, g.whole(1, 2), 2, 2, scale=0.5))
    attrs = {"strides": (2, 2), "pads": (0,) * 4, "dilations": (1, 1), "output_padding": (0, 0)}
    return g.b.add("ConvTranspose", x, weights, group=group, **attrs)


def _batch_norm(g: Grower, x: str) -> str:
    channels = g.b.shape(x)[1]
    scale = g.normal(channels) if g.flag() else g.positive(channels)
    parts = (scale, g.normal(channels), g.normal(channels), g.positive(channels))
    return g.b.add("BatchNormalization", x, *(g.b.const(part) for part in parts))


def _affine(g: Grower, x: str) -> str:
    """A constant on either side, one number, one a channel, or one a column."""
    rank = len(g.b.shape(x))
    axis = g.pick(None, min(1, rank - 1), rank - 1)
    shape = [1] * rank
    if isinstance(axis, int):
        shape[axis] = g.b.shape(x)[axis]
    op = str(g.pick("Add", "Sub", "Mul", "Div"))
    array = g.positive(*shape) if op == "Div" else g.normal(*shape)
    constant = g.b.const(array if g.flag() or axis != 1 else array[0])
    if g.flag() and op != "Div":
        return g.b.add(op, constant, x)
    return g.b.add(op, x, constant)


def _unary(g: Grower, x: str) -> str:
    op = str(
        g.pick("Relu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "LeakyRelu", "Abs", "Neg")
    )
    return g.b.add(op, x)


def _clip(g: Grower, x: str) -> str:
    low = g.pick(-math.inf, -1.0, 0.0)
    return g.b.add("Clip", x, min=low, max=g.pick(math.inf, 0.5, 6.0))


def _silu(g: Grower, x: str) -> str:
    return g.b.add("Mul", x, g.b.add("Sigmoid", x))


def _hard_swish(g: Grower, x: str) -> str:
    moved = g.b.add("Add", x, g.b.const(np.float32(3)))
    clipped = g.b.add("Clip", moved, min=0.0, max=6.0)
    return g.b.add("Div", g.b.add("Mul", x, clipped), g.b.const(np.float32([6])))


def _gelu(g: Grower, x: str) -> str:
    inner = g.b.add("Erf", g.b.add("Div", x, g.b.const(np.float32(math.sqrt(2)))))
    half = g.b.add("Mul", x, g.b.const(np.float32(0.5)))
    return g.b.add("Mul", half, g.b.add("Add", inner, g.b.const(np.float32(1))))


def _residual(g: Grower, x: str) -> str:
    """Two tensors of one shape, often a value and a function of it."""
    other = x if g.flag() else _unary(g, x)
    alike = (g.b.shape(x), g.b.values[x].dtype)
    same = [name for name, row in g.b.values.items() if (row.shape, row.dtype) == alike]
    partner = str(g.pick(other, *same[-3:]))
    return g.b.add(str(g.pick("Add", "Sub", "Mul", "Max")), x, partner)


def _twice(g: Grower, x: str) -> str:
    """The same work done twice."""
    return g.b.add("Add", g.b.add("Tanh", x), g.b.add("Tanh", x))


def _squeeze_excite(g: Grower, x: str) -> str:
    pooled = g.b.add("GlobalAveragePool", x)
    return g.b.add("Mul", x, g.b.add("Sigmoid", pooled))


def _concat(g: Grower, x: str) -> str:
    axis = g.whole(0, len(g.b.shape(x)) - 1)
    if math.prod(g.b.shape(x)) > 2000 or g.flag():
        return g.b.add("Concat", x, axis=axis)
    return g.b.add("Concat", x, _unary(g, x), axis=axis)


def _split(g: Grower, x: str) -> str | None:
    channels = g.b.shape(x)[1]
    if channels < 2:
        return None
    return g.b.add("Split", x, outputs=2, axis=1, split=(1, channels - 1))


def _pool(g: Grower, x: str) -> str:
    size = g.whole(1, 2) if min(g.b.shape(x)[2:]) > 1 else 1
    pads = tuple(g.whole(0, size - 1) for _ in range(4))
    attrs = {
        "kernel_shape": (size, size),
        "strides": (g.whole(1, 2),) * 2,
        "pads": pads,
        "dilations": (1, 1),
    }
    if g.flag():
        return g.b.add("MaxPool", x, **attrs)
    return g.b.add("AveragePool", x, **attrs, count_include_pad=g.flag())


def _global(g: Grower, x: str) -> str:
    if g.flag():
        return g.b.add(str(g.pick("GlobalAveragePool", "GlobalMaxPool")), x)
    return g.b.add("ReduceMean", x, axes=(2, 3), keepdims=g.flag())


def _pad(g: Grower, x: str) -> str:
    pads = [0, 0, g.whole(0, 1), g.whole(0, 1)] * 2
    return g.b.add("Pad", x, pads=tuple(pads), mode="constant", value=g.pick(0.0, 1.0))


def _border(g: Grower, x: str) -> str | None:
    """A border that the convolution or pool behind it can take, or just not."""
    padded = _pad(g, g.b.add("Relu", x) if g.flag() else x)
    return _conv(g, padded) if g.flag() else _pool(g, padded)


def _norm_before(g: Grower, x: str) -> str | None:
    """A map a channel behind an activation, before a convolution, at times with a pool between."""
    value = g.b.add("Relu", x)
    if g.flag():
        value = _batch_norm(g, value)
    else:
        shape = (g.b.shape(x)[1], 1, 1)
        value = g.b.add("Mul", value, g.b.const(g.positive(*shape)))
        value = g.b.add("Add", value, g.b.const(g.normal(*shape)))
    return _conv(g, _pool(g, value) if g.flag() else value)


def _resize(g: Grower, x: str) -> str | None:
    shape = g.b.shape(x)
    scale = g.whole(1, 2)
    if shape[2] * scale > 16:
        return None
    new = (*shape[:2], shape[2] * scale, shape[3] * scale)
    scales = (1.0, 1.0, float(scale), float(scale))
    rule = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if g.flag():
        where = str(g.pick("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"))
        rule = {"coordinate_transformation_mode": where, "mode": "linear"}
    return g.b.add("Resize", x, **({"mode": "nearest"} | rule), shape=new, scales=scales)


def _reshape(g: Grower, x: str) -> str:
    shape = g.b.shape(x)
    flat = (shape[0], math.prod(shape[1:]))
    return g.b.add("Reshape", x, shape=g.pick(shape, flat, (*shape, 1), (1, *shape)))


def _transpose(g: Grower, x: str) -> str:
    rank = len(g.b.shape(x))
    return g.b.add("Transpose", x, perm=tuple(g.draw(st.permutations(range(rank)))))


def _slice(g: Grower, x: str) -> str:
    shape = g.b.shape(x)
    axis, step = g.whole(0, len(shape) - 1), int(g.pick(1, 1, 2))
    starts, steps, sizes = [0] * len(shape), [1] * len(shape), list(shape)
    starts[axis], steps[axis] = g.whole(0, shape[axis] - 1), step
    sizes[axis] = (shape[axis] - starts[axis] + step - 1) // step
    return g.b.add("Slice", x, starts=tuple(starts), steps=tuple(steps), sizes=tuple(sizes))


def _dense(g: Grower, x: str) -> str:
    """Gemm or MatMul with constant weights, mostly with a bias."""
    shape = g.b.shape(x)
    columns = g.whole(1, 4)
    weights = g.normal(shape[-1], columns, scale=0.5)
    if len(shape) != 2 or g.flag():
        product = g.b.add("MatMul", x, g.b.const(weights))
        return g.b.add("Add", product, g.b.const(g.normal(columns))) if g.flag() else product
    turned = g.flag()
    b = g.b.const(weights.T.copy() if turned else weights)
    c = g.b.const(g.normal(*g.pick((), (1,), (columns,), (1, columns), (shape[0], 1))))
    return g.b.add("Gemm", x, b, c, alpha=g.pick(1.0, 0.5), beta=g.pick(1.0, 2.0), transB=turned)


def _softmax(g: Grower, x: str) -> str:
    return g.b.add("Softmax", x, axis=g.whole(0, len(g.b.shape(x)) - 1))


def _attention(g: Grower, x: str) -> str | None:
    """Products of a value with itself, at times by way of a Softmax."""
    shape = g.b.shape(x)
    if len(shape) < 2 or shape[-2] > 16:
        return None
    rank = len(shape)
    turned = g.b.add("Transpose", x, perm=(*range(rank - 2), rank - 1, rank - 2))
    scores = g.b.add("MatMul", x, turned)
    if g.flag():
        scaled = g.b.add("Mul", scores, g.b.const(np.float32(0.25)))
        scores = g.b.add("Softmax", scaled, axis=rank - 1)
    return g.b.add("MatMul", scores, x)


def _extreme(g: Grower, x: str) -> str:
    """A value against its mean: operands of unlike shapes and scales."""
    rank = len(g.b.shape(x))
    mean = g.b.add("ReduceMean", x, axes=(rank - 1,), keepdims=True)
    return g.b.add(str(g.pick("Min", "Max")), x, mean)


def _quotient(g: Grower, x: str) -> str:
    half = g.b.const(np.float32(0.5))
    return g.b.add("Div", x, g.b.add("Add", g.b.add("Sigmoid", x), half))


def _choice(g: Grower, x: str) -> str:
    """What becomes of a comparison: a factor, or a choice between two values."""
    other = g.b.add("Tanh", x)
    op = str(g.pick("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"))
    truth = g.b.add(op, x, g.b.add("Max", x, other) if g.flag() else other)
    if g.flag():
        truth = g.b.add(str(g.pick("And", "Or")), truth, g.b.add("Not", truth))
    if g.flag():
        return g.b.add("Where", truth, x, other)
    return g.b.add("Mul", x, g.b.add("Cast", truth, to="float32"))


def _log_softmax(g: Grower, x: str) -> str:
    return g.b.add("LogSoftmax", x, axis=g.whole(0, len(g.b.shape(x)) - 1))


def _branch(g: Grower, x: str) -> str:
    """A leaky ReLU by comparison and choice: it has no jump that a rounding could fall over."""
    below = g.b.add("Less", x, g.b.const(np.float32(0)))
    return g.b.add("Where", below, g.b.add("Mul", x, g.b.const(np.float32(0.25))), x)


def _reduce(g: Grower, x: str) -> str:
    rank = len(g.b.shape(x))
    axes = tuple(sorted({g.whole(0, rank - 1) for _ in range(g.whole(1, 2))}))
    keep = len(axes) == rank or g.flag()
    op = g.pick("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2")
    return g.b.add(str(op), x, axes=axes, keepdims=keep)


def _layer_norm(g: Grower, x: str) -> str:
    last = {"axes": (len(g.b.shape(x)) - 1,), "keepdims": True}
    centred = g.b.add("Sub", x, g.b.add("ReduceMean", x, **last))
    square = g.b.add("Pow", centred, g.b.const(np.float32(2)))
    variance = g.b.add("ReduceMean", square, **last)
    deviation = g.b.add("Sqrt", g.b.add("Add", variance, g.b.const(np.float32(0.5))))
    scaled = g.b.add("Mul", g.b.add("Div", centred, deviation), g.b.const(g.normal(1)))
    return g.b.add("Add", scaled, g.b.const(g.normal(g.b.shape(x)[-1])))


def _products(g: Grower, x: str) -> str | None:
    """Each row of x times each: two computed factors, as attention has them."""
    rank = len(g.b.shape(x))
    if rank < 2:
        return None
    turned = g.b.add("Transpose", x, perm=(*range(rank - 2), rank - 1, rank - 2))
    product = g.b.add("MatMul", x, turned)
    return g.b.add("Mul", product, g.b.const(np.float32(1 / g.b.shape(x)[-1])))


def _log_of_size(g: Grower, x: str) -> str:
    return g.b.add("Log", g.b.add("Add", g.b.add("Abs", x), g.b.const(np.float32(0.5))))


def _constant_part(g: Grower, x: str) -> str:
    """A node that reads only constants."""
    number = g.b.add("Neg", g.b.const(g.normal(1)))
    return g.b.add("Add", x, number)


GROWERS_4D = (
    *(_conv, _conv, _conv, _conv_transpose, _batch_norm, _squeeze_excite, _split, _pool),
    *(_global, _pad, _border, _norm_before, _resize),
)
GROWERS = (
    *(_affine, _affine, _unary, _clip, _silu, _hard_swish, _gelu, _residual, _twice, _concat),
    *(_reshape, _transpose, _slice, _dense, _softmax, _constant_part),
    *(_attention, _extreme, _quotient),
    *(_log_softmax, _branch, _reduce, _layer_norm, _products, _log_of_size),
)


@st.composite
def random_graph(draw: Draw, max_steps: int = 8, *, choices: bool = False) -> Graph:
    """Draw a legal graph of up to `max_steps` steps from one input [N, C, H, W].

    With `choices` it may hold comparisons: the least difference in a sum then turns a result over.

    Its outputs are the values that nothing reads, sometimes without one of them, and sometimes with
    one that something reads.
    """
    g = Grower(draw)
    shape = (g.whole(1, 2), g.whole(1, 4), g.whole(1, 7), g.whole(1, 7))
    made = [g.b.input("x", shape)]
    for _ in range(g.whole(1, max_steps)):
        source = str(g.pick(*made[-3:][::-1]))
        growers = GROWERS_4D + GROWERS if len(g.b.shape(source)) == 4 else GROWERS
        growers += (_choice,) * choices
        new = draw(st.sampled_from(growers))(g, source)
        if new is not None and math.prod(g.b.shape(new)) <= 4000:
            made.append(new)
    read = {name for node in g.b.nodes for name in node.inputs}
    outputs = [node.outputs[0] for node in g.b.nodes if node.outputs[0] not in read]
    assume(g.b.nodes)
    # A Split whose second part nobody reads may leave none.
    outputs = outputs or [g.b.nodes[-1].outputs[0]]
    if len(outputs) > 1 and g.flag():
        outputs.remove(g.pick(*outputs))
    inner = [node.outputs[0] for node in g.b.nodes if node.outputs[0] in read]
    if inner and g.whole(0, 3) == 0:
        outputs.append(str(g.pick(*inner)))
    return g.b.graph(*outputs)
