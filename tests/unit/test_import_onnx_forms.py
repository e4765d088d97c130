"""Each form that an operator has in some opset gives what ONNX Runtime gives for the file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.unit.onnx_models import N, agrees_with_source, floats, imported, model

POOL = {"kernel_shape": [3, 3], "strides": [2, 2]}
CONV = {"w": floats(4, 3, 3, 3)}
UP = np.float32([1, 1, 2, 2])
SPAN = [N("ReduceMax", ["x"], ["hi"], keepdims=0), N("Neg", ["hi"], ["lo"])]
HALF = [*SPAN, N("Mul", ["hi", "h"], ["m"]), N("Clip", ["x", "", "m"], ["y"])]
CUT = [N("Abs", ["x"], ["a"]), N("Slice", ["a", "s", "e"], ["u"])]
INDEX = [N("ArgMax", ["x"], ["i"], axis=3, keepdims=1)]
LP_POOL: dict[str, object] = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
#: What it shows, the nodes from x to y, their opset, and the constants.
FORMS: tuple[tuple[str, list[onnx.NodeProto], int, dict[str, object]], ...] = (
    (
        "same_upper",
        [N("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])],
        11,
        CONV,
    ),
    (
        "same_lower",
        [N("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER", strides=[2, 2])],
        22,
        CONV,
    ),
    ("valid", [N("Conv", ["x", "w"], ["y"], auto_pad="VALID")], 9, CONV),
    (
        "transposed",
        [N("ConvTranspose", ["x", "v"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])],
        11,
        {"v": floats(3, 2, 3, 3)},
    ),
    (
        "transposed_shape",
        [N("ConvTranspose", ["x", "v"], ["y"], output_shape=[16, 16], strides=[2, 2])],
        11,
        {"v": floats(3, 2, 4, 4)},
    ),
    ("max_pool", [N("MaxPool", ["x"], ["y"], ceil_mode=1, pads=[1, 1, 1, 1], **POOL)], 12, {}),
    ("max_pool_same", [N("MaxPool", ["x"], ["y"], auto_pad="SAME_UPPER", **POOL)], 9, {}),
    (
        "average_pool",
        [N("AveragePool", ["x"], ["y"], count_include_pad=1, pads=[1, 0, 1, 0], **POOL)],
        10,
        {},
    ),
    ("average_dilated", [N("AveragePool", ["x"], ["y"], dilations=[2, 2], **POOL)], 19, {}),
    ("upsample", [N("Upsample", ["x", "s"], ["y"], mode="nearest")], 9, {"s": UP}),
    ("upsample_linear", [N("Upsample", ["x", "s"], ["y"], mode="linear")], 9, {"s": UP}),
    (
        "resize_10",
        [N("Resize", ["x", "s"], ["y"], mode="nearest")],
        10,
        {"s": UP / np.float32([1, 1, 3, 3])},
    ),
    (
        "resize_11",
        [N("Resize", ["x", "roi", "s"], ["y"], mode="linear")],
        11,
        {"s": UP * np.float32([1, 1, 1.3, 0.8]), "roi": np.float32([])},
    ),
    (
        "resize_sizes",
        [
            N(
                "Resize",
                ["x", "", "", "n"],
                ["y"],
                mode="cubic",
                coordinate_transformation_mode="align_corners",
            )
        ],
        13,
        {"n": np.array([1, 3, 5, 11])},
    ),
    (
        "resize_axes",
        [N("Resize", ["x", "", "s"], ["y"], axes=[2, 3], mode="nearest")],
        18,
        {"s": np.float32([2, 3])},
    ),
    ("softmax_old", [N("Softmax", ["x"], ["y"], axis=1)], 11, {}),
    ("softmax_new", [N("Softmax", ["x"], ["y"], axis=1)], 13, {}),
    ("log_softmax_old", [N("LogSoftmax", ["x"], ["y"], axis=2)], 9, {}),
    ("clip_attr", [N("Clip", ["x"], ["y"], min=-0.5, max=0.25)], 9, {}),
    (
        "clip_computed",
        [N("ReduceMean", ["x"], ["lo"], keepdims=0), N("Clip", ["x", "lo", "hi"], ["y"])],
        12,
        {"hi": np.float32(0.7)},
    ),
    ("clip_input", [N("Clip", ["x", "", "hi"], ["y"])], 12, {"hi": np.float32(0.1)}),
    ("pad_attr", [N("Pad", ["x"], ["y"], pads=[0, 0, 1, 2, 0, 0, -1, 1], value=2.0)], 10, {}),
    (
        "pad_input",
        [N("Pad", ["x", "p", "v"], ["y"])],
        13,
        {"p": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "v": np.float32(2)},
    ),
    (
        "pad_axes",
        [N("Pad", ["x", "p", "", "a"], ["y"], mode="reflect")],
        18,
        {"p": np.array([1, 2]), "a": np.array([-1])},
    ),
    (
        "pad_wrap",
        [N("Pad", ["x", "p"], ["y"], mode="wrap")],
        19,
        {"p": np.array([0, 0, 1, 2, 0, 0, 1, 0])},
    ),
    (
        "slice_attr",
        [N("Slice", ["x"], ["y"], starts=[1, -3], ends=[9, 100], axes=[2, 3])],
        9,
        {},
    ),
    (
        "slice_back",
        [N("Slice", ["x", "a", "b", "c", "d"], ["y"])],
        13,
        {
            "a": np.array([-1]),
            "b": np.array([-(2**60)]),
            "c": np.array([3]),
            "d": np.array([-2]),
        },
    ),
    (
        "split_attr",
        [
            N("Split", ["x"], ["p", "q"], axis=-1, split=[3, 5]),
            N("Concat", ["q", "p"], ["y"], axis=3),
        ],
        11,
        {},
    ),
    (
        "split_uneven",
        [
            N("Split", ["x"], ["p", "q", "r"], axis=2, num_outputs=3),
            N("Concat", ["r", "q", "p"], ["y"], axis=2),
        ],
        18,
        {},
    ),
    ("reduce_attr", [N("ReduceMean", ["x"], ["y"], axes=[-1, 2], keepdims=0)], 13, {}),
    (
        "reduce_input",
        [N("ReduceMean", ["x", "a"], ["y"], keepdims=0)],
        18,
        {"a": np.array([-1, 2])},
    ),
    ("reduce_sum_13", [N("ReduceSum", ["x", "a"], ["y"])], 13, {"a": np.array([1])}),
    ("reduce_all", [N("ReduceSumSquare", ["x"], ["y"])], 13, {}),
    ("reduce_nothing", [N("ReduceMax", ["x"], ["y"], noop_with_empty_axes=1)], 18, {}),
    (
        "squeeze_11",
        [N("Squeeze", ["x"], ["s"], axes=[0]), N("Unsqueeze", ["s"], ["y"], axes=[-1, 0])],
        11,
        {},
    ),
    (
        "squeeze_13",
        [N("Squeeze", ["x"], ["s"]), N("Unsqueeze", ["s", "a"], ["y"])],
        13,
        {"a": np.array([0, 4])},
    ),
    ("flatten", [N("Flatten", ["x"], ["y"], axis=-2)], 13, {}),
    (
        "batch_norm",
        [N("BatchNormalization", ["x", "s", "b", "b", "s"], ["y"], epsilon=0.01)],
        9,
        {"s": np.float32([1, 2, 3]), "b": floats(3)},
    ),
    (
        "gemm",
        [
            N("Flatten", ["x"], ["f"]),
            N("Gemm", ["f", "w", "b"], ["y"], transB=1, alpha=0.5, beta=2.0),
        ],
        11,
        {"w": floats(4, 192), "b": floats(4)},
    ),
    (
        "chain",
        [
            N("Max", ["x", "c", "d"], ["m"]),
            N("Sum", ["m", "x", "c"], ["s"]),
            N("Mean", ["s", "x", "d"], ["y"]),
        ],
        13,
        {"c": floats(3, 8, 8), "d": floats(1)},
    ),
    (
        "layer_norm",
        [N("LayerNormalization", ["x", "s", "b"], ["y"], axis=-1)],
        17,
        {"s": floats(8), "b": floats(8)},
    ),
    (
        "instance_norm",
        [N("InstanceNormalization", ["x", "s", "b"], ["y"])],
        9,
        {"s": floats(3), "b": floats(3)},
    ),
    (
        "group_norm",
        [N("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=3)],
        21,
        {"s": floats(3), "b": floats(3)},
    ),
    ("gelu", [N("Gelu", ["x"], ["y"], approximate="tanh")], 20, {}),
    ("pow_int", [N("Pow", ["x", "e"], ["y"])], 13, {"e": np.int64(2)}),
    ("expand", [N("Expand", ["x", "s"], ["y"])], 13, {"s": np.array([2, 1, 1, 8, 1])}),
    (
        "conv_1d",
        [N("Reshape", ["x", "t"], ["r"]), N("Conv", ["r", "w"], ["y"], pads=[1, 1])],
        13,
        {"t": np.array([1, 3, 64]), "w": floats(2, 3, 3)},
    ),
    (
        "conv_3d",
        [N("Reshape", ["x", "t"], ["r"]), N("Conv", ["r", "w"], ["y"], auto_pad="SAME_UPPER")],
        13,
        {"t": np.array([1, 3, 4, 4, 4]), "w": floats(2, 3, 2, 2, 2)},
    ),
    ("clip_half_computed", HALF, 13, {"h": np.float32(0.5)}),
    (
        "slice_assigned",
        [*CUT, N("Reshape", ["u", "t"], ["v"]), N("ScatterND", ["x", "p", "v"], ["y"])],
        16,
        {
            "p": np.array([[0, 1], [0, -3]]),
            "s": np.array([0, 1]),
            "e": np.array([1, 3]),
            "t": np.array([2, 8, 8]),
        },
    ),
    (
        "scatter_at_run_time",
        [*CUT, N("ScatterElements", ["x", "q", "u"], ["y"], axis=2, reduction="add")],
        16,
        {"q": np.full((1, 3, 1, 8), -1), "s": np.array([0, 0, 7]), "e": np.array([1, 3, 8])},
    ),
    ("gather_at_run_time", [*INDEX, N("GatherElements", ["x", "i"], ["y"], axis=3)], 13, {}),
    (
        "running_sum",
        [N("CumSum", ["x", "a"], ["y"], exclusive=1, reverse=1)],
        14,
        {"a": np.int64(-2)},
    ),
    ("lp_pool_3", [N("LpPool", ["x"], ["y"], p=3, **LP_POOL)], 18, {}),
    ("lp_pool_1", [N("LpPool", ["x"], ["y"], p=1, **LP_POOL)], 18, {}),
    ("global_lp_pool", [N("GlobalLpPool", ["x"], ["y"])], 13, {}),
    ("log_sum_exp", [N("ReduceLogSumExp", ["x"], ["y"], axes=[1, 3], keepdims=0)], 13, {}),
    ("hard_max_old", [N("Hardmax", ["x"], ["y"], axis=2)], 11, {}),
    (
        "layer_norm_statistics",
        [
            N("LayerNormalization", ["x", "g"], ["n", "m", "d"]),
            N("Add", ["n", "m"], ["s"]),
            N("Add", ["s", "d"], ["y"]),
        ],
        17,
        {"g": floats(8)},
    ),
    ("lrn", [N("LRN", ["x"], ["y"], size=5, alpha=0.1, beta=0.6, bias=1.5)], 13, {}),
    (
        "batch_norm_7",
        [N("BatchNormalization", ["x", "s", "b", "b", "s"], ["y"])],
        7,
        {"s": np.float32([1, 2, 3]), "b": floats(3)},
    ),
    ("upsample_7", [N("Upsample", ["x"], ["y"], scales=[1.0, 1, 2, 3])], 7, {}),
    (
        "one_hot",
        [
            N("ArgMax", ["x"], ["i"], axis=1, keepdims=0),
            N("OneHot", ["i", "n", "o"], ["h"], axis=1),
            N("Mul", ["x", "h"], ["y"]),
        ],
        13,
        {"n": np.int64(3), "o": np.float32([0, 2])},
    ),
    ("trilu", [N("Trilu", ["x", "k"], ["y"], upper=0)], 14, {"k": np.int64(-1)}),
    (
        "xor",
        [
            N("Greater", ["x", "z"], ["p"]),
            N("Less", ["x", "h"], ["q"]),
            N("Xor", ["p", "q"], ["r"]),
            N("Where", ["r", "x", "z"], ["y"]),
        ],
        13,
        {"z": np.float32(0), "h": np.float32(0.5)},
    ),
    (
        "grown_output",
        [N("ConvTranspose", ["x", "w"], ["y"], strides=[3, 2], output_shape=[25, 18])],
        13,
        {"w": floats(3, 2, 3, 3)},
    ),
)


@pytest.mark.parametrize(
    ("nodes", "opset", "constants"),
    [pytest.param(*row[1:], id=row[0]) for row in FORMS],
)
def test_each_form_gives_what_onnx_runtime_gives(
    nodes: list[onnx.NodeProto], opset: int, constants: dict[str, object]
) -> None:
    data = model(nodes, opset=opset, **constants)
    agrees_with_source(data, imported(data))
