"""The HTML report: one file that fetches nothing, from `PageFacts` to text.

Every text is escaped by the templates, and a Content-Security-Policy lets run only the one script
that is in the file. Names from a network's file are hostile until shown otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bittrue.contract.causes import BY_ID
from bittrue.packages import require
from bittrue.report import page_words
from bittrue.report.page_cards import layer_rows, page_data
from bittrue.report.page_facts import PageFacts
from bittrue.report.page_ladder import ladder_steps
from bittrue.report.page_layout import Layout, Point, Spacing, layered
from bittrue.report.page_samples import samples_of
from bittrue.report.page_view import not_tried, settings_of, verdict_of
from bittrue.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
MARGIN = 12.0


@dataclass(frozen=True, slots=True)
class Link:
    """One edge of the drawing."""

    ends: str
    d: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The graph as the template places it."""

    width: int
    height: int
    boxes: tuple[str, ...]
    edges: tuple[Link, ...]


def page_html(facts: PageFacts) -> str:
    """Return the page.

    Args:
        facts: What it shows.

    Raises:
        UsageError: if jinja2 is not installed.
    """
    require("jinja2", "tools", where="the HTML report")
    from markupsafe import Markup

    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html")
        .render(
            facts=facts,
            verdict=verdict_of(facts),
            rungs=ladder_steps(facts.ladder),
            samples=samples_of(facts.survey),
            layers=layer_rows(facts),
            levels=page_words.LEVEL_WORDS,
            not_tried=not_tried(facts.diagnosis),
            settings=settings_of(facts, facts.diagnosis),
            graph=drawing(facts),
            data=Markup(json_in_html(page_data(facts))),
            style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
            script=Markup(script),
            script_hash=f"sha256-{digest}",
            version=__version__,
        )
    )


def json_in_html(data: object) -> str:
    """Return JSON that no HTML parser takes for markup, whatever its texts are."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: page_words.bounded(value) if type(value) is str else value,
    )
    made.filters.update(
        db=page_words.decibels,
        number=page_words.number,
        percent=lambda value: f"{value:.0%}",
        short=page_words.short,
        tail=page_words.tail,
        capital=lambda text: text[:1].upper() + text[1:],
        meaning=lambda cause: BY_ID[cause].meaning,
        data_uri=_data_uri,
    )
    return made


def _data_uri(png: bytes) -> str:
    """Return a picture as an address that holds it: no letter of it needs escaping, none is cut."""
    from markupsafe import Markup

    return Markup(f"data:image/png;base64,{base64.b64encode(png).decode()}")


# --- the graph -----------------------------------------------------------------------------------


def drawing(facts: PageFacts) -> Drawing:
    """Return where the boxes and edges of the graph go."""
    edges = [(source, at) for at, row in enumerate(facts.layers) for source in row.drawn.reads]
    found = layered(len(facts.layers), edges, Spacing())
    return _drawing(found, edges)


def _drawing(found: Layout, edges: Sequence[tuple[int, int]]) -> Drawing:
    return Drawing(
        round(found.width + 2 * MARGIN),
        round(found.height + 2 * MARGIN),
        tuple(f"{x + MARGIN:.0f} {y + MARGIN:.0f}" for x, y in found.boxes),
        tuple(
            Link(f"{one} {two}", _curve(points))
            for (one, two), points in zip(edges, found.edges, strict=True)
        ),
    )


def _curve(points: Sequence[Point]) -> str:
    """Return a path through points, upright at each: straight where it can be."""
    placed = [(round(x + MARGIN), round(y + MARGIN)) for x, y in points]
    (x, y), rest = placed[0], placed[1:]
    parts = [f"M{x} {y}"]
    for at, (right, down) in enumerate(rest):
        if right == x:
            straight_on = at + 1 < len(rest) and rest[at + 1][0] == right
            parts += [] if straight_on else [f"V{down}"]
        else:
            middle = (y + down) // 2
            parts.append(f"C{x} {middle} {right} {middle} {right} {down}")
        x, y = right, down
    return "".join(parts)
