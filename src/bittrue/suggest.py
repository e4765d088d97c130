"""The hint that names what the user probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the nearest known words, or a list of some of them."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(name) for name in near) + "?"
    if not names:
        return "there is none to choose from"
    shown = ", ".join(repr(name) for name in names[:8])
    return f"choose one of {shown}" + (", ..." if len(names) > 8 else "")
