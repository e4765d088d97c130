"""Figures and names as the HTML report writes them, and the colours of errors."""

from __future__ import annotations

import math

from bittrue.report.visible import one_line, visible

#: From which SQNR in dB on an error has each colour: 40, 30, 20 and 10 dB are errors of 1, 3, 10
#: and 32 percent; level 0 is no error at all.
LEVELS = (math.inf, 40.0, 30.0, 20.0, 10.0, -math.inf)
LEVEL_WORDS = ("equal", "≥ 40 dB", "≥ 30", "≥ 20", "≥ 10", "< 10")
#: No figure.
NO_LEVEL = "n"
#: Letters of a name, and of any other text, that the page shows: a file may hold megabytes of them.
NAME_LETTERS, TEXT_LETTERS = 160, 4000
#: The strip's bars are as high as this SQNR is above the layer's.
STRIP_DB = 60.0


def decibels(value: float | None, unit: str = " dB") -> str:
    """Return a ratio in dB for people; "equal" where there is no error, "–" without a figure."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "equal" if value > 0 else f"−∞{unit}"
    return f"{value:.1f}{unit}".replace("-", "−")


def number(value: float) -> str:
    """Return a figure with four digits."""
    return f"{value:.4g}".replace("-", "−").replace("inf", "∞")


def level(value: float | None) -> str:
    """Return the colour of an SQNR: the number of the first of LEVELS that it reaches."""
    if value is None or math.isnan(value):
        return NO_LEVEL
    return str(next(at for at, least in enumerate(LEVELS) if value >= least))


def height(value: float | None) -> float:
    """Return how high a layer's bar is, 0 to STRIP_DB; 1 at least where there is an error."""
    if value is None or math.isnan(value) or value == math.inf:
        return 0.0
    return round(min(max(STRIP_DB - value, 1.0), STRIP_DB), 1)


def short(text: str, most: int) -> str:
    """Return a text of at most so many letters, its middle left out."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - half]}…{text[len(text) - half :]}"


def tail(text: str, most: int) -> str:
    """Return a text of at most so many letters, its beginning left out: names differ at the end."""
    return text if len(text) <= most else f"…{text[len(text) - most + 1 :]}"


def named(text: str) -> str:
    """Return a name that somebody else chose: on one line, without what cannot be seen, bounded."""
    return short(one_line(text[: 4 * TEXT_LETTERS]), NAME_LETTERS)


def bounded(text: str) -> str:
    """Return any text as it is shown: without what cannot be seen, bounded."""
    return visible(short(text, TEXT_LETTERS))
