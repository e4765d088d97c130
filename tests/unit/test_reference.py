import itertools
import math

import numpy as np
import pytest

from bittrue.errors import InternalError, ModelError
from bittrue.graph.model import Graph, Node, Value
from bittrue.graph.ops import complete_attrs
from bittrue.graph.reference import REFERENCE, run_node, run_reference
from bittrue.graph.reference_move import cubic_weights, source_points
from bittrue.graph.shapes import infer

WINDOW = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


def run(op: str, attrs: dict[str, object], *arrays: np.ndarray | None) -> list[np.ndarray]:
    """Run one node, and check that its results are what the shape rule says."""
    split = attrs.get("split", (0,))
    made = tuple(f"y{i}" for i in range(len(split) if isinstance(split, tuple) else 1))
    names = tuple("" if a is None else f"x{i}" for i, a in enumerate(arrays))
    node = Node("layer", op, names, made, complete_attrs(op, attrs))
    values = [
        None if a is None else Value(name, a.dtype.name, a.shape)
        for name, a in zip(names, arrays, strict=True)
    ]
    results = run_node(node, arrays)
    assert [(r.dtype.name, r.shape) for r in results] == list(infer(node, values))
    return list(results)


def whole(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return small whole numbers as float32, for which all sums are exact."""
    return rng.integers(-8, 9, shape).astype(np.float32)


# --- convolutions ------------------------------------------------------------------------------


def conv_by_loops(
    x: np.ndarray,
    w: np.ndarray,
    offset: np.ndarray,
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilations: tuple[int, int],
    group: int,
) -> np.ndarray:
    """Return the convolution tap by tap, each tap looked up in x or left out."""
    n, _, h, width = x.shape
    o, per, kh, kw = w.shape
    rows = (h + pads[0] + pads[2] - (kh - 1) * dilations[0] - 1) // strides[0] + 1
    columns = (width + pads[1] + pads[3] - (kw - 1) * dilations[1] - 1) // strides[1] + 1
    y = np.zeros((n, o, rows, columns), np.float32)
    for b, k, r, q in np.ndindex(*y.shape):
        for i, dy, dx in np.ndindex(per, kh, kw):
            row = r * strides[0] + dy * dilations[0] - pads[0]
            column = q * strides[1] + dx * dilations[1] - pads[1]
            channel = k // (o // group) * per + i
            if 0 <= row < h and 0 <= column < width:
                y[b, k, r, q] += w[k, i, dy, dx] * (x[b, channel, row, column] - offset[channel])
    return y


@pytest.mark.parametrize(
    ("channels", "outputs", "group", "strides", "pads", "dilations"),
    [
        (2, 3, 1, (1, 1), (0, 0, 0, 0), (1, 1)),
        (4, 4, 4, (2, 1), (1, 1, 1, 1), (1, 1)),  # depthwise
        (4, 6, 2, (1, 2), (2, 0, 1, 3), (2, 1)),  # groups, uneven pads
        (3, 2, 1, (3, 3), (0, 1, 2, 0), (1, 2)),
    ],
)
def test_conv_with_offset_is_the_sum_over_the_taps_inside(
    channels: int,
    outputs: int,
    group: int,
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilations: tuple[int, int],
) -> None:
    rng = np.random.default_rng(1)
    x, w = whole(rng, 2, channels, 6, 7), whole(rng, outputs, channels // group, 3, 2)
    bias, offset = whole(rng, outputs), whole(rng, channels)
    attrs = {"strides": strides, "pads": pads, "dilations": dilations, "group": group}
    expected = conv_by_loops(x, w, offset, strides, pads, dilations, group)
    (y,) = run("Conv", attrs, x, w, bias, offset)
    np.testing.assert_array_equal(y, expected + bias[:, None, None])
    (y,) = run("Conv", attrs, x, w, None, offset)
    np.testing.assert_array_equal(y, expected)
    (y,) = run("Conv", {**attrs, "clip": (0.0, 6.0)}, x, w, None, offset)
    np.testing.assert_array_equal(y, np.clip(expected, 0, 6))


def test_an_offset_leaves_the_padding_a_real_zero() -> None:
    x, w = np.full((1, 1, 3, 3), 127.5, np.float32), np.ones((1, 1, 3, 3), np.float32)
    attrs = {**WINDOW, "pads": (1, 1, 1, 1)}
    (y,) = run("Conv", attrs, x + 1, w, None, np.array([127.5], np.float32))
    assert y[0, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_conv_transpose_is_the_adjoint_of_conv(dims: int, group: int) -> None:
    rng = np.random.default_rng(2)
    sizes = (8, 7, 6)[:dims]
    attrs: dict[str, object] = {
        "strides": (2, 1, 3)[:dims],
        "pads": (1, 0, 2)[:dims] + (0, 1, 1)[:dims],
        "dilations": (1, 2, 1)[:dims],
        "group": group,
    }
    x, w = whole(rng, 2, 4, *sizes), whole(rng, 6, 4 // group, *(3, 2, 3)[:dims])
    (y,) = run("Conv", attrs, x, w)
    back = whole(rng, *y.shape)
    # Rows that the strides do not reach are the transposed convolution's output padding.
    small = run("ConvTranspose", {**attrs, "output_padding": (0,) * dims}, back, w)[0].shape[2:]
    rest = tuple(n - m for n, m in zip(sizes, small, strict=True))
    (grown,) = run("ConvTranspose", {**attrs, "output_padding": rest}, back, w)
    assert grown.shape == x.shape
    assert float((y * back).sum()) == float((x * grown).sum())


def test_conv_transpose_adds_its_bias_and_clips() -> None:
    x, w = np.ones((1, 1, 2, 2), np.float32), np.ones((1, 2, 2, 2), np.float32)
    attrs = {**WINDOW, "output_padding": (0, 0), "clip": (0.0, 4.0)}
    (y,) = run("ConvTranspose", attrs, x, w, np.array([1, -9], np.float32))
    assert y[0, 0].tolist() == [[2, 3, 2], [3, 4, 3], [2, 3, 2]]
    assert not y[0, 1].any()


# --- products ----------------------------------------------------------------------------------


def test_dense_and_gemm_are_matrix_products() -> None:
    rng = np.random.default_rng(3)
    x, w, b = whole(rng, 2, 3, 4), whole(rng, 5, 4), whole(rng, 5)
    (y,) = run("Dense", {}, x, w, b)
    np.testing.assert_array_equal(y, np.einsum("abk,ok->abo", x, w) + b)
    attrs: dict[str, object] = {"alpha": 2.0, "beta": 3.0, "transA": True, "transB": True}
    (y,) = run("Gemm", attrs, x[0].T, w, b)
    np.testing.assert_array_equal(y, 2 * np.einsum("bk,ok->bo", x[0], w) + 3 * b)


def test_batch_norm_normalises_each_channel() -> None:
    x = np.random.default_rng(4).normal(3, 2, (4, 2, 5, 5)).astype(np.float32)
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    attrs: dict[str, object] = {"epsilon": 0.0}
    (y,) = run("BatchNormalization", attrs, x, np.float32([1, 2]), np.float32([0, 5]), mean, var)
    np.testing.assert_allclose(y.mean((0, 2, 3)), [0, 5], atol=1e-5)
    np.testing.assert_allclose(y.std((0, 2, 3)), [1, 2], atol=1e-5)


# --- pooling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("dilation", [1, 2])
def test_pools_look_at_the_taps_inside(ceil: bool, include: bool, dilation: int) -> None:
    x = whole(np.random.default_rng(5), 1, 2, 9, 8)
    attrs: dict[str, object] = {
        "kernel_shape": (3, 2),
        "strides": (2, 3),
        "pads": (1, 0, 1, 1),
        "dilations": (dilation, 1),
        "ceil_mode": ceil,
    }
    (greatest,) = run("MaxPool", attrs, x)
    (mean,) = run("AveragePool", {**attrs, "count_include_pad": include}, x)
    for c, r, q in np.ndindex(2, *greatest.shape[2:]):
        taps = list(itertools.product(
            (r * 2 - 1 + k * dilation for k in range(3)), (q * 3 + k for k in range(2))
        ))  # fmt: skip
        inside = [x[0, c, i, j] for i, j in taps if 0 <= i < 9 and 0 <= j < 8]
        padded = [(i, j) for i, j in taps if -1 <= i < 10 and 0 <= j < 9]
        assert greatest[0, c, r, q] == max(inside)
        count = len(padded) if include else len(inside)
        assert mean[0, c, r, q] == np.float32(sum(inside)) / np.float32(count)


def test_max_pool_of_negative_numbers_ignores_its_padding() -> None:
    x = np.full((1, 1, 2, 2), -5, np.float32)
    attrs = {**WINDOW, "kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
    assert (run("MaxPool", attrs, x)[0] == -5).all()
    assert (run("MaxPool", attrs, x.astype(np.int8))[0] == -5).all()


# --- elementwise -------------------------------------------------------------------------------


def test_whole_numbers_stay_whole_and_divide_toward_zero() -> None:
    pairs = [(a, b) for a in range(-7, 8) for b in (-3, -2, 2, 3)]
    a, b = (np.array(part, np.int64) for part in zip(*pairs, strict=True))
    (y,) = run("Div", {}, a, b)
    assert y.tolist() == [math.trunc(m / n) for m, n in pairs]
    assert run("Mod", {}, a, b)[0].tolist() == [m % n for m, n in pairs]
    assert run("Add", {}, a, b)[0].dtype == np.int64
    big = np.array([2**62 + 1], np.int64)
    assert run("Div", {}, big, np.array([1], np.int64))[0] == 2**62 + 1


def test_mod_of_floats_has_the_sign_of_the_first() -> None:
    a, b = np.float32([-5.5, 5.5]), np.float32([2, -2])
    assert run("Mod", {}, a, b)[0].tolist() == [-1.5, 1.5]


def test_clip_is_applied_last_and_whole_numbers_survive_infinite_bounds() -> None:
    a, b = np.float32([1, 5, 9]), np.float32([1, 1, 1])
    assert run("Add", {"clip": (3.0, 7.0)}, a, b)[0].tolist() == [3, 6, 7]
    ints = np.array([-(2**63), 5, 2**63 - 1], np.int64)
    assert run("Clip", {}, ints)[0].tolist() == ints.tolist()
    assert run("Clip", {"min": 0.5, "max": 5.5}, ints)[0].tolist() == [1, 5, 5]
    small = np.array([0, 200, 255], np.uint8)
    assert run("Clip", {"min": -3.0, "max": 210.0}, small)[0].tolist() == [0, 200, 210]


def test_cast_truncates_toward_zero() -> None:
    x = np.float32([-1.9, -0.5, 0.5, 1.9])
    assert run("Cast", {"to": "int64"}, x)[0].tolist() == [-1, 0, 0, 1]
    assert run("Cast", {"to": "bool"}, x)[0].tolist() == [True] * 4
    assert run("Cast", {"to": "uint8"}, np.float32([255.9]))[0].tolist() == [255]


def test_thresholded_relu_keeps_infinities() -> None:
    x = np.float32([-np.inf, 1, 1.5, np.inf])
    assert run("ThresholdedRelu", {}, x)[0].tolist() == [0, 0, 1.5, np.inf]


# --- along axes --------------------------------------------------------------------------------


def test_softmax_of_large_numbers_is_finite() -> None:
    x = np.float32([[1000, 1000], [-1000, 1000]])
    (y,) = run("Softmax", {"axis": 1}, x)
    assert y.tolist() == [[0.5, 0.5], [0, 1]]
    (logs,) = run("LogSoftmax", {"axis": 1}, x)
    np.testing.assert_allclose(logs, [[-math.log(2)] * 2, [-2000, 0]], rtol=1e-6)


def test_reductions() -> None:
    x = np.float32([[3, 4], [0, 5]])
    attrs: dict[str, object] = {"axes": (1,), "keepdims": False}
    assert run("ReduceL2", attrs, x)[0].tolist() == [5, 5]
    assert run("ReduceMean", attrs, x)[0].tolist() == [3.5, 2.5]
    assert run("ReduceProd", attrs, x)[0].tolist() == [12, 0]
    assert run("ReduceMax", attrs, x[:, :0])[0].tolist() == [-np.inf] * 2
    assert run("ReduceMean", attrs, np.array([[-3, 0]]))[0].tolist() == [-1]
    everything = np.array([[2**40, 2**40]])
    assert run("ReduceProd", {"axes": (0,)}, everything)[0].tolist() == [[2**40, 2**40]]


def test_arg_max_can_choose_the_last_of_equals() -> None:
    x = np.float32([[1, 7, 7, 0]])
    assert run("ArgMax", {"axis": 1}, x)[0].tolist() == [[1]]
    assert run("ArgMax", {"axis": 1, "select_last_index": True}, x)[0].tolist() == [[2]]
    assert run("ArgMin", {"axis": 1, "keepdims": False}, -x)[0].tolist() == [1]


# --- elements move -----------------------------------------------------------------------------


def test_slice_walks_backwards_to_the_first_element() -> None:
    x = np.arange(5, dtype=np.int64)
    for start, step, size in [(4, -1, 5), (4, -2, 3), (0, 3, 2), (2, 1, 0), (3, -3, 2)]:
        attrs: dict[str, object] = {"starts": (start,), "steps": (step,), "sizes": (size,)}
        assert run("Slice", attrs, x)[0].tolist() == [start + i * step for i in range(size)]


def test_pad_cuts_and_fills() -> None:
    x = np.float32([[1, 2, 3]])
    assert run("Pad", {"pads": (0, -1, 1, 2), "value": 9.0}, x)[0].tolist() == [
        [2, 3, 9, 9],
        [9, 9, 9, 9],
    ]
    assert run("Pad", {"pads": (0, 2, 0, 1), "mode": "reflect"}, x)[0].tolist() == [
        [3, 2, 1, 2, 3, 2]
    ]
    assert run("Pad", {"pads": (0, 1, 0, 1), "mode": "edge"}, x)[0].tolist() == [[1, 1, 2, 3, 3]]
    assert run("Pad", {"pads": (0, 1, 0, 1), "mode": "wrap"}, x)[0].tolist() == [[3, 1, 2, 3, 1]]


def test_gather_counts_from_the_end_and_refuses_what_is_outside() -> None:
    x = np.float32([[1, 2], [3, 4]])
    assert run("Gather", {"axis": 0}, x, np.array([-1, 0]))[0].tolist() == [[3, 4], [1, 2]]
    with pytest.raises(ModelError, match="leave axis 0"):
        run("Gather", {"axis": 0}, x, np.array([2]))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_puts_each_channel_where_the_mode_says(mode: str) -> None:
    x = np.arange(2 * 4 * 2 * 3, dtype=np.float32).reshape(1, 8, 2, 3)
    (y,) = run("DepthToSpace", {"blocksize": 2, "mode": mode}, x)
    for c, i, j in np.ndindex(2, 4, 6):
        block = (i % 2) * 2 + j % 2
        channel = block * 2 + c if mode == "DCR" else c * 4 + block
        assert y[0, c, i, j] == x[0, channel, i // 2, j // 2]
    if mode == "DCR":
        np.testing.assert_array_equal(run("SpaceToDepth", {"blocksize": 2}, y)[0], x)


def test_cubic_weights_add_up_to_one_and_interpolate() -> None:
    for fraction in np.linspace(0, 1, 9):
        distances = fraction - np.arange(-1, 3)
        assert cubic_weights(distances, -0.75).sum() == pytest.approx(1)
    assert cubic_weights(np.arange(-2.0, 3), -0.5).tolist() == [0, 0, 1, 0, 0]


def test_resize_places_its_points_in_float32() -> None:
    # The float32 of 1/3 is above 1/3: (0 + 0.5) / it is below 1.5 by less than float32 resolves,
    # so the point is exactly 1, and its floor is not 0.
    points = source_points("half_pixel", 6, 2, 1 / 3)
    assert points.tolist() == [1, 4]


def test_resize_by_two_repeats_each_element() -> None:
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    attrs: dict[str, object] = {
        "shape": (1, 1, 4, 6),
        "scales": (1.0, 1.0, 2.0, 2.0),
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    (y,) = run("Resize", attrs, x)
    np.testing.assert_array_equal(y, x.repeat(2, 2).repeat(2, 3))


# --- whole graphs ------------------------------------------------------------------------------


def two_layers() -> Graph:
    values = {
        "x": Value("x", "float32", (1, 2)),
        "w": Value("w", "float32", (2, 2)),
        "h": Value("h", "float32", (1, 2)),
        "y": Value("y", "float32", (1, 2)),
    }
    dense = Node("fc", "Dense", ("x", "w"), ("h",), complete_attrs("Dense", {}))
    relu = Node("act", "Relu", ("h",), ("y",))
    weights = {"w": np.float32([[1, 0], [0, -1]])}
    return Graph("net", ("x",), ("y",), (dense, relu), values, weights)


def test_a_graph_gives_its_outputs_and_taps() -> None:
    x = np.float32([[2, 3]])
    found = run_reference(two_layers(), {"x": x}, taps=("h", "w", "x", "y"))
    assert list(found) == ["y", "h", "w", "x"]
    assert found["y"].tolist() == [[2, 0]]
    assert found["h"].tolist() == [[2, -3]]
    assert list(run_reference(two_layers(), {"x": x})) == ["y"]


def test_another_rule_can_stand_for_an_operators() -> None:
    rules = {**REFERENCE, "Relu": lambda node, arrays: (np.float32([[7, 7]]),)}
    found = run_reference(two_layers(), {"x": np.float32([[2, 3]])}, rules=rules)
    assert found["y"].tolist() == [[7, 7]]


def test_a_graph_that_lies_about_a_shape_is_our_bug() -> None:
    graph = two_layers()
    wrong = {**graph.values, "h": Value("h", "float32", (2, 1))}
    lying = Graph("net", graph.inputs, graph.outputs, graph.nodes, wrong, graph.constants)
    with pytest.raises(InternalError, match="'fc'"):
        run_reference(lying, {"x": np.zeros((1, 2), np.float32)})
