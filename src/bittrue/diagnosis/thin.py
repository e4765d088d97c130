"""A part of an output that stands for the whole: hundreds of looks at it must stay quick."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Outputs with more values than this are looked at in part.
MOST = 2**15
#: Axes up to this long are kept whole: channels, classes, coordinates.
KEPT = 128

Slices = tuple[slice, ...]


def thin(shape: Sequence[int]) -> Slices:
    """Return slices that take at most some MOST values, evenly, along the long axes.

    Steps are odd, so that they do not run in step with the rows of a picture.
    """
    size = math.prod(shape)
    long = [axis for axis, length in enumerate(shape) if length > KEPT]
    if size <= MOST or not long:
        return tuple(slice(None) for _ in shape)
    share = (size / MOST) ** (1 / len(long))
    steps = {axis: _odd(min(math.ceil(share) | 1, shape[axis] // KEPT)) for axis in long}
    return tuple(slice(None, None, steps.get(axis, 1)) for axis in range(len(shape)))


def _odd(step: int) -> int:
    return max(1, step - 1 + step % 2)
