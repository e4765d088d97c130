"""Functions of one number, written as postfix words: what the op Pointwise computes.

`x x sigmoid mul` is SiLU: words push `x` or a constant, or replace the topmost values by a
function of them. One expression serves three readers: the float reference evaluates it in float32,
the compiler in float64 for a table of 256 entries, and the exporter writes it as ONNX nodes. Equal
parts of an expression are computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bittrue.errors import ModelError

#: Longest expression that is accepted, in words; a tree of real layers has some dozens.
MAX_WORDS = 4096

Function = Callable[..., np.ndarray]


@dataclass(frozen=True, slots=True)
class Word:
    """One function of the language: its ONNX operator, number of arguments and NumPy function."""

    onnx: str
    arity: int
    run: Function


def _sigmoid(x: np.ndarray) -> np.ndarray:
    one = x.dtype.type(1)
    return np.asarray(one / (one + np.exp(-x)))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.logaddexp(x, x.dtype.type(0)))


def _erf(x: np.ndarray) -> np.ndarray:
    values = np.frompyfunc(math.erf, 1, 1)(x.astype(np.float64))
    return np.asarray(values, np.float64).astype(x.dtype)


#: Every function, by its word. Arguments and results have the dtype that the evaluation runs in.
WORDS: dict[str, Word] = {
    "add": Word("Add", 2, np.add),
    "sub": Word("Sub", 2, np.subtract),
    "mul": Word("Mul", 2, np.multiply),
    "div": Word("Div", 2, np.true_divide),
    "min": Word("Min", 2, np.minimum),
    "max": Word("Max", 2, np.maximum),
    "pow": Word("Pow", 2, np.power),
    "neg": Word("Neg", 1, np.negative),
    "abs": Word("Abs", 1, np.abs),
    "exp": Word("Exp", 1, np.exp),
    "log": Word("Log", 1, np.log),
    "sqrt": Word("Sqrt", 1, np.sqrt),
    "reciprocal": Word("Reciprocal", 1, lambda x: x.dtype.type(1) / x),
    "sigmoid": Word("Sigmoid", 1, _sigmoid),
    "tanh": Word("Tanh", 1, np.tanh),
    "erf": Word("Erf", 1, _erf),
    "softplus": Word("Softplus", 1, _softplus),
    "floor": Word("Floor", 1, np.floor),
    "ceil": Word("Ceil", 1, np.ceil),
    "round": Word("Round", 1, np.rint),
    "sign": Word("Sign", 1, np.sign),
    "sin": Word("Sin", 1, np.sin),
    "cos": Word("Cos", 1, np.cos),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One function applied once.

    Args:
        word: A name of WORDS.
        args: What it is applied to: "x", a constant (a float that is a float32), or the index of
            an earlier call.
    """

    word: str
    args: tuple[str | float | int, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression in running order; `result` is what a call's argument can be."""

    calls: tuple[Call, ...]
    result: str | float | int


# --- reading ---------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def parse(expr: str) -> Expression:
    """Return an expression as calls, equal ones once.

    Raises:
        ModelError: if it is too long, has an unknown word or a number that is no finite float32,
            lacks arguments, or leaves more than one value.
    """
    words = expr.split()
    if not 0 < len(words) <= MAX_WORDS:
        raise _error(expr, f"it has {len(words)} words, allowed are 1 to {MAX_WORDS}")
    known: dict[Call, int] = {}
    stack: list[str | float | int] = []
    for word in words:
        if word not in WORDS:
            stack.append("x" if word == "x" else _constant(expr, word))
            continue
        arity = WORDS[word].arity
        if len(stack) < arity:
            raise _error(expr, f"'{word}' takes {arity} values, there are {len(stack)}")
        call = Call(word, tuple(stack[-arity:]))
        stack[-arity:] = [known.setdefault(_distinct(call), len(known))]
    if len(stack) != 1:
        raise _error(expr, f"it leaves {len(stack)} values, it must leave one")
    return Expression(tuple(_plain(call) for call in known), stack[0])


def _distinct(call: Call) -> Call:
    """Return a key that tells -0.0 from 0.0, and the call 1 from the number 1.0."""
    return Call(call.word, tuple(repr(a) if isinstance(a, float) else a for a in call.args))


def _plain(call: Call) -> Call:
    args = (float(a) if isinstance(a, str) and a != "x" else a for a in call.args)
    return Call(call.word, tuple(args))


def _constant(expr: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise _error(expr, f"'{word}' is no function and no number") from None
    with np.errstate(over="ignore"):
        if not math.isfinite(value) or float(np.float32(value)) != value:
            raise _error(expr, f"{word} is not a finite float32")
    return value


def _error(expr: str, message: str) -> ModelError:
    shown = expr if len(expr) <= 60 else f"{expr[:57]}..."
    return ModelError(message, where=f"expression '{shown}'", hint="see bittrue.graph.expression")


# --- writing ---------------------------------------------------------------------------------


def constant(value: float) -> str:
    """Return the word for a number: Python's repr of it, rounded to float32.

    Raises:
        ModelError: if the number is not finite in float32.
    """
    with np.errstate(over="ignore"):
        rounded = float(np.float32(value))
    if not math.isfinite(rounded):
        raise ModelError(f"{value!r} is not a finite float32", where="constant of an expression")
    return repr(rounded)


def clip_expr(low: float, high: float) -> str:
    """Return the expression of ``min(max(x, low), high)``; an infinite bound is left out."""
    lower = f" {constant(low)} max" if low > -math.inf else ""
    upper = f" {constant(high)} min" if high < math.inf else ""
    return f"x{lower}{upper}"


# --- evaluation ------------------------------------------------------------------------------


def evaluate(expr: str, x: np.ndarray) -> np.ndarray:
    """Return the expression's value at each element, every call rounded to x's dtype.

    Args:
        expr: An expression.
        x: Any shape; float32 for the reference, float64 for what tables are rounded from.
            Constants are cast to its dtype.

    Returns:
        An array of x's shape and dtype. Domain errors give NaN and infinities, as in ONNX.
    """
    read = parse(expr)
    kind = x.dtype.type
    done: list[np.ndarray] = []

    def value_of(arg: str | float | int) -> np.ndarray:
        if isinstance(arg, str):
            return x
        return done[arg] if isinstance(arg, int) else np.asarray(kind(arg))

    with np.errstate(all="ignore"):
        for call in read.calls:
            done.append(np.asarray(WORDS[call.word].run(*(value_of(a) for a in call.args))))
    return np.broadcast_to(value_of(read.result), x.shape).astype(x.dtype)


def onnx_steps(expr: str) -> tuple[tuple[str, tuple[str | float | int, ...]], ...]:
    """Return the expression as ONNX operators in running order.

    Returns:
        One (ONNX operator, arguments) a step; the last one's output is the result. An argument is
        "x", a float (a float32 constant), or the index of an earlier step. An expression that is
        only `x` is one Identity; one without `x` is ``0 * x + its value``, to have x's shape.
    """
    read = parse(expr)
    if read.result == "x":
        return (("Identity", ("x",)),)
    if "x" not in expr.split():
        value = float(evaluate(expr, np.zeros((), np.float32)))
        return (("Mul", ("x", 0.0)), ("Add", (0, value)))
    return tuple((WORDS[call.word].onnx, call.args) for call in read.calls)
