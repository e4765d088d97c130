"""The drawing of graphs: no two boxes touch, each reads what is above it, chains are straight."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bittrue.report.page_layout import Spacing, layered

Edges = list[tuple[int, int]]
SIZES = Spacing()


def random_edges(count: int, seed: int) -> Edges:
    rng = np.random.default_rng(seed)
    found = {(at - 1, at) for at in range(1, count)}
    for _ in range(count // 2):
        one, two = sorted(int(at) for at in rng.choice(count, 2, replace=False))
        found.add((one, two))
    return sorted(found)


@pytest.mark.parametrize("seed", range(6))
def test_boxes_keep_their_distance_and_stand_below_what_they_read(seed: int) -> None:
    edges = random_edges(40, seed)[seed:]
    found = layered(40, edges)
    for (x, y), (right, down) in itertools.combinations(found.boxes, 2):
        apart = abs(x - right) >= SIZES.width + SIZES.gap - 1e-6
        assert apart or abs(y - down) >= SIZES.height + SIZES.rise - 1e-6
    for one, two in edges:
        assert found.boxes[two][1] >= found.boxes[one][1] + SIZES.height + SIZES.rise - 1e-6
    assert min(x for x, _ in found.boxes) >= -1e-6
    assert max(x for x, _ in found.boxes) + SIZES.width <= found.width + 1e-6
    assert max(y for _, y in found.boxes) + SIZES.height == pytest.approx(found.height)


@pytest.mark.parametrize("seed", range(3))
def test_each_edge_leaves_below_its_first_box_and_arrives_above_its_second(seed: int) -> None:
    edges = random_edges(30, seed)
    found = layered(30, edges)
    for (one, two), points in zip(edges, found.edges, strict=True):
        x, y = found.boxes[one]
        assert points[0] == pytest.approx((x + SIZES.width / 2, y + SIZES.height))
        x, y = found.boxes[two]
        assert points[-1] == pytest.approx((x + SIZES.width / 2, y))
        assert all(lower > upper for (_, upper), (_, lower) in itertools.pairwise(points))


def test_a_chain_is_one_straight_column() -> None:
    found = layered(300, [(at, at + 1) for at in range(299)])
    assert {x for x, _ in found.boxes} == {0.0}
    assert found.width == SIZES.width


def test_an_edge_past_other_layers_does_not_run_through_their_boxes() -> None:
    edges = [(at, at + 1) for at in range(9)] + [(0, 9)]
    found = layered(10, edges)
    for x, y in found.boxes[1:9]:
        crossing = [px for px, py in found.edges[-1] if y <= py <= y + SIZES.height]
        assert all(px < x or px > x + SIZES.width for px in crossing)


def test_two_branches_side_by_side_do_not_cross() -> None:
    # The order of the numbers would cross them: 3 reads 2, and 4 reads 1.
    edges = [(0, 1), (0, 2), (2, 3), (1, 4), (3, 5), (4, 5)]
    boxes = layered(6, edges).boxes
    assert (boxes[1][0] < boxes[2][0]) == (boxes[4][0] < boxes[3][0])


def test_an_input_that_is_read_late_stands_just_above_its_reader() -> None:
    boxes = layered(6, [(0, 2), (2, 3), (3, 4), (4, 5), (1, 5)]).boxes
    assert boxes[1][1] == boxes[4][1]


def test_nothing_and_one_box_have_a_layout() -> None:
    assert layered(0, []).boxes == ()
    assert layered(1, []).boxes == ((0.0, 0.0),)
