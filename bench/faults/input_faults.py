"""Mistakes on the way from a picture to the device, as a user's program makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from bench.faults.codes import Codes
from bench.faults.device import Device
from bench.faults.networks import HALF, MEAN, STD, Network
from bench.faults.recipe import F32, U8, Recipe, batched, normalised, pixels

KINDS = ("float", "raw", "codes")
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Buffer:
    """What is sent.

    Args:
        sent: The array, as the user would save it.
        read: Its memory, in the order in which the device's library reads it.
        refused: Whether the library refuses it for its number of bytes.
    """

    sent: np.ndarray
    read: np.ndarray
    refused: bool = False


def _always(_: Network) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class InputFault:
    """One mistake; whatever is None is done as it should be.

    Args:
        name: Of the case.
        cause: An id of the table of causes.
        kinds: Of buffers that it can happen to.
        applies: Whether it is a mistake at all with this network.
        recipe: Other preprocessing.
        raw: Another treatment of raw pixels, [H, W, 3] to [H, W, 3].
        values: In place of the normalisation: raw pixels to [H, W, 3] float32.
        encode: In place of the quantisation: the device's codes and values to codes.
        buffer: How the finished buffer is handed over.
        library: The preprocessing that the device's library was configured with.
        wide: Whether the device's input holds 16 bits.
    """

    name: str
    cause: str
    kinds: tuple[str, ...] = KINDS
    applies: Callable[[Network], bool] = _always
    recipe: Callable[[Recipe], Recipe] | None = None
    raw: Callable[[U8], U8] | None = None
    values: Callable[[Recipe, U8], F32] | None = None
    encode: Callable[[Codes, F32], np.ndarray] | None = None
    buffer: Callable[[np.ndarray], Buffer] | None = None
    library: Callable[[Recipe], Recipe] | None = None
    wide: bool = False


NOTHING = InputFault("healthy", "none")


def device_with(device: Device, fault: InputFault) -> Device:
    """Return the device as the mistake has it configured."""
    if fault.library is not None:
        return replace(device, recipe=fault.library(device.recipe))
    if fault.wide:
        narrow = device.input_codes
        wide = Codes(narrow.scale / 257, narrow.zero_point * 257, 16)
        return replace(device, input_codes=wide)
    return device


def send(
    network: Network, codes: Codes, kind: str, picture: Image.Image, fault: InputFault
) -> Buffer:
    """Return what a user with this mistake sends.

    Args:
        network: Whose preprocessing is meant.
        codes: Of the device's input, 8 bits.
        kind: One of KINDS.
        picture: To be seen.
        fault: The mistake, or NOTHING.
    """
    recipe = fault.recipe(network.recipe) if fault.recipe else network.recipe
    raw = pixels(recipe, picture)
    raw = fault.raw(raw) if fault.raw else raw
    array: np.ndarray
    if kind == "raw" and fault.values is None:
        array = raw[None]
    elif kind == "raw" and fault.values is not None:
        array = fault.values(recipe, raw)[None]
    else:
        array = _values(recipe, codes, kind, raw, fault)
    return fault.buffer(array) if fault.buffer else Buffer(array, array)


def _values(recipe: Recipe, codes: Codes, kind: str, raw: U8, fault: InputFault) -> np.ndarray:
    made = fault.values(recipe, raw) if fault.values else normalised(recipe, raw)
    x = np.asarray(batched(recipe, made), np.float32)
    if kind == "float":
        return x
    return fault.encode(codes, x) if fault.encode else codes.encode(x)


# --- what is done to a picture -------------------------------------------------------------------


def _resizes(network: Network) -> bool:
    return network.recipe.resize != "none"


def _way(*ways: str) -> Callable[[Network], bool]:
    return lambda network: network.recipe.resize in ways


def _filter(name: str) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(recipe, interpolation=name)


def _to_letterbox(recipe: Recipe) -> Recipe:
    return replace(recipe, resize="letterbox")


def _to_stretch(recipe: Recipe) -> Recipe:
    return replace(recipe, resize="stretch")


def _other_corner(recipe: Recipe) -> Recipe:
    return replace(recipe, corner="centre" if recipe.corner == "top-left" else "top-left")


def _other_pad(recipe: Recipe) -> Recipe:
    return replace(recipe, pad_colour=(114,) * 3 if recipe.pad_colour[0] == 0 else (0, 0, 0))


def _no_margin(recipe: Recipe) -> Recipe:
    return replace(recipe, resize_to=max(recipe.size))


def _middle(recipe: Recipe) -> Recipe:
    return replace(recipe, resize="crop", resize_to=max(recipe.size))


# --- what is done to raw pixels ------------------------------------------------------------------


def _reversed(raw: U8) -> U8:
    return np.ascontiguousarray(raw[:, :, ::-1])


def _turned(raw: U8) -> U8:
    """Return width before height."""
    return np.ascontiguousarray(raw.transpose(1, 0, 2))


def _limited(raw: U8) -> U8:
    """Return video's range, 16 to 235, as a decoder that does not expand it gives it."""
    return np.rint(16 + raw.astype(np.float64) * (219 / 255)).astype(np.uint8)


def _grey(raw: U8) -> U8:
    return np.repeat(np.asarray(Image.fromarray(raw).convert("L"))[:, :, None], 3, axis=2)


def _yuv(raw: U8) -> U8:
    return np.asarray(Image.fromarray(raw).convert("YCbCr"))


# --- what is done in place of the normalisation --------------------------------------------------


def _none(_: Recipe, raw: U8) -> F32:
    return raw.astype(np.float32)


def _twice(recipe: Recipe, raw: U8) -> F32:
    """Return (x * scale - mean) / std of values that were normalised already."""
    x = normalised(recipe, raw)
    again = x * np.float32(recipe.scale) - np.array(recipe.mean, np.float32)
    return np.asarray(again / np.array(recipe.std, np.float32), np.float32)


def _divided(_: Recipe, raw: U8) -> F32:
    return np.asarray(raw.astype(np.float32) / 255, np.float32)


def _constants(recipe: Recipe) -> Recipe:
    """Return the constants that most tutorials have, or others where these are the right ones."""
    usual = replace(recipe, scale=1 / 255, mean=MEAN, std=STD)
    return usual if recipe.mean != MEAN else replace(usual, mean=HALF, std=HALF)


def _other_constants(recipe: Recipe, raw: U8) -> F32:
    return normalised(_constants(recipe), raw)


def _no_std(recipe: Recipe) -> Recipe:
    return replace(recipe, std=(1.0,) * 3)


def _without_std(recipe: Recipe, raw: U8) -> F32:
    return normalised(_no_std(recipe), raw)


def _plain(recipe: Recipe) -> Recipe:
    return replace(recipe, scale=1.0, mean=ZERO, std=ONE)


def _normalises(network: Network) -> bool:
    return not network.recipe.plain


def _takes_pixels(network: Network) -> bool:
    return network.recipe.plain


def _has_std(network: Network) -> bool:
    return set(network.recipe.std) != {1.0}


# --- what is done to codes and buffers -----------------------------------------------------------


def _cut(codes: Codes, x: F32) -> np.ndarray:
    steps = np.clip(x / codes.scale + codes.zero_point, 0, codes.limit)
    return np.asarray(steps.astype(np.uint8))


def _other_codes(codes: Codes, x: F32) -> np.ndarray:
    other = Codes(codes.scale * 1.7, min(255, codes.zero_point // 2 + 40))
    return other.encode(x)


def _signed(array: np.ndarray) -> Buffer:
    """Return codes less 128, as int8."""
    signed = (array.astype(np.int16) - 128).astype(np.int8)
    return Buffer(signed, signed.view(np.uint8))


def _clamped(array: np.ndarray) -> Buffer:
    clamped = np.minimum(array, 127).astype(np.int8)
    return Buffer(clamped, clamped)


def _widened(array: np.ndarray) -> Buffer:
    return Buffer(array.astype(np.uint16), array.astype(np.uint16))


def _other_layout(array: np.ndarray) -> Buffer:
    last = array.shape[-1] == 3
    axes = (0, 3, 1, 2) if last else (0, 2, 3, 1)
    moved = np.ascontiguousarray(array.transpose(axes))
    return Buffer(moved, moved)


def _view(array: np.ndarray) -> Buffer:
    """Return an array that looks right and is a view of memory in the other layout."""
    return Buffer(array, _other_layout(array).sent)


def _fortran(array: np.ndarray) -> Buffer:
    column = np.asfortranarray(array)
    return Buffer(column, column.ravel(order="K"))


def _too_wide(array: np.ndarray) -> Buffer:
    wide = array.astype(np.float64 if array.dtype == np.float32 else np.float32)
    return Buffer(wide, wide, refused=True)


def _first_bytes(array: np.ndarray) -> Buffer:
    """Return a float32 buffer of which the device reads as many bytes as it wants."""
    wide = array.astype(np.float32)
    return Buffer(wide, wide.view(np.uint8).ravel()[: array.size])


def _two_frames(array: np.ndarray) -> Buffer:
    both = np.concatenate([array, array])
    return Buffer(both, both, refused=True)


CODED = ("raw", "codes")
VALUED = ("float", "codes")
FAULTS = (
    InputFault("channel_order", "input.channel_order", raw=_reversed),
    InputFault("transposed", "input.transposed", raw=_turned),
    InputFault("limited_range", "input.colour_space", raw=_limited),
    InputFault("grey", "input.colour_space", raw=_grey),
    InputFault("yuv", "input.colour_space", raw=_yuv),
    InputFault("opencv_resize", "input.interpolation", applies=_resizes, recipe=_filter("opencv")),
    InputFault(
        "nearest_resize", "input.interpolation", applies=_resizes, recipe=_filter("nearest")
    ),
    InputFault(
        "bicubic_resize", "input.interpolation", applies=_resizes, recipe=_filter("bicubic")
    ),
    InputFault("stretched", "input.letterbox", applies=_way("letterbox"), recipe=_to_stretch),
    InputFault("letterboxed", "input.letterbox", applies=_way("stretch"), recipe=_to_letterbox),
    InputFault("corner", "input.letterbox", applies=_way("letterbox"), recipe=_other_corner),
    InputFault("pad_colour", "input.letterbox", applies=_way("letterbox"), recipe=_other_pad),
    InputFault("no_margin", "input.crop", applies=_way("crop"), recipe=_no_margin),
    InputFault("middle", "input.crop", applies=_way("stretch"), recipe=_middle),
    InputFault("uncropped", "input.crop", applies=_way("crop"), recipe=_to_stretch),
    InputFault(
        "no_normalization", "input.missing_normalization", VALUED, _normalises, values=_none
    ),
    InputFault(
        "library_without", "input.missing_normalization", ("raw",), _normalises, library=_plain
    ),
    InputFault("twice", "input.double_normalization", VALUED, _normalises, values=_twice),
    InputFault("divided", "input.double_normalization", VALUED, _takes_pixels, values=_divided),
    InputFault("constants", "input.wrong_mean_std", VALUED, values=_other_constants),
    InputFault("library_constants", "input.wrong_mean_std", ("raw",), library=_constants),
    InputFault("no_std", "input.wrong_mean_std", VALUED, _has_std, values=_without_std),
    InputFault("cast", "input.cast_to_zero", ("raw",), values=_divided),
    InputFault("truncated", "input.truncated", ("codes",), encode=_cut),
    InputFault("other_codes", "input.wrong_qparams", ("codes",), encode=_other_codes),
    InputFault("signed", "input.sign", CODED, buffer=_signed),
    InputFault("clamped", "input.sign", CODED, buffer=_clamped),
    InputFault("widened", "input.widened", ("codes",), buffer=_widened, wide=True),
    InputFault("layout", "input.layout", buffer=_other_layout),
    InputFault("view", "input.noncontiguous", buffer=_view),
    InputFault("fortran", "input.noncontiguous", buffer=_fortran),
    InputFault("too_wide", "input.dtype", buffer=_too_wide),
    InputFault("first_bytes", "input.dtype", CODED, buffer=_first_bytes),
    InputFault("two_frames", "input.frames", buffer=_two_frames),
)
BY_NAME = {row.name: row for row in (NOTHING, *FAULTS)}
