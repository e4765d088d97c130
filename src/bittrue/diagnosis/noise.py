"""The ordinary noise of 8 bits: the unit in which everything unexplained is measured.

Of each channel of each output, how far our own integer network is from the float network on the
inputs that were meant. A device that does nothing wrong is about as far away: another vendor's
rounding is other noise of the same size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
#: Noise of a channel is at least this part of the channel's mean square: 33 dB, which no 8-bit
#: network is expected to keep on every input.
FLOOR = 5e-4
#: Outputs with fewer values than this, over all frames, say too little about their own noise: it is
#: measured on changed inputs as well.
ENOUGH = 4096
#: Inner tensors have this part of their mean square for ordinary noise: 27 dB.
INNER = 2e-3
#: Where no integer network is at hand, the noise is taken to be this part: 20 dB.
GUESS = 1e-2


@dataclass(frozen=True, slots=True)
class Noise:
    """Mean square of the ordinary noise of an output.

    Args:
        power: float64 that broadcasts against the output: one number, or one a channel.
        measured: Whether an integer network was run; False where it is a guess.
    """

    power: F64
    measured: bool


def channel_axis(shape: Sequence[int]) -> int | None:
    """Return the axis whose entries differ in kind; None where all entries are alike."""
    if len(shape) == 4:
        return 1 if shape[1] <= 512 else 3
    if len(shape) == 3:
        return 1 if shape[1] <= shape[2] else 2
    return None


def noise_of(exact: Sequence[F64], coded: Sequence[F64]) -> Noise:
    """Return the noise of one output.

    Args:
        exact: What the float network gave, one array a frame.
        coded: What the integer network gave; empty where there is none.
    """
    axis = channel_axis(exact[0].shape)
    level = _mean_square(exact, axis)
    if not coded:
        return Noise(_floored(level, level * GUESS), measured=False)
    gaps = [mine - theirs for mine, theirs in zip(exact, coded, strict=True)]
    return Noise(_floored(level, _mean_square(gaps, axis)), measured=True)


def _floored(level: F64, power: F64) -> F64:
    """A channel that is 0 in these frames has no noise of its own: it gets the output's floor."""
    least = FLOOR * np.maximum(level, 1e-3 * level.mean())
    floor = np.maximum(least, np.finfo(np.float64).tiny)
    return np.asarray(np.maximum(power, floor), np.float64)


def _mean_square(arrays: Sequence[F64], axis: int | None) -> F64:
    squares = np.mean([np.square(array) for array in arrays], axis=0)
    if axis is None:
        return np.asarray(squares.mean(keepdims=True), np.float64)
    others = tuple(index for index in range(squares.ndim) if index != axis)
    return np.asarray(squares.mean(axis=others, keepdims=True), np.float64)


def all_noise(
    exact: Sequence[Mapping[str, F64]],
    coded: Sequence[Mapping[str, F64]],
    inner: Sequence[str] = (),
) -> dict[str, Noise]:
    """Return the noise of every output, and of inner tensors, by name.

    Args:
        exact: Of the float network, one mapping a frame.
        coded: Of the integer network, outputs only; empty where there is none.
        inner: Names of inner tensors: a part of their mean square is assumed.
    """
    return {
        name: _inner_noise([row[name] for row in exact])
        if name in inner
        else noise_of([row[name] for row in exact], [row[name] for row in coded])
        for name in exact[0]
    }


def _inner_noise(exact: Sequence[F64]) -> Noise:
    level = float(np.mean([np.square(array).mean() for array in exact]))
    return Noise(np.array(max(INNER * level, 1e-30)), measured=False)
