"""From files to an answer: the device is ONNX Runtime, fed by plain NumPy, on a grid of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

import bittrue
from bittrue.diagnosis.diagnose import diagnose, verdict_of
from bittrue.diagnosis.facts import Diagnosis
from bittrue.diagnosis.given import Given
from bittrue.errors import DataError, UsageError
from bittrue.report.diagnosis import diagnosis_text
from tests.unit import networks
from tests.unit.scenes import (
    TOML,
    codes,
    device,
    grids,
    host,
    picture,
    run_float,
    seeing_onnx,
    subject,
)

Gives = Callable[[np.ndarray], dict[str, np.ndarray]]
PICTURES = tuple(picture(seed) for seed in range(3))
HARMLESS = {"none", "quant.expected", "runtime.rounding"}
DEPLOYED = """[[input]]
name = "images"
dtype = "uint8"
shape = [1, 32, 32, 3]
layout = "NHWC"
colour = "RGB"
holds = "raw pixels"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in three forms, and three pictures."""
    here = tmp_path_factory.mktemp("diagnose")
    (here / "seeing.onnx").write_bytes(seeing_onnx())
    (here / "pre.toml").write_text(TOML)
    (here / "deployed.toml").write_text(DEPLOYED)
    there = subject()
    assert there.network is not None
    bittrue.save_archive(there.network, here / "seeing.bta")
    (here / "seeing.bte").write_bytes(there.executable or b"")
    for index, pixels in enumerate(PICTURES):
        Image.fromarray(pixels[0]).save(here / f"{index}.png")
        np.save(here / f"{index}.npy", host(pixels).transpose(0, 3, 1, 2))
    return here


def given(
    home: Path, tmp_path: Path, gives: Gives, *, model: str = "seeing.bta", count: int = 2
) -> Given:
    """What is known of frames whose outputs a function makes of pixels."""
    for index in range(count):
        np.savez(tmp_path / f"{index}.npz", **gives(PICTURES[index]))  # type: ignore[arg-type]
    return Given(
        model=str(home / model),
        pictures=tuple(home / f"{index}.png" for index in range(count)),
        preprocess=home / "pre.toml" if model.endswith(".onnx") else None,
        devices=tuple(tmp_path / f"{index}.npz" for index in range(count)),
    )


def causes(found: Diagnosis) -> list[set[str]]:
    return [set(row.causes) for row in found.best]


MODELS = ("seeing.onnx", "seeing.bta", "seeing.bte")

# --- healthy --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "count"), [(row, 1) for row in MODELS] + [("seeing.bta", 3)])
def test_a_healthy_device_is_healthy(home, tmp_path, model, count) -> None:
    found = diagnose(given(home, tmp_path, lambda p: device(host(p)), model=model, count=count))
    assert found.healthy
    assert all(row <= HARMLESS for row in causes(found))
    assert found.verdict.startswith("Nothing is wrong")


def test_a_device_with_the_bits_of_our_executable_has_nothing(home, tmp_path) -> None:
    session = bittrue.Session(str(home / "seeing.bte"))
    for model in ("seeing.bta", "seeing.bte"):
        found = diagnose(given(home, tmp_path, lambda p: session.run({"images": p}), model=model))
        assert causes(found) == [{"none"}]
        assert found.residual == 0
        assert found.best[0].confidence == 1.0


def test_a_device_that_computes_in_floats_has_nothing(home, tmp_path) -> None:
    found = diagnose(given(home, tmp_path, lambda p: run_float(host(p))))
    assert causes(found) == [{"none"}]


# --- one mistake, two mistakes --------------------------------------------------------------------

PLANTED: dict[str, tuple[Gives, set[str]]] = {
    "bgr": (lambda p: device(host(p[..., ::-1])), {"input.channel_order"}),
    "raw": (lambda p: device(p.astype(np.float32)), {"input.missing_normalization"}),
    "other constants": (
        lambda p: device(host(p, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))),
        {"input.wrong_mean_std"},
    ),
    "codes": (lambda p: codes(host(p)), {"output.not_dequantized"}),
    "padded": (
        lambda p: (
            device(host(p))
            | {"map": np.pad(device(host(p))["map"], ((0, 0), (0, 8)) + ((0, 0),) * 2)}
        ),
        {"output.padding"},
    ),
    "bgr and codes": (
        lambda p: codes(host(p[..., ::-1])),
        {"input.channel_order", "output.not_dequantized"},
    ),
}


#: Not raw pixels and an executable: it takes pixels alone, values beyond them cannot enter it.
NAMED = [(name, "seeing.bta") for name in PLANTED]
NAMED += [(name, model) for name in ("bgr", "bgr and codes") for model in MODELS[::2]]


@pytest.mark.parametrize(("name", "model"), NAMED)
def test_a_mistake_is_named_whatever_form_the_model_has(home, tmp_path, name, model) -> None:
    gives, expected = PLANTED[name]
    found = diagnose(given(home, tmp_path, gives, model=model))
    assert causes(found)[0] == expected
    assert not found.healthy
    assert all(cause in found.verdict for cause in expected)
    assert found.best[0].proved
    assert all(row.mend for row in found.best[0].mistakes)


def test_the_mend_is_applied_and_its_effect_told(home, tmp_path) -> None:
    found = diagnose(given(home, tmp_path, PLANTED["bgr"][0]))
    assert {row.output for row in found.best[0].effects} == {"map", "logits"}
    for row in found.best[0].effects:
        assert row.after_sqnr_db > row.before_sqnr_db + 15
        assert row.after_max_abs < row.before_max_abs


def test_what_was_tried_and_how_long_it_took_is_told(home, tmp_path) -> None:
    shown: list[str] = []
    what = given(home, tmp_path, PLANTED["bgr"][0])
    found = diagnose(what, seen=lambda label, index, count: shown.append(label))
    assert found.trials[0].causes == ("input.channel_order",)
    assert {"contract", "networks", "experiments", "ladder"} <= set(found.seconds)
    assert found.given["model"] == what.model
    assert shown
    assert found.ladder is not None
    assert found.first_stage == "capture"


# --- the budget, and what could not be tried ------------------------------------------------------


def test_without_a_budget_what_was_not_tried_is_listed(home, tmp_path) -> None:
    found = diagnose(given(home, tmp_path, PLANTED["bgr"][0]), budget=0.0)
    listed = {row.cause for row in found.not_tried}
    assert {"input.channel_order", "input.layout", "input.sign"} <= listed
    assert causes(found)[:1] != [{"input.channel_order"}]


def test_without_pictures_the_arrays_that_are_meant_do(home, tmp_path) -> None:
    what = given(home, tmp_path, PLANTED["bgr"][0])
    arrays = tuple(home / f"{index}.npy" for index in range(2))
    found = diagnose(replace(what, pictures=(), inputs=arrays))
    assert causes(found) == [{"input.channel_order"}]


def test_without_pictures_the_geometry_is_listed_as_not_tried(home, tmp_path) -> None:
    what = given(home, tmp_path, PLANTED["bgr"][0], model="seeing.onnx")
    (tmp_path / "boxed.toml").write_text(TOML.replace('"none"', '"letterbox"'))
    arrays = tuple(home / f"{index}.npy" for index in range(2))
    what = replace(what, pictures=(), inputs=arrays, preprocess=tmp_path / "boxed.toml")
    found = diagnose(what)
    listed = {row.cause: row.reason for row in found.not_tried}
    assert {"input.letterbox", "input.interpolation", "input.crop"} <= set(listed)
    assert "picture" in listed["input.letterbox"]


# --- several frames -------------------------------------------------------------------------------


def test_outputs_of_the_frame_before_are_stale(home, tmp_path) -> None:
    what = given(home, tmp_path, lambda p: device(host(p)), count=3)
    late = (what.devices[2], *what.devices[:2])
    assert causes(diagnose(replace(what, devices=late))) == [{"runtime.stale"}]


def test_the_same_picture_twice_with_other_outputs_is_not_deterministic(home, tmp_path) -> None:
    what = given(home, tmp_path, lambda p: device(host(p)))
    twice = replace(what, pictures=(what.pictures[0],) * 2)
    assert causes(diagnose(twice)) == [{"runtime.nondeterministic"}]


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (np.full((1, 32, 32, 3), 90, np.uint8), "flat"),
        (np.random.default_rng(4).integers(0, 256, (1, 32, 32, 3), np.uint8), "noise"),
    ],
    ids=["flat", "noise"],
)
def test_a_healthy_answer_on_no_real_picture_says_so(home, tmp_path, pixels, told) -> None:
    Image.fromarray(pixels[0]).save(tmp_path / "x.png")
    what = given(home, tmp_path, lambda p: device(host(pixels)), count=1)
    found = diagnose(replace(what, pictures=(tmp_path / "x.png",)))
    assert causes(found) == [{"test.unrepresentative"}]
    assert told in found.verdict


# --- what was sent --------------------------------------------------------------------------------


def test_what_was_sent_says_it_before_anything_runs(home, tmp_path) -> None:
    np.save(tmp_path / "sent.npy", PICTURES[0][..., ::-1])
    what = Given(
        model=str(home / "seeing.bta"), pictures=(home / "0.png",), sent=(tmp_path / "sent.npy",)
    )
    found = diagnose(what)
    assert causes(found) == [{"input.channel_order"}]
    assert found.ladder is None
    assert not found.best[0].proved


def test_the_right_buffer_alone_has_nothing(home, tmp_path) -> None:
    np.save(tmp_path / "sent.npy", PICTURES[0])
    what = Given(
        model=str(home / "seeing.bta"), pictures=(home / "0.png",), sent=(tmp_path / "sent.npy",)
    )
    assert causes(diagnose(what)) == [{"none"}]


def test_raw_bytes_that_were_sent_have_the_contract_s_shape(home, tmp_path) -> None:
    PICTURES[0].tofile(tmp_path / "sent.bin")
    what = Given(
        model=str(home / "seeing.bta"), pictures=(home / "0.png",), sent=(tmp_path / "sent.bin",)
    )
    assert causes(diagnose(what)) == [{"none"}]


def test_a_buffer_of_the_right_form_that_was_not_meant_is_not_healthy(home, tmp_path) -> None:
    np.save(tmp_path / "sent.npy", np.roll(PICTURES[0], 5, axis=2))
    what = Given(
        model=str(home / "seeing.bta"), pictures=(home / "0.png",), sent=(tmp_path / "sent.npy",)
    )
    found = diagnose(what)
    assert not found.healthy
    assert "not what was meant" in found.verdict


@pytest.mark.parametrize(
    ("turned", "told"),
    [
        (PICTURES[0][:, ::-1, ::-1], "upside down"),
        (PICTURES[0][:, :, ::-1], "mirrored left to right"),
        (np.rot90(PICTURES[0], -1, (1, 2)), "turned clockwise"),
    ],
)
def test_a_picture_that_is_turned_is_told_from_what_was_sent(home, tmp_path, turned, told) -> None:
    np.save(tmp_path / "sent.npy", np.ascontiguousarray(turned))
    what = Given(
        model=str(home / "seeing.bta"), pictures=(home / "0.png",), sent=(tmp_path / "sent.npy",)
    )
    found = diagnose(what)
    assert causes(found) == [{"input.transposed"}]
    assert told in found.verdict


def test_a_float64_buffer_is_told_by_its_bytes(home, tmp_path) -> None:
    np.save(tmp_path / "sent.npy", PICTURES[0] / 255.0)
    what = Given(model=str(home / "seeing.bte"), sent=(tmp_path / "sent.npy",))
    found = diagnose(what)
    assert causes(found)[0] == {"input.dtype"}
    assert not found.healthy


def test_a_right_buffer_leaves_the_mistake_at_the_outputs(home, tmp_path) -> None:
    what = given(home, tmp_path, PLANTED["codes"][0])
    for index in range(2):
        np.save(tmp_path / f"sent{index}.npy", PICTURES[index])
    sent = tuple(tmp_path / f"sent{index}.npy" for index in range(2))
    found = diagnose(replace(what, sent=sent, deployed=home / "deployed.toml"))
    assert causes(found) == [{"output.not_dequantized"}]
    assert "input.channel_order" in {row.cause for row in found.not_tried}


def test_a_wrong_buffer_is_proved_by_what_the_device_gave(home, tmp_path) -> None:
    what = given(home, tmp_path, PLANTED["bgr"][0])
    for index in range(2):
        np.save(tmp_path / f"sent{index}.npy", PICTURES[index][..., ::-1])
    sent = tuple(tmp_path / f"sent{index}.npy" for index in range(2))
    found = diagnose(replace(what, sent=sent, deployed=home / "deployed.toml"))
    assert causes(found) == [{"input.channel_order"}]
    assert found.best[0].proved


# --- a reference alone ----------------------------------------------------------------------------


def test_two_captures_alone_show_an_output_mistake(tmp_path) -> None:
    for index, pixels in enumerate(PICTURES):
        np.savez(tmp_path / f"ref{index}.npz", **run_float(host(pixels)))
        np.savez(tmp_path / f"dev{index}.npz", **codes(host(pixels)))
    rows = [tuple(tmp_path / f"{kind}{i}.npz" for i in range(3)) for kind in ("ref", "dev")]
    found = diagnose(Given(references=rows[0], devices=rows[1]))
    assert causes(found) == [{"output.not_dequantized"}]


# --- the network itself ---------------------------------------------------------------------------


def clipped(p: np.ndarray) -> dict[str, np.ndarray]:
    """A device whose first layer was calibrated with too little: it is cut off at a third."""
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    proto = onnx.load_model_from_string(seeing_onnx())
    proto.graph.node[1].output[0] = "r1/whole"
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(2.4), "third"))
    cut = helper.make_node("Clip", ["r1/whole", "", "third"], ["r1"], "cut")
    proto.graph.node.insert(2, cut)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    made = session.run(["map", "logits"], {"images": host(p).transpose(0, 3, 1, 2)})
    steps = grids()
    return {
        name: np.rint(row / steps[name]) * np.float32(steps[name])
        for name, row in zip(("map", "logits"), made, strict=True)
    }


def test_a_layer_that_is_cut_off_is_named_with_its_layer(home, tmp_path) -> None:
    found = diagnose(given(home, tmp_path, clipped, count=3))
    assert causes(found)[0] == {"quant.clipping"}
    assert found.best[0].mistakes[0].where == "layer 'one'"
    high = float(found.best[0].mistakes[0].what.split("..")[1].split(",")[0])
    assert high == pytest.approx(2.4, rel=0.1)


# --- the tiny network -----------------------------------------------------------------------------


def tiny_device(values: np.ndarray) -> np.ndarray:
    """ONNX Runtime on the tiny network, five logits on a grid of the test's own."""
    import onnxruntime

    session = onnxruntime.InferenceSession(networks.tiny_onnx())
    made = session.run(["logits"], {"images": np.ascontiguousarray(values, np.float32)})[0]
    return np.rint(made / 0.02) * np.float32(0.02)


TINY_MEAN = np.array([0.5, 0.4, 0.3])


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda bgr: (bgr / 255 - TINY_MEAN) / TINY_MEAN, HARMLESS),
        (lambda bgr: (bgr[..., ::-1] / 255 - TINY_MEAN) / TINY_MEAN, {"input.channel_order"}),
        (lambda bgr: bgr.astype(float), {"input.missing_normalization"}),
        (lambda bgr: (bgr / 255 - 0.5) / 0.5, {"input.wrong_mean_std"}),
    ],
    ids=["healthy", "rgb", "raw", "constants"],
)
def test_five_logits_of_four_pictures_are_enough(tmp_path, made, expected) -> None:
    bittrue.save_archive(networks.tiny(), tmp_path / "tiny.bta")
    for index in range(4):
        pixels = picture(30 + index, networks.SIDE, networks.SIDE)
        Image.fromarray(pixels[0]).save(tmp_path / f"{index}.png")
        values = made(pixels[..., ::-1]).transpose(0, 3, 1, 2)
        np.savez(tmp_path / f"{index}.npz", logits=tiny_device(values))
    found = diagnose(
        Given(
            model=str(tmp_path / "tiny.bta"),
            pictures=tuple(tmp_path / f"{index}.png" for index in range(4)),
            devices=tuple(tmp_path / f"{index}.npz" for index in range(4)),
        )
    )
    assert found.best[0].causes[0] in expected


# --- damaged, and wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS[1:])
def test_a_model_that_was_cut_short_is_damaged(home, tmp_path, model) -> None:
    whole = (home / model).read_bytes()
    (tmp_path / model).write_bytes(whole[: len(whole) // 2])
    what = replace(given(home, tmp_path, lambda p: device(host(p))), model=str(tmp_path / model))
    found = diagnose(what)
    assert causes(found) == [{"runtime.damaged_file"}]
    assert str(tmp_path / model) in found.verdict
    assert found.not_tried


def test_a_capture_that_was_cut_short_is_damaged(home, tmp_path) -> None:
    what = given(home, tmp_path, lambda p: device(host(p)))
    whole = what.devices[1].read_bytes()
    what.devices[1].write_bytes(whole[: len(whole) // 2])
    found = diagnose(what)
    assert causes(found) == [{"runtime.damaged_file"}]
    assert str(what.devices[1]) in found.verdict


def without_logits(gives: Gives) -> Gives:
    return lambda p: {"map": gives(p)["map"]}


def test_an_output_that_the_device_did_not_give_is_no_healthy_one(home, tmp_path) -> None:
    found = diagnose(given(home, tmp_path, without_logits(lambda p: device(host(p)))))
    assert not found.healthy
    assert causes(found) == [{"output.order"}]
    assert "nothing for output 'logits'" in found.verdict
    assert found.ladder is not None
    assert "source to compiled" in diagnosis_text(found)


def test_an_output_that_the_device_did_not_give_accuses_nothing_else(home, tmp_path) -> None:
    found = diagnose(given(home, tmp_path, without_logits(PLANTED["bgr"][0])))
    assert causes(found) == [{"input.channel_order"}]
    assert [row.output for row in found.best[0].effects] == ["map"]
    assert "the device gave no 'logits'" in {row.reason for row in found.not_tried}


def test_codes_of_two_outputs_have_a_mend_each(home, tmp_path) -> None:
    found = diagnose(given(home, tmp_path, PLANTED["codes"][0]))
    first, other = found.best[0].mistakes[0].mend
    assert first.startswith("d = ")
    assert other.startswith("# output 'logits': d = ")


def test_a_map_with_unknown_names_is_refused_and_both_sides_names_are_told(home, tmp_path) -> None:
    what = given(home, tmp_path, lambda p: device(host(p)))
    for names in ({"scores": "map"}, {"map": "scores"}):
        with pytest.raises(UsageError, match="'scores' is no output") as why:
            diagnose(replace(what, names=names))
        assert "map, logits" in str(why.value)


def test_a_map_by_hand_is_believed(home, tmp_path) -> None:
    def renamed(p: np.ndarray) -> dict[str, np.ndarray]:
        made = device(host(p))
        return {"a": made["logits"], "b": made["map"]}

    what = replace(given(home, tmp_path, renamed), names={"map": "b", "logits": "a"})
    assert diagnose(what).healthy
    assert diagnose(replace(what, names=None)).healthy  # the sizes say it as well


def test_outputs_of_another_network_cannot_be_compared(home, tmp_path) -> None:
    with pytest.raises(DataError, match="cannot be the outputs"):
        diagnose(given(home, tmp_path, lambda p: {"z": np.zeros(3, np.float32)}))


def test_a_picture_that_nobody_says_how_to_prepare_asks_for_that(home, tmp_path) -> None:
    what = given(home, tmp_path, lambda p: device(host(p)), model="seeing.onnx")
    with pytest.raises(UsageError) as found:
        diagnose(replace(what, preprocess=None))
    assert "--preprocess" in found.value.hint


def test_what_the_device_gave_alone_says_nothing(home, tmp_path) -> None:
    what = given(home, tmp_path, lambda p: device(host(p)))
    for less in (replace(what, pictures=()), replace(what, model="", pictures=())):
        with pytest.raises(UsageError, match="compared with nothing"):
            diagnose(less)


def test_a_verdict_of_nothing_says_that_nothing_explains_it() -> None:
    assert verdict_of(Diagnosis("", ())) == "Nothing that was tried explains the difference."
