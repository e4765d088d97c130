"""Resizing pictures of 8 bits a channel: Pillow's filters, and two plain ones written here.

Pillow's filters widen with the factor when a picture shrinks (antialiasing). The two names that end
in ``-noaa`` look at the nearest pixels only, whatever the factor, as OpenCV does: the difference is
1 to 8 grey levels at edges, and is a common reason why two programs see different pictures.

    nearest         Pillow NEAREST   source pixel floor((i + 1/2) * n / m)
    bilinear        Pillow BILINEAR  antialiased
    bicubic         Pillow BICUBIC   antialiased, a = -0.5
    lanczos         Pillow LANCZOS   antialiased, 3 lobes
    area            Pillow BOX       mean of the pixels covered
    nearest-noaa    here             source pixel floor(i * n / m), OpenCV INTER_NEAREST
    bilinear-noaa   here             half-pixel centres, 2 x 2 pixels; OpenCV INTER_LINEAR, floats
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bittrue.errors import UsageError

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

#: Filters of Pillow, by the number that PIL.Image.Resampling gives them.
PILLOW = {"nearest": 0, "bilinear": 2, "bicubic": 3, "lanczos": 1, "area": 4}
INTERPOLATIONS = (*PILLOW, "nearest-noaa", "bilinear-noaa")


def resize(pixels: U8, size: tuple[int, int], interpolation: str) -> U8:
    """Return the picture at another size.

    Args:
        pixels: uint8 [H, W, C], C 1 or 3.
        size: Height and width wanted, each 1 to 16384.
        interpolation: One of INTERPOLATIONS.

    Returns:
        uint8 [size[0], size[1], C], C-contiguous.

    Raises:
        UsageError: if the interpolation is unknown.
    """
    if interpolation in PILLOW:
        return _resize_pillow(pixels, size, PILLOW[interpolation])
    if interpolation == "nearest-noaa":
        return _resize_nearest(pixels, size)
    if interpolation == "bilinear-noaa":
        return _resize_bilinear(pixels, size)
    raise UsageError(
        f"interpolation {interpolation!r} is unknown",
        hint=f"use one of {', '.join(INTERPOLATIONS)}",
    )


def _resize_pillow(pixels: U8, size: tuple[int, int], number: int) -> U8:
    from PIL import Image

    height, width = size
    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    picture = Image.fromarray(np.ascontiguousarray(flat))
    done = picture.resize((width, height), Image.Resampling(number))
    return np.asarray(done).reshape(height, width, pixels.shape[2]).copy()


def _resize_nearest(pixels: U8, size: tuple[int, int]) -> U8:
    rows = _corners(pixels.shape[0], size[0])
    columns = _corners(pixels.shape[1], size[1])
    return np.ascontiguousarray(pixels[rows][:, columns])


def _corners(old: int, new: int) -> I64:
    """Return floor(i * n / m) with OpenCV's two roundings of n / m, which show at exact ties."""
    step = 1.0 / (new / old)
    corners: I64 = np.floor(np.arange(new) * step).astype(np.int64)
    corners.clip(max=old - 1, out=corners)
    return corners


def _resize_bilinear(pixels: U8, size: tuple[int, int]) -> U8:
    """Return rint of the exact value: weights are fractions, sums are integers, one rounding."""
    row, down = _taps(pixels.shape[0], size[0])
    column, right = _taps(pixels.shape[1], size[1])
    unit_h, unit_w = 2 * size[0], 2 * size[1]
    below = np.minimum(row + 1, pixels.shape[0] - 1)
    beside = np.minimum(column + 1, pixels.shape[1] - 1)
    wide = pixels.astype(np.int64)
    down = down[:, None, None]
    right = right[None, :, None]
    tall = wide[row] * (unit_h - down) + wide[below] * down  # [h, W, C], times unit_h
    total = tall[:, column] * (unit_w - right) + tall[:, beside] * right  # [h, w, C]
    return _divide_half_even(total, unit_h * unit_w).astype(np.uint8)


def _taps(old: int, new: int) -> tuple[I64, I64]:
    """Return, for each new pixel, the source pixel before its centre and the rest in 1/(2 new).

    The centre of new pixel i lies at (i + 1/2) * old / new - 1/2, at least at pixel 0; past the
    last pixel both taps are that pixel.
    """
    position = (2 * np.arange(new, dtype=np.int64) + 1) * old - new  # in 1/(2 new)
    position = np.maximum(position, 0)
    return position // (2 * new), position % (2 * new)


def _divide_half_even(total: I64, divisor: int) -> I64:
    """Return total / divisor, rounded once to the nearest integer, ties to even."""
    whole = total // divisor
    twice = 2 * (total - whole * divisor)
    up = (twice > divisor) | ((twice == divisor) & (whole & 1 == 1))
    whole += up
    return whole
