"""The instruments of a diagnosis: our float network, our integer network, or a given reference."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bittrue import chain
from bittrue.diagnosis.door import F32, scaling_of
from bittrue.diagnosis.inner import inner_names
from bittrue.diagnosis.noise import ENOUGH, Noise, all_noise
from bittrue.diagnosis.predict import Instrument
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.engines.runner import Runner
from bittrue.errors import Error
from bittrue.network import Network
from bittrue.stages import open_runner, stage_contract

F64 = NDArray[np.float64]
log = logging.getLogger(__name__)

OWN = "our executable against our float network"
MADE = "an integer network of our own, calibrated on these inputs, against the float network"
#: Of the inner tensors that a device gave, so many small ones count in experiments on the input.
EARLY, EARLY_SIZE = 3, 2**18
#: An integer network is calibrated on at most so many frames; so many are changed to see its noise.
CALIBRATED, CHANGED = 6, 3
GUESSED = "guessed: 20 dB below each output (no integer network is at hand)"


class Predicts(Protocol):
    """Anything that says what the outputs should be."""

    name: str
    scene: Scene
    runs: int

    def intended(self, frame: Frame) -> Mapping[str, F64]:
        """Return the outputs for what was meant."""

    def __call__(self, frame: Frame, values: F32) -> Mapping[str, F64]:
        """Return the outputs for other values at the picture input."""


@dataclass(slots=True)
class Recorded:
    """What the user says the outputs should be, in place of a network."""

    scene: Scene
    name: str = "reference"
    runs: int = 0

    def intended(self, frame: Frame) -> Mapping[str, F64]:
        """Return the reference outputs."""
        return {name: np.asarray(row, np.float64) for name, row in frame.reference.items()}

    def __call__(self, frame: Frame, values: F32) -> Mapping[str, F64]:
        """Return the same: without a network, no input can be tried."""
        return self.intended(frame)


@dataclass(frozen=True, slots=True)
class Instruments:
    """What predictions are made with, and the ordinary noise.

    Args:
        rows: The float network first (or what stands for it), then the integer one.
        noise: By output.
        told: Where the noise was taken from.
    """

    rows: tuple[Predicts, ...]
    noise: Mapping[str, Noise]
    told: str

    def exact(self, frames: Sequence[Frame]) -> list[Mapping[str, F64]]:
        """Return what each frame's outputs should be."""
        return [self.rows[0].intended(frame) for frame in frames]

    def mended(self, frames: Sequence[Frame]) -> list[Mapping[str, F64]]:
        """Return what our own deployed network gives for the input as it should be."""
        return [self.rows[-1].intended(frame) for frame in frames]

    @property
    def inner(self) -> frozenset[str]:
        """Names of the inner tensors among what is predicted."""
        first = self.rows[0]
        return frozenset(first.taps if isinstance(first, Instrument) else ())


def instruments(scene: Scene) -> Instruments:
    """Return what can be run in this scene."""
    frames = scene.frames
    network = None if scene.subject is None else scene.subject.network
    if scene.subject is None or not frames[0].inputs:
        return _with_noise((Recorded(scene),), frames, GUESSED)
    if network is None:
        engine = Instrument("integer", scene, open_runner(scene.subject, "compiled"))
        return _with_noise((engine,), frames, GUESSED)
    exact = Instrument("float", scene, fast_runner(network), _early(scene, network))
    if scene.subject.executable is not None:
        engine = Instrument("integer", scene, open_runner(scene.subject, "compiled"))
        return _with_noise((exact, engine), frames, OWN)
    made = _made(network, scene)
    if made is None:
        return _with_noise((exact,), frames, GUESSED)
    return _with_noise((exact, Instrument("integer", scene, made)), frames, MADE)


def _early(scene: Scene, network: Network) -> tuple[str, ...]:
    """Return a few of the device's inner tensors: early ones show best what the input was."""
    sizes = {
        name: math.prod(value.shape)
        for value in network.native.values.values()
        for name in value.origin
    }
    small = [name for name in inner_names(scene) if sizes[name] <= EARLY_SIZE]
    return tuple(small[:EARLY])


def fast_runner(network: Network) -> Runner:
    """Return a runner of the source that may fuse: predictions need speed, not equal bits."""
    from bittrue.engines.float_ import OnnxRunner

    return OnnxRunner(network.source.onnx, stage_contract(network, "source"), fused=True)


def _made(network: Network, scene: Scene) -> Runner | None:
    """Return an integer network calibrated on the frames at hand; None where none can be made.

    Its outputs are no verdict, only the size of the ordinary noise.
    """
    from bittrue.stages import Subject

    samples = [dict(frame.inputs) for frame in scene.frames[:CALIBRATED]]
    with contextlib.suppress(Error):
        done = chain.optimize(network, normalize_inside=False)
        chain.check(done)
        quiet = logging.getLogger("bittrue")
        level = quiet.level
        quiet.setLevel(logging.ERROR)  # few samples: right here, a warning elsewhere
        try:
            done = chain.quantize(done, samples, observer="minmax")
            done = chain.compile(replace(done), vectors=0)
        finally:
            quiet.setLevel(level)
        return open_runner(Subject(network.name, done, done.executable), "compiled")
    log.info("no integer network could be made of %s: the noise is guessed", network.name)
    return None


def _with_noise(rows: tuple[Predicts, ...], frames: Sequence[Frame], told: str) -> Instruments:
    exact = [rows[0].intended(frame) for frame in frames]
    inner = rows[0].taps if isinstance(rows[0], Instrument) else ()
    if len(rows) == 1:
        return Instruments(rows, all_noise(exact, [], inner), told)
    coded = [rows[1].intended(frame) for frame in frames]
    few = min(sum(frame[name].size for frame in exact) for name in coded[0]) < ENOUGH
    for frame in frames[:CHANGED] if few else ():
        for values in changed(frame, rows[0].scene):
            exact.append(rows[0](frame, values))
            coded.append(rows[1](frame, values))
    return Instruments(rows, all_noise(exact, coded, inner), told)


def changed(frame: Frame, scene: Scene) -> Iterator[F32]:
    """Yield the intended values of pictures like the one given: mirrored, moved, darker, paler."""
    if frame.pixels is None or scene.preprocess is None:
        return
    wide, scaling = frame.pixels.astype(np.float64), scaling_of(scene.preprocess)
    step = max(1, frame.pixels.shape[2] // 24)
    for pixels in (
        wide[:, :, ::-1],
        np.roll(wide, step, axis=2),
        np.roll(wide, -step, axis=1),
        wide * 0.8,
        255 - (255 - wide) * 0.8,
    ):
        yield scaling(np.rint(pixels))
