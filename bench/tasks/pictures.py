"""Networks that make pictures: PSNR against the float network's, and against the true picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from bench.tasks.figure import Figure, Outputs, Task, figure, mean, nothing, only


def psnr(one: np.ndarray, two: np.ndarray) -> float:
    """Return the PSNR in dB of two pictures with peak 1, at most 120."""
    error = float(np.mean((one.astype(np.float64) - two.astype(np.float64)) ** 2))
    return float(-10 * np.log10(max(error, 1e-12)))


def _alike(
    exact: Sequence[Outputs], found: Sequence[Outputs], _: Sequence[np.ndarray]
) -> tuple[Figure, ...]:
    rows = np.array([psnr(only(a), only(b)) for a, b in zip(exact, found, strict=True)])
    return (figure("PSNR against float", rows, mean, "dB"),)


#: No truth.
LIKENESS = Task(nothing, _alike)


def _enlarged(outputs: Sequence[Outputs], truths: Sequence[np.ndarray]) -> tuple[Figure, ...]:
    """Return PSNR against the true picture, and what is gained over bicubic enlargement."""
    made = np.array([psnr(_picture(row), y) for row, y in zip(outputs, truths, strict=True)])
    plain = np.array([psnr(_bicubic(y), y) for y in truths])
    return (
        figure("PSNR against truth", made, mean, "dB"),
        figure("over bicubic", made - plain, mean, "dB"),
    )


def _picture(outputs: Outputs) -> np.ndarray:
    return np.asarray(np.clip(only(outputs)[0, 0], 0, 1))


def _bicubic(truth: np.ndarray) -> np.ndarray:
    height, width = truth.shape
    image = Image.fromarray(np.rint(truth * 255).astype(np.uint8))
    small = image.resize((width // 3, height // 3), Image.Resampling.BICUBIC)
    large = small.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32) / 255


def _enlarged_alike(
    exact: Sequence[Outputs], found: Sequence[Outputs], truths: Sequence[np.ndarray]
) -> tuple[Figure, ...]:
    return (*_alike(exact, found, truths), *_enlarged(found, truths))


#: Truth: luma [h, w] from 0 to 1, of which the input is a third.
ENLARGED = Task(_enlarged, _enlarged_alike)
