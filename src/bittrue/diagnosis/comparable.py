"""Can what a device gave be compared at all? What cannot be looked at has not passed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bittrue.diagnosis.scene import Frame, Scene
from bittrue.errors import DataError


def refuse_incomparable(
    scene: Scene, names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[str, ...]:
    """Return the outputs of which the device gave nothing.

    Args:
        scene: What was given.
        names: The device's name for each output.
        shapes: Of the outputs.

    Raises:
        DataError: if the device gave none of them, or values that are no finite float32.
    """
    for frame in scene.frames:
        for name in names.values():
            if name in frame.device:
                _refuse_values(frame, name)
    missing = tuple(
        name
        for name, shape in shapes.items()
        if any(_size(frame, names[name]) < np.prod(shape) for frame in scene.frames)
    )
    if len(missing) == len(shapes):
        given = ", ".join(
            f"{name!r} {list(array.shape)}" for name, array in scene.frames[0].device.items()
        )
        wanted = ", ".join(f"{name!r} {list(shape)}" for name, shape in shapes.items())
        raise DataError(
            f"what the device gave, {given or 'nothing'}, cannot be the outputs {wanted}",
            where=scene.frames[0].name,
            hint="give the outputs of this network; --map OURS=DEVICE says which is which",
        )
    return missing


def those_given(scene: Scene, names: Mapping[str, str]) -> dict[str, str]:
    """Return the names of the outputs of which the device gave something in every frame."""
    return {
        ours: theirs
        for ours, theirs in names.items()
        if all(_size(frame, theirs) > 0 for frame in scene.frames)
    }


def _size(frame: Frame, name: str) -> int:
    return frame.device[name].size if name in frame.device else -1


def _refuse_values(frame: Frame, name: str) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        wrong = ~np.isfinite(frame.device[name].astype(np.float32))
    if wrong.any():
        raise DataError(
            f"output {name!r}: {int(wrong.sum()):,} of {wrong.size:,} values are NaN, infinite or "
            "beyond float32",
            where=frame.name,
            hint="look for an overflow in the device's network, or for memory that is never set",
        )
