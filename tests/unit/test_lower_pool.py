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


@pytest.mark.parametrize("axes", [(1, 3), (0, 2), (2,), (0, 1, 2), (1, 2, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"])
def test_reductions_over_any_axes(op: str, axes: tuple[int, ...]) -> None:
    net = Net()
    x = net.input("x", (2, 4, 8, 2), qp(0.25, 90))
    h = net.weighted("Conv", x, (4, 4, 1, 1), qp(1.0, 128), **ONE)
    out = {"ReduceMean": qp(0.5, 120), "ReduceSum": qp(32.0, 100)}.get(op)
    keepdims = len(axes) == 4
    ends = [net.node(op, [name], out, axes=axes, keepdims=keepdims) for name in (x, h)]
    assert_exact(net, *ends)


def test_an_axis_longer_than_a_window_is_seen_as_two() -> None:
    net = Net()
    x = net.input("x", (2, 65536), qp(0.25, 90))
    y = net.node("ReduceSum", [x], qp(2.0**10, 100), axes=(1,), keepdims=True)
    z = net.node("ReduceMax", [x], axes=(1,), keepdims=True)
    assert_exact(net, y, z)


@pytest.mark.parametrize(
    "mode", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
)
@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 3, 4, 5), (8, 10)), ((2, 3, 4, 5), (7, 3)), ((1, 2, 6, 6), (3, 13)), ((1, 3, 9), (5,))],
)
def test_linear_resize(mode: str, shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    net = Net()
    x = net.input("x", shape, qp())
    scales = (1.0, 1.0, *(new / old for new, old in zip(size, shape[2:], strict=True)))
    y = net.node(
        "Resize", [x], mode="linear", shape=(*shape[:2], *size), scales=scales,
        coordinate_transformation_mode=mode,
    )  # fmt: skip
    # Fractions are rounded to 1/2048: where a sum is near a tie, the code beside it is taken.
    program = assert_exact(net, y, most=1)
    assert "RESIZE_LINEAR" in [step.kind for step in program.instructions]


def test_doubling_is_exact() -> None:
    net = Net()
    x = net.input("x", (1, 3, 7, 5), qp())
    attrs = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    y = net.node("Resize", [x], shape=(1, 3, 14, 10), scales=(1.0, 1.0, 2.0, 2.0), **attrs)
    assert_exact(net, y)


def test_cubic_resize_and_linear_resize_of_floats_are_refused() -> None:
    net = Net()
    x, f = net.input("x", (1, 3, 4, 5), qp()), net.input("f", (1, 3, 4, 5), None)
    sizes = {"shape": (1, 3, 8, 10), "scales": (1.0, 1.0, 2.0, 2.0)}
    ends = [
        net.node("Resize", [x], mode="cubic", **sizes),
        net.node("Resize", [f], mode="linear", **sizes),
    ]
    with pytest.raises(UnsupportedError, match="'cubic' is not handled") as caught:
        compile_graph(net.done(*ends))
    assert "'f' is not stored as codes" in str(caught.value)
