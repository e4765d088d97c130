"""What a device gave, as the last rung of the ladder, and its error against what was predicted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bittrue.contract.tensor import TensorContract
from bittrue.parity.bounds import CAPTURE_BOUND
from bittrue.parity.compare import Comparison, TensorComparison, compare_arrays

if TYPE_CHECKING:
    from bittrue.capture import Capture

CAPTURE = "capture"
#: The stage whose error emulation predicts, and the stage it is counted from.
PREDICTED, COUNTED_FROM = "quantized", "fp_optimized"
#: An error up to this many times the predicted one is only quantisation: another arithmetic
#: rounds another way, and the sum of two independent errors alike is 1.41 times one of them.
ONLY_QUANTISATION = 1.5
#: An error beyond this many times the predicted one is over the budget of a capture.
RATIO_MAX = 3.0
#: ... but codes may always cost this part of an output, 33 dB, whatever they cost on one input.
LEAST = 10 ** (-33 / 20)


@dataclass(frozen=True, slots=True)
class Ratio:
    """An output's error over the quantisation error that emulation predicts.

    Args:
        stage: Whose error: "bit_true", "compiled" or "capture".
        output: The output's name.
        error: Of the stage: ``|stage - fp_optimized|``, the root of the sum of squares.
        predicted: ``|quantized - fp_optimized|``.
        elements: How many the sums are over.
    """

    stage: str
    output: str
    error: float
    predicted: float
    elements: int

    @property
    def ratio(self) -> float:
        """`error` over `predicted`; 1 where both are 0, infinite where only `predicted` is."""
        if self.predicted == 0:
            return 1.0 if self.error == 0 else math.inf
        return self.error / self.predicted

    @property
    def says(self) -> str:
        """What the ratio means, in words."""
        if self.ratio <= ONLY_QUANTISATION * _leeway(self.elements):
            return "only quantisation"
        if self.ratio <= RATIO_MAX * _leeway(self.elements):
            return "more than quantisation predicts"
        return "not explained by quantisation"


def _leeway(elements: int) -> float:
    """Return how much more a ratio over few elements may be.

    The root of the ratio of two sums of n squares, which are alike on average, exceeds 3 in one of
    a thousand cases for n = 10, 5.5 for 5, 7.3 for 4 (the quantiles of Fisher's F with n and n
    degrees of freedom); below that a ratio says nothing.
    """
    return 1 + 4 / elements if elements > 3 else math.inf


@dataclass(frozen=True, slots=True)
class Matched:
    """A tensor of a capture, and the output that it is.

    Args:
        reference: The output's name.
        device: The capture's name for it.
        confidence: 0 to 1.
        how: What says so, in words.
        undone: What had to be undone, in words: layout, padding, codes.
    """

    reference: str
    device: str
    confidence: float
    how: str
    undone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaptureEdge:
    """A capture beside the last stage.

    Args:
        edge: How far it is from that.
        outputs: By the outputs' own names: real values in their shapes.
        matches: Which tensor is which.
    """

    edge: Comparison
    outputs: Mapping[str, np.ndarray]
    matches: tuple[Matched, ...]


def compare_capture(
    label: str,
    stages: Mapping[str, Mapping[str, np.ndarray]],
    capture: Capture,
    by_hand: Mapping[str, str] | None = None,
    contract: Sequence[TensorContract] = (),
) -> CaptureEdge:
    """Return what a device gave against the last stage.

    An output that the capture does not hold is not within the bound. Nor is one whose error is
    more than RATIO_MAX times what emulation predicts, however small.

    Args:
        label: "FILE@STAGE" of the last stage.
        stages: By stage, in order: its outputs by name, real values.
        capture: What the device gave.
        by_hand: By output: the name of the capture's tensor that is it.
        contract: Of the last stage's outputs: what codes stand for where the capture does not say.

    Raises:
        UsageError: if a name given by hand is unknown or twice there, or shapes cannot fit.
    """
    from bittrue.parity.align import align

    reference = list(stages.values())[-1]
    found = align(reference, capture, by_hand=by_hand, contract=contract)
    outputs = {pair.reference: pair.array for pair in found.pairs}
    every = {**stages, CAPTURE: outputs}
    ratios = [{row.output: row for row in _ratios(stage, every)} for stage in list(every)[-2:]]
    rows = tuple(_row(name, mine, outputs, ratios) for name, mine in reference.items())
    matches = tuple(
        Matched(pair.reference, pair.device, pair.confidence, pair.how, pair.undone)
        for pair in found.pairs
    )
    edge = Comparison(label, capture.path or CAPTURE, CAPTURE_BOUND, rows, None, 0, 0)
    return CaptureEdge(edge, outputs, matches)


def _row(
    name: str,
    mine: np.ndarray,
    outputs: Mapping[str, np.ndarray],
    ratios: Sequence[Mapping[str, Ratio]],
) -> TensorComparison:
    """Return the row of one output; `ratios` are the last stage's and the capture's."""
    if name not in outputs:
        return TensorComparison(name, None, False, "missing in the capture")
    row = compare_arrays(name, mine, outputs[name], CAPTURE_BOUND)
    mine_off, theirs_off = ratios[0].get(name), ratios[1].get(name)
    if not row.within or mine_off is None or theirs_off is None:
        return row
    # What our own integers are off by is quantisation too; and how little codes can cost on one
    # input is no measure of what they may.
    whole = float(np.linalg.norm(mine.astype(np.float64).reshape(-1)))
    expected = max(theirs_off.predicted, mine_off.error, LEAST * whole)
    allowed = RATIO_MAX * _leeway(theirs_off.elements)
    if theirs_off.error <= expected * allowed:
        return row
    told = f"its error is {theirs_off.ratio:.2f} times what quantisation predicts"
    return TensorComparison(name, row.difference, False, told)


def ratios_of(stages: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[Ratio]:
    """Yield the error of each output of each stage behind `quantized` over the predicted one.

    Args:
        stages: By stage, in order: its outputs by name, real values.
    """
    names = list(stages)
    if PREDICTED in names:
        for stage in names[names.index(PREDICTED) + 1 :]:
            yield from _ratios(stage, stages)


def _ratios(stage: str, stages: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[Ratio]:
    exact, predicted = stages.get(COUNTED_FROM), stages.get(PREDICTED)
    if exact is None or predicted is None:
        return
    for name, array in stages[stage].items():
        if name in exact and name in predicted and exact[name].shape == array.shape:
            error, expected = (_distance(item, exact[name]) for item in (array, predicted[name]))
            yield Ratio(stage, name, error, expected, array.size)


def _distance(one: np.ndarray, two: np.ndarray) -> float:
    """Return the root of the sum of squared differences."""
    return float(np.linalg.norm((one.astype(np.float64) - two).reshape(-1)))
