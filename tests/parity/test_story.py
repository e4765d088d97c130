"""The user story, as examples/net_9conv/STORY.md tells it: each mistake is found, and mended.

The mends are executed as they are printed; what they make must give the right outputs bit for bit.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
import pytest
from PIL import Image

import bittrue
from bittrue.contract.preprocess import raw_pixels
from tests.conftest import ROOT

pytest.importorskip("torch", reason="PyTorch is not installed (a dev dependency)")

EXAMPLE = ROOT / "examples" / "net_9conv"
SIDE = 160
#: Of this picture BGR is 14 dB under the right outputs; of most others, 25 dB.
COLOURED = 56


class Device(Protocol):
    """The part of the story's device that is used here."""

    def codes(self, x: np.ndarray) -> dict[str, np.ndarray]: ...
    def values(self, x: np.ndarray) -> dict[str, np.ndarray]: ...


class Scene(Protocol):
    """The part of the story's scene that is used here."""

    device: Device
    pixels: np.ndarray
    right: np.ndarray

    def sent(self, mistake: str) -> np.ndarray: ...


def picture(seed: int) -> Image.Image:
    """Draw bars of several widths on a slope of two colours: the network reacts to them."""
    rng = np.random.default_rng(seed)
    first, last = rng.integers(90, 256, (2, 3))
    slope = np.linspace(0, 1, SIDE)[:, None, None]  # [H, 1, 1]
    pixels = first * (1 - slope) + last * slope + rng.normal(0, 6, (SIDE, SIDE, 3))
    for top in rng.integers(0, SIDE - 12, 6):
        columns = rng.random(SIDE) < 0.5
        pixels[top : top + int(rng.integers(3, 12)), columns] -= rng.integers(40, 140, 3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def story() -> Iterator[ModuleType]:
    """The example's script."""
    spec = importlib.util.spec_from_file_location("net_9conv_story", EXAMPLE / "story.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look their types up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def folder(story: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the archive as far as fp_optimized, the executable, and the pictures."""
    place = tmp_path_factory.mktemp("story")
    (place / "pictures").mkdir()
    for seed in range(16):
        picture(seed).save(place / "pictures" / f"{seed:02}.png")
    picture(COLOURED).save(place / story.PHOTO)
    recipe = (EXAMPLE / "preprocess.toml").read_text()
    (place / "preprocess.toml").write_text(recipe.replace("640, 640", f"{SIDE}, {SIDE}"))
    with contextlib.chdir(place):
        assert story.prepare(EXAMPLE, Path("preprocess.toml"), "pictures")
        yield place


@pytest.fixture(scope="module")
def scene(story: ModuleType, folder: Path) -> Iterator[Scene]:
    pixels = raw_pixels(bittrue.load_preprocess(folder / "preprocess.toml"), story.PHOTO)
    with bittrue.Session(folder / story.DEVICE) as session:
        yield story.Scene(story.Device(session), pixels)


def exit_codes(told: str) -> list[int]:
    """Return the exit codes of the commands, in their order."""
    return [int(code) for code in re.findall(r"^\[exit code (\d+)\]$", told, re.MULTILINE)]


def causes(told: str) -> list[str]:
    """Return what each diagnosis names first, in their order; a pair is "one with other"."""
    return re.findall(r"^(?:1 of .*: )?([a-z_.]+(?: with [a-z_.]+)?) \(confidence", told, re.M)


# --- first: the number of bytes -------------------------------------------------------------------


def test_a_float64_buffer_is_refused_named_and_mended_to_the_right_bits(
    story: ModuleType, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(bittrue.DeviceError, match=r"614400 bytes .* takes 76800"):
        scene.device.codes(scene.pixels / 255.0)
    assert story.too_many_bytes(scene)
    told = capsys.readouterr().out
    assert exit_codes(told) == [5, 1]
    assert "error input.dtype, input 'image': 614,400 bytes received, 76,800 expected" in told
    assert causes(told) == ["input.dtype"]
    assert ">>> x = np.rint(x * 255).astype(np.uint8)" in told


def test_the_storys_own_numbers_are_named_at_its_own_size(
    story: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = [f"{EXAMPLE / 'net.py'}:create", "--weights", str(EXAMPLE / "net_9conv.pt")]
    recipe = f"image={EXAMPLE / 'preprocess.toml'}"
    assert story.ask("import", *start, "--preprocess", recipe, "-o", "640.bta").code == 0
    assert story.ask("optimize", "640.bta", "-o", "640.bta").code == 0
    pixels = np.random.default_rng(5).integers(0, 256, (1, 640, 640, 3), np.uint8)
    np.save("640.npy", pixels / 255.0)
    capsys.readouterr()
    for answer in (
        story.ask("check", "640.bta", "--input", "640.npy"),
        story.ask("diagnose", "640.bta", "--sent", "640.npy"),
    ):
        assert "9,830,400 bytes received, 1,228,800 expected" in answer.text
        assert "input.dtype" in answer.text
        mended = story.mend(answer.mends[0], "x", x=np.load("640.npy"))
        np.testing.assert_array_equal(mended, pixels, strict=True)
    assert exit_codes(capsys.readouterr().out) == [5, 1]


# --- second: the right number of bytes, the wrong values ------------------------------------------


@pytest.mark.parametrize("mistake", ["black", "negative", "bgr"])
def test_each_mistake_of_the_right_size_passes_the_device_and_changes_the_outputs(
    story: ModuleType, scene: Scene, mistake: str
) -> None:
    wrong = story.only(scene.device.values(scene.sent(mistake)))
    assert wrong.shape == scene.right.shape
    assert not np.array_equal(wrong, scene.right)


def test_floats_cast_to_black_are_named_and_mended_to_the_right_bits(
    story: ModuleType, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    assert story.black(scene)
    told = capsys.readouterr().out
    assert exit_codes(told) == [0, 1]  # a black picture is legal: check warns only
    assert "warning input.cast_to_zero" in told
    assert causes(told) == ["input.cast_to_zero"]


def test_bgr_is_named_and_mended_to_the_right_bits(
    story: ModuleType, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    assert story.bgr(scene)
    told = capsys.readouterr().out
    assert exit_codes(told) == [0, 1]  # no contract can tell BGR from RGB
    assert causes(told) == ["input.channel_order"]
    assert re.search(r"output +[0-9.]+ -> equal", told)  # the effect of the mend is shown


def test_the_negative_of_the_picture_is_found_at_the_input(story: ModuleType, scene: Scene) -> None:
    answer = story.right_size_wrong_values(scene, "negative")
    assert answer.code == 1
    (cause,) = causes(answer.text)
    assert cause.startswith("input.")


def test_the_right_pixels_are_blamed_for_nothing(
    story: ModuleType, scene: Scene, folder: Path
) -> None:
    np.save(story.SENT, scene.pixels)
    story.save_outputs(scene.device.values(scene.pixels))
    given = ("--picture", story.PHOTO, "--sent", story.SENT, "--device", story.OUTPUTS)
    answer = story.ask("diagnose", story.DEVICE, *given)
    assert (answer.code, causes(answer.text)) == (0, ["none"])
    assert answer.mends == []


# --- third: codes for values ----------------------------------------------------------------------


def test_codes_are_named_and_their_scale_and_zero_point_give_the_right_bits(
    story: ModuleType, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = story.only(scene.device.codes(scene.pixels))
    assert codes.dtype == np.uint8
    assert story.codes_for_values(scene)
    told = capsys.readouterr().out
    assert exit_codes(told) == [1, 0]
    assert causes(told) == ["output.not_dequantized"]


def test_two_mistakes_at_once_are_named_together_and_both_mends_are_needed(
    story: ModuleType, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    assert story.both_at_once(scene)
    told = capsys.readouterr().out
    assert exit_codes(told) == [1]
    assert causes(told) == ["input.channel_order with output.not_dequantized"]


# --- fourth: the stage that was never run ---------------------------------------------------------


def test_the_stage_that_nobody_ran_is_named_and_once_it_ran_the_device_is_only_quantised(
    story: ModuleType, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    assert story.missing_rung(scene, "pictures")
    told = capsys.readouterr().out
    before, after = told.split("$ bittrue quantize")
    assert "not measured: fp_optimized to quantized" in before
    assert f"run `bittrue quantize {story.ARCHIVE} --calibrate" in before
    assert "every edge is within its budget" not in before
    assert "every edge is within its budget" in after
    assert "capture, 'output': its error is" in after
    assert "only quantisation" in after
    assert exit_codes(told) == [0] * 5


# --- the story itself -----------------------------------------------------------------------------


def test_a_mend_that_does_not_mend_is_told_apart_from_one_that_does(
    story: ModuleType, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    values = scene.right.copy()
    assert story.same(values, scene.right)
    values.flat[7] += np.float32(1e-3)
    assert not story.same(values, scene.right)
    assert not story.same(scene.right.astype(np.float64), scene.right)
    assert "WRONG: 1 values differ" in capsys.readouterr().out
