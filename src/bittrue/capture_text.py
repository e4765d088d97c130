"""The description of a capture, JSON or TOML (docs/captures.md): what no array shows by itself."""

from __future__ import annotations

import json
import logging
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bittrue.arrays import MOST_UNPACKED
from bittrue.contract.deployed import HOLDS
from bittrue.contract.tensor import LAYOUTS
from bittrue.dtypes import DTYPES
from bittrue.errors import FormatError
from bittrue.files import unreadable
from bittrue.json_values import as_list, as_object, as_text, as_whole
from bittrue.suggest import did_you_mean

log = logging.getLogger(__name__)

SCHEMA = "bittrue.capture/1"
#: The description that a folder or a zip holds besides its arrays.
DESCRIPTIONS = ("capture.json", "capture.toml")
#: The role, the folder and the prefix of arrays that were sent to the device.
SENT = "sent"
MOST_TEXT = 1 << 24
MOST_TENSORS = 1 << 16
_SHOWN = 60
_FAMILY = SCHEMA.partition("/")[0] + "/"


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one tensor besides its numbers; empty where nobody said.

    Args:
        name: Of the tensor.
        array: The key of its array in the .npz, or its file's stem.
        role: "output" or SENT.
        dtype: Of raw bytes.
        shape: Of raw bytes.
        scale: As in `capture.Captured`, and so the rest.
    """

    name: str
    array: str
    role: str = "output"
    dtype: str = ""
    shape: tuple[int, ...] | None = None
    scale: float | None = None
    zero_point: int = 0
    layout: str = ""
    holds: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """What one description says."""

    path: str
    rows: tuple[Row, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)


def description_beside(file: Path, alone: str = "") -> Description | None:
    """Return the description of the same name beside a file; None if there is none.

    Args:
        file: The file with arrays.
        alone: The key of its only array, which a description may be of without a list of tensors.

    Raises:
        FormatError: if it is damaged.
    """
    for suffix in (".json", ".toml"):
        side = file.with_suffix(suffix)
        if side.is_file():
            return read_description(side, alone, may_be_foreign=True)
    return None


def read_description(
    file: Path, alone: str = "", *, may_be_foreign: bool = False
) -> Description | None:
    """Return what a description's file says, as `parse_description` does."""
    try:
        with file.open("rb") as stream:
            text = stream.read(MOST_TEXT + 1)
    except OSError as why:
        raise unreadable(file, why) from why
    return parse_description(text, str(file), alone, may_be_foreign=may_be_foreign)


def parse_description(
    text: bytes, path: str, alone: str = "", *, may_be_foreign: bool = False
) -> Description | None:
    """Return what a description says; None if it is another program's, and may be.

    Args:
        text: JSON, or TOML where the path ends so.
        path: Of the file.
        alone: As in `description_beside`.
        may_be_foreign: Whether a file of another schema is passed over: out.json beside out.npz
            may be anything.

    Raises:
        FormatError: if it is damaged or breaks a rule.
    """
    try:
        if len(text) > MOST_TEXT:
            raise ValueError(f"has more than {MOST_TEXT} bytes")
        return _description(text, path, alone, may_be_foreign=may_be_foreign)
    except (TypeError, ValueError, RecursionError) as why:
        reason = "it is nested too deeply" if isinstance(why, RecursionError) else str(why)
        raise FormatError(
            printable(reason), path=path, hint="docs/captures.md shows a description"
        ) from why


def printable(text: str) -> str:
    """Return text that any terminal and log takes: a file's own may hold half a character."""
    return text.encode("utf-8", "backslashreplace").decode()


def _description(text: bytes, path: str, alone: str, *, may_be_foreign: bool) -> Description | None:
    decoded = text.decode("utf-8")
    parsed = tomllib.loads(decoded) if path.endswith(".toml") else json.loads(decoded)
    data = as_object(parsed, "the description")
    schema = str(data.get("schema", SCHEMA))[:_SHOWN]
    if schema != SCHEMA and may_be_foreign and not schema.startswith(_FAMILY):
        log.warning("%s: is no description of a capture, and is passed over", path)
        return None
    if schema != SCHEMA:
        raise ValueError(f"the schema is {schema!r}, and {SCHEMA!r} is read")
    if "tensors" not in data and alone:
        return Description(path, (_row(data, alone, "the description"),))
    _refuse_unknown(data, ("schema", "tensors", "metadata"), "the description")
    tables = as_list(data.get("tensors", []), "tensors")
    if len(tables) > MOST_TENSORS:
        raise ValueError(f"{len(tables)} tensors, at most {MOST_TENSORS} are read")
    rows = tuple(_row(table, "", f"tensors[{at}]") for at, table in enumerate(tables))
    for kind, keys in (("array", [row.array for row in rows]), ("name", [*map(_key, rows)])):
        if len(set(keys)) < len(keys):
            raise ValueError(f"two tensors have one {kind}")
    return Description(path, rows, as_object(data.get("metadata", {}), "metadata"))


def _key(row: Row) -> str:
    return f"{row.role} {row.name}"


_ROW_KEYS = (
    *("name", "array", "role", "dtype", "shape"),
    *("scale", "zero_point", "layout", "holds", "schema"),
)


def _row(data: object, alone: str, what: str) -> Row:
    table = as_object(data, what)
    _refuse_unknown(table, _ROW_KEYS, what)
    role = SENT if alone.startswith(f"{SENT}/") else "output"
    name = as_text(table.get("name", alone.removeprefix(f"{SENT}/") or None), f"{what}: name")
    role = _one_of(table.get("role", role), ("output", SENT), f"{what}: role")
    default = f"{SENT}/{name}" if role == SENT else name
    words = {
        key: _one_of(table.get(key, ""), ("", *known), f"{what}: {key}")
        for key, known in (("dtype", tuple(DTYPES)), ("layout", LAYOUTS), ("holds", HOLDS))
    }
    scale = _scale(table.get("scale"), f"{what}: scale")
    zero_point = _zero_point(table.get("zero_point", 0), f"{what}: zero_point")
    if scale is None and zero_point:
        raise ValueError(f"{what}: there is a zero_point but no scale")
    return Row(
        name=name,
        array=alone or as_text(table.get("array", default), f"{what}: array"),
        role=role,
        shape=_shape(table["shape"], f"{what}: shape") if "shape" in table else None,
        scale=scale,
        zero_point=zero_point,
        **words,
    )


def _refuse_unknown(table: Mapping[str, object], keys: tuple[str, ...], what: str) -> None:
    for key in table:
        if key not in keys:
            short = key[:_SHOWN]
            raise ValueError(f"{what}: key {short!r} is unknown; {did_you_mean(short, keys)}")


def _one_of(value: object, known: Iterable[str], what: str) -> str:
    word, words = as_text(value, what), tuple(known)
    if word not in words:
        short = word[:_SHOWN]
        raise ValueError(f"{what} is {short!r}; {did_you_mean(short, filter(None, words))}")
    return word


def _shape(value: object, what: str) -> tuple[int, ...]:
    shape = tuple(as_whole(dim, what) for dim in as_list(value, what))
    if any(not 0 <= dim < MOST_UNPACKED for dim in shape) or len(shape) > 32:
        raise ValueError(f"{what} has too many axes, or one below 0 or too large")
    if math.prod(shape) > MOST_UNPACKED:
        raise ValueError(f"{what} has more than {MOST_UNPACKED} elements")
    return shape


def _scale(value: object, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is no number")
    if not 1e-300 < value < 1e300:
        raise ValueError(f"{what} is not above 0, or too large")
    return float(value)


def _zero_point(value: object, what: str) -> int:
    whole = as_whole(value, what)
    if not -(2**31) <= whole < 2**31:
        raise ValueError(f"{what} has more than 32 bits")
    return whole
