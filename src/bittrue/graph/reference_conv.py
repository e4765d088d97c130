"""The float meaning of convolutions, matrix products and pooling, in NumPy.

Spatial axes may be any number. All windows are written as slices: tap (i, j) of every window at
once is ``x[..., i * dilation :: stride, j * dilation :: stride]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

import numpy as np

from bittrue.graph.model import Node
from bittrue.graph.reference_arrays import Arrays, Results, clipped, given, optional
from bittrue.graph.windows import transposed_size, window_count, window_reach

# --- windows ---------------------------------------------------------------------------------


def _taps(
    kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], sizes: Sequence[int]
) -> Iterator[tuple[slice, ...]]:
    """Return, for each tap in row-major order, the slices of the padded input that it reads."""
    for tap in product(*(range(size) for size in kernel)):
        yield tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, s, n in zip(tap, dilations, strides, sizes, strict=True)
        )


def _padded(x: np.ndarray, pads: Sequence[int], fill: float) -> np.ndarray:
    """Return x with a border on its spatial axes; pads are all begins, then all ends."""
    dims = len(pads) // 2
    if not any(pads):
        return x
    border = [(0, 0), (0, 0), *((pads[d], pads[dims + d]) for d in range(dims))]
    return np.pad(x, border, constant_values=fill)


def _columns(
    x: np.ndarray, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return every window of one padded image as a column.

    Args:
        x: [C, *spatial].
        kernel: Taps an axis.
        strides: Distance of two windows an axis.
        dilations: Distance of two taps an axis.

    Returns:
        [C, taps, windows] and the number of windows an axis.
    """
    sizes = tuple(
        window_count(n, window_reach(k, d), s, 0, 0, False)
        for n, k, s, d in zip(x.shape[1:], kernel, strides, dilations, strict=True)
    )
    columns = np.empty((x.shape[0], prod(kernel), *sizes), x.dtype)
    for index, window in enumerate(_taps(kernel, strides, dilations, sizes)):
        columns[:, index] = x[(slice(None), *window)]
    return columns.reshape(x.shape[0], prod(kernel), prod(sizes)), sizes


# --- convolutions ----------------------------------------------------------------------------


def conv(node: Node, arrays: Arrays) -> Results:
    """Return the convolution; with an offset, each tap inside x has offset[channel] subtracted.

    The offset is subtracted before the padding is put around x, so that a padded tap is a real 0.

    Args:
        node: A Conv.
        arrays: x [N, C, *spatial], w [O, C/group, *kernel], b [O] or None, offset [C] or None.
    """
    x, w = given(arrays, 0), given(arrays, 1)
    bias, offset = optional(arrays, 2), optional(arrays, 3)
    dims, group = x.ndim - 2, node.integer("group")
    if offset is not None:
        x = x - offset.reshape(-1, *(1,) * dims)
    padded = _padded(x, node.ints("pads"), 0)
    strides, dilations = node.ints("strides"), node.ints("dilations")
    matrix = w.reshape(group, w.shape[0] // group, -1)  # [G, O/G, C/G*taps]
    images = []
    for image in padded:  # one at a time: the columns are `taps` times as large as the image
        columns, sizes = _columns(image, w.shape[2:], strides, dilations)
        columns = columns.reshape(group, matrix.shape[2], -1)  # [G, C/G*taps, windows]
        images.append(np.matmul(matrix, columns).reshape(w.shape[0], *sizes))
    return (_finished(node, np.stack(images), bias),)


def conv_transpose(node: Node, arrays: Arrays) -> Results:
    """Return the transposed convolution: each pixel of x adds w, scaled, to a window of y.

    Args:
        node: A ConvTranspose.
        arrays: x [N, C, *spatial], w [C, O/group, *kernel], b [O] or None.
    """
    x, w, bias = given(arrays, 0), given(arrays, 1), optional(arrays, 2)
    dims, group = x.ndim - 2, node.integer("group")
    strides, dilations = node.ints("strides"), node.ints("dilations")
    pads, extra = node.ints("pads"), node.ints("output_padding")
    sizes, kernel = x.shape[2:], w.shape[2:]
    full = tuple(
        transposed_size(sizes[d], window_reach(kernel[d], dilations[d]), strides[d], extra[d])
        for d in range(dims)
    )
    matrix = w.reshape(group, x.shape[1] // group, -1).transpose(0, 2, 1)  # [G, O/G*taps, C/G]
    pixels = x.reshape(x.shape[0], group, x.shape[1] // group, -1)  # [N, G, C/G, P]
    shares = np.matmul(matrix, pixels)  # [N, G, O/G*taps, P]
    shares = shares.reshape(x.shape[0], w.shape[1] * group, prod(kernel), *sizes)
    y = np.zeros((*shares.shape[:2], *full), x.dtype)
    for index, window in enumerate(_taps(kernel, strides, dilations, sizes)):
        y[(slice(None), slice(None), *window)] += shares[:, :, index]
    inside = tuple(slice(pads[d], full[d] - pads[dims + d]) for d in range(dims))
    return (_finished(node, y[(slice(None), slice(None), *inside)], bias),)


def _finished(node: Node, y: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Return y + bias along axis 1, clipped."""
    if bias is not None:
        y = y + bias.reshape(-1, *(1,) * (y.ndim - 2))
    return clipped(node, y)


# --- matrix products -------------------------------------------------------------------------


def dense(node: Node, arrays: Arrays) -> Results:
    """Return ``x w' + b``, clipped; x [.., K], w [O, K], b [O] or None."""
    x, w, bias = given(arrays, 0), given(arrays, 1), optional(arrays, 2)
    y = x @ w.T  # [.., O]
    return (clipped(node, y if bias is None else y + bias),)


def matmul(node: Node, arrays: Arrays) -> Results:
    """Return the matrix product of a and b, leading axes broadcast."""
    return (np.asarray(np.matmul(given(arrays, 0), given(arrays, 1))),)


def gemm(node: Node, arrays: Arrays) -> Results:
    """Return ``alpha a b + beta c``, a and b transposed where asked."""
    a, b, c = given(arrays, 0), given(arrays, 1), optional(arrays, 2)
    kind = a.dtype.type
    left = a.T if node.flag("transA") else a
    right = b.T if node.flag("transB") else b
    y = kind(node.number("alpha")) * (left @ right)
    return (y if c is None else y + kind(node.number("beta")) * c,)


def batch_norm(node: Node, arrays: Arrays) -> Results:
    """Return ``(x - mean) * (scale / sqrt(var + epsilon)) + bias`` along axis 1."""
    x = given(arrays, 0)
    lay = (-1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else (-1,)
    scale, bias, mean, var = (given(arrays, i).astype(x.dtype).reshape(lay) for i in range(1, 5))
    factor = scale / np.sqrt(var + x.dtype.type(node.number("epsilon")))
    return ((x - mean) * factor + bias,)


# --- pooling ---------------------------------------------------------------------------------


def max_pool(node: Node, arrays: Arrays) -> Results:
    """Return the greatest tap of each window; taps outside x do not count."""
    x = given(arrays, 0)
    floats = np.issubdtype(x.dtype, np.floating)
    least = -np.inf if floats else np.iinfo(x.dtype).min
    padded, sizes = _pool_input(node, x, least)
    y = np.full((*x.shape[:2], *sizes), least, x.dtype)
    for window in _taps(
        node.ints("kernel_shape"), node.ints("strides"), node.ints("dilations"), sizes
    ):
        y = np.maximum(y, padded[(slice(None), slice(None), *window)], out=y)
    return (y,)


def average_pool(node: Node, arrays: Arrays) -> Results:
    """Return the mean of each window over its taps inside x, or inside x and its padding."""
    x = given(arrays, 0)
    padded, sizes = _pool_input(node, x, 0)
    pads, dims = node.ints("pads"), x.ndim - 2
    counted = np.ones((1, 1, *x.shape[2:]), x.dtype)
    border = 1 if node.flag("count_include_pad") else 0
    counted = _padded(counted, pads, border)
    hang = [(0, padded.shape[2 + d] - counted.shape[2 + d]) for d in range(dims)]
    counted = np.pad(counted, [(0, 0), (0, 0), *hang])
    total = np.zeros((*x.shape[:2], *sizes), x.dtype)
    count = np.zeros((1, 1, *sizes), x.dtype)
    for window in _taps(
        node.ints("kernel_shape"), node.ints("strides"), node.ints("dilations"), sizes
    ):
        total += padded[(slice(None), slice(None), *window)]
        count += counted[(slice(None), slice(None), *window)]
    return (total / count,)


def _pool_input(node: Node, x: np.ndarray, fill: float) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return x padded as far as the last windows reach, and the number of windows an axis."""
    dims, pads = x.ndim - 2, list(node.ints("pads"))
    kernel, strides = node.ints("kernel_shape"), node.ints("strides")
    dilations, ceil = node.ints("dilations"), node.flag("ceil_mode")
    sizes = []
    for d in range(dims):
        reach = window_reach(kernel[d], dilations[d])
        before, after, length = pads[d], pads[dims + d], x.shape[2 + d]
        count = window_count(length, reach, strides[d], before, after, ceil)
        end = (count - 1) * strides[d] + reach
        pads[dims + d] = max(after, end - length - before)
        sizes.append(count)
    return _padded(x, pads, fill), tuple(sizes)
