"""Samples that are made rather than found, because then the truth about them is known.

Faces in photographs, lines and pages of text, tones. Everything follows from the seed alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bittrue.cli.captions import WORDS
from bittrue.fetch import fetch

Rng = np.random.Generator
FACES = 100  # of the 200 pictures of scikit-image's LFW subset: faces first, then other things
RATE = 16000  # samples of sound a second
FRAME = 1024  # samples of sound in a frame


# --- faces ---------------------------------------------------------------------------------------


def lfw() -> np.ndarray:
    """Return 100 faces and 100 other things, uint8 [200, 25, 25]."""
    tiles: np.ndarray = np.load(fetch("lfw_subset.npy"))
    return np.asarray(np.rint(tiles * 255), np.uint8)


def enlarge(tile: np.ndarray, side: int) -> np.ndarray:
    """Return a grey picture at another size, uint8 [side, side, 3]."""
    image = Image.fromarray(tile).resize((side, side), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(image)[:, :, None], 3, axis=2)


def scene(
    path: Path, faces: np.ndarray, size: tuple[int, int], sides: tuple[int, int], rng: Rng
) -> tuple[np.ndarray, np.ndarray]:
    """Return a photograph with one to three faces pasted in, and where they are.

    Args:
        path: The photograph.
        faces: uint8 [n, 25, 25] to choose from.
        size: Height and width of the result.
        sides: Least and greatest side of a face in pixels.
        rng: Chooses.

    Returns:
        uint8 [h, w, 3], and float64 [k, 4] corners x0, y0, x1, y1.
    """
    height, width = size
    with Image.open(path) as opened:
        canvas = np.array(opened.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    places: list[tuple[int, int, int, int]] = []
    for _ in range(int(rng.integers(1, 4))):
        side = int(rng.integers(sides[0], sides[1] + 1))
        x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        face = enlarge(faces[int(rng.integers(len(faces)))], side)
        if all(x + side <= a or c <= x or y + side <= b or d <= y for a, b, c, d in places):
            canvas[y : y + side, x : x + side] = face
            places.append((x, y, x + side, y + side))
    return canvas, np.array(places, np.float64).reshape(-1, 4)


# --- text ----------------------------------------------------------------------------------------


def text_line(rng: Rng) -> np.ndarray:
    """Return one line of words, upright, as a text recogniser gets it, uint8 [48, 192, 3]."""
    ink, paper = rng.integers(0, 90, 3), rng.integers(150, 256, 3)
    if rng.integers(2):
        ink, paper = paper, ink
    font = ImageFont.load_default(float(rng.uniform(24, 38)))
    text = " ".join(rng.choice(WORDS, int(rng.integers(1, 4))))
    left, top, right, bottom = map(round, font.getbbox(text))
    image = Image.new("RGB", (right - left + 12, bottom - top + 12), tuple(map(int, paper)))
    ImageDraw.Draw(image).text((6 - left, 6 - top), text, fill=tuple(map(int, ink)), font=font)
    pixels = np.asarray(image.resize((192, 48), Image.Resampling.BILINEAR), np.float64)
    noisy = pixels + rng.normal(0, rng.uniform(0, 12), pixels.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


#: Classes of the layout network that a rendered page holds.
TEXT, TITLE, FIGURE, TABLE = 0, 1, 2, 4


def page(
    photograph: Path, rng: Rng, *, width: int = 608, height: int = 800
) -> tuple[np.ndarray, np.ndarray]:
    """Return a page with a title, paragraphs, a table and a figure, and where they are.

    Returns:
        uint8 [height, width, 3], and float64 [k, 5]: corners x0, y0, x1, y1 and class.
    """
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    margin, y = int(rng.integers(40, 60)), float(rng.integers(30, 60))
    regions: list[tuple[float, ...]] = []
    kinds = [TITLE, TEXT, *rng.permutation([TEXT, TABLE, FIGURE, TEXT])]
    for kind in kinds:
        box = _BLOCKS[int(kind)](image, draw, photograph, (margin, y, width - 2 * margin), rng)
        if box[3] > height - 30:
            draw.rectangle((0, y - 4, width, height), fill="white")
            break
        regions.append((*box, float(kind)))
        y = box[3] + float(rng.integers(18, 34))
    return np.asarray(image), np.array(regions, np.float64)


Place = tuple[int, float, int]  # left, top, width
Box = tuple[float, float, float, float]


def _title(image: Image.Image, draw: ImageDraw.ImageDraw, _: Path, place: Place, rng: Rng) -> Box:
    left, top, width = place
    font = ImageFont.load_default(float(rng.uniform(22, 28)))
    text = " ".join(rng.choice(WORDS, 4)).title()
    middle = left + width / 2 - draw.textlength(text, font=font) / 2
    draw.text((middle, top), text, fill="black", font=font)
    x0, y0, x1, y1 = draw.textbbox((middle, top), text, font=font)
    return float(x0), float(y0), float(x1), float(y1)


def _paragraph(
    image: Image.Image, draw: ImageDraw.ImageDraw, _: Path, place: Place, rng: Rng
) -> Box:
    left, top, width = place
    font = ImageFont.load_default(12.0)
    y = top
    for _line in range(int(rng.integers(5, 9))):
        text = ""
        while draw.textlength(text, font=font) < width - 60:
            text += f"{rng.choice(WORDS)} "
        draw.text((left, y), text.strip(), fill="black", font=font)
        y += 16
    return float(left), top, float(left + width), y


def _table(image: Image.Image, draw: ImageDraw.ImageDraw, _: Path, place: Place, rng: Rng) -> Box:
    left, top, width = place
    rows, columns = int(rng.integers(4, 8)), int(rng.integers(3, 6))
    font, tall = ImageFont.load_default(11.0), 20
    for row in range(rows + 1):
        draw.line((left, top + row * tall, left + width, top + row * tall), fill="black")
    for column in range(columns + 1):
        x = left + column * width / columns
        draw.line((x, top, x, top + rows * tall), fill="black")
    for row, column in np.ndindex(rows, columns):
        text = f"{rng.uniform(0, 100):.2f}" if row and column else str(rng.choice(WORDS))
        draw.text((left + column * width / columns + 6, top + row * tall + 3), text, "black", font)
    return float(left), top, float(left + width), top + rows * tall


def _figure(
    image: Image.Image, draw: ImageDraw.ImageDraw, photograph: Path, place: Place, rng: Rng
) -> Box:
    left, top, width = place
    tall = int(rng.integers(130, 190))
    with Image.open(photograph) as opened:
        wide = min(width, tall * opened.width // opened.height)
        x = left + (width - wide) // 2
        image.paste(opened.convert("RGB").resize((wide, tall)), (x, int(top)))
    return float(x), top, float(x + wide), top + tall


_BLOCKS = {TITLE: _title, TEXT: _paragraph, TABLE: _table, FIGURE: _figure}


# --- sound ---------------------------------------------------------------------------------------


def tone(rng: Rng) -> tuple[np.ndarray, float]:
    """Return one frame of a note with overtones, glide and noise, and its pitch at the middle.

    Returns:
        float32 [1, 1024] at 16 kHz, mean 0 and standard deviation 1; hertz, 60 to 1200.
    """
    hertz = float(np.exp(rng.uniform(np.log(60), np.log(1200))))
    seconds = (np.arange(FRAME) - FRAME / 2) / RATE
    glide = rng.uniform(-0.5, 0.5) * hertz  # hertz a second
    turns = 2 * np.pi * (hertz * seconds + glide * seconds**2 / 2)
    sound = np.zeros(FRAME)
    for overtone in range(1, int(rng.integers(3, 12))):
        if overtone * hertz < RATE / 2:
            loud = rng.uniform(0.3, 1) / overtone
            sound += loud * np.sin(overtone * turns + rng.uniform(0, 2 * np.pi))
    sound += rng.normal(0, rng.uniform(0.001, 0.1), FRAME)
    return normal(sound), hertz


def normal(sound: np.ndarray) -> np.ndarray:
    """Return a frame with mean 0 and standard deviation 1, float32 [1, n]."""
    return np.asarray((sound - sound.mean()) / max(sound.std(), 1e-10), np.float32)[None]
