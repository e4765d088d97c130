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
from bittrue.graph import shape_rules as rule
from bittrue.graph.model import NO_CLIP, Attr, frozen_attrs
from bittrue.graph.shape_rules import Rule

#: The kinds of an attribute's value, and the type of it or of each of its items.
KINDS: dict[str, type[object]] = {
    "integer": int,
    "integers": int,
    "number": float,
    "numbers": float,
    "flag": bool,
    "text": str,
}


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
        types: The rule of its outputs' dtypes and shapes.
        meaning: What it computes, in one line.
        outputs: Number of outputs; 0 for one or more (Split).
        not_negative: Whether no result is below 0, whatever the input and the attributes.
    """

    name: str
    inputs: tuple[str, ...]
    attrs: tuple[Attribute, ...]
    types: Rule
    meaning: str
    outputs: int = 1
    not_negative: bool = False

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


_X, _AB = ("x",), ("a", "b")
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


#: The rows, by family: operators that every later room treats alike, or nearly.
_ROWS: dict[str, tuple[Op, ...]] = {
    "product": (
        Op(
            "Conv",
            ("x", "w", "b?", "offset?"),
            (_STRIDES, _PADS, _DILATIONS, _GROUP, _CLIP),
            rule.conv,
            "convolution, w [O, I/group, *kernel]; offset[channel] is subtracted from each tap "
            "inside x, padding is the real value 0",
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
            rule.conv_transpose,
            "transposed convolution, w [I, O/group, *kernel]",
        ),
        Op(
            "Dense",
            ("x", "w", "b?"),
            (_CLIP,),
            rule.dense,
            "x w' + b over the last axis of x, w [O, K]",
        ),
        Op("MatMul", _AB, (), rule.matmul, "matrix product, leading axes broadcast"),
        Op(
            "Gemm",
            ("a", "b", "c?"),
            (
                _alpha(1.0),
                Attribute("beta", "number", 1.0),
                Attribute("transA", "flag", False),
                Attribute("transB", "flag", False),
            ),
            rule.gemm,
            "alpha a b + beta c",
        ),
    ),
    "channel": (
        Op(
            "BatchNormalization",
            ("x", "scale", "bias", "mean", "var"),
            (Attribute("epsilon", "number", _single(1e-5)),),
            rule.batch_norm,
            "(x - mean) * scale / sqrt(var + epsilon) + bias, along axis 1",
        ),
        Op("PRelu", ("x", "slope"), (), rule.pair, "x where x >= 0, else slope * x"),
    ),
    "arithmetic": (
        Op("Add", _AB, (_CLIP,), rule.pair, "a + b"),
        Op("Sub", _AB, (_CLIP,), rule.pair, "a - b"),
        Op("Mul", _AB, (_CLIP,), rule.pair, "a * b"),
        Op("Div", _AB, (_CLIP,), rule.pair, "a / b; whole numbers truncate toward 0"),
        Op("Pow", _AB, (), rule.power, "a to the power b, in a's dtype"),
        Op("Min", _AB, (), rule.pair, "the lesser"),
        Op("Max", _AB, (), rule.pair, "the greater"),
        Op(
            "Mod",
            _AB,
            (),
            rule.pair,
            "rest of a / b: the sign of b for whole numbers, of a for floats",
        ),
    ),
    "comparison": (
        Op("Equal", _AB, (), rule.comparison, "a == b"),
        Op("Less", _AB, (), rule.comparison, "a < b"),
        Op("Greater", _AB, (), rule.comparison, "a > b"),
        Op("LessOrEqual", _AB, (), rule.comparison, "a <= b"),
        Op("GreaterOrEqual", _AB, (), rule.comparison, "a >= b"),
    ),
    "logic": (
        Op("And", _AB, (), rule.logic, "both"),
        Op("Or", _AB, (), rule.logic, "either"),
        Op("Where", ("condition", "a", "b"), (), rule.where, "a where condition holds, else b"),
        Op("Not", _X, (), rule.logic, "true where x is false"),
    ),
    "unary": (
        Op("Relu", _X, (), rule.same, "max(x, 0)", not_negative=True),
        Op("Sigmoid", _X, (), rule.same_float, "1 / (1 + exp(-x))", not_negative=True),
        Op("HardSwish", _X, (), rule.same_float, "x * max(0, min(1, x / 6 + 0.5))"),
        Op("Tanh", _X, (), rule.same_float, "hyperbolic tangent"),
        Op("Exp", _X, (), rule.same_float, "e to the power x", not_negative=True),
        Op("Log", _X, (), rule.same_float, "natural logarithm"),
        Op("Sqrt", _X, (), rule.same_float, "square root", not_negative=True),
        Op("Reciprocal", _X, (), rule.same_float, "1 / x"),
        Op("Neg", _X, (), rule.same, "-x"),
        Op("Abs", _X, (), rule.same, "|x|", not_negative=True),
        Op("Floor", _X, (), rule.same_float, "greatest whole number not above x"),
        Op("Ceil", _X, (), rule.same_float, "least whole number not below x"),
        Op("Round", _X, (), rule.same_float, "nearest whole number, ties to even"),
        Op("Sign", _X, (), rule.same, "-1, 0 or 1"),
        Op("Erf", _X, (), rule.same_float, "error function"),
        Op("Softplus", _X, (), rule.same_float, "log(1 + exp(x))", not_negative=True),
        Op("Softsign", _X, (), rule.same_float, "x / (1 + |x|)"),
        Op("Mish", _X, (), rule.same_float, "x * tanh(log(1 + exp(x)))"),
        Op("Sin", _X, (), rule.same_float, "sine"),
        Op("Cos", _X, (), rule.same_float, "cosine"),
        Op("LeakyRelu", _X, (_alpha(_single(0.01)),), rule.same_float, "x or alpha * x"),
        Op("Elu", _X, (_alpha(1.0),), rule.same_float, "x where x >= 0, else alpha * (exp(x) - 1)"),
        Op(
            "Celu",
            _X,
            (_alpha(1.0),),
            rule.same_float,
            "max(0, x) + min(0, alpha * (exp(x / alpha) - 1))",
        ),
        Op("ThresholdedRelu", _X, (_alpha(1.0),), rule.same_float, "x where x > alpha, else 0"),
        Op(
            "Selu",
            _X,
            (_alpha(1.6732631921768188), Attribute("gamma", "number", 1.0507010221481323)),
            rule.same_float,
            "gamma * (x where x > 0, else alpha * (exp(x) - 1))",
        ),
        Op(
            "HardSigmoid",
            _X,
            (_alpha(_single(0.2)), Attribute("beta", "number", 0.5)),
            rule.same_float,
            "max(0, min(1, alpha * x + beta))",
            not_negative=True,
        ),
        Op(
            "Gelu",
            _X,
            (Attribute("approximate", "text", "none", ("none", "tanh")),),
            rule.same_float,
            "x * (1 + erf(x / sqrt(2))) / 2, or its tanh approximation",
        ),
        Op(
            "Clip",
            _X,
            (Attribute("min", "number", -math.inf), Attribute("max", "number", math.inf)),
            rule.same,
            "min(max(x, min), max)",
        ),
        Op(
            "Pointwise",
            _X,
            (Attribute("expr", "text"),),
            rule.pointwise,
            "a postfix expression of x (bittrue.graph.expression): `x x sigmoid mul` is SiLU",
        ),
    ),
    "distribution": (
        Op("Softmax", _X, (_AXIS,), rule.softmax, "exp(x - max) / sum of those, along axis"),
        Op("LogSoftmax", _X, (_AXIS,), rule.softmax, "logarithm of Softmax"),
    ),
    "window": (
        Op("MaxPool", _X, _POOL, rule.pool, "greatest tap inside x"),
        Op(
            "AveragePool",
            _X,
            (*_POOL, Attribute("count_include_pad", "flag", False)),
            rule.average_pool,
            "mean of the taps inside x, or of those inside x and its padding",
        ),
        Op(
            "GlobalAveragePool", _X, (), rule.global_pool, "mean over all axes from 2 on, kept as 1"
        ),
        Op("GlobalMaxPool", _X, (), rule.global_pool, "maximum over all axes from 2 on, kept as 1"),
    ),
    "reduction": (
        Op("ReduceMean", _X, (_AXES, _KEEPDIMS), rule.reduction, "mean over axes"),
        Op("ReduceSum", _X, (_AXES, _KEEPDIMS), rule.reduction, "sum over axes"),
        Op("ReduceMax", _X, (_AXES, _KEEPDIMS), rule.reduction, "greatest over axes"),
        Op("ReduceMin", _X, (_AXES, _KEEPDIMS), rule.reduction, "least over axes"),
        Op("ReduceProd", _X, (_AXES, _KEEPDIMS), rule.reduction, "product over axes"),
        Op(
            "ReduceL2",
            _X,
            (_AXES, _KEEPDIMS),
            rule.reduction,
            "square root of the sum of squares over axes",
        ),
    ),
    "index": (
        Op("ArgMax", _X, (_AXIS, _KEEPDIMS, _LAST), rule.arg, "index of the greatest along axis"),
        Op("ArgMin", _X, (_AXIS, _KEEPDIMS, _LAST), rule.arg, "index of the least along axis"),
    ),
    "type": (
        Op(
            "Cast",
            _X,
            (Attribute("to", "text", choices=tuple(DTYPES)),),
            rule.cast,
            "x as another dtype; floats truncate toward 0",
        ),
    ),
    "move": (
        Op("Reshape", _X, (_SHAPE,), rule.reshape, "the same elements in another shape"),
        Op(
            "Transpose",
            _X,
            (Attribute("perm", "integers", least=0),),
            rule.transpose,
            "axes in another order",
        ),
        Op("Concat", ("x*",), (_AXIS,), rule.concat, "joined along axis"),
        Op(
            "Split",
            _X,
            (_AXIS, Attribute("split", "integers", least=0)),
            rule.split,
            "cut along axis into parts of these sizes",
            outputs=0,
        ),
        Op(
            "Slice",
            _X,
            (
                Attribute("starts", "integers", least=0),
                Attribute("steps", "integers"),
                Attribute("sizes", "integers", least=0),
            ),
            rule.slice_,
            "elements start, start + step, ... of each axis",
        ),
        Op(
            "Pad",
            _X,
            (
                Attribute("pads", "integers"),
                Attribute("mode", "text", "constant", PAD_MODES),
                Attribute("value", "number", 0.0),
            ),
            rule.pad,
            "x with a border; negative pads cut",
        ),
        Op(
            "Resize",
            _X,
            (
                Attribute("mode", "text", "nearest", RESIZE_MODES),
                _SHAPE,
                Attribute("scales", "numbers"),
                Attribute("coordinate_transformation_mode", "text", "half_pixel", COORDINATE_MODES),
                Attribute("nearest_mode", "text", "round_prefer_floor", NEAREST_MODES),
                Attribute("cubic_coeff_a", "number", -0.75),
                Attribute("exclude_outside", "flag", False),
            ),
            rule.resize,
            "x sampled at other points",
        ),
        Op(
            "Gather",
            ("x", "indices"),
            (_AXIS,),
            rule.gather,
            "slices of x at indices; negative count from the end",
        ),
        Op("Expand", _X, (_SHAPE,), rule.expand, "x broadcast with shape"),
        Op(
            "Tile",
            _X,
            (Attribute("repeats", "integers", least=0),),
            rule.tile,
            "x repeated along each axis",
        ),
        Op(
            "DepthToSpace",
            _X,
            (_BLOCK, Attribute("mode", "text", "DCR", ("DCR", "CRD"))),
            rule.depth_to_space,
            "channels become blocks of pixels",
        ),
        Op("SpaceToDepth", _X, (_BLOCK,), rule.space_to_depth, "blocks of pixels become channels"),
    ),
}

#: Every operator of a Graph, by name.
OPS: dict[str, Op] = {row.name: row for rows in _ROWS.values() for row in rows}
#: The names of each family's operators.
FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(row.name for row in rows) for family, rows in _ROWS.items()
}


def known(op: str, *, where: str = "") -> Op:
    """Return the row of an operator.

    Args:
        op: A name, which may be anything.
        where: The node, for messages; the operator's name where empty.

    Raises:
        ModelError: if there is no such operator.
    """
    if op not in OPS:
        raise ModelError(
            f"there is no operator {op!r}", where=where or op, hint="see bittrue.graph.ops"
        )
    return OPS[op]


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
    row = known(op, where=where)
    filled: dict[str, object] = {
        item.name: item.default for item in row.attrs if item.default is not None
    }
    filled.update({name: value for name, value in attrs.items() if value is not None})
    canonical = {name: _canonical(row.attribute(name), value) for name, value in filled.items()}
    problems = attr_problems(op, canonical)
    if problems:
        raise ModelError("; ".join(problems), where=where or op, hint="mend the node's attributes")
    return frozen_attrs(canonical)


def attr_problems(op: str, attrs: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a node's attributes, one sentence each; empty when nothing is.

    Args:
        op: The operator's name.
        attrs: All attributes in canonical form; defaults are not filled in here.

    Raises:
        ModelError: if there is no such operator.
    """
    row = known(op)
    problems = [f"attribute {name!r} is unknown" for name in attrs if row.attribute(name) is None]
    for item in row.attrs:
        if item.name not in attrs:
            problems.append(f"attribute {item.name!r} is missing")
            continue
        fault = _fault(item, attrs[item.name])
        if fault:
            problems.append(f"attribute {item.name!r} is {attrs[item.name]!r}, {fault}")
    return problems


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


def _fits(kind: str, value: object) -> bool:
    """Return whether a value is of a kind; exact types, so that True is no whole number."""
    wanted = KINDS[kind]
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
