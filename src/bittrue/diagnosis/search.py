"""The search: every input mistake on a first frame or few, the best of them on more, then on all.

What a trial leaves unexplained is its residual, in units of ordinary noise (`noise`). What is
accepted is decided in `decide`; docs/diagnosis.md has the criterion, and where its constants are
from.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bittrue.diagnosis.door import F32
from bittrue.diagnosis.experiment import Experiment, Tried
from bittrue.diagnosis.facts import Mistake, NotTried
from bittrue.diagnosis.fitted_input import Affine, fit_affine
from bittrue.diagnosis.hypotheses import Hypothesis
from bittrue.diagnosis.predict import values_of_intended
from bittrue.diagnosis.readings import Reading
from bittrue.diagnosis.scene import Frame, Scene

Read = Sequence[Mapping[str, tuple[Reading, ...]]]
Seen = Callable[[str, int, int], None]
#: Shares of the budget: the first look; a fitted map of the input; the rest is for all frames.
FIRST, FITTING = 0.5, 0.7
#: The first look takes as many frames as hold so many numbers, where there is time for them.
NUMBERS = 24
#: On these, an input mistake that leaves more than so many times the least is dropped ...
DROPPED = 30.0
#: ... and of the others at most so many are looked at on more frames. Where a frame holds few
#: numbers, the worse half is dropped each time that the frames are doubled, but so many are kept,
#: and all that leave no more than so many times the least.
KEPT, LEAST, NEAR = 40, 12, 4.0
#: A look at twice the frames takes at most this share of the time that is left, but so many
#: mistakes are looked at in any case.
SHARE, FEWEST = 0.3, 3
#: In codes of 8 bits over what is meant: root mean square.
SLIGHT = 0.5
#: A fitted map is looked for where the best mistake leaves more than this.
UNEXPLAINED = 3.0


@dataclass(frozen=True, slots=True)
class Searched:
    """What the experiments showed.

    Args:
        baseline: No mistake at all.
        tried: Every other trial on all frames (or on those there was time for), best first.
        not_tried: What was left out, with its reason.
        runs: How often a network was run.
    """

    baseline: Tried
    tried: tuple[Tried, ...]
    not_tried: tuple[NotTried, ...]
    runs: int


@dataclass(slots=True)
class _Search:
    """A search under way.

    Args:
        experiment: The scene and the instruments.
        read: The readings of each frame.
        seen: For progress.
        skipped: What was left out, and why, by cause.
        first: How many frames are looked at now.
        cost: Seconds of one run, as the first look shows.
    """

    experiment: Experiment
    read: Read
    seen: Seen
    skipped: dict[str, str]
    first: int = 1
    cost: float = 0.0

    @property
    def frames(self) -> Sequence[Frame]:
        """All frames of the scene."""
        return self.experiment.scene.frames

    @property
    def wanted(self) -> int:
        """How many frames hold NUMBERS."""
        intended = self.experiment.instruments[0].intended(self.frames[0])
        numbers = sum(intended[name].size for name in self.read[0] if name in intended)
        return min(len(self.frames), -(-NUMBERS // max(1, numbers)))

    def affordable(self, frames: float) -> int:
        """Return how many frames a first look takes where there is time for so many."""
        return max(1, min(self.wanted, int(frames)))

    def left(
        self,
        experiment: Experiment,
        mistake: Mistake | None,
        values: Callable[[Frame], F32 | None],
        *,
        plainly: bool = False,
    ) -> float:
        """Return what an input mistake leaves of the first frames, the best reading of outputs.

        `plainly`: with nothing wrong at the outputs.
        """
        count = self.first
        made = experiment.trials(self.frames[:count], mistake, values, self.read[:count])
        return min((row.residual for row in made[: 1 if plainly else None]), default=math.inf)


def search(
    experiment: Experiment,
    hypotheses: Sequence[Hypothesis],
    *,
    budget: float,
    fit: bool = True,
    seen: Seen = lambda label, index, count: None,
) -> Searched:
    """Try everything on the first frame, and the best of it on all.

    Args:
        experiment: The scene and the instruments.
        hypotheses: Input mistakes, in the order in which to try them.
        budget: Seconds; what there is no time for is listed.
        fit: Whether a map of the input that nobody knows may be looked for.
        seen: Called with a label, an index and a count before each trial, for progress.
    """
    started = time.monotonic()
    frames = experiment.scene.frames
    read = [experiment.readings(frame) for frame in frames]
    under_way = _Search(experiment, read, seen, {})
    baseline, *tried = experiment.trials(frames, None, None, read)
    if baseline.residual == 0:  # our own bits: there is nothing to explain
        return Searched(baseline, (), (), sum(row.runs for row in experiment.instruments))
    groups = _first_look(under_way, hypotheses, started, FIRST * budget)
    least = min(
        [float(np.mean(baseline.residuals[: under_way.first])), *(row[0] for row in groups)]
    )
    if fit and least > UNEXPLAINED:
        groups += _fitted(under_way, started + FITTING * budget)
    groups = _narrowed(under_way, groups, started + budget)
    tried += _all_frames(under_way, groups, started + budget)
    looked = {cause for row in tried for cause in row.causes}
    not_tried = tuple(
        NotTried(cause, reason)
        for cause, reason in under_way.skipped.items()
        if cause not in looked
    )
    runs = sum(instrument.runs for instrument in experiment.instruments)
    return Searched(baseline, tuple(sorted(tried, key=lambda row: row.score)), not_tried, runs)


Groups = list[tuple[float, list[Hypothesis]]]


def _first_look(
    search: _Search, hypotheses: Sequence[Hypothesis], started: float, seconds: float
) -> Groups:
    """Return input mistakes by what they leave of the first frames; equal values stand together.

    How many frames: as many as hold NUMBERS, if the first mistake says that there is time.
    """
    quick = search.experiment.alone()
    runs = quick.instruments[0].runs
    groups: dict[bytes, list[Hypothesis]] = {}
    scores: dict[bytes, float] = {}
    for index, row in enumerate(hypotheses):
        if index and time.monotonic() > started + seconds:
            cause = row.mistake.cause
            part = any(other.mistake.cause == cause for rows in groups.values() for other in rows)
            reason = "the budget was used up (--budget)"
            search.skipped.setdefault(cause, f"not all variants: {reason}" if part else reason)
            continue
        search.seen(row.mistake.what, index, len(hypotheses))
        values = row.values(search.frames[0])
        if values is None:
            search.skipped.setdefault(row.mistake.cause, "needs the picture (--picture)")
            continue
        key = hashlib.sha256(values.tobytes()).digest()
        groups.setdefault(key, []).append(row)
        if key not in scores:
            before = time.monotonic()
            scores[key] = search.left(quick, row.mistake, row.values)
            if len(scores) == 1 and search.first < search.wanted:
                taken = max(time.monotonic() - before, 1e-6)
                search.first = search.affordable(seconds / (taken * len(hypotheses)))
                scores[key] = search.left(quick, row.mistake, row.values)
    runs = max(1, quick.instruments[0].runs - runs)
    search.cost = (time.monotonic() - started) / runs
    return sorted(((scores[key], rows) for key, rows in groups.items()), key=lambda row: row[0])


def _narrowed(search: _Search, groups: Groups, deadline: float) -> Groups:
    """Return the best input mistakes: the worse half goes each time the frames are doubled.

    So do those that there is no time for. Frames of many numbers need no more than the first look.
    """
    best = sorted(groups, key=lambda row: row[0])
    limit = DROPPED * max(best[0][0], 1.0) if best else 0.0
    best = [row for row in best if row[0] <= limit][:KEPT]
    quick = search.experiment.alone()
    while best and search.wanted > 1 and search.first * 2 <= len(search.frames):
        search.first *= 2
        part = SHARE * (deadline - time.monotonic()) / (search.first * max(search.cost, 1e-6))
        count = max(int(part), FEWEST)
        for _, rows in best[count:]:
            for row in rows:
                search.skipped[row.mistake.cause] = "the budget was used up before all frames"
        best = best[:count]
        kept: Groups = []
        for index, (_, rows) in enumerate(best):
            search.seen(f"{search.first} frames: {rows[0].mistake.what}", index, len(best))
            kept.append((search.left(quick, rows[0].mistake, rows[0].values), rows))
        kept.sort(key=lambda row: row[0])
        near = sum(score <= NEAR * max(kept[0][0], 1.0) for score, _ in kept)
        best = kept[: max(LEAST, len(kept) // 2, near)]
    return best


def _all_frames(search: _Search, groups: Groups, deadline: float) -> list[Tried]:
    """Try the best input mistakes on every frame, with every instrument."""
    tried: list[Tried] = []
    for index, (_, rows) in enumerate(groups):
        if index and time.monotonic() > deadline:
            for row in rows:
                search.skipped[row.mistake.cause] = "the budget was used up before all frames"
            continue
        search.seen(f"all frames: {rows[0].mistake.what}", index, len(groups))
        for alike in _alike(rows, search.frames):
            first = alike[0]
            made = search.experiment.trials(search.frames, first.mistake, first.values, search.read)
            slight = _is_slight(first, search.experiment.scene)
            tried += [
                replace(trial, input=row.mistake, fitted=row.fitted, slight=slight)
                for row in alike
                for trial in made
            ]
    return tried


def _alike(rows: Sequence[Hypothesis], frames: Sequence[Frame]) -> list[list[Hypothesis]]:
    """Return mistakes that make equal values in all frames together: a grey picture hides much."""
    if len(rows) == 1 or len(frames) == 1:
        return [list(rows)]
    found: dict[bytes, list[Hypothesis]] = {}
    for row in rows:
        digest = hashlib.sha256()
        for frame in frames:
            values = row.values(frame)
            digest.update(b"" if values is None else values.tobytes())
        found.setdefault(digest.digest(), []).append(row)
    return list(found.values())


def _is_slight(row: Hypothesis, scene: Scene) -> bool:
    """Whether a mistake changes what arrives by less than half a code of 8 bits in any frame."""
    for frame in scene.frames:
        made = row.values(frame)
        meant = values_of_intended(frame, scene, scene.doors[0])
        if made is None or meant is None:
            return False
        code = float(np.ptp(meant)) / 255
        if float(np.sqrt(np.square(made - meant).mean())) >= SLIGHT * code:
            return False
    return True


# --- a map that nobody knows ---------------------------------------------------------------------


def _fitted(search: _Search, deadline: float) -> Groups:
    """Return the affine map of the input under which the first frames are explained best."""
    scene, quick, frame = search.experiment.scene, search.experiment.alone(), search.frames[0]
    if not scene.doors:
        return []
    door = next((row for row in scene.doors if row.limits is not None), scene.doors[0])
    meant = values_of_intended(frame, scene, door)
    if meant is None:
        return []
    search.seen("an affine map of the input", 0, 1)

    def through(found: Affine) -> Callable[[Frame], F32 | None]:
        def values(other: Frame) -> F32 | None:
            mine = values_of_intended(other, scene, door)
            return None if mine is None else door.cut(found(mine))

        return values

    spread = float(meant.max() - meant.min()) / 2

    def left(row: Affine) -> float:
        return search.left(quick, None, through(row), plainly=True)

    found = fit_affine(spread, left, deadline)
    if found is None or found.is_identity:
        return []
    score = left(found)
    rows = _named(found, scene.target)
    return [(score, [Hypothesis(row, through(found), fitted=True) for row in rows])]


def _named(found: Affine, target: str) -> list[Mistake]:
    """A host that quantises wrongly and one that normalises wrongly make the same values."""
    told = f"{found.gain:.4g} times what is meant, and {found.offset * found.spread:+.4g}"
    where = f"input {target!r}"
    return [
        Mistake(
            "input.wrong_qparams",
            f"quantised with another scale and zero point: what arrives is {told}",
            where,
            ("x = np.clip(np.rint(values / scale) + zero_point, lo, hi)  # the input's own",),
        ),
        Mistake(
            "input.wrong_mean_std",
            f"normalised with other constants: what arrives is {told}",
            where,
            ("x = (pixels * scale - mean) / std  # the network's own",),
        ),
    ]


def pair_names(
    expected: Mapping[str, tuple[int, ...]], device: Iterable[tuple[str, int]]
) -> dict[str, str]:
    """Return the device's name for each output: the same name, else by size, else by position.

    Args:
        expected: Shapes of the network's outputs, by name, in order.
        device: Names and numbers of elements of what the device gave, in order.
    """
    sizes = dict(device)
    found = {name: name for name in expected if name in sizes}
    free = [name for name in sizes if name not in found.values()]
    for name, shape in expected.items():
        if name in found or not free:
            continue
        wanted = int(np.prod(shape))
        fitting = [other for other in free if sizes[other] == wanted] or free
        found[name] = fitting[0]
        free.remove(fitting[0])
    return {name: found.get(name, "") for name in expected}
