"""Pictures for Net9Conv: reading, letterboxing, and drawing text on them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from pydoc_data import topics

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 640
PAD_GREY = (114, 114, 114)
SUFFIXES = (".jpg", ".jpeg", ".png")
# In matplotlib's fonts folder there are also symbol fonts, which would draw no letters.
FONT_PATTERNS = ("DejaVuSans*.ttf", "DejaVuSerif*.ttf", "STIXGeneral*.ttf")


@dataclass(frozen=True, slots=True)
class Sources:
    """What the training pictures are made of: photographs, fonts and words."""

    photos: tuple[Image.Image, ...]
    fonts: tuple[Path, ...]
    words: tuple[str, ...]


def list_pictures(folder: Path) -> tuple[Path, ...]:
    """Return the .jpg, .jpeg and .png files of a folder, sorted by name.

    Raises:
        SystemExit: if the folder is missing or holds no picture.
    """
    if not folder.is_dir():
        raise SystemExit(f"error: {folder} is no folder\nhint: give --pictures a folder of photos")
    paths = tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES))
    if not paths:
        raise SystemExit(f"error: {folder} has no {', '.join(SUFFIXES)} file")
    return paths


def read_picture(path: Path) -> Image.Image:
    """Return a picture as RGB.

    Raises:
        SystemExit: if the file is no picture or is damaged.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as why:
        raise SystemExit(f"error: {path} cannot be read as a picture: {why}") from why


def list_fonts(folder: Path) -> tuple[Path, ...]:
    """Return the letter fonts of matplotlib's fonts folder, sorted by name.

    Raises:
        SystemExit: if there is none.
    """
    fonts = tuple(sorted({path for pattern in FONT_PATTERNS for path in folder.glob(pattern)}))
    if not fonts:
        raise SystemExit(f"error: {folder} has none of the fonts {', '.join(FONT_PATTERNS)}")
    return fonts


def english_words() -> tuple[str, ...]:
    """Return the words of Python's own help texts, which every Python has."""
    marks = "`*\"'()[],.:;"
    words = {word.strip(marks) for text in topics.topics.values() for word in text.split()}
    return tuple(sorted(word for word in words if 1 < len(word) < 14 and word.isascii()))


def letterbox(image: Image.Image, side: int = SIDE) -> Image.Image:
    """Return the picture scaled to fit a square, centred, the rest in grey 114.

    Args:
        image: RGB, any size.
        side: Side of the square in pixels.
    """
    scale = min(side / image.width, side / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    square = Image.new("RGB", (side, side), PAD_GREY)
    corner = ((side - size[0]) // 2, (side - size[1]) // 2)
    square.paste(image.resize(size, Image.Resampling.BILINEAR), corner)
    return square


def normalise(pixels: np.ndarray) -> np.ndarray:
    """Return (pixel - 127.5) / 127.5 with channels first.

    Args:
        pixels: [..., H, W, 3] uint8, RGB.

    Returns:
        [..., 3, H, W] float32 within [-1, 1].
    """
    scaled = (pixels.astype(np.float32) - 127.5) / 127.5
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))


def draw_canvas(sources: Sources, rng: np.random.Generator) -> Image.Image:
    """Return one training picture, 640x640 RGB: photographs or a page, mostly with text on it."""
    kind = rng.choice(["mosaic", "photo", "page"], p=[0.4, 0.35, 0.25])
    if kind == "page":
        canvas = _page(sources, rng)
    else:
        canvas = _mosaic(sources, rng) if kind == "mosaic" else _photo(sources, rng)
        for _ in range(int(rng.choice([0, 2, 4, 7], p=[0.25, 0.25, 0.25, 0.25]))):
            _stamp_line(canvas, sources, rng)
    return _wear(canvas, rng)


def _pick_photo(sources: Sources, rng: np.random.Generator) -> Image.Image:
    return sources.photos[int(rng.integers(len(sources.photos)))]


def _photo(sources: Sources, rng: np.random.Generator) -> Image.Image:
    return letterbox(_pick_photo(sources, rng))


def _mosaic(sources: Sources, rng: np.random.Generator) -> Image.Image:
    """Return four photographs side by side: small pictures stay sharp, unlike when enlarged."""
    canvas = Image.new("RGB", (SIDE, SIDE))
    for corner in ((0, 0), (320, 0), (0, 320), (320, 320)):
        photo = _pick_photo(sources, rng)
        scale = max(320 / photo.width, 320 / photo.height)
        size = (int(photo.width * scale) + 1, int(photo.height * scale) + 1)
        canvas.paste(photo.resize(size).crop((0, 0, 320, 320)), corner)
    return canvas


def _page(sources: Sources, rng: np.random.Generator) -> Image.Image:
    """Return a page of text with uneven light, taken from a blurred photograph."""
    light = _pick_photo(sources, rng).resize((SIDE, SIDE)).filter(ImageFilter.GaussianBlur(40))
    paper = Image.new("RGB", (SIDE, SIDE), _colour(rng, 170, 256))
    canvas = Image.blend(light, paper, float(rng.uniform(0.3, 0.95)))
    if rng.random() < 0.2:
        canvas = Image.eval(canvas, lambda value: 255 - value)
    dark = float(np.asarray(canvas).mean()) < 128
    colour = _colour(rng, 190, 256) if dark else _colour(rng, 0, 90)
    sheet = Image.new("L", (SIDE, SIDE), 0)
    pen, top = ImageDraw.Draw(sheet), int(rng.integers(10, 80))
    while top < SIDE - 30:
        size = int(rng.integers(11, 44))
        for _ in range(int(rng.integers(1, 7))):
            text = _words(sources, rng, int(rng.integers(1, 9)))
            pen.text((int(rng.integers(8, 60)), top), text, 255, _font(sources, rng, size))
            top += int(size * rng.uniform(1.2, 1.9))
        top += int(rng.integers(0, 90))
    sheet = sheet.rotate(float(rng.normal(0, 4)), Image.Resampling.BILINEAR)
    canvas.paste(Image.new("RGB", (SIDE, SIDE), colour), (0, 0), sheet)
    return canvas


def _stamp_line(canvas: Image.Image, sources: Sources, rng: np.random.Generator) -> None:
    """Draw one turned line of text somewhere on the canvas, in a colour that can be read there."""
    size = int(np.exp(rng.uniform(np.log(11), np.log(90))))
    font = _font(sources, rng, size)
    text = _words(sources, rng, int(rng.integers(1, 4)))
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    mask = Image.new("L", (right - left + 8, bottom - top + 8), 0)
    ImageDraw.Draw(mask).text((4 - left, 4 - top), text, 255, font)
    mask = mask.rotate(float(rng.normal(0, 8)), Image.Resampling.BILINEAR, expand=True)
    x = int(rng.integers(0, max(1, SIDE - mask.width)))
    y = int(rng.integers(0, max(1, SIDE - mask.height)))
    under = np.asarray(canvas.crop((x, y, min(SIDE, x + mask.width), min(SIDE, y + mask.height))))
    light = bool(under.mean() < 128)
    colour = _colour(rng, 170, 256) if light else _colour(rng, 0, 90)
    if rng.random() < 0.3:
        plate = _colour(rng, 0, 70) if light else _colour(rng, 190, 256)
        canvas.paste(plate, (x, y, x + mask.width, y + mask.height))
    canvas.paste(Image.new("RGB", mask.size, colour), (x, y), mask)


def _colour(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = rng.integers(low, high, 3).tolist()
    return red, green, blue


def _words(sources: Sources, rng: np.random.Generator, count: int) -> str:
    text = " ".join(sources.words[int(rng.integers(len(sources.words)))] for _ in range(count))
    if rng.random() < 0.15:
        text = str(int(rng.integers(10, 10**6)))
    return str(rng.choice([text, text.upper(), text.title()], p=[0.5, 0.3, 0.2]))


def _font(sources: Sources, rng: np.random.Generator, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(sources.fonts[int(rng.integers(len(sources.fonts)))], size)


def _wear(canvas: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the canvas as a camera might give it: softer, noisier, JPEG-coded."""
    canvas = canvas.filter(ImageFilter.GaussianBlur(float(max(0.0, rng.uniform(-0.6, 1.2)))))
    pixels = np.asarray(canvas).astype(np.float32)
    pixels = (pixels - 127.5) * rng.uniform(0.55, 1.1) + 127.5 + rng.uniform(-25, 25)
    pixels += rng.normal(0, rng.uniform(0, 8), pixels.shape)
    worn = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    coded = io.BytesIO()
    worn.save(coded, "JPEG", quality=int(rng.integers(45, 96)))
    return Image.open(coded).convert("RGB")
