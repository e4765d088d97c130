"""Readings undo what was done to an output: exactly where bytes only moved."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.contract.tensor import TensorContract
from bittrue.diagnosis.boxes import box_axis, box_readings
from bittrue.diagnosis.readings import (
    Reading,
    class_axis,
    is_codes,
    logit,
    readings,
    sigmoid,
    softmax,
    threshold_of,
)
from bittrue.diagnosis.thin import KEPT, MOST, thin

RNG = np.random.default_rng(5)
SCORES = RNG.normal(0, 2, (1, 3, 4, 5))


def read(gave: np.ndarray, right: np.ndarray, **more: np.ndarray) -> tuple[Reading, ...]:
    return readings("y", right.shape, {"y": gave, **more}, "y", right, {})


def contract(scale: float = 0.25, zero: int = 7, name: str = "y") -> TensorContract:
    return TensorContract(name, (1, 40), "uint8", scale=scale, zero_point=zero)


def undone(rows: tuple[Reading, ...], cause: str, right: np.ndarray) -> list[Reading]:
    """The readings of a cause that bring back the very numbers."""
    return [
        row
        for row in rows
        if row.mistake is not None
        and row.mistake.cause == cause
        and row.values.shape == right.shape
        and np.array_equal(row.values, right)
    ]


def test_the_plain_reading_comes_first_and_changes_nothing() -> None:
    first = read(SCORES.astype(np.float32), SCORES)[0]
    assert first.mistake is None
    assert np.array_equal(first.values, SCORES.astype(np.float32))


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 3, 4, 5), (60,)])
def test_axes_of_1_more_or_less_are_no_mistake(shape) -> None:
    assert read(SCORES.reshape(shape), SCORES)[0].mistake is None


@pytest.mark.parametrize("order", [p for p in itertools.permutations(range(4)) if p[0] == 0][1:])
def test_every_order_of_axes_is_undone_exactly(order) -> None:
    gave = SCORES.transpose(order)
    assert undone(read(gave, SCORES), "output.layout", SCORES)


@pytest.mark.parametrize("order", [p for p in itertools.permutations(range(4)) if p[0] == 0][1:])
def test_memory_in_another_order_under_the_right_shape_is_undone_exactly(order) -> None:
    gave = np.frombuffer(SCORES.transpose(order).tobytes()).reshape(SCORES.shape)
    assert undone(read(gave, SCORES), "output.layout", SCORES)


@given(st.lists(st.integers(2, 5), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_any_permutation_of_any_shape_is_undone_by_its_own_mend(sizes, random) -> None:
    right = np.arange(np.prod(sizes), dtype=np.float64).reshape(sizes)
    order = list(range(len(sizes)))
    random.shuffle(order)
    gave = np.ascontiguousarray(right.transpose(order))
    rows = read(gave, right)
    if gave.shape == right.shape and np.array_equal(gave, right):
        assert rows[0].mistake is None
        return
    found = undone(rows, "output.layout", right)
    # The line that is told is typed as it stands: it brings the output back.
    scope = {"np": np, "d": gave.reshape([n for n in gave.shape if n != 1])}
    exec(found[0].mistake.mend[0], scope)
    assert np.array_equal(scope["d"], right)


@pytest.mark.parametrize(
    ("have", "order"),
    [((1, 4, 4, 5), (0, 1, 2, 3)), ((1, 3, 4, 8), (0, 1, 2, 3)), ((1, 4, 5, 8), (0, 2, 3, 1))],
)
def test_padding_at_the_end_of_an_axis_is_cut_off_exactly(have, order) -> None:
    turned = SCORES.transpose(order)
    gave = np.full(have, 99.0)
    gave[tuple(slice(n) for n in turned.shape)] = turned
    found = undone(read(gave, SCORES), "output.padding", SCORES)
    scope = {"d": gave}
    exec(found[0].mistake.mend[0], scope)
    assert np.array_equal(scope["d"], SCORES)


@pytest.mark.parametrize("right", [np.arange(63.0), SCORES, SCORES[0, 0]])
def test_padding_after_a_flat_output_is_cut_off_exactly_by_its_own_mend(right) -> None:
    gave = np.append(right.reshape(-1), [0.0, 9.0])
    found = undone(read(gave, right), "output.padding", right)
    scope = {"d": gave}
    exec(found[0].mistake.mend[0], scope)
    assert np.array_equal(scope["d"], right)


def test_an_output_that_the_device_does_not_name_is_read_from_others_alone() -> None:
    rows = readings("y", (1, 4), {"z": np.arange(4.0), "w": np.zeros(9)}, "", np.ones((1, 4)), {})
    assert [row.mistake.cause for row in rows if row.mistake is not None] == ["output.order"]
    assert len(rows) == 1


def test_an_output_that_is_too_short_has_no_reading() -> None:
    assert read(np.zeros(59), SCORES) == ()


# --- order ----------------------------------------------------------------------------------------


def test_another_output_of_the_same_size_is_read_in_its_place() -> None:
    rows = readings("y", (1, 4), {"y": np.zeros((1, 4)), "z": np.arange(4.0)}, "y", np.ones(4), {})
    found = [row for row in rows if row.mistake is not None and row.mistake.cause == "output.order"]
    assert [row.values.tolist() for row in found] == [[[0.0, 1.0, 2.0, 3.0]]]
    assert found[0].mistake.mend[0].startswith("d = outputs['z']")


def test_an_output_of_another_size_is_never_read_in_its_place() -> None:
    rows = readings("y", (1, 4), {"y": np.zeros((1, 4)), "z": np.zeros(5)}, "y", np.ones(4), {})
    assert "output.order" not in {row.mistake.cause for row in rows if row.mistake is not None}


# --- units ----------------------------------------------------------------------------------------

CODES = RNG.integers(0, 256, (1, 40)).astype(np.uint8)
VALUES = (CODES.astype(np.float64) - 7) * 0.25


def scaled(gave: np.ndarray, *others: TensorContract) -> tuple[Reading, ...]:
    rows = {row.name: row for row in (contract(), *others)}
    return readings("y", VALUES.shape, {"y": gave}, "y", VALUES, rows)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_codes_are_dequantised_exactly_whatever_holds_them(dtype) -> None:
    assert undone(scaled(CODES.astype(dtype)), "output.not_dequantized", VALUES)


def test_values_that_were_dequantised_twice_are_taken_back_exactly() -> None:
    twice = (VALUES - 7) * 0.25
    assert undone(scaled(twice), "output.dequantized_twice", VALUES)


def test_values_by_another_outputs_scale_are_taken_back() -> None:
    wrong = (CODES.astype(np.float64) - 3) * 0.1
    rows = scaled(wrong, contract(0.1, 3, "z"))
    found = [r for r in rows if r.mistake is not None and "of 'z'" in r.mistake.what]
    assert [r.mistake.cause for r in found] == ["output.wrong_qparams"]
    assert np.allclose(found[0].values, VALUES, rtol=0, atol=1e-12)


def test_another_output_with_the_same_scale_explains_nothing() -> None:
    assert not any(
        r.mistake is not None and "of 'z'" in r.mistake.what
        for r in scaled(VALUES + 0.1, contract(name="z"))
    )


@pytest.mark.parametrize("gave", [CODES, VALUES + 0.1])
def test_without_a_contract_a_scale_is_fitted(gave) -> None:
    cause = "output.not_dequantized" if gave is CODES else "output.wrong_qparams"
    fits = {r.mistake.cause: r.fit for r in read(gave, VALUES) if r.mistake is not None and r.fit}
    assert fits == {cause: "affine"}


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([0, 5, 255], np.uint8), True),
        (np.array([0.0, 5.0, 255.0]), True),
        (np.array([-128, 127], np.int8), True),
        (np.array([0.0, 1.0, 1.0]), False),  # what a threshold leaves
        (np.array([0.0, 5.5]), False),
        (np.array([0.0, 1e6]), False),
        (np.array([0.0, np.nan, 9.0]), False),
        (np.array([7.0]), False),
    ],
)
def test_codes_are_whole_numbers_that_16_bits_hold(array, expected) -> None:
    assert is_codes(array) is expected


# --- activations ----------------------------------------------------------------------------------

LOGITS = RNG.normal(0, 2, (1, 40))
SHARES = 1 / (1 + np.exp(-LOGITS))
PARTS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def test_sigmoid_softmax_and_logit_are_those_of_their_formulas() -> None:
    assert np.allclose(sigmoid(LOGITS), SHARES, rtol=1e-12)
    assert np.allclose(softmax(LOGITS, 1), PARTS, rtol=1e-12)
    assert np.allclose(logit(SHARES), LOGITS, rtol=1e-9)
    assert np.isfinite(sigmoid(np.array([-1e6, 1e6]))).all()
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


@pytest.mark.parametrize("right", [SHARES, PARTS], ids=["sigmoid", "softmax"])
def test_an_activation_that_the_device_leaves_out_is_applied(right) -> None:
    found = [
        row
        for row in read(LOGITS, right)
        if row.mistake is not None and row.mistake.cause == "output.activation_missing"
    ]
    assert any(np.allclose(row.values, right, rtol=0, atol=1e-12) for row in found)
    assert all(row.also is not None for row in found)


@pytest.mark.parametrize(("name", "once"), [("sigmoid", SHARES), ("softmax", PARTS)])
def test_an_activation_that_the_device_adds_is_made_on_the_prediction(name, once) -> None:
    for right, gave, cause in (
        (LOGITS, once, "output.activation_missing"),
        (once, sigmoid(once) if name == "sigmoid" else softmax(once, 1), "output.activation_twice"),
    ):
        found = [
            row
            for row in read(gave, right)
            if row.mistake is not None and row.mistake.cause == cause and row.forward is not None
        ]
        assert any(np.allclose(row.forward(right), gave, rtol=0, atol=1e-12) for row in found)


@pytest.mark.parametrize(
    ("gave", "possible"),
    [
        (SHARES, {"sigmoid"}),  # forty shares of a half each do not add up to 1
        (PARTS, {"sigmoid", "softmax"}),
        (LOGITS, set()),
        (SHARES + 3, set()),
    ],
    ids=["sigmoid", "softmax", "neither", "beyond 1"],
)
@pytest.mark.parametrize("right", [LOGITS, PARTS], ids=["before", "after"])
def test_only_what_looks_like_shares_went_through_an_activation(gave, possible, right) -> None:
    told = [
        row.mistake.what
        for row in read(gave, right)
        if row.mistake is not None and row.forward is not None
    ]
    made = {name for name in ("sigmoid", "softmax") if any(name in what for what in told)}
    assert made == possible


def test_codes_went_through_no_activation() -> None:
    causes = {row.mistake.cause for row in read(CODES, SHARES) if row.mistake is not None}
    assert not {cause for cause in causes if "activation" in cause}


@pytest.mark.parametrize(
    ("shape", "axis"), [((1, 10), 1), ((1, 21, 8, 8), 1), ((1, 84, 100), 1), ((1, 100, 84), 2)]
)
def test_classes_lie_where_networks_have_them(shape, axis) -> None:
    assert class_axis(shape) == axis


# --- thresholds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.05, 0.25, 0.3, 0.5])
def test_scores_that_miss_below_a_level_show_it(level) -> None:
    scores = (np.linspace(0.001, 0.99, 400) ** 2).reshape(1, 400)  # most are low, as in life
    gave = np.where(scores < level, 0.0, scores)
    assert threshold_of(gave, scores) == level
    rows = readings("y", scores.shape, {"y": gave}, "y", scores, {}, level)
    found = [r for r in rows if r.mistake is not None and r.forward is not None]
    cut = next(r for r in found if r.mistake.cause == "output.threshold")
    assert np.array_equal(cut.forward(scores), gave)


def test_scores_that_are_all_there_show_no_threshold() -> None:
    scores = np.linspace(0.001, 0.99, 400)
    assert threshold_of(scores, scores) is None
    # As many zeros, but the reference has them too: a ReLU, no threshold.
    flat = np.where(scores < 0.5, 0.0, scores)
    assert threshold_of(flat, flat) is None


# --- a part of a large output ---------------------------------------------------------------------


@given(st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_a_part_is_the_whole_of_what_is_small_and_spread_over_what_is_large(shape) -> None:
    part = thin(shape)
    taken = [len(range(length)[one]) for length, one in zip(shape, part, strict=True)]
    for length, have in zip(shape, taken, strict=True):
        assert have >= min(length, KEPT)  # channels, classes and coordinates are never left out
    if np.prod(shape) <= MOST:
        assert taken == list(shape)
    assert all(one.start is None and one.stop is None for one in part)


def test_a_large_output_is_looked_at_in_part() -> None:
    part = thin((1, 84, 8400))
    assert part[1] == slice(None, None, 1)
    assert 84 * len(range(8400)[part[2]]) <= MOST


@pytest.mark.parametrize(
    "gave", [SCORES, SCORES.transpose(0, 2, 3, 1), np.pad(SCORES, [(0, 1)] * 4)]
)
def test_a_part_is_read_as_the_whole_is(gave) -> None:
    part = (slice(None), slice(0, 2), slice(1, 4), slice(None))
    device = {"y": gave, "z": SCORES + 1}
    whole = readings("y", SCORES.shape, device, "y", SCORES, {})
    parts = readings("y", SCORES.shape, device, "y", SCORES[part], {}, None, part)
    assert [row.mistake for row in parts] == [row.mistake for row in whole]
    for one, other in zip(parts, whole, strict=True):
        if one.forward is None and one.also is None:
            assert np.array_equal(one.values, other.values[part])


# --- boxes ----------------------------------------------------------------------------------------

X1, Y1 = RNG.uniform(0, 50, (2, 100))
W, H = RNG.uniform(5, 60, (2, 100))
CORNERS = np.stack([X1, Y1, X1 + W, Y1 + H])
CENTRES = np.stack([X1 + W / 2, Y1 + H / 2, W, H])
CORNER_SIZE = np.stack([X1, Y1, W, H])
FORMS = {"corners": CORNERS, "centre and size": CENTRES, "corner and size": CORNER_SIZE}


@pytest.mark.parametrize(("gave", "right"), list(itertools.permutations(FORMS, 2)))
@pytest.mark.parametrize("layout", ["[1, 6, n]", "[1, n, 6]", "[n, 4]"])
def test_each_form_of_boxes_becomes_each_other_one(gave, right, layout) -> None:
    def laid(boxes: np.ndarray) -> np.ndarray:
        if layout == "[n, 4]":
            return boxes.T
        rows = np.concatenate([boxes, np.full((2, 100), 0.5)])[None]
        return rows if layout == "[1, 6, n]" else rows.transpose(0, 2, 1)

    wanted = laid(FORMS[right])
    rows = read(laid(FORMS[gave]), wanted)
    found = [
        row
        for row in rows
        if row.mistake is not None
        and row.mistake.cause == "output.box_format"
        and not row.fit
        and np.allclose(row.values, wanted, rtol=0, atol=1e-9)
    ]
    assert [row.mistake.what.startswith(gave) for row in found] == [True]


def test_y_before_x_is_undone_exactly() -> None:
    rows = box_readings(CORNERS[[1, 0, 3, 2]][None], (1, 4, 100))
    assert [row.what for row in rows if np.array_equal(row.values, CORNERS[None])] == ["y before x"]


def test_scores_behind_boxes_are_left_alone() -> None:
    rows = np.concatenate([CORNERS, RNG.uniform(0, 1, (80, 100))])[None]
    padded = np.concatenate([rows] * 14, axis=2)
    for boxed in box_readings(padded, padded.shape):
        assert np.array_equal(boxed.values[:, 4:], padded[:, 4:])


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 4, 100), 1),
        ((1, 100, 4), 2),
        ((100, 4), 1),
        ((1, 84, 8400), 1),
        ((1, 8400, 84), 2),
        ((1, 3, 4), None),  # fewer than four boxes
        ((1, 1000), None),
        ((1, 8, 32, 32), None),
        ((1, 40, 60), None),
    ],
)
def test_boxes_are_four_channels_of_many_rows(shape, axis) -> None:
    assert box_axis(shape) == axis
