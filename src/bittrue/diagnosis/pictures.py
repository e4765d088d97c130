"""Is a picture one that can show anything? Noise and flat pictures hide what real ones show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bittrue.contract.picture import read_picture
from bittrue.diagnosis.scene import Frame

#: A picture with a smaller spread of grey levels is flat.
FLAT = 2.0
#: Correlation of neighbouring pixels below which a picture is noise; photographs have 0.8 or more.
NOISE = 0.15


def picture_of(frame: Frame) -> NDArray[np.uint8] | None:
    """Return a frame's picture as it is, uint8 [1, H, W, C], without the pad around it."""
    if frame.picture is None:
        return frame.pixels
    return read_picture(frame.picture, grey=False, background=(255, 255, 255))[None]


def is_flat(pixels: NDArray[np.uint8]) -> bool:
    """Return whether a picture shows nothing at all: then no experiment can tell mistakes apart."""
    return float(pixels[0].astype(np.float64).mean(axis=-1).std()) < FLAT


def unrepresentative(pixels: NDArray[np.uint8]) -> str:
    """Return why a picture says nothing about real ones; empty for a picture that may.

    Args:
        pixels: uint8 [1, H, W, C].
    """
    grey = pixels[0].astype(np.float64).mean(axis=-1)  # [H, W]
    spread = float(grey.std())
    if spread < FLAT:
        return f"the picture is flat: its grey levels spread by {spread:.2g} of 255"
    near = _correlation(grey[:, :-1], grey[:, 1:])
    below = _correlation(grey[:-1], grey[1:])
    if max(near, below) < NOISE:
        return (
            f"the picture is noise: neighbouring pixels correlate by {max(near, below):.2f}, in "
            "photographs by 0.8 or more"
        )
    return ""


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a, b = one - one.mean(), other - other.mean()
    power = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / power if power else 0.0
