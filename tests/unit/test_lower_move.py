"""Operators that move elements, on codes and on floats, from both orders of axes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.compiler.lower_move import reshape_perm
from bittrue.compiler.lower_state import merged_axes
from bittrue.compiler.program import Program
from tests.unit.lowering import Net, assert_exact, qp

ONE = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
MOVES: list[tuple[str, dict[str, object]]] = [
    ("Reshape", {"shape": (1, 8, 24)}),
    ("Reshape", {"shape": (2, 4, 6, 4)}),
    ("Reshape", {"shape": (192,)}),
    ("Reshape", {"shape": (1, 2, 4, 24)}),
    ("Transpose", {"perm": (0, 2, 3, 1)}),
    ("Transpose", {"perm": (3, 1, 0, 2)}),
    ("Slice", {"starts": (0, 1, 5, 0), "steps": (1, 3, -2, 1), "sizes": (1, 3, 3, 4)}),
    ("Pad", {"pads": (0, 0, 1, 2, 0, 1, 0, 3), "value": 0.5}),
    ("Pad", {"pads": (0, -1, 1, 0, 0, 0, -2, 0)}),
    ("Pad", {"pads": (0, 0, 1, 2, 0, 0, 2, 3), "mode": "reflect"}),
    ("Pad", {"pads": (0, 1, 0, 2, 0, 0, 2, 0), "mode": "edge"}),
    ("Expand", {"shape": (3, 1, 8, 6, 4)}),
    ("Tile", {"repeats": (2, 1, 3, 2)}),
    ("DepthToSpace", {"blocksize": 2, "mode": "DCR"}),
    ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", {"blocksize": 2}),
]


def source(net: Net, kind: str) -> str:
    """A value [1, 8, 6, 4] whose bytes lie as rows, or with channels last, or that is float."""
    x = net.input("x", (1, 8, 6, 4), None if kind == "float" else qp(0.25, 100))
    if kind != "channels last":
        return x
    return net.weighted("Conv", x, (8, 8, 1, 1), qp(0.5, 120), **ONE)


@pytest.mark.parametrize("kind", ["rows", "channels last", "float"])
@pytest.mark.parametrize(("op", "attrs"), MOVES)
def test_moves_are_exact(op: str, attrs: dict[str, object], kind: str) -> None:
    net = Net()
    assert_exact(net, net.node(op, [source(net, kind)], **attrs))


@pytest.mark.parametrize("kind", ["rows", "channels last", "float"])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_split_gather_and_join(axis: int, kind: str) -> None:
    net = Net()
    x = source(net, kind)
    held = net.activations.get(x)
    size = net.values[x].shape[axis]
    net.node("Split", [x], outputs=["p", "q"], axis=axis, split=(1, size - 1))
    i = net.constant("i", np.array([[0, 2], [-1, 0]], np.int64))
    g = net.node("Gather", [x, i], axis=axis)
    part = list(net.values["p"].shape)
    part[axis] = 2
    c = net.constant("c", net.rng.integers(-9, 9, part).astype(np.float32))
    out = None if held is None else qp(8.0, 100)
    y = net.node("Concat", ["q", "p", x, c], out, axis=axis)
    assert_exact(net, "p", "q", g, y)


def test_joining_channels_with_scales_of_their_own() -> None:
    net = Net()
    x = net.input("x", (1, 2, 3, 3), qp())
    a = net.weighted("Conv", x, (2, 2, 1, 1), qp([1.0, 4.0], 50), **ONE)
    b = net.weighted("Conv", x, (1, 2, 1, 1), qp(2.0, 60), **ONE)
    scales = np.array([2.0, 4.0, 2.0], np.float32)
    j = net.node("Concat", [a, b], qp(scales, 70), axis=1)
    wide = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 3}
    y = net.weighted("Conv", j, (3, 1, 3, 3), qp(8.0, 100), input_scale=scales, **wide)
    assert_exact(net, y)


def bytes_moved(program: Program) -> list[str]:
    return [step.kind for step in program.instructions]


def test_views_move_no_bytes() -> None:
    net = Net()
    x = net.input("x", (1, 6, 6, 8), qp(1.0, 0), dtype="uint8")
    t = net.node("Transpose", [x], perm=(0, 3, 1, 2))
    f = net.node("Cast", [t], to="float32")
    y = net.node("Reshape", [f], shape=(1, 8, 36))
    z = net.node("Transpose", [y], perm=(0, 2, 1))
    w = net.weighted("Dense", z, (5, 8), qp(4.0, 100))
    assert bytes_moved(assert_exact(net, w)) == ["CONV"]


def test_an_output_twice_and_an_input_as_output_have_bytes_of_their_own() -> None:
    net = Net()
    x = net.input("x", (2, 3), qp())
    a = net.node("Relu", [x], qp(0.0625, 3))
    b = net.node("Reshape", [a], shape=(3, 2))
    c = net.node("Reshape", [a], shape=(6,))
    program = assert_exact(net, a, b, c, x)
    assert bytes_moved(program) == ["TABLE", "COPY", "COPY"]
    assert [program.tensors[index].name for index in program.outputs] == [a, b, c, x]


def test_values_that_no_output_needs_are_left_out() -> None:
    net = Net()
    x = net.input("x", (2, 3), qp())
    net.input("unused", (4,), qp())
    y = net.node("Relu", [x], qp(0.0625, 3))
    net.node("Tanh", [y], qp())
    assert bytes_moved(assert_exact(net, y)) == ["TABLE"]


@settings(max_examples=60)
@given(st.data())
def test_a_reshape_without_copy_is_one_that_numpy_can_view(data: st.DataObject) -> None:
    old = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4)))
    perm = tuple(data.draw(st.permutations(range(len(old)))))
    new = tuple(data.draw(st.sampled_from(sorted(_shapes(math.prod(old))))))
    found = reshape_perm(old, perm, new)
    logical = np.arange(math.prod(old)).reshape(old)
    memory = np.ascontiguousarray(logical.transpose(perm)).reshape(-1)
    if found is not None:
        view = memory.reshape([new[axis] for axis in found]).transpose(np.argsort(found))
        np.testing.assert_array_equal(view, logical.reshape(new))
        return
    # Nothing was missed: no order of the new axes reads this memory as the reshape.
    for order in itertools.permutations(range(len(new))):
        view = memory.reshape([new[axis] for axis in order]).transpose(np.argsort(order))
        assert not np.array_equal(view, logical.reshape(new))


def _shapes(count: int, axes: int = 4) -> set[tuple[int, ...]]:
    if axes == 1:
        return {(count,)}
    parts = {
        (first, *rest)
        for first in range(1, count + 1)
        if count % first == 0
        for rest in _shapes(count // first, axes - 1)
    }
    return parts | {(count,)}


@settings(max_examples=50)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
def test_merged_axes_copy_the_same_elements(sizes: list[int], data: st.DataObject) -> None:
    perm = data.draw(st.permutations(range(len(sizes))))
    source = np.arange(math.prod(sizes)).reshape(sizes)
    target = np.empty([sizes[axis] for axis in perm], int).transpose(np.argsort(perm))
    strides = [array.strides for array in (source, target)]
    axes = [(n, a // 8, b // 8) for n, a, b in zip(sizes, *strides, strict=True)]

    def pairs(rows: list[tuple[int, int, int]]) -> set[tuple[int, int]]:
        places = itertools.product(*(range(row[0]) for row in rows))
        return {
            tuple(sum(i * row[side] for i, row in zip(p, rows, strict=True)) for side in (1, 2))
            for p in places
        }  # type: ignore[misc]

    assert pairs(merged_axes(axes)) == pairs(axes)


@pytest.mark.parametrize("step", [1, -2])
def test_cutting_channels_with_scales_of_their_own(step: int) -> None:
    net = Net()
    x = net.input("x", (1, 2, 3, 3), qp())
    h = net.weighted("Conv", x, (3, 2, 1, 1), qp([0.0625, 0.25, 1.0], 128), **ONE)
    start = 1 if step == 1 else 2
    scales = np.array([0.25, 1.0] if step == 1 else [1.0, 0.0625], np.float32)
    cut = {"starts": (0, start, 0, 0), "steps": (1, step, 1, 1), "sizes": (1, 2, 3, 3)}
    c = net.node("Slice", [h], qp(scales, 128), **cut)
    wide = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 2}
    y = net.weighted("Conv", c, (2, 1, 3, 3), qp(1.0, 100), input_scale=scales, **wide)
    assert [step.kind for step in assert_exact(net, y).instructions].count("TABLE") == 0
