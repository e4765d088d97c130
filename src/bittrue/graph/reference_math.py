"""The float meaning of elementwise operators, reductions and softmax, in NumPy.

Every operator keeps its inputs' dtype; whole numbers stay whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bittrue.errors import InternalError
from bittrue.graph.elementwise import unary_expr
from bittrue.graph.expression import evaluate
from bittrue.graph.model import Node
from bittrue.graph.reference_arrays import Arrays, Results, Run, clip, clipped, given

Pair = Callable[[np.ndarray, np.ndarray], np.ndarray]
Reduce = Callable[[np.ndarray, tuple[int, ...], bool], np.ndarray]


# --- two tensors -----------------------------------------------------------------------------


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b; whole numbers truncate toward 0, exactly."""
    if np.issubdtype(a.dtype, np.floating):
        return np.asarray(a / b)
    down = np.floor_divide(a, b)
    inexact = np.multiply(down, b) != a
    return np.asarray(np.where(inexact & (down < 0), down + a.dtype.type(1), down))


def _power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a to the power b, rounded once to a's dtype."""
    if np.issubdtype(a.dtype, np.floating) or not np.issubdtype(b.dtype, np.floating):
        exponent = b.astype(a.dtype) if a.dtype.kind == b.dtype.kind == "f" else b
        return np.asarray(np.power(a, exponent)).astype(a.dtype)
    return np.asarray(np.power(a.astype(np.float64), b)).astype(a.dtype)


def _rest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the rest of a / b, with the sign of b for whole numbers and of a for floats."""
    floats = np.issubdtype(a.dtype, np.floating)
    return np.asarray(np.fmod(a, b) if floats else np.mod(a, b))


def _prelu(a: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return np.where(a < 0, a * slope, a)


def pair(function: Pair) -> Run:
    """Return the reference of an operator of two tensors from its function of two arrays."""

    def run(node: Node, arrays: Arrays) -> Results:
        with np.errstate(all="ignore"):
            y = np.asarray(function(given(arrays, 0), given(arrays, 1)))
        return (clipped(node, y),)

    return run


def where(node: Node, arrays: Arrays) -> Results:
    """Return a where the condition holds, else b."""
    return (np.where(given(arrays, 0), given(arrays, 1), given(arrays, 2)),)


# --- one tensor ------------------------------------------------------------------------------


def unary(node: Node, arrays: Arrays) -> Results:
    """Return the operator's expression (`bittrue.graph.elementwise`) at each element."""
    expr = unary_expr(node)
    if expr is None:
        raise InternalError(f"{node.op} is no operator of one number")
    return (evaluate(expr, given(arrays, 0)),)


def threshold(node: Node, arrays: Arrays) -> Results:
    """Return x where x > alpha, else 0; at infinities too, which its expression is not."""
    x = given(arrays, 0)
    return (np.where(x > x.dtype.type(node.number("alpha")), x, x.dtype.type(0)),)


def clip_between(node: Node, arrays: Arrays) -> Results:
    """Return ``min(max(x, min), max)`` in x's dtype."""
    return (clip(given(arrays, 0), node.number("min"), node.number("max")),)


def logical_not(node: Node, arrays: Arrays) -> Results:
    """Return true where x is false."""
    return (np.logical_not(given(arrays, 0)),)


def cast(node: Node, arrays: Arrays) -> Results:
    """Return x as another dtype: floats truncate toward 0, a number is true unless it is 0."""
    x, to = given(arrays, 0), np.dtype(node.text("to"))
    if to == np.bool_:
        return (x != 0,)
    with np.errstate(all="ignore"):
        # Through int64, since a float outside uint8 has no defined value there.
        wide = np.issubdtype(x.dtype, np.floating) and np.issubdtype(to, np.integer)
        return ((x.astype(np.int64) if wide else x).astype(to),)


# --- along axes ------------------------------------------------------------------------------


def softmax(node: Node, arrays: Arrays) -> Results:
    """Return ``exp(x - max) / sum`` along the axis."""
    x, axis = given(arrays, 0), node.integer("axis")
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return (e / e.sum(axis=axis, keepdims=True),)


def log_softmax(node: Node, arrays: Arrays) -> Results:
    """Return ``(x - max) - log(sum of exp(x - max))`` along the axis."""
    x, axis = given(arrays, 0), node.integer("axis")
    shifted = x - x.max(axis=axis, keepdims=True)
    return (shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)),)


def _mean(x: np.ndarray, axes: tuple[int, ...], keep: bool) -> np.ndarray:
    if np.issubdtype(x.dtype, np.floating):
        return np.asarray(x.mean(axis=axes, keepdims=keep, dtype=x.dtype))
    total = np.asarray(x.sum(axis=axes, keepdims=keep, dtype=np.int64))
    count = np.int64(x.size // max(total.size, 1))
    return _divide(total, np.asarray(count)).astype(x.dtype)


def _sum(x: np.ndarray, axes: tuple[int, ...], keep: bool) -> np.ndarray:
    return np.asarray(x.sum(axis=axes, keepdims=keep, dtype=x.dtype))


def _max(x: np.ndarray, axes: tuple[int, ...], keep: bool) -> np.ndarray:
    return np.asarray(x.max(axis=axes, keepdims=keep, initial=_extreme(x, False)))


def _min(x: np.ndarray, axes: tuple[int, ...], keep: bool) -> np.ndarray:
    return np.asarray(x.min(axis=axes, keepdims=keep, initial=_extreme(x, True)))


def _extreme(x: np.ndarray, greatest: bool) -> bool | float | int:
    """Return the greatest or least value of x's dtype: the extreme of no elements."""
    if x.dtype == np.bool_:
        return greatest
    if np.issubdtype(x.dtype, np.floating):
        return np.inf if greatest else -np.inf
    limits = np.iinfo(x.dtype)
    return int(limits.max if greatest else limits.min)


def _prod(x: np.ndarray, axes: tuple[int, ...], keep: bool) -> np.ndarray:
    return np.asarray(x.prod(axis=axes, keepdims=keep, dtype=x.dtype))


def _l2(x: np.ndarray, axes: tuple[int, ...], keep: bool) -> np.ndarray:
    return np.asarray(np.sqrt(_sum(x * x, axes, keep))).astype(x.dtype)


def reduction(function: Reduce) -> Run:
    """Return the reference of a reduction from its function of (x, axes, keepdims)."""

    def run(node: Node, arrays: Arrays) -> Results:
        keep = node.flag("keepdims")
        return (function(given(arrays, 0), node.ints("axes"), keep),)

    return run


def global_pool(function: Reduce) -> Run:
    """Return the reference of a global pooling: a reduction of all axes from 2 on."""

    def run(node: Node, arrays: Arrays) -> Results:
        x = given(arrays, 0)
        return (function(x, tuple(range(2, x.ndim)), True),)

    return run


def arg(function: Callable[..., np.ndarray]) -> Run:
    """Return the reference of ArgMax or ArgMin from np.argmax or np.argmin."""

    def run(node: Node, arrays: Arrays) -> Results:
        x, axis = given(arrays, 0), node.integer("axis")
        keep = node.flag("keepdims")
        if node.flag("select_last_index"):
            found = function(np.flip(x, axis), axis=axis, keepdims=keep)
            return (np.asarray(x.shape[axis] - 1 - found, np.int64),)
        return (np.asarray(function(x, axis=axis, keepdims=keep), np.int64),)

    return run


#: Functions of two tensors, by operator.
PAIRS: dict[str, Pair] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Pow": _power,
    "Min": np.minimum,
    "Max": np.maximum,
    "Mod": _rest,
    "PRelu": _prelu,
    "Equal": np.equal,
    "Less": np.less,
    "Greater": np.greater,
    "LessOrEqual": np.less_equal,
    "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
}

#: Functions of (x, axes, keepdims), by operator.
REDUCTIONS: dict[str, Reduce] = {
    "ReduceMean": _mean,
    "ReduceSum": _sum,
    "ReduceMax": _max,
    "ReduceMin": _min,
    "ReduceProd": _prod,
    "ReduceL2": _l2,
}
