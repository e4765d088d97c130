"""Where the boxes of a graph go: layers from top to bottom, few crossings, straight long edges.

The steps of Sugiyama, Tagawa and Toda (1981): layers by longest path, a bend wherever an edge
crosses a layer, barycentres for the order in each layer. Then each layer's places are those nearest
to the mean of their neighbours that keep the distance, which is isotonic regression.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Sweeps that order the layers, and sweeps that place their boxes: more changes little.
ORDER_SWEEPS, PLACE_SWEEPS = 6, 10
#: An edge through more layers than this is drawn in one curve, without bends.
LONGEST_BENT = 80
#: Bends weigh more than boxes, so that long edges become straight.
BEND_WEIGHT = 3.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Spacing:
    """Sizes in pixels: of a box, between boxes, between layers, and of a bend."""

    width: float = 156.0
    height: float = 38.0
    gap: float = 18.0
    rise: float = 26.0
    bend: float = 14.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is.

    Args:
        boxes: The upper left corner of each box.
        edges: For each edge the points that it runs through, first box to second.
        width: Of the whole picture.
        height: Of the whole picture.
    """

    boxes: tuple[Point, ...]
    edges: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def layered(count: int, edges: Sequence[tuple[int, int]], spacing: Spacing | None = None) -> Layout:
    """Return the places of boxes and edges.

    Args:
        count: How many boxes.
        edges: Pairs of boxes; the first of a pair has the lower number.
        spacing: Sizes.
    """
    sizes = spacing or Spacing()
    if not count:
        return Layout((), (), 0.0, 0.0)
    ranks = _ranks(count, edges)
    chains = _chains(count, edges, ranks)
    rows = _ordered(ranks, chains)
    places = _placed(rows, count, chains, sizes)
    step = sizes.height + sizes.rise
    boxes = tuple((places[item] - sizes.width / 2, step * ranks[item]) for item in range(count))
    lines = tuple(_line(chain, ranks, places, sizes) for chain in chains)
    width = max(x for x, _ in boxes) + sizes.width
    bends = [x for line in lines for x, _ in line]
    return Layout(boxes, lines, max([width, *bends]), step * max(ranks) + sizes.height)


def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Return each box's layer; a box that reads nothing stands just above what reads it."""
    ranks = [0] * count
    readers: dict[int, list[int]] = {}
    read = set()
    for one, two in sorted(edges, key=lambda edge: edge[1]):
        ranks[two] = max(ranks[two], ranks[one] + 1)
        readers.setdefault(one, []).append(two)
        read.add(two)
    for item in range(count):
        if item not in read and item in readers:
            ranks[item] = min(ranks[other] for other in readers[item]) - 1
    least = min(ranks)
    return [rank - least for rank in ranks]


def _chains(
    count: int, edges: Sequence[tuple[int, int]], ranks: list[int]
) -> list[tuple[int, ...]]:
    """Return each edge as a chain of boxes and bends; the bends' layers are added to `ranks`."""
    found = []
    for one, two in edges:
        between = range(ranks[one] + 1, ranks[two])
        if len(between) > LONGEST_BENT:
            between = range(0)
        bends = range(len(ranks), len(ranks) + len(between))
        ranks.extend(between)
        found.append((one, *bends, two))
    return found


def _neighbours(chains: Sequence[tuple[int, ...]], size: int) -> list[tuple[list[int], list[int]]]:
    """Return what is above and what is below each box or bend."""
    found: list[tuple[list[int], list[int]]] = [([], []) for _ in range(size)]
    for chain in chains:
        for one, two in itertools.pairwise(chain):
            found[one][1].append(two)
            found[two][0].append(one)
    return found


def _ordered(ranks: Sequence[int], chains: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Return each layer's boxes and bends from left to right."""
    rows: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    for item, rank in enumerate(ranks):
        rows[rank].append(item)
    near = _neighbours(chains, len(ranks))
    spot = {item: float(at) for row in rows for at, item in enumerate(row)}
    for sweep in range(ORDER_SWEEPS):
        upward = sweep % 2
        for row in reversed(rows) if upward else rows:
            keys = {item: _mean([spot[o] for o in near[item][upward]], spot[item]) for item in row}
            row.sort(key=lambda item: keys[item])
            spot.update({item: float(at) for at, item in enumerate(row)})
    return rows


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _placed(
    rows: Sequence[Sequence[int]], count: int, chains: Sequence[tuple[int, ...]], sizes: Spacing
) -> list[float]:
    """Return the middle of each box and bend, the leftmost box at the margin."""
    total = sum(map(len, rows))
    near = _neighbours(chains, total)
    wide = [sizes.width if item < count else sizes.bend for item in range(total)]
    places = [0.0] * total
    for row in rows:
        for one, two in itertools.pairwise(row):
            places[two] = places[one] + (wide[one] + wide[two]) / 2 + sizes.gap
    for sweep in range(PLACE_SWEEPS):
        side = sweep % 2
        for row in reversed(rows) if side else rows:
            wished = [_mean([places[o] for o in near[item][side]], places[item]) for item in row]
            weights = [1.0 if item < count else BEND_WEIGHT for item in row]
            for item, place in zip(
                row, _apart(wished, weights, [wide[item] for item in row], sizes.gap), strict=True
            ):
                places[item] = place
    left = min(place - wide[item] / 2 for item, place in enumerate(places))
    return [place - left for place in places]


def _apart(
    wished: Sequence[float], weights: Sequence[float], wide: Sequence[float], gap: float
) -> list[float]:
    """Return the places nearest to those wished for that keep order and distance.

    With the distances taken off, places must not decrease: neighbours that do are pooled at their
    weighted mean until none does.
    """
    offsets = [0.0]
    for one, two in itertools.pairwise(wide):
        offsets.append(offsets[-1] + (one + two) / 2 + gap)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for wish, weight, offset in zip(wished, weights, offsets, strict=True):
        pools.append((wish - offset, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, heavy, many), (other, light, few) = pools.pop(-2), pools.pop()
            both = heavy + light
            pools.append(((mean * heavy + other * light) / both, both, many + few))
    flat = np.repeat([pool[0] for pool in pools], [pool[2] for pool in pools])
    return [float(place) + offset for place, offset in zip(flat, offsets, strict=True)]


def _line(
    chain: Sequence[int], ranks: Sequence[int], places: Sequence[float], sizes: Spacing
) -> tuple[Point, ...]:
    """Return the points of an edge: out below the first box, in above the second."""
    step = sizes.height + sizes.rise
    first, *bends, last = chain
    points = [(places[first], step * ranks[first] + sizes.height)]
    points += [(places[bend], step * ranks[bend] + sizes.height / 2) for bend in bends]
    return (*points, (places[last], step * ranks[last]))
