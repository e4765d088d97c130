"""Every input mistake that applies to a scene, as something that can be run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bittrue.contract.preprocess import Preprocess, raw_pixels
from bittrue.diagnosis.door import F32, Door
from bittrue.diagnosis.facts import Mistake
from bittrue.diagnosis.input_pixels import frame_mistakes, pixel_mistakes
from bittrue.diagnosis.input_values import QParam, coded, value_mistakes
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.errors import DataError

F64 = NDArray[np.float64]
#: The order in which causes are tried: what people get wrong most often first, cheap looks before
#: dear ones; measured on the threads behind the table of causes.
ORDER = (
    "input.missing_normalization",
    "input.double_normalization",
    "input.cast_to_zero",
    "input.channel_order",
    "input.layout",
    "input.noncontiguous",
    "input.wrong_mean_std",
    "input.sign",
    "input.transposed",
    "input.letterbox",
    "input.crop",
    "input.wrong_qparams",
    "input.colour_space",
    "input.interpolation",
    "input.truncated",
    "input.widened",
    "input.dtype",
)
#: So many variants of a cause are tried in one turn.
TURN = 2
#: What a conversion may bake into a network that takes pixels.
_INSIDE = ("input.channel_order", "input.wrong_mean_std", "input.missing_normalization")
#: Mistakes in the order of a buffer's memory, whatever lies in it.
_MEMORY = ("input.layout", "input.noncontiguous")
#: What a saved array does not show of the buffer that was sent.
_UNSEEN = ("input.noncontiguous", "input.dtype")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One way in which the input may have gone wrong.

    Args:
        mistake: What it is.
        values: From a frame to what the network computes with, float32 [1, H, W, C]; None where
            the frame lacks what is needed.
        fitted: Whether figures were fitted to what the device gave.
        unseen: Whether the array that was sent may be right all the same: the deployed network
            itself does it, or the memory that was read was another.
    """

    mistake: Mistake
    values: Callable[[Frame], F32 | None]
    fitted: bool = False
    unseen: bool = False


def hypotheses(scene: Scene) -> tuple[Hypothesis, ...]:
    """Return the input mistakes that can be made in this scene, in the order in which to try them.

    By turns: a few variants of each cause before the next few of any.
    Empty where the network takes no picture.
    """
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, int, int, Hypothesis]] = []
    for row in _all(scene):
        cause = row.mistake.cause
        ranked.append((seen[cause] // TURN, ORDER.index(cause), len(ranked), row))
        seen[cause] += 1
    ranked.sort(key=lambda item: item[:3])
    return tuple(row for *_, row in ranked)


def _all(scene: Scene) -> Iterator[Hypothesis]:
    recipe = scene.preprocess
    if recipe is None:
        return
    where = f"input {scene.target!r}"
    door = scene.doors[0]
    square = recipe.size[0] == recipe.size[1]
    for pixel in pixel_mistakes(recipe.colour, whole_picture=square):
        told = Mistake(pixel.cause, pixel.what, where, (pixel.mend,))
        inside = any(row.kind == "pixels" for row in scene.doors) and pixel.cause in _INSIDE
        unseen = inside or pixel.cause in _UNSEEN
        if pixel.cause not in _MEMORY or any(row.kind == "pixels" for row in scene.doors):
            yield Hypothesis(told, _by_pixels(door, pixel.change), unseen=unseen)
        if pixel.cause in _MEMORY and door.kind != "pixels":
            yield Hypothesis(told, _by_memory(door, pixel.change), unseen=unseen)
    for framed in frame_mistakes(recipe):
        told = Mistake(framed.cause, framed.what, where, (framed.mend,))

        def other(frame: Frame, recipe: Preprocess = framed.preprocess) -> F32 | None:
            return _framed(door, frame, recipe)

        yield Hypothesis(told, other)
    qparams = tuple(_other_qparams(scene))
    for each in scene.doors:
        for value in value_mistakes(each, recipe.colour, qparams):
            told = Mistake(value.cause, value.what, where, (value.mend,))
            inside = each.kind == "pixels" and value.cause in _INSIDE
            unseen = inside or value.cause in _UNSEEN
            yield Hypothesis(told, _by_values(value.values), unseen=unseen)


def _by_pixels(door: Door, change: Callable[[F64], F64]) -> Callable[[Frame], F32 | None]:
    def values(frame: Frame) -> F32 | None:
        if frame.pixels is None:
            return None
        return coded(door, door.scaling(change(frame.pixels.astype(np.float64))))

    return values


def _by_memory(door: Door, change: Callable[[F64], F64]) -> Callable[[Frame], F32 | None]:
    """A host that normalises reads values in another order: each keeps its own channel's mean."""

    def values(frame: Frame) -> F32 | None:
        if frame.pixels is None:
            return None
        made = coded(door, door.scaling(frame.pixels))
        return np.asarray(change(made.astype(np.float64)), np.float32)

    return values


def _by_values(made: Callable[[F64], F32]) -> Callable[[Frame], F32 | None]:
    def values(frame: Frame) -> F32 | None:
        return None if frame.pixels is None else made(frame.pixels.astype(np.float64))

    return values


def _framed(door: Door, frame: Frame, recipe: Preprocess) -> F32 | None:
    if frame.picture is None:
        return None
    try:
        return coded(door, door.scaling(raw_pixels(recipe, frame.picture)))
    except DataError:
        return None  # a picture too large for this way, which a host could not have gone either


def _other_qparams(scene: Scene) -> Sequence[QParam]:
    if scene.contract is None:
        return ()
    return [
        (f"those of output {row.name!r}", row.scale, row.zero_point)
        for row in scene.contract.outputs
        if row.scale is not None
    ]
