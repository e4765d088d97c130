"""What the values of a program's constants are, each looked at once.

A program may have 2^20 instructions on one long constant: looking for each of them would take
hours.
"""

from __future__ import annotations

import numpy as np

from bittrue.arith import RESIZE_ONE
from bittrue.compiler.program import Program


class ConstantValues:
    """Facts about constants, found when first asked for and kept by buffer.

    All tensors on one buffer have the same bytes; the shapes that the methods ask for are those
    that the rules of docs/format.md have checked before.
    """

    def __init__(self, program: Program) -> None:
        """Look at nothing yet."""
        self._program = program
        self._limits: dict[int, tuple[int, int]] = {}
        self._finite: dict[int, bool] = {}
        self._pairs: dict[int, bool] = {}

    def limits(self, tensor: int) -> tuple[int, int]:
        """Return the least and greatest value of an int32 constant.

        Args:
            tensor: Its index.
        """
        buffer = self._program.tensors[tensor].buffer
        if buffer not in self._limits:
            array = self._program.constant(tensor)
            self._limits[buffer] = int(array.min()), int(array.max())
        return self._limits[buffer]

    def are_finite(self, tensor: int) -> bool:
        """Return whether all values of a float32 constant are finite.

        Args:
            tensor: Its index.
        """
        buffer = self._program.tensors[tensor].buffer
        if buffer not in self._finite:
            self._finite[buffer] = bool(np.all(np.isfinite(self._program.constant(tensor))))
        return self._finite[buffer]

    def add_up(self, tensor: int) -> bool:
        """Return whether each pair of weights adds up to RESIZE_ONE and none is negative.

        Args:
            tensor: Index of an int32 constant [N, 2].
        """
        buffer = self._program.tensors[tensor].buffer
        if buffer not in self._pairs:
            pairs = self._program.constant(tensor).astype(np.int64)
            sums = pairs.sum(1)
            self._pairs[buffer] = bool(pairs.min() >= 0 and (sums == RESIZE_ONE).all())
        return self._pairs[buffer]
