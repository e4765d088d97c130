"""What is deployed, as TOML that a user writes by hand: the contract of a device's buffers."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path

from bittrue.contract.tensor import (
    COLOURS,
    HOLDS_CODES,
    HOLDS_NORMALISED,
    HOLDS_PIXELS,
    HOLDS_VALUES,
    LAYOUTS,
    Contract,
    TensorContract,
)
from bittrue.dtypes import DTYPES
from bittrue.errors import UsageError
from bittrue.files import read_text

HOLDS = (HOLDS_PIXELS, HOLDS_NORMALISED, HOLDS_CODES, HOLDS_VALUES)
#: More of a message's own text would be a hostile file's.
_TEXT_MAX = 1 << 20
_SHOWN = 60
_MOST_PROBLEMS = 20
_EXAMPLE = (
    'the shortest that works is: [[output]] name = "scores" dtype = "uint8" shape = [1, 1000];'
    " docs/captures.md lists all keys"
)


def load_deployed(path_or_text: str | Path) -> Contract:
    """Return the contract of what is deployed, from a TOML file or TOML itself.

    Tables `[[input]]` and `[[output]]`, one a buffer, in the order of the network. Of the keys
    only `name`, `dtype` and `shape` are needed; `range` is `[least, greatest]`, and a key left out
    means that nobody said. Whole numbers with a scale hold codes where `holds` is left out.

    Args:
        path_or_text: A Path, or a string: TOML if it has a line break or "=", else a path.

    Raises:
        UsageError: if the file is not there, is no TOML, or breaks a rule; every problem is listed,
            unknown keys with what was probably meant.
    """
    is_text = isinstance(path_or_text, str) and any(mark in path_or_text for mark in "\n=")
    where = "the deployed contract" if is_text else str(path_or_text)
    text = str(path_or_text) if is_text else read_text(Path(path_or_text), _TEXT_MAX, _EXAMPLE)
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as why:
        raise UsageError(
            f"this is no TOML: {_short(str(why), 300)}", where=where, hint=_EXAMPLE
        ) from why
    problems: list[str] = []
    contract = _contract(data, problems)
    if problems:
        raise UsageError(_listed(problems), where=where, hint=_EXAMPLE)
    return contract


def deployed_to_toml(contract: Contract) -> str:
    """Return TOML that `load_deployed` reads back to an equal contract."""
    tables = [("input", row) for row in contract.inputs]
    tables += [("output", row) for row in contract.outputs]
    return "\n".join(_table(kind, row) for kind, row in tables)


# --- reading -------------------------------------------------------------------------------------


def _contract(data: Mapping[str, object], problems: list[str]) -> Contract:
    problems += [_unknown(key, ("input", "output")) for key in data if key not in _SIDES]
    if not any(side in data for side in _SIDES):
        problems.append("there is neither an [[input]] nor an [[output]] table")
    inputs, outputs = (_rows(data.get(side, []), side, problems) for side in _SIDES)
    return Contract(inputs, outputs)


_SIDES = ("input", "output")


def _rows(tables: object, side: str, problems: list[str]) -> tuple[TensorContract, ...]:
    if not isinstance(tables, list):
        problems.append(f"{side} is {_short(repr(tables))}, not tables: write [[{side}]]")
        return ()
    found = [_row(table, f"{side} {at}", problems) for at, table in enumerate(tables)]
    rows = tuple(row for row in found if row is not None)
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems += [f"two {side} tables have the name {_short(repr(name))}" for name in twice]
    return rows


def _row(table: object, place: str, problems: list[str]) -> TensorContract | None:
    """Return one buffer's contract, or None after appending what is wrong with it."""
    if not isinstance(table, Mapping):
        problems.append(f"{place} is {_short(repr(table))}, not a table")
        return None
    name = table.get("name")
    where = f"{place} ({_short(name)!r})" if isinstance(name, str) else place
    wrong = [f"{key} is missing" for key in _NEEDED if key not in table]
    values: dict[str, object] = {}
    for key, value in table.items():
        if not isinstance(key, str) or key not in _READ:
            wrong.append(_unknown(key, tuple(_READ)))
            continue
        try:
            values[_FIELDS.get(key, key)] = _READ[key](value)
        except ValueError as why:
            wrong.append(f"{key} is {_short(repr(value))}, not {why}")
    wrong = wrong or _unlike(values)
    problems += [f"{where}: {problem}" for problem in wrong]
    if wrong:
        return None
    values.setdefault("holds", _holds(values))
    return TensorContract(**values)  # type: ignore[arg-type]


def _unlike(values: Mapping[str, object]) -> list[str]:
    """Return what is wrong between keys that are each right."""
    dtype, shape, layout = values["dtype"], values["shape"], values.get("layout", "")
    wrong = []
    if isinstance(shape, tuple) and layout and len(str(layout)) != len(shape):
        wrong.append(f"layout {layout!r} has {len(str(layout))} axes, shape has {len(shape)}")
    if "zero_point" in values and "scale" not in values:
        wrong.append("there is a zero_point but no scale")
    if values.get("holds") == HOLDS_CODES and dtype in _REAL:
        wrong.append(f"holds is {HOLDS_CODES!r} but dtype is {dtype!r}")
    low_high = values.get("value_range")
    if isinstance(low_high, tuple) and low_high[0] > low_high[1]:
        wrong.append(f"range is {list(low_high)}, the least is above the greatest")
    return wrong


_REAL = frozenset({"float16", "float32", "float64", "bool"})


def _holds(values: Mapping[str, object]) -> str:
    coded = values.get("scale") is not None and values["dtype"] not in _REAL
    return HOLDS_CODES if coded else HOLDS_VALUES


def _unknown(key: object, known: tuple[str, ...]) -> str:
    close = get_close_matches(str(key), known, 1)
    meant = f"; did you mean {close[0]!r}?" if close else f"; the keys are {', '.join(known)}"
    return f"key {_short(repr(key))} is unknown{meant}"


def _listed(problems: list[str]) -> str:
    more = len(problems) - _MOST_PROBLEMS
    shown = problems[:_MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
    return "\n  ".join(shown)


# --- one value -----------------------------------------------------------------------------------


def _name(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a name in quotes")
    return value


def _one_of(known: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            raise ValueError("one of " + ", ".join(repr(word) for word in known if word))
        return value

    return read


def _shape(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(dim) is int and dim > 0 for dim in value):
        raise ValueError("a list of whole numbers above 0")
    if math.prod(value) >= 2**40:
        raise ValueError("a shape of less than 2^40 elements")
    return tuple(value)


def _whole(value: object) -> int:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise ValueError("a whole number of 32 bits")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("a number that a float holds") from None
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return number


def _scale(value: object) -> float:
    """A number, or a fraction in quotes, as in preprocessing: "1/255"."""
    number = _fraction(value) if isinstance(value, str) else _number(value)
    if not number > 0 or not math.isfinite(number):
        raise ValueError("above 0")
    return number


def _fraction(text: str) -> float:
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        raise ValueError('a number or a fraction such as "1/255"') from None


def _pair(value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("a pair [least, greatest]")
    return _number(value[0]), _number(value[1])


_NEEDED = ("name", "dtype", "shape")
_READ: dict[str, Callable[[object], object]] = {
    "name": _name,
    "dtype": _one_of(tuple(DTYPES)),
    "shape": _shape,
    "layout": _one_of(LAYOUTS),
    "colour": _one_of(COLOURS),
    "scale": _scale,
    "zero_point": _whole,
    "range": _pair,
    "holds": _one_of(HOLDS),
}
#: Keys that the field of `TensorContract` calls otherwise.
_FIELDS = {"range": "value_range"}


# --- writing -------------------------------------------------------------------------------------


def _table(kind: str, row: TensorContract) -> str:
    lines = [f"[[{kind}]]"]
    for key in _READ:
        value = getattr(row, _FIELDS.get(key, key))
        if value in (None, "") or (key == "zero_point" and row.scale is None):
            continue
        lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(repr, value)) + "]"
    if not isinstance(value, str):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _short(text: str, most: int = _SHOWN) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
