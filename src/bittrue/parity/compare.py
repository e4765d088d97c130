"""Compare two stages, of one file or of two, on the same input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bittrue.arrays import portions
from bittrue.contract.tensor import TensorContract
from bittrue.engines.runner import Runner
from bittrue.errors import DataError
from bittrue.inputs import adapt
from bittrue.parity.bounds import Bound, default_bound
from bittrue.parity.metrics import Difference, difference
from bittrue.parity.tensors import Tapped, tensors_by_origin
from bittrue.stages import Subject, open_runner


@dataclass(frozen=True, slots=True)
class TensorComparison:
    """One pair of tensors: its figures, or why there are none."""

    name: str
    difference: Difference | None
    within: bool
    problem: str = ""

    @property
    def sqnr_db(self) -> float:
        """Signal to noise ratio in dB; -infinite where there are no figures."""
        return -math.inf if self.difference is None else self.difference.sqnr_db


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing two stages on one input showed.

    Args:
        reference: "FILE@STAGE" of the reference.
        other: "FILE@STAGE" of what was compared with it.
        bound: What counts as the same.
        outputs: One row an output of either; a missing output is a row that is not within.
        first: The first inner tensor over the bound, in running order; None if there is none. It
            says where to look; the verdict is about it only where the bound is exact.
        inner_compared: How many inner tensors were compared.
        inner_unmatched: How many inner tensors of the reference the other does not hold.
    """

    reference: str
    other: str
    bound: Bound
    outputs: tuple[TensorComparison, ...]
    first: TensorComparison | None
    inner_compared: int
    inner_unmatched: int

    @property
    def same(self) -> bool:
        """Whether there are outputs and each is within the bound.

        Under an exact bound every inner tensor that was looked at counts too.
        """
        within = bool(self.outputs) and all(row.within for row in self.outputs)
        return within and not (self.bound.exact and self.first)

    @property
    def worst(self) -> TensorComparison:
        """The output with the least SQNR, or the first without figures."""
        return min(self.outputs, key=lambda row: row.sqnr_db)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: a subject at a stage, what runs it, and its inputs."""

    subject: Subject
    stage: str
    runner: Runner
    feeds: Mapping[str, np.ndarray]

    @property
    def label(self) -> str:
        """The side as the user would write it."""
        return f"{self.subject.path}@{self.stage}"


def make_side(
    subject: Subject,
    stage: str,
    given: Mapping[str, np.ndarray],
    *,
    runner: Runner | None = None,
    preprocess_from: Subject | None = None,
) -> Side:
    """Return a side ready to run, its inputs brought into the stage's own domain.

    Raises:
        DataError: if the input does not fit the stage.
        UsageError: if the subject has not reached the stage.
    """
    stage = stage or subject.stages[-1]
    runner = runner or open_runner(subject, stage)
    preprocess = subject.preprocess or (preprocess_from.preprocess if preprocess_from else {})
    return Side(subject, stage, runner, adapt(given, runner.contract, preprocess))


def compare(a: Side, b: Side, *, bound: Bound | None = None, inner: bool = True) -> Comparison:
    """Return how far `b` is from `a`, output by output, and the first inner tensor that differs.

    Args:
        a: The reference.
        b: What is compared with it.
        bound: What counts as the same; by default that of the two stages.
        inner: Whether to look at inner tensors too. They are matched by the source tensor that
            both say they equal.

    A tensor that holds NaN on one side only is over every bound.
    """
    limit = bound or default_bound(a.stage, b.stage)
    outputs = tuple(_compare_outputs(a, b, limit))
    left = tensors_by_origin(a.subject, a.stage) if inner else {}
    right = tensors_by_origin(b.subject, b.stage) if inner else {}
    # In the order in which b makes them, each of b's tensors once.
    shared = {right[key]: Pair(key, left[key], right[key]) for key in right if key in left}
    pairs = tuple(shared.values())
    unmatched = len(set(left.values()) - {pair.mine for pair in pairs})
    first, looked_at = _first_over(a, b, limit, pairs)
    return Comparison(a.label, b.label, limit, outputs, first, looked_at, unmatched)


def _compare_outputs(a: Side, b: Side, limit: Bound) -> Iterator[TensorComparison]:
    mine, theirs = a.runner.run(a.feeds).outputs, b.runner.run(b.feeds).outputs
    codes = _stored_codes(a, b)
    for name in dict.fromkeys([*mine, *theirs]):
        if name not in mine or name not in theirs:
            lacking = b.label if name in mine else a.label
            yield TensorComparison(name, None, False, f"missing in {lacking}")
            continue
        yield compare_arrays(name, mine[name], theirs[name], limit, codes.get(name))


def compare_arrays(
    name: str,
    mine: np.ndarray,
    theirs: np.ndarray,
    limit: Bound,
    codes: tuple[np.ndarray, np.ndarray] | None = None,
) -> TensorComparison:
    """Return the row of one tensor of both sides.

    Args:
        name: The tensor's.
        mine: The reference's real values.
        theirs: The other's.
        limit: What counts as the same.
        codes: The stored codes behind the two, where both have the same scale and zero point.
    """
    if not limit.exact and mine.size and not np.isfinite(mine).any():
        return TensorComparison(name, None, False, "the reference has no finite value")
    try:
        found = difference(mine, theirs, codes)
    except DataError as why:
        return TensorComparison(name, None, False, why.message)
    if limit.exact and found.equal and mine.tobytes() != theirs.tobytes():
        return TensorComparison(name, found, False, "equal values in other bits: -0 and 0, or NaN")
    return TensorComparison(name, found, limit.holds(found))


def _stored_codes(a: Side, b: Side) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return both sides' output codes, for outputs that both store alike."""
    rows = {row.name: row for row in a.runner.contract.outputs}
    alike = [row.name for row in b.runner.contract.outputs if _same_codes(rows.get(row.name), row)]
    if not alike:
        return {}
    mine, theirs = (side.runner.run(side.feeds, codes=True).outputs for side in (a, b))
    return {name: (mine[name], theirs[name]) for name in alike}


def _same_codes(one: TensorContract | None, two: TensorContract) -> bool:
    return (
        one is not None
        and two.scale is not None
        and (one.dtype, one.scale, one.zero_point) == (two.dtype, two.scale, two.zero_point)
    )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tensors that equal one tensor of the source, of the reference and of the other."""

    origin: str
    mine: Tapped
    theirs: Tapped


def _first_over(
    a: Side, b: Side, limit: Bound, pairs: Sequence[Pair]
) -> tuple[TensorComparison | None, int]:
    """Return the first pair over the bound, and how many pairs were looked at."""
    looked_at = 0
    for part in portions(pairs, lambda pair: 4 * pair.mine.elements):
        mine = a.runner.run(a.feeds, [pair.mine.name for pair in part]).taps
        theirs = b.runner.run(b.feeds, [pair.theirs.name for pair in part]).taps
        for pair in part:
            looked_at += 1
            one, two = mine[pair.mine.name], theirs[pair.theirs.name]
            if _plainly_within(one, two, limit):
                continue
            row = compare_arrays(pair.origin, one, two, limit)
            if not row.within:
                return row, looked_at
    return None, looked_at


#: How much of a bound is left to the rounding of a quick look.
_MARGIN = 0.99


def _plainly_within(mine: np.ndarray, theirs: np.ndarray, limit: Bound) -> bool:
    """Return whether a quick look shows that a pair is within; if not, look closely.

    Most inner tensors are far within, and all figures of millions of elements take long.
    """
    if mine.shape != theirs.shape or mine.dtype != np.float32 or theirs.dtype != np.float32:
        return False
    if limit.exact:
        return mine.size > 0 and mine.tobytes() == theirs.tobytes() and np.isfinite(mine).any()
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.subtract(mine, theirs, dtype=np.float32).reshape(-1)
        flat = mine.reshape(-1)
        peak = float(np.abs(flat).max(initial=0.0))
        # NaN and infinity make a comparison false, or the peak infinite: no quick answer.
        if not (0 < peak < math.inf):
            return False
        if limit.relative is not None and not (
            float(np.abs(gap).max()) <= _MARGIN * limit.relative * peak
        ):
            return False
        if limit.sqnr_db is None:
            return limit.relative is not None
        noise, signal = _energy(gap), _energy(flat)
        return noise <= _MARGIN * signal * 10 ** (-limit.sqnr_db / 10)


def _energy(flat: np.ndarray) -> float:
    """Return the sum of squares, summed in float64; not by a library that wakes its threads."""
    return float(np.einsum("i,i->", flat, flat, dtype=np.float64))
