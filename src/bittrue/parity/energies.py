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


def _block(flat: list[F32], scale: F32 | None, zero: int, bias: F32 | None, *, same: bool) -> F64:
    """Return signal, path, own, how many were cut, and the parts, float64 [10]."""
    with np.errstate(invalid="ignore", over="ignore"):
        plain = bool(np.isfinite(sum(flat)).all())
    if not plain:
        fine = np.logical_and.reduce([np.isfinite(array) for array in flat])
        flat = [np.where(fine, array, np.float32(0)) for array in flat]
    real, own, raw, path = flat
    exact = real.astype(np.float64)
    error = path - exact
    stored, inside = _stored(raw, scale, zero)
    kept = own if scale is None else _stored(own, scale, zero)[0]
    weights = np.zeros_like(exact) if same else own - exact
    shifted = 0.0 if bias is None else float(bias @ error)
    mine = kept - exact
    parts = (
        (raw.astype(np.float64) - own) @ error,
        weights @ error - shifted,
        shifted,
        (inside.astype(np.float64) - raw) @ error,
        (stored.astype(np.float64) - inside) @ error,
        (path.astype(np.float64) - stored) @ error,
    )
    cut = 0 if scale is None else np.count_nonzero(np.abs(inside - raw) > CUT * scale)
    return np.array([exact @ exact, error @ error, mine @ mine, cut, *parts])


def _stored(x: F32, scale: F32 | None, zero: int) -> tuple[F32, F32]:
    """Return what is left of values once stored, and the values within reach of the codes.

    As `arith.quantize` and `arith.dequantize`, but in float32 all the way: whole numbers up to 255
    are exact in it.
    """
    if scale is None:
        return x, x
    low, high = np.float32(-zero), np.float32(CODE_MAX - zero)
    codes = np.clip(np.rint(x / scale), low, high)
    return codes * scale, np.clip(x, low * scale, high * scale)


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
