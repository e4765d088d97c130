"""Preprocessing as part of the contract: from a picture to what the network is given.

The same code runs for calibration, in every stage and before the engine, so that no two of them can
see different pictures. It has two halves, and the network's contract says which one it wants:

    raw = raw_pixels(preprocess, "cat.jpg")     # uint8 [1, H, W, C]: decode, resize, pad, reorder
    x = normalise(preprocess, raw)              # (raw * scale - mean) / std, network's layout

The second half is affine in each channel; `affine` gives it in the form that the compiler folds
into the first convolution, and `denormalise` undoes it where it can be undone exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bittrue.contract.picture import PIXELS_MAX, read_picture
from bittrue.contract.preprocess_spec import Preprocess
from bittrue.contract.preprocess_text import (
    load_preprocess,
    preprocess_from_json,
    preprocess_to_json,
    preprocess_to_toml,
)
from bittrue.contract.resample import resize
from bittrue.errors import DataError

if TYPE_CHECKING:
    from bittrue.contract.picture import Source

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

__all__ = [
    "Preprocess",
    "affine",
    "denormalise",
    "letterbox_size",
    "load_preprocess",
    "normalise",
    "preprocess_from_json",
    "preprocess_to_json",
    "preprocess_to_toml",
    "raw_pixels",
]

#: How far from a whole pixel a normalised value may lie and still be taken back to that pixel.
WHOLE = 1e-3


def raw_pixels(preprocess: Preprocess, picture: Source) -> U8:
    """Return the picture as the network's raw pixels: all but the normalisation.

    Grey conversion and alpha come before resizing; letterboxed sizes are the nearest whole numbers
    (ties to even, never 0); the cut of "crop" makes the long side floor(long * resize_to / short)
    and starts at the nearest whole number to half of what is left over (ties to even).

    Args:
        preprocess: What to do.
        picture: Path, Pillow image, or uint8 [H, W], [H, W, 1], [H, W, 3] (always red, green, blue:
            reverse what OpenCV read) or [H, W, 4] (RGBA).

    Returns:
        uint8 [1, H, W, C], C-contiguous, channels in the network's order.

    Raises:
        DataError: if the picture cannot be read, or has another size and resize is "none".
    """
    grey = preprocess.colour == "GRAY"
    pixels = read_picture(picture, grey=grey, background=preprocess.background)
    framed = _FRAMES[preprocess.resize](preprocess, pixels)  # [H, W, C]
    if preprocess.colour == "BGR":
        framed = framed[:, :, ::-1]
    return np.ascontiguousarray(framed)[None]


def normalise(preprocess: Preprocess, raw: U8) -> np.ndarray:
    """Return ``fl(fl(fl(fl(raw) * fl(scale)) - fl(mean)) / fl(std))`` in the network's layout.

    Each fl is one rounding to float32, so the result has the same bits everywhere. (A division by
    255 in place of the multiplication can differ in the last bit.) For dtype "uint8" only the
    layout changes.

    Args:
        preprocess: What to do.
        raw: uint8 [N, H, W, C] as `raw_pixels` gives it.

    Returns:
        float32 or uint8, [N, C, H, W] or [N, H, W, C], C-contiguous.

    Raises:
        DataError: if raw has another type or shape.
    """
    _check_raw(preprocess, raw)
    x: np.ndarray = raw
    if preprocess.dtype == "float32":
        x = raw.astype(np.float32) * np.float32(preprocess.scale)
        x = x - np.array(preprocess.mean, np.float32)
        x = x / np.array(preprocess.std, np.float32)
    if preprocess.layout == "NCHW":
        x = x.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x)


def denormalise(preprocess: Preprocess, x: np.ndarray) -> U8:
    """Return the raw pixels that `normalise` would turn into x.

    Args:
        preprocess: What was done.
        x: The network's input, float (or uint8 where the network takes that), in its layout, any
            number of frames.

    Returns:
        uint8 [N, H, W, C], C-contiguous.

    Raises:
        DataError: if x has another shape, or does not lie within 1e-3 of whole pixels in 0..255.
    """
    _check_input(preprocess, x)
    wide = np.asarray(x, np.float64)
    if preprocess.layout == "NCHW":
        wide = wide.transpose(0, 2, 3, 1)  # [N, H, W, C]
    offset, factor = affine(preprocess)
    pixels = wide / factor + offset
    whole = np.rint(pixels)
    with np.errstate(invalid="ignore"):
        wrong = ~((np.abs(pixels - whole) <= WHOLE) & (whole >= 0) & (whole <= 255))
    if wrong.any():
        raise _no_pixels(pixels, wrong)
    return np.ascontiguousarray(whole.astype(np.uint8))


def affine(preprocess: Preprocess) -> tuple[F64, F64]:
    """Return offset and factor such that ``normalised = (raw - offset) * factor`` in each channel.

    offset = mean / scale, factor = scale / std. An offset need not be a whole pixel nor lie in
    0..255: a padded convolution's real 0 is then no code (docs/numerics.md).

    Returns:
        Two float64 arrays [C], channels in the network's order.
    """
    mean = np.array(preprocess.mean, np.float64)
    std = np.array(preprocess.std, np.float64)
    return mean / preprocess.scale, preprocess.scale / std


def normalised_range(preprocess: Preprocess) -> tuple[float, float]:
    """Return the least and greatest value that normalised pixels can have, over all channels."""
    offset, factor = affine(preprocess)
    ends = np.concatenate([(0.0 - offset) * factor, (255.0 - offset) * factor])
    return float(ends.min()), float(ends.max())


# --- geometry --------------------------------------------------------------------------------


def _keep(preprocess: Preprocess, pixels: U8) -> U8:
    if pixels.shape[:2] != preprocess.size:
        raise DataError(
            f"the picture is {pixels.shape[0]} high and {pixels.shape[1]} wide, the network sees "
            f"{preprocess.size[0]} by {preprocess.size[1]}, and resize is 'none'",
            hint="set resize to stretch, letterbox or crop, whichever the network was trained with",
        )
    return pixels


def _stretch(preprocess: Preprocess, pixels: U8) -> U8:
    return resize(pixels, preprocess.size, preprocess.interpolation)


def _letterbox(preprocess: Preprocess, pixels: U8) -> U8:
    height, width = preprocess.size
    inner = letterbox_size(pixels.shape[0], pixels.shape[1], preprocess.size)
    top, left = ((height - inner[0]) // 2, (width - inner[1]) // 2)
    if preprocess.corner == "top-left":
        top, left = 0, 0
    canvas = np.empty((height, width, pixels.shape[2]), np.uint8)
    canvas[:] = _pad_pixel(preprocess)
    small = resize(pixels, inner, preprocess.interpolation)
    canvas[top : top + inner[0], left : left + inner[1]] = small
    return canvas


def letterbox_size(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a picture that just fits into `size` with its aspect ratio kept.

    The side that fits is exact, the other one is rounded to nearest, ties to even, and at least 1.
    """
    if size[0] * width <= size[1] * height:  # The height is what limits.
        return size[0], max(1, _round_half_even(width * size[0], height))
    return max(1, _round_half_even(height * size[1], width)), size[1]


def _crop(preprocess: Preprocess, pixels: U8) -> U8:
    height, width = preprocess.size
    short, long = min(pixels.shape[:2]), max(pixels.shape[:2])
    far = max(preprocess.resize_to, long * preprocess.resize_to // short)
    if far * preprocess.resize_to > PIXELS_MAX:
        raise DataError(
            f"a picture {pixels.shape[0]} high and {pixels.shape[1]} wide becomes larger than "
            f"{PIXELS_MAX} pixels when its short side is made {preprocess.resize_to}",
            hint="crop the picture first, or use resize = 'letterbox'",
        )
    tall = pixels.shape[0] >= pixels.shape[1]
    inner = (far, preprocess.resize_to) if tall else (preprocess.resize_to, far)
    large = resize(pixels, inner, preprocess.interpolation)
    top = _round_half_even(inner[0] - height, 2)
    left = _round_half_even(inner[1] - width, 2)
    return large[top : top + height, left : left + width]


_FRAMES = {"none": _keep, "stretch": _stretch, "letterbox": _letterbox, "crop": _crop}


def _pad_pixel(preprocess: Preprocess) -> U8:
    """Return the pad colour as one pixel [C] of a picture that is still RGB or grey."""
    red, green, blue = preprocess.pad_colour
    if preprocess.colour == "GRAY":
        return np.array([(19595 * red + 38470 * green + 7471 * blue + 32768) >> 16], np.uint8)
    return np.array([red, green, blue], np.uint8)


def _round_half_even(number: int, divisor: int) -> int:
    """Return number / divisor rounded to nearest, ties to even, exactly; number is at least 0."""
    whole, rest = divmod(number, divisor)
    return whole + (2 * rest > divisor or (2 * rest == divisor and whole % 2 == 1))


# --- checks ----------------------------------------------------------------------------------


def _check_raw(preprocess: Preprocess, raw: np.ndarray) -> None:
    wanted = preprocess.raw_shape[1:]
    if raw.dtype != np.uint8 or raw.ndim != 4 or raw.shape[1:] != wanted:
        raise DataError(
            f"raw pixels are uint8 [N, {', '.join(map(str, wanted))}], "
            f"not {raw.dtype} {list(raw.shape)}",
            hint="make them with raw_pixels(preprocess, picture)",
        )


def _check_input(preprocess: Preprocess, x: np.ndarray) -> None:
    wanted = preprocess.input_shape[1:]
    kinds = "u" if preprocess.dtype == "uint8" else "f"
    if x.dtype.kind not in kinds or x.ndim != 4 or x.shape[1:] != wanted:
        raise DataError(
            f"this network's input is {preprocess.dtype} [N, {', '.join(map(str, wanted))}] "
            f"({preprocess.layout}), not {x.dtype} {list(x.shape)}",
            hint="give what normalise(preprocess, raw) returns",
        )


def _no_pixels(pixels: F64, wrong: NDArray[np.bool_]) -> DataError:
    first = float(pixels[wrong][0])
    return DataError(
        f"{int(wrong.sum())} of {wrong.size} values are no whole pixels in 0..255; the first would "
        f"be pixel {first:.6g}",
        hint="these values were normalised with other constants, augmented or interpolated after "
        "normalising: start from the picture, with raw_pixels(preprocess, picture)",
    )
