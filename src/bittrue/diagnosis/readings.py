"""Readings of what a device gave: the plain one, and each after one output mistake is undone.

A reading brings a device's array to the shape and domain of the network's output, so that it can be
compared with any prediction. Where a mistake cannot be undone (a softmax twice, scores below a
threshold) it is made on the prediction instead: `forward`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bittrue.contract.tensor import TensorContract
from bittrue.diagnosis.boxes import box_axis, box_readings
from bittrue.diagnosis.facts import Mistake
from bittrue.diagnosis.thin import Slices

F64 = NDArray[np.float64]
Forward = Callable[[F64], F64]
Fit = Literal["", "affine", "boxes"]
#: A device's array is taken for codes if it holds whole numbers only, and at most so many.
CODES = 256
#: Shares below this say nothing about what went into a sigmoid or softmax.
LEAST = 1e-4
#: What comes before an activation spans at least this.
SPREAD = 0.2
#: Scores below this are 0 to many a device of 8 bits.
SCORE = 0.03
#: Customary thresholds.
LEVELS = tuple(round(0.05 * index, 2) for index in range(1, 19))
#: Outputs whose orders are all tried; of more, only pairs are exchanged.
ORDERS = 4
_MEND_ORDER = "d = outputs[{name!r}]  # by name, never by position"


@dataclass(frozen=True, slots=True)
class Reading:
    """One output as it may be read.

    Args:
        output: Name of the network's output.
        mistake: What was undone; None where nothing was.
        values: float64 in the output's shape.
        forward: What is made of the prediction before it is compared; None for nothing.
        also: A second look at the same mistake; the worse of both counts.
        fit: What is fitted to the prediction first: "" nothing, "affine" a scale and an offset,
            "boxes" a scale for the x and one for the y of boxes.
    """

    output: str
    mistake: Mistake | None
    values: F64
    forward: Forward | None = None
    also: Reading | None = None
    fit: Fit = ""


@dataclass(frozen=True, slots=True)
class Traits:
    """What an output shows over all frames: one frame of few numbers may show anything.

    Args:
        codes: The device gives whole numbers only, as codes are.
        shares: It gives values from 0 to 1 only.
        adds_up: These add up to 1 along the axis of classes.
        meant: The reference gives values from 0 to 1 only.
        beside: There are other outputs.
        free: The part of its numbers that is independent: of C shares that add up to 1, C - 1.
        spread: From the device's least value to its greatest.
    """

    codes: bool = False
    shares: bool = False
    adds_up: bool = False
    meant: bool = False
    beside: bool = False
    free: float = 1.0
    spread: float = 0.0


def traits(given: Sequence[np.ndarray], meant: Sequence[F64], *, beside: bool = False) -> Traits:
    """Return what an output shows.

    Args:
        given: By the device, one array a frame.
        meant: The reference's, one a frame.
        beside: Whether there are other outputs.
    """
    flat = np.concatenate([np.asarray(row, np.float64).reshape(-1) for row in given])
    alike = all(_bare(row.shape) == _bare(meant[0].shape) for row in given)
    axis = class_axis(meant[0].shape)
    sums = [np.asarray(row, np.float64).reshape(meant[0].shape) for row in given] if alike else []
    shares = _is_share(flat)
    adds_up = shares and alike and _adds_up(np.stack(sums), axis + 1)
    classes = meant[0].shape[axis] if meant[0].shape else 1
    tied = classes > 1 and all(_is_share(row) and _adds_up(row, axis) for row in meant)
    free = 1 - 1 / classes if tied else 1.0
    return Traits(
        is_codes(flat),
        shares,
        adds_up,
        all(map(_is_share, meant)),
        beside,
        free,
        float(np.ptp(flat)) if flat.size else 0.0,
    )


def readings(
    output: str,
    shape: tuple[int, ...],
    device: Mapping[str, np.ndarray],
    own: str,
    reference: F64,
    contracts: Mapping[str, TensorContract],
    level: float | None = None,
    part: Slices = (),
    shown: Traits | None = None,
) -> tuple[Reading, ...]:
    """Return every reading of one output; the plain one first, where the shape allows it.

    Args:
        output: Its name.
        shape: Its shape.
        device: What the device gave, by the device's names.
        own: The device's name for this output.
        reference: What the part of the output should be, for what only statistics tell.
        contracts: Of the deployed outputs, by name.
        level: The threshold that the output shows over all frames; None for none.
        part: What of the output is looked at; empty for all of it.
        shown: What the output shows over all frames; None to look at this one alone.
    """
    size = int(np.prod(shape))
    found: list[Reading] = []
    if own in device:
        shown = traits([device[own]], [reference]) if shown is None else shown
        found += _of_array(output, shape, device[own], contracts, part, shown)
        if level is not None:
            found += _cut(output, shape, device[own], level, part)
    for name, array in device.items():
        if name != own and array.size == size:
            told = Mistake(
                "output.order",
                f"{name!r} was taken for {output!r}",
                f"output {output!r}",
                (_MEND_ORDER.format(name=name),),
                "contract",
            )
            found += [
                Reading(output, told, values[part])
                for mistake, values in _placed(output, shape, array)
                if mistake is None
            ]
    return tuple(found)


def _of_array(
    output: str,
    shape: tuple[int, ...],
    array: np.ndarray,
    contracts: Mapping[str, TensorContract],
    part: Slices,
    shown: Traits,
) -> Iterator[Reading]:
    for mistake, placed in _placed(output, shape, array):
        values = placed[part]
        yield Reading(output, mistake, values)
        if mistake is not None:
            continue
        yield from _scaled(output, values, contracts, codes=shown.codes)
        yield from _activated(output, values, shown)
        for boxed in box_readings(values, values.shape, beside=shown.beside):
            told = Mistake(
                "output.box_format", boxed.what, f"output {output!r}", (boxed.mend,), "contract"
            )
            yield Reading(output, told, boxed.values)
        if box_axis(values.shape, beside=shown.beside) is not None:
            told = Mistake(
                "output.box_format",
                "coordinates in another unit",
                f"output {output!r}",
                ("boxes = boxes * unit  # the size in pixels that the network was trained with",),
                "contract",
            )
            yield Reading(output, told, values, fit="boxes")


# --- the same numbers in other places ------------------------------------------------------------


def _placed(
    output: str, shape: tuple[int, ...], array: np.ndarray
) -> Iterator[tuple[Mistake | None, F64]]:
    """Yield the array in the output's shape: as it is, transposed, reread, or without padding."""
    wide = np.asarray(array, np.float64)
    where = f"output {output!r}"
    if _bare(wide.shape) == _bare(shape) or (wide.ndim == 1 and wide.size == np.prod(shape)):
        yield None, wide.reshape(shape)
    if wide.size == np.prod(shape):
        yield from _permuted(where, shape, wide)
    else:
        yield from _unpadded(where, shape, wide)


def _bare(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _permuted(where: str, shape: tuple[int, ...], wide: F64) -> Iterator[tuple[Mistake, F64]]:
    core = _bare(shape)
    if len(core) < 2 or len(core) > 4:
        return
    given = _bare(wide.shape)
    for order in itertools.permutations(range(len(core))):
        if order == tuple(range(len(core))):
            continue
        # The device's array has the axes of the output in another order ...
        if given == tuple(core[axis] for axis in order):
            back = np.argsort(order)
            moved = wide.reshape(given).transpose(back).reshape(shape)
            yield _layout(where, f"axes in the order {order}", f"d.transpose{_t(back)}"), moved
        # ... or had it when its memory was given the output's shape.
        if given == core:
            other = tuple(core[axis] for axis in order)
            back = np.argsort(order)
            read = wide.reshape(other).transpose(back).reshape(shape)
            line = f"d.reshape{other}.transpose{_t(back)}"
            yield _layout(where, f"memory of shape {other} reshaped to {core}", line), read


def _t(order: NDArray[np.int64]) -> str:
    return str(tuple(int(axis) for axis in order))


def _layout(where: str, what: str, line: str) -> Mistake:
    return Mistake("output.layout", what, where, (f"d = np.ascontiguousarray({line})",), "contract")


def _unpadded(where: str, shape: tuple[int, ...], wide: F64) -> Iterator[tuple[Mistake, F64]]:
    """Cut what is too much off the end of one or more axes."""
    if wide.ndim != len(shape) or wide.size < np.prod(shape):
        if wide.ndim == 1 and wide.size > np.prod(shape):
            count = int(np.prod(shape))
            line = f"d[:{count}].reshape{tuple(shape)}"
            yield _padding(where, wide.shape, shape, line), wide[:count].reshape(shape)
        return
    for order in itertools.permutations(range(wide.ndim)):
        turned = wide.transpose(order)
        if all(have >= want for have, want in zip(turned.shape, shape, strict=True)):
            cut = turned[tuple(slice(size) for size in shape)]
            moved = "" if order == tuple(range(wide.ndim)) else f".transpose{order}"
            ends = ", ".join(f":{size}" for size in shape)
            yield _padding(where, wide.shape, shape, f"d{moved}[{ends}]"), cut


def _padding(where: str, have: Sequence[int], want: Sequence[int], line: str) -> Mistake:
    turned = f", axes moved ({line})" if "transpose" in line else ""
    return Mistake(
        "output.padding",
        f"{list(have)} where {list(want)} is the output: alignment padding{turned}",
        where,
        (f"d = {line}",),
        "contract",
    )


# --- other units ---------------------------------------------------------------------------------


def is_codes(array: np.ndarray) -> bool:
    """Whether an array holds what only codes look like: some whole numbers, more than 0 and 1."""
    if array.size < 2 or not np.isfinite(array).all():
        return False
    least, greatest = float(array.min()), float(array.max())
    if least < -32768 or greatest > 65535 or greatest - least < 2:
        return False
    return bool((array == np.rint(array)).all())


def _scaled(
    output: str, values: F64, contracts: Mapping[str, TensorContract], *, codes: bool
) -> Iterator[Reading]:
    """Undo what scales and zero points can do wrong; known ones first, then fitted ones."""
    where = f"output {output!r}"
    row = contracts.get(output)
    if row is not None and row.scale is not None:
        scale, zero = row.scale, row.zero_point
        line = f"(d.astype(np.float32) - {zero}) * np.float32({scale:.9g})"
        if codes:
            told = Mistake(
                "output.not_dequantized", "codes taken for values", where, (f"d = {line}",)
            )
            yield Reading(output, told, (values - zero) * scale)
        else:
            told = Mistake(
                "output.dequantized_twice",
                "values taken for codes, and dequantised again",
                where,
                (f"d = {line}  # once, on the codes as the device gives them",),
            )
            yield Reading(output, told, values / scale + zero)
            yield from _others(output, values, row, contracts)
    if codes:
        told = Mistake(
            "output.not_dequantized",
            "codes taken for values",
            where,
            ("d = (d.astype(np.float32) - zero_point) * scale  # of this output, from the device",),
        )
        yield Reading(output, told, values, fit="affine")
    else:
        told = Mistake(
            "output.wrong_qparams",
            "dequantised with another scale or zero point",
            where,
            ("d = (codes - zero_point) * scale  # with this output's own scale and zero point",),
        )
        yield Reading(output, told, values, fit="affine")


def _others(
    output: str, values: F64, row: TensorContract, contracts: Mapping[str, TensorContract]
) -> Iterator[Reading]:
    """Dequantised with another output's scale and zero point."""
    scale, zero = float(row.scale or 1.0), row.zero_point
    for name, other in contracts.items():
        if name == output or other.scale is None:
            continue
        if (other.scale, other.zero_point) == (row.scale, row.zero_point):
            continue
        told = Mistake(
            "output.wrong_qparams",
            f"dequantised with the scale {other.scale:.6g} and zero point {other.zero_point} of "
            f"{name!r}",
            f"output {output!r}",
            (f"d = (codes.astype(np.float32) - {zero}) * np.float32({scale:.9g})",),
        )
        codes = values / other.scale + other.zero_point
        yield Reading(output, told, (codes - zero) * scale)


# --- activations ---------------------------------------------------------------------------------


def sigmoid(x: F64) -> F64:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def softmax(x: F64, axis: int) -> F64:
    """Return exp(x) over its sum along an axis."""
    raised = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis=axis, keepdims=True))


def class_axis(shape: Sequence[int]) -> int:
    """Return the axis that a softmax most likely runs along."""
    if len(shape) == 3:
        return 1 if 1 < shape[1] <= shape[2] else 2
    return 1 if len(shape) in (2, 4) else len(shape) - 1


def _is_share(x: F64) -> bool:
    return bool(x.size) and float(x.min()) >= -0.02 and float(x.max()) <= 1.02


def _adds_up(x: F64, axis: int) -> bool:
    """Whether shares add up to 1, as far as 8 bits let them: each may be off by half a code."""
    return _is_share(x) and 0.5 < float(np.median(x.sum(axis=axis))) < 1.5


def _activated(output: str, values: F64, shown: Traits) -> Iterator[Reading]:
    """A sigmoid or softmax on one side only, or twice; codes went through neither."""
    if shown.codes:
        return
    where, axis = f"output {output!r}", class_axis(values.shape)
    after = {"sigmoid": shown.shares, "softmax": shown.adds_up}
    for name, function, inverse in (
        ("sigmoid", sigmoid, logit),
        ("softmax", lambda x: softmax(x, axis), lambda x: _logs(x, axis)),
    ):
        if name == "softmax" and not values.shape:
            continue
        if not shown.meant:
            inside = Mistake(
                "output.activation_missing",
                f"the device applies a {name} that the reference leaves out",
                where,
                (f"reference = {name}(reference)",),
            )
            if after[name]:
                yield Reading(output, inside, values, forward=function)
            continue
        twice = Mistake(
            "output.activation_twice",
            f"the {name} is in the network, and was applied again",
            where,
            (f"leave out the {name} after the network: it is inside",),
        )
        if after[name]:
            yield Reading(output, twice, values, forward=function)
        if after[name] or shown.spread < SPREAD:
            continue  # what comes before it neither looks as what comes behind it, nor is all alike
        left_out = Mistake(
            "output.activation_missing",
            f"the device gives what comes before the {name}",
            where,
            (f"d = {name}(d)",),
        )
        # Behind the function much looks alike, before it little does: both have to fit.
        centred = values if name == "sigmoid" else values - values.mean(axis=axis, keepdims=True)
        before = Reading(output, left_out, centred, forward=inverse)
        yield Reading(output, left_out, function(values), also=before)


def logit(x: F64) -> F64:
    """Return the inverse of the sigmoid; shares are kept LEAST away from 0 and 1."""
    inner = np.clip(x, LEAST, 1 - LEAST)
    return np.asarray(np.log(inner / (1 - inner)))


def _logs(x: F64, axis: int) -> F64:
    """Return logarithms of shares less their mean: what goes into a softmax, but for a constant."""
    logs = np.log(np.maximum(x, LEAST))
    return np.asarray(logs - logs.mean(axis=axis, keepdims=True))


# --- cut off -------------------------------------------------------------------------------------


def _cut(
    output: str, shape: tuple[int, ...], array: np.ndarray, level: float, part: Slices
) -> Iterator[Reading]:
    """Scores that are 0 wherever they would be below one round value."""
    if array.size != np.prod(shape):
        return
    values = np.asarray(array, np.float64).reshape(shape)[part]
    told = Mistake(
        "output.threshold",
        f"scores below {level:g} are missing",
        f"output {output!r}",
        (f"compile with a score threshold below {level:g}, or compare with the same one",),
        "contract",
    )
    yield Reading(output, told, values, forward=lambda x: np.where((x > 0) & (x < level), 0.0, x))


def threshold_of(values: F64, reference: F64) -> float | None:
    """Return the frozen threshold that a device's scores show; None where they show none.

    Of the customary levels that no score lies below but 0, it is the one under which the reference,
    cut off there, comes nearest to what the device gave.

    Args:
        values: The device's, of all frames.
        reference: What they should be.
    """
    positive = values[values > 0]
    if not positive.size or not (values == 0).any() or not (values >= 0).all():
        return None
    fitting = [level for level in LEVELS if level <= 1.03 * float(positive.min())]
    gone = {level: (reference > 0) & (reference < level) for level in fitting}
    left = {
        level: float(np.square(values - np.where(gone[level], 0.0, reference)).sum())
        for level in fitting
    }
    plain = float(np.square(values - reference).sum())
    best = min(fitting, key=lambda level: left[level], default=0.0)
    if not best or left[best] >= plain or float(reference[gone[best]].max(initial=0.0)) < SCORE:
        return None
    return best if float((values[gone[best]] == 0).mean()) > 0.9 else None
