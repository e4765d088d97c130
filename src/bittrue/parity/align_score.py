"""How well each of a device's arrays would do for each tensor of a reference, on samples of both.

The gain of a pair is ``-ln(1 - r^2)``, r the correlation under the best view, less the view's
price, with something added where the values agree too and where the names do. Correlation does not
see scale and zero point, so codes need no dequantising here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bittrue.capture import Captured
from bittrue.parity.align_views import View, views

F64 = NDArray[np.float64]
#: Elements of a tensor that are looked at, and how many of them are its group's most extreme.
SAMPLE, EXTREME = 4096, 1024
#: An unexplained share below this is none: float32 against float32.
_FLOOR = 1e-6
#: What equal values are worth besides equal up to scale and offset: a tie-break.
_VALUE = 0.25
#: What equal names are worth, and names alike but for case and punctuation: e^2 in unexplained.
NAME, NEAR_NAME = 2.0, 1.5
#: What the same place in the order is worth: less than anything seen in values.
_PLACE = 0.02
#: A zero point this near a whole number is one; estimates are some 0.01 off.
_NEAR_WHOLE = 0.1
#: From as many elements on, a correlation counts in full.
_ENOUGH = 24


@dataclass(frozen=True, slots=True)
class Scores:
    """Every pair of a reference's tensor and a device's, by index.

    Args:
        gains: [N, M] float64; -inf where no view fits.
        unexplained: [N, M] float64, ``1 - r^2`` under the chosen view.
        weight: [N] float64, 0 to 1: how much a correlation of so many elements says.
        named: [N, M] whether the names are equal, or nearly.
        prices: [N, M] float64, of the chosen view; inf where none fits.
        choice: [N, M] int64, the chosen view's place in `views`.
        views: Every view that was tried.
        places: By shape of the reference: the flat positions that were looked at.
    """

    gains: F64
    unexplained: F64
    weight: F64
    named: NDArray[np.bool_]
    prices: F64
    choice: NDArray[np.int64]
    views: Sequence[View]
    places: Mapping[tuple[int, ...], NDArray[np.int64]]

    def view(self, pair: tuple[int, int]) -> View:
        """Return the chosen view of a pair that fits."""
        return self.views[int(self.choice[pair])]

    def fits(self, pair: tuple[int, int]) -> bool:
        """Return whether there is any view of a pair."""
        return bool(np.isfinite(self.prices[pair]))


def score(reference: Mapping[str, np.ndarray], device: Sequence[Captured]) -> Scores:
    """Return the scores of all pairs; those whose shapes fit in no way have none.

    Args:
        reference: Real values in the logical order of axes, by name.
        device: Of any layout and type.
    """
    wanted = list(reference.values())
    flat = [item.array.reshape(-1) for item in device]
    names = _names(list(reference), [item.name for item in device])
    gains = np.full(names.shape, -np.inf)
    unexplained = np.ones(names.shape)
    choice = np.zeros(names.shape, np.int64)
    tried: list[View] = []
    places: dict[tuple[int, ...], NDArray[np.int64]] = {}
    columns_by = _by_shape([item.array for item in device])
    for shape, rows in _by_shape(wanted).items():
        at = places[shape] = sample_places([wanted[row] for row in rows])
        mine = _Samples.of(np.stack([_numbers(wanted[row].reshape(-1)[at]) for row in rows]))
        for other, columns in columns_by.items():
            fits = _fitting(shape, other)
            if not fits:
                continue
            box = np.ix_(rows, columns)
            best = np.full((len(rows), len(columns)), -np.inf)
            for view in fits:
                there = view.places(at)
                codes = np.stack([_numbers(flat[column][there]) for column in columns])
                gain, left = _gain(mine, codes, [device[column] for column in columns])
                gain -= view.price
                better = gain > best
                best[better] = gain[better]
                unexplained[box] = np.where(better, left, unexplained[box])
                choice[box] = np.where(better, len(tried), choice[box])
                tried.append(view)
            gains[box] = best
    weight = np.array([_weight(array.size) for array in wanted])
    near = names + _order(names.shape)
    paid = np.array([*(view.price for view in tried), np.inf])
    prices = paid[np.where(np.isfinite(gains), choice, len(tried))]
    return Scores(gains + near, unexplained, weight, names > 0, prices, choice, tried, places)


def sample_places(arrays: Sequence[np.ndarray]) -> NDArray[np.int64]:
    """Return at most SAMPLE flat positions for tensors of one shape: spread, and their extremes.

    A map of scores is zero but for a few places; a sample that misses those shows nothing.
    """
    size = arrays[0].size
    if size <= SAMPLE:
        return np.arange(size, dtype=np.int64)
    spread = np.random.default_rng(size).integers(0, size, SAMPLE - EXTREME)
    each = max(1, EXTREME // (2 * len(arrays)))
    peaks = [_peaks(array.reshape(-1), each) for array in arrays[: EXTREME // 2]]
    return np.unique(np.concatenate([spread, *peaks]))


def _peaks(flat: np.ndarray, count: int) -> NDArray[np.int64]:
    """Return the places of the least and greatest element in each of `count` equal parts."""
    parts = flat[: flat.size // count * count].reshape(count, -1)
    starts = np.arange(count, dtype=np.int64) * parts.shape[1]
    return np.concatenate([starts + parts.argmax(axis=1), starts + parts.argmin(axis=1)])


def _by_shape(arrays: Sequence[np.ndarray]) -> dict[tuple[int, ...], list[int]]:
    found: dict[tuple[int, ...], list[int]] = {}
    for at, array in enumerate(arrays):
        found.setdefault(array.shape, []).append(at)
    return found


def _fitting(reference: tuple[int, ...], device: tuple[int, ...]) -> tuple[View, ...]:
    wanted, given = (int(np.prod(shape, dtype=np.int64)) for shape in (reference, device))
    return views(reference, device) if wanted <= given <= 64 * wanted else ()


def _numbers(values: np.ndarray) -> F64:
    """Return float64 with what is not finite replaced by the mean of what is."""
    found = values.astype(np.float64)
    bad = ~np.isfinite(found)
    if bad.any():
        found[bad] = found[~bad].mean() if not bad.all() else 0.0
    return found


def _weight(size: int) -> float:
    return min(1.0, max(size - 1, 0.1) / _ENOUGH)


# --- one group of shapes -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Samples:
    """Samples of tensors of one shape.

    Args:
        mean: [n] float64.
        deviation: [n] float64.
        centred: [n, k] float64, the values less their mean.
    """

    mean: F64
    deviation: F64
    centred: F64

    @staticmethod
    def of(values: F64) -> _Samples:
        """Return the samples of values [n, k]."""
        mean = values.mean(axis=1) if values.shape[1] else np.zeros(len(values))
        centred = values - mean[:, None]
        deviation = np.sqrt((centred**2).mean(axis=1)) if values.shape[1] else mean
        tiny = deviation <= 1e-7 * np.abs(mean)
        return _Samples(mean, np.where(tiny, 0.0, deviation), centred)


def _gain(mine: _Samples, codes: F64, device: Sequence[Captured]) -> tuple[F64, F64]:
    """Return the gain of each pair without price and names, and what is left unexplained.

    Args:
        mine: Of the reference, [n, k].
        codes: [m, k], what the device's arrays hold at the same places.
        device: The m of them.
    """
    theirs = _Samples.of(codes)
    k = max(codes.shape[1], 1)
    covariance = mine.centred @ theirs.centred.T / k  # [n, m]
    spread = np.outer(mine.deviation, theirs.deviation)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.clip(np.where(spread > 0, covariance / spread, 0.0), 0.0, 1.0)
    left = 1.0 - r**2
    scale, offset = _affine(device, codes)
    mean = theirs.mean * scale + offset  # [m], nan where nobody knows
    distance = _distance(mine, mean, theirs.deviation * scale, covariance * scale)
    flat = (mine.deviation[:, None] == 0) & (theirs.deviation == 0)
    left = np.where(flat, np.clip(np.nan_to_num(distance, nan=0.5), 0.1, 1.0), left)
    value = np.nan_to_num(-np.log(np.clip(distance, _FLOOR, 1.0)), nan=0.0)
    value += np.where(np.isnan(scale), _whole_zero(mine, theirs, covariance), 0.0)
    seen = -np.log(np.maximum(left, _FLOOR)) + _VALUE * value
    return _weight(codes.shape[1]) * seen, left


def _whole_zero(mine: _Samples, theirs: _Samples, covariance: F64) -> F64:
    """Return 0 to 2 for each pair [n, m]: how near the code of the real value 0 is to a whole one.

    Codes without a known scale tell x from x + 3 by nothing else.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = covariance / mine.deviation[:, None] ** 2
        zero = theirs.mean - slope * mine.mean[:, None]
        off = np.abs(zero - np.rint(zero)) / _NEAR_WHOLE
    return np.asarray(2.0 * np.clip(1.0 - np.nan_to_num(off, nan=1.0), 0.0, 1.0), np.float64)


def _distance(mine: _Samples, mean: F64, deviation: F64, covariance: F64) -> F64:
    """Return ``|r - d|^2 / |r - mean r|^2`` of each pair [n, m]; of constants, by their size."""
    squares = mine.deviation[:, None] ** 2 + deviation**2 - 2 * covariance
    gap = (mine.mean[:, None] - mean) ** 2
    own = np.where(mine.deviation > 0, mine.deviation**2, mine.mean**2 / 4 + 1e-30)
    return np.asarray(np.maximum(squares + gap, 0.0) / own[:, None], np.float64)


def _affine(device: Sequence[Captured], codes: F64) -> tuple[F64, F64]:
    """Return scale and offset [m] that make real values of codes; nan where nobody said."""
    scale, offset = np.ones(len(device)), np.zeros(len(device))
    for at, item in enumerate(device):
        if is_code(item.array, codes[at]):
            known = item.scale if item.scale is not None else np.nan
            scale[at], offset[at] = known, -known * item.zero_point
    return scale, offset


def is_code(array: np.ndarray, sample: F64) -> bool:
    """Whether an array may hold codes: whole numbers, by type or in fact."""
    return array.dtype.kind in "iu" or (
        array.dtype.kind == "f" and bool((sample == np.rint(sample)).all())
    )


# --- names and places ----------------------------------------------------------------------------


def _names(wanted: Sequence[str], given: Sequence[str]) -> F64:
    """Return what the names of each pair are worth, [N, M]."""
    worth = np.zeros((len(wanted), len(given)))
    for plain, value in ((_alike, NEAR_NAME), (str, NAME)):
        columns: dict[str, list[int]] = {}
        for column, name in enumerate(given):
            columns.setdefault(plain(name), []).append(column)
        for row, name in enumerate(wanted):
            if plain(name):
                worth[row, columns.get(plain(name), [])] = value
    return worth


def _alike(name: str) -> str:
    """Return a name without case, punctuation and the number of a framework's output (":0")."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r":[0-9]+$", "", name.lower())).strip("_")


def _order(shape: tuple[int, ...]) -> F64:
    rows, columns = (np.arange(n) / max(n - 1, 1) for n in shape)
    return np.asarray(_PLACE * (1 - np.abs(rows[:, None] - columns)), np.float64)
