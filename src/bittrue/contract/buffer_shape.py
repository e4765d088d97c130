"""Does a buffer have the contract's shape, and if not: which step leads there?

Each step is a finding and the array as its mending line would leave it, so that the values behind a
wrong shape are looked at too, and the lines can be run one after the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bittrue.contract.finding import Buffer, Finding, numpy_name
from bittrue.contract.mends import NORMALISE, RAW_PIXELS
from bittrue.contract.tensor import HOLDS_NORMALISED, TensorContract

#: Orders of axes that mean something, tried first: NCHW to NHWC, back, and both sides swapped.
_KNOWN: dict[tuple[int, ...], str] = {(0, 2, 3, 1): "NCHW for NHWC", (0, 3, 1, 2): "NHWC for NCHW"}
_SWAPS: tuple[tuple[int, ...], ...] = ((0, 2, 1, 3), (0, 1, 3, 2))
_STEPS_MAX = 5
#: Floats further from 0 than this, or nearer without being 0, are no picture but other bytes.
_FLOAT_LIMITS = (1e-6, 1e6)
_SAMPLE = 4096


@dataclass(frozen=True, slots=True)
class Step:
    """One finding, and the array after its mending line.

    Args:
        finding: What is wrong.
        array: After the line; None where no line leads on.
        copies: Whether the line leaves the values in the order in which the array shows them.
    """

    finding: Finding
    array: np.ndarray | None
    copies: bool = False


@dataclass(frozen=True, slots=True)
class Shaped:
    """A buffer brought to the contract's shape.

    Args:
        findings: In the order in which their lines are to be run.
        array: Of the contract's shape, a view where possible; None if none can be made.
        copied: Whether a line leaves the values in the order in which the array shows them.
    """

    findings: list[Finding]
    array: np.ndarray | None
    copied: bool


def check_shape(buffer: Buffer) -> Shaped:
    """Return the findings about a buffer's shape, and the array as their mends would leave it."""
    findings: list[Finding] = []
    array: np.ndarray | None = buffer.array
    copied = False
    while array is not None and array.shape != buffer.contract.shape:
        step = _next_step(buffer, array)
        findings.append(step.finding)
        copied = copied or step.copies
        array = step.array if len(findings) < _STEPS_MAX else None
    return Shaped(findings, array, copied)


def _next_step(buffer: Buffer, array: np.ndarray) -> Step:
    for rule in _RULES:
        step = rule(buffer, array)
        if step is not None:
            return step
    return _other_shape(buffer, array)


def _shapes(buffer: Buffer, array: np.ndarray) -> str:
    layout = f" ({buffer.contract.layout})" if buffer.contract.layout else ""
    return f"shape {list(array.shape)} for {list(buffer.contract.shape)}{layout}"


# --- flat buffers ----------------------------------------------------------------------------


def _flat(buffer: Buffer, array: np.ndarray) -> Step | None:
    """A flat buffer with as many elements as are wanted, or as many bytes."""
    wanted = buffer.contract
    if array.ndim != 1 or len(wanted.shape) < 2 or not array.size:
        return None
    if array.shape == wanted.shape[1:] and not buffer.is_bytes:
        return None  # Only the batch axis is missing.
    raw = array.dtype == np.uint8
    if array.size != math.prod(buffer.contract.shape) and not (
        raw and array.nbytes == wanted.nbytes
    ):
        return _flat_bytes(buffer, array) if raw else None
    dtype = np.dtype(wanted.dtype) if array.nbytes == wanted.nbytes else array.dtype
    message = f"{buffer.sizes()}; the buffer is flat, {_shapes(buffer, array)}"
    line, after = _read_as(buffer, array, dtype, wanted.shape)
    return Step(buffer.finding("input.shape", "error", message, line), after)


def _flat_bytes(buffer: Buffer, array: np.ndarray) -> Step | None:
    """Flat bytes of another number: all element types and frame counts that would make it."""
    readings = _readings(buffer.contract, array.size)
    if not readings:
        return None
    best = _fits_best(array, readings)
    dtype, frames = best
    said = [f"{_frames(n)} of {d.name}" for d, n in readings]
    others = [
        f"{_cause_of(buffer.contract, d, n)}: {text} would take as many bytes"
        for text, (d, n) in zip(said, readings, strict=True)
        if (d, n) != best
    ]
    message = (
        f"{buffer.sizes()}; flat bytes do not say what they hold, and {array.size:,} can be "
        f"{_frames(frames)} of {dtype.name}, which their content fits best"
    )
    line, after = _read_as(buffer, array, dtype, (frames, *buffer.contract.shape[1:]))
    cause = _cause_of(buffer.contract, dtype, frames)
    return Step(buffer.finding(cause, "error", message, line, *others), after)


def _readings(wanted: TensorContract, size: int) -> list[tuple[np.dtype, int]]:
    """Return what a number of bytes can be: element types, widest first, and numbers of frames."""
    frame = math.prod(wanted.shape[1:])
    names = ["float64", "int64", "float32", "int32", "float16", "uint16", "uint8"]
    if wanted.dtype not in names:
        names.append(wanted.dtype)
    types = [np.dtype(name) for name in names]
    return [
        (kind, size // (frame * kind.itemsize))
        for kind in types
        if frame and size % (frame * kind.itemsize) == 0
    ]


def _fits_best(array: np.ndarray, readings: list[tuple[np.dtype, int]]) -> tuple[np.dtype, int]:
    """Return the reading whose values would look like a picture; codes where none does."""
    by_name = {dtype.name: (dtype, frames) for dtype, frames in readings}
    for name in ("float32", "float64", "int64", "int32"):
        if name in by_name and _is_plausible(array, by_name[name][0]):
            return by_name[name]
    return readings[-1]


def _is_plausible(array: np.ndarray, dtype: np.dtype) -> bool:
    """Whether flat bytes make sense as a picture of an element type: sampled, for ranking only."""
    values = np.ascontiguousarray(array).view(dtype)
    values = values[:: max(1, values.size // _SAMPLE) | 1]  # An odd step sees both halves of pairs.
    if dtype.kind == "i":
        return bool(((values >= 0) & (values <= 255)).all())
    with np.errstate(invalid="ignore"):
        if dtype == np.float32 and not (values[::2] != 0).any():
            return False  # The lower halves of whole numbers in float64.
        size = np.abs(values.astype(np.float64))
        least, most = _FLOAT_LIMITS
        fits = (size == 0) | ((size >= least) & (size <= most))
    return bool(fits.mean() > 0.999)


def _cause_of(wanted: TensorContract, dtype: np.dtype, frames: int) -> str:
    same = dtype.itemsize == np.dtype(wanted.dtype).itemsize
    return "input.frames" if same and frames != wanted.shape[0] else "input.dtype"


def _read_as(
    buffer: Buffer, array: np.ndarray, dtype: np.dtype, shape: tuple[int, ...]
) -> tuple[str, np.ndarray]:
    """Return the line that reads flat bytes as an array, and that array."""
    name = numpy_name(dtype.name)
    sides = ", ".join(map(str, shape))
    after = np.ascontiguousarray(array).view(dtype).reshape(shape)
    if buffer.is_bytes:
        return f"x = np.frombuffer(x, {name}).reshape({sides})", after
    view = f".view({name})" if dtype != array.dtype else ""
    return f"x = x{view}.reshape({sides})", after


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


# --- axes ------------------------------------------------------------------------------------


def _ones(buffer: Buffer, array: np.ndarray) -> Step | None:
    """Only axes of length 1 differ: the same bytes in the same order."""
    wanted = buffer.contract.shape
    if tuple(d for d in array.shape if d != 1) != tuple(d for d in wanted if d != 1):
        return None
    missing = array.shape == wanted[1:]
    line = "x = x[None]" if missing else f"x = x.reshape({', '.join(map(str, wanted))})"
    what = "the batch axis is missing" if missing else "axes of length 1 differ"
    cause = "input.frames" if missing else "input.shape"
    message = f"{buffer.sizes()}; {what}, {_shapes(buffer, array)}"
    return Step(buffer.finding(cause, "error", message, line), array.reshape(wanted))


def _permuted(buffer: Buffer, array: np.ndarray) -> Step | None:
    """The axes after the batch are the wanted ones in another order."""
    core = buffer.contract.shape[1:]
    missing = array.ndim == len(core)
    given = array.shape if missing else array.shape[1:]
    if sorted(given) != sorted(core) or given == core or not 2 <= len(core) <= 4:
        return None
    axes = _find_order(given, core)
    known = _KNOWN.get(axes)
    swapped = axes in _SWAPS
    cause = "input.transposed" if swapped else "input.layout"
    reason = "height and width are swapped" if swapped else "the axes are in another order"
    message = f"{buffer.sizes()}; {known or reason}, {_shapes(buffer, array)}"
    message += "; it has to be transposed: a reshape would fit, but scramble the values"
    if missing:
        axes = tuple(axis - 1 for axis in axes[1:])
    line = f"x = np.ascontiguousarray(x.transpose({', '.join(map(str, axes))}))"
    return Step(buffer.finding(cause, "error", message, line), array.transpose(axes), copies=True)


def _find_order(given: tuple[int, ...], core: tuple[int, ...]) -> tuple[int, ...]:
    """Return the order of axes, batch first, that leads from one shape to the other."""
    rank = len(core)
    orders = [o for o in (*_KNOWN, *_SWAPS) if len(o) == rank + 1]
    orders += [(0, *(axis + 1 for axis in o)) for o in itertools.permutations(range(rank))]
    return next(o for o in orders if tuple(given[axis - 1] for axis in o[1:]) == core)


def _other_frames(buffer: Buffer, array: np.ndarray) -> Step | None:
    """Another number of frames, or a list of whole batches."""
    wanted = buffer.contract.shape
    if not array.size and array.shape[1:] == wanted[1:]:
        line = f"x = np.zeros({wanted}, {numpy_name(buffer.contract.dtype)})  # and fill it"
        message = f"{buffer.sizes()}; it holds no frame, {_shapes(buffer, array)}"
        return Step(buffer.finding("input.frames", "error", message, line), None)
    if array.shape[1:] == wanted:
        message = f"{buffer.sizes()}; {len(array)} batches at once, {_shapes(buffer, array)}"
        line = f"x = x[0]  # one batch a run: loop over all {len(array)}"
        return Step(buffer.finding("input.frames", "error", message, line), array[0])
    if array.shape[1:] != wanted[1:] or not wanted:
        return None
    given, need = array.shape[0], wanted[0]
    message = f"{buffer.sizes()}; {_frames(given)}, a run takes {need}, {_shapes(buffer, array)}"
    if given > need:
        line = f"x = x[:{need}]  # loop over the rest: {-(-given // need)} runs"
        return Step(buffer.finding("input.frames", "error", message, line), array[:need])
    line = f"x = np.concatenate([x, np.repeat(x[-1:], {need - given}, axis=0)])"
    after = np.concatenate([array, np.repeat(array[-1:], need - given, axis=0)])
    return Step(buffer.finding("input.frames", "error", message, line), after)


def _other_channels(buffer: Buffer, array: np.ndarray) -> Step | None:
    """A fourth (alpha) channel, or grey for colour: the height and width are right."""
    wanted = buffer.contract
    axis = {"NHWC": -1, "HWC": -1, "NCHW": -3, "CHW": -3}.get(wanted.layout, -1)
    if len(wanted.shape) not in (3, 4) or wanted.shape[axis] != 3:
        return None
    grey = list(wanted.shape)
    grey[axis] = 1
    alpha = list(wanted.shape)
    alpha[axis] = 4
    if list(array.shape) == alpha:
        cut = "x[..., :3]" if axis == -1 else "x[..., :3, :, :]"
        message = f"{buffer.sizes()}; a fourth channel (alpha), {_shapes(buffer, array)}"
        after = array[..., :3] if axis == -1 else array[..., :3, :, :]
        line = f"x = np.ascontiguousarray({cut})"
        return Step(buffer.finding("input.colour_space", "error", message, line), after, True)
    squeezed = [dim for dim in grey if dim != 1]
    if [dim for dim in array.shape if dim != 1] != squeezed:
        return None
    message = f"{buffer.sizes()}; one grey channel for 3, {_shapes(buffer, array)}"
    line = f"x = np.repeat(x.reshape({', '.join(map(str, grey))}), 3, axis={axis})"
    after = np.repeat(array.reshape(grey), 3, axis=axis)
    return Step(buffer.finding("input.colour_space", "error", message, line), after)


def _other_shape(buffer: Buffer, array: np.ndarray) -> Step:
    """Nothing leads from this shape to the wanted one."""
    wanted = buffer.contract
    message = f"{buffer.sizes()}; {_shapes(buffer, array)}"
    line = NORMALISE if wanted.holds == HOLDS_NORMALISED else RAW_PIXELS
    others = []
    if array.size == math.prod(buffer.contract.shape):
        message += "; a reshape would fit, but scramble the values"
    if array.ndim == 1 and array.nbytes < wanted.nbytes:
        lacking = wanted.nbytes - array.nbytes
        others.append(f"runtime.damaged_file: the file was cut short by {lacking:,} bytes")
    if array.ndim == len(wanted.shape) == 4:
        others.append("input.crop: the picture was not resized, or to another network's size")
    return Step(buffer.finding("input.shape", "error", message, line, *others), None)


_RULES: tuple[Callable[[Buffer, np.ndarray], Step | None], ...] = (
    _flat,
    _ones,
    _other_frames,
    _permuted,
    _other_channels,
)
