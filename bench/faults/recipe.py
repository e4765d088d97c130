"""How a picture becomes a network's input, written once more with Pillow and NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Three = tuple[float, float, float]

#: Filters of Pillow by the words of the preprocessing's TOML.
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """The preprocessing of one network; the fields mean what they mean in its TOML."""

    size: tuple[int, int]
    resize: str = "letterbox"
    resize_to: int = 0
    interpolation: str = "bilinear"
    pad_colour: tuple[int, int, int] = (114, 114, 114)
    corner: str = "centre"
    colour: str = "RGB"
    scale: float = 1 / 255
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    layout: str = "NCHW"

    @property
    def plain(self) -> bool:
        """Whether the network takes the raw pixels as they are."""
        return self.scale == 1 and not any(self.mean) and set(self.std) == {1.0}

    @property
    def square(self) -> bool:
        """Whether it is as high as it is wide."""
        return self.size[0] == self.size[1]

    def toml(self) -> str:
        """Return it as the TOML that a user writes."""
        lines = [
            f"size = [{self.size[0]}, {self.size[1]}]",
            f'resize = "{self.resize}"',
            f"resize_to = {self.resize_to}",
            f'interpolation = "{self.interpolation}"',
            f"pad_colour = {list(self.pad_colour)}",
            f'corner = "{self.corner}"',
            f'colour = "{self.colour}"',
            f"scale = {self.scale!r}",
            f"mean = {list(self.mean)}",
            f"std = {list(self.std)}",
            f'layout = "{self.layout}"',
        ]
        return "\n".join(lines) + "\n"


def pixels(recipe: Recipe, picture: Image.Image) -> U8:
    """Return raw pixels, uint8 [H, W, 3], channels in the network's order."""
    framed = _FRAMES[recipe.resize](recipe, picture.convert("RGB"))
    array = np.asarray(framed)
    return np.ascontiguousarray(array[:, :, ::-1] if recipe.colour == "BGR" else array)


def normalised(recipe: Recipe, raw: U8) -> F32:
    """Return (raw * scale - mean) / std, float32 [H, W, 3]."""
    x = raw.astype(np.float32) * np.float32(recipe.scale)
    centred = x - np.array(recipe.mean, np.float32)
    return np.asarray(centred / np.array(recipe.std, np.float32), np.float32)


def batched(recipe: Recipe, values: np.ndarray) -> np.ndarray:
    """Return [1, C, H, W] or [1, H, W, C], whichever the network takes, of [H, W, C]."""
    x = values.transpose(2, 0, 1) if recipe.layout == "NCHW" else values
    return np.ascontiguousarray(x)[None]


def resized(picture: Image.Image, size: tuple[int, int], interpolation: str) -> Image.Image:
    """Return the picture at `size` (height, width); "opencv" is bilinear without antialiasing."""
    if interpolation == "opencv":
        return Image.fromarray(_without_antialiasing(np.asarray(picture), size))
    return picture.resize((size[1], size[0]), FILTERS[interpolation])


def _without_antialiasing(source: U8, size: tuple[int, int]) -> U8:
    """Return bilinear samples at half-pixel centres, two by two pixels each, as OpenCV takes."""
    top, bottom, down = _taps(source.shape[0], size[0])
    left, right, along = _taps(source.shape[1], size[1])
    wide = source.astype(np.float64)
    rows = wide[top] * (1 - down)[:, None, None] + wide[bottom] * down[:, None, None]  # [H, w, 3]
    weight = along[None, :, None]
    mixed = rows[:, left] * (1 - weight) + rows[:, right] * weight  # [H, W, 3]
    return np.rint(mixed).astype(np.uint8)


def _taps(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, old - 1), place - first


def _same(recipe: Recipe, picture: Image.Image) -> Image.Image:
    return picture


def _stretch(recipe: Recipe, picture: Image.Image) -> Image.Image:
    return resized(picture, recipe.size, recipe.interpolation)


def _letterbox(recipe: Recipe, picture: Image.Image) -> Image.Image:
    height, width = recipe.size
    ratio = min(height / picture.height, width / picture.width)
    inner = (round(picture.height * ratio), round(picture.width * ratio))
    left, top = (width - inner[1]) // 2, (height - inner[0]) // 2
    if recipe.corner == "top-left":
        left, top = 0, 0
    canvas = Image.new("RGB", (width, height), recipe.pad_colour)
    canvas.paste(resized(picture, inner, recipe.interpolation), (left, top))
    return canvas


def _crop(recipe: Recipe, picture: Image.Image) -> Image.Image:
    short, long = sorted((picture.height, picture.width))
    far = long * recipe.resize_to // short
    tall = picture.height >= picture.width
    inner = (far, recipe.resize_to) if tall else (recipe.resize_to, far)
    large = resized(picture, inner, recipe.interpolation)
    height, width = recipe.size
    left, top = round((inner[1] - width) / 2), round((inner[0] - height) / 2)
    return large.crop((left, top, left + width, top + height))


_FRAMES = {"none": _same, "stretch": _stretch, "letterbox": _letterbox, "crop": _crop}
