"""THE arithmetic: every rule by which codes become outputs, in NumPy; arith_float has the floats'.

This module is normative. The emulator calls it, the C++ kernels equal it bit for bit, and
docs/numerics.md derives it. Every float32 operation below rounds once, to nearest even, in the
order written; nothing is fused, reassociated or approximated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

CODES = 256
CODE_MAX = 255
WEIGHT_MAX = 127
ACC_LIMIT = 2**31
#: A multiplier below this would make products of small sums denormal (docs/numerics.md, 3.3).
MULTIPLIER_MIN = 2.0**-100


@dataclass(frozen=True, slots=True)
class QParams:
    """How uint8 codes stand for real values: ``real = (code - zero_point) * scale``.

    Args:
        scale: float32 [1], or [C] where each channel has its own (only for tensors that feed
            depthwise convolutions, see docs/numerics.md 2.2); positive and finite.
        zero_point: The code of the real value 0, 0 to 255; one for all channels.
        axis: Logical axis that `scale` runs along; 1 in NCHW. Means nothing when scale is [1].
    """

    scale: F32
    zero_point: int
    axis: int = 1

    def __post_init__(self) -> None:
        """Refuse what no rule below is defined for."""
        scale = np.asarray(self.scale, np.float32).reshape(-1)
        if scale.size < 1 or not np.all(np.isfinite(scale)) or not np.all(scale > 0):
            raise ValueError(f"scales must be positive and finite, not {scale}")
        if not 0 <= self.zero_point <= CODE_MAX:
            raise ValueError(f"zero point {self.zero_point} is not in 0..{CODE_MAX}")
        object.__setattr__(self, "scale", scale)

    @property
    def per_channel(self) -> bool:
        """Whether each channel has a scale of its own."""
        return self.scale.size > 1

    def along(self, rank: int) -> F32:
        """Return the scale shaped to broadcast against a logical tensor of `rank` axes."""
        if not self.per_channel:
            return self.scale.reshape((1,) * rank)
        shape = [1] * rank
        shape[self.axis] = self.scale.size
        return self.scale.reshape(shape)


# --- values and codes ------------------------------------------------------------------------


def quantize(x: F32, scale: F32, zero_point: int) -> U8:
    """Return ``clip(rint(fl(x / s)) + zp, 0, 255)``, ONNX's QuantizeLinear.

    Args:
        x: float32, any shape, finite. NaN has no code: callers refuse it first; here it gives 0.
        scale: float32 that broadcasts against x.
        zero_point: 0 to 255.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.rint(np.asarray(x, np.float32) / np.asarray(scale, np.float32))
    # The bound is far outside the codes, and makes the sum below exact in float32.
    steps = np.clip(steps, np.float32(-1024), np.float32(1024))
    shifted = np.nan_to_num(steps + np.float32(zero_point), nan=0.0)
    return np.clip(shifted, 0, CODE_MAX).astype(np.uint8)


def dequantize(codes: U8, scale: F32, zero_point: int) -> F32:
    """Return ``fl(fl(q - zp) * s)`` as float32 of the shape of `codes`."""
    return (codes.astype(np.int32) - np.int32(zero_point)).astype(np.float32) * np.asarray(
        scale, np.float32
    )


# --- requantisation --------------------------------------------------------------------------


def requantize(acc: I32, multiplier: F32, zero_point: int, lo: int, hi: int) -> U8:
    """Return ``clip(rint(fl(fl(acc) * m)) + zp, lo, hi)``.

    Args:
        acc: int32 sums; float32 holds those above 2**24 rounded to nearest even.
        multiplier: float32 that broadcasts against acc, with ``(max|acc| + 1) * m < 2**31``.
        zero_point: 0 to 255.
        lo: Least code, 0 to 255; a ReLU makes it the zero point.
        hi: Greatest code, lo to 255.
    """
    return finish(acc.astype(np.float32) * np.asarray(multiplier, np.float32), zero_point, lo, hi)


def finish(real_steps: F32, zero_point: int, lo: int, hi: int) -> U8:
    """Return ``clip(rint(t) + zp, lo, hi)`` for t in output steps, ``|t| < 2**31``."""
    rounded = np.clip(np.rint(real_steps), -2147483648.0, 2147483520.0).astype(np.int64)
    return np.clip(rounded + zero_point, lo, hi).astype(np.uint8)


def multiplier(acc_scale: F64, out_scale: F64) -> F32:
    """Return ``fl32(s_acc / s_out)``: the division in float64, then one rounding to float32."""
    return (np.asarray(acc_scale, np.float64) / np.asarray(out_scale, np.float64)).astype(
        np.float32
    )


# --- elementwise on codes --------------------------------------------------------------------


def add(a: U8, b: U8, za: int, zb: int, mult: F32, zero_point: int, lo: int, hi: int) -> U8:
    """Return ``clip(rint(fl(fl((a-za)*ma) + fl((b-zb)*mb))) + zo, lo, hi)``.

    Args:
        a: uint8 codes that broadcast with b.
        b: uint8 codes.
        za: Zero point of a.
        zb: Zero point of b.
        mult: float32 [2, 1] or [2, C] along the last axis: ma, then mb; a negative mb subtracts.
        zero_point: Zero point of the result.
        lo: Least code.
        hi: Greatest code.
    """
    left, right = scaled_pair(a, b, za, zb, mult)
    return finish(left + right, zero_point, lo, hi)


def mul(a: U8, b: U8, za: int, zb: int, mult: F32, zero_point: int, lo: int, hi: int) -> U8:
    """Return ``clip(rint(fl(fl((a-za)*(b-zb)) * m)) + zo, lo, hi)``; mult is float32 [1] or [C]."""
    product = (a.astype(np.int32) - np.int32(za)) * (b.astype(np.int32) - np.int32(zb))
    return finish(product.astype(np.float32) * mult, zero_point, lo, hi)


def div(a: U8, b: U8, za: int, zb: int, mult: F32, zero_point: int, lo: int, hi: int) -> U8:
    """Return ``clip(rint(fl(fl((a-za) / (b-zb)) * m)) + zo, lo, hi)``; mult is float32 [1] or [C].

    By zero: hi where a is above za, lo where it is below (for positive m), and zo, clipped, for
    0 / 0. What else is no number (an infinity times 0, in a hostile file) gives lo.
    """
    left = (a.astype(np.int32) - np.int32(za)).astype(np.float32)
    right = (b.astype(np.int32) - np.int32(zb)).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.where((left == 0) & (right == 0), np.float32(0), left / right)
        steps = quotient * mult
    return finish(np.where(np.isnan(steps), np.float32(-np.inf), steps), zero_point, lo, hi)


def minimum(a: U8, b: U8, za: int, zb: int, mult: F32, zero_point: int, lo: int, hi: int) -> U8:
    """Return ``clip(rint(min(fl((a-za)*ma), fl((b-zb)*mb))) + zo, lo, hi)``; mult as for `add`."""
    left, right = scaled_pair(a, b, za, zb, mult)
    return finish(np.where(left < right, left, right), zero_point, lo, hi)


def maximum(a: U8, b: U8, za: int, zb: int, mult: F32, zero_point: int, lo: int, hi: int) -> U8:
    """Return ``clip(rint(max(fl((a-za)*ma), fl((b-zb)*mb))) + zo, lo, hi)``; mult as for `add`."""
    left, right = scaled_pair(a, b, za, zb, mult)
    return finish(np.where(left > right, left, right), zero_point, lo, hi)


def compare(a: U8, b: U8, za: int, zb: int, mult: F32, function: str) -> U8:
    """Return 1 where ``fl((a-za)*ma)`` and ``fl((b-zb)*mb)`` compare so, else 0; mult as for `add`.

    Args:
        a: uint8 codes that broadcast with b.
        b: uint8 codes.
        za: Zero point of a.
        zb: Zero point of b.
        mult: float32 [2, 1] or [2, C]: the scales of a and of b.
        function: "equal", "less" or "less_or_equal".
    """
    left, right = scaled_pair(a, b, za, zb, mult)
    rules = {"equal": np.equal, "less": np.less, "less_or_equal": np.less_equal}
    return np.asarray(rules[function](left, right), np.uint8)


def scaled_pair(a: U8, b: U8, za: int, zb: int, mult: F32) -> tuple[F32, F32]:
    """Return ``fl((a-za)*ma)`` and ``fl((b-zb)*mb)``; mult is float32 [2, 1] or [2, C]."""
    with np.errstate(over="ignore"):
        left = (a.astype(np.int32) - np.int32(za)).astype(np.float32) * mult[0]
        right = (b.astype(np.int32) - np.int32(zb)).astype(np.float32) * mult[1]
    return left, right


# --- sums of products, and of neighbours -------------------------------------------------------

#: 33,025 products of at most 255 * 255 stay below 2^31.
MATMUL_DEPTH_MAX = 33025


def matmul(a: U8, b: U8, za: int, zb: int) -> I32:
    """Return ``sum over k of (a[..., m, k] - za) * (b[..., n, k] - zb)``, int32 [..., m, n].

    Args:
        a: uint8 [..., M, K], K at most MATMUL_DEPTH_MAX.
        b: uint8 [..., N, K]: both run along the axis that is summed. Leading axes broadcast.
        za: Zero point of a.
        zb: Zero point of b.
    """
    left = a.astype(np.float64) - za
    right = np.swapaxes(b, -1, -2).astype(np.float64) - zb
    # Exact: every partial sum is an integer below 2**31, whatever the order.
    return np.asarray(left @ right).astype(np.int32)


#: The weights of two neighbours add up to this.
RESIZE_ONE = 2048


def resize_linear(x: U8, rows: I32, row_weight: I32, cols: I32, col_weight: I32) -> U8:
    """Return each output's four neighbours weighted, ``(sum wy*wx*q) / 2^22``, ties to even.

    Args:
        x: uint8 [N, H, W, C].
        rows: int32 [OH, 2], the two rows of each output row, 0 to H-1.
        row_weight: int32 [OH, 2], at least 0, each pair adding up to 2048.
        cols: int32 [OW, 2], 0 to W-1.
        col_weight: int32 [OW, 2], as row_weight.

    Returns:
        uint8 [N, OH, OW, C]; scale and zero point are the input's.
    """
    wide = x.astype(np.int64)
    down = row_weight.astype(np.int64)[:, :, None, None]  # [OH, 2, 1, 1]
    across = col_weight.astype(np.int64)[:, :, None]  # [OW, 2, 1]
    lines = wide[:, rows[:, 0]] * down[:, 0] + wide[:, rows[:, 1]] * down[:, 1]  # [N, OH, W, C]
    left, right = lines[:, :, cols[:, 0]], lines[:, :, cols[:, 1]]
    acc = np.asarray(left * across[:, 0] + right * across[:, 1], np.int64)
    return np.asarray((acc + (2**21 - 1) + ((acc >> 22) & 1)) >> 22, np.uint8)
