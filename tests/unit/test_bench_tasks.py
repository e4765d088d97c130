"""The benchmark's judges: decoders invert what is put in, figures are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from bench import render
from bench.cases import CASES
from bench.measure import counts_of
from bench.tasks import boxes, classify, faces, lines, pitch, pose
from bench.tasks.figure import FEW, Figure, f1, figure, percent, share


def iou(one: np.ndarray, two: np.ndarray) -> float:
    """Count unit cells: boxes have whole corners here."""
    cells = [
        {(x, y) for x in range(int(b[0]), int(b[2])) for y in range(int(b[1]), int(b[3]))}
        for b in (one, two)
    ]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


def random_boxes(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 20, (count, 2))
    return np.concatenate(
        [
            low,
            low + rng.integers(3, 12, (count, 2)),
            rng.permutation(count)[:, None] / count,
            rng.integers(0, 2, (count, 1)),
        ],
        axis=1,
    ).astype(float)


def test_overlaps_count_the_shared_cells() -> None:
    rows = random_boxes(40, 1)
    expected = [iou(rows[0], row) for row in rows]
    np.testing.assert_allclose(boxes.overlaps(rows[0], rows), expected)


def test_suppression_keeps_a_box_unless_a_better_kept_one_of_its_class_covers_it() -> None:
    rows = random_boxes(60, 2)
    kept: list[np.ndarray] = []
    for row in sorted(rows, key=lambda r: -r[4]):
        if all(row[5] != k[5] or iou(row, k) < boxes.SUPPRESS for k in kept):
            kept.append(row)
    np.testing.assert_array_equal(boxes.suppress(rows), np.array(kept))
    assert len(kept) < 60


def test_the_same_boxes_match_and_other_classes_do_not() -> None:
    rows = boxes.suppress(random_boxes(30, 3))
    assert boxes.matches(rows, rows) == len(rows)
    other = rows.copy()
    other[:, 5] += 2
    assert boxes.matches(rows, other) == 0
    assert boxes.matches(rows, rows[:0]) == boxes.matches(rows[:0], rows) == 0


# --- decoders ------------------------------------------------------------------------------------


def test_yolox_is_decoded_where_it_was_put() -> None:
    raw = np.full((1, 3549, 85), -9.0, np.float32)
    raw[..., 4:] = 0
    anchor = 52 * 52 + 5 * 26 + 7  # stride 16, row 5, column 7
    raw[0, anchor] = 0
    raw[0, anchor, :5] = [0.25, 0.5, np.log(4), np.log(2), 0.9]
    raw[0, anchor, 5 + 3] = 1
    (found,) = boxes._yolox({"output": raw})
    x, y = 7.25 * 16, 5.5 * 16
    expected = [x - 32, y - 16, x + 32, y + 16, 0.9, 3]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_picodet_is_decoded_where_it_was_put() -> None:
    sizes = [100 * 76, 50 * 38, 25 * 19, 13 * 10]
    outputs = {f"s{i}": np.zeros((1, n, 10), np.float32) for i, n in enumerate(sizes)}
    outputs |= {f"b{i}": np.zeros((1, n, 32), np.float32) for i, n in enumerate(sizes)}
    outputs["s2"][0, 3 * 19 + 4, 5] = 0.8
    for side, distance in enumerate((1, 2, 3, 4)):
        outputs["b2"][0, 3 * 19 + 4, side * 8 + distance] = 200
    (found,) = boxes._picodet(outputs)
    expected = [(4.5 - 1) * 32, (3.5 - 2) * 32, (4.5 + 3) * 32, (3.5 + 4) * 32, 0.8, 5]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_blazeface_is_decoded_where_it_was_put() -> None:
    outputs = {
        "a": np.full((1, 512, 1), -50, np.float32),
        "b": np.full((1, 384, 1), -50, np.float32),
        "c": np.zeros((1, 512, 16), np.float32),
        "d": np.zeros((1, 384, 16), np.float32),
    }
    place = (2 * 8 + 5) * 6 + 1  # second level, row 2, column 5, second anchor
    outputs["b"][0, place] = 50
    outputs["d"][0, place, :4] = [3, -2, 20, 30]
    (found,) = faces._blazeface(outputs)
    x, y = 5.5 * 16 + 3, 2.5 * 16 - 2
    np.testing.assert_allclose(found, [x - 10, y - 15, x + 10, y + 15, 1, 0])


def test_proposals_are_windows_of_twelve_every_two() -> None:
    outputs = {"prob": np.zeros((1, 2, 9, 9)), "reg": np.zeros((1, 4, 9, 9))}
    outputs["prob"][0, 1, 4, 3] = 0.9
    outputs["reg"][0, :, 4, 3] = [0.5, 0, 0, -0.25]
    (found,) = faces._proposals(outputs)
    np.testing.assert_allclose(found, [6 + 6, 8, 18, 20 - 3, 0.9, 0])


def test_a_segment_stands_at_the_greatest_score_of_its_neighbourhood() -> None:
    outputs = {"scores": np.zeros((1, 20, 20, 1)), "offsets": np.zeros((1, 20, 20, 4))}
    outputs["scores"][0, 9:11, 8, 0] = [0.9, 0.8]
    outputs["offsets"][0, :, :] = [-6, -1, 6, 1]
    np.testing.assert_array_equal(lines.decode(outputs), [[2, 8, 14, 10]])
    outputs["offsets"][0, :, :] = [6, 1, -6, -1]  # the other way round
    turned = lines.decode(outputs)
    assert lines._matches(np.array([[2.0, 8, 14, 10]]), turned) == 1
    outputs["offsets"][0, :, :] = [-2, 0, 2, 0]  # too short
    assert len(lines.decode(outputs)) == 0


@pytest.mark.parametrize("hertz", [60.0, 440.0, 1000.0])
def test_pitch_is_the_mean_of_the_bins_around_the_peak(hertz: float) -> None:
    cents = pitch.cents_of(hertz)
    centres = pitch.FIRST + pitch.STEP * np.arange(360)
    bins = np.exp(-((centres - cents) ** 2) / (2 * 25**2))[None]
    assert pitch.decode({"bins": bins}) == pytest.approx(cents, abs=1)


def test_pose_counts_a_face_and_its_mirror_picture_once() -> None:
    one = [{"o": np.array([[10.0, 2, 3]])}, {"o": np.array([[-9.0, 2, -3]])}]
    two = [{"o": np.array([[12.0, 2, 3]])}, {"o": np.array([[-9.0, 5, -3]])}]
    yaw, tilt, roll, mirrored = pose.POSE.alike(one, two, [])
    assert (yaw.value, tilt.value, roll.value) == (1, 1.5, 0)
    assert (mirrored.value, yaw.samples) == (3, 1)


# --- figures -------------------------------------------------------------------------------------


def test_a_drop_is_paired() -> None:
    one = [{"o": np.eye(3)[k]} for k in (0, 1, 2, 2)]
    two = [{"o": np.eye(3)[k]} for k in (0, 1, 2, 1)]
    truths = [np.array(k) for k in (0, 1, 1, 2)]
    agreement, drop = classify.CLASS.alike(one, two, truths)
    assert (agreement.value, drop.value) == (75, 25)
    assert classify.CLASS.own(one, truths)[0].value == 75


def test_few_samples_have_no_interval_and_say_so() -> None:
    assert str(figure("x", np.ones(FEW - 1), percent, "%")) == "x 100.0 % (n=9, few)"
    assert str(figure("x", np.ones(FEW), percent, "%")) == "x 100.0 % [100.0, 100.0] (n=10)"
    assert str(Figure("y", 0.004, 0.001, 0.01, "dB", 20)) == "y 0.004 dB [0.001, 0.010] (n=20)"


def test_nothing_wanted_and_nothing_found_is_full_agreement() -> None:
    assert f1(np.zeros((2, 3))) == share(np.zeros((2, 2))) == 100
    assert f1(np.array([[1, 2, 1]])) == pytest.approx(200 / 3)


# --- samples -------------------------------------------------------------------------------------


def test_a_tone_has_the_pitch_that_it_is_said_to_have() -> None:
    for seed in range(20):
        sound, hertz = render.tone(np.random.default_rng(seed))
        assert sound.shape == (1, 1024)
        period = 16000 / hertz
        lags = np.arange(int(period * 0.8), int(np.ceil(period * 1.2)) + 1)
        alike = [float(sound[0, :-lag] @ sound[0, lag:]) / (1024 - lag) for lag in lags]
        assert lags[int(np.argmax(alike))] == pytest.approx(period, abs=max(1, 0.1 * period))


def test_every_case_has_its_own_name_and_quick_makes_it_small() -> None:
    assert len({case.name for case in CASES}) == len(CASES) == 22
    for case in CASES:
        assert case.quantized <= case.judged
        assert counts_of(case, quick=True).judged <= 12
