"""Reading pictures: every mode, orientation, damage and size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bittrue.contract import picture
from bittrue.contract.picture import read_picture
from bittrue.errors import DataError

RNG = np.random.default_rng(2)
WHITE = (255, 255, 255)


def read(
    source: object, *, grey: bool = False, background: tuple[int, int, int] = WHITE
) -> np.ndarray:
    return read_picture(source, grey=grey, background=background)  # type: ignore[arg-type]


def rgb(height: int = 6, width: int = 5) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_file_an_image_and_an_array_give_the_same_pixels(tmp_path: Path) -> None:
    pixels = rgb()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for source in (pixels, Image.fromarray(pixels), tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(read(source), pixels)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = rgb()
    exif = Image.Exif()
    exif[0x0112] = 6  # The picture must be turned a quarter to the right.
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read(tmp_path / "a.png"), np.rot90(pixels, -1))


def test_alpha_is_mixed_with_the_background_and_rounded_once() -> None:
    rgba = RNG.integers(0, 256, (8, 8, 4), dtype=np.uint8)
    alpha = rgba[:, :, 3:] / 255
    wanted = np.rint(rgba[:, :, :3] * alpha + np.array([10, 20, 30]) * (1 - alpha))
    assert np.array_equal(read(rgba, background=(10, 20, 30)), wanted)


def test_a_transparent_palette_colour_shows_the_background(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 50, 60, 70])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert read(tmp_path / "a.png", background=(1, 2, 3)).tolist() == [[[1, 2, 3], [50, 60, 70]]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_modes_become_what_pillow_makes_of_them(mode: str) -> None:
    image = Image.fromarray(rgb()).convert(mode)
    assert np.array_equal(read(image), np.asarray(image.convert("RGB")))
    assert np.array_equal(read(image, grey=True)[:, :, 0], np.asarray(image.convert("L")))


def test_grey_is_the_stated_formula() -> None:
    pixels = rgb().astype(np.int64)
    wanted = (pixels @ [19595, 38470, 7471] + 32768) >> 16
    assert np.array_equal(read(pixels.astype(np.uint8), grey=True)[:, :, 0], wanted)


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "LAB"])
def test_pixels_without_a_plain_meaning_are_refused(mode: str) -> None:
    with pytest.raises(DataError, match="no plain meaning"):
        read(Image.new(mode, (3, 3)))


def test_a_file_cut_anywhere_is_a_data_error_or_says_it_is_no_picture(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "BMP", "GIF"):
        whole = io.BytesIO()
        Image.fromarray(rgb(16, 16)).save(whole, kind)
        data = whole.getvalue()
        for end in (0, 1, 10, len(data) // 2):
            path = tmp_path / f"{kind}{end}"
            path.write_bytes(data[:end])
            with pytest.raises(DataError) as caught:
                read(path)
            assert str(path) in str(caught.value)


def test_a_missing_file_and_a_text_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(DataError, match=r"a\.jpg"):
        read(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="no such picture"):
        read(tmp_path / "b.jpg")


def test_a_postscript_file_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(DataError, match="no picture of a known format"):
        read(tmp_path / "a.eps")


def test_too_many_pixels_are_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(rgb(16, 16)).save(tmp_path / "a.png")
    monkeypatch.setattr(picture, "PIXELS_MAX", 255)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("was decoded"))
    with pytest.raises(DataError, match="too large"):
        read(tmp_path / "a.png")


def test_pillows_own_bomb_guard_is_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(rgb(16, 16)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="too large"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((3, 40, 40), np.uint8), "transpose"),
        (np.zeros((1, 4, 4, 3), np.uint8), "no picture"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        ([[1]], "list"),
    ],
)
def test_arrays_that_are_no_pixels_are_refused(array: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(array)
