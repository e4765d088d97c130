"""Draw what Net9Conv finds on a picture.

Run `python show.py PICTURE -o found.png`. Left is the letterboxed picture, right the same with the
probability map laid over it: dark where the network sees no text, bright orange where it does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from net import create
from pictures import letterbox, normalise, read_picture
from PIL import Image

WEIGHTS = Path(__file__).with_name("net_9conv.pt")
MARK = np.array((255, 150, 20), np.float32)


def find_text(weights: Path, pixels: np.ndarray) -> np.ndarray:
    """Return the network's map [160, 160] float32 of a picture [640, 640, 3] uint8, RGB.

    Raises:
        SystemExit: if the weights are missing or belong to another network.
    """
    net = create()
    try:
        net.load_state_dict(torch.load(weights, weights_only=True))
    except UnpicklingError as why:  # PyTorch's own text advises to load it unsafely.
        raise SystemExit(f"error: {weights} is no file of plain tensors") from why
    except (OSError, RuntimeError) as why:
        raise SystemExit(f"error: {weights} holds no weights of Net9Conv: {why}") from why
    with torch.no_grad():
        return np.asarray(net(torch.from_numpy(normalise(pixels[None])))[0, 0])


def overlay(pixels: np.ndarray, prob: np.ndarray) -> Image.Image:
    """Return picture and marked picture side by side, 1280x640 RGB.

    Args:
        pixels: [640, 640, 3] uint8, RGB.
        prob: [160, 160] float32 within [0, 1].
    """
    weight = prob.repeat(4, axis=0).repeat(4, axis=1)[..., None]  # [640, 640, 1]
    dimmed = pixels.astype(np.float32) * 0.35
    marked = dimmed * (1 - weight) + (0.55 * pixels + 0.45 * MARK) * weight
    return Image.fromarray(np.hstack([pixels, np.rint(marked).astype(np.uint8)]))


def main(arguments: list[str]) -> None:
    """Read the picture, run the float network, write the PNG and print the share of text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("picture", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    options = parser.parse_args(arguments)
    pixels = np.asarray(letterbox(read_picture(options.picture)))
    prob = find_text(options.weights, pixels)
    overlay(pixels, prob).save(options.output)
    share = float((prob >= 0.5).mean())
    print(f"{options.output}: text on {share:.1%} of the picture, highest {prob.max():.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
