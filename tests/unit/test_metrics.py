"""The figures of a difference, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bittrue.errors import DataError
from bittrue.parity.metrics import difference


def test_figures_of_a_pair_worked_out_by_hand() -> None:
    d = difference(np.array([3.0, 4.0]), np.array([3.0, 3.5]))
    assert (d.max_abs, d.mean_abs, d.differing, d.relative) == (0.5, 0.25, 1, 0.125)
    assert d.sqnr_db == pytest.approx(10 * math.log10(25 / 0.25))
    assert d.cosine == pytest.approx((9 + 14) / (5 * math.hypot(3, 3.5)))


def test_equal_arrays_have_infinite_sqnr() -> None:
    d = difference(np.zeros(3), np.zeros(3))
    assert d.equal
    assert d.sqnr_db == math.inf
    assert d.cosine == 1.0


def test_a_lost_signal_is_infinitely_bad() -> None:
    assert difference(np.zeros(2), np.ones(2)).sqnr_db == -math.inf


def test_equal_values_with_other_codes_are_not_equal() -> None:
    codes = (np.array([1, 2], np.uint8), np.array([1, 3], np.uint8))
    assert not difference(np.ones(2), np.ones(2), codes).equal


@pytest.mark.parametrize(
    ("one", "other"),
    [(np.ones(2), np.ones(3)), (np.ones(0), np.ones(0)), (np.array([np.nan]), np.array([0.0]))],
)
def test_what_cannot_be_compared_is_an_error_not_a_small_difference(
    one: np.ndarray, other: np.ndarray
) -> None:
    with pytest.raises(DataError):
        difference(one, other)


def test_the_same_nan_in_both_is_no_difference() -> None:
    one = np.array([np.nan, 1.0, np.inf])
    assert difference(one, one.copy()).equal
