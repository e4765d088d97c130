"""Which of a device's tensors is which of a reference's, and what was undone to see it.

Names may differ, be permuted or be missing: tensors are matched by shape, values and names
together (docs/captures.md). Layout, padding and quantisation are undone only where that is what
differs: a step has to make the unexplained part decisively smaller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.capture import Capture, Captured
from bittrue.contract.tensor import HOLDS_VALUES, TensorContract
from bittrue.errors import UsageError
from bittrue.parity.align_assign import assign
from bittrue.parity.align_score import Scores, is_code, score
from bittrue.suggest import did_you_mean

F64 = NDArray[np.float64]
#: A pair that leaves more than this unexplained (r below 0.5) is not matched by its values.
_MOST_LEFT = 0.75
#: A fit that leaves more of the reference explains nothing: its slope is chance.
_MOST_LEFT_BY_FIT = 0.5
#: Gains below this link nothing: correlations of unrelated tensors.
_LEAST_GAIN = 0.03
#: How sharply a lead over the next best reading becomes confidence; 1 would be e's own power.
_SHARPNESS = 2.0
#: Confidence at most, where only the name, and where only the shape says it.
_BY_NAME, _BY_SHAPE = 0.9, 0.5
#: Confidence where as many tensors are on both sides, and no other has a shape that fits ...
_LONE_SHAPE = 0.8
#: ... by a view of less than this price: as it is, or in a usual order of axes.
_PLAIN_PRICE = 0.65
#: A step is undone where it leaves at most this share of what is unexplained without it.
_DECISIVE = 0.25


@dataclass(frozen=True, slots=True)
class Match:
    """One of the device's tensors, and the reference's that it is.

    Args:
        reference: Name of the reference's tensor.
        device: Name of the device's; "#3" for the fourth where it has none.
        confidence: 0 to 1.
        how: What says so, in words: "values", "name and values", "shape alone".
        undone: What had to be undone, in words, in order; empty where nothing had.
        array: The device's tensor in the reference's shape, in real values.
    """

    reference: str
    device: str
    confidence: float
    how: str
    undone: tuple[str, ...]
    array: np.ndarray


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which tensor is which.

    Args:
        pairs: In the order of the reference.
        unmatched_reference: Names that no tensor of the device is.
        unmatched_device: Names of tensors that are none of the reference's.
        permuted: Whether the names say another order than the values do; `pairs` follow the
            values.
        by_name: The reading by names where `permuted`; else empty.
    """

    pairs: tuple[Match, ...]
    unmatched_reference: tuple[str, ...]
    unmatched_device: tuple[str, ...]
    permuted: bool = False
    by_name: tuple[Match, ...] = ()

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The device's tensors by the reference's names."""
        return {pair.reference: pair.array for pair in self.pairs}


def align(
    reference: Mapping[str, np.ndarray],
    capture: Capture,
    *,
    by_hand: Mapping[str, str] | None = None,
    contract: Sequence[TensorContract] = (),
) -> Alignment:
    """Return which of a capture's outputs is which tensor of a reference.

    Args:
        reference: By name: real values in the logical order of axes; outputs, or inner tensors.
        capture: What the device gave.
        by_hand: The device's name by the reference's, where somebody knows.
        contract: Of the reference's names: scale and zero point where the capture has none.

    Raises:
        UsageError: if a name given by hand is unknown or twice there, or shapes cannot fit.
    """
    device = _labelled(capture.outputs)
    scores = score(reference, device)
    given = _indices(by_hand or {}, list(reference), device, scores)
    confidence, how = dict.fromkeys(given, 1.0), dict.fromkeys(given, "given by hand")
    links = np.where(scores.gains > _LEAST_GAIN, scores.gains, -np.inf)
    for row, column in given:
        links[row, :], links[:, column] = -np.inf, -np.inf
    seen = [pair for pair in assign(links) if _says_enough(scores, pair)]
    sure = _confidence(links, seen)
    alone = _shapes_alone(scores)
    for pair in seen:
        strength, how[pair] = _strength(scores, pair, alone=bool(alone[pair]))
        confidence[pair] = strength * sure[pair]
    for pair, value in _by_shape(scores, [*given, *seen]):
        confidence[pair] = max(value, _LONE_SHAPE * float(alone[pair]))
        how[pair] = "shape, which no other has" if alone[pair] else "shape alone"
    build = _Builder(reference, device, scores, {row.name: row for row in contract})
    pairs = tuple(build.match(pair, confidence[pair], how[pair]) for pair in sorted(confidence))
    by_name = _read_by_name(build, scores, set(confidence))
    lost = any(row.confidence >= 0.5 and row.device != row.reference for row in pairs)
    permuted = bool(by_name) and lost
    matched = {row for row, _ in confidence}, {column for _, column in confidence}
    return Alignment(
        pairs,
        tuple(name for at, name in enumerate(reference) if at not in matched[0]),
        tuple(item.name for at, item in enumerate(device) if at not in matched[1]),
        permuted,
        by_name if permuted else (),
    )


def _labelled(outputs: Sequence[Captured]) -> list[Captured]:
    """Return the tensors with a name each: "#3" for the fourth if it has none."""
    return [item if item.name else replace(item, name=f"#{at}") for at, item in enumerate(outputs)]


def _indices(
    by_hand: Mapping[str, str], reference: list[str], device: list[Captured], scores: Scores
) -> list[tuple[int, int]]:
    """Return the pairs that were given by hand, as indices; or say all that is wrong with them."""
    names = [item.name for item in device]
    wrong: list[str] = []
    pairs: list[tuple[int, int]] = []
    for mine, theirs in by_hand.items():
        if mine not in reference:
            wrong.append(f"the reference has no {mine!r}; {did_you_mean(mine, reference)}")
        if theirs not in names:
            wrong.append(f"the device has no {theirs!r}; {did_you_mean(theirs, names)}")
        if mine not in reference or theirs not in names:
            continue
        pair = reference.index(mine), names.index(theirs)
        if not scores.fits(pair):
            shape = list(device[pair[1]].array.shape)
            wrong.append(f"{theirs!r} {shape} cannot be brought to the shape of {mine!r}")
        if pair[1] in {column for _, column in pairs}:
            wrong.append(f"{theirs!r} is given twice")
        pairs.append(pair)
    if wrong:
        raise UsageError(
            "the map given by hand: " + "; ".join(wrong),
            hint="write it as {reference name: device name}",
        )
    return pairs


# --- how sure ------------------------------------------------------------------------------------


def _says_enough(scores: Scores, pair: tuple[int, int]) -> bool:
    return bool(scores.unexplained[pair] <= _MOST_LEFT or scores.named[pair])


def _strength(scores: Scores, pair: tuple[int, int], *, alone: bool) -> tuple[float, str]:
    """Return how much values, names and shapes say for a pair, 0 to 1, and what says it."""
    r = float(np.sqrt(max(0.0, 1.0 - scores.unexplained[pair])))
    values = min(1.0, max(0.0, (r - 0.3) / 0.65)) * min(1.0, 0.5 + float(scores.weight[pair[0]]))
    shape = _LONE_SHAPE if alone else 0.0
    if not scores.named[pair]:
        return 1.0 - (1.0 - values) * (1.0 - shape), "shape and values" if alone else "values"
    if r < 0.5:
        return _BY_NAME, "name; the values are not alike"
    return 1.0 - (1.0 - values) * (1.0 - _BY_NAME) * (1.0 - shape), "name and values"


def _shapes_alone(scores: Scores) -> NDArray[np.bool_]:
    """Return where two shapes fit each other only, of as many tensors on both sides, [N, M]."""
    if scores.gains.shape[0] != scores.gains.shape[1]:
        return np.zeros(scores.gains.shape, np.bool_)
    return _lone(scores.prices < _PLAIN_PRICE)


def _confidence(gains: F64, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], float]:
    """Return how sure each pair is against every exchange with one other, 0 to 1.

    ``1 / (1 + sum exp(-s margin))``, over all tensors it could change partners with and all free
    ones; 1/2 where one other reading is exactly as good.
    """
    rows, columns = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    own = gains[rows, columns]  # [p]
    swapped = gains[np.ix_(rows, columns)]  # [p, p]: the row of one, the column of another
    margin = own[:, None] + own - swapped - swapped.T
    np.fill_diagonal(margin, np.inf)
    free_columns = np.setdiff1d(np.arange(gains.shape[1]), columns)
    free_rows = np.setdiff1d(np.arange(gains.shape[0]), rows)
    others = (own[:, None] - gains[np.ix_(rows, free_columns)],
              own[:, None] - gains[np.ix_(free_rows, columns)].T)  # fmt: skip
    rivals = sum(np.exp(-_SHARPNESS * np.maximum(m, 0.0)).sum(axis=1) for m in (margin, *others))
    return {pair: float(1 / (1 + n)) for pair, n in zip(pairs, np.atleast_1d(rivals), strict=True)}


def _by_shape(
    scores: Scores, taken: Sequence[tuple[int, int]]
) -> list[tuple[tuple[int, int], float]]:
    """Return pairs of what is left whose shapes fit each other and nothing else that is left.

    Equal shapes come first, then transposed ones, then padded ones: what would fit with padding
    does not stand in the way of what fits without.
    """
    prices = scores.prices
    found: list[tuple[int, int]] = []
    for most in sorted({*prices[np.isfinite(prices)].tolist()}):
        fits = prices <= most
        for row, column in (*taken, *found):
            fits[row, :], fits[:, column] = False, False
        found += [(int(row), int(column)) for row, column in np.argwhere(_lone(fits))]
    return [(pair, _BY_SHAPE * float(np.exp(-prices[pair]))) for pair in found]


def _lone(fits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where a row and a column fit each other only."""
    single = (fits.sum(axis=1, keepdims=True) == 1) & (fits.sum(axis=0) == 1)
    return np.asarray(fits & single, np.bool_)


# --- from a pair to a match ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Builder:
    """What is needed to bring a device's tensor to a reference's shape and values."""

    reference: Mapping[str, np.ndarray]
    device: Sequence[Captured]
    scores: Scores
    contract: Mapping[str, TensorContract]

    def match(self, pair: tuple[int, int], confidence: float, how: str) -> Match:
        """Return a pair of indices as a match."""
        name, item = list(self.reference)[pair[0]], self.device[pair[1]]
        view = self.scores.view(pair)
        found = view.read(item.array)
        wanted = self.reference[name]
        at = self.scores.places[wanted.shape]
        scale = _scaling(wanted.reshape(-1)[at], item, view.places(at), self.contract.get(name))
        if scale is None:
            return Match(name, item.name, confidence, how, view.undone, found)
        real = (found.astype(np.float32) - np.float32(scale.zero_point)) * np.float32(scale.scale)
        return Match(name, item.name, confidence, how, (*view.undone, str(scale)), real)


@dataclass(frozen=True, slots=True)
class _Scaling:
    scale: float
    zero_point: float
    fitted: bool = False

    def __str__(self) -> str:
        sign = "+" if self.zero_point < 0 else "-"
        said = f"dequantised by (q {sign} {abs(self.zero_point):.6g}) * {self.scale:.6g}"
        return said + (", fitted to the values" if self.fitted else "")


def _scaling(
    wanted: np.ndarray, item: Captured, places: NDArray[np.int64], row: TensorContract | None
) -> _Scaling | None:
    """Return how codes become real values; None where they need not, or nothing shows it.

    A scale that somebody wrote down is used unless the plain numbers are decisively nearer; without
    one, whole numbers are fitted where that explains them.
    """
    r, d = (x.astype(np.float64) for x in (wanted, item.array.reshape(-1)[places]))
    if not is_code(item.array, d) or item.array.dtype.kind == "b" or d.size == 0:
        return None
    plain = _left(r, d)
    if item.scale is not None:
        said = _Scaling(item.scale, item.zero_point)
    elif row is not None and row.scale is not None:
        said = _Scaling(row.scale, row.zero_point)
    else:
        return None if item.holds == HOLDS_VALUES else _fitted(r, d, plain)
    after = _left(r, (d - said.zero_point) * said.scale)
    return said if plain > _DECISIVE * after else None


def _fitted(r: F64, d: F64, plain: float) -> _Scaling | None:
    """Return the scale and zero point that bring d nearest to r, where r is no whole numbers."""
    variance = float(d.var())
    if d.size < 8 or variance == 0 or bool((r == np.rint(r)).all()):
        return None
    scale = float(((r - r.mean()) * (d - d.mean())).mean()) / variance
    if scale <= 0:
        return None
    zero_point = float(d.mean() - r.mean() / scale)
    whole = round(zero_point)
    left = _left(r, (d - zero_point) * scale)
    if _left(r, (d - whole) * scale) <= 1.5 * left + 1e-9:
        zero_point = whole
    explains = left <= min(_MOST_LEFT_BY_FIT, _DECISIVE * plain)
    return _Scaling(scale, zero_point, fitted=True) if explains else None


def _left(r: F64, d: F64) -> float:
    """Return the share of r that d leaves unexplained: ``|r - d|^2 / |r - mean r|^2``."""
    own = float(((r - r.mean()) ** 2).sum()) or float((r**2).sum()) or 1.0
    return float(((r - d) ** 2).sum()) / own


def _read_by_name(
    build: _Builder, scores: Scores, chosen: set[tuple[int, int]]
) -> tuple[Match, ...]:
    """Return the pairs of equal names, if any of them is not among the chosen."""
    columns = {item.name: at for at, item in enumerate(build.device)}
    pairs = [(row, columns[name]) for row, name in enumerate(build.reference) if name in columns]
    fitting = [pair for pair in pairs if scores.fits(pair)]
    if set(fitting) <= chosen:
        return ()
    return tuple(build.match(pair, 1 - _BY_NAME, "name") for pair in fitting)
