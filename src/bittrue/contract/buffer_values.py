"""Are a buffer's element type and values what the contract says? By its type, range and content."""

from __future__ import annotations

import numpy as np

from bittrue.contract.buffer_layout import seems_interleaved, seems_planar
from bittrue.contract.buffer_range import (
    SAMPLE,
    Spread,
    check_range,
    domain_of,
    is_centred,
    is_picture,
    sample,
    spread_of,
)
from bittrue.contract.finding import Buffer, Finding, numpy_name
from bittrue.contract.mends import DENORMALISE, RAW_PIXELS, scaling_line
from bittrue.contract.tensor import HOLDS_PIXELS


def check_values(buffer: Buffer, array: np.ndarray, *, shaped: bool) -> list[Finding]:
    """Return the findings about a buffer's element type and values, in the order of their mends.

    Args:
        buffer: The buffer.
        array: Its values, in the contract's shape if that can be made.
        shaped: Whether `array` has the contract's shape.
    """
    if array.dtype.kind not in "biuf":
        return [_no_numbers(buffer)]
    if not array.size:
        return []
    spread = spread_of(array if shaped else sample(array))
    findings = [] if spread.finite else [_not_finite(buffer, array)]
    findings += _check_type(buffer, array, spread)
    float_is_taken = (
        np.dtype(buffer.contract.dtype).kind == "f" or buffer.contract.scale is not None
    )
    if array.dtype.kind == "f" and float_is_taken:
        findings += check_range(buffer, array, spread)
    elif array.dtype.name == buffer.contract.dtype:
        findings += _check_codes(buffer, array, spread)
    if shaped:
        findings += _check_layout(buffer, array)
    return findings


# --- element type ----------------------------------------------------------------------------


def _no_numbers(buffer: Buffer) -> Finding:
    name = numpy_name(buffer.contract.dtype)
    return buffer.finding(
        "input.dtype",
        "error",
        f"elements of {buffer.array.dtype} are no numbers; {buffer.contract.dtype} is expected",
        f"x = np.array(x.tolist(), dtype={name})",
    )


def _not_finite(buffer: Buffer, array: np.ndarray) -> Finding:
    wrong = ~np.isfinite(array)
    first = [int(axis) for axis in np.unravel_index(int(wrong.argmax()), array.shape)]
    return buffer.finding(
        "input.nonfinite",
        "error",
        f"{int(wrong.sum()):,} of {array.size:,} values are NaN or infinite, the first at {first}; "
        "they have no code, most likely from a division by a standard deviation of 0",
        "x = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)",
        "no cause: memory that was never filled (np.empty)",
    )


def _check_type(buffer: Buffer, array: np.ndarray, spread: Spread) -> list[Finding]:
    wanted = np.dtype(buffer.contract.dtype)
    if array.dtype == wanted:
        return []
    if array.dtype.newbyteorder("=") == wanted:
        line = f"x = x.astype({numpy_name(wanted.name)})"
        message = f"{buffer.sizes()}; the bytes of each element are in the other order"
        return [buffer.finding("input.dtype", "error", message, line)]
    if wanted.kind == "f":
        return [_to_float(buffer, array)]
    if array.dtype.kind == "f":
        if buffer.contract.scale is not None:
            return []  # The host rule makes codes of them; `check_range` looks at the values.
        return [_float_to_codes(buffer, array, spread)]
    if {array.dtype.name, wanted.name} == {"int8", "uint8"}:
        return [_other_sign(buffer, array)]
    if array.dtype == np.uint8 and wanted.itemsize == 2:
        return [_widened(buffer)]
    return [_other_integer(buffer, array, spread)]


def _to_float(buffer: Buffer, array: np.ndarray) -> Finding:
    """Another float type, or integers, where float32 is wanted."""
    wanted = buffer.contract
    name = numpy_name(wanted.dtype)
    message = _head(buffer, array)
    if array.dtype.kind == "f":
        most = (
            f"{message}; NumPy makes float64 of most arithmetic" if array.itemsize == 8 else message
        )
        return buffer.finding(
            "input.dtype", "error", most, f"x = x.astype({name})", *_rivals(buffer)
        )
    domain = domain_of(wanted)
    line = f"x = x.astype({name})"
    if array.dtype == np.uint8 and is_picture(wanted) and wanted.holds != HOLDS_PIXELS:
        message += "; raw pixels, most likely, where normalised values are expected"
        line = scaling_line(domain, name)
        other = "input.missing_normalization: a cast alone gives 0..255"
        return buffer.finding("input.dtype", "error", message, line, other)
    return buffer.finding("input.dtype", "error", message, line)


def _float_to_codes(buffer: Buffer, array: np.ndarray, spread: Spread) -> Finding:
    """Floats where integers are wanted and no scale says which float stands for which integer."""
    wanted = buffer.contract
    name = numpy_name(wanted.dtype)
    reason, line = _pixels_from_floats(array, spread, name)
    if wanted.dtype != "uint8" or not is_picture(wanted):
        reason, line = f"values {spread}", f"x = np.rint(x).astype({name})"
    others = []
    below = float((np.abs(sample(array)) < 1).mean())
    if below > 0.5:
        others.append(f"input.cast_to_zero: a cast alone makes {below:.1%} of the values 0")
    message = f"{_head(buffer, array)}; {reason}"
    return buffer.finding("input.dtype", "error", message, line, *_rivals(buffer), *others)


def _pixels_from_floats(array: np.ndarray, spread: Spread, name: str) -> tuple[str, str]:
    """Return what was probably done to the pixels, and the line that undoes it."""
    if spread.least >= 0 and spread.greatest <= 1.0001:
        typical = "uint8 pixels / 255.0, which NumPy makes float64"
        source = typical if array.dtype == np.float64 else "pixels divided by 255"
        return f"most likely {source}; values {spread}", f"x = np.rint(x * 255).astype({name})"
    if spread.least >= 0 and spread.greatest <= 255.5:
        return (
            f"most likely pixels held as floats; values {spread}",
            f"x = np.rint(x).astype({name})",
        )
    if spread.size <= 1.0001 and is_centred(array):
        line = f"x = np.rint((x + 1) * 127.5).astype({name})"
        return f"most likely pixels / 127.5 - 1; values {spread}", line
    if spread.size <= 32:
        return f"most likely normalised by mean and std; values {spread}", DENORMALISE
    line = f"x = np.clip(np.rint(x), 0, 255).astype({name})"
    return f"values {spread}, beyond what {name[3:]} holds", line


def _head(buffer: Buffer, array: np.ndarray) -> str:
    """Return the sizes, and the element types where they do not say them."""
    sizes = buffer.sizes()
    said = f"({array.dtype.name})" in sizes
    return sizes if said else f"{sizes}, {array.dtype.name} for {buffer.contract.dtype}"


def _rivals(buffer: Buffer) -> tuple[str, ...]:
    """Say which other buffers have as many bytes, and that the array itself rules them out."""
    expected, received = buffer.contract.nbytes, int(buffer.array.nbytes)
    if buffer.array.ndim < 2:  # Nothing in a flat buffer rules them out; `check_shape` lists them.
        return ()
    if not expected or received % expected or received == expected:
        return ()
    ratio = received // expected
    made = [f"{ratio} frames of {buffer.contract.dtype}"]
    item = np.dtype(buffer.contract.dtype).itemsize
    for size, words in ((2, "16-bit numbers"), (4, "float32")):
        if size > item and ratio % (size // item) == 0 and ratio * item > size:
            made.append(f"{ratio * item // size} frames of {words}")
    shape, kind = list(buffer.array.shape), buffer.array.dtype.name
    text = f"{' or '.join(made)} take as many bytes; shape {shape} and dtype {kind} rule them out"
    return (f"input.frames: {text}",)


def _other_sign(buffer: Buffer, array: np.ndarray) -> Finding:
    """int8 for uint8 or the reverse: the same bytes, or an offset of 128?"""
    wanted = buffer.contract.dtype
    name = numpy_name(wanted)
    view = f"x = x.view({name})"
    move = f"x = (x.astype(np.int16) {'+' if wanted == 'uint8' else '-'} 128).astype({name})"
    flat = np.ascontiguousarray(array).reshape(-1)[:SAMPLE]
    # Whichever reading makes neighbours more alike is the right one: a wrapped edge is a jump.
    as_sent, as_bytes = (
        float(np.abs(np.diff(flat.view(kind).astype(np.int16))).mean()) if flat.size > 1 else 0.0
        for kind in (array.dtype, np.dtype(wanted))
    )
    same = as_bytes < as_sent or (wanted == "uint8" and int(array.min()) >= 0)
    same = same or (wanted == "int8" and int(array.max()) <= 127)
    reasons = ("its bytes are right, only the type is not", "it is off by 128")
    message = f"{buffer.sizes()}, but {array.dtype.name} for {wanted}; most likely "
    first, second = (0, 1) if same else (1, 0)
    lines = (view, move)
    other = f"input.sign: {reasons[second]} ({lines[second]})"
    return buffer.finding("input.sign", "error", message + reasons[first], lines[first], other)


def _widened(buffer: Buffer) -> Finding:
    """8-bit values where 16 bits are wanted."""
    wanted = buffer.contract
    top = np.iinfo(wanted.dtype).max
    line = f"x = x.astype({numpy_name(wanted.dtype)}) * {top // 255}"
    if wanted.scale is not None:
        line = scaling_line(domain_of(wanted), "np.float32")
    message = (
        f"{buffer.sizes()}; uint8 for {wanted.dtype}: widened as they are, the values would use "
        f"0..255 of {top:,} codes, an almost black picture"
    )
    return buffer.finding("input.widened", "error", message, line)


def _other_integer(buffer: Buffer, array: np.ndarray, spread: Spread) -> Finding:
    """Wider or narrower integers, or truth values."""
    wanted = np.dtype(buffer.contract.dtype)
    name = numpy_name(wanted.name)
    message = f"{_head(buffer, array)}; values {spread}"
    if wanted.kind == "b":
        return buffer.finding("input.dtype", "error", message, f"x = x.astype({name})")
    if array.dtype.kind == "b" and is_picture(buffer.contract):
        line = f"x = x.astype({name}) * {name}({np.iinfo(wanted).max})"
        return buffer.finding("input.dtype", "error", message, line)
    limits = np.iinfo(wanted)
    if limits.min <= spread.least and spread.greatest <= limits.max:
        line = f"x = x.astype({name})"
        return buffer.finding("input.dtype", "error", message, line, *_rivals(buffer))
    line = f"x = np.clip(x, {limits.min}, {limits.max}).astype({name})"
    message += f", which {wanted.name} does not hold: a cast alone would wrap them"
    return buffer.finding("input.dtype", "error", message, line, *_rivals(buffer))


# --- codes and layout ------------------------------------------------------------------------


def _check_codes(buffer: Buffer, array: np.ndarray, spread: Spread) -> list[Finding]:
    """Integers of the right type that look like the remains of floats, or of 8 bits in 16."""
    wanted = buffer.contract
    if array.dtype.kind not in "iu" or not is_picture(wanted):
        return []
    domain = domain_of(wanted)
    top = float(np.iinfo(wanted.dtype).max)
    if domain is not None and wanted.scale is not None:
        top = domain[1] / wanted.scale + wanted.zero_point
    if wanted.dtype in ("uint16", "int16"):
        narrow = spread.least >= 0 and 0 < spread.greatest <= 255 and top > 1024
        return [_seems_widened(buffer, spread, top)] if narrow else []
    if wanted.dtype != "uint8" or top < 64:
        return []
    if spread.greatest <= 3:
        return [_few_codes(buffer, array, spread)]
    wrapped = np.unique(sample(array).astype(np.int8))  # 255 is -1
    if spread.greatest >= 253 and np.abs(wrapped.astype(np.int16)).max() <= 3 and 1 in wrapped:
        return [_few_codes(buffer, array, spread)]
    return []


def _few_codes(buffer: Buffer, array: np.ndarray, spread: Spread) -> Finding:
    """At most a handful of codes around 0: a dark picture is legal, so this only warns."""
    zeros = float((sample(array) == 0).mean())
    codes = str(spread) if spread.greatest <= 3 else "-3..3, 255 being -1"
    message = (
        f"{buffer.sizes()}, but its codes are only {codes}, {zeros:.1%} of them 0: most likely "
    )
    cast = "floats in [0, 1] cast to integers"
    twice = "normalised values cast to integers"
    if spread.greatest <= 1:
        cause, reason, other = "input.cast_to_zero", cast, f"input.double_normalization: {twice}"
        line = f"x = np.rint(floats * 255).astype({numpy_name(buffer.contract.dtype)})"
        line += "  # floats: before the cast"
    else:
        cause, reason, other = "input.double_normalization", twice, f"input.cast_to_zero: {cast}"
        line = RAW_PIXELS
    dark = "no cause: a black or very dark picture, which is legal"
    return buffer.finding(cause, "warning", message + reason, line, other, dark)


def _seems_widened(buffer: Buffer, spread: Spread, top: float) -> Finding:
    factor = round(top / 255)
    return buffer.finding(
        "input.widened",
        "warning",
        f"codes {spread} where {top:,.0f} is reached in calibration: most likely 8-bit pixels that "
        "were only widened",
        f"x = x * {numpy_name(buffer.contract.dtype)}({factor})",
        "no cause: a very dark picture, which is legal",
    )


def _check_layout(buffer: Buffer, array: np.ndarray) -> list[Finding]:
    """Whether a picture of the right shape was filled in the other order; this only warns."""
    shape, layout = buffer.contract.shape, buffer.contract.layout
    if len(shape) != 4 or array.dtype.kind == "b" or not array.flags.c_contiguous:
        return []
    _, first, second, third = shape
    if third == 3 and layout in ("", "NHWC") and seems_planar(array):
        line = (
            f"x = np.ascontiguousarray(x.reshape(-1, 3, {first}, {second}).transpose(0, 2, 3, 1))"
        )
        return [_misplaced(buffer, "NHWC", "three planes (NCHW)", line)]
    if first == 3 and layout in ("", "NCHW") and seems_interleaved(array):
        line = (
            f"x = np.ascontiguousarray(x.reshape(-1, {second}, {third}, 3).transpose(0, 3, 1, 2))"
        )
        return [_misplaced(buffer, "NCHW", "interleaved colours (NHWC)", line)]
    return []


def _misplaced(buffer: Buffer, wanted: str, seen: str, line: str) -> Finding:
    return buffer.finding(
        "input.layout",
        "warning",
        f"{buffer.sizes()}, and the shape is that of {wanted}, but neighbouring values are alike "
        f"as in {seen}: most likely the buffer was reshaped where it had to be transposed",
        line,
        "no cause: a picture with a strong pattern of three",
    )
