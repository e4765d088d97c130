"""The experiments: each input mistake made on purpose, each output mistake undone, both together.

What a trial leaves unexplained is its residual, in units of ordinary noise (`noise`). A trial is
accepted when it leaves far less than no mistake does, in every frame; docs/diagnosis.md has the
criterion, and where its constants come from.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.door import F32
from bittrue.diagnosis.facts import Mistake, NotTried
from bittrue.diagnosis.hypotheses import Hypothesis
from bittrue.diagnosis.instruments import Predicts
from bittrue.diagnosis.noise import Noise
from bittrue.diagnosis.readings import Reading, readings
from bittrue.diagnosis.residual import Left, left_over, mean_square
from bittrue.diagnosis.scene import Frame, Scene

F64 = NDArray[np.float64]
#: Of all input mistakes, so many of the best on the first frame are tried on the others.
KEPT = 12
#: Share of the budget for the first frame.
FIRST = 0.6


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: an input mistake (or none) with an output mistake (or none).

    Args:
        input: What was done to the input; None for nothing.
        output: What was undone at the outputs, one mistake an output that has one.
        residuals: Of each frame that was looked at.
        instrument: Which of our networks came nearest.
        lefts: Of each frame, by output.
    """

    input: Mistake | None
    output: tuple[Mistake, ...]
    residuals: tuple[float, ...]
    instrument: str
    lefts: tuple[Mapping[str, Left], ...]

    @property
    def residual(self) -> float:
        """Mean over the frames."""
        return float(np.mean(self.residuals))

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """All mistakes: the input's, then one for each cause at the outputs."""
        first = () if self.input is None else (self.input,)
        distinct = {row.cause: row for row in reversed(self.output)}
        return (*first, *distinct.values())

    @property
    def causes(self) -> frozenset[str]:
        """Their ids."""
        return frozenset(row.cause for row in self.mistakes)


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
class Experiment:
    """Tries mistakes on a scene.

    Args:
        scene: What was given.
        noise: By output.
        instruments: The float network first; the integer network, where there is one.
        names: The device's name for each output.
    """

    scene: Scene
    noise: Mapping[str, Noise]
    instruments: Sequence[Predicts]
    names: Mapping[str, str]

    def readings(self, frame: Frame) -> dict[str, tuple[Reading, ...]]:
        """Return the readings of every output of a frame."""
        exact = self.instruments[0].intended(frame)
        contracts = self.scene.deployed_outputs
        return {
            name: readings(name, array.shape, frame.device, self.names[name], array, contracts)
            for name, array in exact.items()
        }

    def trials(
        self,
        frames: Sequence[Frame],
        mistake: Mistake | None,
        values: Callable[[Frame], F32 | None] | None,
        read: Sequence[Mapping[str, tuple[Reading, ...]]],
    ) -> list[Tried]:
        """Return the trials of one input mistake: with each output mistake, and with none."""
        found: dict[frozenset[str], Tried] = {}
        for instrument in self.instruments:
            predictions = []
            for frame in frames:
                if values is None:
                    predictions.append(instrument.intended(frame))
                    continue
                made = values(frame)
                if made is None:
                    return []
                predictions.append(instrument(frame, made))
            for row in self._with_outputs(frames, mistake, predictions, read, instrument.name):
                key = frozenset(item.cause for item in row.output)
                if key not in found or row.residual < found[key].residual:
                    found[key] = row
        return list(found.values())

    def _with_outputs(
        self,
        frames: Sequence[Frame],
        mistake: Mistake | None,
        predictions: Sequence[Mapping[str, F64]],
        read: Sequence[Mapping[str, tuple[Reading, ...]]],
        instrument: str,
    ) -> list[Tried]:
        """Return one trial for no output mistake, and one for each cause that improves on it."""
        table = [
            self._lefts(predicted, rows) for predicted, rows in zip(predictions, read, strict=True)
        ]
        causes = {
            left.reading.mistake.cause
            for rows in table
            for lefts in rows.values()
            for left in lefts
            if left.reading.mistake is not None
        }
        made = [self._chosen(mistake, "", table, predictions, instrument)]
        made += [self._chosen(mistake, c, table, predictions, instrument) for c in sorted(causes)]
        return [made[0], *(row for row in made[1:] if row.output)]

    def _lefts(
        self, predicted: Mapping[str, F64], rows: Mapping[str, tuple[Reading, ...]]
    ) -> dict[str, list[Left]]:
        return {
            name: [
                left
                for reading in rows[name]
                if (left := left_over(reading, array, self.noise[name], None)) is not None
            ]
            for name, array in predicted.items()
        }

    def _chosen(
        self,
        mistake: Mistake | None,
        cause: str,
        table: Sequence[Mapping[str, list[Left]]],
        predictions: Sequence[Mapping[str, F64]],
        instrument: str,
    ) -> Tried:
        """Return the trial in which each output is read plainly, or after one cause is undone.

        The variant is the same in every frame: the one that leaves least over all of them.
        """
        names = list(predictions[0])
        picked = {name: _variant(cause, [rows[name] for rows in table]) for name in names}
        outputs = tuple(
            mistake
            for name in names
            if (best := picked[name]) is not None
            and (mistake := best[0].reading.mistake) is not None
        )
        residuals = []
        for index, predicted in enumerate(predictions):
            each = []
            for name in names:
                best = picked[name]
                if best is not None:
                    each.append(best[index].residual)
                else:  # no plain reading: all of the output is unexplained
                    each.append(mean_square(predicted[name], self.noise[name].power))
            residuals.append(float(np.mean(each)))
        lefts = tuple(
            {name: best[index] for name in names if (best := picked[name]) is not None}
            for index in range(len(predictions))
        )
        return Tried(mistake, outputs, tuple(residuals), instrument, lefts)


def _variant(cause: str, frames: Sequence[list[Left]]) -> list[Left] | None:
    """Return, one a frame, the lefts of the reading that leaves least; None where none applies."""
    found: dict[str, list[Left]] = {}
    for lefts in frames:
        for left in lefts:
            told = left.reading.mistake
            if told is None or told.cause == cause:
                label = "" if told is None else f"{told.cause} {told.what}"
                label += left.reading.fit
                found.setdefault(label, []).append(left)
    complete = [rows for rows in found.values() if len(rows) == len(frames)]
    if not complete:
        return None
    return min(complete, key=lambda rows: float(np.mean([row.residual for row in rows])))


# --- the search ----------------------------------------------------------------------------------


def search(
    experiment: Experiment,
    hypotheses: Sequence[Hypothesis],
    *,
    budget: float,
    seen: Callable[[str, int, int], None] = lambda label, index, count: None,
) -> Searched:
    """Try everything on the first frame, and the best of it on all.

    Args:
        experiment: The scene and the instruments.
        hypotheses: Input mistakes, in the order in which to try them.
        budget: Seconds; what there is no time for is listed.
        seen: Called with a label, an index and a count before each trial, for progress.
    """
    started = time.monotonic()
    frames = experiment.scene.frames
    read = [experiment.readings(frame) for frame in frames]
    baseline, *outputs = experiment.trials(frames, None, None, read)
    first, skipped = _first_frame(experiment, hypotheses, read, started + FIRST * budget, seen)
    best = sorted(first, key=lambda row: row[0])[:KEPT]
    tried = list(outputs)
    for index, (_, rows) in enumerate(best):
        if index and time.monotonic() > started + budget:
            for row in rows:
                skipped[row.mistake.cause] = "the budget was used up before all frames were tried"
            continue
        seen(f"all frames: {rows[0].mistake.what}", index, len(best))
        made = experiment.trials(frames, rows[0].mistake, rows[0].values, read)
        tried += [replace(trial, input=row.mistake) for row in rows for trial in made]
    looked = {row.mistake.cause for _, rows in best for row in rows}
    not_tried = tuple(
        NotTried(cause, reason) for cause, reason in skipped.items() if cause not in looked
    )
    runs = sum(instrument.runs for instrument in experiment.instruments)
    ordered = tuple(sorted(tried, key=lambda row: row.residual))
    return Searched(baseline, ordered, not_tried, runs)


def _first_frame(
    experiment: Experiment,
    hypotheses: Sequence[Hypothesis],
    read: Sequence[Mapping[str, tuple[Reading, ...]]],
    deadline: float,
    seen: Callable[[str, int, int], None],
) -> tuple[list[tuple[float, list[Hypothesis]]], dict[str, str]]:
    """Return input mistakes by what they leave of the first frame; equal values stand together."""
    frame = experiment.scene.frames[0]
    quick = replace_instruments(experiment)
    groups: dict[bytes, list[Hypothesis]] = {}
    order: list[bytes] = []
    skipped: dict[str, str] = {}
    scores: dict[bytes, float] = {}
    for index, row in enumerate(hypotheses):
        if index and time.monotonic() > deadline:
            skipped.setdefault(row.mistake.cause, "the budget was used up (--budget)")
            continue
        seen(row.mistake.what, index, len(hypotheses))
        values = row.values(frame)
        if values is None:
            skipped.setdefault(row.mistake.cause, "needs the picture (--picture)")
            continue
        key = hashlib.sha256(values.tobytes()).digest()
        groups.setdefault(key, []).append(row)
        if key in scores:
            continue
        order.append(key)
        made = quick.trials([frame], row.mistake, _always(values), read[:1])
        scores[key] = min(trial.residual for trial in made)
    return [(scores[key], groups[key]) for key in order], skipped


def _always(values: F32) -> Callable[[Frame], F32 | None]:
    return lambda frame: values


def replace_instruments(experiment: Experiment) -> Experiment:
    """Return the experiment with its first instrument alone: half the runs."""
    return Experiment(
        experiment.scene, experiment.noise, experiment.instruments[:1], experiment.names
    )


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
