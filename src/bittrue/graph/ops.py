"""The canonical operators: one row each, with inputs, attributes and meaning.

Importers turn every ONNX opset's form into these rows; all later rooms know only them. An
attribute without a default must be given; a finished node holds every attribute of its row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bittrue.dtypes import DTYPES
from bittrue.errors import ModelError
from bittrue.graph.model import NO_CLIP, Attr, frozen_attrs

#: The kinds of an attribute's value: int, float, bool, str, and tuples of ints and of floats.
KINDS = ("integer", "number", "flag", "text", "integers", "numbers")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an operator.

    Args:
        name: Its name in `Node.attrs`.
        kind: One of KINDS.
        default: The value where none is given; None where one must be given.
        choices: The texts that it may be; empty for any.
        least: Least whole number that it (or each of its items) may be.
        length: Number of items; None for any.
    """

    name: str
    kind: str
    default: Attr | None = None
    choices: tuple[str, ...] = ()
    least: int | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Op:
    """One operator.

    Args:
        name: Its name, which is ONNX's where ONNX has it.
        inputs: Names of the inputs; `b?` may be left out, `x*` stands for one or more.
        attrs: Its attributes.
        meaning: What it computes, in one line.
        outputs: Number of outputs; 0 for one or more (Split).
    """

    name: str
    inputs: tuple[str, ...]
    attrs: tuple[Attribute, ...]
    meaning: str
    outputs: int = 1

    @property
    def least_inputs(self) -> int:
        """How many inputs there must be."""
        return sum(not name.endswith("?") for name in self.inputs)

    @property
    def most_inputs(self) -> int | None:
        """How many inputs there may be; None for any number."""
        return None if self.inputs[-1].endswith("*") else len(self.inputs)

    def attribute(self, name: str) -> Attribute | None:
        """Return the row of an attribute, None where the operator has no such attribute."""
        return next((row for row in self.attrs if row.name == name), None)


_CLIP = Attribute("clip", "numbers", NO_CLIP, length=2)
_STRIDES = Attribute("strides", "integers", least=1)
_PADS = Attribute("pads", "integers", least=0)
_DILATIONS = Attribute("dilations", "integers", least=1)
_GROUP = Attribute("group", "integer", 1, least=1)
_KERNEL = Attribute("kernel_shape", "integers", least=1)
_CEIL = Attribute("ceil_mode", "flag", False)
_AXIS = Attribute("axis", "integer", least=0)
_AXES = Attribute("axes", "integers", least=0)
_KEEPDIMS = Attribute("keepdims", "flag", True)
_LAST = Attribute("select_last_index", "flag", False)
_SHAPE = Attribute("shape", "integers", least=0)
_BLOCK = Attribute("blocksize", "integer", least=1)
_POOL = (_KERNEL, _STRIDES, _PADS, _DILATIONS, _CEIL)

PAD_MODES = ("constant", "reflect", "edge", "wrap")
RESIZE_MODES = ("nearest", "linear", "cubic")
COORDINATE_MODES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
)
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _alpha(default: float) -> Attribute:
    return Attribute("alpha", "number", default)


def _single(value: float) -> float:
    """Return a number rounded to float32, which is how ONNX files hold attributes."""
    return float(np.float32(value))


_ROWS = (
    # products with weights
    Op(
        "Conv",
        ("x", "w", "b?", "offset?"),
        (_STRIDES, _PADS, _DILATIONS, _GROUP, _CLIP),
        "convolution; offset[channel] is subtracted from each tap inside x, padding is 0",
    ),
    Op(
        "ConvTranspose",
        ("x", "w", "b?"),
        (
            _STRIDES,
            _PADS,
            Attribute("output_padding", "integers", least=0),
            _DILATIONS,
            _GROUP,
            _CLIP,
        ),
        "transposed convolution",
    ),
    Op("Dense", ("x", "w", "b?"), (_CLIP,), "x w' + b over the last axis of x"),
    Op("MatMul", ("a", "b"), (), "matrix product, leading axes broadcast"),
    Op(
        "Gemm",
        ("a", "b", "c?"),
        (
            _alpha(1.0),
            Attribute("beta", "number", 1.0),
            Attribute("transA", "flag", False),
            Attribute("transB", "flag", False),
        ),
        "alpha a b + beta c",
    ),
    Op(
        "BatchNormalization",
        ("x", "scale", "bias", "mean", "var"),
        (Attribute("epsilon", "number", _single(1e-5)),),
        "(x - mean) * scale / sqrt(var + epsilon) + bias, along axis 1",
    ),
    # two tensors, broadcast
    Op("Add", ("a", "b"), (_CLIP,), "a + b"),
    Op("Sub", ("a", "b"), (_CLIP,), "a - b"),
    Op("Mul", ("a", "b"), (_CLIP,), "a * b"),
    Op("Div", ("a", "b"), (_CLIP,), "a / b; whole numbers truncate toward 0"),
    Op("Pow", ("a", "b"), (), "a to the power b, in a's dtype"),
    Op("Min", ("a", "b"), (), "the lesser"),
    Op("Max", ("a", "b"), (), "the greater"),
    Op("Mod", ("a", "b"), (), "rest of a / b: the sign of b for whole numbers, of a for floats"),
    Op("PRelu", ("x", "slope"), (), "x where x >= 0, else slope * x"),
    Op("Equal", ("a", "b"), (), "a == b"),
    Op("Less", ("a", "b"), (), "a < b"),
    Op("Greater", ("a", "b"), (), "a > b"),
    Op("LessOrEqual", ("a", "b"), (), "a <= b"),
    Op("GreaterOrEqual", ("a", "b"), (), "a >= b"),
    Op("And", ("a", "b"), (), "both"),
    Op("Or", ("a", "b"), (), "either"),
    Op("Where", ("condition", "a", "b"), (), "a where condition holds, else b"),
    # one tensor, each element on its own
    Op("Relu", ("x",), (), "max(x, 0)"),
    Op("Sigmoid", ("x",), (), "1 / (1 + exp(-x))"),
    Op("HardSwish", ("x",), (), "x * max(0, min(1, x / 6 + 0.5))"),
    Op("Tanh", ("x",), (), "hyperbolic tangent"),
    Op("Exp", ("x",), (), "e to the power x"),
    Op("Log", ("x",), (), "natural logarithm"),
    Op("Sqrt", ("x",), (), "square root"),
    Op("Reciprocal", ("x",), (), "1 / x"),
    Op("Neg", ("x",), (), "-x"),
    Op("Abs", ("x",), (), "|x|"),
    Op("Floor", ("x",), (), "greatest whole number not above x"),
    Op("Ceil", ("x",), (), "least whole number not below x"),
    Op("Round", ("x",), (), "nearest whole number, ties to even"),
    Op("Sign", ("x",), (), "-1, 0 or 1"),
    Op("Erf", ("x",), (), "error function"),
    Op("Softplus", ("x",), (), "log(1 + exp(x))"),
    Op("Softsign", ("x",), (), "x / (1 + |x|)"),
    Op("Mish", ("x",), (), "x * tanh(log(1 + exp(x)))"),
    Op("Sin", ("x",), (), "sine"),
    Op("Cos", ("x",), (), "cosine"),
    Op("Not", ("x",), (), "true where x is false"),
    Op("LeakyRelu", ("x",), (_alpha(_single(0.01)),), "x or alpha * x"),
    Op("Elu", ("x",), (_alpha(1.0),), "x where x >= 0, else alpha * (exp(x) - 1)"),
    Op("Celu", ("x",), (_alpha(1.0),), "max(0, x) + min(0, alpha * (exp(x / alpha) - 1))"),
    Op("ThresholdedRelu", ("x",), (_alpha(1.0),), "x where x > alpha, else 0"),
    Op(
        "Selu",
        ("x",),
        (_alpha(1.6732631921768188), Attribute("gamma", "number", 1.0507010221481323)),
        "gamma * (x where x > 0, else alpha * (exp(x) - 1))",
    ),
    Op(
        "HardSigmoid",
        ("x",),
        (_alpha(_single(0.2)), Attribute("beta", "number", 0.5)),
        "max(0, min(1, alpha * x + beta))",
    ),
    Op(
        "Gelu",
        ("x",),
        (Attribute("approximate", "text", "none", ("none", "tanh")),),
        "x * (1 + erf(x / sqrt(2))) / 2, or its tanh approximation",
    ),
    Op(
        "Clip",
        ("x",),
        (Attribute("min", "number", -math.inf), Attribute("max", "number", math.inf)),
        "min(max(x, min), max)",
    ),
    Op("Pointwise", ("x",), (Attribute("expr", "text"),), "a postfix expression of x"),
    Op(
        "Cast",
        ("x",),
        (Attribute("to", "text", choices=tuple(DTYPES)),),
        "x as another dtype; floats truncate toward 0",
    ),
    # along axes
    Op("Softmax", ("x",), (_AXIS,), "exp(x - max) / sum of those, along axis"),
    Op("LogSoftmax", ("x",), (_AXIS,), "logarithm of Softmax"),
    Op("MaxPool", ("x",), _POOL, "greatest tap inside x"),
    Op(
        "AveragePool",
        ("x",),
        (*_POOL, Attribute("count_include_pad", "flag", False)),
        "mean of the taps inside x, or of those inside x and its padding",
    ),
    Op("GlobalAveragePool", ("x",), (), "mean over all axes from 2 on, kept as 1"),
    Op("GlobalMaxPool", ("x",), (), "maximum over all axes from 2 on, kept as 1"),
    Op("ReduceMean", ("x",), (_AXES, _KEEPDIMS), "mean over axes"),
    Op("ReduceSum", ("x",), (_AXES, _KEEPDIMS), "sum over axes"),
    Op("ReduceMax", ("x",), (_AXES, _KEEPDIMS), "greatest over axes"),
    Op("ReduceMin", ("x",), (_AXES, _KEEPDIMS), "least over axes"),
    Op("ReduceProd", ("x",), (_AXES, _KEEPDIMS), "product over axes"),
    Op("ReduceL2", ("x",), (_AXES, _KEEPDIMS), "square root of the sum of squares over axes"),
    Op("ArgMax", ("x",), (_AXIS, _KEEPDIMS, _LAST), "index of the greatest along axis"),
    Op("ArgMin", ("x",), (_AXIS, _KEEPDIMS, _LAST), "index of the least along axis"),
    # elements move
    Op("Reshape", ("x",), (_SHAPE,), "the same elements in another shape"),
    Op("Transpose", ("x",), (Attribute("perm", "integers", least=0),), "axes in another order"),
    Op("Concat", ("x*",), (_AXIS,), "joined along axis"),
    Op(
        "Split",
        ("x",),
        (_AXIS, Attribute("split", "integers", least=0)),
        "cut along axis into parts of these sizes",
        outputs=0,
    ),
    Op(
        "Slice",
        ("x",),
        (
            Attribute("starts", "integers", least=0),
            Attribute("steps", "integers"),
            Attribute("sizes", "integers", least=0),
        ),
        "elements start, start + step, ... of each axis",
    ),
    Op(
        "Pad",
        ("x",),
        (
            Attribute("pads", "integers"),
            Attribute("mode", "text", "constant", PAD_MODES),
            Attribute("value", "number", 0.0),
        ),
        "x with a border; negative pads cut",
    ),
    Op(
        "Resize",
        ("x",),
        (
            Attribute("mode", "text", "nearest", RESIZE_MODES),
            _SHAPE,
            Attribute("scales", "numbers"),
            Attribute("coordinate_transformation_mode", "text", "half_pixel", COORDINATE_MODES),
            Attribute("nearest_mode", "text", "round_prefer_floor", NEAREST_MODES),
            Attribute("cubic_coeff_a", "number", -0.75),
            Attribute("exclude_outside", "flag", False),
        ),
        "x sampled at other points",
    ),
    Op("Gather", ("x", "indices"), (_AXIS,), "slices of x at indices; negative count from the end"),
    Op("Expand", ("x",), (_SHAPE,), "x broadcast with shape"),
    Op("Tile", ("x",), (Attribute("repeats", "integers", least=0),), "x repeated along each axis"),
    Op(
        "DepthToSpace",
        ("x",),
        (_BLOCK, Attribute("mode", "text", "DCR", ("DCR", "CRD"))),
        "channels become blocks of pixels",
    ),
    Op("SpaceToDepth", ("x",), (_BLOCK,), "blocks of pixels become channels"),
)

#: Every operator of a Graph, by name.
OPS: dict[str, Op] = {row.name: row for row in _ROWS}


# --- attributes ------------------------------------------------------------------------------


def complete_attrs(op: str, attrs: Mapping[str, object], *, where: str = "") -> Mapping[str, Attr]:
    """Return a node's attributes in canonical form: defaults filled in, kinds as the table says.

    Lists become tuples, whole numbers floats where a float is meant, and 0 and 1 flags.

    Args:
        op: A name of OPS.
        attrs: What was given.
        where: The node, for messages; the operator's name where empty.

    Raises:
        ModelError: if op is unknown, or an attribute is missing, unknown or of the wrong kind; all
            such attributes are listed.
    """
    row = OPS.get(op)
    where = where or op
    if row is None:
        raise ModelError(f"there is no operator {op!r}", where=where, hint="see bittrue.graph.ops")
    filled: dict[str, object] = {
        item.name: item.default for item in row.attrs if item.default is not None
    }
    filled.update({name: value for name, value in attrs.items() if value is not None})
    canonical = {name: _canonical(row.attribute(name), value) for name, value in filled.items()}
    problems = attr_problems(op, canonical)
    if problems:
        raise ModelError("; ".join(problems), where=where, hint="mend the node's attributes")
    return frozen_attrs({name: value for name, value in canonical.items() if _is_attr(value)})


def attr_problems(op: str, attrs: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a node's attributes, one sentence each; empty when nothing is.

    Args:
        op: A name of OPS.
        attrs: All attributes in canonical form; defaults are not filled in here.
    """
    row = OPS[op]
    problems = [f"attribute {name!r} is unknown" for name in attrs if row.attribute(name) is None]
    for item in row.attrs:
        if item.name not in attrs:
            problems.append(f"attribute {item.name!r} is missing")
            continue
        fault = _fault(item, attrs[item.name])
        if fault:
            problems.append(f"attribute {item.name!r} is {attrs[item.name]!r}, {fault}")
    return problems


def _is_attr(value: object) -> bool:
    return isinstance(value, bool | int | float | str | tuple)


def _canonical(item: Attribute | None, value: object) -> Attr:
    """Return a value as the kind asks where nothing is lost; leave a wrong one for the check."""
    if isinstance(value, list):
        value = tuple(value)
    if item is not None:
        if item.kind == "flag" and type(value) is int and value in (0, 1):
            return bool(value)
        if item.kind == "number" and type(value) is int:
            return float(value)
        if item.kind == "numbers" and isinstance(value, tuple):
            return tuple(float(v) if type(v) is int else v for v in value)
    return value  # type: ignore[return-value]  # attr_problems reports what is no Attr


def _fault(item: Attribute, value: object) -> str:
    """Return why a value does not fit its attribute; empty when it does."""
    if not _fits(item.kind, value):
        return f"not of kind {item.kind}"
    if item.choices and value not in item.choices:
        return f"not one of {', '.join(item.choices)}"
    if item.length is not None and isinstance(value, tuple) and len(value) != item.length:
        return f"not {item.length} numbers"
    parts = value if isinstance(value, tuple) else (value,)
    if any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in parts):
        return "outside int64"
    if item.least is not None and any(isinstance(p, int) and p < item.least for p in parts):
        return f"below {item.least}"
    return ""


_TYPES = {
    "integer": int,
    "integers": int,
    "number": float,
    "numbers": float,
    "flag": bool,
    "text": str,
}


def _fits(kind: str, value: object) -> bool:
    """Return whether a value is of a kind; exact types, so that True is no whole number."""
    wanted = _TYPES[kind]
    if kind in ("integers", "numbers"):
        return isinstance(value, tuple) and all(type(item) is wanted for item in value)
    return type(value) is wanted


def input_problem(op: str, inputs: Sequence[str]) -> str:
    """Return what is wrong with the number of a node's inputs; empty when nothing is.

    Args:
        op: A name of OPS.
        inputs: Value names; empty for an optional input that is left out.
    """
    row = OPS[op]
    most = row.most_inputs
    given = len(inputs)
    if given < row.least_inputs or (most is not None and given > most):
        return f"it has {given} inputs, {op} takes {', '.join(row.inputs)}"
    missing = [
        name
        for index, name in enumerate(inputs)
        if not name and not row.inputs[min(index, len(row.inputs) - 1)].endswith("?")
    ]
    takes = ", ".join(row.inputs)
    return f"an input that must be given is left out; {op} takes {takes}" if missing else ""
