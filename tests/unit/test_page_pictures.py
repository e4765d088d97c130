"""Outputs that are pictures: which are, how values become grey, and how large a PNG may be."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from bittrue.contract.preprocess import Preprocess
from bittrue.report.page_pictures import BYTES, as_picture, input_row, output_rows

Array = np.ndarray


def decoded(png: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 1, 16, 20), (16, 20, 1)),
        ((1, 3, 16, 16), (16, 16, 3)),
        ((1, 17, 16, 3), (17, 16, 3)),
        ((1, 2, 64, 64), None),
        ((2, 3, 64, 64), None),
        ((1, 3, 15, 64), None),
        ((3, 64, 64), None),
    ],
)
def test_an_output_is_a_picture_by_its_shape(
    shape: tuple[int, ...], expected: tuple[int, ...] | None
) -> None:
    found = as_picture(np.zeros(shape, np.float32))
    assert (None if found is None else found.shape) == expected


def test_probabilities_are_black_at_0_and_white_at_1_on_both_sides() -> None:
    mine = np.zeros((1, 1, 16, 16), np.float32)
    mine[0, 0, 0] = (0.0, 0.5, 1.0, 0.25) * 4
    theirs = mine.copy()
    theirs[0, 0, 0, 1] = 0.75
    (row,) = output_rows(("source", {"map": mine}), ("compiled", {"map": theirs}))
    one, two, gap = (decoded(item.png) for item in row.pictures)
    assert [item.label for item in row.pictures] == ["source", "compiled", "difference"]
    assert one[0, :4].tolist() == [0, 128, 255, 64]
    assert two[0, :4].tolist() == [0, 191, 255, 64]
    assert gap[0, :4].tolist() == [0, 255, 0, 0]
    assert "black 0, white 1" in row.note
    assert "white is 0.25" in row.note


def test_values_without_a_known_range_use_the_reference_s_own() -> None:
    mine = np.linspace(-4, 12, 256, dtype=np.float32).reshape(1, 1, 16, 16)
    (row,) = output_rows(("a", {"y": mine}), ("b", {"y": mine + 100}))
    assert "black -4, white 12" in row.note
    assert decoded(row.pictures[1].png).min() == 255


def test_nan_and_infinities_are_drawn_not_raised() -> None:
    mine = np.full((1, 1, 16, 16), np.nan, np.float32)
    mine[0, 0, 3, 3] = np.inf
    assert len(output_rows(("a", {"y": mine}), ("b", {"y": mine}))) == 1


def test_blue_first_pictures_are_turned_round() -> None:
    mine = np.zeros((1, 3, 16, 16), np.float32)
    mine[0, 0] = 1.0
    (row,) = output_rows(("a", {"y": mine}), ("b", {"y": mine}), "BGR")
    assert decoded(row.pictures[0].png)[0, 0].tolist() == [0, 0, 255]
    raw = np.zeros((1, 16, 16, 3), np.uint8)
    raw[..., 0] = 200
    shown = input_row({"x": raw}, {"x": Preprocess(size=(16, 16), colour="BGR")})
    assert shown is not None
    assert decoded(shown.pictures[0].png)[5, 5].tolist() == [0, 0, 200]


def test_noise_becomes_smaller_until_its_png_is_small_enough() -> None:
    noise = np.random.default_rng(0).random((1, 3, 1200, 1600), np.float32)
    (row,) = output_rows(("a", {"y": noise}), ("b", {"y": noise}))
    assert all(0 < len(item.png) <= BYTES for item in row.pictures)
    width, height = row.pictures[0].width, row.pictures[0].height
    assert decoded(row.pictures[0].png).shape == (height, width, 3)
    assert width / height == pytest.approx(4 / 3, rel=0.02)


def test_an_output_that_one_side_lacks_is_no_pair_of_pictures() -> None:
    mine = np.zeros((1, 1, 16, 16), np.float32)
    assert output_rows(("a", {"y": mine}), ("b", {"z": mine})) == ()
    assert output_rows(("a", {"y": mine}), ("b", {"y": mine[:, :, 1:]})) == ()


def test_an_input_that_is_no_raw_picture_is_not_shown() -> None:
    recipe = {"x": Preprocess(size=(16, 16))}
    assert input_row({"x": np.zeros((1, 3, 16, 16), np.float32)}, recipe) is None
    assert input_row({"": np.zeros((1, 16, 16, 3), np.uint8)}, recipe) is not None
    assert input_row({"x": np.zeros((1, 16, 16, 3), np.uint8)}, {}) is None
