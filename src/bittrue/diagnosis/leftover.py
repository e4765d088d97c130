"""What no input or output mistake explains: ordinary quantisation, or of which kind it is."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.experiment import Tried
from bittrue.diagnosis.facts import Explanation, Mistake
from bittrue.diagnosis.instruments import Instruments
from bittrue.diagnosis.scene import Scene

F64 = NDArray[np.float64]
#: Error of the device over that of our own 8 bits, as amplitudes: up to this it is ordinary.
ORDINARY = 3.0
#: A device whose every value is so near to the float network's computes in floats.
FLOAT = 1e-3


def left_unexplained(
    scene: Scene, base: Tried, made: Instruments, names: Mapping[str, str]
) -> tuple[Explanation, ...]:
    """Return what is to be said where no trial was accepted."""
    ratio = math.sqrt(base.residual)
    exact = made.exact(scene.frames)
    pairs = [
        (truth[name], lefts[name].values)
        for truth, lefts in zip(exact, base.lefts, strict=True)
        for name in truth
        if name in lefts
    ]
    worst = max(
        (float(np.abs(a - b).max()) / (float(np.abs(a).max()) or 1.0) for a, b in pairs),
        default=math.inf,
    )
    if worst <= FLOAT:
        return (_said("none", f"largest difference {worst:.2g} of the largest value", 0.95),)
    if ratio <= ORDINARY:
        told = (
            f"the device is {ratio:.2g} times as far from the float network as our own integer "
            "network: ordinary quantisation"
        )
        return (_said("quant.expected", told, 0.9),)
    told = (
        f"the device is {ratio:.3g} times as far from the float network as our own integer network"
    )
    return (
        _said("quant.activations", told, 0.3),
        _said("graph.weights", told, 0.3),
    )


def _said(cause: str, told: str, sure: float) -> Explanation:
    mistake = Mistake(cause, told, decided_by="statistics")
    return Explanation((mistake,), sure, (told,), proved=False)
