"""How many windows slide along one axis, and how far one reaches."""

from __future__ import annotations


def window_reach(kernel: int, dilation: int) -> int:
    """Return how many elements of an axis a window of `kernel` taps spans."""
    return (kernel - 1) * dilation + 1


def window_count(size: int, reach: int, stride: int, before: int, after: int, ceil: bool) -> int:
    """Return the number of windows along one axis.

    ``floor((size + before + after - reach) / stride) + 1``, or with ceil; then a last window that
    would start in the padding behind the data is left out (ONNX opset 22, PyTorch).

    Args:
        size: Length of the axis.
        reach: Length of the window, dilation included.
        stride: Distance of two windows.
        before: Padding before the data.
        after: Padding behind the data.
        ceil: Whether a last window may hang over the padding's end.
    """
    room = size + before + after - reach
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= size + before:
        count -= 1
    return count


def transposed_size(size: int, reach: int, stride: int, extra: int) -> int:
    """Return how long an axis is that a transposed convolution makes, before its pads are cut off.

    Args:
        size: Length of the input's axis.
        reach: Length of the window, dilation included.
        stride: Distance of two windows.
        extra: Output padding.
    """
    return (size - 1) * stride + reach + extra
