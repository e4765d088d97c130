"""Mistakes on the way from a picture to pixels: geometry, filters, colours, order in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.contract.preprocess import Preprocess
from bittrue.contract.resample import INTERPOLATIONS

Pixels = NDArray[np.float64]

CONTIGUOUS = "x = np.ascontiguousarray(x)  # before its memory is handed over"


@dataclass(frozen=True, slots=True)
class PixelMistake:
    """One change of pixels.

    Args:
        cause: An id of the table of causes.
        what: The variant in words.
        mend: The line that undoes it.
        change: From pixels [1, H, W, C] to pixels of the same shape.
    """

    cause: str
    what: str
    mend: str
    change: Callable[[Pixels], Pixels]


@dataclass(frozen=True, slots=True)
class FrameMistake:
    """One other way to bring a picture to the network's size.

    Args:
        cause: An id of the table of causes.
        what: The variant in words.
        mend: The line that makes it right.
        preprocess: What was done in place of the intended one.
    """

    cause: str
    what: str
    mend: str
    preprocess: Preprocess


# --- the same pixels in other places, or other colours -------------------------------------------


def _interleaved_as_planar(pixels: Pixels) -> Pixels:
    """NHWC memory read as NCHW."""
    n, height, width, channels = pixels.shape
    return pixels.reshape(n, channels, height, width).transpose(0, 2, 3, 1)


def _planar_as_interleaved(pixels: Pixels) -> Pixels:
    """NCHW memory read as NHWC."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(pixels.shape)


def _columns_of_interleaved(pixels: Pixels) -> Pixels:
    """Column-major memory of an NHWC array read row by row."""
    return np.ascontiguousarray(pixels.transpose(3, 2, 1, 0)).reshape(pixels.shape)


def _columns_of_planar(pixels: Pixels) -> Pixels:
    """Column-major memory of an NCHW array read row by row."""
    n, height, width, channels = pixels.shape
    memory = np.ascontiguousarray(pixels.transpose(2, 1, 3, 0))  # [W, H, C, N] in memory
    return memory.reshape(n, channels, height, width).transpose(0, 2, 3, 1)


def _turned(pixels: Pixels) -> Pixels:
    """Height and width swapped; where they differ, the bytes are read in the other rows."""
    return np.ascontiguousarray(pixels.transpose(0, 2, 1, 3)).reshape(pixels.shape)


def _rows_of_width(pixels: Pixels) -> Pixels:
    """A picture of W rows by H columns, in whose memory H rows of W are read."""
    n, height, width, channels = pixels.shape
    if height == width:
        return pixels
    rows = np.linspace(0, height - 1, width).round().astype(int)
    columns = np.linspace(0, width - 1, height).round().astype(int)
    return pixels[:, rows][:, :, columns].reshape(n, height, width, channels)


def _grey(pixels: Pixels) -> Pixels:
    luma = np.rint(pixels @ np.array([0.299, 0.587, 0.114]))
    return np.asarray(np.repeat(luma[..., None], 3, axis=-1), np.float64)


#: ITU-R BT.601, full range: rows Y, Cb, Cr of R, G, B.
_YCBCR = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ]
)


def _ycbcr(pixels: Pixels) -> Pixels:
    made = np.rint(pixels @ _YCBCR.T + np.array([0.0, 128.0, 128.0]))
    return np.asarray(np.clip(made, 0, 255), np.float64)


def _video_ycbcr(pixels: Pixels) -> Pixels:
    """The same in limited range: 16 to 235, and 16 to 240 around 128."""
    full = pixels @ _YCBCR.T
    made = np.rint(full * np.array([219, 224, 224]) / 255 + np.array([16.0, 128.0, 128.0]))
    return np.asarray(made, np.float64)


def _limited(pixels: Pixels) -> Pixels:
    return np.rint(pixels * (219 / 255) + 16)


def _expanded(pixels: Pixels) -> Pixels:
    return np.clip(np.rint((pixels - 16) * (255 / 219)), 0, 255)


def _swapped(change: Callable[[Pixels], Pixels]) -> Callable[[Pixels], Pixels]:
    """Return a change that is defined on red, green, blue, for pixels in the other order."""
    return lambda pixels: change(pixels[..., ::-1])


def pixel_mistakes(colour: str, *, whole_picture: bool) -> Iterator[PixelMistake]:
    """Yield the mistakes on pixels, likeliest first.

    Args:
        colour: Order of the network's channels.
        whole_picture: Whether height and width are equal.
    """
    if colour != "GRAY":
        right, wrong = (colour, colour[::-1])
        yield PixelMistake(
            "input.channel_order",
            f"{wrong} where {right} is expected",
            "x = np.ascontiguousarray(x[..., ::-1])  # or cv2.cvtColor(x, cv2.COLOR_BGR2RGB)",
            lambda pixels: pixels[..., ::-1],
        )
        yield from _layouts()
    yield from _transpositions(whole_picture)
    yield from _turns(whole_picture)
    if colour != "GRAY":
        yield from _colour_spaces(colour)
    yield PixelMistake(
        "input.colour_space",
        "limited range (16..235) where 0..255 is expected",
        "x = np.clip(np.rint((x.astype(np.float32) - 16) * (255 / 219)), 0, 255).astype(np.uint8)",
        _limited,
    )
    yield PixelMistake(
        "input.colour_space",
        "16..235 stretched to 0..255 though it was full range already",
        "decode with full range: leave out the (x - 16) * 255 / 219",
        _expanded,
    )


def _layouts() -> Iterator[PixelMistake]:
    for seen, wanted, change, axes in (
        ("NHWC", "NCHW", _interleaved_as_planar, "0, 3, 1, 2"),
        ("NCHW", "NHWC", _planar_as_interleaved, "0, 2, 3, 1"),
    ):
        yield PixelMistake(
            "input.layout",
            f"{seen} bytes read as {wanted}",
            f"x = np.ascontiguousarray(x.transpose({axes}))",
            change,
        )
        yield PixelMistake(
            "input.noncontiguous",
            f"a transposed view whose memory, still {seen}, was read as {wanted}",
            CONTIGUOUS,
            change,
        )
    for seen, change in (("NHWC", _columns_of_interleaved), ("NCHW", _columns_of_planar)):
        yield PixelMistake(
            "input.noncontiguous",
            f"column-major memory (Fortran order) of an {seen} array, read row by row",
            CONTIGUOUS,
            change,
        )


def _transpositions(square: bool) -> Iterator[PixelMistake]:
    mend = "x = np.ascontiguousarray(x.transpose(0, 2, 1, 3))  # height before width"
    yield PixelMistake("input.transposed", "height and width swapped", mend, _turned)
    if not square:
        yield PixelMistake(
            "input.transposed",
            "resized to (height, width) where the function takes (width, height)",
            "x = cv2.resize(picture, (width, height))  # OpenCV and Pillow take the width first",
            _rows_of_width,
        )


def _turns(square: bool) -> Iterator[PixelMistake]:
    """A camera that is mounted otherwise, or a picture whose EXIF orientation was not applied."""
    rows: list[tuple[str, str, Callable[[Pixels], Pixels]]] = [
        ("mirrored left to right", "picture = picture[:, ::-1]", lambda x: x[:, :, ::-1]),
        ("upside down (turned by 180 degrees)", "picture = picture[::-1, ::-1]", _halfway),
        ("mirrored top to bottom", "picture = picture[::-1]", lambda x: x[:, ::-1]),
    ]
    if square:
        rows += [
            ("turned clockwise", "picture = np.rot90(picture)", _clockwise),
            ("turned anticlockwise", "picture = np.rot90(picture, -1)", _anticlockwise),
        ]
    for what, mend, change in rows:
        line = f"{mend}  # or PIL.ImageOps.exif_transpose(picture), before it is resized"
        yield PixelMistake("input.transposed", f"the picture is {what}", line, change)


def _halfway(pixels: Pixels) -> Pixels:
    return pixels[:, ::-1, ::-1]


def _clockwise(pixels: Pixels) -> Pixels:
    """Turned by 90 degrees; where height and width differ, the bytes are read in the other rows."""
    return np.ascontiguousarray(np.rot90(pixels, -1, (1, 2))).reshape(pixels.shape)


def _anticlockwise(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(np.rot90(pixels, 1, (1, 2))).reshape(pixels.shape)


def _colour_spaces(colour: str) -> Iterator[PixelMistake]:
    code = {"RGB": "RGB", "BGR": "BGR"}[colour]
    rows = (
        ("grey in all three channels", "open the picture in colour (cv2.IMREAD_COLOR)", _grey),
        (
            "YCbCr, full range",
            f"x = cv2.cvtColor(np.ascontiguousarray(x[..., [0, 2, 1]]), cv2.COLOR_YCrCb2{code})",
            _ycbcr,
        ),
        (
            "YCrCb, full range",
            f"x = cv2.cvtColor(x, cv2.COLOR_YCrCb2{code})",
            lambda pixels: _ycbcr(pixels)[..., [0, 2, 1]],
        ),
        (
            "YUV of a camera, limited range",
            f"x = cv2.cvtColor(x, cv2.COLOR_YUV2{code}_NV12)  # or I420, as the camera gives it",
            _video_ycbcr,
        ),
    )
    for what, mend, change in rows:
        right, wrong = change, _swapped(change)
        if colour == "BGR":
            right, wrong = wrong, right
        told = f"{what} where {colour} is expected"
        yield PixelMistake("input.colour_space", told, mend, right)
        other = f"{told}, made of pixels in the other order of channels"
        yield PixelMistake("input.colour_space", other, mend, wrong)


# --- another frame -------------------------------------------------------------------------------

_PADS = ((0, 0, 0), (114, 114, 114), (127, 127, 127), (128, 128, 128), (255, 255, 255))


def frame_mistakes(intended: Preprocess) -> Iterator[FrameMistake]:
    """Yield other ways to frame a picture, likeliest first; `intended` itself is left out."""
    mend = _pixels_line(intended)
    seen = {intended}
    for cause, what, changed in _frames(intended):
        if changed not in seen:
            seen.add(changed)
            yield FrameMistake(cause, what, mend, changed)


def _pixels_line(p: Preprocess) -> str:
    ways = {
        "none": "pictures of exactly this size",
        "stretch": "stretched",
        "letterbox": f"letterboxed, {p.corner}, pad {p.pad_colour}",
        "crop": f"short side to {p.resize_to}, centre cut out",
    }
    told = f"{p.size[0]}x{p.size[1]}, {ways[p.resize]}, {p.interpolation}"
    return f"x = raw_pixels(preprocess, picture)  # from bittrue.contract.preprocess: {told}"


def _frames(p: Preprocess) -> Iterator[tuple[str, str, Preprocess]]:
    if p.resize == "letterbox":
        yield from _letterboxes(p)
    elif p.resize == "crop":
        yield from _crops(p)
    elif p.resize == "stretch":
        yield from _stretches(p)
    if p.resize != "none":
        for name in INTERPOLATIONS:
            what = f"resized by {name} in place of {p.interpolation}"
            yield "input.interpolation", what, replace(p, interpolation=name)


def _letterboxes(p: Preprocess) -> Iterator[tuple[str, str, Preprocess]]:
    yield (
        "input.letterbox",
        "stretched in place of letterboxed",
        replace(p, resize="stretch"),
    )
    for pad in _PADS:
        yield "input.letterbox", f"pad colour {pad}", replace(p, pad_colour=pad)
    other = "top-left" if p.corner == "centre" else "centre"
    for pad in (p.pad_colour, *_PADS):
        what = f"picture {other} in place of {p.corner}, pad colour {pad}"
        yield "input.letterbox", what, replace(p, corner=other, pad_colour=pad)
    short = replace(p, resize="crop", resize_to=max(p.size))
    yield "input.crop", "cut to the aspect ratio in place of letterboxed", short


def _crops(p: Preprocess) -> Iterator[tuple[str, str, Preprocess]]:
    plain = replace(p, resize="stretch", resize_to=0)
    yield "input.crop", "stretched to size, nothing cut off", plain
    for side in dict.fromkeys((max(p.size), round(max(p.size) * 8 / 7), round(max(p.size) * 1.25))):
        what = f"short side to {side} in place of {p.resize_to}, centre cut out"
        yield "input.crop", what, replace(p, resize_to=side)
    for pad in _PADS[:3]:
        boxed = replace(p, resize="letterbox", resize_to=0, pad_colour=pad)
        yield "input.letterbox", f"letterboxed, pad {pad}, in place of cut out", boxed


def _stretches(p: Preprocess) -> Iterator[tuple[str, str, Preprocess]]:
    for pad in _PADS:
        for corner in ("centre", "top-left"):
            boxed = replace(p, resize="letterbox", pad_colour=pad, corner=corner)
            yield "input.letterbox", f"letterboxed ({corner}, pad {pad}), not stretched", boxed
    cut = replace(p, resize="crop", resize_to=max(p.size))
    yield "input.crop", "cut to the aspect ratio in place of stretched", cut
