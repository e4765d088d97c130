"""Does a colour picture of the right shape lie in memory in the other layout? By statistics.

Three numbers a pixel (NHWC) or three planes (NCHW) show in the mean differences D(k) between
values that lie k apart in the flat buffer. In a plane, D(1) is small, D(3) larger, and the row
above is W away; it makes no difference which of three neighbours is looked at. Between interleaved
channels the same colour is 3 away, the row above 3 W, and every third difference is of another
kind. A picture is called misplaced only if all signs agree; noise, flat pictures and smooth grey
ones do not show them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_SIDE_MIN = 16
_BLOCKS = 24
_BLOCK = 384  # A multiple of 3, so that phases stay what they are.
#: Least ratios of D that count as signs; tuned on 500 photographs (tests/unit/test_buffers.py).
_LAG_RATIO = 1.25
_ROW_RATIO = 1.1
_EVEN = 1.25


def seems_planar(array: np.ndarray) -> bool:
    """Whether an array said to be [1, H, W, 3] holds three planes one after the other.

    Args:
        array: Numbers [N, H, W, 3], C-contiguous; the first frame is looked at.
    """
    lag = _differences(array[0], array.shape[2])
    if lag is None:
        return False
    phases = lag[0]
    one, three, row, rows = (float(x.mean()) for x in lag)
    even = float(phases.max()) <= _EVEN * float(phases.min())
    return even and three >= _LAG_RATIO * one and rows >= _ROW_RATIO * row


def seems_interleaved(array: np.ndarray) -> bool:
    """Whether an array said to be [1, 3, H, W] holds three numbers a pixel.

    Args:
        array: Numbers [N, 3, H, W], C-contiguous; the first frame is looked at.
    """
    lag = _differences(array[0], array.shape[3])
    if lag is None:
        return False
    phases = lag[0]
    one, three, row, rows = (float(x.mean()) for x in lag)
    uneven = float(phases.max()) > _EVEN * float(phases.min())
    return (uneven or one >= _LAG_RATIO * three) and row >= _LAG_RATIO * rows


def _differences(frame: np.ndarray, width: int) -> tuple[F64, F64, F64, F64] | None:
    """Return D at lags 1, 3, W and 3 W, each [3] by position modulo 3; None if nothing can be seen.

    Some 9,000 positions are looked at, in blocks spread over the frame.
    """
    flat = frame.reshape(-1)
    last = flat.size - 3 * width - _BLOCK
    if width < _SIDE_MIN or flat.size < 3 * width * _SIDE_MIN or last < 0:
        return None
    starts = np.linspace(0, last, _BLOCKS).astype(np.int64) // 3 * 3
    at = starts[:, None] + np.arange(_BLOCK)  # [blocks, block]
    here = flat[at].astype(np.float64)
    if not here.std() > 0 or not np.isfinite(here).all():
        return None

    def mean_difference(lag: int) -> F64:
        apart = np.abs(flat[at + lag].astype(np.float64) - here)
        return np.asarray(apart.reshape(-1, 3).mean(axis=0), np.float64)

    return (
        mean_difference(1),
        mean_difference(3),
        mean_difference(width),
        mean_difference(3 * width),
    )
