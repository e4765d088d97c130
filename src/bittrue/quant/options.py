"""What a user may choose of quantisation: each choice a field, its words the keys of a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace

from bittrue.errors import UsageError
from bittrue.quant.observers import OBSERVERS, Observer
from bittrue.quant.partition import TAILS, Tail
from bittrue.quant.weights import ROUNDINGS, Rounding

#: The observer whose outputs come nearest to the float network's, by measurement.
AUTO = "auto"
#: Taken where `auto` is asked for and nothing can be measured.
DEFAULT_OBSERVER = "power"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeOptions:
    """How a graph is quantised. A word that is in no table is refused when it is looked up.

    Args:
        samples: At most this many samples are taken, 1 or more.
        observer: How ranges are found: a word of OBSERVERS, or AUTO.
        tail: What runs in float: a word of TAILS.
        rounding: How weights are rounded: a word of ROUNDINGS.
    """

    samples: int = 64
    observer: str = AUTO
    tail: str = "float"
    rounding: str = "kernel-sum"

    def settled(self) -> QuantizeOptions:
        """Return the options with a named observer in the place of AUTO."""
        return replace(self, observer=DEFAULT_OBSERVER) if self.observer == AUTO else self

    def observer_row(self) -> Observer:
        """Return how ranges are estimated.

        Raises:
            UsageError: if it is an unknown word.
        """
        _check("observer", self.observer, (AUTO, *OBSERVERS))
        return OBSERVERS[self.settled().observer]

    def tail_row(self) -> Tail:
        """Return what else runs in float.

        Raises:
            UsageError: if it is an unknown word.
        """
        _check("tail", self.tail, TAILS)
        return TAILS[self.tail]

    def rounding_row(self) -> Rounding:
        """Return how weights are rounded.

        Raises:
            UsageError: if it is an unknown word.
        """
        _check("rounding", self.rounding, ROUNDINGS)
        return ROUNDINGS[self.rounding]

    def to_json(self) -> dict[str, object]:
        """Return the options as plain JSON values, for a network's provenance."""
        return asdict(self)

    @staticmethod
    def from_json(data: object) -> QuantizeOptions:
        """Return the options that a network's provenance tells of, defaults for what it does not.

        A provenance may come from anybody: the words are checked when they are looked up.
        """
        told = data if isinstance(data, Mapping) else {}
        samples = told.get("samples")
        return QuantizeOptions(
            samples=samples if type(samples) is int else DEFAULTS.samples,
            observer=str(told.get("observer", DEFAULTS.observer)),
            tail=str(told.get("tail", DEFAULTS.tail)),
            rounding=str(told.get("rounding", DEFAULTS.rounding)),
        )


DEFAULTS = QuantizeOptions()


def _check(option: str, word: str, words: Collection[str]) -> None:
    if word not in tuple(words):  # a word of the wrong type may have no hash
        raise UsageError(
            f"{option}={word!r} is not one of {', '.join(words)}",
            hint=f"use {option}={DEFAULTS.to_json()[option]!r}",
        )
