"""Our own pipeline as an instrument: what would the network give for these values?

Two instruments: the float network, and the integer network where the archive holds one. What is
beyond the pixels' range cannot enter the integer network, as it cannot enter a device's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bittrue import arith
from bittrue.contract.tensor import HOLDS_PIXELS, Contract
from bittrue.diagnosis.door import F32, Door, scaling_of
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.engines.runner import Runner

F64 = NDArray[np.float64]
Outputs = Mapping[str, F64]


@dataclass(slots=True)
class Instrument:
    """One runner, fed by frames in which the values of the picture input are replaced.

    What was run once is kept: many mistakes make the same values.

    Args:
        name: "float" or "integer", for reports.
        scene: What is being diagnosed.
        runner: Of the stage.
        taps: Inner tensors that are compared as well.
        runs: How often the network was run.
    """

    name: str
    scene: Scene
    runner: Runner
    taps: tuple[str, ...] = ()
    runs: int = 0
    _kept: dict[tuple[str, bytes], Outputs] = field(default_factory=dict)

    @property
    def contract(self) -> Contract:
        """Of the stage."""
        return self.runner.contract

    def intended(self, frame: Frame) -> Outputs:
        """Return the outputs for what was meant."""
        key = (frame.name, b"")
        if key not in self._kept:
            self._kept[key] = self._run(self._feeds(frame, None))
        return self._kept[key]

    def __call__(self, frame: Frame, values: F32) -> Outputs:
        """Return the outputs with other values [1, H, W, C] at the picture input."""
        key = (frame.name, hashlib.sha256(values.tobytes()).digest())
        if key not in self._kept:
            self._kept[key] = self._run(self._feeds(frame, values))
        return self._kept[key]

    def _run(self, feeds: Mapping[str, np.ndarray]) -> Outputs:
        self.runs += 1
        done = self.runner.run(feeds, self.taps)
        found = {**done.outputs, **done.taps}
        return {name: np.asarray(array, np.float64) for name, array in found.items()}

    def _feeds(self, frame: Frame, values: F32 | None) -> dict[str, np.ndarray]:
        rows = {row.name: row for row in self.contract.inputs}
        feeds: dict[str, np.ndarray] = {}
        for name, row in rows.items():
            given = frame.inputs.get(name)
            if name == self.scene.target and values is not None:
                given = values
            feeds[name] = self._fed(row.name, given)
        return feeds

    def _fed(self, name: str, given: np.ndarray | None) -> np.ndarray:
        row = next(row for row in self.contract.inputs if row.name == name)
        if given is None:
            return np.zeros(row.shape, row.dtype)
        recipe = self.scene.preprocess
        if recipe is None or name != self.scene.target:
            return _coded(given, row.dtype, row.scale, row.zero_point).reshape(row.shape)
        framed = _as_frame(given, recipe.raw_shape, recipe.layout == "NCHW")
        if row.holds == HOLDS_PIXELS and row.dtype == "uint8":
            pixels = np.clip(np.rint(scaling_of(recipe).undo(framed)), 0, 255).astype(np.uint8)
            return np.ascontiguousarray(_laid(pixels, row.shape, recipe.raw_shape))
        coded = _coded(framed, row.dtype, row.scale, row.zero_point)
        return np.ascontiguousarray(_laid(coded, row.shape, recipe.raw_shape))


def _as_frame(given: np.ndarray, raw: tuple[int, ...], planar: bool) -> np.ndarray:
    """Return values as [1, H, W, C]; intended inputs come in the source's own layout."""
    if tuple(given.shape) == raw:
        return given
    return given.transpose(0, 2, 3, 1) if planar else given.reshape(raw)


def _laid(frame: np.ndarray, shape: tuple[int, ...], raw: tuple[int, ...]) -> np.ndarray:
    return frame if tuple(shape) == tuple(raw) else frame.transpose(0, 3, 1, 2)


def _coded(given: np.ndarray, dtype: str, scale: float | None, zero_point: int) -> np.ndarray:
    if scale is not None and dtype == "uint8" and given.dtype.kind == "f":
        return arith.quantize(given, np.array([scale], np.float32), zero_point)
    return given.astype(dtype, copy=False)


def values_of_intended(frame: Frame, scene: Scene, door: Door) -> F32 | None:
    """Return the intended values [1, H, W, C]; None where the network takes no picture."""
    recipe = scene.preprocess
    given = frame.inputs.get(scene.target)
    if recipe is None or given is None:
        return None
    framed = _as_frame(given, recipe.raw_shape, recipe.layout == "NCHW")
    return np.asarray(framed, np.float32)
