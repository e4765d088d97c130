"""Pooling, means and nearest resize against float64."""

from __future__ import annotations

import pytest

from bittrue.compiler.lower import compile_graph
from bittrue.errors import UnsupportedError
from tests.unit.lowering import Net, assert_exact, qp

ONE = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
POOLS = [
    ((2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False),
    ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), True),
    ((3, 2), (1, 2), (1, 0, 0, 1), (1, 1), False),
    ((2, 2), (3, 3), (0, 0, 0, 0), (2, 1), True),
]


@pytest.mark.parametrize(("kernel", "strides", "pads", "dilations", "ceil"), POOLS)
@pytest.mark.parametrize("include", [None, False, True])
def test_pooling(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, ...],
    dilations: tuple[int, int],
    ceil: bool,
    include: bool | None,
) -> None:
    net = Net()
    x = net.input("x", (2, 3, 7, 8), qp(0.25, 90))
    attrs = {
        "kernel_shape": kernel,
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "ceil_mode": ceil,
    }
    if include is None:
        y = net.node("MaxPool", [x], **attrs)
        assert_exact(net, y)
        return
    y = net.node("AveragePool", [x], qp(0.125, 100), count_include_pad=include, **attrs)
    # m = fl(s / 9) is not exact, so that an exact tie can fall to either side.
    assert_exact(net, y, most=1 if 3 in kernel else 0)


def test_pooling_of_a_line() -> None:
    net = Net()
    x = net.input("x", (2, 3, 9), qp())
    attrs = {"kernel_shape": (2,), "strides": (2,), "pads": (1, 0), "dilations": (1,)}
    a = net.node("MaxPool", [x], **attrs)
    b = net.node("AveragePool", [x], qp(0.03125, 128), **attrs)
    assert_exact(net, a, b)


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axes", [(2, 3), (1,), (3,), (1, 2), (0, 1), (1, 3)])
def test_means(keepdims: bool, axes: tuple[int, ...]) -> None:
    net = Net()
    x = net.input("x", (2, 4, 8, 2), qp(0.25, 90))
    h = net.weighted("Conv", x, (4, 4, 1, 1), qp(1.0, 128), **ONE)
    # Memory holds h as (0, 2, 3, 1), so that other axes lie side by side than in x.
    attrs = {"axes": axes, "keepdims": keepdims}
    ends = [net.node("ReduceMean", [h], qp(0.5, 120), **attrs)]
    if axes != (1, 3):
        ends += [net.node("ReduceMean", [x], qp(0.25, 9), **attrs)]
    assert_exact(net, *ends)


def test_global_pooling() -> None:
    net = Net()
    x = net.input("x", (1, 4, 8, 4), qp())
    a = net.node("GlobalAveragePool", [x], qp(0.03125, 128))
    b = net.node("GlobalMaxPool", [x])
    assert_exact(net, a, b)


@pytest.mark.parametrize("nearest", ["floor", "round_prefer_ceil"])
@pytest.mark.parametrize("floating", [False, True])
def test_nearest_resize(nearest: str, floating: bool) -> None:
    net = Net()
    x = net.input("x", (1, 3, 4, 5), None if floating else qp())
    attrs = {"nearest_mode": nearest, "coordinate_transformation_mode": "asymmetric"}
    y = net.node("Resize", [x], shape=(1, 3, 8, 7), scales=(1.0, 1.0, 2.0, 1.4), **attrs)
    assert_exact(net, y)


def test_axes_that_lie_apart_are_refused() -> None:
    net = Net()
    x = net.input("x", (2, 4, 8, 2), qp())
    y = net.node("ReduceMean", [x], qp(), axes=(1, 3))
    with pytest.raises(UnsupportedError, match="do not lie side by side"):
        compile_graph(net.done(y))
