"""Experiments on the network itself: quantised otherwise, other weights, an activation left out.

Where no mistake at an input or an output explains what a device gave, the network that it runs may
be another one. Each way to quantise badly is made on purpose, in a float network with knobs
(`engines.altered`), and compared with the device's outputs and with whatever inner tensors it gave.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.facts import Mistake
from bittrue.diagnosis.inner import within_limits
from bittrue.diagnosis.noise import INNER, Noise
from bittrue.diagnosis.residual import mean_square
from bittrue.engines.altered import Alteration, AlteredRunner
from bittrue.graph.model import Node

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Inputs = Mapping[str, np.ndarray]
#: What one layer's weights are rounded to, in parts of their greatest value: 8 bits, and coarser by
#: one outlying channel that shares the scale.
WEIGHT_STEPS = tuple(2.0**bits / 127 for bits in (4, 2, 0, 3, 5))
#: What is left of an inner tensor that is right, and of one that is wrong, in units of noise.
RIGHT, WRONG = 3.0, 9.0
#: So many numbers are looked at first, where there is time for the frames that hold them.
NUMBERS = 64
#: What changes every range of a network.
CALIBRATIONS = frozenset({"quant.calibration_domain", "quant.calibration_weak"})
#: How much wider ranges are for a look at how much they decide.
WIDER = 1.1
#: Parts of a layer's range that may be kept.
CUTS = (0.3, 0.6)
#: Parts of a layer's range that one step may be.
COARSE = (1 / 12, 1 / 32)


@dataclass(frozen=True, slots=True)
class GraphTrial:
    """One way in which the deployed network may be another one.

    Args:
        mistake: What it is.
        alteration: How it is made.
        residuals: What it leaves, of each frame.
        unsure: How far the prediction moves where ranges are a little wider, in units of noise:
            what a network was calibrated with is never known just so.
    """

    mistake: Mistake
    alteration: Alteration
    residuals: tuple[float, ...]
    unsure: float = 0.0

    @property
    def residual(self) -> float:
        """Mean over the frames."""
        return float(np.mean(self.residuals))


@dataclass(slots=True)
class GraphTrials:
    """Alterations of a network, held against what a device gave.

    Args:
        runner: The network with knobs.
        feeds: What it is given: one mapping a frame.
        device: Outputs and inner tensors of the device, by the graph's own names: one a frame.
        noise: Of the outputs.
        ranges: Least and greatest value of every input and stored value over the frames.
        tried: How many alterations were looked at.
        first: On so many frames each alteration is looked at, before the best are on all.
    """

    runner: AlteredRunner
    feeds: Sequence[Inputs]
    device: Sequence[dict[str, F64]]
    noise: Mapping[str, Noise]
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    tried: int = 0
    first: int = 1
    _power: dict[str, F64] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Run the network once a frame: what each value spans, and how loud inner tensors are."""
        stored = self.runner.made.stored
        for feeds, given in zip(self.feeds, self.device, strict=True):
            found = self.runner.run(feeds, taps=stored)
            for name, array in feeds.items():
                self._widen(name, array)
            for name in self.inner:
                given[name] = within_limits(given[name], found[name].astype(np.float64))
            for name in stored:
                self._widen(name, found[name])
            for name, array in found.items():
                if name in self.inner:
                    level = float(np.square(array, dtype=np.float64).mean()) / len(self.feeds)
                    self._power[name] = self._power.get(name, np.array(1e-30)) + INNER * level

    def _widen(self, name: str, array: np.ndarray) -> None:
        low, high = float(array.min()), float(array.max())
        old = self.ranges.get(name, (low, high))
        self.ranges[name] = (min(low, old[0], 0.0), max(high, old[1], 0.0))

    @property
    def inner(self) -> tuple[str, ...]:
        """Inner tensors that the device gave, in running order."""
        there = set.intersection(*(set(row) for row in self.device))
        outputs = set(self.runner.graph.outputs)
        return tuple(n for n in self.runner.made.stored if n in there and n not in outputs)

    @property
    def elements(self) -> int:
        """How many numbers are compared, over all frames."""
        names = {*self.runner.graph.outputs, *self.inner}
        return sum(row[name].size for row in self.device for name in names if name in row)

    def residual(self, index: int, alteration: Alteration | None) -> float:
        """Return what an alteration leaves of a frame, outputs and inner tensors alike."""
        return float(np.mean(list(self.lefts(index, alteration).values())))

    def looked(self, alteration: Alteration) -> float:
        """Return what an alteration leaves of the first frames."""
        return float(np.mean([self.residual(index, alteration) for index in range(self.first)]))

    def lefts(self, index: int, alteration: Alteration | None) -> dict[str, float]:
        """Return what an alteration leaves of each tensor of a frame, in units of noise."""
        found = self.runner.run(self.feeds[index], alteration, self.inner)
        given = self.device[index]
        return {
            name: mean_square(
                given[name] - array.astype(np.float64),
                self._power[name] if name in self._power else self.noise[name].power,
            )
            for name, array in found.items()
            if name in given and given[name].shape == array.shape
        }

    def mean_lefts(self) -> dict[str, float]:
        """Return what the network as it is leaves of each tensor, on average over the frames."""
        rows = [self.lefts(index, None) for index in range(len(self.feeds))]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}

    def depth(self, name: str) -> int:
        """Return how many layers with weights come before a value, or make it, in running order."""
        count = 0
        for node in self.runner.graph.nodes:
            count += node.name in self.runner.made.weights
            if name in node.outputs:
                return count
        return count

    def on_all(self, mistake: Mistake, alteration: Alteration) -> GraphTrial:
        """Return a trial on all frames."""
        frames = range(len(self.feeds))
        left = tuple(self.residual(index, alteration) for index in frames)
        whole = mistake.cause in CALIBRATIONS
        return GraphTrial(mistake, alteration, left, self._unsure(alteration) if whole else 0.0)

    def _unsure(self, alteration: Alteration) -> float:
        """Return how far the first frame's outputs move where each range is wider by WIDER."""
        other = Alteration(
            limits={n: (low * WIDER, high * WIDER) for n, (low, high) in alteration.limits.items()},
            steps={name: step * WIDER for name, step in alteration.steps.items()},
        )
        one, two = (self.runner.run(self.feeds[0], row) for row in (alteration, other))
        gaps = [
            mean_square(one[name].astype(np.float64) - two[name], self.noise[name].power)
            for name in one
            if name in self.noise
        ]
        return float(np.mean(gaps)) if gaps else 0.0


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A kind of alteration with one free figure."""

    cause: str
    what: Callable[[float], str]
    where: str
    mend: str
    make: Callable[[float], Alteration]
    starts: tuple[float, ...]


def search_graph(
    trials: GraphTrials,
    samples: Mapping[str, Sequence[Inputs]],
    *,
    deadline: float,
    seen: Callable[[str, int, int], None] = lambda label, index, count: None,
) -> list[GraphTrial]:
    """Return ways in which the deployed network may be another one, best first.

    Args:
        trials: The network and what the device gave.
        samples: By how they were prepared: what it may have been calibrated with.
        deadline: On the clock of time.monotonic().
        seen: Called with a label, an index and a count, for progress.
    """
    rows = [*_recalibrated(trials, samples), *_layers(trials)]
    # The whole network first, then what has figures; what takes rounding, twice as long, last.
    rows.sort(key=lambda row: (len(row.starts) > 1, row.starts == COARSE))
    first: list[tuple[float, float, _Candidate]] = []
    # Every layer once before any is looked at twice.
    turns = [
        (turn, row) for turn in range(most_starts(rows)) for row in rows if turn < len(row.starts)
    ]
    for index, (turn, row) in enumerate(turns):
        seen(row.where or row.cause, index, len(turns))
        if index and time.monotonic() > deadline:
            break
        start = row.starts[turn]
        began = time.monotonic()
        left = trials.looked(row.make(start))
        if not index:
            taken = max(time.monotonic() - began, 1e-6)
            trials.first = _frames(trials, (deadline - began) / (2 * taken * len(turns)))
            left = trials.looked(row.make(start))
        first.append((left, start, row))
        trials.tried += 1
    first.sort(key=lambda item: item[0])
    best: dict[tuple[str, str], tuple[float, float, _Candidate]] = {}
    for item in first:
        best.setdefault((item[2].cause, item[2].where), item)
    refined = [_refined(trials, item, deadline) for item in list(best.values())[:6]]
    found = [trials.on_all(_told(row, figure), row.make(figure)) for _, figure, row in refined]
    return sorted(found, key=lambda row: row.residual)


def _frames(trials: GraphTrials, affordable: float) -> int:
    """Return how many frames are looked at first: as many as hold NUMBERS, if there is time."""
    wanted = -(-NUMBERS * len(trials.feeds) // max(1, trials.elements))
    return max(1, int(min(wanted, len(trials.feeds), affordable)))


def most_starts(rows: Sequence[_Candidate]) -> int:
    """Return the greatest number of figures that a candidate is first tried with."""
    return max((len(row.starts) for row in rows), default=0)


def _told(row: _Candidate, figure: float) -> Mistake:
    return Mistake(row.cause, row.what(figure), row.where, (row.mend,))


def _refined(
    trials: GraphTrials, item: tuple[float, float, _Candidate], deadline: float
) -> tuple[float, float, _Candidate]:
    """Close in on the figure that leaves least, by halving the step around the best so far."""
    left, figure, row = item
    if len(row.starts) < 2:
        return item
    step = 1.5
    for _ in range(5):
        if time.monotonic() > deadline:
            break
        near = [(trials.looked(row.make(f)), f) for f in (figure / step, figure * step)]
        left, figure = min([(left, figure), *near], key=lambda pair: pair[0])
        step = float(np.sqrt(step))
    return left, figure, row


# --- the whole network ---------------------------------------------------------------------------

_CALIBRATE = "bittrue quantize model.bta --calibrate pictures/ -o model.bta  # as at run time"


def _recalibrated(
    trials: GraphTrials, samples: Mapping[str, Sequence[Inputs]]
) -> Iterator[_Candidate]:
    for told, rows in samples.items():
        ranges = _ranges(trials.runner, rows)
        weak = told.startswith("weak: ")
        cause = "quant.calibration_weak" if weak else "quant.calibration_domain"
        what = f"calibrated with {told.removeprefix('weak: ')}"
        yield _fixed(cause, what, "", _CALIBRATE, _stored_in(ranges))


def _fixed(cause: str, what: str, where: str, mend: str, made: Alteration) -> _Candidate:
    """Return a candidate without a free figure."""
    return _Candidate(cause, lambda figure: what, where, mend, lambda figure: made, (1.0,))


def _ranges(runner: AlteredRunner, rows: Sequence[Inputs]) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for feeds in rows:
        made = runner.run(feeds, taps=runner.made.stored)
        for name, array in {**feeds, **made}.items():
            low, high = found.get(name, (0.0, 0.0))
            found[name] = (min(low, float(array.min())), max(high, float(array.max())))
    return found


def _stored_in(ranges: Mapping[str, tuple[float, float]]) -> Alteration:
    """Return every value stored in 256 codes over its range."""
    wide = {name: row for name, row in ranges.items() if row[1] > row[0]}
    return Alteration(
        limits=wide, steps={name: (high - low) / 255 for name, (low, high) in wide.items()}
    )


# --- single layers -------------------------------------------------------------------------------


def _layers(trials: GraphTrials) -> Iterator[_Candidate]:
    nodes = suspects(trials)
    if nodes and nodes[0] is trials.runner.graph.nodes[0]:
        for name in trials.runner.graph.inputs:
            yield from _activations(trials, name, f"input {name!r}")
    for node in nodes:
        where = f"layer '{node.origin[0] if node.origin else node.name}'"
        if node.name in trials.runner.made.weights:
            yield _weights(trials, node, where)
        for name in node.outputs:
            if name in trials.ranges:
                yield from _activations(trials, name, where, shared=node.op == "Concat")
        if node.name in trials.runner.made.clips:
            yield _fixed(
                "graph.weights",
                "another version of the network: this activation is left out",
                where,
                "deploy the checkpoint and the code that the reference comes from",
                Alteration(unclipped=(node.name,)),
            )


def suspects(trials: GraphTrials) -> list[Node]:
    """Return the nodes that may be at fault: a right inner tensor clears what is before it.

    The last right one before the first wrong one is where they begin, the first wrong one is where
    they end.
    """
    nodes = list(trials.runner.graph.nodes)
    if not trials.inner:
        return nodes
    lefts = trials.lefts(0, None)
    place = {name: index for index, node in enumerate(nodes) for name in node.outputs}
    wrong = [place[name] for name in trials.inner if lefts.get(name, 0.0) > WRONG]
    end = min(wrong, default=len(nodes) - 1)
    right = [
        place[name]
        for name in trials.inner
        if lefts.get(name, WRONG) <= RIGHT and place[name] < end
    ]
    # What a right tensor is stored as is read by the next one: its own storing is suspect too.
    return nodes[max(right, default=0) : end + 1]


def _weights(trials: GraphTrials, node: Node, where: str) -> _Candidate:
    array = trials.runner.graph.constants[node.inputs[1]].astype(np.float64)
    peak = float(np.abs(array).max()) or 1.0

    def rounded(figure: float) -> Alteration:
        step = figure * peak
        return Alteration(weights={node.name: (np.rint(array / step) * step).astype(np.float32)})

    return _Candidate(
        "quant.weights",
        lambda figure: f"weights in steps of {figure * peak:.4g}, their greatest is {peak:.4g}",
        where,
        "quantise weights with one scale a channel, or equalise the outlying channel first",
        rounded,
        WEIGHT_STEPS,
    )


def _activations(
    trials: GraphTrials, name: str, where: str, *, shared: bool = False
) -> Iterator[_Candidate]:
    low, high = trials.ranges.get(name, (0.0, 0.0))
    if high <= low:
        return

    def cut(figure: float) -> Alteration:
        return Alteration(limits={name: (low * figure, high * figure)})

    def coarse(figure: float) -> Alteration:
        return Alteration(steps={name: figure * (high - low)})

    yield _Candidate(
        "quant.clipping",
        lambda figure: (
            f"cut off at {low * figure:.4g}..{high * figure:.4g}, it spans {low:.4g}..{high:.4g}"
        ),
        where,
        "calibrate this layer with its whole range (no percentile), or with more pictures",
        cut,
        CUTS,
    )
    yield _Candidate(
        "quant.shared_scale" if shared else "quant.activations",
        lambda figure: f"in steps of {figure * (high - low):.4g}, it spans {low:.4g}..{high:.4g}",
        where,
        "end the network before the concatenation, so that each part has a scale of its own"
        if shared
        else "give this layer 16 bits, or a range that fits it",
        coarse,
        COARSE,
    )
