"""Codes of inputs and outputs: how a device's host library turns them into values and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Codes:
    """value = (code - zero_point) * scale, codes unsigned of 8 or 16 bits."""

    scale: float
    zero_point: int
    bits: int = 8

    @property
    def dtype(self) -> str:
        """Element type of the buffer that holds them."""
        return f"uint{self.bits}"

    @property
    def limit(self) -> int:
        """The greatest code."""
        return int(2**self.bits - 1)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest codes."""
        codes = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
        return np.asarray(np.clip(codes, 0, self.limit), self.dtype)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return what codes (or what is taken for them) stand for, float32."""
        return ((np.asarray(codes, np.float64) - self.zero_point) * self.scale).astype(np.float32)


def codes_of(arrays: Iterable[np.ndarray], bits: int = 8) -> Codes:
    """Return the codes whose range holds 0 and every value of the arrays."""
    ends = [(float(array.min()), float(array.max())) for array in arrays]
    low, high = min(0.0, *(end[0] for end in ends)), max(0.0, *(end[1] for end in ends))
    scale = max(high - low, 1e-6) / (2**bits - 1)
    return Codes(float(np.float32(scale)), round(-low / scale), bits)
