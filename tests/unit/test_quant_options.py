"""Options of quantisation: their words, their defaults, and what a provenance tells of them."""

from __future__ import annotations

import pytest

from bittrue.errors import UsageError
from bittrue.quant.observers import OBSERVERS
from bittrue.quant.options import AUTO, DEFAULTS, QuantizeOptions
from bittrue.quant.partition import TAILS
from bittrue.quant.weights import ROUNDINGS
from tests.unit.quant_graphs import depthwise_graph, quantized


@pytest.mark.parametrize("option", ["observer", "tail", "rounding"])
def test_an_unknown_word_is_refused_with_the_words_that_there_are(option: str) -> None:
    with pytest.raises(UsageError, match="'nonsense' is not one of"):
        quantized(depthwise_graph(), **{option: "nonsense"})


def test_every_word_of_the_tables_gives_its_row() -> None:
    assert [QuantizeOptions(observer=w).observer_row() for w in OBSERVERS] == [*OBSERVERS.values()]
    assert [QuantizeOptions(tail=word).tail_row() for word in TAILS] == [*TAILS.values()]
    assert [QuantizeOptions(rounding=w).rounding_row() for w in ROUNDINGS] == [*ROUNDINGS.values()]


def test_auto_stands_for_a_named_observer_where_nothing_is_measured() -> None:
    assert DEFAULTS.observer == AUTO
    assert DEFAULTS.settled().observer in OBSERVERS
    assert QuantizeOptions(observer="mse").settled() == QuantizeOptions(observer="mse")


def test_options_come_back_from_json() -> None:
    options = QuantizeOptions(samples=3, observer="mse", tail="int8", rounding="nearest")
    assert QuantizeOptions.from_json({"bittrue": "1", **options.to_json()}) == options


@pytest.mark.parametrize("data", [None, 7, [], {}, {"samples": "many"}])
def test_a_provenance_that_tells_nothing_means_the_defaults(data: object) -> None:
    assert QuantizeOptions.from_json(data) == DEFAULTS
