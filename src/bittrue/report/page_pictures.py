"""Before and after: outputs that are pictures, as PNG files of a bounded size."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bittrue.arith import F64
from bittrue.contract.preprocess import Preprocess

#: Longest side, bytes of one PNG and of all of an output's, least side of a picture, most outputs.
SIDE, BYTES, ALL_BYTES, LEAST_SIDE, MOST = 360, 80_000, 240_000, 16, 3


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Args:
        label: Which side it shows.
        png: The file.
        width: In pixels.
        height: In pixels.
    """

    label: str
    png: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PictureRow:
    """Pictures that belong together: an output on both sides and the difference, or the input.

    Args:
        name: Of the output or input.
        note: How values became brightness.
        pictures: From left to right.
    """

    name: str
    note: str
    pictures: tuple[Picture, ...]


def input_row(
    given: Mapping[str, np.ndarray], preprocess: Mapping[str, Preprocess]
) -> PictureRow | None:
    """Return the input as a picture, where raw pixels of one were given."""
    for name, row in preprocess.items():
        array = given.get(name, given.get("") if len(preprocess) == 1 else None)
        if array is not None and (array.dtype.name, array.shape) == ("uint8", row.raw_shape):
            pixels = _colours(array[0], row.colour)
            return PictureRow(name, "as the network sees it", (_picture("input", pixels),))
    return None


def output_rows(
    reference: tuple[str, Mapping[str, np.ndarray]],
    other: tuple[str, Mapping[str, np.ndarray]],
    colour: str = "",
) -> tuple[PictureRow, ...]:
    """Return the outputs that are pictures, on both sides, and their difference.

    An output is one where it has 4 axes, one sample, 1 or 3 channels, and 16 pixels each way.

    Args:
        reference: Its label, and its outputs by name.
        other: The same of the other side.
        colour: Order of three channels: "BGR" turns them round.
    """
    pairs = []
    for name, array in reference[1].items():
        mine, theirs = as_picture(array), as_picture(other[1].get(name, np.empty(0)))
        if mine is not None and theirs is not None and mine.shape == theirs.shape:
            pairs.append((name, (reference[0], mine), (other[0], theirs)))
    most = ALL_BYTES // (3 * min(MOST, max(1, len(pairs))))
    return tuple(_row(*pair, colour, most) for pair in pairs[:MOST])


def as_picture(array: np.ndarray) -> F64 | None:
    """Return an output as float64 [H, W, C], C being 1 or 3; None where it is no picture."""
    if array.ndim != 4 or array.shape[0] != 1:
        return None
    _, one, two, three = array.shape
    if one in (1, 3) and min(two, three) >= LEAST_SIDE:
        array = array.transpose(0, 2, 3, 1)
        return np.asarray(array[0], np.float64)
    if three in (1, 3) and min(one, two) >= LEAST_SIDE:
        return np.asarray(array[0], np.float64)
    return None


def _row(
    name: str,
    mine: tuple[str, np.ndarray],
    theirs: tuple[str, np.ndarray],
    colour: str,
    most: int,
) -> PictureRow:
    low, high = _limits(mine[1])
    gap = np.abs(np.nan_to_num(theirs[1]) - np.nan_to_num(mine[1])).max(axis=2, keepdims=True)
    worst = float(gap.max())
    pictures = [
        _picture(label, _colours(_grey(array, low, high), colour), most)
        for label, array in (mine, theirs)
    ]
    pictures.append(_picture("difference", _grey(gap, 0.0, worst or 1.0), most))
    note = f"black {low:.4g}, white {high:.4g}; difference: white is {worst:.4g}"
    return PictureRow(name, note, tuple(pictures))


def _limits(array: np.ndarray) -> tuple[float, float]:
    """Return what is black and white: 0 to 1 and 0 to 255 where that fits, or the values' own."""
    some = array[np.isfinite(array)]
    low, high = (float(some.min()), float(some.max())) if some.size else (0.0, 1.0)
    for most in (1.0, 255.0):
        if -0.02 * most <= low and 0.4 * most < high <= 1.02 * most:
            return 0.0, most
    return low, high if high > low else low + 1.0


def _grey(array: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = (np.nan_to_num(array, nan=low) - low) / (high - low)
    return np.asarray(np.rint(np.clip(scaled, 0, 1) * 255), np.uint8)


def _colours(pixels: np.ndarray, colour: str) -> np.ndarray:
    return pixels[:, :, ::-1] if colour == "BGR" and pixels.shape[2] == 3 else pixels


def _picture(label: str, pixels: np.ndarray, most: int = BYTES) -> Picture:
    """Return uint8 [H, W, C] as a PNG, made smaller until it has at most so many bytes."""
    from PIL import Image

    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    whole = Image.fromarray(np.ascontiguousarray(flat))
    side = SIDE
    while True:
        image = whole.copy()
        image.thumbnail((side, side))
        out = io.BytesIO()
        image.save(out, "PNG", optimize=True)
        if len(out.getvalue()) <= most or side <= LEAST_SIDE:
            return Picture(label, out.getvalue(), *image.size)
        side = side * 4 // 5
