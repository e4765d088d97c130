"""Values out of JSON that anybody may have written: each is what it should be, or refused.

The functions raise TypeError and name what they looked at; a reader of files makes a FormatError of
it, with the path.
"""

from __future__ import annotations

#: Characters of a wrong value that a message shows: a hostile file's may be endless.
SHOWN = 60


def as_object(data: object, what: str) -> dict[str, object]:
    """Return a JSON object.

    Raises:
        TypeError: if it is something else.
    """
    if not isinstance(data, dict):
        raise _wrong(data, what, "an object")
    return data


def as_list(data: object, what: str) -> list[object]:
    """Return a JSON array.

    Raises:
        TypeError: if it is something else.
    """
    if not isinstance(data, list):
        raise _wrong(data, what, "a list")
    return data


def as_text(data: object, what: str) -> str:
    """Return a text.

    Raises:
        TypeError: if it is something else.
    """
    if not isinstance(data, str):
        raise _wrong(data, what, "a text")
    return data


def as_texts(data: object, what: str) -> tuple[str, ...]:
    """Return an array of texts.

    Raises:
        TypeError: if it is something else.
    """
    return tuple(as_text(item, what) for item in as_list(data, what))


def as_whole(data: object, what: str) -> int:
    """Return a whole number; true and false are none.

    Raises:
        TypeError: if it is something else.
    """
    if type(data) is not int:
        raise _wrong(data, what, "a whole number")
    return data


def _wrong(data: object, what: str, wanted: str) -> TypeError:
    shown = repr(data)
    return TypeError(f"{what} is {shown[:SHOWN]}{'...' * (len(shown) > SHOWN)}, not {wanted}")
