"""Mistakes on the way from pixels to what the network computes with: normalising, casting, coding.

Each is what a program on the host did with the pixels, read by the door of the deployed network as
its runtime would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.door import F32, Door, Scaling

F64 = NDArray[np.float64]
#: A scale and a zero point that a host may take by mistake, and whose they are.
QParam = tuple[str, float, int]

_RAW = "x = raw_pixels(preprocess, picture)  # uint8: the network normalises by itself"
_NORMALISE = "x = normalise(preprocess, raw_pixels(preprocess, picture))"


@dataclass(frozen=True, slots=True)
class ValueMistake:
    """One way to get values wrong.

    Args:
        cause: An id of the table of causes.
        what: The variant in words.
        mend: The line that makes it right.
        values: From the intended pixels float64 [1, H, W, C] to what the network computes with.
    """

    cause: str
    what: str
    mend: str
    values: Callable[[F64], F32]


#: Constants that are in use, in words: scale, mean and std for red, green, blue.
CONSTANTS: tuple[tuple[str, float, tuple[float, ...], tuple[float, ...]], ...] = (
    ("pixels / 255", 1 / 255, (0, 0, 0), (1, 1, 1)),
    ("ImageNet's mean and std", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ("mean 0.5 and std 0.5", 1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ("(pixels - 127.5) / 128", 1.0, (127.5, 127.5, 127.5), (128, 128, 128)),
    ("(pixels - 127) / 128", 1.0, (127, 127, 127), (128, 128, 128)),
    ("pixels / 256", 1 / 256, (0, 0, 0), (1, 1, 1)),
    ("CLIP's mean and std", 1 / 255, (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)),
    ("pixels - [104, 117, 123]", 1.0, (104, 117, 123), (1, 1, 1)),
    ("pixels - ImageNet's mean in pixels", 1.0, (123.675, 116.28, 103.53), (1, 1, 1)),
    ("CIFAR's mean and std", 1 / 255, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    (
        "ImageNet's mean and std in pixels",
        1.0,
        (123.675, 116.28, 103.53),
        (58.395, 57.12, 57.375),
    ),
)


def value_mistakes(door: Door, colour: str, qparams: Sequence[QParam]) -> Iterator[ValueMistake]:
    """Yield the mistakes that can be made at a door, likeliest first.

    Args:
        door: Of the deployed network.
        colour: Order of its channels.
        qparams: Scales and zero points of the deployed network's other tensors.
    """
    yield from _unnormalised(door)
    yield from _twice(door)
    yield from _casts(door)
    yield from _scaled_again(door)
    yield from _constants(door, colour)
    yield from _signs(door)
    if door.kind == "codes":
        yield from _codes(door, qparams)
    yield from _widened(door)
    yield from _bytes(door)


def coded(door: Door, values: np.ndarray) -> F32:
    """Return values as a door holds them: rounded to its codes where it takes codes."""
    if door.kind != "codes":
        return door.cut(np.asarray(values, np.float32))
    limits = np.iinfo(door.dtype)
    steps = np.rint(np.asarray(values, np.float64) / door.scale) + door.zero_point
    return door.values_of(np.clip(steps, limits.min, limits.max))


def _unnormalised(door: Door) -> Iterator[ValueMistake]:
    cause = "input.missing_normalization"
    if door.kind == "pixels":
        yield ValueMistake(
            cause,
            "the deployed network computes with raw pixels: nothing normalises, outside or inside",
            "put the normalisation inside when the network is converted, or outside: " + _NORMALISE,
            lambda pixels: door.cut(np.asarray(pixels, np.float32)),
        )
        return
    yield ValueMistake(
        cause,
        "raw pixels 0..255 where normalised values are expected",
        _NORMALISE,
        lambda pixels: coded(door, pixels),
    )
    if door.kind == "codes":
        yield ValueMistake(
            cause,
            "raw pixels sent as codes, neither normalised nor quantised",
            "x = np.clip(np.rint(values / scale) + zero_point, lo, hi).astype(dtype)",
            lambda pixels: door.values_of(_cast(pixels, door.dtype)),
        )


def _bytes(door: Door) -> Iterator[ValueMistake]:
    """A buffer of wider elements, of which a runtime takes as many bytes as it wants."""
    if door.kind == "values":
        return
    for name in ("float32", "float64"):

        def read(pixels: F64, name: str = name) -> F32:
            held = _buffer(door, pixels).astype(name)
            memory = np.ascontiguousarray(held).view(door.dtype).reshape(-1)[: held.size]
            return door.values_of(door.frame(memory))

        yield ValueMistake(
            "input.dtype",
            f"the first bytes of a {name} buffer read as {door.dtype}",
            f"x = x.astype(np.{door.dtype})  # elements of {np.dtype(door.dtype).itemsize} byte",
            read,
        )


def _buffer(door: Door, pixels: F64) -> F64:
    """Return what a right buffer holds, in the order of its memory, as numbers."""
    held = pixels
    if door.kind == "codes":
        limits = np.iinfo(door.dtype)
        steps = np.rint(door.scaling(pixels).astype(np.float64) / door.scale) + door.zero_point
        held = np.clip(steps, limits.min, limits.max)
    return held.transpose(0, 3, 1, 2) if door.planar else held


def _twice(door: Door) -> Iterator[ValueMistake]:
    cause, scaling = "input.double_normalization", door.scaling
    mend = _RAW if door.kind == "pixels" else "normalise once: " + _NORMALISE
    yield ValueMistake(
        cause,
        "normalised values normalised again",
        mend,
        lambda pixels: coded(door, scaling(scaling(pixels))),
    )
    yield ValueMistake(
        cause,
        "divided by 255 before it was normalised",
        mend,
        lambda pixels: coded(door, scaling(pixels / 255)),
    )
    if door.kind == "pixels":
        yield ValueMistake(
            cause,
            f"normalised values cast to {door.dtype}, and normalised again inside",
            _RAW,
            lambda pixels: door.values_of(_cast(scaling(pixels), door.dtype)),
        )
        yield ValueMistake(
            cause,
            f"normalised values cut off to {door.dtype}, and normalised again inside",
            _RAW,
            lambda pixels: door.values_of(np.clip(np.rint(scaling(pixels)), 0, 255)),
        )
        return
    yield ValueMistake(
        cause,
        "normalised values divided by 255 again",
        mend,
        lambda pixels: coded(door, scaling(pixels) / 255),
    )


def _scaled_again(door: Door) -> Iterator[ValueMistake]:
    """Pixels taken for floats in [0, 1]: in 8 bits 255 p is 256 - p."""
    if door.kind != "pixels":
        return
    yield ValueMistake(
        "input.wrong_mean_std",
        f"multiplied by 255 though the pixels are 0..255 already: {door.dtype} wraps around",
        f"x = pixels.astype(np.{door.dtype})  # as they are",
        lambda pixels: door.values_of(_cast(pixels * 255, door.dtype)),
    )


def _casts(door: Door) -> Iterator[ValueMistake]:
    cause = "input.cast_to_zero"
    mend = "x = np.rint(x * 255).astype(np.uint8)  # x: the floats in [0, 1], before the cast"
    if door.kind == "pixels":
        yield ValueMistake(
            cause,
            f"floats in [0, 1] cast to {door.dtype}: 0, and 1 where a pixel is white",
            mend,
            lambda pixels: door.values_of(np.trunc(pixels / 255)),
        )
        return
    if door.kind == "codes":
        mend = "x = np.clip(np.rint(x / scale) + zero_point, lo, hi).astype(dtype)"
    yield ValueMistake(
        cause,
        "normalised floats cast to integers",
        mend,
        lambda pixels: _after_cast(door, door.scaling(pixels)),
    )
    yield ValueMistake(
        cause,
        "floats in [0, 1] cast to integers",
        mend,
        lambda pixels: _after_cast(door, pixels / 255),
    )
    yield ValueMistake(
        cause,
        "floats in [0, 1] cast to integers, and then normalised",
        mend,
        lambda pixels: coded(door, door.scaling(np.trunc(pixels / 255))),
    )


def _after_cast(door: Door, values: np.ndarray) -> F32:
    if door.kind == "codes":
        return door.values_of(_cast(values, door.dtype))
    return door.cut(np.asarray(np.trunc(values), np.float32))


def _cast(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return values as a C cast leaves them: cut towards zero, wrapped around, as float64."""
    whole = np.trunc(np.asarray(values, np.float64)).astype(np.int64)
    if dtype.startswith(("float", "double")):
        return whole.astype(np.float64)
    return whole.astype(dtype).astype(np.float64)


def _constants(door: Door, colour: str) -> Iterator[ValueMistake]:
    for what, scale, mean, std in CONSTANTS:
        for reverse in (False, True):
            other = _scaling(scale, mean, std, colour, reverse)
            if _same(other, door.scaling) or (reverse and len(set(mean)) == len(set(std)) == 1):
                continue
            order = ", in the other order of channels" if reverse else ""
            yield ValueMistake(
                "input.wrong_mean_std",
                f"normalised by {what}{order}",
                _constants_line(door.scaling),
                lambda pixels, other=other: coded(door, other(pixels)),  # type: ignore[misc]
            )
    flipped = Scaling(door.scaling.scale, door.scaling.mean[::-1], door.scaling.std[::-1])
    if not _same(flipped, door.scaling):
        yield ValueMistake(
            "input.wrong_mean_std",
            "its own constants in the other order of channels",
            _constants_line(door.scaling),
            lambda pixels: coded(door, flipped(pixels)),
        )


def _scaling(
    scale: float,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    colour: str,
    reverse: bool,
) -> Scaling:
    if colour == "GRAY":
        return Scaling(scale, np.array(mean[:1], np.float64), np.array(std[:1], np.float64))
    step = -1 if (colour == "BGR") != reverse else 1
    return Scaling(
        scale, np.array(mean, np.float64)[::step].copy(), np.array(std, np.float64)[::step].copy()
    )


def _same(one: Scaling, other: Scaling) -> bool:
    ends = np.array([0.0, 255.0])[:, None]
    return bool(np.allclose(one(ends), other(ends), rtol=1e-3, atol=1e-3))


def _constants_line(scaling: Scaling) -> str:
    """Return the line that normalises, without the parts that change nothing."""
    line = "pixels.astype(np.float32)"
    if scaling.scale != 1:
        per = 1 / scaling.scale
        line += f" / {per:g}" if abs(per - round(per)) < 1e-6 else f" * {scaling.scale:.9g}"
    if scaling.mean.any():
        line += f" - {_numbers(scaling.mean)}"
    if (scaling.std != 1).any():
        line = (
            f"({line}) / {_numbers(scaling.std)}"
            if scaling.mean.any()
            else f"{line} / {_numbers(scaling.std)}"
        )
    return f"x = {line}"


def _numbers(values: NDArray[np.float64]) -> str:
    """Return one number where all are equal, else a list."""
    told = [f"{value:g}" for value in values]
    return told[0] if len(set(told)) == 1 else f"[{', '.join(told)}]"


def _signs(door: Door) -> Iterator[ValueMistake]:
    cause = "input.sign"
    integers = door.dtype if door.kind != "values" else "uint8"
    view = f"x = x.view(np.{integers})" if door.kind != "values" else "x = x.astype(np.float32)"
    shifted = f"x = (x.astype(np.int16) + 128).astype(np.{integers})"
    for what, mend, change in (
        ("off by 128: the sign bit is flipped", shifted, _flipped),
        ("values above 127 cut off: uint8 went through int8", view, _clamped),
        ("values above 127 read as negative", view, _negative),
        ("128 subtracted", shifted, lambda pixels: pixels - 128),
    ):
        yield ValueMistake(
            cause,
            what,
            mend,
            lambda pixels, change=change: _signed(door, pixels, change),  # type: ignore[misc]
        )


def _flipped(whole: F64) -> F64:
    return np.asarray((whole.astype(np.int64) & 255 ^ 128).astype(np.float64))


def _clamped(whole: F64) -> F64:
    return np.minimum(whole, 127)


def _negative(whole: F64) -> F64:
    return np.asarray(whole - 256 * (whole > 127))


def _signed(door: Door, pixels: F64, change: Callable[[F64], F64]) -> F32:
    """Apply a change of sign to what lies in the buffer: codes where the door takes codes."""
    if door.kind != "codes":
        return coded(door, door.scaling(change(pixels)))
    limits = np.iinfo(door.dtype)
    steps = np.rint(door.scaling(pixels).astype(np.float64) / door.scale) + door.zero_point
    codes = np.clip(steps, limits.min, limits.max)
    if limits.min < 0:
        # int8 wanted: the host made uint8 codes, 128 above, and their bits were taken.
        return door.values_of((_clamped if change is _clamped else _negative)(codes + 128))
    return door.values_of(change(codes))


def _codes(door: Door, qparams: Sequence[QParam]) -> Iterator[ValueMistake]:
    limits = np.iinfo(door.dtype)
    line = f"x = np.clip(np.rint(values / {door.scale:.9g}) + {door.zero_point}"
    line += f", {limits.min}, {limits.max}).astype(np.{door.dtype})"
    middle = (limits.max + limits.min + 1) // 2
    usual = (
        ("1 / 255 and the least code", 1 / 255, int(limits.min)),
        ("1 / 127 and the middle code", 1 / 127, middle),
        ("1 / 127.5 and the middle code", 1 / 127.5, middle),
        ("1 / 128 and the middle code", 1 / 128, middle),
        ("its own scale, but zero point 0", door.scale, 0),
        ("its own scale, but the middle code for zero point", door.scale, middle),
    )
    for whose, scale, zero_point in (*qparams, *usual):
        if abs(scale / door.scale - 1) < 1e-3 and zero_point == door.zero_point:
            continue

        def read(pixels: F64, scale: float = scale, zero_point: int = zero_point) -> F32:
            steps = np.rint(door.scaling(pixels).astype(np.float64) / scale) + zero_point
            return door.values_of(np.clip(steps, limits.min, limits.max))

        yield ValueMistake(
            "input.wrong_qparams",
            f"quantised with {whose}: scale {scale:.6g}, zero point {zero_point}",
            line,
            read,
        )
    for what, cut in (("towards zero", np.trunc), ("downwards", np.floor)):

        def truncated(pixels: F64, cut: Callable[[F64], F64] = cut) -> F32:
            steps = cut(door.scaling(pixels).astype(np.float64) / door.scale) + door.zero_point
            return door.values_of(np.clip(steps, limits.min, limits.max))

        yield ValueMistake(
            "input.truncated", f"quotients cut {what} in place of rounded", line, truncated
        )


def _eight_bits(door: Door, pixels: F64) -> F64:
    """Return the codes that a host makes whose scale is 257 times as large."""
    steps = door.scaling(pixels).astype(np.float64) / (door.scale * 257)
    return np.asarray(np.clip(np.rint(steps + door.zero_point / 257), 0, 255), np.float64)


def _widened(door: Door) -> Iterator[ValueMistake]:
    if door.kind == "values":
        return
    mend = "x = x.astype(np.uint16) * 257  # all 16 bits"
    if door.kind == "codes" and np.dtype(door.dtype).itemsize == 2:
        yield ValueMistake(
            "input.widened",
            f"8-bit codes in a {door.dtype} input",
            f"x = np.clip(np.rint(values / {door.scale:.9g}) + {door.zero_point}, lo, hi)",
            lambda pixels: door.values_of(_eight_bits(door, pixels)),
        )
        return
    yield ValueMistake(
        "input.widened",
        "8-bit pixels in a 16-bit input: an almost black picture",
        mend,
        lambda pixels: door.scaling(pixels / 257),
    )
