"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import click

from bittrue.errors import DataError, UsageError

Command = TypeVar("Command", bound=Callable[..., object])
Value = TypeVar("Value")
_DIMENSION = re.compile("[1-9][0-9]{0,9}")


def output_option(text: str) -> Callable[[Command], Command]:
    """Return the option -o of a command that writes one file."""
    return click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help=text)


def json_option(schema: str) -> Callable[[Command], Command]:
    """Return the option --json, which names its schema in its help."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON, schema {schema}.")


def shapes_of(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return {"x": (1, 3, 640, 640)} of ("x=1,3,640,640",).

    Raises:
        UsageError: if a text has another form.
    """
    return _distinct([_shape_of(text) for text in texts], "--input-shape")


def _distinct(pairs: Sequence[tuple[str, Value]], option: str) -> dict[str, Value]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UsageError(f"{option} names an input twice", hint="give each input once")
    return found


def _shape_of(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, dims = text.rpartition("=")
    parts = dims.split(",")
    if not equals or not name or not all(_DIMENSION.fullmatch(part) for part in parts):
        raise UsageError(
            f"--input-shape {text!r} has another form than NAME=1,3,640,640",
            hint="give the input's name, =, and whole numbers of at least 1 with commas between",
        )
    return name, tuple(int(part) for part in parts)


def preprocess_of(texts: Sequence[str]) -> Mapping[str, Path] | Path | None:
    """Return the file for the only input, or {"NAME": file} where names are given.

    Raises:
        UsageError: if several files are given without names.
    """
    if not texts:
        return None
    if len(texts) == 1 and ("=" not in texts[0] or Path(texts[0]).exists()):
        return Path(texts[0])
    pairs = [text.partition("=") for text in texts]
    if not all(equals for _, equals, _ in pairs):
        raise UsageError(
            "several --preprocess files need the names of their inputs",
            hint="write --preprocess NAME=FILE.toml for each",
        )
    return _distinct([(name, Path(file)) for name, _, file in pairs], "--preprocess")


def check_output(path: Path, *endings: str) -> None:
    """Refuse an output that cannot be written now, not after minutes of work.

    Args:
        path: What is to be written.
        endings: That its name may have: the kind of file is chosen by it.

    Raises:
        DataError: if the folder is missing or not writable.
        UsageError: if the name has another ending.
    """
    if path.is_dir():
        raise DataError("is a folder", where=str(path), hint="name a file in it")
    if path.suffix.lower() not in endings:
        raise UsageError(
            f"the name ends in {path.suffix!r}, not in {' or '.join(endings)}",
            where=str(path),
            hint=f"name it {path.stem or 'model'}{endings[0]}",
        )
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as why:
        raise DataError(
            f"cannot be written: {why.strerror}",
            where=str(path),
            hint="check that the folder exists and is yours to write",
        ) from why
