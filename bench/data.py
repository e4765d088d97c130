"""Samples to calibrate with and samples to judge on, never the same ones.

Photographs: the even half of the ImageNet sample calibrates, the odd half judges. Faces of the LFW
subset likewise. What is rendered has other seeds in either part.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from bench import render
from bittrue.cli.captions import with_captions
from bittrue.contract.preprocess import Preprocess, raw_pixels

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
#: Seeds of what is judged on begin here; those of calibration are below.
JUDGED = 100_000


@dataclass(frozen=True, slots=True)
class Counts:
    """How many samples are made, and how many the slow `quantized` stage is judged on."""

    calibration: int
    judged: int
    quantized: int


@dataclass(frozen=True, slots=True)
class Data:
    """Inputs as the importer's `preprocess` wants them (raw pixels), or float arrays without it.

    Args:
        calibration: To calibrate with.
        samples: To judge on.
        truths: What is true of each of `samples`; 0 where nothing is known.
    """

    calibration: list[np.ndarray]
    samples: list[np.ndarray]
    truths: list[np.ndarray]


Row = TypeVar("Row")
Pair = tuple[np.ndarray, np.ndarray]
Kind = Callable[[Preprocess | None, Counts], Data]
UNKNOWN = np.array(0)


def photograph_rows() -> tuple[list[tuple[Path, int]], list[tuple[Path, int]]]:
    """Return both halves of the ImageNet sample, each row a path and a class."""
    folder = SHARED / "data" / "imagenet500"
    with open(folder / "labels.csv", newline="") as file:
        rows = [row for row in csv.reader(file) if row and row[0].endswith(".jpg")]
    listed = [(folder / row[0], int(row[1])) for row in rows]
    return listed[0::2], listed[1::2]


def _spread(rows: Sequence[Row], count: int) -> list[Row]:
    return [rows[index * len(rows) // count] for index in range(min(count, len(rows)))]


def _given(item: Preprocess | None) -> Preprocess:
    if item is None:
        raise ValueError("this kind of data makes pictures: the case needs preprocessing")
    return item


def drawn(make: Callable[[Preprocess | None, Path, int], Pair]) -> Kind:
    """Return the kind of data that one function makes of a photograph and a seed.

    Args:
        make: Input and truth of one sample.
    """

    def read(item: Preprocess | None, counts: Counts) -> Data:
        even, odd = photograph_rows()
        used = [
            make(item, path, i) for i, (path, _) in enumerate(_spread(even, counts.calibration))
        ]
        kept = [make(item, odd[i % len(odd)][0], JUDGED + i) for i in range(counts.judged)]
        return Data([x for x, _ in used], [x for x, _ in kept], [y for _, y in kept])

    return read


# --- photographs ---------------------------------------------------------------------------------


def photographs(item: Preprocess | None, counts: Counts) -> Data:
    """Return photographs with their ImageNet class."""
    even, odd = photograph_rows()
    recipe = _given(item)
    kept = odd[: counts.judged]
    return Data(
        [raw_pixels(recipe, path) for path, _ in _spread(even, counts.calibration)],
        [raw_pixels(recipe, path) for path, _ in kept],
        [np.array(label) for _, label in kept],
    )


def harmless(item: Preprocess | None, counts: Counts) -> Data:
    """Return photographs; the truth is class 0, as nothing indecent is among them."""
    data = photographs(item, counts)
    return Data(data.calibration, data.samples, [UNKNOWN] * len(data.samples))


def cifar(item: Preprocess | None, counts: Counts) -> Data:
    """Return small pictures with their class; calibration's are spread over the set."""
    recipe = _given(item)
    data = np.load(SHARED / "data" / "cifar10_test2000.npz")
    images, labels = data["images"], data["labels"]
    step = len(images) // counts.calibration
    used = list(range(0, step * counts.calibration, step))
    rest = [index for index in range(len(images)) if index not in set(used)]
    kept = _spread(rest, counts.judged)
    return Data(
        [raw_pixels(recipe, images[index]) for index in used],
        [raw_pixels(recipe, images[index]) for index in kept],
        [np.array(labels[index]) for index in kept],
    )


def _captioned(item: Preprocess | None, path: Path, seed: int) -> Pair:
    return raw_pixels(_given(item), with_captions(path, seed)), UNKNOWN


def _with_one(item: Preprocess | None, path: Path, _: int) -> Pair:
    """Return a photograph at 320 by 320 with a fourth channel of ones, float32 [1, h, w, 4]."""
    with Image.open(path) as opened:
        rgb = opened.convert("RGB").resize((320, 320), Image.Resampling.BILINEAR)
    pixels = np.ones((1, 320, 320, 4), np.float32)
    pixels[0, :, :, :3] = np.asarray(rgb)
    return pixels, UNKNOWN


def mosaics(item: Preprocess | None, counts: Counts) -> Data:
    """Return luma of nine photographs side by side at a third of its size; truth: the whole.

    The photographs are smaller than what the network makes, so that one alone will not do.
    """
    even, odd = photograph_rows()
    recipe = _given(item)
    used = [_mosaic(even, index) for index in range(counts.calibration)]
    kept = [_mosaic(odd, index) for index in range(counts.judged)]
    return Data(
        [raw_pixels(recipe, _third(whole)) for whole in used],
        [raw_pixels(recipe, _third(whole)) for whole in kept],
        [whole.astype(np.float32) / 255 for whole in kept],
    )


def _mosaic(rows: list[tuple[Path, int]], index: int) -> np.ndarray:
    """Return the luma of nine photographs' middles, uint8 [672, 672]."""
    tiles = []
    for place in range(9):
        with Image.open(rows[(9 * index + place) % len(rows)][0]) as opened:
            luma = opened.convert("YCbCr").getchannel(0)
        left, top = (luma.width - 224) // 2, (luma.height - 224) // 2
        tiles.append(np.asarray(luma.crop((left, top, left + 224, top + 224))))
    return np.vstack([np.hstack(tiles[row * 3 : row * 3 + 3]) for row in range(3)])


def _third(whole: np.ndarray) -> np.ndarray:
    height, width = whole.shape
    image = Image.fromarray(whole)
    return np.asarray(image.resize((width // 3, height // 3), Image.Resampling.BICUBIC))


# --- faces ---------------------------------------------------------------------------------------


def scenes(least: int, most: int) -> Kind:
    """Return photographs with faces of that many pixels pasted in; truth: where they are."""

    def make(item: Preprocess | None, path: Path, seed: int) -> Pair:
        recipe = _given(item)
        faces = render.lfw()[: render.FACES][int(seed >= JUDGED) :: 2]
        rng = np.random.default_rng(seed)
        picture, places = render.scene(path, faces, recipe.size, (least, most), rng)
        return raw_pixels(recipe, picture), places

    return drawn(make)


def face_windows(item: Preprocess | None, counts: Counts) -> Data:
    """Return single faces and other things; truth: 1 for a face."""
    recipe = _given(item)
    tiles = [render.enlarge(tile, recipe.size[0]) for tile in render.lfw()]
    inputs = [raw_pixels(recipe, tile) for tile in tiles]
    kept = _spread(list(range(1, len(inputs), 2)), counts.judged)
    return Data(
        _spread(inputs[0::2], counts.calibration),
        [inputs[index] for index in kept],
        [np.array(int(index < render.FACES)) for index in kept],
    )


def mirrored_faces(item: Preprocess | None, counts: Counts) -> Data:
    """Return faces, each followed by its mirror picture."""
    recipe = _given(item)
    tiles = [render.enlarge(tile, recipe.size[0]) for tile in render.lfw()[: render.FACES]]
    pairs = [[raw_pixels(recipe, tile), raw_pixels(recipe, tile[:, ::-1])] for tile in tiles]
    used = [x for pair in pairs[0::2] for x in pair]
    kept = [x for pair in pairs[1::2][: counts.judged // 2] for x in pair]
    return Data(_spread(used, counts.calibration), kept, [UNKNOWN] * len(kept))


# --- text ----------------------------------------------------------------------------------------


def _text_line(item: Preprocess | None, _: Path, seed: int) -> Pair:
    line = render.text_line(np.random.default_rng(seed))
    turned = seed % 2
    return raw_pixels(_given(item), line[::-1, ::-1] if turned else line), np.array(turned)


def _page(item: Preprocess | None, path: Path, seed: int) -> Pair:
    picture, regions = render.page(path, np.random.default_rng(seed))
    return raw_pixels(_given(item), picture), regions


def _turned_page(item: Preprocess | None, path: Path, seed: int) -> Pair:
    """Return a page turned by a multiple of 90 degrees clockwise; truth: that multiple."""
    picture, _ = render.page(path, np.random.default_rng(seed))
    turns = seed % 4
    return raw_pixels(_given(item), np.rot90(picture, -turns)), np.array(turns)


# --- sound ---------------------------------------------------------------------------------------


def _tone(_: Preprocess | None, __: Path, seed: int) -> Pair:
    sound, hertz = render.tone(np.random.default_rng(seed))
    return sound, np.array(hertz)


captioned = drawn(_captioned)
with_one = drawn(_with_one)
text_lines = drawn(_text_line)
pages = drawn(_page)
turned_pages = drawn(_turned_page)
tones = drawn(_tone)
