"""Weights by their channels: every element is met by the factor of the channel it belongs to."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bittrue.graph.model import Node
from bittrue.graph.weights import by_input, by_output, from_rows, to_rows

OUTPUTS, INPUTS = 6, 4


def node_of(op: str, group: int) -> Node:
    return Node("n", op, ("x", "w"), ("y",), {} if op == "Dense" else {"group": group})


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "Dense"])
def test_each_weight_has_the_factors_of_its_channels(op: str, group: int) -> None:
    if op == "Dense" and group > 1:
        return
    node = node_of(op, group)
    turned = op == "ConvTranspose"
    shape = (INPUTS, OUTPUTS // group) if turned else (OUTPUTS, INPUTS // group)
    shape += () if op == "Dense" else (2, 3)
    outs = np.broadcast_to(by_output(node, shape, np.arange(OUTPUTS) + 0.0), shape)
    ins = np.broadcast_to(by_input(node, shape, np.arange(INPUTS) + 0.0), shape)
    for first, second in itertools.product(range(shape[0]), range(shape[1])):
        block = first // (shape[0] // group)
        other = block * shape[1] + second
        o, i = (other, first) if turned else (first, other)
        assert np.all(outs[first, second] == o)
        assert np.all(ins[first, second] == i)


@pytest.mark.parametrize("group", [1, 2])
def test_rows_of_a_transposed_convolution_come_back(group: int) -> None:
    node = Node("n", "ConvTranspose", ("x", "w"), ("y",), {"group": group})
    codes = np.arange(4 * 3 * 2 * 2, dtype=np.int8).reshape(4, 3, 2, 2)
    rows = to_rows(node, codes.astype(np.float64))
    assert np.array_equal(from_rows(node, rows.astype(np.int8), codes.shape), codes)
