"""What a user gives becomes a scene, or an error that says what to give instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

import bittrue
from bittrue.diagnosis.given import Given, deployed_input, guessed, open_scene
from bittrue.errors import DataError, Error, FormatError, UsageError
from tests.unit.scenes import MEAN, RECIPE, STD, TOML, device, host, picture, seeing_onnx, subject

PIXELS = picture(0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("given")
    (here / "seeing.onnx").write_bytes(seeing_onnx())
    (here / "pre.toml").write_text(TOML)
    there = subject()
    assert there.network is not None
    bittrue.save_archive(there.network, here / "seeing.bta")
    (here / "seeing.bte").write_bytes(there.executable or b"")
    Image.fromarray(PIXELS[0]).save(here / "x.png")
    np.save(here / "x.npy", host(PIXELS).transpose(0, 3, 1, 2))
    np.savez(here / "dev.npz", **device(host(PIXELS)))  # type: ignore[arg-type]
    return here


def whole(home: Path) -> Given:
    return Given(
        model=str(home / "seeing.bta"), pictures=(home / "x.png",), devices=(home / "dev.npz",)
    )


# --- a scene --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["seeing.onnx", "seeing.bta", "seeing.bte"])
def test_a_picture_becomes_pixels_and_the_sources_input(home, model) -> None:
    recipe = home / "pre.toml" if model.endswith(".onnx") else None
    there = open_scene(replace(whole(home), model=str(home / model), preprocess=recipe))
    (frame,) = there.frames
    assert there.target == "images"
    assert np.array_equal(frame.pixels, PIXELS)
    assert np.allclose(frame.inputs["images"], host(PIXELS).transpose(0, 3, 1, 2), atol=1e-5)
    assert set(frame.device) == {"map", "logits"}
    assert {door.kind for door in there.doors} == {"values", "pixels"}


def test_an_intended_array_shows_the_pixels_it_was_made_of(home) -> None:
    there = open_scene(replace(whole(home), pictures=(), inputs=(home / "x.npy",)))
    assert np.array_equal(there.frames[0].pixels, PIXELS)
    assert there.frames[0].picture is None


def test_a_preprocessing_that_is_given_takes_the_place_of_the_archives(home, tmp_path) -> None:
    (tmp_path / "pre.toml").write_text(TOML.replace("0.485", "0.5"))
    there = open_scene(replace(whole(home), preprocess=tmp_path / "pre.toml"))
    assert there.preprocess is not None
    assert there.preprocess.mean == (0.5, *MEAN[1:])


def test_without_a_model_a_reference_and_a_device_are_a_scene(home) -> None:
    there = open_scene(Given(references=(home / "dev.npz",), devices=(home / "dev.npz",)))
    assert there.subject is None
    assert set(there.frames[0].reference) == set(there.frames[0].device) == {"map", "logits"}


@pytest.mark.parametrize(
    ("sent", "kinds", "planar"),
    [
        (PIXELS, {"pixels"}, False),
        (host(PIXELS), {"values"}, False),
        (host(PIXELS).transpose(0, 3, 1, 2), {"values"}, True),
        (PIXELS[0], {"pixels"}, False),
    ],
)
def test_what_was_sent_shows_which_door_it_was_for(home, tmp_path, sent, kinds, planar) -> None:
    np.save(tmp_path / "sent.npy", sent)
    there = open_scene(replace(whole(home), sent=(tmp_path / "sent.npy",)))
    assert {door.kind for door in there.doors} == kinds
    assert {door.planar for door in there.doors} == {planar}
    assert np.array_equal(there.frames[0].sent, sent)


def test_a_deployed_contract_says_which_door_it_is(home, tmp_path) -> None:
    (tmp_path / "c.toml").write_text(
        '[[input]]\nname = "images"\ndtype = "int8"\nshape = [1, 32, 32, 3]\n'
        "scale = 0.02\nzero_point = -3\n"
    )
    there = open_scene(replace(whole(home), deployed=tmp_path / "c.toml"))
    (door,) = there.doors
    assert (door.kind, door.dtype, door.scale, door.zero_point) == ("codes", "int8", 0.02, -3)
    assert deployed_input(there.contract, "images") is not None
    assert deployed_input(there.contract, "other") is not None  # the only one there is
    assert deployed_input(None, "images") is None


def test_an_array_that_was_sent_may_stand_in_the_capture(home, tmp_path) -> None:
    rows = {**device(host(PIXELS)), "sent/images": PIXELS}
    np.savez(tmp_path / "dev.npz", **rows)  # type: ignore[arg-type]
    there = open_scene(replace(whole(home), devices=(tmp_path / "dev.npz",)))
    assert np.array_equal(there.frames[0].sent, PIXELS)
    assert set(there.frames[0].device) == {"map", "logits"}


def test_codes_whose_own_file_says_what_they_mean_are_values(home, tmp_path) -> None:
    np.save(tmp_path / "map.npy", np.arange(6, dtype=np.uint8))
    (tmp_path / "map.json").write_text('{"scale": 0.5, "zero_point": 2}')
    there = open_scene(Given(devices=(tmp_path / "map.npy",), references=(home / "dev.npz",)))
    (values,) = there.frames[0].device.values()
    assert values.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5]


# --- what an array shows by itself ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0, 0, 0), (1, 1, 1)), ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), (MEAN, STD)],
)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_constants_in_use_are_seen_in_whole_pixels(mean, std, layout) -> None:
    array = host(PIXELS, mean, std)
    found = guessed(array.transpose(0, 3, 1, 2) if layout == "NCHW" else array)
    assert found is not None
    assert (found.layout, found.size, found.resize) == (layout, RECIPE.size, "none")
    low, high = (
        host(np.zeros((1, 1, 1, 3)), mean, std),
        host(np.full((1, 1, 1, 3), 255.0), mean, std),
    )
    own = [(np.array(p) * found.scale - found.mean) / found.std for p in (0.0, 255.0)]
    assert np.allclose(own, [low.reshape(3), high.reshape(3)], atol=1e-5)


@pytest.mark.parametrize(
    "array",
    [
        None,
        np.zeros((1, 10), np.float32),
        np.zeros((2, 3, 16, 16), np.float32),
        np.zeros((1, 5, 16, 16), np.float32),
        np.random.default_rng(1).normal(0, 1, (1, 3, 16, 16)).astype(np.float32),
        PIXELS,
    ],
    ids=["none", "no picture", "two", "five channels", "noise", "uint8"],
)
def test_what_is_no_picture_is_not_guessed_at(array) -> None:
    assert guessed(array) is None


# --- errors ---------------------------------------------------------------------------------------


def test_nothing_at_all_is_refused_with_what_to_give() -> None:
    with pytest.raises(UsageError, match="nothing was given") as why:
        open_scene(Given())
    assert "--device" in why.value.hint


def test_a_model_alone_is_refused(home) -> None:
    with pytest.raises(UsageError, match="nothing was given"):
        open_scene(Given(model=str(home / "seeing.bta")))


def test_numbers_of_frames_that_differ_are_all_told(home) -> None:
    two = replace(whole(home), pictures=(home / "x.png",) * 2)
    with pytest.raises(UsageError, match="2 of --picture, 1 of --device"):
        open_scene(two)


def test_a_picture_and_an_array_for_the_same_input_are_refused(home) -> None:
    with pytest.raises(UsageError, match="both say"):
        open_scene(replace(whole(home), inputs=(home / "x.npy",)))


@pytest.mark.parametrize(
    ("role", "code"),
    [
        ("model", 5),
        ("pictures", 5),
        ("preprocess", 2),
        ("inputs", 5),
        ("sent", 5),
        ("deployed", 2),
        ("references", 5),
        ("devices", 5),
    ],
)
def test_a_file_that_is_not_there_is_an_error_with_its_name(home, role, code) -> None:
    gone = home / "gone.npz"
    value: object = str(gone) if role == "model" else gone
    if role not in ("model", "preprocess", "deployed"):
        value = (gone,)
    rest = replace(whole(home), pictures=()) if role == "inputs" else whole(home)
    with pytest.raises(Error) as why:
        open_scene(replace(rest, **{role: value}))  # type: ignore[arg-type]
    assert "gone.npz" in str(why.value)
    assert (why.value.exit_code, why.value.hint != "") == (code, True)


def test_a_capture_that_is_no_archive_is_damaged(home, tmp_path) -> None:
    (tmp_path / "dev.npz").write_bytes((home / "dev.npz").read_bytes()[:100])
    with pytest.raises(FormatError) as why:
        open_scene(replace(whole(home), devices=(tmp_path / "dev.npz",)))
    assert why.value.path == str(tmp_path / "dev.npz")


def test_two_arrays_that_were_sent_at_once_are_refused(home, tmp_path) -> None:
    np.savez(tmp_path / "sent.npz", a=PIXELS, b=PIXELS)
    with pytest.raises(DataError, match="holds 2 arrays") as why:
        open_scene(replace(whole(home), sent=(tmp_path / "sent.npz",)))
    assert why.value.hint


def test_roles_tell_what_was_given_and_leave_out_what_was_not(home) -> None:
    roles = whole(home).roles()
    assert set(roles) == {"model", "picture", "device"}
    assert roles["picture"] == str(home / "x.png")
