"""Names that others chose, shown so that they harm neither a terminal nor an XML file."""

from __future__ import annotations

import re

#: What stands in the place of a character that may not be shown.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
#: All that XML 1.0 forbids, and DEL and the C1 controls, which move a terminal's cursor as the
#: escape character does. Tab and line feed stay.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    """Return a text whose control characters and lone surrogates are replaced.

    Args:
        text: Of any origin: a tensor's name may hold whatever the model's file holds.
    """
    return _HIDDEN.sub(REPLACEMENT, text)


def one_line(text: str) -> str:
    """Return the same with line feeds and tabs as spaces: for headings, rows and attributes."""
    return " ".join(visible(text).split())
