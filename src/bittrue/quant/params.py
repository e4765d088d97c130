"""Scale and zero point from a range: the real value 0 is always a code.

So padding and ReLU are exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bittrue.arith import CODE_MAX, F32, F64, QParams
from bittrue.quant.statistics import TensorStatistics

#: Ranges narrower than this are taken for zero: the tensor was dead in calibration.
RANGE_MIN = 2.0**-50
#: A channel's scale is at least this part of the tensor's. Channels that were dead in calibration
#: need it: 0.03 held with 64 pictures, 0.001 with 16 pictures wrecked a network.
CHANNEL_FLOOR = 0.03
#: The same for a channel that was at work in most samples: its range can be trusted. On
#: yolox_nano_640 one tensor with channels from 0.4 to 100 costs 10 dB at the outputs without this.
TRUSTED_FLOOR = 0.001
#: At work: in the median sample it spans this part of what it spans over all samples.
TRUST = 0.25


def params_of_range(low: float, high: float) -> QParams:
    """Return the finest scale whose codes span [low, high] and 0, and its zero point.

    A tensor that was dead in calibration gets steps of 1/255: it may come to life, with values
    that nobody has seen.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    dead = high - low < RANGE_MIN
    return _with_zero(low, 1 / CODE_MAX if dead else (high - low) / CODE_MAX)


def params_of_constant(values: NDArray[np.floating]) -> QParams:
    """Return the finest scale whose codes span an array of real values and 0, and its zero point.

    However narrow, its range is what it will be, so it is not taken for zero before float32 ends.
    An array of zeros has any scale; steps of 1 leave its multiplier far from the limits.

    Args:
        values: Any shape, finite, at least one element.
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    tiny = float(np.finfo(np.float32).tiny)
    return _with_zero(low, max((high - low) / CODE_MAX, tiny) if high > low else 1.0)


def _with_zero(low: float, step: float) -> QParams:
    """Return a scale, rounded to float32, with the zero point that puts `low` at code 0."""
    scale = np.float32(step)
    zero_point = int(np.clip(np.rint(-low / float(scale)), 0, CODE_MAX))
    return QParams(np.array([scale], np.float32), zero_point)


def params_of_identity() -> QParams:
    """Return the scale of values that are their own codes: raw pixels, and truth values 0 and 1."""
    return QParams(np.ones(1, np.float32), 0)


def params_of_channels(low: F32, high: F32, *, least: F64) -> QParams:
    """Return one scale a channel with the common zero point that costs the least.

    For zero point z a channel needs s = max(high/(255-z), -low/z); the z that minimises the sum
    of (s / (high-low))^2 over the channels is taken. (Against the channel's mean square in place of
    its width, yolox_nano_640 has 13.5 dB and F1 89.6 in place of 15.7 dB and 92.6.) Channels
    narrower than 255 of their least scale have no say in it.

    Args:
        low: float32 [C], least value of each channel.
        high: float32 [C], greatest value of each channel.
        least: float64 [C], least scale of each channel, positive.
    """
    low64 = np.minimum(low.astype(np.float64), 0.0)
    high64 = np.maximum(high.astype(np.float64), 0.0)
    alive = (high64 - low64) > CODE_MAX * least
    zero_point = 0
    if alive.any():
        needed = _needed(low64[alive], high64[alive])  # [256, alive]
        cost = ((needed / (high64 - low64)[alive]) ** 2).sum(axis=1)
        zero_point = int(np.argmin(cost))
    scale = np.maximum(_needed(low64, high64)[zero_point], least)
    # A narrow channel with values on a side that has no codes keeps its least scale.
    scale = np.where(np.isfinite(scale), scale, least)
    return QParams(scale.astype(np.float32), zero_point)


def params_of_shared_channels(low: F32, high: F32, *, whole: QParams, least: F64) -> QParams:
    """Return one scale a channel for a value whose channels meet in the sums of its readers.

    Folding s_c into such weights costs them precision, since one scale serves all inputs of an
    output, and it trusts calibration more. ``s * (s_c / s)^(1/4)``, a quarter of the way from the
    tensor's scale to the channel's own, gained on every network measured (docs/numerics.md, 2.2).
    The zero point stays the tensor's, so that no channel's scale becomes larger than the tensor's.

    Args:
        low: float32 [C], least value of each channel.
        high: float32 [C], greatest value of each channel.
        whole: Scale and zero point that the tensor would have.
        least: float64 [C], least scale of each channel, positive.
    """
    limit = float(whole.scale[0])
    low64 = np.minimum(low.astype(np.float64), 0.0)
    high64 = np.maximum(high.astype(np.float64), 0.0)
    own = np.clip(_needed(low64, high64)[whole.zero_point], np.minimum(least, limit), limit)
    # Two square roots: each has the same bits on every machine.
    part = np.sqrt(np.sqrt(own / limit))
    return QParams((limit * part).astype(np.float32), whole.zero_point)


def least_scales(seen: TensorStatistics, tensor_scale: float) -> F64:
    """Return the least scale of each channel, float64 [C]; see CHANNEL_FLOOR and TRUSTED_FLOOR.

    Args:
        seen: With extremes of channels.
        tensor_scale: The scale that the whole tensor would have.
    """
    high = np.array([channel.sample_max for channel in seen.channels])  # [C, n]
    low = np.array([channel.sample_min for channel in seen.channels])
    spans = np.maximum(high, 0) - np.minimum(low, 0)
    trusted = np.median(spans, axis=1) >= TRUST * spans.max(axis=1)
    floor = np.where(trusted & (spans.max(axis=1) > 0), TRUSTED_FLOOR, CHANNEL_FLOOR)
    return np.asarray(floor * tensor_scale, np.float64)


def _needed(low: F64, high: F64) -> F64:
    """Return the scale that each channel needs at each zero point, float64 [256, C]."""
    zero_point = np.arange(CODE_MAX + 1, dtype=np.float64)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        above = np.where(high > 0, high / (CODE_MAX - zero_point), 0.0)
        below = np.where(low < 0, -low / zero_point, 0.0)
    return np.maximum(above, below)
