"""One experiment: an input mistake made on purpose, every output mistake undone.

What a trial leaves unexplained is its residual, in units of ordinary noise (`noise`). A trial is
accepted when it leaves far less than no mistake does, in every frame; docs/diagnosis.md has the
criterion, and where its constants come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.door import F32
from bittrue.diagnosis.facts import Mistake
from bittrue.diagnosis.inner import within_limits
from bittrue.diagnosis.instruments import Predicts
from bittrue.diagnosis.noise import Noise
from bittrue.diagnosis.readings import Reading, Traits, readings, threshold_of, traits
from bittrue.diagnosis.residual import MOST, Left, carried_noise, left_over, mean_square
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.diagnosis.thin import Slices, thin

F64 = NDArray[np.float64]
#: From this on our own two networks disagree so much that 8 bits are noisy.
LOUD = 4.0
#: Residuals between these two are alike: only noise is left. Below, it is the same arithmetic.
NOTHING, HALF = 1e-3, 0.5
#: The step that so few values show may be several times the true one, but no more than so many.
FEW, MOST_STEPS = 256, 8.5
#: A fitted reading must leave so many times less than one whose figures are known.
FITTED = 2.5


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: an input mistake (or none) with an output mistake (or none).

    Args:
        input: What was done to the input; None for nothing.
        output: What was undone at the outputs, one mistake an output that has one.
        residuals: Of each frame that was looked at.
        instrument: Which of our networks came nearest.
        lefts: Of each frame, by output.
        predicted: What our network gives under the input mistake: of each frame, by output, in the
            part that is looked at.
        whole: The same, all of it.
        fitted: Whether the input mistake has figures that were fitted.
        unsure: How far our own two networks are apart under this mistake, in units of noise, at
            least 1: out of the domain it was calibrated for, 8 bits are noisier.
        slight: Whether what arrives is within half a code of what is meant: the rounding of an
            8-bit input is as large.
    """

    input: Mistake | None
    output: tuple[Mistake, ...]
    residuals: tuple[float, ...]
    instrument: str
    lefts: tuple[Mapping[str, Left], ...]
    predicted: tuple[Mapping[str, F64], ...]
    whole: tuple[Mapping[str, F64], ...]
    fitted: bool = False
    unsure: float = 1.0
    slight: bool = False

    @property
    def score(self) -> float:
        """What is left, held against what may be left at this place; the smaller the better.

        The residual, HALF where it is less (but not next to nothing): all of the noise is explained
        then. But ``(unsure + residual)^2 / (4 unsure)`` where 8 bits are noisy: that is the
        residual where it is as expected, more where it is larger, and at least a quarter of
        `unsure`: a prediction that may be anything explains nothing.
        """
        if min(self.unsure, self.residual) <= LOUD:
            return self.residual if self.residual < NOTHING else max(self.residual, HALF)
        return (self.unsure + self.residual) ** 2 / (4 * self.unsure)

    @property
    def residual(self) -> float:
        """Mean over the frames."""
        return float(np.mean(self.residuals))

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """All mistakes: the input's, then one for each cause at the outputs."""
        first = () if self.input is None else (self.input,)
        return (*first, *_by_cause(self.output))

    @property
    def causes(self) -> frozenset[str]:
        """Their ids."""
        return frozenset(row.cause for row in self.mistakes)


def _by_cause(rows: Sequence[Mistake]) -> Iterator[Mistake]:
    """Yield one mistake a cause: the first output's, and as comments how to mend the others."""
    for cause in dict.fromkeys(row.cause for row in rows):
        first, *others = (row for row in rows if row.cause == cause)
        more = (f"# {row.where}: {line}" for row in others for line in row.mend)
        yield replace(first, mend=(*first.mend, *more))


@dataclass(slots=True)
class Experiment:
    """Tries mistakes on a scene.

    Args:
        scene: What was given.
        noise: By output.
        instruments: The float network first; the integer network, where there is one.
        names: The device's name for each output.
        inner: Which of these are inner tensors: they are only read plainly.
        powers: The noise behind functions of outputs, kept.
        levels: Thresholds that outputs show, kept.
        parts: What of each output is looked at.
        traits: What each output shows, kept.
    """

    scene: Scene
    noise: Mapping[str, Noise]
    instruments: Sequence[Predicts]
    names: Mapping[str, str]
    inner: frozenset[str] = frozenset()
    powers: dict[tuple[str, str, bool], F64] = field(default_factory=dict)
    levels: dict[str, float | None] = field(default_factory=dict)
    parts: dict[str, Slices] = field(default_factory=dict)
    traits: dict[str, Traits] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Choose the part of each output that is looked at."""
        if not self.parts:
            exact = self.instruments[0].intended(self.scene.frames[0])
            self.parts = {name: thin(array.shape) for name, array in exact.items()}

    def seen(self, outputs: Mapping[str, F64]) -> dict[str, F64]:
        """Return the parts of some outputs that are looked at."""
        return {name: array[self.parts[name]] for name, array in outputs.items()}

    def power(self, name: str) -> F64:
        """Return the noise of the part of an output that is looked at."""
        whole = self.noise[name].power
        if whole.ndim != len(self.parts[name]):
            return whole
        shape = zip(self.parts[name], whole.shape, strict=True)
        return whole[tuple(part if size > 1 else slice(None) for part, size in shape)]

    def complete(self, row: Tried) -> Tried:
        """Return a trial in which all of every output was looked at."""
        whole = tuple(slice(None) for _ in range(8))
        parts = {name: whole[: len(part)] for name, part in self.parts.items()}
        every = replace(self, parts=parts, powers={})
        read = [every.readings(frame) for frame in self.scene.frames]
        lefts: list[dict[str, Left]] = [dict(rows) for rows in row.lefts]
        for name, left in row.lefts[0].items():
            (same,) = (
                rows for rows in _across(name, read) if label(rows[0]) == label(left.reading)
            )
            made = every._left(same, [outputs[name] for outputs in row.whole])
            for here, mine in zip(lefts, made or (), strict=made is not None):
                here[name] = mine
        return replace(row, lefts=tuple(lefts), predicted=row.whole)

    @property
    def measured(self) -> bool:
        """Whether the noise was measured by an integer network, not guessed."""
        return all(row.measured for name, row in self.noise.items() if name not in self.inner)

    def alone(self) -> Experiment:
        """Return the experiment with its first instrument alone: half the runs."""
        return replace(self, instruments=self.instruments[:1])

    def gains(self, row: Tried, base: Tried) -> Gains:
        """Return how much less a trial leaves than another, where the two differ.

        With a and b what the two leave of an element, in units of noise, and u = |a - b| as its
        weight: ``sum(u a^2) / sum(u b^2)``. A mistake that changes 4 channels of 85 is judged by
        these four; where a trial is wrong, it adds to the noise and its gain is below 1.
        """
        frames = [self._weighted(row, base, index) for index in range(len(base.residuals))]
        columns = zip(*frames, strict=True)
        above, below, weight, square, cube = (sum(column) for column in columns)
        return Gains(
            _ratio(above, below),
            tuple(_ratio(a, b) for a, b, *_ in frames),
            weight**2 / square if square else 0.0,
            cube / weight if weight else 0.0,
        )

    def numbers(self, row: Tried) -> float:
        """Return how many independent numbers a trial is compared with: shares add up to 1."""
        return sum(
            left.values.size * (self._shown(name).free if name in self.names else 1.0)
            for lefts in row.lefts
            for name, left in lefts.items()
        )

    def _weighted(self, row: Tried, base: Tried, index: int) -> tuple[float, ...]:
        sums = np.zeros(5)
        for name, mine in row.lefts[index].items():
            none = base.lefts[index].get(name)
            if none is None:  # no plain reading: this output alone says all
                count = float(mine.values.size)
                level = mean_square(base.predicted[index][name], self.power(name))
                sums += [level * count, mine.residual * count, count, count, level * count]
                continue
            if mine.reading.forward is not None or none.reading.forward is not None:
                count = float(mine.values.size)
                gap = abs(none.residual - mine.residual)
                sums += [
                    gap * count * none.residual,
                    gap * count * mine.residual,
                    count,
                    count,
                    gap * count,
                ]
                continue
            scale = np.sqrt(self.power(name))
            a = (none.values - base.predicted[index][name]) / scale
            b = (mine.values - row.predicted[index][name]) / scale
            u = np.minimum(np.abs(a - b), MOST)
            free = self._shown(name).free if name in self.names else 1.0
            sums += [
                free * float((u * np.minimum(np.square(a), MOST)).sum()),
                free * float((u * np.minimum(np.square(b), MOST)).sum()),
                free * float(u.sum()),
                free * float(np.square(u).sum()),
                free * float((u**3).sum()),
            ]
        return tuple(float(part) for part in sums)

    def apart(self, one: Tried, other: Tried) -> float:
        """Return how far apart two trials' predictions are, in units of noise."""
        return self._between(one.predicted, other.predicted)

    def readings(self, frame: Frame) -> dict[str, tuple[Reading, ...]]:
        """Return the readings of every output of a frame that the device gave."""
        exact = self.instruments[0].intended(frame)
        contracts = dict(self.scene.deployed_outputs)
        only = contracts.pop("", None)
        if only is not None and len(exact) - len(self.inner) == 1:
            contracts.update({name: only for name in exact if name not in self.inner})
        outputs = {name: row for name, row in frame.device.items() if name not in self.inner}
        found: dict[str, tuple[Reading, ...]] = {}
        for name, array in exact.items():
            if name in self.inner:
                given = np.asarray(frame.device[name], np.float64)
                if given.size == array.size:
                    plain = within_limits(given.reshape(array.shape), array)
                    found[name] = (Reading(name, None, plain[self.parts[name]]),)
                continue
            if name not in self.names:
                continue
            part = self.parts[name]
            found[name] = readings(
                name,
                array.shape,
                outputs,
                self.names[name],
                array[part],
                contracts,
                self._levels().get(name),
                part,
                self._shown(name),
            )
        return found

    def _shown(self, name: str) -> Traits:
        """Return what an output shows over all frames together."""
        if name not in self.traits:
            meant = [self.instruments[0].intended(f)[name] for f in self.scene.frames]
            given = [f.device.get(self.names[name]) for f in self.scene.frames]
            there = [np.asarray(row) for row in given if row is not None]
            beside = len(self.names) > 1
            self.traits[name] = traits(there, meant, beside=beside) if there else Traits()
        return self.traits[name]

    def _levels(self) -> Mapping[str, float | None]:
        """Return the threshold that each output shows over all frames together."""
        if not self.levels:
            for name in self.names:
                pairs = [
                    (given, exact)
                    for frame in self.scene.frames
                    if (given := frame.device.get(self.names[name])) is not None
                    and given.size == (exact := self.instruments[0].intended(frame)[name]).size
                ]
                self.levels[name] = (
                    threshold_of(
                        np.concatenate(
                            [np.asarray(one, np.float64).reshape(-1) for one, _ in pairs]
                        ),
                        np.concatenate([row.reshape(-1) for _, row in pairs]),
                    )
                    if pairs
                    else None
                )
        return self.levels

    def _carried(self, reading: Reading) -> F64:
        """Return the noise behind a reading's function, worked out once."""
        name = reading.output
        told = "" if reading.mistake is None else reading.mistake.cause + reading.mistake.what
        key = (name, told, reading.also is None)
        if key not in self.powers and reading.forward is not None:
            self.powers[key] = carried_noise(reading.forward, self.power(name), self.pairs(name))
        return self.powers[key]

    def pairs(self, name: str) -> list[tuple[F64, F64]]:
        """Return what the first and the last instrument give for what was meant, a pair a frame."""
        first, last = self.instruments[0], self.instruments[-1]
        return [
            (
                first.intended(frame)[name][self.parts[name]],
                last.intended(frame)[name][self.parts[name]],
            )
            for frame in self.scene.frames
            if name in last.intended(frame)
        ]

    def trials(
        self,
        frames: Sequence[Frame],
        mistake: Mistake | None,
        values: Callable[[Frame], F32 | None] | None,
        read: Sequence[Mapping[str, tuple[Reading, ...]]],
    ) -> list[Tried]:
        """Return the trials of one input mistake: with each output mistake, and with none."""
        found: dict[frozenset[str], Tried] = {}
        made = [None if values is None else values(frame) for frame in frames]
        if values is not None and any(row is None for row in made):
            return []
        table = [
            [
                instrument.intended(frame) if row is None else instrument(frame, row)
                for frame, row in zip(frames, made, strict=True)
            ]
            for instrument in self.instruments
        ]
        table = [
            [self._with_inner(*pair) for pair in zip(table[0], rows, strict=True)] for rows in table
        ]
        parts = [[self.seen(outputs) for outputs in rows] for rows in table]
        unsure = max(1.0, self._between(*map(self._outputs, (parts[0], parts[-1]))))
        for instrument, predictions, whole in zip(self.instruments, parts, table, strict=True):
            for row in self._with_outputs(mistake, predictions, read, instrument.name):
                key = frozenset(item.cause for item in row.output)
                if key not in found or row.residual < found[key].residual:
                    found[key] = replace(row, unsure=unsure, whole=tuple(whole))
        return list(found.values())

    def _outputs(self, rows: Sequence[Mapping[str, F64]]) -> list[Mapping[str, F64]]:
        """Return predictions without inner tensors, which are the float network's in any case."""
        return [{n: array for n, array in row.items() if n not in self.inner} for row in rows]

    def _with_inner(
        self, exact: Mapping[str, F64], outputs: Mapping[str, F64]
    ) -> Mapping[str, F64]:
        """Return outputs with the float network's inner tensors: these must fit in any case."""
        return {**{name: exact[name] for name in exact if name in self.inner}, **outputs}

    def _between(
        self, one: Sequence[Mapping[str, F64]], other: Sequence[Mapping[str, F64]]
    ) -> float:
        """Return how far apart two predictions are, in units of noise."""
        gaps = [
            mean_square(mine[name] - theirs[name], self.power(name))
            for mine, theirs in zip(one, other, strict=True)
            for name in mine
            if name in theirs
        ]
        return float(np.mean(gaps))

    def _with_outputs(
        self,
        mistake: Mistake | None,
        predictions: Sequence[Mapping[str, F64]],
        read: Sequence[Mapping[str, tuple[Reading, ...]]],
        instrument: str,
    ) -> list[Tried]:
        """Return one trial for no output mistake, and one for each cause that improves on it."""
        names = [name for name in predictions[0] if name in read[0]]
        table = {name: self._lefts(name, predictions, read) for name in names}
        causes = {
            rows[0].reading.mistake.cause
            for lefts in table.values()
            for rows in lefts
            if rows[0].reading.mistake is not None
        }
        made = [self._chosen(mistake, "", table, predictions, instrument)]
        made += [self._chosen(mistake, c, table, predictions, instrument) for c in sorted(causes)]
        return [made[0], *(row for row in made[1:] if row.output)]

    def _lefts(
        self,
        name: str,
        predictions: Sequence[Mapping[str, F64]],
        read: Sequence[Mapping[str, tuple[Reading, ...]]],
    ) -> list[tuple[Left, ...]]:
        """Return what is left of an output in each frame, for each of its readings."""
        predicted = [outputs[name] for outputs in predictions]
        made = (self._left(rows, predicted) for rows in _across(name, read))
        return [lefts for lefts in made if lefts is not None]

    def _left(self, rows: Sequence[Reading], predicted: Sequence[F64]) -> tuple[Left, ...] | None:
        return left_over(rows, predicted, self.power(rows[0].output), self._carried)

    def _chosen(
        self,
        mistake: Mistake | None,
        cause: str,
        table: Mapping[str, list[tuple[Left, ...]]],
        predictions: Sequence[Mapping[str, F64]],
        instrument: str,
    ) -> Tried:
        """Return the trial in which each output is read plainly, or after one cause is undone.

        The variant is the same in every frame: the one that leaves least over all of them.
        """
        names = list(table)
        picked = {name: _variant(cause, table[name]) for name in names}
        undone = [named(rows) for rows in picked.values() if rows is not None]
        residuals, lefts = [], []
        for index, predicted in enumerate(predictions):
            here = {name: rows[index] for name, rows in picked.items() if rows is not None}
            each = [
                # No plain reading: all of the output is unexplained.
                here[name].residual
                if name in here
                else mean_square(predicted[name], self.power(name))
                for name in names
            ]
            residuals.append(float(np.mean(each)))
            lefts.append(here)
        return Tried(
            mistake,
            tuple(row for row in undone if row is not None),
            tuple(residuals),
            instrument,
            tuple(lefts),
            tuple(predictions),
            (),
        )


@dataclass(frozen=True, slots=True)
class Gains:
    """How many times less a trial leaves than no mistake, where the two differ.

    Args:
        whole: Over all frames.
        frames: Of each frame; 1 where nothing differs.
        elements: How many elements say so, those of little weight counted as parts.
        effect: Mean square, in units of noise, of what the mistake changes in them.
    """

    whole: float
    frames: tuple[float, ...]
    elements: float
    effect: float


def _ratio(above: float, below: float) -> float:
    if below == 0:
        return math.inf if above else 1.0
    return above / below


def named(lefts: Sequence[Left]) -> Mistake | None:
    """Return the mistake of a reading; a fitted scale that is the output's own means: done twice.

    Dequantised twice, values lie on a grid of the scale's square; and the zero point, which is a
    whole number of codes, is subtracted once too often.
    """
    left, told = lefts[0], lefts[0].reading.mistake
    if told is None or left.reading.fit != "affine":
        return told
    if told.cause == "output.not_dequantized":
        factor = float(np.mean([row.factor for row in lefts]))
        offset = float(np.mean([row.offset for row in lefts]))
        line = f"d = (d.astype(np.float32) - {offset:.6g}) * np.float32({1 / factor:.9g})  # fitted"
        return replace(told, mend=(line,))
    undo = f"d = (d - {left.offset:.6g}) / {left.factor:.6g}  # as fitted to what is expected"
    told = replace(told, mend=(*told.mend, undo))
    given = np.concatenate([row.reading.values.reshape(-1) for row in lefts])
    step = grid(given)
    # Of few values, the greatest step that fits all of them may be several of the true one.
    times = 0.0 if step is None else step / left.factor**2
    whole = max(1, round(times))
    few = given.size <= FEW and abs(times / whole - 1) < 0.03
    if abs(times - 1) > 0.25 and not (few and whole < MOST_STEPS):
        return told
    what = f"dequantised twice: by {left.factor:.6g} once too often"
    return replace(told, cause="output.dequantized_twice", what=what)


def grid(values: F64) -> float | None:
    """Return the step of which all differences are whole multiples; None where there is none."""
    levels = np.unique(values)
    if not 3 <= levels.size <= 4096:
        return None
    gaps = np.diff(levels)
    gaps = gaps[gaps > 1e-6 * float(np.ptp(levels))]
    gaps.sort()
    for part in range(1, int(MOST_STEPS) + 1):
        step = _refined(float(gaps[0]) / part, gaps)
        steps = gaps / step
        if float(np.abs(steps - np.rint(steps)).max()) < 0.05:
            return step
    return None


def _refined(step: float, gaps: F64, most: int = 64) -> float:
    """Return a step made more exact by ever larger gaps: the least one alone is rounded most."""
    some = gaps[:: max(1, gaps.size // most)]
    total, count = 0.0, 0.0
    for gap in some:
        total, count = total + float(gap), count + max(1.0, float(np.rint(gap / step)))
        step = total / count
    return step


def label(reading: Reading) -> str:
    """Return what tells a reading of an output from its others."""
    told = "" if reading.mistake is None else f"{reading.mistake.cause} {reading.mistake.what}"
    return told + reading.fit


def _across(
    name: str, read: Sequence[Mapping[str, tuple[Reading, ...]]]
) -> list[tuple[Reading, ...]]:
    """Return the readings of an output that can be made in every frame, each as one a frame."""
    found: dict[str, list[Reading]] = {}
    for rows in read:
        for row in rows.get(name, ()):
            found.setdefault(label(row), []).append(row)
    return [tuple(rows) for rows in found.values() if len(rows) == len(read)]


def _variant(cause: str, lefts: Sequence[tuple[Left, ...]]) -> tuple[Left, ...] | None:
    """Return, one a frame, the lefts of the reading that leaves least; None where none applies."""
    mistakes = [(rows, rows[0].reading.mistake) for rows in lefts]
    fitting = [rows for rows, told in mistakes if told is None or told.cause == cause]
    return min(fitting, key=_price) if fitting else None


def _price(rows: Sequence[Left]) -> float:
    """Return what a reading leaves; one with fitted figures has to leave decisively less.

    A unit of boxes is likelier than a scale and an offset of them.
    """
    left = max(float(np.mean([row.residual for row in rows])), 1e-6)
    left = left if left < NOTHING else max(left, HALF)  # all of the noise is explained then
    return left * {"": 1.0, "boxes": FITTED, "affine": 1.5 * FITTED}[rows[0].reading.fit]
