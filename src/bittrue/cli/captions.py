"""Lines of text drawn on photographs: what a text detector is to see, made from any pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PROSE = (
    "the river runs past old stone houses and every window shows another street where people "
    "talk about bread weather trains music and the price of a small boat 1984 27.50 No.12 A B"
)
WORDS = PROSE.split()


def with_captions(path: Path, seed: int) -> np.ndarray:
    """Return a picture with four to nine lines of words drawn on it, uint8 RGB [H, W, 3].

    Args:
        path: Any picture that Pillow opens.
        seed: Words, places, sizes and colours follow from it alone.
    """
    rng = np.random.default_rng(seed)
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 10))):
        size = int(height * rng.uniform(0.035, 0.08))
        text = " ".join(rng.choice(WORDS, int(rng.integers(2, 6))))
        place = (rng.uniform(0, 0.5) * width, rng.uniform(0, 0.92) * height)
        dark = bool(rng.integers(2))
        if rng.integers(2):
            box = draw.textbbox(place, text, font=ImageFont.load_default(size))
            draw.rectangle(box, fill=(235, 235, 225) if dark else (25, 30, 40))
        ink = (15, 15, 25) if dark else (250, 250, 240)
        draw.text(place, text, fill=ink, font=ImageFont.load_default(size))
    return np.asarray(image)
