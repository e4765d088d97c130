"""Pictures: what a device is calibrated with, thresholds are tuned on, and results are made of.

Photographs, small pictures and faces are dealt into three parts that share none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bittrue.fetch import fetch

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
#: Which of every four pictures belong to which part.
PARTS = {"calibration": (0, 2), "dev": (1,), "test": (3,)}
#: The first hundred rows of the LFW subset are faces, the others are not.
FACES = 100
WORDS = ["total", "invoice", "street", "please", "return", "parts", "before", "Monday", "4711"]

Draw = Callable[[str, int], Image.Image]


def dealt(part: str, count: int) -> list[int]:
    """Return the indices below `count` that belong to a part."""
    return [index for index in range(count) if index % 4 in PARTS[part]]


def photograph(part: str, number: int) -> Image.Image:
    """Return one photograph of the ImageNet sample."""
    paths = sorted((DATA / "imagenet500").glob("*.jpg"))
    mine = dealt(part, len(paths))
    with Image.open(paths[mine[number * 7 % len(mine)]]) as opened:
        return opened.convert("RGB")


def tiled(part: str, number: int) -> Image.Image:
    """Return four photographs side by side: larger than what networks see, so that it shrinks."""
    whole = Image.new("RGB", (682, 512))
    for place in range(4):
        one = photograph(part, number + place).resize((341, 256), Image.Resampling.BICUBIC)
        whole.paste(one, (341 * (place % 2), 256 * (place // 2)))
    return whole


def small(part: str, number: int) -> Image.Image:
    """Return one picture of CIFAR-10, 32 by 32."""
    with np.load(DATA / "cifar10_test2000.npz") as data:
        images = data["images"]
    mine = dealt(part, len(images))
    return Image.fromarray(images[mine[number * 13 % len(mine)]])


def scene(part: str, number: int) -> Image.Image:
    """Return a photograph with two faces pasted in."""
    rng = np.random.default_rng([number, len(part)])
    picture = photograph(part, number).resize((480, 400), Image.Resampling.BICUBIC)
    for place in range(2):
        side = int(rng.integers(90, 180))
        left = int(rng.integers(0, 60)) + 240 * place
        picture.paste(_face(part, number * 2 + place, side), (left, int(rng.integers(0, 200))))
    return picture


def face(part: str, number: int) -> Image.Image:
    """Return one face with some of a photograph around it, 96 high and 120 wide."""
    picture = photograph(part, number).resize((120, 96), Image.Resampling.BICUBIC)
    picture.paste(_face(part, number, 76), (20, 10))
    return picture


def captioned(part: str, number: int) -> Image.Image:
    """Return a photograph with a few lines of text."""
    picture = photograph(part, number).resize((640, 480), Image.Resampling.BICUBIC)
    _write(picture, np.random.default_rng([number, len(part), 1]), lines=4, pixels=34)
    return picture


def page(part: str, number: int) -> Image.Image:
    """Return a page of text with a photograph on it."""
    picture = Image.new("RGB", (480, 640), (250, 248, 240))
    shown = photograph(part, number).resize((200, 150), Image.Resampling.BICUBIC)
    picture.paste(shown, (140, 20))
    _write(picture, np.random.default_rng([number, len(part), 2]), lines=14, pixels=20)
    return picture


def line(part: str, number: int) -> Image.Image:
    """Return one line of text on a strip of a photograph, 96 high and 384 wide, upright or not."""
    picture = photograph(part, number).resize((384, 96), Image.Resampling.BICUBIC)
    _write(picture, np.random.default_rng([number, len(part), 3]), lines=1, pixels=40)
    return picture.rotate(180) if number % 2 else picture


def noise(size: tuple[int, int], number: int) -> Image.Image:
    """Return uniform noise, height and width given."""
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))


def constant(size: tuple[int, int], number: int) -> Image.Image:
    """Return a picture of one colour."""
    return Image.new("RGB", (size[1], size[0]), ((40 * number + 30) % 256, 128, 128))


def _face(part: str, number: int, side: int) -> Image.Image:
    """Return a face in the colours of skin: a grey one would hide mistakes of colour."""
    faces = np.load(fetch("lfw_subset.npy"), allow_pickle=False)[:FACES]  # [100, 25, 25]
    mine = dealt(part, FACES)
    grey = faces[mine[number % len(mine)]]
    tint = np.array([255.0, 205.0, 170.0])
    coloured: NDArray[np.uint8] = np.rint(grey[:, :, None] * tint).astype(np.uint8)
    return Image.fromarray(coloured).resize((side, side), Image.Resampling.BICUBIC)


def _write(picture: Image.Image, rng: np.random.Generator, *, lines: int, pixels: int) -> None:
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(pixels)
    step = picture.height // (lines + 1)
    for line in range(lines):
        words = " ".join(str(word) for word in rng.choice(WORDS, 4))
        ink = tuple(int(part) for part in rng.integers(0, 90, 3))
        pen.text((int(rng.integers(5, 60)), step * (line + 1) - pixels // 2), words, ink, font=font)


KINDS: dict[str, Draw] = {
    "photograph": photograph,
    "tiled": tiled,
    "small": small,
    "scene": scene,
    "face": face,
    "captioned": captioned,
    "page": page,
    "line": line,
}
