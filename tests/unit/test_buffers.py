"""Buffers against a contract: every cause, its exact text, its mend, and no false alarm."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.contract.buffers import Finding, check_buffers, raise_on_error
from bittrue.contract.preprocess import Preprocess, denormalise, normalise, raw_pixels
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.errors import DataError
from tests.golden import check_golden

NAME = "net_9conv/input_layer1"
PIXELS = TensorContract(NAME, (1, 640, 640, 3), "uint8", "NHWC", "RGB", holds="raw pixels")
PREPROCESS = Preprocess(
    size=(64, 64), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="NHWC"
)


def make(**changes: object) -> TensorContract:
    """A small picture input."""
    fields = {"shape": (1, 64, 64, 3), "dtype": "uint8", "layout": "NHWC", "colour": "RGB"}
    return TensorContract(NAME, **{**fields, **changes})  # type: ignore[arg-type]


SCALED_RAW = make(scale=1.0, value_range=(0.0, 255.0), holds="raw pixels")
SCALED_UNIT = make(scale=1 / 255, value_range=(0.0, 1.0), holds="codes")
SCALED_IMAGENET = make(scale=4.76 / 255, zero_point=114, value_range=(-2.12, 2.64), holds="codes")
FLOAT = make(dtype="float32", holds="normalised values", value_range=(0.0, 1.0))


def scene(height: int, width: int) -> np.ndarray:
    """A colourful picture with smooth areas, edges and a little noise, the same on every run."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width]
    planes = [
        128
        + 70 * np.sin(x / (9 + c) + c) * np.cos(y / (7.0 + 2 * c))
        + 40 * ((x // 16 + y // 16) % 2)
        for c in range(3)
    ]
    noisy = np.stack(planes, -1) + rng.normal(0, 1, (height, width, 3))
    return np.ascontiguousarray(np.clip(noisy, 0, 255).astype(np.uint8)[None])


BIG = scene(640, 640)
SMALL = scene(64, 64)


def check(row: TensorContract, given: object) -> tuple[Finding, ...]:
    return check_buffers(Contract((row,), ()), given)  # type: ignore[arg-type]


def causes(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.severity, finding.cause) for finding in findings]


def mended(findings: tuple[Finding, ...], x: object) -> object:
    """Run the lines that the findings give, in their order."""
    scope: dict[str, object] = {
        "x": x,
        "np": np,
        "preprocess": PREPROCESS,
        "picture": SMALL[0],
        "normalise": normalise,
        "denormalise": denormalise,
        "raw_pixels": raw_pixels,
    }
    for finding in findings:
        exec(finding.mend, scope)
    return scope["x"]


# --- the words, exactly ----------------------------------------------------------------------

GOLDEN: dict[str, tuple[TensorContract, object]] = {
    "float64_unit": (PIXELS, BIG / 255.0),
    "float32_unit_scale_1": (SCALED_RAW, SMALL.astype(np.float32) / np.float32(255)),
    "two_float32_frames": (PIXELS, np.repeat(BIG, 2, axis=0).astype(np.float32)),
    "eight_uint8_frames": (PIXELS, np.repeat(BIG, 8, axis=0)),
    "flat_bytes_of_float64": (PIXELS, (BIG / 255.0).tobytes()),
    "flat_bytes_of_frames": (PIXELS, np.repeat(BIG, 8, axis=0).tobytes()),
    "flat_bytes_cut_short": (PIXELS, BIG.tobytes()[:1_000_000]),
    "no_batch_axis": (PIXELS, BIG[0]),
    "no_frame": (PIXELS, BIG[:0]),
    "nchw": (PIXELS, np.ascontiguousarray(BIG.transpose(0, 3, 1, 2))),
    "chw_float64": (PIXELS, np.ascontiguousarray(BIG[0].transpose(2, 0, 1)) / 255.0),
    "nchw_reshaped": (PIXELS, BIG.transpose(0, 3, 1, 2).copy().reshape(BIG.shape)),
    "height_width_swapped": (
        make(shape=(1, 32, 64, 3)),
        np.ascontiguousarray(SMALL[:, :32].transpose(0, 2, 1, 3)),
    ),
    "alpha": (make(), np.concatenate([SMALL, SMALL[..., :1]], -1)),
    "grey": (make(), SMALL[0, :, :, 0]),
    "other_size": (PIXELS, SMALL),
    "int8_wrapped": (make(), SMALL.astype(np.int8)),
    "int8_offset": (make(), (SMALL.astype(np.int16) - 128).astype(np.int8)),
    "int64": (make(), SMALL.astype(np.int64)),
    "int64_too_large": (make(), SMALL.astype(np.int64) * 4),
    "bool": (make(), SMALL > 100),
    "objects": (make(), SMALL.astype(object)),
    "a_list": (make(), SMALL.tolist()),
    "normalised_floats": (make(), (SMALL / 255 - 0.45) / 0.225),
    "centred_floats": (make(), SMALL.astype(np.float32) / np.float32(127.5) - np.float32(1)),
    "nan": (SCALED_UNIT, np.where(SMALL[0, 1, 2, 0] == SMALL, np.nan, SMALL / 255)),
    "cast_to_zero": (make(), (SMALL / 255).astype(np.uint8)),
    "normalised_and_cast": (make(), ((SMALL / 255 - 0.45) / 0.225).astype(np.int8).view(np.uint8)),
    "raw_floats_for_unit": (SCALED_UNIT, SMALL.astype(np.float32)),
    "raw_floats_for_imagenet": (SCALED_IMAGENET, SMALL.astype(np.float32)),
    "raw_floats_for_float": (FLOAT, SMALL.astype(np.float32)),
    "uint8_for_float": (FLOAT, SMALL),
    "float64_for_float": (FLOAT, SMALL / 255),
    "normalised_for_raw": (SCALED_RAW, normalise(PREPROCESS, SMALL)),
    "half_outside": (SCALED_UNIT, SMALL / 127.5 - 1),
    "uint8_for_uint16": (make(dtype="uint16"), SMALL),
    "widened": (make(dtype="uint16"), SMALL.astype(np.uint16)),
    "noncontiguous": (make(), SMALL[..., ::-1]),
    "big_endian": (FLOAT, (SMALL / 255).astype(">f4")),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_the_one_that_was_agreed(name: str) -> None:
    row, array = GOLDEN[name]
    check_golden(f"buffers/{name}.txt", "\n".join(map(str, check(row, array))))


NO_LINE_LEADS_ON = {"no_frame", "flat_bytes_cut_short", "cast_to_zero", "normalised_and_cast"}
NEEDS_A_LOOK = {"other_size", "half_outside", "raw_floats_for_imagenet", "normalised_floats"}


@pytest.mark.parametrize("name", sorted(set(GOLDEN) - NO_LINE_LEADS_ON - NEEDS_A_LOOK))
def test_the_lines_mend_it(name: str) -> None:
    row, array = GOLDEN[name]
    findings = check(row, array)
    assert findings
    again = check(row, mended(findings, array))
    if name == "a_list":  # A list becomes an array first, whose own type is seen then.
        again = check(row, mended(again, np.asarray(array)))
    assert again == ()


def test_the_lines_give_back_the_very_pixels() -> None:
    for name in ("float64_unit", "flat_bytes_of_float64", "nchw", "chw_float64", "nchw_reshaped"):
        row, array = GOLDEN[name]
        assert np.array_equal(mended(check(row, array), array), BIG)  # type: ignore[arg-type]
    for name in ("int8_wrapped", "int8_offset", "int64", "centred_floats", "normalised_for_raw"):
        row, array = GOLDEN[name]
        assert np.array_equal(mended(check(row, array), array), SMALL)  # type: ignore[arg-type]


# --- the user story --------------------------------------------------------------------------


def test_9830400_bytes_are_told_apart_by_type_and_shape() -> None:
    for name, wanted in (
        ("float64_unit", [("error", "input.dtype")]),
        ("two_float32_frames", [("error", "input.frames"), ("error", "input.dtype")]),
        ("eight_uint8_frames", [("error", "input.frames")]),
        ("flat_bytes_of_float64", [("error", "input.dtype"), ("error", "input.dtype")]),
        ("flat_bytes_of_frames", [("error", "input.frames"), ("error", "input.frames")]),
    ):
        findings = check(*GOLDEN[name])
        assert causes(findings) == wanted
        for finding in findings:
            assert (finding.expected_bytes, finding.received_bytes) == (1_228_800, 9_830_400)
            assert all(word in str(finding) for word in ("9,830,400", "1,228,800", NAME, "8 times"))


def test_flat_bytes_list_every_possibility() -> None:
    text = str(check(*GOLDEN["flat_bytes_of_float64"])[0])
    for words in ("1 frame of float64", "2 frames of float32", "8 frames of uint8", "4 frames of"):
        assert words in text


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "int32"])
@pytest.mark.parametrize("factor", [1.0, 1 / 255])
def test_flat_bytes_are_ranked_by_what_they_hold(kind: str, factor: float) -> None:
    array = (SMALL * factor).astype(kind)
    if not array.any():
        pytest.skip("integers of a picture in [0, 1] are all 0, which any type is")
    assert f"can be 1 frame of {kind}" in str(check(make(), array.tobytes())[0])


def test_floats_in_the_unit_range_are_never_cast_to_zeros_in_silence() -> None:
    for kind in (np.float16, np.float32, np.float64):
        unit = (SMALL / 255).astype(kind)
        assert check(make(), unit)[0].severity == "error"
        assert causes(check(SCALED_RAW, unit)) == [("error", "input.double_normalization")]
        assert check(SCALED_UNIT, unit) == ()


# --- no false alarm --------------------------------------------------------------------------


def quiet_pictures() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:64, :64]
    grey = [np.repeat(g[None, :, :, None], 3, -1) for g in (x * 4, y * 4, (x + y) * 2)]
    pictures = {
        "noise": rng.integers(0, 256, (1, 64, 64, 3)),
        "flat": np.full((1, 64, 64, 3), 90),
        "flat_colour": np.broadcast_to(np.array([10, 200, 90]), (1, 64, 64, 3)),
        "grey_across": grey[0],
        "grey_down": grey[1],
        "grey_diagonal": grey[2],
        "black_and_white": np.repeat(((x // 8 + y // 8) % 2 * 255)[None, :, :, None], 3, -1),
        "scene": SMALL,
        "dim": np.minimum(SMALL // 16, 9),
    }
    return {name: np.ascontiguousarray(array.astype(np.uint8)) for name, array in pictures.items()}


@pytest.mark.parametrize("name", quiet_pictures())
def test_right_buffers_are_not_talked_about(name: str) -> None:
    picture = quiet_pictures()[name]
    planar = np.ascontiguousarray(picture.transpose(0, 3, 1, 2))
    assert check(make(), picture) == ()
    assert check(SCALED_RAW, picture.astype(np.float32)) == ()
    assert check(make(shape=(1, 3, 64, 64), layout="NCHW"), planar) == ()
    if name != "dim":
        assert check(FLOAT, picture.astype(np.float32) / np.float32(255)) == ()


def test_dark_pictures_are_warnings_at_most() -> None:
    for top in range(4):
        dark = np.minimum(SMALL // 50, top)
        for row, array in ((make(), dark), (SCALED_RAW, dark.astype(np.float32))):
            assert {finding.severity for finding in check(row, array)} <= {"warning"}


def test_inputs_that_are_no_pictures_may_hold_what_they_like() -> None:
    mask = TensorContract("mask", (1, 4), "uint8")
    assert check(mask, np.array([[0, 1, 1, 0]], np.uint8)) == ()
    tokens = TensorContract("tokens", (1, 8), "int64")
    assert check(tokens, np.zeros((1, 8), np.int64)) == ()
    features = TensorContract("f", (1, 8), "uint8", scale=0.1, value_range=(0.0, 25.5))
    faint = check(features, np.full((1, 8), 0.05, np.float32))
    assert causes(faint) == [("warning", "quant.calibration_domain")]


PHOTOS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "imagenet500"


def test_photographs_are_seen_in_the_layout_in_which_they_lie() -> None:
    paths = sorted(PHOTOS.glob("*.jpg"))[::25]
    if not paths:
        pytest.skip("the photographs are not here")
    spec = Preprocess(size=(224, 224), resize="stretch")
    wide = make(shape=(1, 224, 224, 3))
    planes = make(shape=(1, 3, 224, 224), layout="NCHW")
    for path in paths:
        raw = raw_pixels(spec, path)
        planar = np.ascontiguousarray(raw.transpose(0, 3, 1, 2))
        assert check(wide, raw) == ()
        assert check(planes, planar) == ()
        assert causes(check(wide, planar.reshape(raw.shape))) == [("warning", "input.layout")]
        assert causes(check(planes, raw.reshape(planar.shape))) == [("warning", "input.layout")]


# --- names, bytes, laws ----------------------------------------------------------------------

TWO = Contract(
    (TensorContract("left", (1, 4), "uint8"), TensorContract("right", (1, 4), "uint8")), ()
)
FOUR = np.zeros((1, 4), np.uint8)


def test_a_wrong_name_is_one_finding_with_the_right_one() -> None:
    findings = check_buffers(TWO, {"left": FOUR, "rigth": FOUR})
    assert causes(findings) == [("error", "input.name")]
    buffers = {"left": FOUR, "rigth": FOUR}
    exec(findings[0].mend, {"buffers": buffers})
    assert check_buffers(TWO, buffers) == ()


def test_a_buffer_with_a_wrong_name_is_checked_all_the_same() -> None:
    findings = check_buffers(TWO, {"left": FOUR, "rigth": FOUR[0]})
    assert causes(findings) == [("error", "input.name"), ("error", "input.frames")]


def test_missing_and_unknown_names_are_all_listed() -> None:
    findings = check_buffers(TWO, {"a": FOUR, "b": FOUR, "lefty": FOUR})
    assert [finding.input for finding in findings] == ["left", "right", "a", "b", "lefty"]
    assert "did you mean 'lefty'" in findings[0].message
    assert "did you mean 'left'" in findings[4].message
    assert [finding.received_bytes for finding in findings] == [0, 0, 4, 4, 4]


def test_one_array_for_two_inputs_is_refused() -> None:
    (finding,) = check_buffers(TWO, FOUR)
    assert (finding.cause, finding.mend) == ("input.name", "buffers = {'left': x0, 'right': x1}")


def test_one_array_for_one_input_needs_no_name() -> None:
    assert check(make(), SMALL) == ()


def test_raising_shows_every_finding_and_warnings_alone_do_not_raise() -> None:
    raise_on_error(())
    raise_on_error(check(make(), SMALL[..., ::-1]))
    findings = check(*GOLDEN["two_float32_frames"])
    with pytest.raises(DataError) as caught:
        raise_on_error(findings)
    assert all(str(finding) in str(caught.value) for finding in findings)
    assert "2 errors" in str(caught.value)


def test_one_bad_value_in_a_hundred_megabytes_is_found_in_time() -> None:
    row = TensorContract("x", (1, 2048, 4096, 3), "float32", "NHWC", holds="normalised values")
    array = np.zeros(row.shape, np.float32)
    array[..., 1] = 1.0
    array[0, 2047, 4095, 1] = np.nan
    start = time.process_time()  # What others do on this machine must not count.
    findings = check(row, array)
    seconds = time.process_time() - start
    assert causes(findings) == [("error", "input.nonfinite")]
    assert "[0, 2047, 4095, 1]" in findings[0].message
    assert seconds < 2.0  # 0.2 where memory is not shared with other tests.


@given(
    shape=st.lists(st.integers(0, 9), max_size=5),
    kind=st.sampled_from(
        ["u1", "i1", "i8", "u2", "f2", "f4", "f8", ">f4", "?", "c8", "O", "S3", "M8[s]"]
    ),
    row=st.sampled_from([SCALED_RAW, SCALED_IMAGENET, FLOAT, make(), make(dtype="int64")]),
)
@settings(max_examples=150, deadline=None)
def test_any_array_is_judged_and_only_the_contracts_own_is_taken(
    shape: list[int], kind: str, row: TensorContract
) -> None:
    array = np.zeros(shape, kind)
    assert array.shape != row.shape
    findings = check(row, array)
    assert any(finding.severity == "error" for finding in findings)
    assert all(finding.mend and finding.message for finding in findings)


@given(st.binary(max_size=400))
def test_any_bytes_are_judged(data: bytes) -> None:
    row = TensorContract("x", (1, 5, 5, 3), "uint8", "NHWC")
    findings = check(row, data)
    assert any(finding.severity == "error" for finding in findings)  # Even 75 bytes lack a shape.


@given(
    order=st.permutations([1, 2, 3]),
    frames=st.integers(1, 3),
    batch=st.booleans(),
    kind=st.sampled_from(["uint8", "int64", "float64", "float32"]),
)
@settings(max_examples=60, deadline=None)
def test_mistakes_of_shape_and_type_together_are_mended_by_their_lines(
    order: list[int], frames: int, batch: bool, kind: str
) -> None:
    row = make(shape=(1, 40, 50, 3))
    picture = scene(40, 50)
    array = np.repeat(picture, frames, axis=0).transpose(0, *order).astype(kind)
    if frames == 1 and not batch:
        array = array[0]
    findings = check(row, array)
    fixed = mended(findings, array)
    assert check(row, fixed) == ()
    assert np.array_equal(fixed, picture)  # type: ignore[arg-type]
