"""Tables, sums, products and the float tail against exact float64."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.compiler.lower import compile_graph
from bittrue.errors import UnsupportedError
from tests.unit.lowering import Net, assert_exact, kinds, qp

INF = float("inf")
ONE = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1, 4, 3, 5), (1, 4, 3, 5)),
        ((1, 4, 3, 5), (1, 4, 1, 1)),
        ((1, 1, 3, 5), (1, 4, 1, 5)),
        ((2, 3, 5), (5,)),
        ((5,), (2, 1, 5)),
    ],
)
def test_two_values_broadcast(op: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    net = Net()
    left, right = net.input("a", a, qp(0.5, 100)), net.input("b", b, qp(0.125, 30))
    y = net.node(op, [left, right], qp(2.0 if op == "Mul" else 1.0, 90), clip=(-20.0, INF))
    assert kinds(assert_exact(net, y)) == [op.upper().replace("SUB", "ADD")]


def test_values_that_lie_otherwise_are_laid_out_alike() -> None:
    net = Net()
    x, skip = net.input("x", (1, 4, 3, 5), qp()), net.input("skip", (1, 4, 3, 5), qp(0.5, 3))
    h = net.weighted("Conv", x, (4, 4, 1, 1), qp(0.25, 90), **ONE)
    y = net.node("Add", [skip, h], qp(2.0, 80))
    z = net.node("Add", [h, skip], qp(2.0, 80))
    assert_exact(net, y, z)


def test_a_whole_constant_is_quantised_and_laid_out_by_the_compiler() -> None:
    net = Net()
    x = net.input("x", (1, 4, 3, 5), qp())
    h = net.weighted("Conv", x, (4, 4, 1, 1), qp(0.25, 90), **ONE)
    codes = net.rng.integers(-128, 128, (1, 4, 3, 5)).astype(np.float32)
    codes.reshape(-1)[:2] = (-128, 127)
    c = net.constant("c", codes)
    y = net.node("Add", [c, h], qp(2.0, 80))
    program = assert_exact(net, y)
    assert kinds(program) == ["COPY", "CONV", "ADD", "COPY"]  # in, out: the contract is NCHW


@pytest.mark.parametrize("op", ["Add", "Mul", "Div", "Max", "Pow"])
def test_a_constant_for_each_channel_is_one_table(op: str) -> None:
    net = Net()
    x = net.input("x", (1, 3, 2, 5), qp(0.25, 0))
    c = net.constant("c", np.array([1, 2, 0.5], np.float32).reshape(3, 1, 1))
    y = net.node(op, [x, c], qp(0.25, 10))
    assert "TABLE" in kinds(assert_exact(net, y))


def test_a_constant_for_each_picture_of_a_batch_is_no_table() -> None:
    net = Net()
    x = net.input("x", (2, 3, 2, 5), qp(0.25, 100))
    c = net.constant("c", np.array([-128, 127], np.float32).reshape(2, 1, 1, 1))
    y = net.node("Add", [x, c], qp(2.0, 10))
    assert kinds(assert_exact(net, y)) == ["ADD"]


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("Sigmoid", {}),
        ("HardSwish", {}),
        ("Tanh", {}),
        ("Gelu", {}),
        ("LeakyRelu", {"alpha": 0.125}),
        ("Clip", {"min": -1.0, "max": 2.0}),
        ("Pointwise", {"expr": "x x sigmoid mul"}),
    ],
)
def test_one_value_is_one_table(op: str, attrs: dict[str, object]) -> None:
    net = Net()
    x = net.input("x", (1, 3, 2, 5), qp(0.03125, 120))
    y = net.node(op, [x], qp(0.015625, 60), **attrs)
    assert kinds(assert_exact(net, y)) == ["TABLE"]


def test_normalisation_and_slopes_for_each_channel_are_tables() -> None:
    net = Net()
    x = net.input("x", (1, 3, 2, 5), qp(0.25, 100))
    parts = [net.constant(f"p{i}", np.array(v, np.float32)) for i, v in enumerate(
        ([1, 2, 3], [0, 1, -1], [0.5, 0, -2], [1, 4, 9]))]  # fmt: skip
    y = net.node("BatchNormalization", [x, *parts], qp(0.25, 90), epsilon=0.0)
    slope = net.constant("slope", np.array([0.5, 0.25, -1], np.float32).reshape(3, 1, 1))
    z = net.node("PRelu", [y, slope], qp(0.25, 80))
    assert_exact(net, z)


def test_scales_for_each_channel_pass_through_sums_and_tables() -> None:
    net = Net()
    scales = qp([0.0625, 0.125, 0.25], 120)
    x = net.input("x", (1, 2, 3, 3), qp())
    a = net.weighted("Conv", x, (3, 2, 1, 1), scales, **ONE)
    b = net.weighted("Conv", x, (3, 2, 1, 1), qp(0.125, 60), **ONE)
    total = net.node("Add", [a, b], qp([0.125, 0.25, 0.5], 9), clip=(0.0, 6.0))
    done = net.node("Relu", [total], qp(0.0625, 0))
    assert_exact(net, done)


# --- float -----------------------------------------------------------------------------------


def test_the_float_tail_runs_in_float() -> None:
    net = Net()
    x = net.input("x", (1, 4, 3, 5), qp())
    h = net.weighted("Conv", x, (4, 4, 1, 1), None, scale=np.full(4, 2.0**-12, np.float32), **ONE)
    c = net.constant("c", np.arange(15, dtype=np.float32).reshape(3, 5))
    p = net.node("Pointwise", [h], expr="x 2.0 mul sigmoid x sub x abs sqrt add")
    s = net.node("Add", [c, p], clip=(-1.0, 3.0))
    d = net.node("Div", [s, p])
    soft = net.node("Softmax", [d], axis=1)
    e = net.node("Exp", [h])
    m = net.node("Concat", [soft, e], axis=2)
    assert_exact(net, s, m)


def test_borders_between_codes_and_floats() -> None:
    net = Net()
    x = net.input("x", (1, 4, 3, 5), qp(0.125))
    f = net.input("f", (1, 4, 3, 5), None)
    y = net.node("Mul", [x, f])
    soft = net.node("Softmax", [x], qp(2.0**-8, 0), axis=3)
    both = net.node("Add", [soft, x], qp(0.125, 9))
    program = assert_exact(net, y, both, most=1)  # exp is not exact: one code at a tie
    assert kinds(program).count("DEQUANTIZE") == 1


def test_nodes_without_a_float_form_are_all_reported() -> None:
    net = Net()
    f = net.input("f", (1, 4, 6, 6), None)
    pool = {**ONE, "ceil_mode": False, "kernel_shape": (2, 2)}
    a = net.node("MaxPool", [f], **pool)
    b = net.node("AveragePool", [net.node("Tanh", [f])], count_include_pad=False, **pool)
    c = net.node("ArgMax", [net.node("Transpose", [f], perm=(0, 2, 3, 1))], axis=3)
    with pytest.raises(UnsupportedError) as caught:
        compile_graph(net.done(a, b, c))
    assert [node.op for node in caught.value.nodes] == ["MaxPool", "AveragePool", "ArgMax"]
    assert "writes no indices" in str(caught.value)
    assert [node.cut_at for node in caught.value.nodes] == [(), ("tanh1_y",), ("transpose3_y",)]


def test_raw_pixels_become_a_network_input_of_bytes() -> None:
    net = Net()
    x = net.input("x", (1, 4, 5, 3), qp(1.0, 0), dtype="uint8")
    t = net.node("Transpose", [x], perm=(0, 3, 1, 2))
    f = net.node("Cast", [t], to="float32")
    y = net.weighted("Conv", f, (2, 3, 1, 1), qp(2.0**-4, 100), **ONE)
    program = assert_exact(net, y)
    assert kinds(program) == ["CONV", "COPY"]
    told = program.contract.inputs[0]
    assert (told.dtype, told.shape) == ("uint8", (1, 4, 5, 3))
    assert (told.scale, told.holds) == (None, "raw pixels")
    assert program.tensors[program.inputs[0]].origin == ("source x",)
    assert program.instructions[0].origin == ("layer conv2",)
