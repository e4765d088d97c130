"""The ladder on several inputs: what holds on all of them, how sure the figures are, what flips.

Means come with intervals by the bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap,
1993, chapter 13: percentiles). It is paired: a draw takes the same samples for every stage, so that
the step from one stage to the next is not hidden by how much samples differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bittrue.arith import F64
from bittrue.errors import DataError, UsageError
from bittrue.parity.captured import Ratio
from bittrue.parity.compare import Comparison
from bittrue.parity.ladder import Ladder, Rung, Unmeasured, climb, no_capture, open_runners
from bittrue.parity.metrics import difference
from bittrue.stages import Subject

if TYPE_CHECKING:
    from bittrue.capture import Capture

#: What an output says, as anything that can be compared and shown; None where it says nothing.
Answer = Callable[[Mapping[str, np.ndarray]], Mapping[str, object]]

DRAWS = 2000
SEED = 20240
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Sample:
    """One input.

    Args:
        name: For the report: its file.
        given: As `bittrue.inputs.read_input` gives it.
        capture: What a device gave on it.
    """

    name: str
    given: Mapping[str, np.ndarray]
    capture: Capture | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over samples, and where it lies with CONFIDENCE.

    Args:
        mean: NaN where no sample has a finite figure.
        low: Lower end; the mean itself where there are less than two such samples.
        high: Upper end.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One output of one stage on one sample, against the first stage.

    Args:
        sample: Its name.
        stage: The stage.
        output: The output's name.
        sqnr_db: Infinite where equal; -infinite where it cannot be compared.
        max_abs: Greatest absolute difference; infinite where it cannot be compared.
    """

    sample: str
    stage: str
    output: str
    sqnr_db: float
    max_abs: float


@dataclass(frozen=True, slots=True)
class Mean:
    """One output of one stage over all samples, against the first stage.

    Args:
        stage: The stage.
        output: The output's name.
        sqnr_db: Mean SQNR over the samples where it is finite.
        step_db: What the stage before loses more than that: mean of the differences, over the
            samples where both are finite; negative for a loss. NaN behind the first stage.
        finite: How many samples the mean is over.
        equal: On how many there is no difference at all.
    """

    stage: str
    output: str
    sqnr_db: Interval
    step_db: Interval
    finite: int
    equal: int


@dataclass(frozen=True, slots=True)
class Flip:
    """An answer that is another one than the first stage's.

    Args:
        sample: Its name.
        output: The output's name.
        stage: The first stage that says otherwise.
        reference: The first stage's answer.
        answer: The last stage's.
        final: Whether the last stage says otherwise too.
    """

    sample: str
    output: str
    stage: str
    reference: object
    answer: object
    final: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """The ladder on several inputs.

    Args:
        model: The file.
        samples: Names of the inputs.
        ladders: One a sample. Only the first looked for inner tensors, and those where an output
            was over its bound.
        unmeasured: Edges that nobody looked at, that to the device among them.
        figures: Of every sample.
        means: Over all of them.
        flips: Answers that are others than the first stage's.
        answered: Outputs that an answer is defined for.
        unanswered: The others.
    """

    model: str
    samples: tuple[str, ...]
    ladders: tuple[Ladder, ...]
    unmeasured: tuple[Unmeasured, ...]
    figures: tuple[Figure, ...]
    means: tuple[Mean, ...]
    flips: tuple[Flip, ...]
    answered: tuple[str, ...]
    unanswered: tuple[str, ...]

    @property
    def edges(self) -> tuple[tuple[Comparison, ...], ...]:
        """For each edge, what each sample showed."""
        return tuple(zip(*(ladder.edges for ladder in self.ladders), strict=True))

    @property
    def first_broken(self) -> tuple[str, Comparison] | None:
        """The first edge over its bound on any sample, and the first sample that shows it."""
        for edge in self.edges:
            for sample, found in zip(self.samples, edge, strict=True):
                if not found.same:
                    return sample, found
        return None

    @property
    def ratios(self) -> tuple[Ratio, ...]:
        """Errors over predicted errors, the squares of all samples added up."""
        sums: dict[tuple[str, str], F64] = {}
        for row in (row for ladder in self.ladders for row in ladder.ratios):
            key = (row.stage, row.output)
            more = np.array([row.error**2, row.predicted**2, row.elements])
            sums[key] = sums[key] + more if key in sums else more
        return tuple(
            Ratio(stage, output, math.sqrt(error), math.sqrt(predicted), round(elements))
            for (stage, output), (error, predicted, elements) in sums.items()
        )


def survey(
    subject: Subject,
    samples: Sequence[Sample],
    *,
    by_hand: Mapping[str, str] | None = None,
    answer: Answer | None = None,
    inner: bool = True,
    entering: Callable[[str, str], None] = lambda sample, stage: None,
) -> Survey:
    """Return the ladder on each sample, and what they say together.

    Args:
        subject: An archive or an executable.
        samples: At least one; all of them with a capture, or none.
        by_hand: By output: the name of the captures' tensor that is it.
        answer: From a stage's outputs to what they say, by output; `top_class` by default.
        inner: Whether to look for the first inner tensor over a bound.
        entering: Called with the sample's and the stage's name before a stage runs.

    Raises:
        DataError: if there is no sample, or one does not fit.
        UsageError: if only some samples have a capture.
    """
    captured = sum(sample.capture is not None for sample in samples)
    if not samples:
        raise DataError("no sample was given", hint="give at least one input")
    if captured not in (0, len(samples)):
        raise UsageError(
            f"{captured} of {len(samples)} samples have a capture",
            hint="give what the device gave on each of them, or on none",
        )
    runners = open_runners(subject)
    ladders = []
    for index, sample in enumerate(samples):

        def climbed(inner: bool, sample: Sample = sample) -> Ladder:
            return climb(
                subject,
                sample.given,
                capture=sample.capture,
                by_hand=by_hand,
                inner=inner,
                runners=runners,
                warm=sample is samples[0],
                entering=lambda stage: entering(sample.name, stage),
            )

        ladder = climbed(inner and index == 0)
        if inner and index > 0 and ladder.first_broken is not None:
            ladder = climbed(True)
        ladders.append(ladder)
    gaps = ladders[0].unmeasured + (() if captured else (no_capture(subject),))
    names = tuple(sample.name for sample in samples)
    return _surveyed(subject.path, names, tuple(ladders), gaps, answer or top_class)


def _surveyed(
    model: str,
    names: tuple[str, ...],
    ladders: tuple[Ladder, ...],
    gaps: tuple[Unmeasured, ...],
    answer: Answer,
) -> Survey:
    figures = tuple(
        row
        for name, ladder in zip(names, ladders, strict=True)
        for row in _figures(name, ladder.rungs)
    )
    said = [[answer(rung.outputs) for rung in ladder.rungs] for ladder in ladders]
    flips = tuple(
        flip
        for name, ladder, answers in zip(names, ladders, said, strict=True)
        for flip in _flips(name, ladder.rungs, answers)
    )
    outputs = tuple(ladders[0].rungs[0].outputs)
    answered = tuple(name for name in outputs if said[0][0].get(name) is not None)
    silent = tuple(name for name in outputs if name not in answered)
    return Survey(
        model, names, ladders, gaps, figures, tuple(_means(figures)), flips, answered, silent
    )


# --- answers --------------------------------------------------------------------------------------


def top_class(outputs: Mapping[str, np.ndarray]) -> dict[str, object]:
    """Return the class with the greatest score, for outputs of shape [1, K] with K above 1.

    No other output has an answer that its shape alone defines.
    """
    return {
        name: int(array[0].argmax())
        for name, array in outputs.items()
        if array.ndim == 2 and array.shape[0] == 1 and array.shape[1] > 1
    }


def _flips(
    sample: str, rungs: Sequence[Rung], answers: Sequence[Mapping[str, object]]
) -> Iterator[Flip]:
    for output, reference in answers[0].items():
        # A capture may lack an output: that is said elsewhere, and no answer.
        told = [(rung.stage, row.get(output)) for rung, row in zip(rungs, answers, strict=True)]
        known = [(stage, item) for stage, item in told if item is not None]
        other = [stage for stage, item in known if item != reference]
        if reference is not None and other:
            last = known[-1][1]
            yield Flip(sample, output, other[0], reference, last, last != reference)


# --- figures --------------------------------------------------------------------------------------


def _figures(sample: str, rungs: Sequence[Rung]) -> Iterator[Figure]:
    first = rungs[0].outputs
    for rung in rungs[1:]:
        for name, reference in first.items():
            sqnr, worst = -math.inf, math.inf
            try:
                if name in rung.outputs:
                    found = difference(reference, rung.outputs[name])
                    sqnr, worst = found.sqnr_db, found.max_abs
            except DataError:
                pass  # the edge says why
            yield Figure(sample, rung.stage, name, sqnr, worst)


def _means(figures: Sequence[Figure]) -> Iterator[Mean]:
    """Yield the means of each output, in the order of the stages."""
    series: dict[tuple[str, str], list[float]] = {}
    for row in figures:
        series.setdefault((row.output, row.stage), []).append(row.sqnr_db)
    before: dict[str, F64] = {}
    for (output, stage), listed in series.items():
        values = np.array(listed)
        earlier = before.get(output)
        with np.errstate(invalid="ignore"):
            steps = np.full_like(values, np.nan) if earlier is None else values - earlier
        yield Mean(
            stage,
            output,
            interval(values),
            interval(steps),
            int(np.isfinite(values).sum()),
            int(np.count_nonzero(values == math.inf)),
        )
        before[output] = values


def interval(values: F64) -> Interval:
    """Return the mean of the finite figures, and its interval by the bootstrap.

    The draws depend on the number of samples alone: two calls with as many take the same ones.

    Args:
        values: float64 [n], one a sample.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return Interval(math.nan, math.nan, math.nan)
    mean = float(values[finite].mean())
    if finite.sum() < 2:
        return Interval(mean, mean, mean)
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(0, values.size, (DRAWS, values.size))
    counted = finite[drawn]  # [DRAWS, n]
    sums = np.where(counted, np.where(finite, values, 0.0)[drawn], 0.0).sum(axis=1)
    counts = counted.sum(axis=1)
    means = sums[counts > 0] / counts[counts > 0]
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(mean, float(low), float(high))
