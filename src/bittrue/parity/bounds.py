"""What still counts as the same, between two stages or as the user says."""

from __future__ import annotations

from dataclasses import dataclass

from bittrue.network import BY_NAME, STAGES
from bittrue.parity.metrics import Difference


@dataclass(frozen=True, slots=True)
class Bound:
    """What still counts as the same.

    Args:
        relative: Greatest absolute difference over the greatest absolute reference value.
        sqnr_db: Least signal to noise ratio.
        exact: Whether every element and code must be equal.
        why: Where the bound comes from, for the report.
    """

    relative: float | None = None
    sqnr_db: float | None = None
    exact: bool = False
    why: str = ""

    def holds(self, d: Difference) -> bool:
        """Return whether a difference is within the bound."""
        if self.exact and not d.equal:
            return False
        if self.relative is not None and not d.relative <= self.relative:
            return False
        return self.sqnr_db is None or d.sqnr_db >= self.sqnr_db

    def __str__(self) -> str:
        """The bound in words."""
        parts = ["every bit equal"] if self.exact else []
        if self.relative is not None:
            parts.append(f"largest difference at most {self.relative:g} of the largest value")
        if self.sqnr_db is not None:
            parts.append(f"SQNR at least {self.sqnr_db:g} dB")
        return " and ".join(parts)


FLOAT_BOUND = Bound(relative=1e-4, why="float passes only reorder sums")
QUANTISED_BOUND = Bound(sqnr_db=10.0, why="8 bits a value: below 10 dB something is wrong")
EMULATED_BOUND = Bound(sqnr_db=20.0, why="the same codes up to rounding that grows with depth")
EXACT_BOUND = Bound(exact=True, why="the same program: the same bits")
CAPTURE_BOUND = Bound(sqnr_db=10.0, why="other codes of 8 bits: below 10 dB something is wrong")

#: The default bound of two stages by their arithmetic, the earlier one first.
BOUNDS = {
    ("float", "float"): FLOAT_BOUND,
    ("float", "codes"): QUANTISED_BOUND,
    ("float", "program"): QUANTISED_BOUND,
    ("codes", "codes"): EXACT_BOUND,
    ("codes", "program"): EMULATED_BOUND,
    ("program", "program"): EXACT_BOUND,
}


def default_bound(first: str, second: str) -> Bound:
    """Return the bound of a pair of stages, whichever comes first."""
    early, late = sorted((BY_NAME[first], BY_NAME[second]), key=STAGES.index)
    return BOUNDS[early.arithmetic, late.arithmetic]
