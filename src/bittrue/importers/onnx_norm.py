"""Converters of normalisations, which are written out in elementary operators."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from bittrue.importers.onnx_elementwise import direct
from bittrue.importers.onnx_step import NotHandledError, Step


def batch_norm(step: Step) -> Sequence[str]:
    """BatchNormalization with stored statistics; before opset 9 with one a channel only."""
    if step.integer("training_mode", 0) or any(step.wanted(index) for index in range(1, 5)):
        raise NotHandledError("it is in training mode; export the network in eval mode")
    if step.opset < 9 and not step.integer("spatial", 1):
        raise NotHandledError("it has statistics for each pixel (spatial=0)")
    return direct(step)


def layer_norm(step: Step) -> Sequence[str]:
    """LayerNormalization: (x - mean) / sqrt(variance + epsilon) * scale + bias.

    Its second and third output are the mean and 1 / sqrt(variance + epsilon).
    """
    rank = len(step.shape())
    axes = tuple(range(step.axis(-1, rank), rank))
    mean, centred, deviation = _moments(step, step.x(), axes)
    result = step.emit("Div", [centred, deviation], {})
    result = step.emit("Mul", [result, step.x(1)], {})
    result = step.emit("Add", [result, step.x(2)], {}) if step.has(2) else result
    if not step.wanted(1) and not step.wanted(2):
        return [result]
    return [result, mean, step.emit("Reciprocal", [deviation], {})]


def rms_norm(step: Step) -> Sequence[str]:
    """RMSNormalization: x / sqrt(mean of x^2 + epsilon) * scale."""
    rank, x = len(step.shape()), step.x()
    over = {"axes": tuple(range(step.axis(-1, rank), rank)), "keepdims": 1}
    mean = step.emit("ReduceMean", [step.emit("Mul", [x, x], {})], over)
    shifted = step.emit("Add", [mean, step.scalar(step.number("epsilon", 1e-5))], {})
    result = step.emit("Div", [x, step.emit("Sqrt", [shifted], {})], {})
    return [step.emit("Mul", [result, step.x(1)], {})]


def instance_norm(step: Step) -> Sequence[str]:
    """InstanceNormalization: each channel of each sample by its own mean and variance."""
    result = _standardised(step, step.x(), tuple(range(2, len(step.shape()))))
    return [_scaled(step, result, (-1,) + (1,) * (len(step.shape()) - 2))]


def group_norm(step: Step) -> Sequence[str]:
    """GroupNormalization; scale and bias are one a group before opset 21, then one a channel."""
    shape, groups = step.shape(), step.integer("num_groups")
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        raise step.wrong(f"{groups} groups do not divide the channels of {shape}")
    sizes = (shape[0], groups, prod(shape[1:]) // groups)
    rows = step.emit("Reshape", [step.x()], {"shape": sizes})
    result = _standardised(step, rows, (2,))
    if step.opset < 21:
        result = _scaled(step, result, (-1, 1))
        return [step.emit("Reshape", [result], {"shape": shape})]
    result = step.emit("Reshape", [result], {"shape": shape})
    return [_scaled(step, result, (-1,) + (1,) * (len(shape) - 2))]


def mean_variance(step: Step) -> Sequence[str]:
    """MeanVarianceNormalization: (x - mean) / (sqrt(variance) + 1e-9) over axes."""
    rank = len(step.shape())
    axes = step.integers("axes") or (0, 2, 3)
    front = tuple(sorted({step.from_front(axis, rank) for axis in axes}))
    _, centred, variance = _centred(step, step.x(), front)
    deviation = step.emit("Sqrt", [variance], {})
    shifted = step.emit("Add", [deviation, step.scalar(1e-9)], {})
    return [step.emit("Div", [centred, shifted], {})]


def lp_norm(step: Step) -> Sequence[str]:
    """LpNormalization: x / its norm along one axis; where the norm is 0, so is the result."""
    rank, p, x = len(step.shape()), step.integer("p", 2), step.x()
    over = {"axes": (step.axis(-1, rank),), "keepdims": 1}
    if p not in (1, 2):
        raise step.wrong(f"p is {p}, not 1 or 2")
    norm = (
        step.emit("ReduceL2", [x], over)
        if p == 2
        else step.emit("ReduceSum", [step.emit("Abs", [x], {})], over)
    )
    # x is 0 wherever its norm is, so any other divisor gives the 0 that is wanted.
    nothing = step.emit("Equal", [norm, step.scalar(0.0)], {})
    divisor = step.emit("Where", [nothing, step.scalar(1.0), norm], {})
    return [step.emit("Div", [x, divisor], {})]


def local_response(step: Step) -> Sequence[str]:
    """LRN: x / (bias + alpha * mean of x^2 over neighbouring channels) ^ beta.

    ONNX divides the sum by `size` at the border, too: an average over padded zeros.
    """
    shape, size = step.shape(), step.integer("size")
    if len(shape) < 2 or size < 1:
        raise step.wrong(f"size {size} does not fit input shape {shape}")
    flat = (shape[0], 1, shape[1], prod(shape[2:]))
    square = step.emit("Reshape", [step.emit("Mul", [step.x()] * 2, {})], {"shape": flat})
    before = (size - 1) // 2
    window = {
        "kernel_shape": (size, 1),
        "strides": (1, 1),
        "dilations": (1, 1),
        "pads": (before, 0, size - 1 - before, 0),
        "count_include_pad": 1,
    }
    mean = step.emit("AveragePool", [square], window)  # [N, 1, C, H*W]
    mean = step.emit("Reshape", [mean], {"shape": shape})
    part = step.emit("Mul", [mean, step.scalar(step.number("alpha", 1e-4))], {})
    part = step.emit("Add", [part, step.scalar(step.number("bias", 1.0))], {})
    part = step.emit("Pow", [part, step.scalar(step.number("beta", 0.75))], {})
    return [step.emit("Div", [step.x(), part], {})]


# --- the parts -------------------------------------------------------------------------------


def _centred(step: Step, x: str, axes: tuple[int, ...]) -> tuple[str, str, str]:
    """Return the mean over axes, x without it, and the variance."""
    over = {"axes": axes, "keepdims": 1}
    mean = step.emit("ReduceMean", [x], over)
    centred = step.emit("Sub", [x, mean], {})
    square = step.emit("Mul", [centred, centred], {})
    return mean, centred, step.emit("ReduceMean", [square], over)


def _moments(step: Step, x: str, axes: tuple[int, ...]) -> tuple[str, str, str]:
    """Return the mean over axes, x without it, and sqrt(variance + epsilon)."""
    mean, centred, variance = _centred(step, x, axes)
    epsilon = step.const(np.asarray(step.number("epsilon", 1e-5), np.float32), "epsilon")
    return mean, centred, step.emit("Sqrt", [step.emit("Add", [variance, epsilon], {})], {})


def _standardised(step: Step, x: str, axes: tuple[int, ...]) -> str:
    _, centred, deviation = _moments(step, x, axes)
    return step.emit("Div", [centred, deviation], {})


def _scaled(step: Step, x: str, column: tuple[int, ...]) -> str:
    """Return x * scale + bias, inputs 1 and 2, both reshaped to `column` with its -1 filled in."""
    sizes = [tuple(prod(step.shape(index)) if n < 0 else n for n in column) for index in (1, 2)]
    scale = step.emit("Reshape", [step.x(1)], {"shape": sizes[0]})  # [C, 1, ...]
    bias = step.emit("Reshape", [step.x(2)], {"shape": sizes[1]})
    return step.emit("Add", [step.emit("Mul", [x, scale], {}), bias], {})
