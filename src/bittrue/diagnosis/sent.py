"""What was sent to the device: its bytes, and which mistake makes exactly such an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.contract.buffers import check_buffers
from bittrue.contract.finding import Finding
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.diagnosis.door import F32, Door
from bittrue.diagnosis.facts import Mistake
from bittrue.diagnosis.given import deployed_input
from bittrue.diagnosis.hypotheses import Hypothesis
from bittrue.diagnosis.input_values import coded
from bittrue.diagnosis.predict import values_of_intended
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.stages import contract_of_stage

F64 = NDArray[np.float64]
#: Root mean square of a difference over the spread of the intended values: below this, the same.
SAME = 2e-3
#: A mistake makes what was sent if it comes so near, in parts of the spread of what was sent: two
#: libraries' YCbCr differ by 0.02.
NEAR = 0.04
#: ... or within this part of how far what was meant is from what was sent.
PART = 0.04
#: An affine map as near to none as this is none.
IDENTITY = 0.02
#: Two mistakes whose distances to what was sent differ by less than this make the same array.
ALIKE = 1e-3


@dataclass(frozen=True, slots=True)
class Looked:
    """What the sent arrays show.

    Args:
        findings: Of the check against the contract.
        right: Whether what was sent is what was meant; None where that cannot be said.
        door: The door that the array fits.
        matching: Mistakes that make just this array, in the order in which to try them; where none
            of the table does, what was sent as it is, named by how it relates to what was meant.
        distance: How far what was sent is from what was meant, over the spread of the latter.
    """

    findings: tuple[Finding, ...] = ()
    right: bool | None = None
    door: Door | None = None
    matching: tuple[Hypothesis, ...] = ()
    distance: float = 0.0


def findings_of_sent(scene: Scene) -> tuple[Finding, ...]:
    """Return what is wrong with the first array that was sent, by the contract alone."""
    sent = next((frame for frame in scene.frames if frame.sent is not None), None)
    return () if sent is None else _findings(scene, sent)


def look_at_sent(scene: Scene, rows: Sequence[Hypothesis], findings: tuple[Finding, ...]) -> Looked:
    """Return what the sent arrays show; no network runs.

    Args:
        scene: What was given.
        rows: Mistakes that may have made them.
        findings: As `findings_of_sent` gave them.
    """
    sent = [frame for frame in scene.frames if frame.sent is not None]
    if not sent:
        return Looked()
    door = _door(scene)
    if door is None:
        return Looked(findings)
    held = [door.read(frame.sent) for frame in sent if frame.sent is not None]
    meant = [values_of_intended(frame, scene, door) for frame in sent]
    if any(row is None for row in (*held, *meant)):
        return Looked(findings, door=door)
    pairs = [
        (one, coded(door, other))
        for one, other in zip(held, meant, strict=True)
        if one is not None and other is not None
    ]
    distance = max(_distance(one, other) for one, other in pairs)
    known = scene.contract is not None
    if all(_distance(*pair) <= max(SAME, _step(door, pair[1], known=known)) for pair in pairs):
        return Looked(findings, True, door, (), distance)
    matching = _matching(rows, sent, pairs) or _as_sent(scene, door, pairs, findings)
    return Looked(findings, False, door, matching, distance)


def _as_sent(
    scene: Scene, door: Door, pairs: Sequence[tuple[F32, F32]], findings: Sequence[Finding]
) -> tuple[Hypothesis, ...]:
    """Return what was sent as it is: an affine map of what was meant, or what a finding says."""

    def values(frame: Frame) -> F32 | None:
        return None if frame.sent is None else door.read(frame.sent)

    where = f"input {scene.target!r}"
    maps = _maps(pairs)
    if maps:
        cause = "input.wrong_qparams" if door.kind == "codes" else "input.wrong_mean_std"
        told = f"what was sent is {maps} of what is meant"
        line = "x = (pixels * scale - mean) / std  # the network's own"
        if door.kind == "codes":
            line = f"x = np.clip(np.rint(values / {door.scale:.9g}) + {door.zero_point}, lo, hi)"
        return (Hypothesis(Mistake(cause, told, where, (line,)), values),)
    for row in findings:
        return (Hypothesis(Mistake(row.cause, row.message, where, (row.mend,)), values),)
    return ()


def _maps(pairs: Sequence[tuple[F32, F32]]) -> str:
    """Return the affine map from meant to sent, the same or one a channel; empty where none is."""
    held = np.concatenate([one.reshape(-1, one.shape[-1]) for one, _ in pairs]).astype(np.float64)
    meant = np.concatenate([row.reshape(-1, row.shape[-1]) for _, row in pairs]).astype(np.float64)
    told = []
    for channel in range(held.shape[1]):
        d, p = held[:, channel], meant[:, channel]
        free = (d > d.min()) & (d < d.max())  # what was cut off follows no line
        if free.sum() < 16 or not p[free].std():
            return ""
        factor, offset = np.polyfit(p[free], d[free], 1)
        same = abs(factor - 1) < IDENTITY and abs(offset) < IDENTITY * float(p[free].std())
        rest = d[free] - factor * p[free] - offset
        if same or float(rest.std()) > 0.02 * float(d[free].std()):
            return ""
        told.append(f"{factor:.4g} x {offset:+.4g}")
    return told[0] if len(set(told)) == 1 else "(" + ", ".join(told) + ") a channel"


def _step(door: Door, meant: F32, *, known: bool) -> float:
    """A code that is rounded the other way is no mistake: some thousandth of a step on average.

    Nor is a grey level where nobody said that the device takes pixels: its own codes may be pixels
    but for half of one.
    """
    spread = float(meant.std())
    if not spread:
        return 0.0
    if door.kind == "codes":
        return 0.05 * door.scale / spread
    level = float(np.abs(door.scaling(np.ones(1)) - door.scaling(np.zeros(1))).max())
    return 0.75 * level / spread if door.kind == "pixels" and not known else 0.0


def _distance(one: F32, other: F32) -> float:
    wide, meant = np.asarray(one, np.float64), np.asarray(other, np.float64)
    spread = float(meant.std()) or 1.0
    return float(np.sqrt(np.square(wide - meant).mean())) / spread


def _matching(
    rows: Sequence[Hypothesis], frames: Sequence[Frame], pairs: Sequence[tuple[F32, F32]]
) -> tuple[Hypothesis, ...]:
    """Return the mistakes that make just what was sent: by the first frame, then by all."""
    far = [_gap_of(meant, held, meant) for held, meant in pairs]
    most = [max(min(max(NEAR, PART * gap), gap / 2), SAME) for gap in far]
    near = [row for row in rows if _gap(row, frames[0], *pairs[0]) <= most[0]]
    each = [
        ([_gap(row, frame, *pair) for frame, pair in zip(frames, pairs, strict=True)], row)
        for row in near
    ]
    found = [
        (float(np.mean(gaps)), row)
        for gaps, row in each
        if all(gap <= limit for gap, limit in zip(gaps, most, strict=True))
    ]
    found.sort(key=lambda item: item[0])
    return tuple(row for gap, row in found if gap <= found[0][0] + ALIKE)


def _gap(row: Hypothesis, frame: Frame, held: F32, meant: F32) -> float:
    """Return how far what a mistake makes is from what was sent, in parts of its spread."""
    made = row.values(frame)
    if made is None:
        return np.inf
    return _gap_of(made, held, meant)


def _gap_of(made: F32, held: F32, meant: F32) -> float:
    spread = float(held.std()) or float(meant.std()) or 1.0
    gap = np.asarray(made, np.float64) - held
    return float(np.sqrt(np.square(gap).mean())) / spread


def _findings(scene: Scene, frame: Frame) -> tuple[Finding, ...]:
    contract = sent_contract(scene)
    if contract is None or frame.sent is None:
        return ()
    return check_buffers(contract, {contract.inputs[0].name: frame.sent})


def sent_contract(scene: Scene) -> Contract | None:
    """Return what a sent buffer is checked against: the deployed contract, else the model's."""
    row = deployed_input(scene.contract, scene.target)
    if row is not None:
        return Contract((_with_shape(row, scene),), ())
    if scene.subject is None:
        return None
    stage = scene.subject.stages[-1]
    contract = contract_of_stage(scene.subject, stage)
    named = [row for row in contract.inputs if row.name == scene.target]
    return Contract(tuple(named[:1]), ()) if named else None


def _with_shape(row: TensorContract, scene: Scene) -> TensorContract:
    if row.shape or scene.preprocess is None:
        return row
    return replace(row, shape=scene.preprocess.raw_shape)


def _door(scene: Scene) -> Door | None:
    if not scene.doors:
        return None
    return scene.doors[0]
