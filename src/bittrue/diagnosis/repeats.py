"""What several frames show together: the same input twice, and outputs that come a frame late."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bittrue.diagnosis.chance import holds_in_frames
from bittrue.diagnosis.facts import Explanation, Mistake
from bittrue.diagnosis.noise import Noise
from bittrue.diagnosis.residual import mean_square
from bittrue.diagnosis.scene import Frame

F64 = NDArray[np.float64]
#: A late output leaves so many times less than a timely one.
LATE_GAIN = 4.0
#: ... and at most this much: it is the output of the other frame, not only more like it.
NEAR = 16.0
#: Outputs of fewer numbers need two late frames.
ENOUGH = 300

_STALE = (
    "wait for each run before its output is read (job.wait(), or read the output of this frame's "
    "own bindings), and give each frame buffers of its own"
)
_DIFFERS = (
    "run it again with one thread and with fixed buffers: whatever still differs is the runtime's; "
    "a buffer that is written while it is read, or memory that is never set, does this"
)


def nondeterministic(frames: Sequence[Frame]) -> Explanation | None:
    """Return that the same input gave different outputs; None where it did not, or none recurs."""
    seen: dict[str, Frame] = {}
    for frame in frames:
        key = _input_key(frame)
        if not key or not frame.device:
            continue
        first = seen.setdefault(key, frame)
        if first is frame:
            continue
        told = _unequal(first, frame)
        if told:
            mistake = Mistake(
                "runtime.nondeterministic",
                f"{first.name} and {frame.name} have the same input and other outputs",
                mend=(_DIFFERS,),
                decided_by="contract",
            )
            return Explanation((mistake,), 1.0, (told,), proved=False)
    return None


def _input_key(frame: Frame) -> str:
    arrays = [frame.sent] if frame.sent is not None else list(frame.inputs.values())
    if not arrays:
        return ""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _unequal(one: Frame, other: Frame) -> str:
    for name, array in one.device.items():
        again = other.device.get(name)
        if again is None or again.shape != array.shape:
            return f"output {name!r} has another shape, or is missing, the second time"
        if not np.array_equal(array, again, equal_nan=array.dtype.kind == "f"):
            count = int((array != again).sum())
            worst = float(np.abs(array.astype(np.float64) - again.astype(np.float64)).max())
            return (
                f"output {name!r}: {count:,} of {array.size:,} values differ between the two runs, "
                f"by up to {worst:.6g}"
            )
    return ""


def stale(
    frames: Sequence[Frame],
    exact: Sequence[Mapping[str, F64]],
    noise: Mapping[str, Noise],
    names: Mapping[str, str],
) -> Explanation | None:
    """Return that output i is what frame i - k should give; None where it is not.

    Args:
        frames: In the order in which they were run.
        exact: What the network gives for each.
        noise: By output.
        names: The device's name for each output.
    """
    for late in range(1, min(3, len(frames))):
        pairs = range(late, len(frames))
        if len(pairs) < 2 and sum(array.size for array in exact[0].values()) < ENOUGH:
            continue  # one frame of few numbers is like another by chance
        own = [_left(frames[i], exact[i], noise, names) for i in pairs]
        before = [_left(frames[i], exact[i - late], noise, names) for i in pairs]
        if any(row is None for row in (*own, *before)):
            return None
        timely, lagging = np.array(own, np.float64), np.array(before, np.float64)
        numbers = sum(array.size for name, array in exact[0].items() if name in names)
        each = holds_in_frames(lagging.tolist(), timely.tolist(), numbers, LATE_GAIN)
        if each and LATE_GAIN * lagging.mean() < timely.mean() and lagging.mean() < NEAR:
            what = "the frame before" if late == 1 else f"{late} frames before"
            mistake = Mistake("runtime.stale", f"each output is that of {what}", mend=(_STALE,))
            told = (
                f"against its own frame {timely.mean():.3g} times the ordinary noise is left, "
                f"against {what} {lagging.mean():.3g}, in "
                + ("one frame" if len(pairs) == 1 else f"each of {len(pairs)} frames")
            )
            sure = _sure(lagging, timely) * (0.5 if len(pairs) == 1 else 1.0)
            return Explanation((mistake,), round(sure, 3), (told,))
    return None


def _sure(lagging: F64, timely: F64) -> float:
    return round(1 - float(lagging.mean() / timely.mean()), 3)


def _left(
    frame: Frame,
    expected: Mapping[str, F64],
    noise: Mapping[str, Noise],
    names: Mapping[str, str],
) -> float | None:
    rows = []
    for name, array in expected.items():
        if name not in names:
            continue  # an inner tensor
        given = frame.device.get(names[name])
        if given is None or given.size != array.size:
            return None
        gap = np.asarray(given, np.float64).reshape(array.shape) - array
        rows.append(mean_square(gap, noise[name].power))
    return float(np.mean(rows)) if rows else None
