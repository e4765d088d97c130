"""Reading a picture: from a file, a Pillow image or an array to plain pixels.

Files are hostile: only formats whose decoders are plain are opened, the size is checked before a
pixel is decoded, and whatever a decoder raises becomes a DataError that names the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bittrue.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

    Source = str | Path | Image.Image | np.ndarray

U8 = NDArray[np.uint8]

#: Formats that are opened. Others (EPS, PDF, ...) would start foreign programs or are no pictures.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
#: Endings, in lower case, of file names that are taken for pictures.
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm"})
#: More pixels than this are refused before anything is decoded: 2^26 take 200 MB as RGB.
PIXELS_MAX = 2**26
_PLAIN_MODES = ("1", "L", "RGB", "P", "CMYK", "YCbCr")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


def read_picture(source: Source, *, grey: bool, background: tuple[int, int, int]) -> U8:
    """Return the pixels of a picture, upright, as RGB or grey.

    The first frame is taken; EXIF orientation is applied; colour profiles are not; CMYK becomes RGB
    by Pillow's plain inversion; grey is Pillow's (19595 R + 38470 G + 7471 B + 32768) >> 16; alpha
    is mixed with the background, each channel rounded once.

    Args:
        source: Path of a picture, a Pillow image, or uint8 [H, W], [H, W, 1], [H, W, 3] (RGB) or
            [H, W, 4] (RGBA).
        grey: Whether one channel is wanted.
        background: RGB, 0 to 255, that shows through where the picture is transparent.

    Returns:
        uint8 [H, W, 1] if grey, else [H, W, 3] in the order red, green, blue.

    Raises:
        DataError: if there is no such file, it is damaged or too large, or holds something that
            has no plain meaning in 8 bits (16-bit and float pixels, Lab).
    """
    from PIL import Image

    if isinstance(source, np.ndarray):
        return _to_pixels(_image_of_array(source), "array", grey, background)
    if isinstance(source, Image.Image):
        return _decode(source, "picture", grey, background)
    if not isinstance(source, str | Path):
        raise DataError(
            f"a {type(source).__name__} is no picture",
            hint="give a path, a Pillow image or a uint8 array [height, width, 3]",
        )
    return _read_file(Path(source), grey, background)


def _read_file(path: Path, grey: bool, background: tuple[int, int, int]) -> U8:
    from PIL import Image, UnidentifiedImageError

    where = str(path)
    if not path.is_file():
        raise DataError("there is no such picture", where=where, hint="check the path")
    try:
        image = Image.open(path, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as why:
        raise _too_large(where, str(why)) from why
    except UnidentifiedImageError as why:
        raise DataError(
            "this is no picture of a known format",
            where=where,
            hint=f"give one of {', '.join(FORMATS)}, or an array as .npy",
        ) from why
    except Exception as why:  # Decoders of seven formats raise whatever they like.
        raise _damaged(where, why) from why
    with image:
        return _decode(image, where, grey, background)


def _decode(image: Image.Image, where: str, grey: bool, background: tuple[int, int, int]) -> U8:
    from PIL import ImageOps

    width, height = image.size
    if width * height > PIXELS_MAX:
        raise _too_large(where, f"it has {width} x {height} pixels")
    try:
        image.load()
        return _to_pixels(ImageOps.exif_transpose(image), where, grey, background)
    except DataError:
        raise
    except Exception as why:  # As above.
        raise _damaged(where, why) from why


def _to_pixels(image: Image.Image, where: str, grey: bool, background: tuple[int, int, int]) -> U8:
    """Convert any mode that has a plain meaning to RGB or L."""
    if image.width < 1 or image.height < 1:
        raise DataError(f"the picture is empty: {image.width} x {image.height} pixels", where=where)
    if image.mode not in _PLAIN_MODES and image.mode not in _ALPHA_MODES:
        raise DataError(
            f"pixels of Pillow's mode {image.mode!r} have no plain meaning in 8 bits",
            where=where,
            hint="convert it first, and say how: pixels = (x / 257).round().astype('uint8') for "
            "16 bits, image.convert('RGB') for other colour spaces",
        )
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA"))
        image = _image_of_array(_mix(rgba, background))
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels.reshape(image.height, image.width, -1).copy()


def _mix(rgba: U8, background: tuple[int, int, int]) -> U8:
    """Return rint((colour * alpha + background * (255 - alpha)) / 255); 255 is odd: no ties."""
    alpha = rgba[:, :, 3:].astype(np.int32)  # [H, W, 1]
    behind = np.array(background, np.int32)
    total = rgba[:, :, :3].astype(np.int32) * alpha + behind * (255 - alpha)  # [H, W, 3]
    return ((total + 127) // 255).astype(np.uint8)


def _image_of_array(array: np.ndarray) -> Image.Image:
    from PIL import Image

    wanted = "give uint8 pixels [height, width, 3] in the order red, green, blue"
    if array.dtype != np.uint8:
        raise DataError(
            f"an array of {array.dtype} holds no raw pixels", hint=f"{wanted}, values 0 to 255"
        )
    planar = array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3, 4)
    if planar:
        wanted += ": this one has its channels first, use pixels.transpose(1, 2, 0)"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise DataError(f"an array of shape {list(array.shape)} is no picture", hint=wanted)
    if array.size == 0 or array.shape[0] * array.shape[1] > PIXELS_MAX:
        raise DataError(f"an array of shape {list(array.shape)} is empty or too large", hint=wanted)
    flat = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return Image.fromarray(np.ascontiguousarray(flat))


def _too_large(where: str, reason: str) -> DataError:
    return DataError(
        f"the picture is too large: {reason}; at most {PIXELS_MAX} pixels are read",
        where=where,
        hint="make it smaller, or give its pixels as an array",
    )


def _damaged(where: str, why: Exception) -> DataError:
    return DataError(
        f"the picture is damaged: {why}", where=where, hint="write it again from its source"
    )
