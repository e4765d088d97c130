"""What one layer's error is made of, in sums over its elements.

With x a layer's input, w its weights, f what it computes and Q the rounding to codes; plain letters
are the float chain's, primes the quantised chain's:

    inherited       f(x', w') - f(x, w')
    weights, bias   f(x, w') - f(x, w)
    clipping        clip(r) - r                 r = f(x', w')
    rounding        Q(r) - clip(r)
    last            y' - Q(r)                   what the program's own arithmetic adds

They add up to ``y' - y``. A part's share is ``<part, e> / <e, e>`` with e the whole: the shares add
up to 1, and one is negative where it cancels others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bittrue.arith import CODE_MAX, F32, F64, QParams

#: The parts of an error, in the order of the vectors below.
PARTS = ("inherited", "weights", "bias", "clipping", "rounding", "last")
#: Elements at once: a block stays in the cache, and is too small for BLAS to wake its threads for.
BLOCK = 1 << 13
#: A channel lives if its values spread over more than this share of the tensor's greatest.
ALIVE = 1e-6
#: A value is cut off if it is further out than this many steps: less is rounding.
CUT = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """One layer's tensors on one sample.

    Args:
        real: float32, y = f(x, w).
        own: float32, f(x, w'); the same array as `real` for a layer without weights.
        raw: float32, f(x', w') before it is stored.
        path: float32, y'.
        params: How y' is stored; None for float32.
        bias: float32, what the program's bias adds to `own`, or None.
        axis: The axis of channels, or None where there are none.
    """

    real: F32
    own: F32
    raw: F32
    path: F32
    params: QParams | None
    bias: F32 | None = None
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Energies:
    """Sums over the elements of all samples so far.

    Args:
        elements: How many.
        signal: Of y^2.
        path: Of e^2.
        own: Of (Q(f(x, w')) - y)^2.
        parts: float64 [6], of part * e, in the order of PARTS.
        cut: How many were cut off by more than CUT steps.
        spread: float64 [4, C]: least and greatest y and y' of each channel; [4, 0] without
            channels.
    """

    elements: int
    signal: float
    path: float
    own: float
    parts: F64
    cut: int
    spread: F64

    def plus(self, other: Energies) -> Energies:
        """Return the sums over both."""
        (a, b, c, d), (e, f, g, h) = self.spread, other.spread
        return Energies(
            self.elements + other.elements,
            self.signal + other.signal,
            self.path + other.path,
            self.own + other.own,
            self.parts + other.parts,
            self.cut + other.cut,
            np.stack([np.minimum(a, e), np.maximum(b, f), np.minimum(c, g), np.maximum(d, h)]),
        )

    @property
    def dead(self) -> int:
        """How many channels are one code in the quantised chain, and live in the float one."""
        low, high, least, most = self.spread
        if not low.size:
            return 0
        peak = float(np.maximum(np.abs(low), np.abs(high)).max())
        return int(np.count_nonzero((least == most) & (high - low > ALIVE * peak)))

    @property
    def gap(self) -> float:
        """How far the shares are from adding up to 1; 0 where there is no error to share."""
        return abs(float(self.parts.sum()) / self.path - 1) if self.path else 0.0


def energies(look: Look) -> Energies:
    """Return the sums of one layer on one sample.

    Elements that are NaN or infinite in any of the four arrays count as no signal and no error.
    """
    flat = [np.ascontiguousarray(a).reshape(-1) for a in (look.real, look.own, look.raw, look.path)]
    scale = None if look.params is None else _flat_scale(look.params, look.real.shape)
    zero = 0 if look.params is None else look.params.zero_point
    bias = None if look.bias is None else look.bias.reshape(-1)
    sums = np.zeros(4 + len(PARTS))
    for start in range(0, flat[0].size, BLOCK):
        part = slice(start, start + BLOCK)
        sums += _block(
            [array[part] for array in flat],
            scale[part] if isinstance(scale, np.ndarray) and scale.size > 1 else scale,
            zero,
            None if bias is None else bias[part],
            same=look.own is look.real,
        )
    signal, path, own, cut = (float(item) for item in sums[:4])
    return Energies(flat[0].size, signal, path, own, sums[4:], round(cut), _spread(look))


def _flat_scale(params: QParams, shape: tuple[int, ...]) -> F32:
    """Return the scale of each element, or one for all, float32 [n] or [1]."""
    if not params.per_channel:
        return params.scale
    return np.ascontiguousarray(np.broadcast_to(params.along(len(shape)), shape)).reshape(-1)


def _block(
    flat: Sequence[F32], scale: F32 | None, zero: int, bias: F32 | None, *, same: bool
) -> F64:
    """Return signal, path, own, how many were cut, and the parts, float64 [10]."""
    with np.errstate(invalid="ignore", over="ignore"):
        found = _sums(flat, scale, zero, bias, same=same)
    if np.isfinite(found).all():
        return found
    fine = np.logical_and.reduce([np.isfinite(array) for array in flat])
    kept = [np.where(fine, array, np.float32(0)) for array in flat]
    return _sums(kept, scale, zero, None if bias is None else bias * fine, same=same)


def _sums(
    flat: Sequence[F32], scale: F32 | None, zero: int, bias: F32 | None, *, same: bool
) -> F64:
    """As `_block`, for finite elements.

    A part is a difference of two tensors; its product with the error is taken as the difference of
    two products. In float64 that loses nothing that a float32 tensor holds.
    """
    real, own, raw, path = flat
    exact, other = real.astype(np.float64), path.astype(np.float64)
    error = other - exact
    stored, inside = _stored(raw, scale, zero)
    mine = (own if scale is None else _stored(own, scale, zero)[0]) - exact

    def along(array: F32) -> float:
        return float(array.astype(np.float64) @ error)

    from_real, from_raw = float(exact @ error), along(raw)
    from_own = from_real if same else along(own)
    from_inside = from_raw if inside is raw else along(inside)
    from_stored = from_inside if stored is inside else along(stored)
    shifted = 0.0 if bias is None else along(bias)
    parts = (
        from_raw - from_own,
        from_own - from_real - shifted,
        shifted,
        from_inside - from_raw,
        from_stored - from_inside,
        float(other @ error) - from_stored,
    )
    cut = 0 if scale is None or inside is raw else int((abs(inside - raw) > CUT * scale).sum())
    return np.array([exact @ exact, error @ error, mine @ mine, cut, *parts])


def _stored(x: F32, scale: F32 | None, zero: int) -> tuple[F32, F32]:
    """Return what is left of values once stored, and the values within reach of the codes.

    As `arith.quantize` and `arith.dequantize`, but in float32 all the way: whole numbers up to 255
    are exact in it. What is not changed is the array itself.
    """
    if scale is None:
        return x, x
    low, high = np.float32(-zero), np.float32(CODE_MAX - zero)
    steps = x / scale
    within = (
        x if steps.min() >= low and steps.max() <= high else _between(x, low * scale, high * scale)
    )
    return _between(np.rint(steps), low, high) * scale, within


def _between(x: F32, low: F32 | np.float32, high: F32 | np.float32) -> F32:
    """Return `np.clip`, which takes longer for a few thousand elements."""
    return np.minimum(np.maximum(x, low), high)


def _spread(look: Look) -> F64:
    if look.axis is None:
        return np.zeros((4, 0))
    others = tuple(axis for axis in range(look.real.ndim) if axis != look.axis)
    found = [f(a, axis=others) for a in (look.real, look.path) for f in (np.min, np.max)]
    return np.asarray(found, np.float64)


def decibels(relative: float) -> float:
    """Return a relative error energy as SQNR in dB; infinite for none."""
    if relative == 0:
        return math.inf
    return -math.inf if math.isinf(relative) else -10 * math.log10(relative)
