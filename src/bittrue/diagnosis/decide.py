"""From trials to explanations: what is accepted, what is tied, how sure one can be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.chance import gain_by_chance, holds_in_frames
from bittrue.diagnosis.experiment import LOUD, NOTHING, Experiment, Tried
from bittrue.diagnosis.facts import Effect, Explanation, Trial
from bittrue.diagnosis.hypotheses import ORDER
from bittrue.diagnosis.scene import Frame
from bittrue.diagnosis.search import Searched

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Criterion:
    """When a trial explains what a device gave; docs/diagnosis.md derives the figures.

    Args:
        gain: How much less a trial leaves, where it differs from no mistake: at least this; and at
            least the root of what it leaves, in units of noise: what explains little has to gain
            more.
        frame_gain: The same in each single frame, but for chance; a picture may hide what others
            show.
        effect: What a mistake changes, mean square in units of noise, where it changes anything:
            what is smaller than the noise cannot be told from it.
        few: A further mistake is only added where so many elements say so.
        far: What a trial leaves is at most so many times what may be left at its place.
        loudest: More than this is not believed of any place.
        decisive: A trial that leaves so many times less may be as far as our networks are apart.
        loud_gain: A trial that leaves more must leave so many times less than no mistake.
        step: Each further mistake, and each fitted figure, must gain this much over fewer.
        tie: Trials within this factor of the best one fit equally well.
        loud: Where 8 bits are noisy, trials that may be true are tied within this factor.
        near: So may trials within this factor ...
        alike: ... whose predictions are no farther apart than this part of what the best leaves.
        most: No more than so many are said to be tied.
    """

    gain: float = 1.7
    frame_gain: float = 1.0
    effect: float = 1.0
    few: float = 300.0
    far: float = 20.0
    loudest: float = 10.0
    loud_gain: float = 6.0
    decisive: float = 1000.0
    step: float = 1.6
    tie: float = 1.12
    near: float = 2.0
    loud: float = 6.0
    alike: float = 0.3
    most: int = 3


CRITERION = Criterion()
#: What a fitted figure at an output assumes, in mistakes.
FITS: Mapping[str, float] = {"": 0.0, "boxes": 1.5, "affine": 2.0}


def accepted(
    searched: Searched,
    experiment: Experiment,
    criterion: Criterion = CRITERION,
    *,
    sure: bool = False,
) -> list[Tried]:
    """Return the trials that explain the difference, best first, ties included.

    The simplest comes first unless another explains decisively more. Two are tied where they leave
    as much, or where their predictions are nearer to each other than what either leaves.

    Args:
        searched: What was tried.
        experiment: That tried it.
        criterion: When a trial explains what the device gave.
        sure: Whether the array that was sent shows the input mistake by itself.
    """
    base = searched.baseline
    count = len(searched.tried)
    fitting = [row for row in searched.tried if _explains(row, base, experiment, criterion, count)]
    fitting = [row for row in fitting if not needless(row, fitting, searched, sure=sure)]
    if not fitting:
        return []

    def price(row: Tried) -> float:
        """What one more mistake gains must be more than it gains by chance."""
        by_chance = gain_by_chance(count, experiment.numbers(row))
        step = max(criterion.step, min(by_chance, criterion.far))
        return float(row.score * step ** complexity(row))

    best = min(fitting, key=price)
    best = _completed(best, fitting, experiment, criterion)
    tied = [row for row in fitting if row is best or _ties(row, best, experiment, criterion)]
    tied.sort(key=lambda row: (row is not best, _prior(row), row.score))
    distinct: dict[frozenset[str], Tried] = {}
    for row in tied:
        distinct.setdefault(row.causes, row)
    return list(distinct.values())[: criterion.most]


def needless(
    row: Tried, fitting: Sequence[Tried], searched: Searched, *, sure: bool = False
) -> bool:
    """Whether a scale of outputs is fitted to what an input mistake explains as well as it can.

    Out of the domain that a network was calibrated for, our own two networks are apart: a fit only
    brings one of them nearer to the device. So it is where the input mistake alone leaves no more
    than twice what they are apart, or is accepted alone where they are far apart, or is `sure`.
    """
    if row.input is None or not any(
        left.reading.fit for rows in row.lefts for left in rows.values()
    ):
        return False
    for other in searched.tried:
        if other.input != row.input or other.output:
            continue
        doubtful = other.unsure > 1 and other.residual <= 2 * other.unsure
        loud = other.unsure > LOUD and any(one is other for one in fitting)
        if doubtful or loud or (sure and gain_of(other, searched.baseline) >= NEARER):
            return True
    return False


def _completed(
    best: Tried, fitting: Sequence[Tried], experiment: Experiment, criterion: Criterion
) -> Tried:
    """Return the best with one more mistake, where that decisively explains what it changes."""
    for row in sorted(fitting, key=lambda row: row.residual):
        if row.fitted or not best.causes < row.causes or row.residual >= best.residual:
            continue
        gains = experiment.gains(row, best)
        enough = gains.elements >= criterion.few and min(gains.frames) >= criterion.frame_gain
        if enough and gains.whole >= criterion.step:
            return row
    return best


def _ties(row: Tried, best: Tried, experiment: Experiment, criterion: Criterion) -> bool:
    if complexity(row) > complexity(best) or (row.output != best.output and row.input is None):
        return False
    if row.score <= best.score * criterion.tie:
        return True
    if _likely(row) and _likely(best) and row.score <= best.score * criterion.loud:
        return True
    if row.score > best.score * criterion.near or len(row.causes) != len(best.causes):
        return False
    return experiment.apart(row, best) <= criterion.alike * best.residual


def _likely(row: Tried) -> bool:
    """Whether our own networks disagree about a mistake by as much as it leaves: it may be true."""
    return row.unsure > LOUD and row.residual <= 2 * row.unsure


def _prior(row: Tried) -> int:
    """Return the place of an input mistake in the order of what people get wrong."""
    cause = "" if row.input is None else row.input.cause
    return ORDER.index(cause) if cause in ORDER else len(ORDER)


def is_close(row: Tried) -> bool:
    """Whether a trial leaves about as much as another implementation of 8 bits does."""
    return row.residual <= CLOSE * min(row.unsure, CLOSE)


def complexity(row: Tried) -> float:
    """Return how much a trial assumes: mistakes, and whether figures were fitted.

    A unit of boxes is less of an assumption than a scale and an offset.
    """
    fits = {left.reading.fit for lefts in row.lefts for left in lefts.values()}
    fitted = max(FITS[fit] for fit in fits or {""})
    return len(row.causes) + fitted + int(row.fitted)


def _explains(
    row: Tried, base: Tried, experiment: Experiment, criterion: Criterion, count: int
) -> bool:
    """Whether a trial, one of `count`, gains enough and leaves little enough."""
    if not row.mistakes or len(row.residuals) != len(base.residuals) or not base.residual:
        return False
    if row.residual >= base.residual:
        return False
    if row.input is not None and scaled_anyway(row, base):
        return False
    gains = experiment.gains(row, base)
    size = experiment.numbers(row)
    least = max(criterion.gain, math.sqrt(row.residual))
    gained = any(
        gain >= max(least, gain_by_chance(count, elements))
        for gain, elements in ((gain_of(row, base), size), (gains.whole, gains.elements))
    )
    each = holds_in_frames(
        row.residuals, base.residuals, size / len(row.residuals), criterion.frame_gain
    )
    known = experiment.measured and row.residual >= NOTHING
    shows = (gains.effect >= criterion.effect and not row.slight) or not known
    if not gained or not each or not shows:
        return False
    near = row.residual <= criterion.far * min(row.unsure, criterion.loudest)
    near = near or not experiment.measured
    decisive = base.residual >= criterion.decisive * row.residual
    near = near or (decisive and row.residual <= criterion.far * max(row.unsure, criterion.loudest))
    return near or (_likely(row) and row.residual * criterion.loud_gain <= base.residual)


def scaled_anyway(row: Tried, base: Tried) -> bool:
    """Whether a fitted scale only mends what an input mistake broke.

    Where the outputs are nearly right as they are, a scale is no mistake: together with another one
    it is a detour to the device's own small error.
    """
    for lefts, none, predicted in zip(row.lefts, base.lefts, base.predicted, strict=True):
        for name, left in lefts.items():
            if not left.reading.fit or name not in none:
                continue
            p, d = predicted[name].reshape(-1), none[name].values.reshape(-1)
            centred, moved = p - p.mean(), d - d.mean()
            power = float(np.square(centred).sum())
            slope = float((centred * moved).sum()) / power if power else 0.0
            rest = float(np.square(moved - slope * centred).sum())
            if abs(slope - 1) < 0.25 and rest < 0.15 * float(np.square(moved).sum()):
                return True
    return False


def gain_of(row: Tried, base: Tried) -> float:
    """Return how many times less a trial leaves than no mistake does; infinite for nothing."""
    if row.residual == 0:
        return math.inf if base.residual else 1.0
    return base.residual / row.residual


#: What nothing explains is nearest to a trial that leaves so many times less than no mistake.
NEARER = 2.0


def nearest(searched: Searched) -> tuple[Explanation, ...]:
    """Return the one trial that comes nearest where none was accepted; empty where none comes near.

    It proves nothing, and is said to prove nothing: where to look first.
    """
    base = searched.baseline
    rows = [row for row in searched.tried if row.mistakes and gain_of(row, base) >= NEARER]
    if not rows:
        return ()
    best = min(rows, key=lambda row: row.score * CRITERION.step ** complexity(row))
    told = (
        f"of all that was tried this comes nearest, but not near: {best.residual:.3g} times the "
        f"ordinary noise of 8 bits is left, against {base.residual:.3g} without it"
    )
    rows_told = tuple(replace(row, decided_by="statistics") for row in best.mistakes)
    return (Explanation(rows_told, 0.3, (told,), proved=False),)


#: A residual up to this is as small as another implementation of 8 bits leaves.
CLOSE = 4.0


def confidence(row: Tried, base: Tried, ties: int) -> float:
    """Return how sure one can be: the share explained, how close it comes, over the ties.

    ``(1 - residual / residual of no mistake) * min(1, sqrt(CLOSE / residual)) / ties``
    """
    explained = 1 - min(1.0, row.residual / base.residual) if base.residual else 0.0
    close = min(1.0, math.sqrt(CLOSE / row.residual)) if row.residual > CLOSE else 1.0
    return round(explained * close / ties, 3)


def explanations(
    rows: Sequence[Tried],
    base: Tried,
    frames: Sequence[Frame],
    exact: Sequence[Mapping[str, F64]],
    mended: Sequence[Mapping[str, F64]],
) -> tuple[Explanation, ...]:
    """Return accepted trials as explanations.

    Args:
        rows: As `accepted` gave them.
        base: No mistake.
        frames: That were looked at.
        exact: What the float network gives, a mapping a frame.
        mended: What our own executable (or float network) gives for the input as it should be.
    """
    return tuple(
        Explanation(
            mistakes=row.mistakes,
            confidence=confidence(row, base, len(rows)),
            evidence=_evidence(row, base),
            effects=_effects(row, base, exact, mended),
        )
        for row in rows
    )


def _evidence(row: Tried, base: Tried) -> tuple[str, ...]:
    less_in = sum(mine < none for mine, none in zip(row.residuals, base.residuals, strict=True))
    gain = gain_of(row, base)
    less = f" ({gain:.3g} times less)" if math.isfinite(gain) else ""
    told = [
        f"making this mistake in our {row.instrument} network reproduces what the device gave: "
        f"{row.residual:.3g} times the ordinary noise of 8 bits is left, against "
        f"{base.residual:.3g} without it{less}, in {_frames(less_in, len(row.residuals))}"
    ]
    for lefts in row.lefts[:1]:
        for name, left in lefts.items():
            if left.reading.fit == "affine":
                told.append(f"output {name!r} is {left.factor:.6g} * expected + {left.offset:.6g}")
            elif left.reading.fit == "boxes":
                told.append(f"boxes of {name!r} are {left.factor:.6g} times the expected ones")
    return tuple(told)


def _frames(less: int, count: int) -> str:
    if count == 1:
        return "one frame"
    return f"each of {count} frames" if less == count else f"{less} of {count} frames"


def _effects(
    row: Tried,
    base: Tried,
    exact: Sequence[Mapping[str, F64]],
    mended: Sequence[Mapping[str, F64]],
) -> tuple[Effect, ...]:
    """Return, by output, how far from right the device is, and what is left after the mend.

    An output mistake is undone on what the device gave; an input mistake is mended by giving our
    own executable the right input.
    """
    found = []
    for name in mended[0]:
        if not any(name in lefts for lefts in (*base.lefts, *row.lefts)):
            continue  # the device did not give it
        before = [
            (truth[name], lefts[name].values)
            for truth, lefts in zip(exact, base.lefts, strict=True)
            if name in lefts
        ]
        after = [
            (truth[name], given[name] if row.input is not None else lefts[name].values)
            for truth, given, lefts in zip(exact, mended, row.lefts, strict=True)
            if name in lefts or row.input is not None
        ]
        found.append(Effect(name, *_figures(before, after)))
    return tuple(found)


def _figures(
    before: Sequence[tuple[F64, F64]], after: Sequence[tuple[F64, F64]]
) -> tuple[float, float, float, float]:
    return _sqnr(before), _sqnr(after), _worst(before), _worst(after)


def _sqnr(pairs: Sequence[tuple[F64, F64]]) -> float:
    if not pairs:
        return -math.inf
    signal = sum(float(np.square(truth).sum()) for truth, _ in pairs)
    noise = sum(float(np.square(truth - seen).sum()) for truth, seen in pairs)
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def _worst(pairs: Sequence[tuple[F64, F64]]) -> float:
    return max((float(np.abs(truth - seen).max()) for truth, seen in pairs), default=math.inf)


def trials(searched: Searched) -> tuple[Trial, ...]:
    """Return every trial as a plain fact, best first."""
    base = searched.baseline
    return tuple(
        Trial(
            label=" and ".join(mistake.what for mistake in row.mistakes),
            causes=tuple(mistake.cause for mistake in row.mistakes),
            residual=row.residual,
            gain=gain_of(row, base),
        )
        for row in searched.tried
    )


def runners_up(searched: Searched, best: Sequence[Tried], most: int = 5) -> tuple[Explanation, ...]:
    """Return the next best explanations, for the reader: never as an answer."""
    taken = {row.causes for row in best}
    base = searched.baseline
    found: list[Explanation] = []
    for row in searched.tried:
        if row.causes in taken or gain_of(row, base) < 1.5:
            continue
        taken.add(row.causes)
        told = f"{row.residual:.3g} times the ordinary noise is left, {base.residual:.3g} without"
        found.append(Explanation(row.mistakes, 0.0, (told,), best=False))
        if len(found) == most:
            break
    return tuple(found)
