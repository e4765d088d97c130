"""Names that nothing else has."""

from __future__ import annotations


def fresh(wanted: str, taken: set[str], separator: str = "_") -> str:
    """Return a name, numbered from 2 where it is taken already, and take it.

    Args:
        wanted: What it begins with.
        taken: Names that are used; the new one is added.
        separator: Between the name and its number.
    """
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}{separator}{number}"
    taken.add(name)
    return name
