"""Convolutions, transposed convolutions and dense layers: all of them are CONV."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from bittrue import arith
from bittrue.arith import F64, I8, QParams
from bittrue.compiler.constants import (
    Refusal,
    Window,
    accumulator_scale,
    check_sums,
    check_windows,
    clip_codes,
    convolution_sums,
    zero_of_channels,
)
from bittrue.compiler.lower_elementwise import clamped
from bittrue.compiler.lower_float import float_clip
from bittrue.compiler.lower_state import Lowering, Operand, channels_last
from bittrue.graph.model import Node
from bittrue.quant.model import WeightCodes


@dataclass(frozen=True, slots=True)
class Layer:
    """What all convolutions of one node share.

    Args:
        node: The node.
        x: Codes of the input, for their zero point and scales.
        weights: Of the node, for their scales.
        bias: float64 [O] or None.
        offset: float64 [C] or None.
        groups: Channel groups.
        out: Codes of the output; None for float32.
    """

    node: Node
    x: QParams
    weights: WeightCodes
    bias: F64 | None
    offset: F64 | None
    groups: int
    out: QParams | None


def read_layer(low: Lowering, node: Node, groups: int) -> tuple[Operand, Layer]:
    """Return the input of a node with weights, and what its convolutions share."""
    operand, x = low.codes(node.inputs[0])
    weights = low.quantized.weights.get(node.name)
    if weights is None:
        raise Refusal("its weights are computed or were not quantised")
    bias, offset = low.given(node, 2), low.given(node, 3)
    layer = Layer(
        node,
        x,
        weights,
        None if bias is None else bias.astype(np.float64).reshape(-1),
        None if offset is None else offset.astype(np.float64).reshape(-1),
        groups,
        low.expected(node.outputs[0]),
    )
    return operand, layer


def convolve(
    low: Lowering, layer: Layer, x: Operand, codes: I8, windows: tuple[Window, Window], copies: int
) -> Operand:
    """Emit one CONV and return its result, before a clip that codes cannot express.

    Args:
        low: The program.
        layer: Scales, bias and groups.
        x: uint8, physical [N, H, W, C].
        codes: int8 [O * copies, KH, KW, C/groups].
        windows: Vertical and horizontal axis.
        copies: How often each output channel comes, one after the other all channels at a time.

    Raises:
        Refusal: if a figure leaves what the engine promises.
    """
    check_windows(windows)
    scale = accumulator_scale(layer.x, layer.weights.scale, layer.weights.input_scale)
    zero = zero_of_channels(layer.x, x.shape[3], layer.offset, layer.weights.input_scale)
    bias = None if layer.bias is None else np.tile(layer.bias, copies)
    sums = convolution_sums(codes, bias, np.tile(scale, copies), zero, windows)
    out_scale = 1.0 if layer.out is None else np.tile(_per_output(layer.out, scale.size), copies)
    multiplier = arith.multiplier(sums.scale, np.asarray(out_scale, np.float64))
    check_sums(codes, sums.bias, multiplier, rounds=layer.out is not None)
    y = low.raw((x.shape[0], windows[0].count, windows[1].count, codes.shape[0]), _plain(layer.out))
    inputs = (
        x.tensor,
        low.constant("weight", codes),
        low.constant("bias", sums.bias),
        low.constant("row_class", sums.row_class),
        low.constant("col_class", sums.col_class),
        low.constant("multiplier", multiplier),
    )
    params = window_params(windows) | {"groups": layer.groups} | _range(layer)
    return low.emit("CONV", inputs, y, params)


def window_params(windows: tuple[Window, Window]) -> dict[str, int]:
    """Return the parameters that all windowed instructions have."""
    rows, cols = windows
    return {
        "stride_h": rows.stride,
        "stride_w": cols.stride,
        "dilation_h": rows.dilation,
        "dilation_w": cols.dilation,
        "pad_top": rows.pad,
        "pad_left": cols.pad,
    }


def _per_output(out: QParams, count: int) -> F64:
    return np.broadcast_to(out.scale.astype(np.float64), (count,))


def _plain(out: QParams | None) -> QParams | None:
    """Return the codes of a raw result, whose channels lie last in its own shape."""
    if out is None or not out.per_channel:
        return out
    return QParams(out.scale, out.zero_point, 3)


def _range(layer: Layer) -> dict[str, int]:
    """Return zero point and the codes that all channels are clipped to."""
    if layer.out is None:
        return {"zero_point": 0, "lo": 0, "hi": 0}
    lo, hi = clip_codes(layer.node, layer.out)
    return {"zero_point": layer.out.zero_point, "lo": int(lo.min()), "hi": int(hi.max())}


def finished(low: Lowering, layer: Layer, y: Operand) -> Operand:
    """Return the node's output from its sums: the clip where CONV could not express it."""
    if layer.out is None:
        return float_clip(low, layer.node, y)
    return clamped(low, layer.node, y, layer.out)


# --- pictures --------------------------------------------------------------------------------


def picture(low: Lowering, operand: Operand) -> Operand:
    """Return [N, C, L] or [N, C, H, W] as a raw operand [N, H, W, C], H being 1 for a line.

    Raises:
        Refusal: for any other rank.
    """
    if len(operand.shape) not in (3, 4):
        raise Refusal(f"its input has {len(operand.shape)} axes, only 3 and 4 are handled")
    last = low.laid_out(operand, channels_last(len(operand.shape)))
    shape = last.physical
    return low.raw_view(last, (shape[0], 1, *shape[1:]) if len(shape) == 3 else shape)


def unpicture(low: Lowering, y: Operand, layer_out: QParams | None, rank: int) -> Operand:
    """Return a raw [N, H, W, C] as the logical value [N, C, L] or [N, C, H, W]."""
    batch, height, width, channels = y.shape
    shape = (batch, channels, width) if rank == 3 else (batch, channels, height, width)
    seen = low.view(y, shape, channels_last(rank))
    return Operand(seen.tensor, seen.shape, seen.perm, layer_out)


def both(items: tuple[int, ...], filler: int) -> tuple[int, int]:
    """Return an attribute of one or two spatial axes as a pair."""
    return (filler, items[0]) if len(items) == 1 else (items[0], items[1])


def windows_of(
    node: Node, x: Operand, counts: tuple[int, int], kernel: tuple[int, int]
) -> tuple[Window, Window]:
    """Return the windows of a Conv or a pooling on a raw picture."""
    strides, dilations = both(node.ints("strides"), 1), both(node.ints("dilations"), 1)
    begins = both(node.ints("pads")[: len(node.ints("strides"))], 0)
    rows, cols = (
        Window(x.shape[1 + d], counts[d], kernel[d], strides[d], dilations[d], begins[d])
        for d in range(2)
    )
    return rows, cols


def counts_of(low: Lowering, node: Node) -> tuple[int, int]:
    """Return the number of output rows and columns."""
    return both(low.value(node.outputs[0]).shape[2:], 1)


# --- the operators ---------------------------------------------------------------------------


def lower_conv(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Conv, 1-D as a picture of one row."""
    operand, layer = read_layer(low, node, node.integer("group"))
    x = picture(low, operand)
    codes = layer.weights.codes
    planes = codes[:, :, None, :] if codes.ndim == 3 else codes  # [O, I/g, KH, KW]
    kernel = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    windows = windows_of(node, x, counts_of(low, node), (kernel.shape[1], kernel.shape[2]))
    y = convolve(low, layer, x, kernel, windows, 1)
    return (finished(low, layer, unpicture(low, y, layer.out, len(operand.shape))),)


def lower_dense(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower Dense as a 1x1 convolution whose pixels are all positions before the last axis."""
    operand, layer = read_layer(low, node, 1)
    if layer.x.per_channel or (layer.out is not None and layer.out.per_channel):
        raise Refusal("its input or output has one scale a channel")
    rank, (outputs, depth) = len(operand.shape), layer.weights.codes.shape
    lying = low.laid_out(operand, channels_last(rank, rank - 1, operand.perm))
    count = int(np.prod(operand.shape[:-1]))
    x = low.raw_view(lying, (1, 1, count, depth))
    codes = np.ascontiguousarray(layer.weights.codes).reshape(outputs, 1, 1, depth)
    y = convolve(low, layer, x, codes, (Window(1, 1, 1), Window(count, count, 1)), 1)
    seen = low.view(y, (*operand.shape[:-1], outputs), lying.perm)
    return (finished(low, layer, seen),)


# --- transposed convolution ------------------------------------------------------------------


def lower_conv_transpose(low: Lowering, node: Node) -> tuple[Operand, ...]:
    """Lower ConvTranspose: one convolution a phase of the strides, whose results interleave.

    Output o collects input i through tap k where ``o = i*stride - pad + k*dilation``. The outputs
    ``o = phase + stride*t`` of one phase see the taps with ``k*dilation = phase + pad`` modulo the
    stride, each at ``i = t + (phase + pad - k*dilation) / stride``: a convolution of stride 1.
    """
    operand, layer = read_layer(low, node, node.integer("group"))
    if layer.out is not None and layer.out.per_channel:
        raise Refusal("its output has one scale a channel")
    x = picture(low, operand)
    kernels = _forward_kernels(layer)  # [O, KH, KW, I/g]
    if _is_blocks(node, kernels, layer):
        y = _blocks(low, layer, x, kernels)
    else:
        y = _phases(low, layer, x, kernels)
    return (finished(low, layer, unpicture(low, y, layer.out, len(operand.shape))),)


def _forward_kernels(layer: Layer) -> I8:
    """Return the weights [I, O/g, KH, KW] as a convolution holds them, int8 [O, KH, KW, I/g]."""
    codes = layer.weights.codes
    planes = codes[:, :, None, :] if codes.ndim == 3 else codes
    inputs, outputs, height, width = planes.shape
    split = planes.reshape(layer.groups, inputs // layer.groups, outputs, height, width)
    return np.ascontiguousarray(
        split.transpose(0, 2, 3, 4, 1).reshape(-1, height, width, inputs // layer.groups)
    )


def _is_blocks(node: Node, kernels: I8, layer: Layer) -> bool:
    """Return whether every input makes a block of its own, which touches no other."""
    strides = both(node.ints("strides"), 1)
    plain = not any((*node.ints("pads"), *node.ints("output_padding")))
    return plain and layer.groups == 1 and strides == kernels.shape[1:3] and strides != (1, 1)


def _blocks(low: Lowering, layer: Layer, x: Operand, kernels: I8) -> Operand:
    """Return one 1x1 convolution with a channel for every pixel of a block, and one COPY."""
    outputs, down, right, depth = kernels.shape
    codes = np.ascontiguousarray(kernels.transpose(1, 2, 0, 3)).reshape(-1, 1, 1, depth)
    batch, height, width, _ = x.shape
    windows = (Window(height, height, 1), Window(width, width, 1))
    y = convolve(low, layer, x, codes, windows, down * right)  # [N, H, W, down * right * O]
    target = low.raw((batch, height * down, width * right, outputs), y.qparams)
    row = width * right * outputs
    axes = [
        (batch * height, width * down * right * outputs, down * row),
        (width, down * right * outputs, right * outputs),
        (down, right * outputs, row),
        (right * outputs, 1, 1),
    ]
    low.copy(y, target, axes)
    return target


def _phases(low: Lowering, layer: Layer, x: Operand, kernels: I8) -> Operand:
    counts = counts_of(low, layer.node)
    strides = both(layer.node.ints("strides"), 1)
    shape = (x.shape[0], *counts, kernels.shape[0])
    target = None if strides == (1, 1) else low.raw(shape, _plain(layer.out))
    for row in range(min(strides[0], counts[0])):
        for col in range(min(strides[1], counts[1])):
            part = _phase(low, layer, x, kernels, (row, col))
            if target is None:
                return part
            _interleave(low, part, target, strides, (row, col))
    if target is None:
        raise Refusal("it has no output")
    return target


def _phase(low: Lowering, layer: Layer, x: Operand, kernels: I8, phase: tuple[int, int]) -> Operand:
    node, counts = layer.node, counts_of(low, layer.node)
    strides, dilations = both(node.ints("strides"), 1), both(node.ints("dilations"), 1)
    begins = both(node.ints("pads")[: len(node.ints("strides"))], 0)
    codes, windows = kernels, []
    for d in range(2):
        count = -(-(counts[d] - phase[d]) // strides[d])
        taps, window = _phase_taps(
            kernels.shape[1 + d], strides[d], dilations[d], begins[d] + phase[d]
        )
        # A phase that no tap reaches holds the bias alone: one tap of weight 0.
        codes = np.take(codes, taps or [0], axis=1 + d) * np.int8(bool(taps))
        windows.append(Window(x.shape[1 + d], count, max(1, len(taps)), 1, window[0], window[1]))
    return convolve(low, layer, x, np.ascontiguousarray(codes), (windows[0], windows[1]), 1)


def _phase_taps(
    kernel: int, stride: int, dilation: int, start: int
) -> tuple[list[int], tuple[int, int]]:
    """Return the taps of one phase in the order of the inputs they read, their dilation and pad.

    Args:
        kernel: Number of taps.
        stride: Of the transposed convolution.
        dilation: Of the transposed convolution.
        start: Phase plus pad.
    """
    shifts = [
        ((start - tap * dilation) // stride, tap)
        for tap in reversed(range(kernel))
        if (start - tap * dilation) % stride == 0
    ]
    if not shifts:
        return [], (1, 0)
    return [tap for _, tap in shifts], (dilation // gcd(stride, dilation), -shifts[0][0])


def _interleave(
    low: Lowering, part: Operand, target: Operand, strides: tuple[int, int], phase: tuple[int, int]
) -> None:
    _, height, width, channels = target.shape
    batch, rows, cols, _ = part.shape
    row = width * channels
    axes = [
        (batch, rows * cols * channels, height * row),
        (rows, cols * channels, strides[0] * row),
        (cols, channels, strides[1] * channels),
        (channels, 1, 1),
    ]
    low.copy(part, target, axes, (0, phase[0] * row + phase[1] * channels))
