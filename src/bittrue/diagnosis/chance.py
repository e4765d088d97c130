"""How much can be gained by chance? With few numbers, some of many trials always fit."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: How often healthy frames may look like a mistake by chance.
OFTEN = 0.01


def gain_by_chance(trials: int, elements: float) -> float:
    """Return the gain that one of several wrong trials reaches by chance, once in 100 times.

    A wrong trial moves the prediction along a direction that has nothing to do with the noise. At
    best it leaves 1 - c^2 of the noise, c being the cosine between the two; in n dimensions c^2
    exceeds 1 - 1/g with a probability of about g^(-(n-1)/2). Of K trials one does so in 1 of 100
    cases for ``g = (K / 0.01)^(2 / (n-1))``: 1.2 for 100 trials on 100 numbers, 10 on 9, more than
    can be measured on 3.

    Args:
        trials: K, how many were made.
        elements: n, how many independent numbers are compared.
    """
    free = max(elements - 1, 0.0)
    if free == 0:
        return math.inf
    exponent = 2 / free * math.log(max(trials, 1) / OFTEN)
    return math.exp(min(exponent, 700.0))


def holds_in_frames(
    left: Sequence[float], none: Sequence[float], numbers: float, gain: float = 1.0
) -> bool:
    """Return whether a trial leaves less than no mistake in each frame, but for chance.

    The mean of n squares of unit noise is 1 with a deviation of ``sqrt(2 / n)``: a frame in which a
    trial leaves up to ``1 + 4 sqrt(2 / n)`` times what no mistake does says nothing against it. And
    as noise is not the same in each frame, one of four may say anything.

    Args:
        left: What the trial leaves, one a frame.
        none: The same without a mistake.
        numbers: n, in one frame.
        gain: How many times less it has to be.
    """
    may = 1 + 4 * math.sqrt(2 / max(numbers, 1.0))
    against = sum(mine * gain > may * other for mine, other in zip(left, none, strict=True))
    return against <= len(left) // 4
