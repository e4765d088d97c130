"""What a device gave, as the last rung of the ladder, and its error against what was predicted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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


@dataclass(frozen=True, slots=True)
class Ratio:
    """An output's error over the quantisation error that emulation predicts.

    Args:
        stage: Whose error: "bit_true", "compiled" or "capture".
        output: The output's name.
        error: Of the stage: ``|stage - fp_optimized|``, the root of the sum of squares.
        predicted: ``|quantized - fp_optimized|``.
    """

    stage: str
    output: str
    error: float
    predicted: float

    @property
    def ratio(self) -> float:
        """`error` over `predicted`; 1 where both are 0, infinite where only `predicted` is."""
        if self.predicted == 0:
            return 1.0 if self.error == 0 else math.inf
        return self.error / self.predicted

    @property
    def says(self) -> str:
        """What the ratio means, in words."""
        if self.ratio <= ONLY_QUANTISATION:
            return "only quantisation"
        if self.ratio <= RATIO_MAX:
            return "more than quantisation predicts"
        return "not explained by quantisation"


@dataclass(frozen=True, slots=True)
class Matched:
    """A tensor of a capture, and the output that it is.

    Args:
        reference: The output's name.
        device: The capture's name for it.
        confidence: 0 to 1.
        undone: What had to be undone, in words: layout, padding, codes.
    """

    reference: str
    device: str
    confidence: float
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
) -> CaptureEdge:
    """Return what a device gave against the last stage.

    An output that the capture does not hold is not within the bound. Nor is one whose error is
    more than RATIO_MAX times what emulation predicts, however small.

    Args:
        label: "FILE@STAGE" of the last stage.
        stages: By stage, in order: its outputs by name, real values.
        capture: What the device gave.
        by_hand: By output: the name of the capture's tensor that is it.

    Raises:
        DataError: if nothing of the capture can be matched.
    """
    from bittrue.parity.align import align

    reference = list(stages.values())[-1]
    found = align(reference, capture, by_hand=by_hand)
    outputs = {pair.reference: pair.array for pair in found.pairs}
    ratios = {row.output: row for row in _ratios(CAPTURE, {**stages, CAPTURE: outputs})}
    rows = tuple(_row(name, mine, outputs, ratios) for name, mine in reference.items())
    matches = tuple(
        Matched(pair.reference, pair.device, pair.confidence, _words(pair.undone))
        for pair in found.pairs
    )
    edge = Comparison(label, capture.path or CAPTURE, CAPTURE_BOUND, rows, None, 0, 0)
    return CaptureEdge(edge, outputs, matches)


def _words(undone: object) -> tuple[str, ...]:
    if isinstance(undone, str):
        return (undone,) if undone else ()
    return tuple(str(item) for item in undone) if isinstance(undone, tuple | list) else ()


def _row(
    name: str, mine: np.ndarray, outputs: Mapping[str, np.ndarray], ratios: Mapping[str, Ratio]
) -> TensorComparison:
    if name not in outputs:
        return TensorComparison(name, None, False, "missing in the capture")
    row = compare_arrays(name, mine, outputs[name], CAPTURE_BOUND)
    ratio = ratios.get(name)
    if row.within and ratio is not None and ratio.ratio > RATIO_MAX:
        told = f"its error is {ratio.ratio:.2f} times what quantisation predicts"
        return TensorComparison(name, row.difference, False, told)
    return row


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
            yield Ratio(
                stage, name, _distance(array, exact[name]), _distance(predicted[name], exact[name])
            )


def _distance(one: np.ndarray, two: np.ndarray) -> float:
    """Return the root of the sum of squared differences."""
    return float(np.linalg.norm((one.astype(np.float64) - two).reshape(-1)))
