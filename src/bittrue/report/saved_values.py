"""Values out of the JSON of saved results: each is what it should be, or refused.

As in `bittrue.json_values`, the functions raise TypeError and name what they looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from bittrue.contract.causes import BY_ID
from bittrue.json_values import as_list, as_object, as_text
from bittrue.suggest import did_you_mean

Item = TypeVar("Item")
#: What a real number may be that JSON cannot hold: report/json_form.py writes these.
NAMES = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def as_real(data: object, what: str) -> float:
    """Return a number, or what one of NAMES stands for.

    Raises:
        TypeError: if it is something else.
    """
    if isinstance(data, str) and data in NAMES:
        return NAMES[data]
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise TypeError(f"{what} is {repr(data)[:60]}, not a number or one of {', '.join(NAMES)}")
    try:
        return float(data)
    except OverflowError as why:
        raise TypeError(f"{what} is beyond every float64") from why


def as_flag(data: object, what: str) -> bool:
    """Return true or false.

    Raises:
        TypeError: if it is something else.
    """
    if not isinstance(data, bool):
        raise TypeError(f"{what} is {repr(data)[:60]}, not true or false")
    return data


def as_cause(data: object, what: str) -> str:
    """Return an id of the table of causes.

    Raises:
        TypeError: if it is something else.
    """
    found = as_text(data, what)
    if found not in BY_ID:
        raise TypeError(f"{what} is {found[:60]!r}, no cause: {did_you_mean(found[:60], BY_ID)}")
    return found


def optional_of(fields: Mapping[str, object], name: str) -> float | None:
    """Return a number; None where it is null or not there.

    Raises:
        TypeError: if it is something else.
    """
    value = fields.get(name)
    return None if value is None else as_real(value, f"'{name}'")


def as_share(data: object, what: str) -> float:
    """Return a number from 0 to 1.

    Raises:
        TypeError: if it is something else.
    """
    found = as_real(data, what)
    if not 0 <= found <= 1:
        raise TypeError(f"{what} is {found:g}, not from 0 to 1")
    return found


def rows_of(
    fields: Mapping[str, object], name: str, read: Callable[[Mapping[str, object]], Item]
) -> tuple[Item, ...]:
    """Return the rows of a list of objects, each read; the list must be there.

    Raises:
        TypeError: if it is something else.
    """
    rows = as_list(fields.get(name), f"'{name}'")
    return tuple(read(as_object(row, f"a row of '{name}'")) for row in rows)


def text_of(fields: Mapping[str, object], name: str) -> str:
    """Return a text that must be there.

    Raises:
        TypeError: if it is something else.
    """
    return as_text(fields.get(name), f"'{name}'")


def as_durations(data: object, what: str) -> dict[str, float]:
    """Return seconds by step.

    Raises:
        TypeError: if it is no object of numbers.
    """
    fields = as_object(data, what)
    return {name: duration_of(fields, name) for name in fields}


def duration_of(fields: Mapping[str, object], name: str) -> float:
    """Return seconds; 0 where they are no length of time: those of a capture, which nobody knows.

    Raises:
        TypeError: if it is no number.
    """
    found = optional_of(fields, name) or 0.0
    return found if math.isfinite(found) and found >= 0 else 0.0
