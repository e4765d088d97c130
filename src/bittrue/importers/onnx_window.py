"""Converters of operators that slide a window over a picture, and of those that resample it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from bittrue.graph.model import Shape
from bittrue.graph.ops import COORDINATE_MODES
from bittrue.importers.onnx_step import NotHandledError, Step

Ints = tuple[int, ...]


def conv(step: Step) -> Sequence[str]:
    """Conv in 1, 2 or 3 dimensions, its automatic padding written out."""
    kernel = _kernel_of_weights(step)
    strides, dilations = _ints(step, "strides", kernel), _ints(step, "dilations", kernel)
    attrs = {
        "strides": strides,
        "dilations": dilations,
        "pads": explicit_pads(step, kernel, strides, dilations),
        "group": step.integer("group", 1),
    }
    return [step.emit("Conv", [step.x(0), step.x(1), _bias(step)], attrs)]


def _bias(step: Step) -> str:
    """Return the bias; empty for one of zeros, which some exporters write and others leave out."""
    array = step.constant(step.x(2))
    return "" if array is not None and not array.any() else step.x(2)


def conv_transpose(step: Step) -> Sequence[str]:
    """ConvTranspose; a wanted output shape becomes padding."""
    kernel = _kernel_of_weights(step)
    strides, dilations = _ints(step, "strides", kernel), _ints(step, "dilations", kernel)
    extra = step.integers("output_padding") or (0,) * len(kernel)
    pads, extra = _transposed_pads(step, kernel, strides, dilations, extra)
    attrs = {
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "output_padding": extra,
        "group": step.integer("group", 1),
    }
    return [step.emit("ConvTranspose", [step.x(0), step.x(1), _bias(step)], attrs)]


def pool(step: Step) -> Sequence[str]:
    """MaxPool and AveragePool, automatic padding written out."""
    if step.wanted(1):
        raise NotHandledError("its second output, the indices of the maxima, is used")
    kernel = step.integers("kernel_shape")
    if kernel is None or len(kernel) != len(step.shape()) - 2:
        raise step.wrong(f"kernel_shape {kernel} does not fit input shape {step.shape()}")
    strides, dilations = _ints(step, "strides", kernel), _ints(step, "dilations", kernel)
    attrs: dict[str, object] = {
        "kernel_shape": kernel,
        "strides": strides,
        "dilations": dilations,
        "pads": explicit_pads(step, kernel, strides, dilations),
        "ceil_mode": step.flag("ceil_mode"),
    }
    if step.node.op == "AveragePool":
        attrs["count_include_pad"] = step.flag("count_include_pad")
    return [step.emit(step.node.op, [step.x()], attrs)]


def lp_pool(step: Step) -> Sequence[str]:
    """LpPool: the p-th root of the sum of |x|^p in each window, by a convolution of ones."""
    kernel, p, shape = step.integers("kernel_shape"), step.integer("p", 2), step.shape()
    if kernel is None or len(kernel) != len(shape) - 2 or min(kernel) < 1 or p < 1:
        raise step.wrong(f"kernel_shape {kernel} or p {p} does not fit input shape {shape}")
    strides, dilations = _ints(step, "strides", kernel), _ints(step, "dilations", kernel)
    pads = explicit_pads(step, kernel, strides, dilations)
    if step.integer("ceil_mode", 0):
        raise NotHandledError("its ceil_mode is set")
    step.check_size("float32", (shape[1], 1, *kernel))
    ones = step.const(np.ones((shape[1], 1, *kernel), np.float32), "ones")
    attrs = {"strides": strides, "dilations": dilations, "pads": pads, "group": shape[1]}
    return [_root(step, step.emit("Conv", [_power(step, p), ones], attrs), p)]


def global_lp_pool(step: Step) -> Sequence[str]:
    """GlobalLpPool: the same over each whole channel."""
    p, axes = step.integer("p", 2), tuple(range(2, len(step.shape())))
    over = {"axes": axes, "keepdims": 1}
    return [_root(step, step.emit("ReduceSum", [_power(step, p)], over), p)]


def _power(step: Step, p: int) -> str:
    """Return |x|^p."""
    if p == 2:
        return step.emit("Mul", [step.x(), step.x()], {})
    size = step.emit("Abs", [step.x()], {})
    return size if p == 1 else step.emit("Pow", [size, step.scalar(p)], {})


def _root(step: Step, x: str, p: int) -> str:
    if p == 1:
        return x
    return step.emit("Sqrt", [x], {}) if p == 2 else step.emit("Pow", [x, step.scalar(1 / p)], {})


def _kernel_of_weights(step: Step) -> Ints:
    shape = step.shape(1)
    kernel = shape[2:]
    stated = step.integers("kernel_shape")
    if len(shape) != len(step.shape()) or len(shape) < 3 or (stated and stated != kernel):
        raise step.wrong(
            f"input {step.shape()}, weights {shape} and kernel_shape {stated} contradict each other"
        )
    return kernel


def _ints(step: Step, name: str, kernel: Ints) -> Ints:
    """Return strides or dilations, all 1 where they are not given."""
    given = step.integers(name) or (1,) * len(kernel)
    if len(given) != len(kernel) or min(given) < 1:
        raise step.wrong(f"{name} {given} do not fit the kernel {kernel}")
    return given


def explicit_pads(step: Step, kernel: Ints, strides: Ints, dilations: Ints) -> Ints:
    """Return the padding of a window: all begins, then all ends.

    SAME pads so that there are ``ceil(size / stride)`` windows; an odd pixel goes to the end with
    SAME_UPPER and to the beginning with SAME_LOWER (ONNX, Conv, auto_pad).
    """
    mode = step.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return _given_pads(step, kernel)
    if mode == "VALID":
        return (0,) * (2 * len(kernel))
    totals = []
    for size, k, stride, dilation in zip(step.shape()[2:], kernel, strides, dilations, strict=True):
        windows = -(-size // stride)
        totals.append(max(0, (windows - 1) * stride + (k - 1) * dilation + 1 - size))
    return _halves(step, tuple(totals), upper=mode == "SAME_UPPER")


def _given_pads(step: Step, kernel: Ints) -> Ints:
    pads = step.integers("pads") or (0,) * (2 * len(kernel))
    if len(pads) != 2 * len(kernel):
        raise step.wrong(f"pads {pads} do not fit the kernel {kernel}")
    if min(pads) < 0:
        raise NotHandledError(f"its pads {pads} are negative")
    return pads


def _halves(step: Step, totals: Ints, *, upper: bool) -> Ints:
    if step.text("auto_pad", "NOTSET") not in ("SAME_UPPER", "SAME_LOWER", "NOTSET", "VALID"):
        raise step.wrong(f"auto_pad is {step.text('auto_pad', '')!r}")
    lesser = tuple(total // 2 for total in totals)
    greater = tuple(total - half for total, half in zip(totals, lesser, strict=True))
    return lesser + greater if upper else greater + lesser


def _transposed_pads(
    step: Step, kernel: Ints, strides: Ints, dilations: Ints, extra: Ints
) -> tuple[Ints, Ints]:
    """Return padding and output padding of a transposed convolution (ONNX, output_shape).

    Where the wanted shape is larger than the windows reach, the rest is output padding.
    """
    mode, sizes = step.text("auto_pad", "NOTSET"), step.shape()[2:]
    wanted = step.integers("output_shape")
    if wanted is None and mode == "NOTSET":
        return _given_pads(step, kernel), extra
    if wanted is None and mode == "VALID":
        return (0,) * (2 * len(kernel)), extra
    if wanted is None:
        wanted = tuple(size * stride for size, stride in zip(sizes, strides, strict=True))
    wanted = wanted[-len(kernel) :]
    if len(wanted) != len(kernel) or len(extra) != len(kernel):
        raise step.wrong(f"output_shape {wanted} or output_padding {extra} does not fit {kernel}")
    totals = tuple(
        stride * (size - 1) + more + (k - 1) * dilation + 1 - out
        for size, k, stride, dilation, more, out in zip(
            sizes, kernel, strides, dilations, extra, wanted, strict=True
        )
    )
    more = tuple(given + max(0, -total) for given, total in zip(extra, totals, strict=True))
    inside = tuple(max(0, total) for total in totals)
    return _halves(step, inside, upper=mode == "SAME_UPPER"), more


# --- resampling ------------------------------------------------------------------------------


def upsample(step: Step) -> Sequence[str]:
    """Upsample (opset 9) and Resize of opset 10: coordinates are divided by the scale."""
    shape = step.shape()
    scales = _scales(step, 1, shape)
    mode = step.text("mode", "nearest").replace("bilinear", "linear")
    shrinks, grows = min(scales) < 1, max(scales) > 1
    if mode == "nearest" and shrinks and grows:
        raise NotHandledError(f"it shrinks and enlarges at once (scales {scales})")
    attrs = {
        "mode": mode,
        "shape": _scaled(shape, scales),
        "scales": scales,
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "ceil" if shrinks else "floor",
    }
    return [step.emit("Resize", [step.x()], attrs)]


def resize(step: Step) -> Sequence[str]:
    """Resize of opset 11 and later, to constant scales or sizes."""
    if step.integer("antialias", 0):
        raise NotHandledError("it is antialiased")
    coordinates = step.text("coordinate_transformation_mode", "half_pixel")
    if coordinates not in COORDINATE_MODES:
        raise NotHandledError(f"its coordinate_transformation_mode is {coordinates!r}")
    out, scales = _resize_target(step)
    attrs = {
        "mode": step.text("mode", "nearest"),
        "shape": out,
        "scales": scales,
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": step.text("nearest_mode", "round_prefer_floor"),
        "cubic_coeff_a": step.number("cubic_coeff_a", -0.75),
        "exclude_outside": step.flag("exclude_outside"),
    }
    return [step.emit("Resize", [step.x()], attrs)]


def _resize_target(step: Step) -> tuple[Shape, tuple[float, ...]]:
    """Return the full output shape and the scale of each axis."""
    shape = step.shape()
    axes = step.integers("axes") or tuple(range(len(shape)))
    front = [step.from_front(axis, len(shape)) for axis in axes]
    by_scale = step.has(2) and prod(step.shape(2)) > 0
    if by_scale:
        scales = [1.0] * len(shape)
        for axis, scale in zip(front, _scales(step, 2, axes), strict=True):
            scales[axis] = scale
        return _scaled(shape, tuple(scales)), tuple(scales)
    sizes = step.whole(3, "its sizes") if step.has(3) else ()
    if len(sizes) != len(axes) or min(sizes) < 1 or min(shape) < 1:
        raise step.wrong(f"sizes {sizes} do not fit input shape {shape}")
    policy = step.text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        return _of_one_scale(step, front, sizes, policy)
    out = list(shape)
    for axis, size in zip(front, sizes, strict=True):
        out[axis] = size
    ratios = [float(np.float32(n) / np.float32(m)) for n, m in zip(out, shape, strict=True)]
    return tuple(out), tuple(ratios)


def _of_one_scale(
    step: Step, axes: Sequence[int], sizes: Ints, policy: str
) -> tuple[Shape, tuple[float, ...]]:
    """Return shape and scales where all axes get the least or the greatest of their scales."""
    if policy not in ("not_larger", "not_smaller"):
        raise step.wrong(f"keep_aspect_ratio_policy is {policy!r}")
    out = list(step.shape())
    ratios = [size / out[axis] for axis, size in zip(axes, sizes, strict=True)]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    scales = [1.0] * len(out)
    for axis in axes:
        out[axis] = int(np.floor(out[axis] * scale + 0.5))  # halves go up (ONNX, Resize)
        scales[axis] = float(np.float32(scale))
    return tuple(out), tuple(scales)


def _scales(step: Step, index: int, axes: Sequence[int]) -> tuple[float, ...]:
    array = step.array(index, "its scales") if step.has(index) else None
    given = step.node.attrs.get("scales") if array is None else array
    scales = tuple(float(item) for item in np.asarray(given, np.float32).reshape(-1))
    if len(scales) != len(axes) or not all(0 < scale < 2**20 for scale in scales):
        raise step.wrong(f"scales {scales} do not fit input shape {step.shape()}")
    return scales


def _scaled(shape: Shape, scales: tuple[float, ...]) -> Shape:
    """Return floor(size * scale), the product in float32 as ONNX Runtime computes it."""
    return tuple(
        int(np.floor(np.float32(n) * np.float32(s))) for n, s in zip(shape, scales, strict=True)
    )
