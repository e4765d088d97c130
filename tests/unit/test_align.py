"""A device's tensors against a reference's: which is which, how surely, and what is undone."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from bittrue.capture import Capture, Captured
from bittrue.contract.tensor import HOLDS_VALUES, TensorContract
from bittrue.errors import UsageError
from bittrue.parity.align import Alignment, align
from bittrue.parity.align_assign import assign
from bittrue.parity.align_views import views
from bittrue.report.alignment import alignment_json, alignment_text
from tests.golden import check_golden


def smooth(*shape: int, seed: int = 0) -> np.ndarray:
    """Return float32 values whose channels (axis 1) differ and whose neighbours are alike."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    for axis in range(2, len(shape)):
        x = np.cumsum(x, axis) / np.sqrt(shape[axis])
    return np.asarray(x + rng.normal(size=(*shape[:2], *[1] * (len(shape) - 2))), np.float32)


A, B = smooth(1, 8, 20, 20, seed=1), smooth(1, 8, 20, 20, seed=2)
WIDE, BOXES, SCORES = smooth(1, 12, 10, 16), smooth(1, 50, 4), smooth(1, 40)
REFERENCE = {"a": A, "b": B, "wide": WIDE, "boxes": BOXES, "scores": SCORES}


def nhwc(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def quantised(x: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Return uint8 codes, scale and zero point."""
    scale = float(x.max() - x.min()) / 255
    zero = round(-float(x.min()) / scale)
    return np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8), scale, zero


def capture(**arrays: np.ndarray) -> Capture:
    return Capture("", tuple(Captured(name, array) for name, array in arrays.items()))


def unnamed(*arrays: np.ndarray) -> Capture:
    return Capture("", tuple(Captured("", array) for array in arrays))


def mapped(found: Alignment) -> dict[str, str]:
    return {row.reference: row.device for row in found.pairs}


# --- which is which ------------------------------------------------------------------------------


def test_equal_tensors_of_equal_names_are_matched_and_nothing_is_undone() -> None:
    found = align(REFERENCE, capture(**REFERENCE))
    assert mapped(found) == {name: name for name in REFERENCE}
    assert [row.undone for row in found.pairs] == [()] * 5
    assert min(row.confidence for row in found.pairs) > 0.95
    assert {row.how for row in found.pairs} == {"name and values"}
    assert (found.unmatched_reference, found.unmatched_device, found.permuted) == ((), (), False)


@pytest.mark.parametrize("order", [(4, 2, 0, 3, 1), (1, 0, 4, 3, 2)])
def test_names_that_say_nothing_leave_it_to_the_values(order: tuple[int, ...]) -> None:
    names = list(REFERENCE)
    found = align(REFERENCE, unnamed(*(nhwc(REFERENCE[names[at]]) for at in order)))
    assert mapped(found) == {names[at]: f"#{n}" for n, at in enumerate(order)}
    assert min(row.confidence for row in found.pairs) > 0.9
    for row in found.pairs:
        np.testing.assert_array_equal(row.array, REFERENCE[row.reference])


def test_permuted_names_are_told_with_both_readings() -> None:
    found = align({"a": A, "b": B}, capture(a=B, b=A))
    assert mapped(found) == {"a": "b", "b": "a"}
    assert found.permuted
    assert [(row.reference, row.device) for row in found.by_name] == [("a", "a"), ("b", "b")]
    assert max(row.confidence for row in found.by_name) < 0.2 < found.pairs[0].confidence


def test_permuted_names_are_seen_through_codes_and_noise() -> None:
    one, two = (quantised(x + 0.1 * smooth(*x.shape, seed=3))[0] for x in (A, B))
    found = align({"a": A, "b": B}, capture(a=two, b=one))
    assert mapped(found) == {"a": "b", "b": "a"}
    assert found.permuted


def test_equal_names_win_where_the_values_do_not_clearly_say_otherwise() -> None:
    noise = np.random.default_rng(7).normal(size=A.shape).astype(np.float32)
    found = align({"a": A, "b": B}, capture(a=0.3 * B + 20 * noise, b=0.3 * A - 20 * noise))
    assert mapped(found) == {"a": "a", "b": "b"}
    assert not found.permuted
    assert {row.how for row in found.pairs} == {"name; the values are not alike"}
    assert max(row.confidence for row in found.pairs) <= 0.9


def test_names_alike_but_for_punctuation_help() -> None:
    device = capture(**{"head_other:0": BOXES, "head_boxes:0": BOXES})
    found = align({"Head/Boxes": BOXES, "Head/Other": BOXES}, device)
    assert mapped(found) == {"Head/Boxes": "head_boxes:0", "Head/Other": "head_other:0"}


def test_values_tell_tensors_apart_that_are_equal_up_to_scale_and_offset() -> None:
    found = align({"x": A, "twice": 2 * A + 1}, unnamed(2 * A + 1, A))
    assert mapped(found) == {"x": "#1", "twice": "#0"}
    assert min(row.confidence for row in found.pairs) > 0.9


def test_a_whole_zero_point_tells_x_from_x_plus_something() -> None:
    codes, scale, _ = quantised(A)
    more = A + np.float32(30.5 * scale)
    found = align({"x": A, "more": more}, unnamed(quantised(more)[0], codes))
    assert mapped(found) == {"x": "#1", "more": "#0"}
    assert min(row.confidence for row in found.pairs) > 0.8


def test_values_of_the_other_sign_are_not_alike() -> None:
    assert align({"a": A, "b": B}, unnamed(-A, -B)).pairs == ()


def test_exact_twins_are_matched_with_half_the_confidence() -> None:
    found = align({"x": A, "y": A}, unnamed(A, A))
    assert mapped(found) == {"x": "#0", "y": "#1"}, "the order decides where nothing else does"
    assert [row.confidence for row in found.pairs] == pytest.approx([0.5, 0.5], abs=0.03)


def test_the_place_in_the_order_decides_which_twin_is_missing() -> None:
    found = align({"x": A, "wide": WIDE, "boxes": BOXES, "y": A}, unnamed(WIDE, BOXES, A))
    assert mapped(found) == {"wide": "#0", "boxes": "#1", "y": "#2"}


def test_what_has_no_partner_is_listed() -> None:
    found = align({"a": A, "wide": WIDE}, capture(mine=nhwc(A), extra=smooth(3, 3, 3)))
    assert mapped(found) == {"a": "mine"}
    assert found.unmatched_reference == ("wide",)
    assert found.unmatched_device == ("extra",)


def test_a_lone_shape_is_matched_without_alike_values_but_not_surely() -> None:
    found = align({"a": A, "boxes": BOXES, "b": B}, unnamed(smooth(*BOXES.shape, seed=5), A))
    assert mapped(found) == {"a": "#1", "boxes": "#0"}
    boxes = found.pairs[1]
    assert boxes.how == "shape alone"
    assert boxes.confidence <= 0.5


def test_a_shape_that_no_other_has_says_much_where_nothing_is_missing() -> None:
    few = {"prob": smooth(1, 2), "box": smooth(1, 4), "points": smooth(1, 10)}
    other = [smooth(1, n, seed=9) for n in (10, 2, 4)]
    found = align(few, unnamed(*other))
    assert mapped(found) == {"prob": "#1", "box": "#2", "points": "#0"}
    assert min(row.confidence for row in found.pairs) >= 0.7


def test_what_would_fit_with_padding_does_not_stand_in_the_way() -> None:
    device = [smooth(1, 16, 512, seed=5), smooth(1, 1, 512, seed=6)]
    found = align({"scores": smooth(1, 512, 1), "boxes": smooth(1, 512, 16)}, unnamed(*device))
    assert mapped(found) == {"scores": "#1", "boxes": "#0"}


def test_unrelated_tensors_of_one_shape_are_left_alone() -> None:
    found = align({"a": A, "b": B}, unnamed(smooth(*A.shape, seed=3), smooth(*A.shape, seed=4)))
    assert found.pairs == ()
    assert found.unmatched_device == ("#0", "#1")


def test_nothing_given_matches_nothing() -> None:
    assert align({"a": A}, unnamed()).unmatched_reference == ("a",)
    assert align({}, unnamed(A)).unmatched_device == ("#0",)


def test_nan_and_infinities_do_not_stop_the_match() -> None:
    damaged = A.copy()
    damaged[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    found = align({"a": A, "b": B}, unnamed(B, damaged))
    assert mapped(found) == {"a": "#1", "b": "#0"}
    assert {row.how for row in found.pairs} == {"values"}


def test_a_map_of_few_peaks_is_matched_by_them() -> None:
    """A sample without the peaks would hold only zeros on the device's side."""
    one, two = (np.zeros((1, 1, 400, 400), np.float32) for _ in range(2))
    one[0, 0, 17, 399], one[0, 0, 300, 5] = 0.9, 0.8
    two[0, 0, 111, 7], two[0, 0, 222, 9] = 0.9, 0.8
    noise = (np.random.default_rng(7).random(one.shape) * 1e-3).astype(np.float32)
    codes = [np.rint(x * 255).astype(np.uint8) for x in (two, one)]
    assert mapped(align({"one": one + noise, "two": two}, unnamed(*codes))) == {
        "one": "#1",
        "two": "#0",
    }


# --- what is undone ------------------------------------------------------------------------------


def undone(reference: np.ndarray, device: np.ndarray) -> tuple[str, ...]:
    """Return what is undone, after looking that it leads to the reference."""
    (row,) = align({"x": reference}, unnamed(device)).pairs
    np.testing.assert_allclose(row.array, reference, atol=0.02 * float(np.abs(reference).max()))
    return row.undone


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (A, ()),
        (nhwc(A), ("transposed (0, 3, 1, 2)",)),
        (A.transpose(0, 1, 3, 2), ("transposed (0, 1, 3, 2)",)),
        (A[0], ("batch axis added",)),
        (nhwc(A)[0], ("transposed (2, 0, 1)", "batch axis added")),
        (A.reshape(-1), ("reshaped to [1, 8, 20, 20]",)),
        (nhwc(A).reshape(-1), ("bytes read as [1, 20, 20, 8]", "transposed (0, 3, 1, 2)")),
        (nhwc(A).reshape(A.shape), ("bytes read as [1, 20, 20, 8]", "transposed (0, 3, 1, 2)")),
        (
            np.pad(nhwc(A), [(0, 0)] * 3 + [(0, 4)]),
            ("transposed (0, 3, 1, 2)", "4 padding channels dropped"),
        ),
        (np.pad(A, [(0, 0), (0, 8), (0, 0), (0, 0)]), ("8 padding channels dropped",)),
    ],
)  # fmt: skip
def test_what_is_undone_is_said_and_leads_to_the_reference(
    device: np.ndarray, said: tuple[str, ...]
) -> None:
    assert undone(A, device) == said


def test_one_channel_is_found_among_padding() -> None:
    mask = smooth(1, 1, 20, 30)
    padded = np.pad(nhwc(mask), [(0, 0)] * 3 + [(0, 7)])
    assert undone(mask, padded)[-1] == "7 padding channels dropped"


def test_codes_are_dequantised_by_the_scale_that_the_capture_states() -> None:
    codes, scale, zero = quantised(A)
    (row,) = align({"a": A}, Capture("", (Captured("a", codes, scale, zero),))).pairs
    assert row.undone == (f"dequantised by (q - {zero}) * {scale:.6g}",)
    assert np.abs(row.array - A).max() <= 0.51 * scale
    assert row.array.dtype == np.float32


def test_a_stated_scale_is_used_even_if_it_is_another_tensor_s() -> None:
    """The mistake must stay to be seen: a fit would hide it."""
    codes, scale, zero = quantised(A)
    (row,) = align({"a": A}, Capture("", (Captured("a", codes, 3 * scale, zero),))).pairs
    np.testing.assert_allclose(row.array, 3 * A, atol=1.6 * scale)


@pytest.mark.parametrize(("true", "used"), [(2.0, True), (1.05, False)])
def test_a_stated_scale_gives_way_only_to_plain_numbers_that_are_decisively_nearer(
    true: float, used: bool
) -> None:
    codes = quantised(A)[0]
    item = Captured("a", codes, 3.3)
    (row,) = align({"a": np.float32(true) * codes}, Capture("", (item,))).pairs
    assert bool(row.undone) is used


def test_codes_without_a_scale_get_that_of_the_contract() -> None:
    codes, scale, zero = quantised(A)
    contract = (TensorContract("a", A.shape, "uint8", scale=scale, zero_point=zero),)
    (row,) = align({"a": A}, unnamed(codes), contract=contract).pairs
    assert row.undone == (f"dequantised by (q - {zero}) * {scale:.6g}",)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_codes_of_no_known_scale_are_fitted_and_that_is_said(dtype: type) -> None:
    codes, scale, zero = quantised(A)
    (row,) = align({"a": A}, unnamed(codes.astype(dtype))).pairs
    assert row.undone[0].startswith(f"dequantised by (q - {zero}) * ")
    assert row.undone[0].endswith(", fitted to the values")
    assert np.abs(row.array - A).max() <= 0.6 * scale


def test_whole_numbers_that_are_values_stay() -> None:
    labels = np.random.default_rng(7).integers(0, 100, (1, 64))
    (row,) = align({"labels": labels}, unnamed(labels.astype(np.int32))).pairs
    assert row.undone == ()
    item = Captured("a", quantised(A)[0], holds=HOLDS_VALUES)
    assert align({"a": A}, Capture("", (item,))).pairs[0].undone == ()


def test_codes_that_explain_nothing_are_not_fitted() -> None:
    """A fit of unrelated codes is the reference's mean: it would look better than the codes."""
    for codes in (quantised(B)[0], quantised(-A)[0]):
        (row,) = align({"a": A}, capture(a=codes)).pairs
        assert row.undone == ()
        np.testing.assert_array_equal(row.array, codes)


def test_whole_numbers_that_are_near_as_they_are_are_not_fitted() -> None:
    codes = quantised(A)[0]
    reference = codes + np.float32(0.3) * smooth(*A.shape, seed=3)
    assert align({"a": reference}, unnamed(codes)).pairs[0].undone == ()


def test_floats_in_another_unit_stay_as_they_are() -> None:
    """A mistake of scale is for the diagnosis to find, not for the alignment to hide."""
    (row,) = align({"a": A}, unnamed(255 * A + 3)).pairs
    assert row.undone == ()
    np.testing.assert_array_equal(row.array, 255 * A + 3)


def test_values_that_are_not_alike_are_not_transposed_for_a_little() -> None:
    cube = smooth(1, 16, 16, 16)
    device = smooth(1, 16, 16, 16, seed=1)
    (row,) = align({"x": cube}, capture(x=device)).pairs
    assert row.undone == ()


# --- given by hand -------------------------------------------------------------------------------


def test_a_map_given_by_hand_is_followed() -> None:
    found = align({"a": A, "b": B}, capture(one=A, two=B), by_hand={"a": "two"})
    assert mapped(found) == {"a": "two", "b": "one"}
    by_hand, left = found.pairs
    assert (by_hand.confidence, by_hand.how) == (1.0, "given by hand")
    assert (left.confidence, left.how) == (0.5, "shape alone")


def test_every_mistake_of_a_map_given_by_hand_is_listed() -> None:
    hand = {"aa": "one", "a": "tow", "boxes": "one", "b": "two", "wide": "two"}
    with pytest.raises(UsageError) as why:
        align(REFERENCE, capture(one=A, two=B), by_hand=hand)
    for said in (
        "the reference has no 'aa'; did you mean 'a'",
        "the device has no 'tow'; did you mean 'two'",
        "'one' [1, 8, 20, 20] cannot be brought to the shape of 'boxes'",
        "'two' is given twice",
    ):
        assert said in why.value.message


# --- the parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 5), (5, 3), (6, 6)])
def test_the_assignment_is_the_best_of_all(shape: tuple[int, int]) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        gains = rng.normal(size=shape)
        gains[rng.random(shape) < 0.3] = -np.inf
        found = sum(gains[pair] for pair in assign(gains))
        assert found == pytest.approx(best(gains))


def best(gains: np.ndarray) -> float:
    """Return the greatest sum, over every choice: rows may stay alone."""
    n, m = gains.shape
    columns = [*range(m), *[None] * n]
    return max(
        sum(max(0.0, gains[i, j]) for i, j in enumerate(choice) if j is not None)
        for choice in set(itertools.permutations(columns, n))
    )


def test_a_view_reads_at_the_places_it_names() -> None:
    for given in [(2, 5, 3, 4), (4, 5, 3, 2), (120,), (2, 3, 4, 8), (1, 2, 3, 4, 5)]:
        device = np.random.default_rng(7).permutation(int(np.prod(given))).reshape(given)
        found = views((2, 3, 4, 5), given)
        assert found
        at = np.arange(120)
        for view in found:
            read = view.read(device)
            assert read.shape == (2, 3, 4, 5)
            np.testing.assert_array_equal(read.reshape(-1), device.reshape(-1)[view.places(at)])


def test_shapes_that_fit_in_no_way_have_no_view() -> None:
    assert views((1, 3, 4), (1, 3, 5, 7)) == ()
    assert views((2, 3), (2, 2)) == ()
    assert views((0, 3), (3,)) == ()
    assert views((1, 8, 20, 20), (1, 71, 20, 20)) != ()
    assert views((1, 8, 20, 20), (1, 72, 20, 20)) == (), "as much padding is none"


def test_three_hundred_tensors_are_matched_in_seconds() -> None:
    """Measured: 0.5 s; the limit leaves room for a busy machine."""
    sizes = [(1, 4 + n % 8, 20 + n % 3, 20) for n in range(300)]
    reference = {f"layer{n}": smooth(*shape, seed=n) for n, shape in enumerate(sizes)}
    order = np.random.default_rng(7).permutation(300)
    codes = [quantised(nhwc(reference[f"layer{n}"]))[0] for n in order]
    start = time.perf_counter()
    found = align(reference, unnamed(*codes))
    assert time.perf_counter() - start < 15
    assert mapped(found) == {f"layer{n}": f"#{at}" for at, n in enumerate(order)}
    assert min(row.confidence for row in found.pairs) > 0.9


# --- as text -------------------------------------------------------------------------------------


def test_the_map_is_printed_with_its_confidence_and_both_readings() -> None:
    rng = np.random.default_rng(3)
    a, b, c = (rng.normal(size=(1, 4, 8, 8)).astype(np.float32) for _ in range(3))
    device = Capture("", (Captured("a", b), Captured("b", nhwc(a)), Captured("x", c[:, :1])))
    found = align({"a": a, "b": b, "c": c}, device)
    check_golden("alignment/permuted.txt", alignment_text(found))
    data = alignment_json(found)
    assert data["permuted"] is True
    assert data["unmatched_device"] == ["x"]
    assert alignment_text(align({"a": a}, unnamed())).startswith("no tensor of the device")
