"""The ladder of a diagnosis: every stage that is quick, and the device as its last rung."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

from bittrue import chain
from bittrue.capture import Capture, Captured
from bittrue.diagnosis.facts import Explanation, Mistake
from bittrue.diagnosis.scene import Scene
from bittrue.errors import Error
from bittrue.network import BY_NAME
from bittrue.parity.ladder import Ladder, Unmeasured, climb, gaps_of
from bittrue.stages import Subject

log = logging.getLogger(__name__)
#: Normative, and too slow for a diagnosis: `compiled` is the same bits, which `verify` shows.
SLOW = "bit_true"
_CAUSES = {"native": "graph.import", "fp_optimized": "graph.rewrite"}


def climb_scene(scene: Scene, names: Mapping[str, str]) -> Ladder | None:
    """Return the ladder on the first frame; None where there is no network to climb.

    Args:
        scene: What was given.
        names: The device's name for each output.
    """
    frame, subject = scene.frames[0], scene.subject
    if subject is None or not frame.inputs or subject.network is None:
        return None
    further = _as_far_as_floats_go(subject)
    stages = [stage for stage in further.stages if stage != SLOW]
    tensors = tuple(Captured(name, array) for name, array in frame.device.items())
    capture = Capture(frame.name, tensors) if tensors else None
    known = {ours: theirs for ours, theirs in names.items() if theirs in frame.device}
    try:
        found = climb(
            further,
            dict(frame.inputs),
            stages=stages,
            capture=capture,
            by_hand=known or None,
            inner=False,
            warm=False,
        )
    except Error as why:
        log.info("the ladder was not climbed: %s", why)
        return None
    return replace(found, unmeasured=tuple(_unmeasured(further)))


def _as_far_as_floats_go(subject: Subject) -> Subject:
    """Return the subject with its float passes done, which takes no data."""
    network = subject.network
    if network is None or network.optimized is not None:
        return subject
    return replace(subject, network=chain.optimize(network))


def _unmeasured(subject: Subject) -> Iterator[Unmeasured]:
    yield from gaps_of(subject)
    if SLOW in subject.stages:
        yield Unmeasured(
            SLOW,
            "compiled",
            "bit_true is slow",
            f"run `bittrue compare {subject.path}@bit_true {subject.path}@compiled` or `verify`",
        )


def broken_floats(found: Ladder | None) -> Iterator[Explanation]:
    """Yield an explanation for each edge between float stages that is over its bound."""
    if found is None:
        return
    for edge in found.edges:
        stage = edge.other.rpartition("@")[2]
        if stage not in _CAUSES or edge.same:
            continue
        row = edge.worst
        told = f"{edge.reference.rpartition('@')[2]} and {stage} differ in output {row.name!r}"
        if row.difference is not None:
            told += f" by {row.difference.max_abs:.4g} (SQNR {row.difference.sqnr_db:.1f} dB)"
        mistake = Mistake(
            _CAUSES[stage],
            told,
            f"stage {stage}",
            (f"bittrue {BY_NAME[stage].command} is at fault: report it with the model",),
            "ladder",
        )
        yield Explanation((mistake,), 0.9, (told, f"bound: {edge.bound}"), proved=False)


def first_broken_stage(found: Ladder | None) -> str:
    """Return the first stage over its bound, the device included; empty where none is."""
    if found is None or found.first_broken is None:
        return ""
    place = found.edges.index(found.first_broken)
    return found.rungs[place + 1].stage
