"""Inner tensors that a device gave: layer dumps under the source's names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.scene import Scene

F64 = NDArray[np.float64]
#: A value that so many elements share is a limit: a fused activation's.
LIMIT = 0.05


def inner_names(scene: Scene) -> tuple[str, ...]:
    """Return the source's inner tensors that every frame's capture holds, in running order."""
    network = None if scene.subject is None else scene.subject.network
    if network is None:
        return ()
    given = set.intersection(*(set(frame.device) for frame in scene.frames))
    graph = network.native
    found = [
        name
        for node in graph.nodes
        for value in node.outputs
        if value in graph.values and value not in graph.outputs
        for name in graph.values[value].origin
        if name in given
    ]
    return tuple(dict.fromkeys(found))


def within_limits(device: F64, exact: F64) -> F64:
    """Return a device's tensor with the limits of a fused activation applied.

    A runtime that fuses a ReLU into the storing of codes shows what comes before it under its name.
    """
    low, high = float(exact.min()), float(exact.max())
    if high <= low:
        return device
    floor = low if float((exact == low).mean()) > LIMIT else -np.inf
    ceiling = high if float((exact == high).mean()) > LIMIT else np.inf
    return np.asarray(np.clip(device, floor, ceiling), np.float64)
