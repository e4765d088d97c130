"""Preprocessing: geometry by hand, arithmetic by another way, text round trips, hostile data."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bittrue.contract.preprocess import (
    Preprocess,
    affine,
    denormalise,
    letterbox_size,
    load_preprocess,
    normalise,
    preprocess_from_json,
    preprocess_to_json,
    preprocess_to_toml,
    raw_pixels,
)
from bittrue.contract.preprocess_spec import COLOUR_ORDERS, CORNERS, LAYOUTS, RESIZES
from bittrue.contract.resample import INTERPOLATIONS
from bittrue.errors import DataError, FormatError, UsageError

RNG = np.random.default_rng(3)
IMAGENET = Preprocess(
    size=(8, 8), resize="stretch", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


def rgb(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


# --- geometry --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "size", "inner"),
    [
        ((480, 640), (640, 640), (480, 640)),
        ((1080, 1920), (640, 640), (360, 640)),
        ((100, 50), (640, 320), (640, 320)),
        ((375, 500), (416, 416), (312, 416)),
        ((5, 2), (6, 9), (6, 2)),  # 2.4
        ((4, 3), (6, 9), (6, 4)),  # 4.5: a tie, to even
        ((4, 5), (6, 6), (5, 6)),  # 4.8
        ((1, 1000), (64, 64), (1, 64)),  # 0.064, but never 0
    ],
)
def test_letterbox_keeps_the_aspect_ratio(
    picture: tuple[int, int], size: tuple[int, int], inner: tuple[int, int]
) -> None:
    assert letterbox_size(*picture, size) == inner


def test_letterbox_centres_and_puts_the_odd_line_below() -> None:
    spec = Preprocess(size=(7, 6), pad_colour=(1, 2, 3))
    pixels = rgb(4, 6)
    raw = raw_pixels(spec, pixels)[0]
    assert np.array_equal(raw[1:5], pixels)
    assert np.unique(raw[[0, 5, 6]].reshape(-1, 3), axis=0).tolist() == [[1, 2, 3]]


def test_letterbox_centres_and_puts_the_odd_line_to_the_right() -> None:
    pixels = rgb(6, 4)
    raw = raw_pixels(Preprocess(size=(6, 7), pad_colour=(1, 2, 3)), pixels)[0]
    assert np.array_equal(raw[:, 1:5], pixels)


def test_letterbox_in_the_corner_pads_right_and_below() -> None:
    spec = Preprocess(size=(6, 7), corner="top-left", pad_colour=(1, 2, 3), colour="BGR")
    pixels = rgb(6, 4)
    raw = raw_pixels(spec, pixels)[0]
    assert np.array_equal(raw[:, :4], pixels[:, :, ::-1])
    assert np.unique(raw[:, 4:].reshape(-1, 3), axis=0).tolist() == [[3, 2, 1]]


def test_crop_is_resize_then_centre_crop_as_torchvision_states_it() -> None:
    spec = Preprocess(size=(4, 4), resize="crop", resize_to=5, interpolation="nearest")
    pixels = rgb(10, 15)  # becomes 5 by 7: int(5 * 15 / 10)
    small = np.asarray(Image.fromarray(pixels).resize((7, 5), Image.Resampling.NEAREST))
    top, left = round((5 - 4) / 2), round((7 - 4) / 2)
    assert np.array_equal(raw_pixels(spec, pixels)[0], small[top : top + 4, left : left + 4])


def test_crop_of_a_tall_picture_cuts_above_and_below() -> None:
    spec = Preprocess(size=(4, 4), resize="crop", resize_to=4, interpolation="nearest")
    pixels = rgb(10, 4)
    assert np.array_equal(raw_pixels(spec, pixels)[0], pixels[3:7])


def test_a_thread_of_a_picture_is_refused_before_it_becomes_huge() -> None:
    spec = Preprocess(size=(224, 224), resize="crop", resize_to=256)
    with pytest.raises(DataError, match="larger than"):
        raw_pixels(spec, np.zeros((1, 500_000, 3), np.uint8))


def test_stretch_is_pillows_resize() -> None:
    pixels = rgb(31, 17)
    wanted = Image.fromarray(pixels).resize((8, 8), Image.Resampling.BILINEAR)
    assert np.array_equal(raw_pixels(IMAGENET, pixels)[0], np.asarray(wanted))


def test_none_takes_only_the_right_size() -> None:
    spec = Preprocess(size=(4, 5), resize="none")
    pixels = rgb(4, 5)
    assert np.array_equal(raw_pixels(spec, pixels)[0], pixels)
    with pytest.raises(DataError, match="5 high and 4 wide"):
        raw_pixels(spec, rgb(5, 4))


def test_grey_networks_get_one_channel_and_a_grey_border() -> None:
    spec = Preprocess(
        size=(4, 6), colour="GRAY", mean=(0.0,), std=(1.0,), pad_colour=(255, 0, 0), dtype="float32"
    )
    raw = raw_pixels(spec, np.full((4, 4), 9, np.uint8))
    assert raw.shape == (1, 4, 6, 1)
    assert raw[0, 0, :, 0].tolist() == [76, 9, 9, 9, 9, 76]  # 0.299 * 255


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("colour", COLOUR_ORDERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_shapes_are_those_that_the_properties_say(resize: str, colour: str, layout: str) -> None:
    channels = 1 if colour == "GRAY" else 3
    spec = Preprocess(
        size=(6, 7),
        resize=resize,
        resize_to=9 if resize == "crop" else 0,
        colour=colour,
        layout=layout,
        mean=(0.5,) * channels,
        std=(0.5,) * channels,
    )
    raw = raw_pixels(spec, rgb(6, 7))
    x = normalise(spec, raw)
    assert raw.shape == spec.raw_shape == (1, 6, 7, channels)
    assert x.shape == spec.input_shape
    assert x.dtype == np.float32
    assert raw.flags.c_contiguous
    assert x.flags.c_contiguous


# --- arithmetic ------------------------------------------------------------------------------


def f32(value: float) -> np.float32:
    return np.float32(value)


def test_normalise_is_the_stated_chain_of_float32_operations() -> None:
    raw = np.broadcast_to(
        np.arange(256, dtype=np.uint8)[None, :, None, None], (1, 256, 1, 3)
    ).copy()
    spec = replace(IMAGENET, size=(256, 1), layout="NHWC")
    x = normalise(spec, raw)
    for code in range(256):
        for c in range(3):
            scaled = f32(f32(code) * f32(spec.scale))
            wanted = f32(f32(scaled - f32(spec.mean[c])) / f32(spec.std[c]))
            assert x[0, code, 0, c] == wanted


def test_affine_is_normalise_up_to_float32_rounding() -> None:
    offset, factor = affine(IMAGENET)
    raw = rgb(8, 8)[None]
    wanted = np.moveaxis((raw.astype(np.float64) - offset) * factor, -1, 1)
    # Three roundings of values below 2.7, the first amplified by 1 / 0.224.
    assert np.abs(normalise(IMAGENET, raw) - wanted).max() < 8 * 2.0**-24 * 2.7
    assert Fraction(offset[0]) == pytest.approx(Fraction("0.485") * 255, rel=1e-15)


def test_nchw_is_the_transposed_nhwc() -> None:
    raw = rgb(8, 8)[None]
    last = normalise(replace(IMAGENET, layout="NHWC"), raw)
    assert np.array_equal(normalise(IMAGENET, raw), last.transpose(0, 3, 1, 2))


def test_a_uint8_network_gets_its_raw_pixels() -> None:
    spec = Preprocess(size=(8, 8), scale=1.0, dtype="uint8", layout="NHWC")
    raw = rgb(8, 8)[None]
    assert normalise(spec, raw).dtype == np.uint8
    assert np.array_equal(normalise(spec, raw), raw)
    assert np.array_equal(denormalise(spec, raw), raw)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_denormalise_returns_every_pixel_value(layout: str) -> None:
    spec = replace(IMAGENET, size=(16, 16), layout=layout)
    raw = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, -1)[None].repeat(2, axis=0)
    assert np.array_equal(denormalise(spec, normalise(spec, raw)), raw)


@pytest.mark.parametrize("value", [0.5, -1.0, 256.0, math.nan, math.inf, 0.002])
def test_denormalise_refuses_what_is_no_pixel(value: float) -> None:
    spec = Preprocess(size=(2, 2), scale=1.0, layout="NHWC")
    x = np.zeros((1, 2, 2, 3), np.float32)
    x[0, 1, 1, 2] = value
    with pytest.raises(DataError, match="1 of 12 values are no whole pixels"):
        denormalise(spec, x)


def test_wrong_arrays_are_told_apart_from_pixels() -> None:
    with pytest.raises(DataError, match="raw pixels are uint8"):
        normalise(IMAGENET, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="NCHW"):
        denormalise(IMAGENET, np.zeros((1, 8, 8, 3), np.float32))


# --- text ------------------------------------------------------------------------------------


def test_the_shortest_text_gives_the_defaults() -> None:
    assert load_preprocess("size = [224, 320]") == Preprocess(size=(224, 320))


def test_a_file_with_everything(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        'size = [224, 224]\nresize = "crop"\nresize_to = 256\ninterpolation = "bicubic"\n'
        'colour = "BGR"\nscale = "1/255"\nmean = [0.485, 0.456, 0.406]\n'
        'std = 0.25\nlayout = "NHWC"\n'
    )
    assert load_preprocess(path) == load_preprocess(str(path))
    spec = load_preprocess(path)
    assert (spec.scale, spec.std, spec.resize_to) == (1 / 255, (0.25, 0.25, 0.25), 256)


def test_a_uint8_network_needs_no_scale_and_grey_needs_one_mean() -> None:
    assert load_preprocess('size = [8, 8]\ndtype = "uint8"').scale == 1
    assert load_preprocess('size = [8, 8]\ncolour = "GRAY"').mean == (0.0,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("size = [8, 8]\ninterpolatoin = 'area'", "did you mean 'interpolation'"),
        ("resize = 'crop'", "size is missing"),
        ("size = 8", "list of whole numbers"),
        ("size = [8.0, 8]", "list of|whole number"),
        ("size = [8, 8, 3]", "height and width"),
        ("size = [0, 8]", "height and width"),
        ("size = [8, 8]\nresize = 'fit'", "none, stretch, letterbox, crop"),
        ("size = [8, 8]\nscale = '1/0'", "fraction"),
        ("size = [8, 8]\nscale = -1", "positive"),
        ("size = [8, 8]\nscale = nan", "positive"),
        ("size = [8, 8]\nmean = [1, 2]", "2 numbers, RGB has 3"),
        ("size = [8, 8]\nstd = 0", "positive"),
        ("size = [8, 8]\nstd = true", "not a number"),
        ("size = [8, 8]\npad_colour = [0, 0, 256]", "0 to 255"),
        ("size = [8, 8]\nresize_to = 9", "resize is 'letterbox'"),
        ("size = [8, 8]\nresize = 'crop'\nresize_to = 7", "max"),
        ("size = [8, 8]\nresize = 'crop'", "max"),
        ("size = [8, 8]\ndtype = 'uint8'\nscale = 0.5", "raw pixels"),
        ("size = [16384, 16384]", "pixels"),
        ("size = [8, 8", "no TOML"),
    ],
)
def test_wrong_text_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_preprocess(text)


def test_everything_wrong_is_listed_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        load_preprocess("size = [8, 8]\nresize = 'fit'\nstd = 0\ncolour = 'rgb'")
    assert all(word in str(caught.value) for word in ("resize", "std", "colour"))


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_preprocess(tmp_path / "none.toml")


@st.composite
def preprocesses(draw: st.DrawFn) -> Preprocess:
    colour = draw(st.sampled_from(COLOUR_ORDERS))
    channels = 1 if colour == "GRAY" else 3
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    resize = draw(st.sampled_from(RESIZES))
    byte = st.integers(0, 255)
    floats = st.floats(0.01, 300)
    return Preprocess(
        size=size,
        resize=resize,
        resize_to=max(size) + draw(st.integers(0, 9)) if resize == "crop" else 0,
        interpolation=draw(st.sampled_from(INTERPOLATIONS)),
        pad_colour=draw(st.tuples(byte, byte, byte)),
        corner=draw(st.sampled_from(CORNERS)),
        background=draw(st.tuples(byte, byte, byte)),
        colour=colour,
        scale=draw(floats),
        mean=draw(st.tuples(*[floats] * channels)),
        std=draw(st.tuples(*[floats] * channels)),
        layout=draw(st.sampled_from(LAYOUTS)),
    )


@given(preprocesses())
@settings(max_examples=60, deadline=None)
def test_toml_and_json_read_back_to_the_same(spec: Preprocess) -> None:
    assert load_preprocess(preprocess_to_toml(spec)) == spec
    assert preprocess_from_json(json.loads(json.dumps(preprocess_to_json(spec)))) == spec


@given(preprocesses(), st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_any_picture_through_any_recipe_has_the_right_shape(
    spec: Preprocess, height: int, width: int
) -> None:
    if spec.resize == "none":
        height, width = spec.size
    raw = raw_pixels(spec, rgb(height, width))
    assert raw.shape == spec.raw_shape
    assert normalise(spec, raw).shape == spec.input_shape


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_changed_json_field_is_a_format_error_or_another_valid_recipe(
    data: st.DataObject,
) -> None:
    good = preprocess_to_json(IMAGENET)
    name = data.draw(st.sampled_from([*good, "extra"]))
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=5,
    )
    bad = {**good, name: data.draw(junk)}
    try:
        assert isinstance(preprocess_from_json(bad), Preprocess)
    except FormatError as caught:
        assert "preprocessing" in str(caught)  # noqa: PT017


@pytest.mark.parametrize("data", [None, [], 3, "x", {}, {"size": [1, 1]}])
def test_json_that_is_no_recipe_is_a_format_error(data: object) -> None:
    with pytest.raises(FormatError):
        preprocess_from_json(data, path="net.bta")


def test_toml_nested_too_deeply_is_no_toml() -> None:
    with pytest.raises(UsageError, match="no TOML"):
        load_preprocess("size = " + "[" * 5000)
