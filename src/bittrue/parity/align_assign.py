"""The assignment of rows to columns with the greatest sum of gains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
#: Components of at most this many rows and columns are solved exactly: O(n^3), some 0.1 s.
MOST_EXACT = 128


def assign(gains: F64) -> list[tuple[int, int]]:
    """Return pairs (row, column), each row and column at most once, none without a gain.

    Rows and columns that no finite gain links fall into components; each is solved exactly, or,
    where it is larger than MOST_EXACT, from the greatest gain down.

    Args:
        gains: [rows, columns] float64; -inf where a row and a column do not fit.
    """
    pairs: list[tuple[int, int]] = []
    for rows, columns in _components(gains > -np.inf):
        part = gains[np.ix_(rows, columns)]
        solve = _exact if max(part.shape) <= MOST_EXACT else _greedy
        pairs += [(rows[i], columns[j]) for i, j in solve(part)]
    return sorted(pairs)


def _components(links: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Return the connected parts of a bipartite graph: rows and columns of each."""
    left = set(range(links.shape[0]))
    found = []
    while left:
        rows, columns = {left.pop()}, set[int]()
        fresh = set(rows)
        while fresh:
            reached = set(np.flatnonzero(links[sorted(fresh)].any(axis=0)).tolist()) - columns
            columns |= reached
            back = links[:, sorted(reached)].any(axis=1)
            fresh = set(np.flatnonzero(back).tolist()) - rows
            rows |= fresh
        left -= rows
        if columns:
            found.append((sorted(rows), sorted(columns)))
    return found


def _greedy(gains: F64) -> list[tuple[int, int]]:
    rows, columns = set[int](), set[int]()
    pairs = []
    for at in np.argsort(-gains, axis=None, kind="stable").tolist():
        i, j = divmod(at, gains.shape[1])
        if gains[i, j] <= 0:
            break
        if i not in rows and j not in columns:
            rows.add(i)
            columns.add(j)
            pairs.append((i, j))
    return pairs


def _exact(gains: F64) -> list[tuple[int, int]]:
    """Return the best assignment by shortest augmenting paths (Kuhn, Munkres; Jonker, Volgenant).

    A pair without a gain costs 0, as leaving both alone does, so that every row can be assigned.
    """
    flipped = gains.shape[0] > gains.shape[1]
    cost = -np.maximum(gains.T if flipped else gains, 0.0)  # [n, m], n <= m
    row_of = _augment(cost)
    pairs = [(int(i), j) for j, i in enumerate(row_of) if i >= 0]
    pairs = [(j, i) for i, j in pairs] if flipped else pairs
    return [(i, j) for i, j in pairs if gains[i, j] > 0]


def _augment(cost: F64) -> NDArray[np.int64]:
    """Return the row of each column of an assignment of least cost; -1 for a free column.

    Args:
        cost: [n, m] float64, finite, n <= m.
    """
    n, m = cost.shape
    row_price, price = np.zeros(n), np.zeros(m)
    row_of = np.full(m, -1)
    for row in range(n):
        way = np.full(m, -1)  # the column before each one on its shortest path
        slack = np.full(m, np.inf)
        used = np.zeros(m, np.bool_)
        i, last = row, -1
        while True:
            gap = cost[i] - row_price[i] - price
            better = ~used & (gap < slack)
            slack[better], way[better] = gap[better], last
            last = int(np.argmin(np.where(used, np.inf, slack)))
            step = slack[last]
            price[used] -= step
            row_price[row] += step
            row_price[row_of[used]] += step
            slack[~used] -= step
            used[last] = True
            if row_of[last] < 0:
                break
            i = int(row_of[last])
        while last >= 0:
            before = int(way[last])
            row_of[last] = row if before < 0 else row_of[before]
            last = before
    return row_of
