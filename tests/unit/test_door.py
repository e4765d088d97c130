"""The door of the deployed network: what a runtime makes of a buffer, right or wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.contract.preprocess import Preprocess, normalise
from bittrue.contract.tensor import (
    HOLDS_CODES,
    HOLDS_NORMALISED,
    HOLDS_PIXELS,
    TensorContract,
)
from bittrue.diagnosis.door import Door, door_of, scaling_of, usual_doors

BGR = Preprocess(
    size=(4, 6), resize="none", colour="BGR", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)
)
SHAPE = BGR.raw_shape
PIXELS = np.random.default_rng(1).integers(0, 256, SHAPE, np.uint8)
OWN = (PIXELS / 255 - np.array([0.1, 0.2, 0.3])) / np.array([0.5, 0.6, 0.7])


def row(dtype: str, **more: object) -> TensorContract:
    return TensorContract("images", SHAPE, dtype, **more)  # type: ignore[arg-type]


def test_values_of_pixels_are_those_of_the_preprocessing() -> None:
    made = scaling_of(BGR)(PIXELS)
    assert np.allclose(made, OWN, rtol=1e-6, atol=1e-7)
    there = normalise(BGR, PIXELS).transpose(0, 2, 3, 1)
    assert np.allclose(made, there, rtol=1e-5, atol=1e-6)


MEANS = st.integers(-2000, 2000).map(lambda whole: whole / 10)


@given(st.floats(1e-3, 2), st.tuples(MEANS, MEANS, MEANS), st.floats(0.01, 200))
def test_undoing_a_scaling_gives_the_pixels_back(scale, mean, std) -> None:
    scaling = scaling_of(replace(BGR, scale=scale, mean=mean, std=(std, std, std)))
    back = scaling.undo(scaling(PIXELS))
    # One rounding to float32 of a value up to (255 scale + 200) / std, times std / scale.
    assert np.abs(back - PIXELS).max() <= 2**-23 * (255 + 200 / scale)


# --- reading --------------------------------------------------------------------------------------

SCALING = scaling_of(BGR)
RAW = Door("pixels", SHAPE, "uint8", False, SCALING)
VALUES = Door("values", SHAPE, "float32", False, SCALING)
PLANAR = replace(VALUES, planar=True)
CODES = Door("codes", SHAPE, "int8", False, SCALING, 0.02, -3)


def test_the_right_buffer_is_read_as_what_is_meant() -> None:
    assert np.allclose(RAW.read(PIXELS), OWN, atol=1e-6)
    assert np.allclose(VALUES.read(OWN.astype(np.float32)), OWN, atol=1e-6)
    planar = np.stack([OWN[0, :, :, c] for c in range(3)])[None].astype(np.float32)
    assert np.allclose(PLANAR.read(planar), OWN, atol=1e-6)
    codes = np.clip(np.rint(OWN / 0.02) - 3, -128, 127).astype(np.int8)
    assert np.allclose(CODES.read(codes), (codes.astype(float) + 3) * 0.02, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6, 3), (72,), (1, 72), (6, 4, 3), (3, 24)])
def test_no_runtime_looks_at_the_shape(shape) -> None:
    assert np.array_equal(RAW.read(PIXELS.reshape(shape)), RAW.read(PIXELS))


@pytest.mark.parametrize("extra", [-1, 1, 72])
def test_another_number_of_elements_is_taken_by_no_runtime(extra) -> None:
    assert RAW.read(np.zeros(72 + extra, np.uint8)) is None


def test_floats_are_cast_to_the_buffers_type_without_a_word() -> None:
    assert np.allclose(
        RAW.read(PIXELS / 255), (PIXELS == 255) / 255 / OWN_STD - OWN_MEAN, atol=1e-6
    )


OWN_STD = np.array([0.5, 0.6, 0.7])
OWN_MEAN = np.array([0.1, 0.2, 0.3]) / OWN_STD


def test_bits_of_unsigned_codes_are_taken_for_signed_ones() -> None:
    sent = np.full(SHAPE, 200, np.uint8)
    assert np.allclose(CODES.read(sent), (200 - 256 + 3) * 0.02, atol=1e-6)


def test_interleaved_memory_is_read_as_planar_by_a_planar_door() -> None:
    sent = OWN.astype(np.float32)
    own = np.frombuffer(sent.tobytes(), np.float32).reshape(3, 4, 6)
    assert np.array_equal(PLANAR.read(sent), np.stack(list(own), axis=-1)[None])


def test_a_view_is_read_as_the_array_shows_it() -> None:
    turned = PIXELS[:, ::-1]
    assert np.array_equal(RAW.read(turned), RAW.read(turned.copy()))


def test_values_beyond_the_limits_are_cut_off_and_pixels_are_not() -> None:
    limits = (-0.1, 0.4)
    cut = replace(VALUES, limits=limits).read(OWN.astype(np.float32))
    assert np.allclose(cut, np.clip(OWN, *limits), atol=1e-6)
    assert np.array_equal(replace(RAW, limits=None).read(PIXELS), RAW.read(PIXELS))


# --- which door -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contract", "kind", "scale"),
    [
        (row("uint8", holds=HOLDS_PIXELS), "pixels", 1.0),
        (row("uint8", holds=HOLDS_PIXELS, scale=0.5), "pixels", 1.0),
        (row("int8", holds=HOLDS_CODES, scale=0.5, zero_point=3), "codes", 0.5),
        (row("int8", scale=0.5, zero_point=3), "codes", 0.5),
        (row("float32", scale=0.5), "values", 1.0),
        (row("float32", holds=HOLDS_NORMALISED), "values", 1.0),
        (row("uint8"), "values", 1.0),
    ],
)
def test_a_contract_says_what_a_door_takes(contract, kind, scale) -> None:
    door = door_of(contract, BGR)
    assert (door.kind, door.scale, door.dtype) == (kind, scale, contract.dtype)
    assert door.zero_point == (3 if kind == "codes" else 0)


@pytest.mark.parametrize(
    ("layout", "shape", "planar"),
    [
        ("NCHW", SHAPE, True),
        ("CHW", SHAPE, True),
        ("NHWC", (1, 3, 4, 6), False),
        ("", (1, 3, 4, 6), True),
        ("", SHAPE, False),
        ("", (), False),
    ],
)
def test_the_layout_is_said_or_seen_in_the_shape(layout, shape, planar) -> None:
    contract = TensorContract("images", shape, "float32", layout)
    assert door_of(contract, BGR).planar is planar


def test_only_values_are_cut_off_at_the_calibrated_range() -> None:
    assert door_of(row("float32", value_range=(-1.0, 2.0)), BGR).limits == (-1.0, 2.0)
    pixels = row("uint8", holds=HOLDS_PIXELS, value_range=(0.0, 255.0))
    assert door_of(pixels, BGR).limits is None


def test_where_nobody_said_values_and_pixels_are_both_possible() -> None:
    doors = usual_doors(BGR)
    assert {door.kind for door in doors} >= {"values", "pixels"}
    assert all(door.planar for door in doors if door.kind == "values")
    assert all(door.dtype == "uint8" and not door.planar for door in doors if door.kind == "pixels")
    ends = (np.array([[0.0], [255.0]]) / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    limits = [door.limits for door in doors if door.kind == "values"]
    assert None in limits
    assert pytest.approx((ends.min(), ends.max())) in [row for row in limits if row is not None]
