"""Do floats lie in the range that an input is meant for? Ranges tell most wrong normalisations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bittrue.contract.finding import Buffer, Finding
from bittrue.contract.mends import CALIBRATE, DENORMALISE, RAW_PIXELS, scaling_line
from bittrue.contract.tensor import HOLDS_NORMALISED, HOLDS_PIXELS, TensorContract

#: Values that are looked at where a sample is enough.
SAMPLE = 65536
_CHUNK = 2**16
#: Values below this share of what the network was calibrated with use at most 4 of 256 codes.
_FAINT = 1 / 64
#: Values beyond this many times the calibrated range are another unit, not another picture.
_LOUD = 16.0
#: Share of values outside the calibrated range that is worth a warning.
_OUTSIDE = 0.05
_PICTURE_SIDE = 8
#: What `holds` implies where no range was calibrated.
_IMPLIED = {HOLDS_PIXELS: (0.0, 255.0), HOLDS_NORMALISED: (-4.0, 4.0)}


@dataclass(frozen=True, slots=True)
class Spread:
    """The finite values of an array: least, greatest, and whether all values are finite."""

    least: float
    greatest: float
    finite: bool

    @property
    def size(self) -> float:
        """The greatest absolute value."""
        return max(abs(self.least), abs(self.greatest))

    def __str__(self) -> str:
        """The range in words."""
        if self.least == self.greatest:
            return f"{self.least:.6g}"
        return f"{self.least:.6g}..{self.greatest:.6g}"


def spread_of(array: np.ndarray) -> Spread:
    """Return the range of the finite values; every element is looked at."""
    array = _in_memory_order(array)
    least, greatest = float(array.min()), float(array.max())
    if np.isfinite(least) and np.isfinite(greatest):
        return Spread(least, greatest, True)
    kept = array[np.isfinite(array)]
    if not kept.size:
        return Spread(0.0, 0.0, False)
    return Spread(float(kept.min()), float(kept.max()), False)


def _in_memory_order(array: np.ndarray) -> np.ndarray:
    """Return a view that is read front to back, several times as fast as a reversed one."""
    backwards = tuple(axis for axis, stride in enumerate(array.strides) if stride < 0)
    forwards = np.flip(array, backwards) if backwards else array
    return forwards.transpose(np.argsort(forwards.strides, kind="stable")[::-1])


def sample(array: np.ndarray) -> np.ndarray:
    """Return up to some 65,536 values spread over an array, flat; for what only warns."""
    step = max(1, array.size // SAMPLE)
    return array.reshape(-1)[::step] if array.flags.c_contiguous else array.flat[::step]


def is_picture(contract: TensorContract) -> bool:
    """Whether an input is a picture: it says so, or has 1, 3 or 4 channels and two long sides."""
    if contract.colour or contract.holds == HOLDS_PIXELS:
        return True
    if len(contract.shape) not in (3, 4):
        return False
    core = contract.shape[-3:]
    planar = core[0] in (1, 3, 4) and min(core[1:]) >= _PICTURE_SIDE
    return planar or (core[2] in (1, 3, 4) and min(core[:2]) >= _PICTURE_SIDE)


def _code_limits(contract: TensorContract) -> tuple[float, float]:
    """Return the real values of the least and the greatest code of a contract with a scale."""
    limits = np.iinfo(contract.dtype)
    scale = contract.scale or 0.0
    return (
        (int(limits.min) - contract.zero_point) * scale,
        (int(limits.max) - contract.zero_point) * scale,
    )


def domain_of(contract: TensorContract) -> tuple[float, float] | None:
    """Return the real values that an input is meant for, as far as the contract tells."""
    if contract.value_range is not None:
        return contract.value_range
    if contract.scale is not None and np.dtype(contract.dtype).kind in "iu":
        return _code_limits(contract)
    return _IMPLIED.get(contract.holds)


def check_range(buffer: Buffer, array: np.ndarray, spread: Spread) -> list[Finding]:
    """Floats against the values that the input is meant for."""
    domain = domain_of(buffer.contract)
    if domain is None or not spread.finite:
        return []
    size = max(abs(domain[0]), abs(domain[1]))
    if not size > 0:
        return []
    if spread.size <= size * _FAINT:
        return [_faint(buffer, array, spread, domain)]
    if is_picture(buffer.contract) and _is_raw(array, spread, size):
        return [_raw(buffer, spread, domain)]
    return _outside(buffer, array, spread, domain)


def _refuses(buffer: Buffer) -> str:
    """An input of codes loses what is out of range, for ever; a float input does not."""
    return "error" if buffer.contract.scale is not None else "warning"


def _is_raw(array: np.ndarray, spread: Spread, size: float) -> bool:
    """Whether floats are raw pixels though the input's values reach only up to `size`."""
    if size > 16 or spread.least < 0 or spread.greatest > 255.5 or spread.greatest < 2 * size:
        return False
    return spread.greatest >= _LOUD * size or _is_whole(array)


def _is_whole(array: np.ndarray, step: float = 1.0) -> bool:
    """Whether all values are multiples of a step; a sample can say no, only every value yes."""
    if not _all_whole(sample(array), step):
        return False
    flat = np.ascontiguousarray(_in_memory_order(array)).reshape(-1)
    return all(
        _all_whole(flat[start : start + _CHUNK], step) for start in range(0, flat.size, _CHUNK)
    )


def is_centred(array: np.ndarray) -> bool:
    """Whether a sample of the values is whole pixels / 127.5 - 1, nearly."""
    pixels = (np.asarray(sample(array), np.float64) + 1) * 127.5
    return bool((np.abs(pixels - np.rint(pixels)) < 0.02).all())


def _all_whole(array: np.ndarray, step: float) -> bool:
    steps = array.astype(np.float64) / step
    return float(np.abs(steps - np.rint(steps)).max()) <= 1e-3


def _raw(buffer: Buffer, spread: Spread, domain: tuple[float, float]) -> Finding:
    """0..255 where normalised values are wanted."""
    factor = spread.size / max(abs(domain[0]), abs(domain[1]))
    message = (
        f"values {spread} where the network was made for {domain[0]:.6g}..{domain[1]:.6g}: "
        f"{factor:.3g} times as large, most likely raw pixels that were not normalised"
    )
    severity = _refuses(buffer)
    line = scaling_line(domain, "np.float32")
    other = "quant.calibration_domain: calibrated with other values than those at run time"
    return buffer.finding("input.missing_normalization", severity, message, line, other)


def _faint(
    buffer: Buffer, array: np.ndarray, spread: Spread, domain: tuple[float, float]
) -> Finding:
    """Values so small that they would use a few codes only."""
    wanted = buffer.contract
    message = f"values {spread} where the network was made for {domain[0]:.6g}..{domain[1]:.6g}"
    if wanted.scale is not None:
        codes = round((spread.greatest - spread.least) / wanted.scale) + 1
        message += f": they would use some {codes} of {_codes_of(wanted):,} codes"
    if not is_picture(wanted):
        return buffer.finding("quant.calibration_domain", "warning", message, CALIBRATE)
    if not spread.size:
        message += "; every value is 0"
    dark = _is_whole(array, wanted.scale or 1.0)
    severity = "warning" if dark else _refuses(buffer)
    reason = "; a very dark picture, or one" if dark else "; most likely a picture"
    others = ("input.cast_to_zero: a cast of floats in [0, 1] to integers",) if dark else ()
    return buffer.finding(
        "input.double_normalization",
        severity,
        f"{message}{reason} that was normalised twice: the network normalises by itself",
        _undo(array, spread, domain),
        *others,
        "quant.calibration_domain: calibrated with other values than those at run time",
    )


def _undo(array: np.ndarray, spread: Spread, domain: tuple[float, float]) -> str:
    """Return the line that takes normalised values back into the domain."""
    if spread.least >= 0 and (domain[1] < 100 or spread.greatest <= 1.0001):
        return "x = x * np.float32(255)"
    if domain[1] >= 100 and spread.least >= 0:
        return RAW_PIXELS
    if domain[1] >= 100 and is_centred(array):
        return "x = (x + np.float32(1)) * np.float32(127.5)"
    return DENORMALISE if domain[1] >= 100 else "x = x * np.float32(255)"


def _outside(
    buffer: Buffer, array: np.ndarray, spread: Spread, domain: tuple[float, float]
) -> list[Finding]:
    """A share of the values lies beyond the range: it will be cut off."""
    wanted = buffer.contract
    if wanted.value_range is None and wanted.scale is None:
        return []
    low, high = domain if wanted.scale is None else _code_limits(wanted)
    slack = (high - low) / 256
    seen = sample(array)
    share = float(((seen < low - slack) | (seen > high + slack)).mean())
    if share <= _OUTSIDE:
        return []
    message = f"{share:.1%} of the values ({spread}) lie outside of {low:.6g}..{high:.6g}, " + (
        "and are cut off" if wanted.scale is not None else "which the network was made for"
    )
    return [
        buffer.finding(
            "quant.calibration_domain",
            "warning",
            message,
            CALIBRATE,
            "input.wrong_mean_std: normalised with other constants than in calibration",
            "quant.calibration_weak: too few samples to show the whole range",
        )
    ]


def _codes_of(contract: TensorContract) -> int:
    limits = np.iinfo(contract.dtype)
    return int(limits.max) - int(limits.min) + 1
