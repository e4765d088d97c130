"""Values out of untrusted JSON."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bittrue.json_values import as_list, as_object, as_text, as_texts, as_whole

Reader = Callable[[object, str], object]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (as_object, {"a": 1}),
        (as_list, [1, None]),
        (as_text, "a"),
        (as_whole, -3),
    ],
)
def test_the_right_value_comes_back_as_it_is(read: Reader, value: object) -> None:
    assert read(value, "x") is value


def test_texts_come_as_a_tuple() -> None:
    assert as_texts(["a", ""], "x") == ("a", "")


@pytest.mark.parametrize(
    ("read", "value", "said"),
    [
        (as_object, [], "x is [], not an object"),
        (as_list, {"a": 1}, "x is {'a': 1}, not a list"),
        (as_text, 3, "x is 3, not a text"),
        (as_texts, "ab", "x is 'ab', not a list"),
        (as_texts, ["a", 3], "x is 3, not a text"),
        (as_whole, True, "x is True, not a whole number"),
        (as_whole, 2.0, "x is 2.0, not a whole number"),
    ],
)
def test_any_other_is_refused_by_name(read: Reader, value: object, said: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
        read(value, "x")


def test_of_an_endless_value_only_the_beginning_is_shown() -> None:
    with pytest.raises(TypeError) as caught:
        as_list("y" * 10**6, "x")
    assert len(str(caught.value)) < 100
