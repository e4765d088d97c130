"""The resize filters, against Pillow itself and against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from bittrue.contract.resample import INTERPOLATIONS, PILLOW, resize
from bittrue.errors import UsageError

RNG = np.random.default_rng(1)
SIZES = [
    ((7, 9), (7, 9)),
    ((40, 30), (11, 13)),
    ((5, 8), (17, 12)),
    ((1, 1), (4, 3)),
    ((9, 4), (1, 1)),
]


def exact_bilinear(line: list[int], new: int) -> list[Fraction]:
    """One row, by the definition: half-pixel centres, clamped, two taps."""
    old, out = len(line), []
    for i in range(new):
        at = min(
            max((i + Fraction(1, 2)) * old / new - Fraction(1, 2), Fraction(0)), Fraction(old - 1)
        )
        left = math.floor(at)
        right = min(left + 1, old - 1)
        out.append(line[left] * (1 - (at - left)) + line[right] * (at - left))
    return out


@pytest.mark.parametrize(("old", "new"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PILLOW)
def test_pillow_filters_are_pillows(
    name: str, channels: int, old: tuple[int, int], new: tuple[int, int]
) -> None:
    pixels = RNG.integers(0, 256, (*old, channels), dtype=np.uint8)
    filters = {"area": "BOX"}
    wanted = [
        np.asarray(
            Image.fromarray(pixels[:, :, c].copy()).resize(
                new[::-1], Image.Resampling[filters.get(name, name.upper())]
            )
        )
        for c in range(channels)
    ]
    assert np.array_equal(resize(pixels, new, name), np.stack(wanted, -1))


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_bilinear_without_antialias_is_the_exact_value_rounded_once(
    old: tuple[int, int], new: tuple[int, int]
) -> None:
    pixels = RNG.integers(0, 256, (*old, 1), dtype=np.uint8)
    rows = [exact_bilinear(row, new[1]) for row in pixels[:, :, 0].tolist()]
    columns = [exact_bilinear(list(column), new[0]) for column in zip(*rows, strict=True)]
    wanted = [[round(value) for value in row] for row in zip(*columns, strict=True)]
    assert resize(pixels, new, "bilinear-noaa")[:, :, 0].tolist() == wanted


def test_bilinear_ties_go_to_even() -> None:
    pixels = np.array([[[0], [1], [2], [3]]], np.uint8)
    assert resize(pixels, (1, 2), "bilinear-noaa")[0, :, 0].tolist() == [0, 2]  # 0.5 and 2.5


def test_nearest_without_antialias_takes_the_corner_and_pillows_takes_the_centre() -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(1, 6, 1)
    assert resize(pixels, (1, 2), "nearest-noaa")[0, :, 0].tolist() == [0, 3]
    assert resize(pixels, (1, 2), "nearest")[0, :, 0].tolist() == [1, 4]


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_the_same_size_changes_nothing(name: str) -> None:
    pixels = RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8)
    assert np.array_equal(resize(pixels, (12, 10), name), pixels)


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_a_flat_picture_stays_flat(name: str) -> None:
    pixels = np.full((13, 11, 3), 201, np.uint8)
    assert np.unique(resize(pixels, (5, 29), name)).tolist() == [201]


def test_an_unknown_filter_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="bilinear-noaa"):
        resize(np.zeros((2, 2, 3), np.uint8), (1, 1), "cubic")
