"""Boxes in other words: corners for centres, y before x, another unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Change = Callable[[F64], F64]
#: Fewer boxes than this say nothing.
BOXES_MIN = 4


@dataclass(frozen=True, slots=True)
class Boxed:
    """An output whose boxes were brought into another form."""

    what: str
    mend: str
    values: F64


def _centres_of_corners(b: F64) -> F64:
    return np.stack(
        [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]],
    )


def _corners_of_centres(b: F64) -> F64:
    return np.stack([b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2])


def _corner_size_of_corners(b: F64) -> F64:
    return np.stack([b[0], b[1], b[2] - b[0], b[3] - b[1]])


def _corners_of_corner_size(b: F64) -> F64:
    return np.stack([b[0], b[1], b[0] + b[2], b[1] + b[3]])


def _centres_of_corner_size(b: F64) -> F64:
    return np.stack([b[0] + b[2] / 2, b[1] + b[3] / 2, b[2], b[3]])


def _corner_size_of_centres(b: F64) -> F64:
    return np.stack([b[0] - b[2] / 2, b[1] - b[3] / 2, b[2], b[3]])


def _y_first(b: F64) -> F64:
    return b[[1, 0, 3, 2]]


#: In words what the device gives where the reference has what; how it is undone.
_FORMS: tuple[tuple[str, str, Change], ...] = (
    (
        "corners (x1, y1, x2, y2) where centre and size are expected",
        "cx, cy, w, h = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1",
        _centres_of_corners,
    ),
    (
        "centre and size where corners (x1, y1, x2, y2) are expected",
        "x1, y1, x2, y2 = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2",
        _corners_of_centres,
    ),
    ("y before x", "boxes = np.take(boxes, [1, 0, 3, 2], axis={axis})", _y_first),
    (
        "corners where corner and size are expected",
        "w, h = x2 - x1, y2 - y1",
        _corner_size_of_corners,
    ),
    (
        "corner and size where corners are expected",
        "x2, y2 = x1 + w, y1 + h",
        _corners_of_corner_size,
    ),
    (
        "corner and size where centre and size are expected",
        "cx, cy = x1 + w / 2, y1 + h / 2",
        _centres_of_corner_size,
    ),
    (
        "centre and size where corner and size are expected",
        "x1, y1 = cx - w / 2, cy - h / 2",
        _corner_size_of_centres,
    ),
)


def box_readings(values: F64, shape: tuple[int, ...], *, beside: bool = False) -> Iterator[Boxed]:
    """Yield an output with its boxes in each other form; nothing where it holds no boxes.

    Args:
        values: float64.
        shape: Of the output: boxes are four channels, all of them or the first of several, of an
            output [1, 4.., n] or [1, n, 4..] (or [n, 4..]) with at least BOXES_MIN boxes.
        beside: Whether there are other outputs: four numbers are then taken for one box.
    """
    axis = box_axis(shape, beside=beside)
    if axis is None:
        return
    rows = np.moveaxis(values, axis, 0)
    for what, mend, change in _FORMS:
        yield Boxed(what, mend.format(axis=axis), _with_boxes(values, axis, change(rows[:4])))


def _with_boxes(values: F64, axis: int, boxes: F64) -> F64:
    changed = np.moveaxis(values.copy(), axis, 0)
    changed[:4] = boxes
    return np.moveaxis(changed, 0, axis)


def box_axis(shape: tuple[int, ...], *, beside: bool = False) -> int | None:
    """Return the axis of the four channels of boxes; None where there are none.

    Args:
        shape: Of an output.
        beside: Whether there are other outputs: a box alone says nothing without a score.
    """
    core = [axis for axis, size in enumerate(shape) if size != 1]
    if beside and len(core) == 1 and shape[core[0]] == 4:
        return core[0]
    if len(core) != 2:
        return None
    first, second = core
    for axis, other in ((second, first), (first, second)):
        if shape[axis] == 4 and shape[other] >= BOXES_MIN:
            return axis
    for axis, other in ((first, second), (second, first)):
        if 5 <= shape[axis] < shape[other] and shape[other] >= 16 * BOXES_MIN:
            return axis
    return None
