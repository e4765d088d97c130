"""Random valid programs of one instruction, for the tests of kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bittrue.compiler.instructions import (
    BINARY_FUNCTIONS,
    COMPARE_FUNCTIONS,
    COPY_RANK,
    REDUCTIONS,
    UNARY_FUNCTIONS,
)
from bittrue.compiler.program import Program
from tests.programs import Builder

FILLS = ("random", "least", "most")


def fill_codes(rng: np.random.Generator, shape: tuple[int, ...], fill: str) -> np.ndarray:
    """Return uint8 codes: random, all 0 or all 255."""
    if fill == "random":
        return rng.integers(0, 256, shape, np.uint8)
    return np.full(shape, 0 if fill == "least" else 255, np.uint8)


@dataclass(frozen=True, slots=True)
class Case:
    """A program, and the arrays for its inputs."""

    program: Program
    inputs: tuple[np.ndarray, ...]


# --- windows ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConvShape:
    """The geometry of one convolution."""

    x: tuple[int, int, int, int]
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    groups: int = 1

    @property
    def out(self) -> tuple[int, int]:
        """Height and width of the output."""
        sizes = []
        for axis in range(2):
            reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
            padded = self.x[1 + axis] + self.pad[axis] + self.pad[2 + axis]
            sizes.append((padded - reach) // self.stride[axis] + 1)
        return sizes[0], sizes[1]

    def window(self) -> dict[str, int]:
        """The parameters of a window."""
        return {
            "stride_h": self.stride[0],
            "stride_w": self.stride[1],
            "dilation_h": self.dilation[0],
            "dilation_w": self.dilation[1],
            "pad_top": self.pad[0],
            "pad_left": self.pad[1],
        }


def codes(rng: np.random.Generator) -> dict[str, int]:
    """Return a zero point and a range; often the whole one."""
    lo, hi = sorted(rng.integers(0, 256, 2).tolist()) if rng.random() < 0.3 else (0, 255)
    return {"zero_point": int(rng.integers(0, 256)), "lo": lo, "hi": hi}


def multipliers(rng: np.random.Generator, shape: tuple[int, ...], steps: float) -> np.ndarray:
    """Return float32 multipliers that bring `steps` to about the range of codes.

    One in four is a power of two times 1.5 or 0.5, which makes ties common.
    """
    values = rng.uniform(0.2, 2.0, shape) * 255 / steps
    ties = 2.0 ** np.round(np.log2(values))
    return np.where(rng.random(shape) < 0.25, ties, values).astype(np.float32)


def conv_case(
    rng: np.random.Generator,
    shape: ConvShape,
    *,
    fill: str = "random",
    weight: np.ndarray | None = None,
    f32: bool = False,
    classes: tuple[int, int] = (1, 1),
) -> Case:
    """A CONV; every class of rows and columns has a bias of its own."""
    made = Builder()
    x = made.tensor(shape.x)
    y = add_conv(made, rng, shape, x, weight=weight, f32=f32, classes=classes)
    return Case(made.program((x,), (y,)), (fill_codes(rng, shape.x, fill),))


def conv_chain_case(rng: np.random.Generator, shapes: tuple[ConvShape, ...]) -> Case:
    """Several CONVs, each on what the one before gives; the input is all 255."""
    made = Builder()
    x = y = made.tensor(shapes[0].x)
    for shape in shapes:
        y = add_conv(made, rng, shape, y)
    return Case(made.program((x,), (y,)), (fill_codes(rng, shapes[0].x, "most"),))


def add_conv(
    made: Builder,
    rng: np.random.Generator,
    shape: ConvShape,
    x: int,
    *,
    weight: np.ndarray | None = None,
    f32: bool = False,
    classes: tuple[int, int] = (1, 1),
) -> int:
    """Add a CONV on tensor `x`; return its output."""
    deep = shape.x[3] // shape.groups
    if weight is None:
        weight = rng.integers(-127, 128, (shape.outputs, *shape.kernel, deep), np.int8)
    height, width = shape.out
    sums = np.abs(weight.astype(np.int64)).reshape(shape.outputs, -1).sum(1)
    steps = max(1.0, float(sums.max()) * 128 / np.sqrt(weight[0].size))
    bias = rng.integers(-int(steps) - 1, int(steps) + 1, (*classes, shape.outputs), np.int32)
    constants = (
        made.constant(weight),
        made.constant(bias),
        made.constant(rng.integers(0, classes[0], height, np.int32)),
        made.constant(rng.integers(0, classes[1], width, np.int32)),
        made.constant(multipliers(rng, (shape.outputs,), steps)),
    )
    y = made.tensor((shape.x[0], height, width, shape.outputs), "float32" if f32 else "uint8")
    limits = {"zero_point": 0, "lo": 0, "hi": 0} if f32 else codes(rng)
    params = {**shape.window(), "groups": shape.groups, **limits}
    made.step("CONV", (x, *constants), y, **params)
    return y


def random_window(rng: np.random.Generator, channels: int) -> ConvShape:
    """Return a small window with every parameter in play."""
    while True:
        kernel, stride, dilation = (
            tuple(rng.integers(1, most + 1, 2).tolist()) for most in (4, 3, 2)
        )
        x = (*rng.integers(1, (3, 9, 9)).tolist(), channels)
        shape = ConvShape(
            x, channels, kernel, stride, dilation, tuple(rng.integers(-1, 4, 4).tolist())
        )
        if min(shape.out) >= 1:
            return shape


def pool_case(rng: np.random.Generator, kind: str) -> Case:
    """A MAX_POOL or an AVG_POOL."""
    shape = random_window(rng, int(rng.choice([1, 3, 16, 70, 300])))
    made = Builder()
    x = made.tensor(shape.x)
    height, width = shape.out
    y = made.tensor((shape.x[0], height, width, shape.x[3]))
    params = {"kernel_h": shape.kernel[0], "kernel_w": shape.kernel[1], **shape.window()}
    inputs: tuple[int, ...] = (x,)
    if kind == "AVG_POOL":
        rows, cols = (int(count) for count in rng.integers(1, 4, 2))
        inputs += (
            made.constant(rng.integers(0, rows, height, np.int32)),
            made.constant(rng.integers(0, cols, width, np.int32)),
            made.constant(multipliers(rng, (rows, cols), 128.0 * np.prod(shape.kernel))),
        )
        params |= {"zero_x": int(rng.integers(0, 256)), **codes(rng)}
    made.step(kind, inputs, y, **params)
    return Case(made.program((x,), (y,)), (fill_codes(rng, shape.x, str(rng.choice(FILLS))),))


# --- elementwise -------------------------------------------------------------------------------


def random_shape(rng: np.random.Generator, most: int = 9) -> tuple[int, ...]:
    """Return 1 to 6 axes of small lengths, the last one longer."""
    rank = int(rng.integers(1, 7))
    most = most if rank <= 4 else 4
    return (*rng.integers(1, most, rank - 1).tolist(), int(rng.integers(1, 40)))


def floats(rng: np.random.Generator, shape: tuple[int, ...], scale: float = 4.0) -> np.ndarray:
    """Return float32 values with ties, zeros of both signs, denormals and infinities among them."""
    values = (rng.standard_normal(shape) * scale).astype(np.float32)
    odd = np.array([0.0, -0.0, 0.5, -0.5, 1e-42, np.inf, -np.inf, 100.0, -100.0], np.float32)
    return np.where(rng.random(shape) < 0.1, rng.choice(odd, shape), values)


#: Instructions on two tensors of codes: how many multipliers they have, and about how large
#: their results are before those.
PAIRS = {"ADD": (2, 256.0), "MUL": (1, 65536.0), "DIV": (1, 2.0), "MIN": (2, 256.0)} | {
    "MAX": (2, 256.0),
    "COMPARE": (2, 256.0),
}


def binary_case(rng: np.random.Generator, kind: str) -> Case:
    """One of PAIRS or F32_BINARY, sometimes broadcast, sometimes in place."""
    shape = random_shape(rng)
    dtype = "float32" if kind == "F32_BINARY" else "uint8"
    drop = rng.random((2, len(shape))) < rng.choice([0.0, 0.3])
    drop[1] &= ~drop[0]
    sides = [
        tuple(1 if gone else dim for dim, gone in zip(shape, row, strict=True)) for row in drop
    ]
    made = Builder()
    a, b = (made.tensor(side, dtype) for side in sides)
    in_place = sides[0] == shape and rng.random() < 0.3
    y = made.alias(a, shape) if in_place else made.tensor(shape, dtype)
    inputs: tuple[int, ...] = (a, b)
    if kind == "F32_BINARY":
        params = {"function": int(rng.integers(len(BINARY_FUNCTIONS)))}
        arrays = tuple(floats(rng, side) for side in sides)
    else:
        channels = int(rng.choice([1, shape[-1]]))
        count, steps = PAIRS[kind]
        mult = multipliers(rng, (*(2,) * (count > 1), channels), steps)
        mult = mult * np.where(rng.random(mult.shape) < 0.3, np.float32(-1), np.float32(1))
        if kind in ("MIN", "MAX", "COMPARE") and rng.random() < 0.5:
            mult[1] = mult[0]  # equal values are common then
        inputs += (made.constant(mult.astype(np.float32)),)
        zeros = {name: int(rng.integers(0, 256)) for name in ("zero_a", "zero_b")}
        params = zeros | (
            {"function": int(rng.integers(len(COMPARE_FUNCTIONS)))}
            if kind == "COMPARE"
            else codes(rng)
        )
        arrays = tuple(fill_codes(rng, side, str(rng.choice(FILLS))) for side in sides)
    made.step(kind, inputs, y, **params)
    return Case(made.program((a, b), (y,)), arrays)


def table_case(rng: np.random.Generator) -> Case:
    """A TABLE, sometimes one a channel, sometimes in place."""
    shape = random_shape(rng)
    made = Builder()
    x = made.tensor(shape)
    table = made.constant(rng.integers(0, 256, (int(rng.choice([1, shape[-1]])), 256), np.uint8))
    y = made.alias(x, shape) if rng.random() < 0.3 else made.tensor(shape)
    made.step("TABLE", (x, table), y)
    return Case(made.program((x,), (y,)), (fill_codes(rng, shape, "random"),))


def scaled_case(rng: np.random.Generator, kind: str) -> Case:
    """A QUANTIZE or a DEQUANTIZE."""
    shape = random_shape(rng)
    quantize = kind == "QUANTIZE"
    made = Builder()
    x = made.tensor(shape, "float32" if quantize else "uint8")
    scale = rng.choice([0.5, 0.03125, 0.1, 1e-3], int(rng.choice([1, shape[-1]])))
    y = made.tensor(shape, "uint8" if quantize else "float32")
    inputs = (x, made.constant(scale.astype(np.float32)))
    made.step(kind, inputs, y, zero_point=int(rng.integers(0, 256)))
    array = floats(rng, shape) if quantize else fill_codes(rng, shape, "random")
    return Case(made.program((x,), (y,)), (array,))


def float_case(rng: np.random.Generator, kind: str) -> Case:
    """An F32_UNARY, sometimes in place, or an F32_SOFTMAX of finite values."""
    shape = random_shape(rng)
    made = Builder()
    x = made.tensor(shape, "float32")
    in_place = kind == "F32_UNARY" and rng.random() < 0.3
    y = made.alias(x, shape) if in_place else made.tensor(shape, "float32")
    params = {"function": int(rng.integers(len(UNARY_FUNCTIONS)))} if kind == "F32_UNARY" else {}
    made.step(kind, (x,), y, **params)
    array = floats(rng, shape, 30.0)
    if kind == "F32_SOFTMAX":
        array = np.clip(array, -500, 500)
    return Case(made.program((x,), (y,)), (array,))


# --- sums of products, and of neighbours -------------------------------------------------------


def matmul_case(rng: np.random.Generator) -> Case:
    """A MATMUL of 2 to 6 axes, leading ones broadcast, to codes or to float32."""
    lead = tuple(rng.integers(1, 4, int(rng.integers(0, 5))).tolist())
    drop = rng.random((2, len(lead))) < 0.3
    drop[1] &= ~drop[0]
    rows, cols = (int(size) for size in rng.integers(1, 12, 2))
    depth = int(rng.choice([1, 2, 7, 16, 33, 64, 200]))
    sides = [
        (*(1 if gone else dim for dim, gone in zip(lead, row, strict=True)), size, depth)
        for row, size in zip(drop, (rows, cols), strict=True)
    ]
    f32 = rng.random() < 0.3
    made = Builder()
    a, b = (made.tensor(side) for side in sides)
    steps = 65536.0 * np.sqrt(depth) / 4
    mult = made.constant(multipliers(rng, (int(rng.choice([1, cols])),), steps))
    y = made.tensor((*lead, rows, cols), "float32" if f32 else "uint8")
    zeros = {name: int(rng.integers(0, 256)) for name in ("zero_a", "zero_b")}
    limits = {"zero_point": 0, "lo": 0, "hi": 0} if f32 else codes(rng)
    made.step("MATMUL", (a, b, mult), y, **(zeros | limits))
    arrays = tuple(fill_codes(rng, side, str(rng.choice(FILLS))) for side in sides)
    return Case(made.program((a, b), (y,)), arrays)


def resize_case(rng: np.random.Generator) -> Case:
    """A RESIZE_LINEAR with any neighbours, weights 0 and 2048 among them."""
    batch, height, width, rows, cols = rng.integers(1, 8, 5).tolist()
    channels = int(rng.choice([1, 3, 16, 33]))
    made = Builder()
    x = made.tensor((batch, height, width, channels))
    y = made.tensor((batch, rows, cols, channels))
    constants = []
    for count, limit in ((rows, height), (cols, width)):
        later = rng.choice([0, 512, 1024, 2048, *rng.integers(0, 2049, 4)], count)
        constants += [
            made.constant(rng.integers(0, limit, (count, 2), np.int32)),
            made.constant(np.stack([2048 - later, later], 1).astype(np.int32)),
        ]
    made.step("RESIZE_LINEAR", (x, *constants), y)
    shape = made.tensors[x].shape
    return Case(made.program((x,), (y,)), (fill_codes(rng, shape, str(rng.choice(FILLS))),))


def where_case(rng: np.random.Generator) -> Case:
    """An F32_WHERE, sometimes broadcast; zeros of both signs are false."""
    shape = random_shape(rng)
    drop = rng.random((3, len(shape))) < rng.choice([0.0, 0.3])
    drop[2] &= ~(drop[0] & drop[1])
    sides = [
        tuple(1 if gone else dim for dim, gone in zip(shape, row, strict=True)) for row in drop
    ]
    made = Builder()
    inputs = tuple(made.tensor(side, "float32") for side in sides)
    y = made.tensor(shape, "float32")
    made.step("F32_WHERE", inputs, y)
    condition = rng.choice(np.array([0.0, -0.0, 1.0, -2.0, np.nan], np.float32), sides[0])
    return Case(made.program(inputs, (y,)), (condition, *(floats(rng, s) for s in sides[1:])))


def reduce_case(rng: np.random.Generator) -> Case:
    """An F32_REDUCE over up to 100 elements, around its 16 lanes."""
    lead = random_shape(rng)[:-1]
    length = int(rng.choice([1, 2, 15, 16, 17, 32, 33, 48, 100]))
    made = Builder()
    x = made.tensor((*lead, length), "float32")
    y = made.tensor((*lead, 1), "float32")
    made.step("F32_REDUCE", (x,), y, function=int(rng.integers(len(REDUCTIONS))))
    array = (rng.standard_normal((*lead, length)) * 4).astype(np.float32)
    zeros = np.zeros(array.shape, np.float32) * np.sign(array)  # of both signs
    mixed = np.where(rng.random(lead) < 0.2, True, False)[..., None]
    odd = floats(rng, array.shape)
    return Case(
        made.program((x,), (y,)),
        (np.where(mixed, zeros, np.where(rng.random((*lead, 1)) < 0.3, odd, array)),),
    )


def f32_matmul_case(rng: np.random.Generator) -> Case:
    """An F32_MATMUL around its 4 rows and 16 columns, with leading axes that broadcast."""
    lead = tuple(rng.integers(1, 4, int(rng.integers(0, 5))).tolist())
    m, k, n = (int(rng.choice([1, 2, 3, 4, 5, 9, 15, 16, 17, 31, 33])) for _ in range(3))
    drop = rng.random((2, len(lead))) < 0.3
    drop[1] &= ~drop[0]
    sides = [tuple(1 if gone else dim for dim, gone in zip(lead, row, strict=True)) for row in drop]
    shapes = ((*sides[0], m, k), (*sides[1], k, n))
    made = Builder()
    a, b = (made.tensor(shape, "float32") for shape in shapes)
    y = made.tensor((*lead, m, n), "float32")
    made.step("F32_MATMUL", (a, b), y)
    odd = rng.random() < 0.2
    arrays = (
        floats(rng, shape) if odd else rng.standard_normal(shape).astype(np.float32)
        for shape in shapes
    )
    return Case(made.program((a, b), (y,)), tuple(arrays))


# --- moves -------------------------------------------------------------------------------------


def gather_case(rng: np.random.Generator) -> Case:
    """A GATHER_2D of either width of element."""
    batch, height, width, rows, cols = rng.integers(1, 8, 5).tolist()
    channels, dtype = int(rng.choice([1, 3, 33])), str(rng.choice(["uint8", "float32"]))
    made = Builder()
    x = made.tensor((batch, height, width, channels), dtype)
    y = made.tensor((batch, rows, cols, channels), dtype)
    indices = (
        made.constant(rng.integers(0, height, rows, np.int32)),
        made.constant(rng.integers(0, width, cols, np.int32)),
    )
    made.step("GATHER_2D", (x, *indices), y)
    shape = made.tensors[x].shape
    array = floats(rng, shape) if dtype == "float32" else fill_codes(rng, shape, "random")
    return Case(made.program((x,), (y,)), (array,))


def copy_case(rng: np.random.Generator) -> Case:
    """A COPY: axes of the source in any order, some backwards, into a window of the target."""
    rank = int(rng.integers(1, COPY_RANK + 1))
    sizes = rng.integers(1, 6, rank).tolist()
    order = rng.permutation(rank)
    wide = [size + int(rng.integers(0, 3)) for size in sizes]
    dtype = str(rng.choice(["uint8", "float32"]))
    made = Builder()
    x = made.tensor(tuple(sizes[axis] for axis in order), dtype)
    y = made.tensor(tuple(wide), dtype)
    source, target = np.ones(rank, np.int64), np.ones(rank, np.int64)
    for axis in range(rank - 2, -1, -1):
        target[axis] = target[axis + 1] * wide[axis + 1]
    step = 1
    for axis in order[::-1]:
        source[axis] = step
        step *= sizes[axis]
    offset = 0
    for axis in range(rank):
        if rng.random() < 0.3:
            offset += int(source[axis]) * (sizes[axis] - 1)
            source[axis] = -source[axis]
    params = {"src_offset": offset, "dst_offset": 0}
    for axis in range(COPY_RANK):
        real = axis < rank
        params[f"size_{axis}"] = sizes[axis] if real else 1
        params[f"src_stride_{axis}"] = int(source[axis]) if real else 0
        params[f"dst_stride_{axis}"] = int(target[axis]) if real else 0
    inputs: tuple[int, ...] = (x,)
    if dtype == "uint8" and rng.random() < 0.5:
        inputs += (made.constant(rng.integers(0, 256, (1, 256), np.uint8)),)
    made.step("FILL", (), y, value=7)
    made.step("COPY", inputs, y, **params)
    shape = made.tensors[x].shape
    array = floats(rng, shape) if dtype == "float32" else fill_codes(rng, shape, "random")
    return Case(made.program((x,), (y,)), (array,))


def fill_case(rng: np.random.Generator) -> Case:
    """A FILL of bytes or of floats, of up to three units."""
    dtype = str(rng.choice(["uint8", "float32"]))
    made = Builder()
    x = made.tensor((1,), dtype)
    y = made.tensor((int(rng.choice([1, 4095, 4096, 4097, 12000])),), dtype)
    value = int(rng.integers(0, 256)) if dtype == "uint8" else int(rng.integers(-(2**31), 2**31))
    made.step("FILL", (), y, value=value)
    return Case(made.program((x,), (y,)), (np.zeros(1, dtype),))


#: How to make a random case of each instruction but CONV, which has shapes of its own.
CASES: dict[str, Callable[[np.random.Generator], Case]] = {
    "ADD": lambda rng: binary_case(rng, "ADD"),
    "MUL": lambda rng: binary_case(rng, "MUL"),
    "TABLE": table_case,
    "MAX_POOL": lambda rng: pool_case(rng, "MAX_POOL"),
    "AVG_POOL": lambda rng: pool_case(rng, "AVG_POOL"),
    "GATHER_2D": gather_case,
    "COPY": copy_case,
    "FILL": fill_case,
    "QUANTIZE": lambda rng: scaled_case(rng, "QUANTIZE"),
    "DEQUANTIZE": lambda rng: scaled_case(rng, "DEQUANTIZE"),
    "F32_BINARY": lambda rng: binary_case(rng, "F32_BINARY"),
    "F32_UNARY": lambda rng: float_case(rng, "F32_UNARY"),
    "F32_SOFTMAX": lambda rng: float_case(rng, "F32_SOFTMAX"),
    "MATMUL": matmul_case,
    "RESIZE_LINEAR": resize_case,
    "DIV": lambda rng: binary_case(rng, "DIV"),
    "MIN": lambda rng: binary_case(rng, "MIN"),
    "MAX": lambda rng: binary_case(rng, "MAX"),
    "COMPARE": lambda rng: binary_case(rng, "COMPARE"),
    "F32_WHERE": where_case,
    "F32_REDUCE": reduce_case,
    "F32_MATMUL": f32_matmul_case,
}
