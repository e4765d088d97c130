"""The deployed network's front door: what its picture input takes, and how it reads a buffer.

A runtime compares bytes at most. Another element type is cast without a word, another order of axes
is taken for the right one: `Door.read` does the same, so that what a device made of a wrong buffer
can be known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bittrue.contract.preprocess import Preprocess, affine, normalised_range
from bittrue.contract.tensor import HOLDS_CODES, HOLDS_PIXELS, TensorContract

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Kind = Literal["pixels", "values", "codes"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """The affine map from a pixel to what the network computes with, for each channel.

    ``value = (pixel * scale - mean) / std``

    Args:
        scale: One positive number.
        mean: float64 [C].
        std: float64 [C], positive.
    """

    scale: float
    mean: F64
    std: F64

    def __call__(self, pixels: np.ndarray) -> F32:
        """Return the values of pixels [..., C], float32; any real numbers are taken for pixels."""
        wide = np.asarray(pixels, np.float64)
        return np.asarray((wide * self.scale - self.mean) / self.std, np.float32)

    def undo(self, values: np.ndarray) -> F64:
        """Return the pixels of values [..., C], float64, neither rounded nor cut off."""
        wide = np.asarray(values, np.float64)
        return np.asarray((wide * self.std + self.mean) / self.scale, np.float64)


def scaling_of(preprocess: Preprocess) -> Scaling:
    """Return the affine half of a preprocessing."""
    offset, factor = affine(preprocess)
    mean = offset * preprocess.scale
    return Scaling(preprocess.scale, mean, preprocess.scale / factor)


@dataclass(frozen=True, slots=True)
class Door:
    """What the deployed network takes at its picture input.

    Args:
        kind: "pixels": 0 to 255, normalised inside; "values": normalised by the host; "codes":
            normalised and quantised by the host.
        shape: Of one frame, [1, H, W, C].
        dtype: Element type of the buffer.
        planar: Whether the buffer is NCHW.
        scaling: What makes values of pixels.
        scale: Of one code; 1 where kind is not "codes".
        zero_point: Code of 0.
        limits: Values beyond these are cut off inside; None for none.
    """

    kind: Kind
    shape: tuple[int, int, int, int]
    dtype: str
    planar: bool
    scaling: Scaling
    scale: float = 1.0
    zero_point: int = 0
    limits: tuple[float, float] | None = None

    def read(self, sent: np.ndarray) -> F32 | None:
        """Return the values [1, H, W, C] that the network computes with when it is sent an array.

        None where the array has another number of elements: no runtime takes that.
        """
        if sent.size != math.prod(self.shape):
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            held = np.ascontiguousarray(sent).astype(self.dtype, copy=False)
        return self.values_of(self.frame(held))

    def frame(self, held: np.ndarray) -> np.ndarray:
        """Return a buffer as it lies in memory as [1, H, W, C]."""
        _, height, width, channels = self.shape
        if self.planar:
            return held.reshape(1, channels, height, width).transpose(0, 2, 3, 1)
        return held.reshape(self.shape)

    def values_of(self, frame: np.ndarray) -> F32:
        """Return what the network computes with for what a buffer [1, H, W, C] holds."""
        if self.kind == "pixels":
            return self.scaling(frame)
        wide = np.asarray(frame, np.float64)
        if self.kind == "codes":
            wide = (wide - self.zero_point) * self.scale
        return self.cut(np.asarray(wide, np.float32))

    def cut(self, values: F32) -> F32:
        """Return values with what is beyond the limits cut off."""
        if self.limits is None:
            return values
        low, high = np.array(self.limits, np.float32)
        return np.asarray(np.clip(values, low, high), np.float32)


def door_of(row: TensorContract, preprocess: Preprocess) -> Door:
    """Return the door that a deployed contract describes.

    Args:
        row: Of the picture input.
        preprocess: As the network was trained with.
    """
    kind: Kind = "values"
    if row.holds == HOLDS_PIXELS:
        kind = "pixels"
    elif row.scale is not None and (row.holds == HOLDS_CODES or row.dtype not in _FLOATS):
        kind = "codes"
    planar = _is_planar(row, preprocess)
    limits = row.value_range if kind == "values" else None
    codes = kind == "codes"
    return Door(
        kind,
        preprocess.raw_shape,
        row.dtype,
        planar,
        scaling_of(preprocess),
        float(row.scale or 1.0) if codes else 1.0,
        row.zero_point if codes else 0,
        limits,
    )


_FLOATS = ("float32", "float16", "float64")


def _is_planar(row: TensorContract, preprocess: Preprocess) -> bool:
    if row.layout:
        return row.layout in ("NCHW", "CHW")
    planar = (1, preprocess.channels, *preprocess.size)
    return tuple(row.shape) == planar != preprocess.raw_shape


def usual_doors(preprocess: Preprocess) -> tuple[Door, ...]:
    """Return the doors that a device may have where nobody said: raw pixels, or values."""
    scaling, shape = scaling_of(preprocess), preprocess.raw_shape
    planar = preprocess.layout == "NCHW"
    return (
        Door("values", shape, preprocess.dtype, planar, scaling),
        Door(
            "values",
            shape,
            preprocess.dtype,
            planar,
            scaling,
            limits=normalised_range(preprocess),
        ),
        Door("pixels", shape, "uint8", False, scaling),
        Door("pixels", shape, "uint8", False, scaling, limits=normalised_range(preprocess)),
    )
