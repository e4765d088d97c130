"""The numbers that the compiler works out once: accumulator scales, bias tables, classes, clips.

Notation: a convolution reads codes q of ``x = (q - z) * s`` and multiplies by int8 weights w that
stand for ``w * s_w[o]``. With a normalisation folded in, a tap inside x counts as
``x - offset[c]``, and a padded one as the real value 0, which takes no part in the sum. Thus

    y[o] = b[o] + sum over taps inside of w * s_w[o] * ((q - z) * s - offset[c])
         = s_acc[o] * (sum w * q  +  b[o] / s_acc[o] - sum w * z_c),
    s_acc[o] = s * s_w[o],   z_c = z + offset[c] / s.

The engine sums w * q over the taps inside and adds the bias b' of the border class:

    b'[class, o] = rint(b[o] / s_acc[o] - sum over the class's taps of w * z_c)

in float64 with one rint (nearest even). Without offset the sum is an exact integer. Where a
depthwise convolution's channels have scales s[c] of their own, those are part of the weights:
``w * s_acc[o] ~ weight * s[c]``, so that s_acc is the weights' scale itself, and
``z_c = z + offset[c] / s[c]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bittrue import arith
from bittrue.arith import CODE_MAX, F32, F64, I8, I32, QParams
from bittrue.compiler.limits import CONV_TAPS_MAX, WINDOW_MAX
from bittrue.graph.model import Node

BOUND = 2.0**31


class Refusal(Exception):
    """One node cannot be lowered; the message is the reason. Never leaves the compiler."""


class Misfit(Refusal):
    """A refusal for the figures of this calibration; another could do."""


@dataclass(frozen=True, slots=True)
class Window:
    """One axis of a window that slides: tap k of output o reads ``o*stride - pad + k*dilation``.

    Args:
        size: Length of the input's axis.
        count: Number of outputs.
        kernel: Number of taps.
        stride: Distance of two outputs.
        dilation: Distance of two taps.
        pad: Places before the input; negative ones cut.
    """

    size: int
    count: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    pad: int = 0

    def inside(self, low: int = 0, high: int | None = None) -> list[tuple[int, int]]:
        """Return for each output the taps (first, end) that lie in low..high-1 of the input.

        Args:
            low: First place that counts as inside, 0 for the input itself.
            high: End of those places; None for the input's.
        """
        end = self.size if high is None else high
        found = []
        for place in range(self.count):
            start = place * self.stride - self.pad
            first = max(0, -((start - low) // self.dilation))
            last = min(self.kernel, -((start - end) // self.dilation))
            found.append((first, max(first, last)))
        return found


def classes(ranges: list[tuple[int, int]]) -> tuple[I32, list[tuple[int, int]]]:
    """Return the class of each output, int32 [len(ranges)], and each class's range of taps.

    Classes are numbered in the order in which they first appear.
    """
    known: dict[tuple[int, int], int] = {}
    index = [known.setdefault(item, len(known)) for item in ranges]
    return np.array(index, np.int32), list(known)


@dataclass(frozen=True, slots=True)
class Sums:
    """What a CONV needs to know of its sums.

    Args:
        bias: int32 [R, S, O], b' of each border class.
        row_class: int32 [OH], below R.
        col_class: int32 [OW], below S.
        scale: float64 [O], s_acc.
    """

    bias: I32
    row_class: I32
    col_class: I32
    scale: F64


def accumulator_scale(x: QParams, weight_scale: F32, input_scale: F32 | None) -> F64:
    """Return s_acc, float64 [O].

    Args:
        x: Codes of the input.
        weight_scale: float32 [O], one step of each output channel's weights.
        input_scale: float32 [I] where the input's scales are folded into the weights, else None.

    Raises:
        Refusal: if the input has one scale a channel and the weights do not hold them.
    """
    scale = np.asarray(weight_scale, np.float64)
    if input_scale is not None:
        return scale
    if x.per_channel:
        raise Refusal("its input has one scale a channel, its weights do not hold those scales")
    return scale * np.float64(x.scale[0])


def zero_of_channels(x: QParams, channels: int, offset: F64 | None, input_scale: F32 | None) -> F64:
    """Return z_c, the code (maybe no whole one) that counts as 0 in each channel, float64 [C]."""
    zero = np.full(channels, float(x.zero_point))
    if offset is None:
        return zero
    scale = np.asarray(x.scale if input_scale is None else input_scale, np.float64)
    return zero + np.asarray(offset, np.float64).reshape(-1) / scale


def convolution_sums(
    weights: I8, bias: F64 | None, scale: F64, zero: F64, windows: tuple[Window, Window]
) -> Sums:
    """Return the bias table and classes of a convolution.

    Args:
        weights: int8 [O, KH, KW, C/groups].
        bias: float64 [O], real values; None for none.
        scale: float64 [O], s_acc.
        zero: float64 [C], z_c.
        windows: Vertical and horizontal axis.

    Raises:
        Misfit: if a bias does not fit int32, with channel and figures.
    """
    outputs, _, _, depth = weights.shape
    group = np.arange(outputs) // max(1, outputs * depth // zero.size)
    per_output = zero.reshape(-1, depth)[group]  # [O, C/groups]
    taps = np.einsum("oyxi,oi->yxo", weights.astype(np.float64), per_output)  # [KH, KW, O]
    rows, row_ranges = classes(windows[0].inside())
    cols, col_ranges = classes(windows[1].inside())
    real = np.zeros(outputs) if bias is None else np.asarray(bias, np.float64) / scale
    table = np.empty((len(row_ranges), len(col_ranges), outputs))
    for row, (top, bottom) in enumerate(row_ranges):
        for col, (left, right) in enumerate(col_ranges):
            table[row, col] = np.rint(real - taps[top:bottom, left:right].sum((0, 1)))
    _check_bias(table)
    rows, table = _merged(rows, table, 0)
    cols, table = _merged(cols, table, 1)
    return Sums(table.astype(np.int32), rows, cols, scale)


def _check_bias(table: F64) -> None:
    most = np.abs(table).max((0, 1))
    channel = int(np.argmax(np.where(np.isfinite(most), most, np.inf)))
    if not most[channel] < BOUND:
        raise Misfit(
            f"channel {channel}: its bias takes {most[channel]:.3g} steps of the accumulator, "
            "which holds less than 2^31; its weights are too near zero"
        )


def _merged(index: I32, table: F64, axis: int) -> tuple[I32, F64]:
    """Give classes with equal biases one number: without zero points, borders are like the rest."""
    known: dict[bytes, int] = {}
    lanes = np.moveaxis(table, axis, 0)
    new = [known.setdefault(lane.tobytes(), len(known)) for lane in lanes]
    first = [new.index(number) for number in range(len(known))]
    return np.array(new, np.int32)[index], np.take(table, first, axis)


def check_sums(weights: I8, bias: I32, multiplier: F32, *, rounds: bool) -> None:
    """Check what docs/numerics.md promises of every channel, with the actual weights.

    ``255 * sum|w| + |b'| < 2^31``, ``m >= 2^-100``, and where the sum is rounded to a code
    ``(max|acc| + 1) * m < 2^31``.

    Args:
        weights: int8 [O, KH, KW, C/groups].
        bias: int32 [R, S, O].
        multiplier: float32 [O].
        rounds: Whether the sums become codes.

    Raises:
        Refusal: if a sum has too many products.
        Misfit: with the first channel that breaks a promise, and figures.
    """
    if weights[0].size > CONV_TAPS_MAX:
        raise Refusal(f"{weights[0].size} products a sum, at most {CONV_TAPS_MAX} are summed")
    total = np.abs(weights.astype(np.int64)).sum((1, 2, 3)) * CODE_MAX
    most = total + np.abs(bias.astype(np.int64)).max((0, 1))  # [O]
    reach = (most + 1.0) * multiplier.astype(np.float64)
    for broken, figures, meaning in (
        (most >= 2**31, most, "sums reach {} and must stay below 2^31"),
        (~(multiplier >= arith.MULTIPLIER_MIN), multiplier, "multiplier {} is below 2^-100"),
        (~np.isfinite(multiplier), multiplier, "multiplier {} is not finite"),
        (rounds & ~(reach < BOUND), reach, "results reach {} output steps, at most 2^31"),
    ):
        if broken.any():
            channel = int(np.argmax(broken))
            raise Misfit(f"channel {channel}: " + meaning.format(figures[channel]))


def check_multipliers(multiplier: F32, most: float) -> None:
    """Check the multipliers of sums (or products) whose magnitude is at most `most`.

    Raises:
        Misfit: if one is below 2^-100, not finite, or reaches 2^31 output steps.
    """
    size = np.abs(multiplier.astype(np.float64))
    if not (np.all(size >= arith.MULTIPLIER_MIN) and np.all((most + 1) * size < BOUND)):
        raise Misfit(
            f"multipliers {size.min():.3g} to {size.max():.3g} of sums up to {most:.3g} leave "
            "2^-100 to 2^31 output steps: the scales of its inputs and output do not fit together"
        )


def check_windows(windows: tuple[Window, Window]) -> None:
    """Check that a window is one that the engine takes.

    Raises:
        Refusal: if a kernel, stride, dilation or pad is beyond 2^15.
    """
    for window in windows:
        sizes = (window.kernel, window.stride, window.dilation, abs(window.pad))
        if max(sizes) > WINDOW_MAX:
            raise Refusal(f"kernel, stride, dilation or pad of {max(sizes)} is above {WINDOW_MAX}")


def pool_multipliers(
    ratio: float, windows: tuple[Window, Window], ends: tuple[int, int] | None
) -> tuple[I32, I32, F32]:
    """Return row_class [OH], col_class [OW] and multiplier float32 [R, S] of an average.

    ``m = fl32(ratio / count)``, count being the taps inside x, or with `ends` those inside x and
    its padding.

    Args:
        ratio: Input scale over output scale, float64.
        windows: Vertical and horizontal axis.
        ends: Where the padding behind x ends, per axis, if padding counts; else None.
    """
    index, counts = [], []
    for axis, window in enumerate(windows):
        ranges = window.inside(-window.pad, ends[axis]) if ends else window.inside()
        number, known = classes([(0, end - first) for first, end in ranges])
        index.append(number)
        counts.append(np.array([max(1, end) for _, end in known], np.float64))
    return index[0], index[1], arith.multiplier(np.array(ratio), np.outer(*counts))


def clip_codes(node: Node, out: QParams) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the codes of a node's `clip`, each uint8 [1] or [C]; 0 and 255 where there is none."""
    bounds = np.array(node.clip, np.float32)
    codes = arith.quantize(bounds[:, None], out.scale[None, :], out.zero_point)  # [2, K]
    return codes[0], np.maximum(codes[0], codes[1])
