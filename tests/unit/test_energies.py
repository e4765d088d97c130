"""The sums behind a layer's figures, on tensors whose parts are known one by one."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.arith import QParams, dequantize, quantize
from bittrue.parity.energies import BLOCK, PARTS, Energies, Look, decibels, energies

SCALE = np.float32(0.5)
PARAMS = QParams(np.array([SCALE]), 128)


def look(real: np.ndarray, own: np.ndarray, raw: np.ndarray, path: np.ndarray) -> Look:
    arrays = [np.asarray(a, np.float32).reshape(1, 1, 1, -1) for a in (real, own, raw, path)]
    return Look(*arrays, PARAMS)


def parts(found: Energies) -> dict[str, float]:
    return dict(zip(PARTS, found.parts, strict=True))


@pytest.mark.parametrize(
    ("real", "own", "raw", "path", "part"),
    [
        (1.0, 1.0, 1.5, 1.5, "inherited"),
        (1.0, 1.5, 1.5, 1.5, "weights"),
        (90.0, 90.0, 90.0, 63.5, "clipping"),  # the greatest code stands for 63.5
        (1.2, 1.2, 1.2, 1.0, "rounding"),
        (1.0, 1.0, 1.0, 1.5, "last"),
    ],
)
def test_an_error_of_one_kind_is_all_in_its_part(
    real: float, own: float, raw: float, path: float, part: str
) -> None:
    found = energies(look(*(np.array([x]) for x in (real, own, raw, path))))
    error = np.float64(np.float32(path)) - np.float64(np.float32(real))
    for name, value in parts(found).items():
        assert value == pytest.approx(error**2 if name == part else 0.0, abs=1e-9), name
    assert found.path == pytest.approx(error**2)
    assert found.gap < 1e-12


def test_a_bias_is_taken_out_of_the_weights() -> None:
    made = look(np.ones(4), np.full(4, 1.25), np.full(4, 1.25), np.full(4, 1.25))
    bias = np.full((1, 1, 1, 4), 0.1, np.float32)
    found = energies(Look(made.real, made.own, made.raw, made.path, None, bias))
    assert parts(found)["bias"] == pytest.approx(4 * 0.1 * 0.25)
    assert parts(found)["weights"] == pytest.approx(4 * 0.15 * 0.25)


def test_only_what_is_beyond_half_a_step_is_cut_off() -> None:
    low, high = -64.0, 63.5
    raw = np.array([high, high + 0.24, high + 0.26, low - 0.24, low - 0.26, 0.0])
    assert energies(look(raw, raw, raw, raw)).cut == 2


def test_storing_is_arith_s_rule_in_every_block_and_channel() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 40, (2, 3, 77, 131)).astype(np.float32)
    assert x.size > 4 * BLOCK
    for params in (PARAMS, QParams(np.array([0.1, 0.4, 2.0], np.float32), 7)):
        scale = params.along(4)
        kept = dequantize(quantize(x, scale, params.zero_point), scale, params.zero_point)
        found = energies(Look(x, x, x, kept, params))
        assert parts(found)["last"] == pytest.approx(0.0, abs=1e-6 * found.path)
        assert (
            found.own
            == pytest.approx(found.path)
            == pytest.approx(((kept - x) ** 2).sum(), rel=1e-5)
        )


def test_nan_and_infinity_are_neither_signal_nor_error() -> None:
    good = np.array([1.0, 2.0, 3.0])
    odd = np.array([1.0, np.nan, np.inf])
    found = energies(look(good, good, odd, good))
    assert found.signal == 1.0
    assert found.path == 0.0
    assert found.gap == 0.0


def test_a_constant_channel_is_not_dead_and_one_that_lived_is() -> None:
    real = np.zeros((1, 3, 2, 2), np.float32)
    real[0, 0] = 5.0  # constant in both
    real[0, 1] = np.arange(4).reshape(2, 2) / 100
    real[0, 2] = np.arange(4).reshape(2, 2)
    path = np.round(real)
    assert energies(Look(real, real, real, path, None, axis=1)).dead == 1
    assert energies(Look(real, real, real, real, None, axis=1)).dead == 0


def test_a_channel_that_lives_on_one_sample_is_alive() -> None:
    still, moves = (np.full((1, 1, 1, 4), 1, np.float32) * x for x in (1.0, 2.0))
    real = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)
    both = energies(Look(real, real, real, still, None, axis=1)).plus(
        energies(Look(real, real, real, moves, None, axis=1))
    )
    assert both.dead == 0
    assert both.elements == 8


def test_decibels_of_a_share() -> None:
    assert decibels(0.01) == pytest.approx(20.0)
    assert decibels(0.0) == np.inf
    assert decibels(np.inf) == -np.inf
