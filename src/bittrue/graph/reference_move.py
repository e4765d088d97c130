"""The meaning of the operators that move elements, and of Resize, in NumPy."""

from __future__ import annotations

import numpy as np

from bittrue.errors import ModelError
from bittrue.graph.model import Node
from bittrue.graph.reference_arrays import Arrays, Results, given


def reshape(node: Node, arrays: Arrays) -> Results:
    """Return x in another shape."""
    return (given(arrays, 0).reshape(node.ints("shape")),)


def transpose(node: Node, arrays: Arrays) -> Results:
    """Return x with its axes in the order `perm`."""
    return (given(arrays, 0).transpose(node.ints("perm")),)


def concat(node: Node, arrays: Arrays) -> Results:
    """Return all inputs joined along the axis."""
    every = [given(arrays, index) for index in range(len(arrays))]
    return (np.concatenate(every, axis=node.integer("axis")),)


def split(node: Node, arrays: Arrays) -> Results:
    """Return x cut along the axis."""
    cuts = np.cumsum(node.ints("split"))[:-1]
    return tuple(np.split(given(arrays, 0), cuts, axis=node.integer("axis")))


def slice_(node: Node, arrays: Arrays) -> Results:
    """Return elements start, start + step, ... of each axis."""
    y = given(arrays, 0)
    rows = zip(node.ints("starts"), node.ints("steps"), node.ints("sizes"), strict=True)
    for axis, (start, step, size) in enumerate(rows):
        stop = start + size * step
        cut = slice(start, stop if stop >= 0 else None, step) if size else slice(0, 0)
        y = y[(*(slice(None),) * axis, cut)]
    return (y,)


def pad(node: Node, arrays: Arrays) -> Results:
    """Return x with a border; where a pad is negative, x is cut instead."""
    x, pads, mode = given(arrays, 0), node.ints("pads"), node.text("mode")
    begins, ends = pads[: x.ndim], pads[x.ndim :]
    cut = tuple(
        slice(max(-begin, 0), size - max(-end, 0))
        for begin, end, size in zip(begins, ends, x.shape, strict=True)
    )
    border = [(max(b, 0), max(e, 0)) for b, e in zip(begins, ends, strict=True)]
    if mode == "constant":
        value = x.dtype.type(node.number("value"))
        return (np.pad(x[cut], border, constant_values=value),)
    return (np.pad(x[cut], border, mode=mode),)  # type: ignore[call-overload]  # NumPy's own words


def gather(node: Node, arrays: Arrays) -> Results:
    """Return slices of x at indices.

    Raises:
        ModelError: if an index is not within x's axis.
    """
    x, indices, axis = given(arrays, 0), given(arrays, 1), node.integer("axis")
    size = x.shape[axis]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise ModelError(
            f"indices {indices.min()} to {indices.max()} leave axis {axis} of shape {x.shape}",
            where=f"{node.op} '{node.name}'",
            hint="check the indices that the model computes",
        )
    return (np.take(x, indices, axis=axis),)


def expand(node: Node, arrays: Arrays) -> Results:
    """Return x broadcast with the shape."""
    x = given(arrays, 0)
    return (np.broadcast_to(x, np.broadcast_shapes(x.shape, node.ints("shape"))),)


def tile(node: Node, arrays: Arrays) -> Results:
    """Return x repeated along each axis."""
    return (np.tile(given(arrays, 0), node.ints("repeats")),)


def depth_to_space(node: Node, arrays: Arrays) -> Results:
    """Return channels as blocks of pixels: block-major (DCR) or channel-major (CRD)."""
    x, block = given(arrays, 0), node.integer("blocksize")
    n, c, h, w = x.shape
    if node.text("mode") == "DCR":
        parts = x.reshape(n, block, block, c // block**2, h, w)
        parts = parts.transpose(0, 3, 4, 1, 5, 2)  # [N, C', H, B, W, B]
    else:
        parts = x.reshape(n, c // block**2, block, block, h, w)
        parts = parts.transpose(0, 1, 4, 2, 5, 3)  # [N, C', H, B, W, B]
    return (parts.reshape(n, c // block**2, h * block, w * block),)


def space_to_depth(node: Node, arrays: Arrays) -> Results:
    """Return blocks of pixels as channels, block-major."""
    x, block = given(arrays, 0), node.integer("blocksize")
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block)
    parts = parts.transpose(0, 3, 5, 1, 2, 4)  # [N, B, B, C, H/B, W/B]
    return (parts.reshape(n, c * block**2, h // block, w // block),)


# --- resize ----------------------------------------------------------------------------------


def resize(node: Node, arrays: Arrays) -> Results:
    """Return x sampled at other points, one axis after the other.

    Args:
        node: A Resize; `scales` place the points, `shape` is how many there are.
        arrays: x of any rank.
    """
    y = given(arrays, 0)
    rows = zip(node.ints("shape"), node.numbers("scales"), strict=True)
    for axis, (size, scale) in enumerate(rows):
        if size == y.shape[axis] and scale == 1.0:
            continue
        places, weights = resize_taps(node, y.shape[axis], size, scale)
        y = _sampled(y, axis, places, weights)
    return (y,)


def _sampled(x: np.ndarray, axis: int, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted sum of x at some places of one axis.

    Args:
        x: Any shape.
        axis: The axis.
        places: int64 [points, taps].
        weights: float64 [points, taps]; with one tap they are all 1 and not multiplied.
    """
    if places.shape[1] == 1:
        return np.take(x, places[:, 0], axis=axis)
    lay = (-1, *(1,) * (x.ndim - 1 - axis))
    total = np.zeros((*x.shape[:axis], len(places), *x.shape[axis + 1 :]), x.dtype)
    for tap in range(places.shape[1]):
        factor = weights[:, tap].astype(x.dtype).reshape(lay)
        total += np.take(x, places[:, tap], axis=axis) * factor
    return total


def resize_taps(node: Node, length: int, size: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which elements of an axis each new point reads, and with which weights.

    Args:
        node: A Resize.
        length: Length of the axis before.
        size: Length of the axis after.
        scale: The axis's scale; size / length unless the model gave another.

    Returns:
        int64 [size, taps] places within the axis, and float64 [size, taps] weights, which add up
        to 1; 1 tap for nearest, 2 for linear, 4 for cubic.
    """
    points = source_points(node.text("coordinate_transformation_mode"), length, size, scale)
    if node.text("mode") == "nearest":
        places = _nearest(node.text("nearest_mode"), points)[:, None]
        return np.clip(places, 0, length - 1), np.ones((size, 1))
    first = np.floor(points)
    if node.text("mode") == "linear":
        places = first[:, None] + np.arange(2)
        weights = 1 - np.abs(points[:, None] - places)
    else:
        places = first[:, None] + np.arange(-1, 3)
        weights = cubic_weights(points[:, None] - places, node.number("cubic_coeff_a"))
    if node.flag("exclude_outside"):
        weights = np.where((places < 0) | (places >= length), 0.0, weights)
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(places, 0, length - 1).astype(np.int64), weights


def source_points(mode: str, length: int, size: int, scale: float) -> np.ndarray:
    """Return where on an axis each new point lies, float64 [size] (ONNX Resize, opset 19).

    The positions are computed in float32, as ONNX Runtime does: where one falls on a border
    between two elements, `nearest` nearly always takes the same of them.
    """
    index, half, ratio = np.arange(size, dtype=np.float32), np.float32(0.5), np.float32(scale)
    if mode == "align_corners":
        points = index * np.float32(length - 1) / np.float32(max(size - 1, 1))
    elif mode == "asymmetric":
        points = index / ratio
    elif mode == "pytorch_half_pixel" and size == 1:
        points = index
    elif mode == "half_pixel_symmetric":
        centre, covered = np.float32(length) * half, np.float32(size) / (ratio * np.float32(length))
        points = centre * (np.float32(1) - covered) + (index + half) / ratio - half
    else:
        points = (index + half) / ratio - half
    return points.astype(np.float64)


def _nearest(mode: str, points: np.ndarray) -> np.ndarray:
    rounded: dict[str, np.ndarray] = {
        "round_prefer_floor": np.ceil(points - 0.5),
        "round_prefer_ceil": np.floor(points + 0.5),
        "floor": np.floor(points),
        "ceil": np.ceil(points),
    }
    return rounded[mode].astype(np.int64)


def cubic_weights(distance: np.ndarray, a: float) -> np.ndarray:
    """Return Keys' cubic convolution kernel with parameter a at signed distances, float64.

    Source: R. Keys, Cubic convolution interpolation for digital image processing, 1981.
    """
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
