"""Preprocessing as text: TOML that people write, JSON that archives and executables hold."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path

from bittrue.contract.preprocess_spec import Preprocess
from bittrue.errors import FormatError, UsageError
from bittrue.files import read_text

_NAMES = tuple(field.name for field in fields(Preprocess))
_TEXT_MAX = 65536


def load_preprocess(path_or_text: str | Path) -> Preprocess:
    """Return the preprocessing that a TOML file, or TOML itself, describes.

    The keys are the fields of `Preprocess`; only `size` is needed. `scale` may be a number or a
    fraction in quotes ("1/255"); left out, it is 1 for dtype "uint8" and 1/255 otherwise. `mean`
    and `std` may be one number for all channels.

    Args:
        path_or_text: A Path, or a string: TOML if it has a line break or "=", else a path.

    Raises:
        UsageError: if the file is not there, is no TOML, has unknown keys (with what was probably
            meant) or values of the wrong kind; all of them are listed.
    """
    is_text = isinstance(path_or_text, str) and any(mark in path_or_text for mark in "\n=")
    where = "preprocessing" if is_text else str(path_or_text)
    text = str(path_or_text) if is_text else read_text(Path(path_or_text), _TEXT_MAX, _EXAMPLE)
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as why:
        raise UsageError(f"this is no TOML: {why}", where=where, hint=_EXAMPLE) from why
    problems: list[str] = []
    values = _read_fields(data, problems)
    if problems:
        raise UsageError("; ".join(problems), where=where, hint=_EXAMPLE)
    try:
        return Preprocess(**values)  # type: ignore[arg-type]
    except UsageError as why:
        raise UsageError(why.message, where=where, hint=why.hint) from why


def preprocess_to_toml(preprocess: Preprocess) -> str:
    """Return TOML that `load_preprocess` reads back to an equal value, one field a line."""
    return "".join(f"{name} = {_toml(getattr(preprocess, name))}\n" for name in _NAMES)


def preprocess_to_json(preprocess: Preprocess) -> dict[str, object]:
    """Return plain JSON values that `preprocess_from_json` reads back to an equal value."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(preprocess).items()
    }


def preprocess_from_json(data: object, *, path: str = "") -> Preprocess:
    """Return the preprocessing that `preprocess_to_json` wrote.

    Args:
        data: What a JSON parser returned; may be anything.
        path: The file it stands in, for the message.

    Raises:
        FormatError: if a field is missing, unknown, of the wrong kind or out of range.
    """
    if not isinstance(data, Mapping):
        raise FormatError(f"preprocessing is a {type(data).__name__}, not an object", path=path)
    problems = [f"field {name!r} is missing" for name in _NAMES if name not in data]
    values = _read_fields(data, problems)
    if problems:
        raise FormatError("preprocessing: " + "; ".join(problems), path=path)
    try:
        return Preprocess(**values)  # type: ignore[arg-type]
    except UsageError as why:
        raise FormatError(why.message, path=path, hint="write the file again") from why


# --- reading ---------------------------------------------------------------------------------

_EXAMPLE = 'the shortest that works is: size = [224, 224]; see "bittrue inspect" for all fields'


def _read_fields(data: Mapping[str, object], problems: list[str]) -> dict[str, object]:
    """Return the fields that could be read; append what could not to `problems`."""
    values: dict[str, object] = {}
    if "size" not in data:
        problems.append("size is missing: height and width that the network sees")
    for name, value in data.items():
        if name not in _NAMES:
            problems.append(_unknown(name))
            continue
        try:
            values[name] = _READ.get(name, _word)(value)
        except ValueError as why:
            problems.append(f"{name} is {_short(value)}, not {why}")
    channels = 1 if values.get("colour") == "GRAY" else 3
    for name, one in (("mean", 0.0), ("std", 1.0)):
        value = values.get(name, one)
        values[name] = (value,) * channels if isinstance(value, float) else value
    if values.get("dtype") == "uint8":
        values.setdefault("scale", 1.0)
    return values


def _unknown(name: object) -> str:
    close = get_close_matches(str(name), _NAMES, 1)
    return f"key {_short(name)} is unknown" + (f"; did you mean {close[0]!r}?" if close else "")


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a word in quotes")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError("a whole number")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number that a float holds") from None


def _scale(value: object) -> float:
    if not isinstance(value, str):
        return _number(value)
    above, slash, below = value.partition("/")
    try:
        return float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        raise ValueError('a number or a fraction such as "1/255"') from None


def _wholes(value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("a list of whole numbers")
    return tuple(_whole(part) for part in value)


def _numbers(value: object) -> tuple[float, ...] | float:
    if isinstance(value, list | tuple):
        return tuple(_number(part) for part in value)
    return _number(value)


_READ: dict[str, Callable[[object], object]] = {
    "size": _wholes,
    "resize_to": _whole,
    "pad_colour": _wholes,
    "background": _wholes,
    "scale": _scale,
    "mean": _numbers,
    "std": _numbers,
}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _toml(value: object) -> str:
    """Return a str, int, float or tuple of numbers as TOML; the words need no more than JSON."""
    if isinstance(value, tuple):
        return "[" + ", ".join(map(repr, value)) + "]"
    return json.dumps(value) if isinstance(value, str) else repr(value)
