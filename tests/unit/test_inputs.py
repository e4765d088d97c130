"""Inputs: from a file, and in each stage's domain."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pytest

from bittrue.contract.preprocess import Preprocess, normalise, normalised_range
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.errors import DataError
from bittrue.inputs import adapt, read_input
from bittrue.network import LADDER
from bittrue.stages import (
    contract_of_stage,
    open_runner,
)
from tests.unit.networks import PREPROCESS, pixels, subject


@pytest.mark.parametrize("stage", LADDER)
def test_one_raw_picture_feeds_every_stage(stage: str) -> None:
    runner = open_runner(subject(), stage)
    feeds = adapt({"": pixels(9)}, runner.contract, subject().preprocess)
    assert [array.dtype.name for array in feeds.values()] == [runner.contract.inputs[0].dtype]
    (out,) = runner.run(feeds).outputs.values()
    assert (out.shape, out.dtype) == ((1, 5), np.float32)


@pytest.mark.parametrize("stage", LADDER)
def test_pixels_normalised_values_and_flat_bytes_give_the_same_input(stage: str) -> None:
    contract = contract_of_stage(subject(), stage)
    raw = pixels(9)
    forms = (raw, normalise(PREPROCESS, raw), raw.reshape(-1))
    feeds = [adapt({"": form}, contract, subject().preprocess)["images"] for form in forms]
    np.testing.assert_array_equal(feeds[1], feeds[0])
    np.testing.assert_array_equal(feeds[2], feeds[0])


def test_values_that_are_no_pixels_get_the_buffer_check_and_not_a_guess() -> None:
    x = normalise(PREPROCESS, pixels(9)) + np.float32(0.001)
    with pytest.raises(DataError, match=r"input\.dtype"):
        adapt({"": x}, contract_of_stage(subject(), "compiled"), subject().preprocess)


def test_the_range_of_a_normalised_input_is_that_of_all_pixels() -> None:
    low, high = normalised_range(PREPROCESS)
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    x = normalise(PREPROCESS, every)
    assert (low, high) == pytest.approx((float(x.min()), float(x.max())), rel=1e-6)
    assert contract_of_stage(subject(), "native").inputs[0].value_range == (low, high)


def test_extreme_pixels_are_no_finding_at_a_float_stage(caplog: pytest.LogCaptureFixture) -> None:
    contract = contract_of_stage(subject(), "native")
    with caplog.at_level(logging.WARNING):
        adapt({"": pixels(9)}, contract, subject().preprocess)
    assert caplog.messages == []


def test_what_only_looks_wrong_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        contract = contract_of_stage(subject(), "compiled")
        adapt({"": np.zeros((1, 16, 16, 3), np.uint8)}, contract, subject().preprocess)
    assert any("input.cast_to_zero" in text for text in caplog.messages)


def test_one_array_for_two_inputs_is_refused_with_their_names() -> None:
    rows = tuple(TensorContract(name, (1, 2), "float32") for name in "ab")
    with pytest.raises(DataError, match="2 inputs: 'a', 'b'"):
        adapt({"": np.zeros((1, 2), np.float32)}, Contract(rows, ()), {})


# --- reading -------------------------------------------------------------------------------------


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


HUGE = b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.npy", b""),
        ("a.npy", b"hello"),
        ("a.npy", npy(pixels(1))[:500]),
        ("a.npy", npy(np.array([{}], object))),
        ("a.npy", (HUGE % 10**12).ljust(127) + b"\n"),
        ("a.npy", (HUGE % 10**30).ljust(127) + b"\n"),
        ("a.npz", b"PK\x03\x04" + bytes(50)),
        ("a.npz", b"PK"),
        ("a.png", b"\x89PNG\r\n\x1a\nxx"),
        ("a.jpg", b""),
    ],
)
def test_a_damaged_input_is_a_data_error(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=f"{name}: "):
        read_input(tmp_path / name, {"images": PREPROCESS})


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"cos\nsystem\n(S'touch %s/x'\ntR." % str(tmp_path).encode())
    with pytest.raises(DataError):
        read_input(tmp_path / "a.npy", {})
    assert not (tmp_path / "x").exists()


def test_a_picture_needs_exactly_one_preprocessing() -> None:
    with pytest.raises(DataError, match="0 inputs, not one"):
        read_input("a.png", {})


# --- a network that was cut ----------------------------------------------------------------------


def test_a_network_that_takes_planar_pixels_is_given_them() -> None:
    row = TensorContract("x", (1, 3, 16, 16), "uint8", "NCHW", "RGB")
    item = Preprocess(size=(16, 16), dtype="uint8", scale=1.0)
    made = adapt({"": pixels(1)}, Contract((row,), ()), {"x": item})
    np.testing.assert_array_equal(made["x"], pixels(1).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pixels_become_codes_of_normalised_values_where_these_are_made_outside(layout: str) -> None:
    item = Preprocess(size=(16, 16), mean=(0.5, 0.4, 0.3), layout=layout)
    shape, scale = item.input_shape, 1 / 128
    row = TensorContract("x", shape, "uint8", layout, "RGB", scale, 100, holds="codes")
    raw = pixels(1)
    exact = np.rint(normalise(item, raw).astype(np.float64) / scale) + 100
    for form in (raw, raw.reshape(-1), normalise(item, raw)):
        made = adapt({"": form}, Contract((row,), ()), {"x": item})
        np.testing.assert_array_equal(made["x"], np.clip(exact, 0, 255))
