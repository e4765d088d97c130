"""What every reference function takes and gives: a node's input and output arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bittrue.errors import InternalError
from bittrue.graph.model import NO_CLIP, Node

Arrays = Sequence[np.ndarray | None]
Results = tuple[np.ndarray, ...]
#: What a row of REFERENCE is.
Run = Callable[[Node, Arrays], Results]


def given(arrays: Arrays, index: int) -> np.ndarray:
    """Return an input that must be there.

    Raises:
        InternalError: if it is left out; shape rules refuse that before anything runs.
    """
    array = arrays[index]
    if array is None:
        raise InternalError(f"input {index} is left out")
    return array


def optional(arrays: Arrays, index: int) -> np.ndarray | None:
    """Return an input, or None where it is left out."""
    return arrays[index] if index < len(arrays) else None


def clipped(node: Node, y: np.ndarray) -> np.ndarray:
    """Return y within the node's `clip` attribute, in y's dtype."""
    return y if node.clip == NO_CLIP else clip(y, *node.clip)


def clip(y: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return ``min(max(y, low), high)``; bounds that a whole number cannot pass do nothing."""
    kind = y.dtype.type
    if not np.issubdtype(y.dtype, np.floating):
        limits = np.iinfo(y.dtype)
        lower = limits.min if low <= limits.min else min(int(np.ceil(low)), limits.max)
        upper = limits.max if high >= limits.max else max(int(np.floor(high)), limits.min)
        return np.asarray(np.minimum(np.maximum(y, kind(lower)), kind(upper)))
    if low > -np.inf:
        y = np.maximum(y, kind(low))
    return np.minimum(y, kind(high)) if high < np.inf else y
