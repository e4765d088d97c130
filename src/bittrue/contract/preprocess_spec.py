"""The recipe by which a picture becomes an input: plain frozen data that cannot be invalid."""

from __future__ import annotations

from dataclasses import dataclass

from bittrue.contract.picture import PIXELS_MAX
from bittrue.contract.resample import INTERPOLATIONS
from bittrue.errors import UsageError

RESIZES = ("none", "stretch", "letterbox", "crop")
CORNERS = ("centre", "top-left")
COLOUR_ORDERS = ("RGB", "BGR", "GRAY")
LAYOUTS = ("NCHW", "NHWC")
DTYPES = ("float32", "uint8")
SIDE_MAX = 16384


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a picture becomes one input of a network. Any that exists is valid.

    Args:
        size: Height and width that the network sees, each 1 to 16384.
        resize: "none" takes only pictures of that size; "stretch" changes the aspect ratio;
            "letterbox" keeps it and pads; "crop" makes the short side `resize_to` long and cuts
            the middle out.
        resize_to: Length of the short side before the cut, at least both of `size`; 0 unless
            resize is "crop".
        interpolation: One of `bittrue.contract.resample.INTERPOLATIONS`.
        pad_colour: Colour around a letterboxed picture, always red, green, blue, 0 to 255,
            whatever `colour` is (for GRAY it is turned into grey as every pixel is).
        corner: Where a letterboxed picture lies: "centre" (an odd line goes below or to the right)
            or "top-left".
        background: Colour behind transparent pixels, red, green, blue, 0 to 255.
        colour: Order of the network's channels: "RGB", "BGR", or "GRAY" (one channel).
        scale: What raw values are multiplied by first; positive.
        mean: What is subtracted next, one number a channel in the network's order.
        std: What is divided by last, one positive number a channel in the network's order.
        layout: "NCHW" or "NHWC".
        dtype: Element type of the network's input; "uint8" takes raw pixels, so that scale must be
            1, mean 0 and std 1.

    Raises:
        UsageError: if a field has a value that it cannot have; all such fields are listed.
    """

    size: tuple[int, int]
    resize: str = "letterbox"
    resize_to: int = 0
    interpolation: str = "bilinear"
    pad_colour: tuple[int, int, int] = (114, 114, 114)
    corner: str = "centre"
    background: tuple[int, int, int] = (255, 255, 255)
    colour: str = "RGB"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: str = "NCHW"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """List everything that is wrong at once."""
        problems = _problems(self)
        if problems:
            raise UsageError(
                "this preprocessing cannot be: " + "; ".join(problems),
                hint="mend these fields; `Preprocess` describes each of them",
            )

    @property
    def channels(self) -> int:
        """Channels of the network's input: 1 or 3."""
        return 1 if self.colour == "GRAY" else 3

    @property
    def raw_shape(self) -> tuple[int, int, int, int]:
        """Shape of one frame of raw pixels, [1, H, W, C]."""
        return (1, *self.size, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of one frame of the network's input, in its layout."""
        height, width = self.size
        planar = (1, self.channels, height, width)
        return planar if self.layout == "NCHW" else self.raw_shape


def _problems(p: Preprocess) -> list[str]:
    """Return what is wrong with the values of a Preprocess, types included."""
    found = [
        f"{name} is {getattr(p, name)!r}, not one of {', '.join(words)}"
        for name, words in _WORDS.items()
        if getattr(p, name) not in words
    ]
    sides = isinstance(p.size, tuple) and len(p.size) == 2 and all(map(_is_side, p.size))
    if not sides:
        found.append(f"size is {p.size!r}, not height and width from 1 to {SIDE_MAX}")
    elif p.size[0] * p.size[1] > PIXELS_MAX:
        found.append(f"size {p.size!r} has more than {PIXELS_MAX} pixels")
    found += [
        f"{name} is {getattr(p, name)!r}, not three whole numbers from 0 to 255"
        for name in ("pad_colour", "background")
        if not _is_colour(getattr(p, name))
    ]
    return found + _crop_problems(p, sides) + _normalisation_problems(p)


_WORDS = {
    "resize": RESIZES,
    "interpolation": INTERPOLATIONS,
    "corner": CORNERS,
    "colour": COLOUR_ORDERS,
    "layout": LAYOUTS,
    "dtype": DTYPES,
}


def _crop_problems(p: Preprocess, sides: bool) -> list[str]:
    if type(p.resize_to) is not int:
        return [f"resize_to is {p.resize_to!r}, not a whole number"]
    if p.resize != "crop":
        return [f"resize_to is {p.resize_to}, but resize is {p.resize!r}"] if p.resize_to else []
    if not _is_side(p.resize_to) or (sides and p.resize_to < max(p.size)):
        return [f"resize_to is {p.resize_to}; crop needs max(size) or more, at most {SIDE_MAX}"]
    return []


def _normalisation_problems(p: Preprocess) -> list[str]:
    found = []
    if not _is_number(p.scale) or p.scale <= 0:
        found.append(f"scale is {p.scale!r}, not a positive number")
    channels = 1 if p.colour == "GRAY" else 3
    for name, values in (("mean", p.mean), ("std", p.std)):
        if not isinstance(values, tuple) or not all(map(_is_number, values)):
            found.append(f"{name} is {values!r}, not numbers")
        elif len(values) != channels:
            found.append(f"{name} has {len(values)} numbers, {p.colour} has {channels} channels")
        elif name == "std" and min(values) <= 0:
            found.append(f"std is {values!r}; it must be positive")
    if p.dtype == "uint8" and (p.scale != 1 or any(v != 0 for v in p.mean) or set(p.std) != {1}):
        found.append("a uint8 input takes raw pixels: scale must be 1, mean 0 and std 1")
    return found


def _is_number(value: object) -> bool:
    """Whether it is a number that float32 holds as a normal number, or 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value == 0 or 1e-30 <= abs(value) <= 1e30


def _is_side(value: object) -> bool:
    return type(value) is int and 1 <= value <= SIDE_MAX


def _is_colour(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 3
        and all(type(part) is int and 0 <= part <= 255 for part in value)
    )
