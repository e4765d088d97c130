"""Convolutions, transposed convolutions and dense layers against exact float64."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.compiler.lower import compile_graph
from bittrue.errors import UnsupportedError
from tests.unit.lowering import Net, assert_exact, qp

INF = float("inf")
OUT = qp(2.0**-2, 77)
SPATIAL = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}


@pytest.mark.parametrize(
    ("kernel", "strides", "pads", "dilations", "group"),
    [
        ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
        ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
        ((3, 2), (2, 1), (0, 1, 2, 0), (1, 1), 2),
        ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 4),
        ((3, 3), (1, 3), (2, 2, 2, 2), (2, 2), 1),
        ((7, 7), (1, 1), (6, 6, 6, 6), (1, 1), 1),
    ],
)
def test_convolution_is_exact(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, ...],
    dilations: tuple[int, int],
    group: int,
) -> None:
    net = Net()
    x = net.input("x", (2, 4, 8, 9), qp(2.0**-3, 101))
    bias = np.array([0.5, -100.25, 3, 0], np.float32)
    y = net.weighted(
        "Conv", x, (4, 4 // group, *kernel), OUT,
        bias=bias, strides=strides, pads=pads, dilations=dilations, group=group,
        scale=np.array([2.0**-6, 2.0**-7, 2.0**-8, 2.0**-5], np.float32),
    )  # fmt: skip
    assert_exact(net, y)


def test_convolution_of_a_line_is_exact() -> None:
    net = Net()
    x = net.input("x", (1, 6, 20), qp())
    y = net.weighted("Conv", x, (5, 6, 3), OUT, strides=(2,), pads=(1, 2), dilations=(1,))
    z = net.weighted("Conv", y, (5, 1, 3), OUT, strides=(1,), pads=(1, 1), dilations=(1,), group=5)
    assert_exact(net, z)


def test_clip_becomes_codes() -> None:
    net = Net()
    x = net.input("x", (1, 4, 6, 6), qp())
    y = net.weighted("Conv", x, (4, 4, 3, 3), OUT, clip=(-8.0, 12.0), **SPATIAL)
    assert_exact(net, y)


def test_a_mean_folded_in_leaves_out_its_share_at_the_corners() -> None:
    net = Net()
    x = net.input("x", (1, 3, 5, 5), qp(1.0, 0))
    offset = np.array([127.5, 100.0, 0.25], np.float32)
    y = net.weighted("Conv", x, (4, 3, 3, 3), qp(2.0, 128), offset=offset, **SPATIAL)
    assert_exact(net, y)


def test_depthwise_convolution_with_one_scale_a_channel() -> None:
    net = Net()
    x = net.input("x", (1, 2, 6, 6), qp())
    scales = np.array([2.0**-2, 2.0, 2.0**3], np.float32)
    clip = (0.0, 4.0)  # codes 16, 2 and 0 above zero
    wide = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    h = net.weighted("Conv", x, (3, 2, 1, 1), qp(scales, 0), clip=clip, **wide)
    y = net.weighted("Conv", h, (3, 1, 3, 3), OUT, input_scale=scales, group=3, **SPATIAL)
    assert_exact(net, y)


def test_float_output_is_the_scaled_sum_then_clipped() -> None:
    net = Net()
    x = net.input("x", (1, 4, 6, 6), qp())
    y = net.weighted("Conv", x, (4, 4, 3, 3), None, clip=(-1.5, 2.0), **SPATIAL)
    assert_exact(net, y)


@pytest.mark.parametrize("shape", [(1, 12), (3, 12), (2, 5, 12)])
def test_dense_is_exact(shape: tuple[int, ...]) -> None:
    net = Net()
    x = net.input("x", shape, qp())
    y = net.weighted("Dense", x, (7, 12), OUT, bias=np.arange(7, dtype=np.float32), clip=(0.0, INF))
    z = net.weighted("Dense", y, (3, 7), None)
    assert_exact(net, y, z)


@pytest.mark.parametrize(
    ("kernel", "strides", "pads", "extra", "dilations", "group"),
    [
        ((2, 2), (2, 2), (0, 0, 0, 0), (0, 0), (1, 1), 1),
        ((2, 3), (2, 3), (0, 0, 0, 0), (0, 0), (1, 1), 1),
        ((2, 2), (2, 2), (0, 0, 0, 0), (0, 0), (1, 1), 2),
        ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), (1, 1), 1),
        ((4, 4), (2, 2), (1, 1, 1, 1), (0, 0), (1, 1), 2),
        ((3, 3), (1, 1), (1, 1, 1, 1), (0, 0), (1, 1), 1),
        ((3, 2), (3, 2), (0, 1, 2, 0), (2, 0), (2, 3), 1),
        ((1, 2), (3, 4), (0, 0, 0, 0), (1, 1), (1, 1), 1),
        ((3, 3), (2, 4), (0, 0, 0, 0), (0, 1), (4, 2), 1),
    ],
)
@pytest.mark.parametrize("floating", [False, True])
def test_transposed_convolution_is_exact(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, ...],
    extra: tuple[int, int],
    dilations: tuple[int, int],
    group: int,
    floating: bool,
) -> None:
    net = Net()
    x = net.input("x", (2, 4, 5, 4), qp())
    y = net.weighted(
        "ConvTranspose", x, (4, 6 // group, *kernel), None if floating else OUT,
        bias=np.arange(6, dtype=np.float32), strides=strides, pads=pads, output_padding=extra,
        dilations=dilations, group=group, clip=(-8.0, INF),
    )  # fmt: skip
    assert_exact(net, y)


def test_transposed_convolution_of_a_line_is_exact() -> None:
    net = Net()
    x = net.input("x", (1, 4, 5), qp())
    y = net.weighted(
        "ConvTranspose", x, (4, 3, 4), OUT, strides=(2,), pads=(1, 1), output_padding=(0,),
        dilations=(1,),
    )  # fmt: skip
    assert_exact(net, y)


def test_what_cannot_be_promised_is_refused_with_layer_channel_and_figures() -> None:
    net = Net()
    x = net.input("x", (1, 4, 6, 6), qp())
    bias = np.array([0, 0, 1e9, 0], np.float32)
    y = net.weighted("Conv", x, (4, 4, 3, 3), OUT, bias=bias, **SPATIAL)
    z = net.node("ArgMax", [y], OUT, axis=1)
    with pytest.raises(UnsupportedError) as caught:
        compile_graph(net.done(z))
    assert [node.node for node in caught.value.nodes] == ["conv0", "argmax1"]
    assert "channel 2" in str(caught.value)
    assert "2.05e+12" in str(caught.value)


def test_a_multiplier_below_the_least_is_refused() -> None:
    net = Net()
    x = net.input("x", (1, 1, 3, 3), qp(2.0**-60))
    scale = np.array([2.0**-42], np.float32)
    y = net.weighted("Conv", x, (1, 1, 3, 3), qp(1.0), scale=scale, **SPATIAL)
    with pytest.raises(UnsupportedError, match="2\\^-100"):
        compile_graph(net.done(y))
