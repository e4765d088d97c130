"""What was sent to the device shows by itself which mistake made it; nothing runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bittrue.contract.tensor import (
    HOLDS_CODES,
    HOLDS_NORMALISED,
    HOLDS_PIXELS,
    Contract,
    TensorContract,
)
from bittrue.diagnosis.door import door_of
from bittrue.diagnosis.hypotheses import hypotheses
from bittrue.diagnosis.sent import Looked, findings_of_sent, look_at_sent, sent_contract
from tests.unit.scenes import MEAN, RECIPE, SIDE, STD, frame, host, picture, scene

pytest.importorskip("onnxruntime", reason="the network of these tests is made in onnxruntime")

SHAPE = RECIPE.raw_shape
PICTURES = (picture(0), picture(1))
SCALE, ZERO = 4.8 / 255, 113
ROWS = {
    "pixels": TensorContract("images", SHAPE, "uint8", "NHWC", "RGB", holds=HOLDS_PIXELS),
    "values": TensorContract("images", SHAPE, "float32", "NHWC", "RGB", holds=HOLDS_NORMALISED),
    "planar": TensorContract(
        "images", (1, 3, SIDE, SIDE), "float32", "NCHW", "RGB", holds=HOLDS_NORMALISED
    ),
    "codes": TensorContract(
        "images", SHAPE, "uint8", "NHWC", "RGB", SCALE, ZERO, holds=HOLDS_CODES
    ),
}


def quantised(values: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(values / SCALE + 0.5) + ZERO, 0, 255).astype(np.uint8)


RIGHT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "pixels": lambda p: p,
    "values": host,
    "planar": lambda p: host(p).transpose(0, 3, 1, 2),
    "codes": lambda p: quantised(host(p)),
}


def looked(door: str, sent: Callable[[np.ndarray], np.ndarray], *, known: bool = True) -> Looked:
    """What two arrays that were sent to a door show."""
    frames = [frame(i, p, {}, sent=sent(p)) for i, p in enumerate(PICTURES)]
    contract = Contract((ROWS[door],), ()) if known else None
    doors = (door_of(ROWS[door], RECIPE),)
    there = scene(frames, doors=doors, contract=contract)
    return look_at_sent(there, hypotheses(there), findings_of_sent(there))


def causes(found: Looked) -> set[str]:
    return {row.mistake.cause for row in found.matching}


def test_where_nothing_was_sent_nothing_is_said() -> None:
    there = scene([frame(0, PICTURES[0], {})])
    assert look_at_sent(there, hypotheses(there), ()) == Looked()
    assert findings_of_sent(there) == ()


@pytest.mark.parametrize("door", ROWS)
def test_the_right_array_is_right_at_every_door(door) -> None:
    found = looked(door, RIGHT[door])
    assert found.right is True
    assert found.matching == ()
    assert [row for row in found.findings if row.severity == "error"] == []


def test_a_decoder_that_is_off_by_a_grey_level_here_and_there_made_no_mistake_of_the_table() -> (
    None
):
    rng = np.random.default_rng(4)

    def jittered(pixels: np.ndarray) -> np.ndarray:
        off = rng.integers(-1, 2, pixels.shape) * (rng.random(pixels.shape) < 0.05)
        return np.clip(pixels + off, 0, 255).astype(np.uint8)

    found = looked("pixels", jittered)
    assert found.right is False
    assert found.matching == ()


@pytest.mark.parametrize("axes", ["HWC", "flat"])
def test_a_batch_axis_that_is_missing_is_no_other_array(axes) -> None:
    shape = SHAPE[1:] if axes == "HWC" else (-1,)
    assert looked("pixels", lambda p: p.reshape(shape)).right is True


MISTAKES: list[tuple[str, str, Callable[[np.ndarray], np.ndarray], set[str]]] = [
    ("pixels", "bgr", lambda p: p[..., ::-1].copy(), {"input.channel_order"}),
    (
        "pixels",
        "planar bytes",
        lambda p: p.transpose(0, 3, 1, 2).copy(),
        {"input.layout", "input.noncontiguous"},
    ),
    ("pixels", "turned", lambda p: p.transpose(0, 2, 1, 3).copy(), {"input.transposed"}),
    ("pixels", "0 and 1", lambda p: (p / 255).astype(np.uint8), {"input.cast_to_zero"}),
    ("pixels", "float32", lambda p: (p / 255).astype(np.float32), {"input.cast_to_zero"}),
    ("pixels", "grey", lambda p: grey(p), {"input.colour_space"}),
    ("pixels", "signed", lambda p: (p.astype(int) - 128).astype(np.int8), {"input.sign"}),
    ("values", "raw", lambda p: p.astype(np.float32), {"input.missing_normalization"}),
    (
        "values",
        "twice",
        lambda p: ((host(p) / 255 - MEAN) / STD).astype(np.float32),
        {"input.double_normalization"},
    ),
    (
        "values",
        "half",
        lambda p: (p / np.float32(127.5) - 1).astype(np.float32),
        {"input.wrong_mean_std"},
    ),
    (
        "values",
        "bgr constants",
        lambda p: host(p, MEAN[::-1], STD[::-1]),
        {"input.wrong_mean_std"},
    ),
    (
        "planar",
        "interleaved",
        lambda p: host(p),
        {"input.layout", "input.noncontiguous"},
    ),
    (
        "codes",
        "zero point 0",
        lambda p: np.clip(np.rint(host(p) / SCALE), 0, 255).astype(np.uint8),
        {"input.wrong_qparams"},
    ),
    ("codes", "raw", lambda p: p, {"input.missing_normalization"}),
    ("codes", "flipped", lambda p: quantised(host(p)) ^ 128, {"input.sign"}),
    (
        "codes",
        "cut",
        lambda p: np.clip(np.trunc(host(p) / SCALE) + ZERO, 0, 255).astype(np.uint8),
        {"input.truncated"},
    ),
]


def grey(p: np.ndarray) -> np.ndarray:
    luma = np.rint(p @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return np.stack([luma] * 3, axis=-1)


@pytest.mark.parametrize(
    ("door", "sent", "expected"),
    [(door, sent, expected) for door, _, sent, expected in MISTAKES],
    ids=[f"{door} {name}" for door, name, _, _ in MISTAKES],
)
@pytest.mark.parametrize("known", [True, False], ids=["contract", "no contract"])
def test_the_mistake_that_makes_the_array_is_named(door, sent, expected, known) -> None:
    found = looked(door, sent, known=known)
    assert found.right is False
    assert expected & causes(found), causes(found)
    assert len(causes(found)) <= 3


@pytest.mark.parametrize(
    ("door", "cause"), [("values", "wrong_mean_std"), ("codes", "wrong_qparams")]
)
def test_an_array_of_no_list_is_told_by_its_affine_map(door, cause) -> None:
    strange = lambda p: 0.71 * host(p) + 0.2  # noqa: E731
    found = looked(door, strange if door == "values" else lambda p: quantised(strange(p)))
    (row,) = found.matching
    assert row.mistake.cause == f"input.{cause}"
    assert "0.71" in row.mistake.what or "a channel" in row.mistake.what


def test_what_was_sent_is_what_is_then_run() -> None:
    found = looked("values", lambda p: 0.71 * host(p) + 0.2)
    there = [frame(i, p, {}, sent=0.71 * host(p) + 0.2) for i, p in enumerate(PICTURES)]
    for row in there:
        made = found.matching[0].values(row)
        assert np.allclose(made, 0.71 * host(row.pixels) + 0.2, atol=1e-6)
    assert found.matching[0].values(replace(there[0], sent=None)) is None


def test_an_array_that_nothing_made_matches_nothing() -> None:
    noise = np.random.default_rng(3).normal(0, 1, SHAPE).astype(np.float32)
    found = looked("values", lambda p: noise)
    assert found.right is False
    assert {row.mistake.cause for row in found.matching} <= {row.cause for row in found.findings}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_buffer_of_wider_elements_is_an_error_though_its_values_are_right(dtype) -> None:
    found = looked("pixels", lambda p: p.astype(dtype))
    assert "input.dtype" in {row.cause for row in found.findings if row.severity == "error"}


def test_a_buffer_of_another_size_is_read_by_no_door() -> None:
    found = looked("pixels", lambda p: p[:, 1:])
    assert found.right is None
    assert [row.severity for row in found.findings][:1] == ["error"]


def test_a_code_that_rounds_the_other_way_is_no_mistake() -> None:
    """Half up and half to even differ where a quotient is a tie; one code in a hundred here."""

    def nearly(p: np.ndarray) -> np.ndarray:
        made = quantised(host(p)).reshape(-1)
        made[::100] = np.clip(made[::100].astype(int) + 1, 0, 255)
        return made.reshape(SHAPE)

    found = looked("codes", nearly)
    assert found.matching == () or "input.truncated" not in causes(found)


# --- the contract that a buffer is checked against ------------------------------------------------


def test_the_deployed_contract_comes_before_the_models() -> None:
    there = scene([frame(0, PICTURES[0], {})])
    own = sent_contract(there)
    assert own is not None
    assert (own.inputs[0].name, own.inputs[0].dtype) == ("images", "uint8")
    deployed = Contract((replace(ROWS["codes"], shape=()),), ())
    found = sent_contract(replace(there, contract=deployed))
    assert found is not None
    assert (found.inputs[0].scale, found.inputs[0].shape) == (SCALE, SHAPE)


def test_without_model_and_contract_nothing_is_checked() -> None:
    there = replace(scene([frame(0, PICTURES[0], {})]), subject=None)
    assert sent_contract(there) is None
