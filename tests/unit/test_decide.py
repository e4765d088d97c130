"""What is accepted, what is tied, and how sure one can be: judged by whole scenes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

from bittrue import Session
from bittrue.diagnosis.decide import (
    CRITERION,
    accepted,
    complexity,
    confidence,
    explanations,
    gain_of,
    nearest,
    needless,
    runners_up,
    scaled_anyway,
    trials,
)
from bittrue.diagnosis.experiment import Tried
from bittrue.diagnosis.facts import Mistake
from bittrue.diagnosis.hypotheses import Hypothesis, hypotheses
from bittrue.diagnosis.scene import Scene
from bittrue.diagnosis.search import Searched, search
from tests.unit.scenes import (
    MEAN,
    STD,
    codes,
    device,
    experiment,
    frame,
    grids,
    host,
    picture,
    run_float,
    scene,
    searched,
    subject,
)

PICTURES = (picture(0), picture(1))


def made(change) -> tuple[Searched, list[Tried]]:
    return searched(scene([frame(i, p, device(change(p))) for i, p in enumerate(PICTURES)]))


@pytest.fixture(scope="module")
def swapped() -> tuple[Searched, list[Tried]]:
    return made(lambda p: host(p[..., ::-1]))


@pytest.fixture(scope="module")
def other_constants() -> tuple[Searched, list[Tried]]:
    """CIFAR's constants for ImageNet's: a mistake of a few per cent, much like others."""
    return made(lambda p: host(p, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)))


# --- healthy --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [(0, 1), (2,), (3, 4, 5)])
def test_a_healthy_device_of_another_rounding_is_accused_of_nothing(seeds) -> None:
    frames = [frame(i, picture(s), device(host(picture(s)))) for i, s in enumerate(seeds)]
    found, best = searched(scene(frames))
    assert best == []
    assert found.baseline.residual < 3


def test_a_device_that_is_the_float_network_is_accused_of_nothing() -> None:
    frames = [frame(i, p, run_float(host(p))) for i, p in enumerate(PICTURES)]
    found, best = searched(scene(frames))
    assert best == []
    assert found.baseline.residual < 1e-3


def test_a_device_that_is_our_executable_is_accused_of_nothing() -> None:
    session = Session(subject().executable or b"")
    frames = [frame(i, p, session.run({"images": p})) for i, p in enumerate(PICTURES)]
    found, best = searched(scene(frames))
    assert best == []
    assert found.baseline.residual == 0
    assert found.baseline.instrument == "integer"


@pytest.mark.parametrize("noise", [1.0, 1.5])
def test_noise_of_twice_the_ordinary_power_is_no_mistake(noise) -> None:
    """White noise in place of a grid: nothing that was made on purpose looks like it."""
    rng = np.random.default_rng(6)
    frames = [
        frame(
            i,
            p,
            {
                name: row + rng.normal(0, noise * grids()[name], row.shape).astype(np.float32)
                for name, row in run_float(host(p)).items()
            },
        )
        for i, p in enumerate(PICTURES)
    ]
    assert searched(scene(frames))[1] == []


# --- accepted -------------------------------------------------------------------------------------


def test_one_frame_of_two_is_not_enough() -> None:
    values = [host(PICTURES[0][..., ::-1]), host(PICTURES[1])]
    frames = [frame(i, p, device(v)) for i, (p, v) in enumerate(zip(PICTURES, values, strict=True))]
    assert searched(scene(frames))[1] == []


def test_a_mistake_must_explain_it_in_the_frame_that_shows_it_least_too() -> None:
    """The second picture is almost grey, and right: red for blue changes little of it."""
    grey = np.rint(130 + 0.06 * (PICTURES[1].astype(float) - 130)).astype(np.uint8)
    frames = [
        frame(0, PICTURES[0], device(host(PICTURES[0][..., ::-1]))),
        frame(1, grey, run_float(host(grey))),
    ]
    assert searched(scene(frames))[1] == []


@pytest.mark.parametrize("count", [1, 6])
def test_what_lies_half_way_to_a_mistake_is_not_that_mistake(count) -> None:
    """0.55 of the way, the mistake leaves (0.55 / 0.45)^2 = 1.5 times less than none."""
    frames = []
    for index in range(count):
        pixels = picture(index)
        right = run_float(host(pixels))
        wrong = run_float(host(pixels, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)))
        gave = {name: row + 0.55 * (wrong[name] - row) for name, row in right.items()}
        frames.append(frame(index, pixels, gave))
    there = scene(frames)
    found, best = searched(there, rows=_only(there, "normalised by CIFAR's"))
    least = min(row.residual for row in found.tried if row.causes == {"input.wrong_mean_std"})
    assert 1.2 < found.baseline.residual / least < 1.65
    assert best == []


def _only(there: Scene, words: str) -> list[Hypothesis]:
    return [row for row in hypotheses(there) if row.mistake.what.startswith(words)]


def test_what_comes_nearest_proves_nothing_and_is_said_to() -> None:
    """Swapped channels under noise of a fifth of what they change."""
    rng = np.random.default_rng(8)
    frames = []
    for index in range(2):
        right = run_float(host(picture(index)))
        wrong = run_float(host(picture(index)[..., ::-1]))
        gave = {
            name: wrong[name] + 0.2 * np.std(wrong[name] - row) * rng.normal(size=row.shape)
            for name, row in right.items()
        }
        frames.append(frame(index, picture(index), gave))
    found, _ = searched(scene(frames))
    (near,) = nearest(found)
    assert near.causes == ("input.channel_order",)
    assert (near.confidence, near.proved) == (0.3, False)
    assert "not near" in near.evidence[0]
    base = replace(found.baseline, residuals=(1.9 * min(r.residual for r in found.tried),) * 2)
    assert nearest(replace(found, baseline=base)) == ()


def test_a_scale_is_not_fitted_to_what_an_input_mistake_leaves_by_our_own_doubt(swapped) -> None:
    found, _ = swapped
    alone = next(row for row in found.tried if row.input is not None and not row.output)
    told = Mistake("output.wrong_qparams", "another scale", "output 'map'", ("d = d / 2",))
    lefts = tuple(
        {name: replace(left, reading=replace(left.reading, mistake=told, fit="affine"))}
        for rows in alone.lefts
        for name, left in list(rows.items())[:1]
    )
    fitted = replace(alone, output=(told,), lefts=lefts)
    base = replace(found.baseline, residuals=(100.0, 100.0))

    def of(residual: float, unsure: float, *, accepted: bool = False, sure: bool = False) -> bool:
        other = replace(alone, residuals=(residual,) * 2, unsure=unsure)
        there = replace(found, baseline=base, tried=(other, fitted))
        return needless(fitted, [other] if accepted else [], there, sure=sure)

    assert of(15.0, 10.0)
    assert not of(25.0, 10.0)
    assert of(25.0, 10.0, accepted=True)
    assert not of(25.0, 3.0, accepted=True)
    assert of(25.0, 3.0, sure=True)
    assert not of(60.0, 3.0, sure=True)
    assert not needless(alone, [], found)


def test_what_is_within_half_a_code_of_what_is_meant_is_not_told_from_rounding() -> None:
    """mean and std 0.4 % off, as (pixels - 127.5) / 128 is of / 127.5."""
    std = tuple(value * 1.004 for value in STD)
    frames = [frame(i, p, device(host(p, MEAN, std))) for i, p in enumerate(PICTURES)]
    there = scene(frames)
    told = Mistake("input.wrong_mean_std", "slightly other constants", "input 'images'", ("x",))
    rows = [Hypothesis(told, lambda f: host(f.pixels, MEAN, std))]
    found, best = searched(there, rows=rows)
    assert best == []
    assert all(row.slight for row in found.tried if row.input is not None)
    # A device that computes in floats shows even this, to the last bit.
    exact = [frame(i, p, run_float(host(p, MEAN, std))) for i, p in enumerate(PICTURES)]
    assert [row.causes for row in searched(scene(exact), rows=rows)[1]] == [
        frozenset({"input.wrong_mean_std"})
    ]


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (0.9, True), (0.5, False)])
def test_outputs_that_are_nearly_right_as_they_are_need_no_scale(factor, right) -> None:
    found, _ = searched(scene([frame(i, p, device(host(p))) for i, p in enumerate(PICTURES)]))
    base = replace(
        found.baseline,
        lefts=tuple(
            {name: replace(left, values=factor * left.values) for name, left in rows.items()}
            for rows in found.baseline.lefts
        ),
    )
    fitted = tuple(
        {
            name: replace(left, reading=replace(left.reading, fit="affine"))
            for name, left in rows.items()
        }
        for rows in base.lefts
    )
    assert scaled_anyway(replace(base, lefts=fitted), base) is right
    assert not scaled_anyway(base, base)


def test_a_network_of_nobody_is_explained_by_nothing() -> None:
    rng = np.random.default_rng(12)
    frames = [
        frame(i, p, {n: rng.normal(0, 1, r.shape) for n, r in device(host(p)).items()})
        for i, p in enumerate(PICTURES)
    ]
    assert searched(scene(frames))[1] == []


def test_the_simple_explanation_wins_over_a_pair_that_holds_it(other_constants) -> None:
    found, best = other_constants
    assert [complexity(row) for row in best] == [1]
    pairs = [row for row in found.tried if row.causes > best[0].causes]
    assert pairs, "no pair was tried"
    assert all(row.residual > best[0].residual / 1.6 for row in pairs)


def test_trials_are_sorted_by_what_they_leave(swapped) -> None:
    scores = [row.score for row in swapped[0].tried]
    assert scores == sorted(scores)
    facts = trials(swapped[0])
    assert len(facts) == len(scores)
    assert facts[0].causes == ("input.channel_order",)
    assert facts[0].gain == pytest.approx(swapped[0].baseline.residual / facts[0].residual)


# --- ties -----------------------------------------------------------------------------------------


def test_mistakes_that_make_the_same_bytes_are_tied_and_none_wins() -> None:
    planar = lambda p: np.frombuffer(p.tobytes(), np.uint8).reshape(1, 3, 32, 32)  # noqa: E731
    found, best = made(lambda p: host(planar(p).transpose(0, 2, 3, 1)))
    assert {next(iter(row.causes)) for row in best} == {"input.layout", "input.noncontiguous"}
    rows = explained(found, best)
    assert len({row.confidence for row in rows}) == 1
    assert rows[0].confidence <= 0.5


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_are_said_to_be_tied_than_the_criterion_allows(most) -> None:
    rows = [frame(i, p, device(host(p / 257))) for i, p in enumerate(PICTURES)]
    ours = experiment(scene(rows))
    found = search(ours, hypotheses(scene(rows)), budget=60.0, fit=False)
    every = accepted(found, ours)
    assert 2 <= len(every) <= CRITERION.most == 3
    assert len({row.causes for row in every}) == len(every)
    assert accepted(found, ours, replace(CRITERION, most=most)) == every[:most]


# --- how sure -------------------------------------------------------------------------------------


def left(residual: float, base: Tried) -> Tried:
    return replace(base, residuals=(residual,) * len(base.residuals))


@pytest.mark.parametrize(
    ("residual", "base", "ties", "sure"),
    [
        (1.0, 100.0, 1, 0.99),
        (1.0, 100.0, 2, 0.495),
        (1.0, 100.0, 3, 0.33),
        (4.0, 100.0, 1, 0.96),
        (16.0, 100.0, 1, 0.42),  # 0.84 of it explained, twice the amplitude of what is close
        (100.0, 100.0, 1, 0.0),
        (200.0, 100.0, 1, 0.0),
        (0.0, 0.0, 1, 0.0),
    ],
)
def test_confidence_is_the_share_explained_how_close_it_comes_and_the_ties(
    swapped, residual, base, ties, sure
) -> None:
    none = swapped[0].baseline
    assert confidence(left(residual, none), left(base, none), ties) == pytest.approx(sure)


def test_a_gain_over_nothing_is_no_gain(swapped) -> None:
    none = swapped[0].baseline
    assert gain_of(left(0.0, none), left(0.0, none)) == 1.0
    assert gain_of(left(0.0, none), left(5.0, none)) == float("inf")
    assert gain_of(left(2.0, none), left(5.0, none)) == 2.5


# --- explained ------------------------------------------------------------------------------------


def explained(found: Searched, best: list[Tried]):
    frames = [frame(i, p, {}) for i, p in enumerate(PICTURES)]
    exact = [
        {name: row.astype(np.float64) for name, row in run_float(host(p)).items()} for p in PICTURES
    ]
    return explanations(best, found.baseline, frames, exact, exact)


def sqnr(truth: list[np.ndarray], seen: list[np.ndarray]) -> float:
    signal = sum(float(np.sum(t.astype(float) ** 2)) for t in truth)
    noise = sum(float(np.sum((t.astype(float) - s) ** 2)) for t, s in zip(truth, seen, strict=True))
    return 10 * float(np.log10(signal / noise))


def test_the_effect_before_the_mend_is_what_the_device_is_off(swapped) -> None:
    (row,) = explained(*swapped)
    right = [run_float(host(p)) for p in PICTURES]
    gave = [device(host(p[..., ::-1])) for p in PICTURES]
    for effect in row.effects:
        truth, seen = [r[effect.output] for r in right], [g[effect.output] for g in gave]
        assert effect.before_sqnr_db == pytest.approx(sqnr(truth, seen), abs=1e-3)
        worst = max(float(np.abs(t - s).max()) for t, s in zip(truth, seen, strict=True))
        assert effect.before_max_abs == pytest.approx(worst, rel=1e-5)
        assert effect.after_sqnr_db > effect.before_sqnr_db
    assert {effect.output for effect in row.effects} == {"map", "logits"}


def test_an_output_mistake_alone_is_mended_on_what_the_device_gave() -> None:
    frames = [frame(i, p, codes(host(p))) for i, p in enumerate(PICTURES)]
    found, best = searched(scene(frames))
    (row,) = explained(found, best)
    assert row.causes == ("output.not_dequantized",)
    for effect in row.effects:
        truth = [run_float(host(p))[effect.output] for p in PICTURES]
        off = [device(host(p))[effect.output] for p in PICTURES]
        # A fitted scale is at least as near as the grid's own.
        assert effect.after_sqnr_db >= sqnr(truth, off) - 0.5


def test_evidence_holds_the_figures(swapped) -> None:
    (row,) = explained(*swapped)
    base, best = swapped[0].baseline.residual, swapped[1][0].residual
    assert f"{best:.3g} times the ordinary noise" in row.evidence[0]
    assert f"{base:.3g} without it" in row.evidence[0]
    assert "each of 2 frames" in row.evidence[0]


def test_runners_up_are_never_an_answer(other_constants) -> None:
    rows = runners_up(*other_constants)
    assert rows
    assert not any(row.best or row.confidence for row in rows)
    assert ("input.wrong_mean_std",) not in {row.causes for row in rows}


# --- few values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_ten_healthy_logits_of_one_picture_accuse_nobody(seed) -> None:
    """Where little was measured, much looks alike by chance."""
    pixels = picture(seed)
    gave = {**device(host(pixels)), "map": run_float(host(pixels))["map"]}
    assert searched(scene([frame(0, pixels, gave)]))[1] == []
