"""The instruction set of a .bte program: one table that the compiler, emulator and engine share.

A new kind is a row here and in native/instructions.inc, its rules (instruction_rules.py), its
emulation (engines/emulate.py) and a scalar kernel (native/kernels.inc). Contract tests name what
is missing, and compare the two tables row by row.
Physical shapes: pictures are [N, H, W, C]. `K` is 1 or C. Every parameter is one int32.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InstructionKind:
    """One kind of instruction.

    Args:
        name: As in docs/format.md.
        code: The number in a file.
        computed: Role of each input tensor that may be computed.
        constants: Role of each input after those, which must be a constant, so that an engine may
            prepare it when it loads; a role that ends in "?" may be left out.
        outputs: Role of each output tensor.
        params: Name of each parameter, in order.
        meaning: What it computes, with shapes; the rule itself stands in docs/numerics.md.
        in_place: Whether its output may lie on an input of its own type and shape.
    """

    name: str
    code: int
    computed: tuple[str, ...]
    constants: tuple[str, ...]
    outputs: tuple[str, ...]
    params: tuple[str, ...]
    meaning: str
    in_place: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Role of each input tensor, in order."""
        return self.computed + self.constants


_WINDOW = ("stride_h", "stride_w", "dilation_h", "dilation_w", "pad_top", "pad_left")
_RANGE = ("zero_point", "lo", "hi")
COPY_RANK = 6
_COPY = (
    [f"size_{i}" for i in range(COPY_RANK)]
    + ["src_offset", *(f"src_stride_{i}" for i in range(COPY_RANK))]
    + ["dst_offset", *(f"dst_stride_{i}" for i in range(COPY_RANK))]
)

INSTRUCTIONS: tuple[InstructionKind, ...] = (
    InstructionKind(
        "CONV", 1, ("x",), ("weight", "bias", "row_class", "col_class", "multiplier"), ("y",),
        (*_WINDOW, "groups", *_RANGE),
        "x u8[N,H,W,C], weight i8[O,KH,KW,C/groups], bias i32[R,S,O], row_class i32[OH] in 0..R-1, "
        "col_class i32[OW] in 0..S-1, multiplier f32[O], y u8[N,OH,OW,O] or f32 of that shape: "
        "acc = bias[row_class[oy],col_class[ox],o] + sum over taps inside x of x*weight; "
        "u8: requantize(acc); f32: fl(fl(acc)*m), zero_point = lo = hi = 0",
    ),
    InstructionKind(
        "ADD", 2, ("a", "b"), ("multiplier",), ("y",), ("zero_a", "zero_b", *_RANGE),
        "u8 of equal rank that broadcast to y; multiplier f32[2,K]; arith.add",
        in_place=True,
    ),
    InstructionKind(
        "MUL", 3, ("a", "b"), ("multiplier",), ("y",), ("zero_a", "zero_b", *_RANGE),
        "u8 of equal rank that broadcast to y; multiplier f32[K]; arith.mul",
        in_place=True,
    ),
    InstructionKind(
        "TABLE", 4, ("x",), ("table",), ("y",), (),
        "x u8[...,C], table u8[K,256], y u8 of x's shape: y = table[k][x], k = 0 or the channel",
        in_place=True,
    ),
    InstructionKind(
        "MAX_POOL", 5, ("x",), (), ("y",), ("kernel_h", "kernel_w", *_WINDOW),
        "u8 [N,H,W,C] to [N,OH,OW,C]: greatest tap inside x; a window with no tap inside gives 0",
    ),
    InstructionKind(
        "AVG_POOL", 6, ("x",), ("row_class", "col_class", "multiplier"), ("y",),
        ("kernel_h", "kernel_w", *_WINDOW, "zero_x", *_RANGE),
        "u8 [N,H,W,C] to [N,OH,OW,C]; row_class i32[OH], col_class i32[OW], multiplier f32[R,S]: "
        "acc = sum of taps inside - count*zero_x; requantize(acc, multiplier[row][col])",
    ),
    InstructionKind(
        "GATHER_2D", 7, ("x",), ("rows", "cols"), ("y",), (),
        "any type, x [N,H,W,C], rows i32[OH] in 0..H-1, cols i32[OW] in 0..W-1: "
        "y[n,i,j,c] = x[n,rows[i],cols[j],c] (nearest resize)",
    ),
    InstructionKind(
        "COPY", 8, ("x",), ("table?",), ("y",), tuple(_COPY),
        "one type, or u8 through table u8[1,256]: for every index i below size: "
        "y.flat[dst_offset + sum i*dst_stride] = x.flat[src_offset + sum i*src_stride]; "
        "offsets and strides in elements, sizes at least 1; strides may be 0 or negative on the "
        "source; what it does not write keeps its value",
    ),
    InstructionKind(
        "FILL", 9, (), (), ("y",), ("value",),
        "every element of y (u8 or f32) becomes value (for f32: the float with these bits)",
    ),
    InstructionKind(
        "QUANTIZE", 10, ("x",), ("scale",), ("y",), ("zero_point",),
        "x f32[...,C], scale f32[K], y u8: arith.quantize",
    ),
    InstructionKind(
        "DEQUANTIZE", 11, ("x",), ("scale",), ("y",), ("zero_point",),
        "x u8[...,C], scale f32[K], y f32: arith.dequantize",
    ),
    InstructionKind(
        "F32_BINARY", 12, ("a", "b"), (), ("y",), ("function",),
        "f32 of equal rank that broadcast to y; function: see BINARY_FUNCTIONS; one rounding",
        in_place=True,
    ),
    InstructionKind(
        "F32_UNARY", 13, ("x",), (), ("y",), ("function",),
        "f32, any shape; function: see UNARY_FUNCTIONS",
        in_place=True,
    ),
    InstructionKind(
        "F32_SOFTMAX", 14, ("x",), (), ("y",), (),
        "f32, over the last axis: arith_float.softmax",
    ),
    InstructionKind(
        "MATMUL", 15, ("a", "b"), ("multiplier",), ("y",), ("zero_a", "zero_b", *_RANGE),
        "a u8[...,M,K], b u8[...,N,K], K at most 33025, multiplier f32[1] or [N], y u8[...,M,N] or "
        "f32 of that shape; 2 to 6 axes, the leading ones broadcast: acc = arith.matmul(a, b); "
        "u8: requantize(acc); f32: fl(fl(acc)*m), zero_point = lo = hi = 0",
    ),
    InstructionKind(
        "RESIZE_LINEAR", 16, ("x",), ("rows", "row_weight", "cols", "col_weight"), ("y",), (),
        "u8 [N,H,W,C] to [N,OH,OW,C]; rows i32[OH,2] in 0..H-1, cols i32[OW,2] in 0..W-1, weights "
        "i32 of those shapes, at least 0, each pair adding up to 2048: arith.resize_linear",
    ),
    InstructionKind(
        "DIV", 17, ("a", "b"), ("multiplier",), ("y",), ("zero_a", "zero_b", *_RANGE),
        "u8 of equal rank that broadcast to y; multiplier f32[K]; arith.div",
        in_place=True,
    ),
    InstructionKind(
        "MIN", 18, ("a", "b"), ("multiplier",), ("y",), ("zero_a", "zero_b", *_RANGE),
        "u8 of equal rank that broadcast to y; multiplier f32[2,K]; arith.minimum",
        in_place=True,
    ),
    InstructionKind(
        "MAX", 19, ("a", "b"), ("multiplier",), ("y",), ("zero_a", "zero_b", *_RANGE),
        "u8 of equal rank that broadcast to y; multiplier f32[2,K]; arith.maximum",
        in_place=True,
    ),
    InstructionKind(
        "COMPARE", 20, ("a", "b"), ("multiplier",), ("y",), ("zero_a", "zero_b", "function"),
        "u8 of equal rank that broadcast to y; multiplier f32[2,K]; function: see "
        "COMPARE_FUNCTIONS; y is 1 where it holds, else 0: arith.compare",
        in_place=True,
    ),
    InstructionKind(
        "F32_WHERE", 22, ("condition", "a", "b"), (), ("y",), (),
        "f32 of equal rank that broadcast to y: b where condition is 0, else a",
    ),
    InstructionKind(
        "F32_REDUCE", 23, ("x",), (), ("y",), ("function",),
        "x f32[...,L], y f32[...,1]; function: see REDUCTIONS; arith_float.REDUCTIONS",
    ),
    InstructionKind(
        "F32_MATMUL", 24, ("a", "b"), (), ("y",), (),
        "a f32[...,M,K], b f32[...,K,N], y f32[...,M,N] of equal rank, the leading axes broadcast "
        "to y's: arith_float.matmul",
    ),
)  # fmt: skip
BY_NAME: dict[str, InstructionKind] = {row.name: row for row in INSTRUCTIONS}
BY_CODE: dict[int, InstructionKind] = {row.code: row for row in INSTRUCTIONS}

#: What the numbers of F32_BINARY, F32_UNARY and F32_REDUCE mean; arith_float has each by its name.
#: min is `a if a < b else b`, max is `a if a > b else b`: so NaN in either gives b.
BINARY_FUNCTIONS: tuple[str, ...] = (
    *("add", "sub", "mul", "div", "min", "max", "pow", "mod"),
    *("equal", "less", "less_or_equal", "greater", "greater_or_equal"),
)
UNARY_FUNCTIONS: tuple[str, ...] = (
    *("exp", "sigmoid", "sqrt", "neg", "abs", "log", "tanh", "erf", "reciprocal"),
    *("floor", "ceil", "round", "sign", "softplus", "sin", "cos"),
)
REDUCTIONS: tuple[str, ...] = ("sum", "mean", "max", "min", "prod", "l2")
COMPARE_FUNCTIONS: tuple[str, ...] = ("equal", "less", "less_or_equal")
