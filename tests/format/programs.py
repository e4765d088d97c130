"""A small program by hand with every kind of section, for the tests of the format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bittrue.compiler.program import (
    Program,
    Vector,
    Vectors,
)
from bittrue.compiler.vectors import input_ranges
from tests.programs import Builder

WINDOW = {"stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1}


def small_program() -> Program:
    """A convolution 2x2 over 3x3x1 with padding, then a table, then float."""
    made = Builder()
    x = made.tensor((1, 3, 3, 1), name="x")
    weight = made.constant(np.arange(-4, 4, dtype=np.int8).reshape(2, 2, 2, 1), "w")
    bias = made.constant(np.array([[[3, -3]]], np.int32), "b")
    row = made.constant(np.zeros(3, np.int32), "row")
    col = made.constant(np.zeros(3, np.int32), "col")
    mult = made.constant(np.array([0.25, 0.125], np.float32), "m")
    y = made.tensor((1, 3, 3, 2), name="y")
    made.step(
        "CONV", (x, weight, bias, row, col, mult), y, **WINDOW, groups=1, zero_point=3, hi=255
    )
    table = made.constant(np.arange(255, -1, -1, dtype=np.uint8).reshape(1, 256), "table")
    z = made.tensor((1, 3, 3, 2), name="z")
    made.step("TABLE", (y, table), z)
    scale = made.constant(np.array([0.5], np.float32), "scale")
    f = made.tensor((1, 3, 3, 2), "float32", "f")
    made.step("DEQUANTIZE", (z, scale), f)
    return made.program((x,), (f, z))


def with_some_vectors(program: Program) -> Program:
    """The program with a random and a highest vector whose hashes mean nothing."""
    count = len(program.computed)
    hashes = tuple(bytes([index]) * 32 for index in range(count))
    rows = (Vector("random", 2**64 - 1, hashes), Vector("highest", 0, hashes))
    return replace(program, vectors=Vectors(input_ranges(program), rows))
