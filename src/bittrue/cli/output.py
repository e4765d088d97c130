"""How commands speak: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import click

from bittrue.errors import Error

Item = TypeVar("Item")


def say(text: str) -> None:
    """Print a result."""
    click.echo(text)


def note(text: str) -> None:
    """Print what is not a result: what a command does, and where it wrote."""
    click.echo(text, err=True)


def emit_json(schema: str, data: Mapping[str, object]) -> None:
    """Print one JSON object that names its schema, for example "bittrue.compare/1"."""
    click.echo(json.dumps({"schema": schema, **data}, indent=2, default=_plain, allow_nan=False))


def _plain(value: object) -> object:
    """Return NumPy's numbers as Python's."""
    item = getattr(value, "item", None)
    if callable(item):
        return item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def progress(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items, with a bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    # Here, not above: `bittrue --help` would wait for it.
    from rich.console import Console
    from rich.progress import track

    yield from track(items, description=label, total=total, console=Console(stderr=True))


@contextmanager
def step(label: str) -> Iterator[None]:
    """Show what is being done while it is, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(label):
        yield


def show_error(error: Error) -> None:
    """Print an error's three parts."""
    click.echo(f"error: {error}", err=True)
