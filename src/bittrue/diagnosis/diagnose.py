"""Why do the outputs differ? Contract, experiment, ladder: from what was given to an answer."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bittrue.contract.causes import BY_ID
from bittrue.contract.finding import Finding
from bittrue.diagnosis.comparable import refuse_incomparable, those_given
from bittrue.diagnosis.decide import (
    accepted,
    explanations,
    gain_of,
    is_close,
    nearest,
    runners_up,
    trials,
)
from bittrue.diagnosis.experiment import Experiment, Tried
from bittrue.diagnosis.facts import HARMLESS, Diagnosis, Explanation, Mistake, NotTried, Trial
from bittrue.diagnosis.given import Given, open_scene
from bittrue.diagnosis.hypotheses import Hypothesis, hypotheses
from bittrue.diagnosis.inner import inner_names
from bittrue.diagnosis.instruments import Instruments, instruments
from bittrue.diagnosis.leftover import ORDINARY, TIE, Leftover, left_unexplained
from bittrue.diagnosis.pictures import is_flat, picture_of, unrepresentative
from bittrue.diagnosis.repeats import nondeterministic, stale
from bittrue.diagnosis.scene import Scene
from bittrue.diagnosis.search import Searched, pair_names, search
from bittrue.diagnosis.sent import Looked, findings_of_sent, look_at_sent
from bittrue.diagnosis.stages_seen import broken_floats, climb_scene, first_broken_stage
from bittrue.errors import FormatError, UsageError
from bittrue.parity.ladder import Ladder

F64 = NDArray[np.float64]
Seen = Callable[[str, int, int], None]
BUDGET = 6.0
#: No more than so many explanations are said to be tied.
MOST = 3


@dataclass(slots=True)
class Clock:
    """Seconds by step."""

    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of a block to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.steps[name] = self.steps.get(name, 0.0) + time.perf_counter() - start


def _silent(label: str, index: int, count: int) -> None:
    """Show no progress."""


def diagnose(given: Given, *, budget: float = BUDGET, seen: Seen = _silent) -> Diagnosis:
    """Return why a device's outputs are not what they should be.

    Args:
        given: Whatever there is: model, pictures, arrays, contract, what the device gave.
        budget: Seconds for experiments; what there is no time for is listed.
        seen: Called with a label, an index and a count, for progress.

    Raises:
        DataError: if a file cannot be read, or frames do not match.
        FormatError: if a file other than the model is damaged.
        UsageError: if too little was given to say anything.
    """
    clock = Clock()
    try:
        with clock.step("open"):
            scene = open_scene(given)
    except FormatError as why:
        known = {given.model, *map(str, (*given.devices, *given.references))}
        if why.path not in known:
            raise
        return _damaged(given, why, clock)
    found = _Answer(given, scene, clock, seen, budget).diagnosis()
    return replace(found, given=given.roles(), seconds=clock.steps)


def _damaged(given: Given, why: FormatError, clock: Clock) -> Diagnosis:
    mistake = Mistake(
        "runtime.damaged_file",
        why.message,
        f"file {why.path!r}",
        (why.hint or "copy or write the file again, and compare its size and sha256",),
        "contract",
    )
    told = Explanation((mistake,), 1.0, (str(why).splitlines()[0],), proved=False)
    return Diagnosis(
        verdict=f"The file {why.path} is damaged: {why.message} (runtime.damaged_file).",
        explanations=(told,),
        not_tried=(NotTried("none", "nothing can be run before the file is whole"),),
        given=given.roles(),
        seconds=clock.steps,
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """One diagnosis while it is made."""

    given: Given
    scene: Scene
    clock: Clock
    seen: Seen
    budget: float

    def diagnosis(self) -> Diagnosis:
        """Return the answer of the first step that has one."""
        with self.clock.step("contract"):
            findings = findings_of_sent(self.scene)
            twice = nondeterministic(self.scene.frames)
        with self.clock.step("arrays"):
            rows = hypotheses(self.scene)
            looked = look_at_sent(self.scene, rows, findings)
        if not any(frame.device for frame in self.scene.frames):
            return self._of_contract(looked)
        if not self._has_reference():
            raise UsageError(
                "what the device gave can be compared with nothing",
                hint=self._lacks(),
            )
        with self.clock.step("networks"):
            made = instruments(self.scene)
        if twice is not None:
            return self._told((twice,), looked)
        return self._of_experiments(rows, looked, made)

    def _has_reference(self) -> bool:
        frames = self.scene.frames
        run = self.scene.subject is not None and all(frame.inputs for frame in frames)
        return run or all(frame.reference for frame in frames)

    def _lacks(self) -> str:
        """Return what would make a comparison possible."""
        if self.scene.subject is not None and self.given.pictures:
            return "say how a picture becomes the input: --preprocess pre.toml; or give --input"
        return "give the model and the input (--picture or --input), or --reference"

    # --- contract alone --------------------------------------------------------------------------

    def _of_contract(self, looked: Looked) -> Diagnosis:
        """Answer from what was sent alone: no device gave anything to compare with."""
        errors = tuple(_of_finding(row) for row in looked.findings if row.severity == "error")
        if looked.matching:
            made = tuple(_of_array(looked))
            later = tuple(replace(row, best=False, confidence=0.0) for row in made)
            return self._told(errors or made, looked, others=later if errors else ())
        warnings = tuple(_of_finding(row) for row in looked.findings if row.severity != "error")
        if errors or warnings:
            return self._told(errors or warnings, looked)
        if looked.right:
            return self._told((_nothing("what was sent is what was meant"),), looked)
        if looked.right is False:
            return self._told(_nothing_makes(looked), looked)
        told = "the buffer has the form that the contract asks for"
        more = NotTried("input.channel_order", "what the buffer shows: give --picture or --input")
        return self._told((_nothing(told),), looked, not_tried=(more,))

    # --- experiments -----------------------------------------------------------------------------

    def _of_experiments(
        self, rows: Sequence[Hypothesis], looked: Looked, made: Instruments
    ) -> Diagnosis:
        frames = self.scene.frames
        exact = made.exact(frames)
        names = self._names(exact[0])
        shapes = {name: exact[0][name].shape for name in names}
        missing = refuse_incomparable(self.scene, names, shapes)
        names = those_given(self.scene, names)
        late = stale(frames, exact, made.noise, names)
        experiment = Experiment(self.scene, made.noise, made.rows, names, made.inner)
        with self.clock.step("experiments"):
            chosen = self._chosen(rows, looked)
            searched = search(
                experiment, chosen, budget=self.budget, fit=looked.right is None, seen=self.seen
            )
        sure = bool(looked.matching) and self.scene.contract is not None
        best = [experiment.complete(row) for row in accepted(searched, experiment, sure=sure)]
        searched = replace(searched, baseline=experiment.complete(searched.baseline))
        answers = explanations(best, searched.baseline, frames, exact, made.mended(frames))
        if late is not None and not (best and is_close(best[0])):
            answers, best = (late,), []
        contract = self._by_contract(looked, answers, searched)
        if contract:
            answers, best = contract, []
        left = Leftover(())
        if not answers or (best and not is_close(best[0]) and looked.right is not False):
            with self.clock.step("statistics"):
                left = left_unexplained(
                    self.scene,
                    searched.baseline,
                    made,
                    names,
                    budget=self.budget,
                    seen=self.seen,
                )
            answers, best = self._better(answers, best, left, searched)
        with self.clock.step("ladder"):
            ladder = climb_scene(self.scene, names)
        answers = (*broken_floats(ladder), *_with_missing(answers, missing))
        return self._told(
            answers,
            looked,
            others=runners_up(searched, best),
            tried=(*left.trials, *trials(searched)),
            first_layer=left.first_layer,
            ladder=ladder,
            not_tried=(
                *(NotTried("output.order", f"the device gave no {name!r}") for name in missing),
                *self._not_tried(looked),
                *searched.not_tried,
            ),
            residual=searched.baseline.residual,
            noise=made.told,
        )

    def _better(
        self,
        answers: tuple[Explanation, ...],
        best: list[Tried],
        left: Leftover,
        searched: Searched,
    ) -> tuple[tuple[Explanation, ...], list[Tried]]:
        """Return what explains more: a mistake at the input or output, or another network."""
        if not answers and left.eliminated:
            return (*nearest(searched), *left.explanations)[:MOST], best
        if not answers:
            return left.explanations, best
        gain = gain_of(best[0], searched.baseline)
        if left.gain > gain * TIE:
            return left.explanations, []
        if left.gain * TIE < gain:
            return answers, best
        both = (*answers, *left.explanations)[:MOST]
        return tuple(replace(row, confidence=row.confidence / 2) for row in both), best

    def _names(self, exact: Mapping[str, F64]) -> dict[str, str]:
        device = self.scene.frames[0].device
        inner = set(inner_names(self.scene))
        paired = pair_names(
            {name: row.shape for name, row in exact.items() if name not in inner},
            [(name, row.size) for name, row in device.items() if name not in inner],
        )
        by_hand = dict(self.given.names or {})
        strange = [name for name in by_hand if name not in paired]
        strange += [name for name in by_hand.values() if name not in device]
        if strange:
            raise UsageError(
                f"{strange[0]!r} is no output: the network has {', '.join(paired)}, the device "
                f"gave {', '.join(device)}",
                hint="write --map NETWORK=DEVICE with these names",
            )
        return {**paired, **by_hand}

    def _chosen(self, rows: Sequence[Hypothesis], looked: Looked) -> Sequence[Hypothesis]:
        """Return the input mistakes worth trying: what was sent says which they can be."""
        if looked.right is None:
            return rows
        if looked.right:
            return [row for row in rows if row.unseen]
        return looked.matching or rows

    def _by_contract(
        self, looked: Looked, answers: Sequence[Explanation], searched: Searched
    ) -> tuple[Explanation, ...]:
        """Return what the sent buffer itself shows, where no experiment says more.

        That another array was sent than was meant is a fact, however little the outputs show of it;
        but only the device's own contract says how an array is to be read.
        """
        sure = looked.matching and self.scene.contract is not None
        if not sure and searched.baseline.residual <= ORDINARY**2:
            return ()
        if self.scene.contract is None and not looked.matching:
            return ()
        if any("input" in cause for row in answers for cause in row.causes):
            return ()
        if looked.matching:
            return tuple(_of_array(looked))
        errors = [row for row in looked.findings if row.severity == "error"]
        return tuple(_of_finding(row) for row in errors)

    def _not_tried(self, looked: Looked) -> tuple[NotTried, ...]:
        if self.scene.preprocess is None:
            return (NotTried("input.channel_order", "the network takes no picture that is known"),)
        if looked.right:
            return (NotTried("input.channel_order", "what was sent is what was meant"),)
        return ()

    # --- the end ---------------------------------------------------------------------------------

    def _told(
        self,
        answers: tuple[Explanation, ...],
        looked: Looked,
        *,
        others: tuple[Explanation, ...] = (),
        tried: tuple[Trial, ...] = (),
        not_tried: tuple[NotTried, ...] = (),
        residual: float | None = None,
        noise: str = "",
        first_layer: str = "",
        ladder: Ladder | None = None,
    ) -> Diagnosis:
        found = Diagnosis(
            verdict="",
            explanations=(*answers, *others),
            findings=_worth_showing(looked.findings, answers),
            trials=tried,
            not_tried=not_tried,
            residual=residual,
            noise=noise,
            first_layer=first_layer,
            ladder=ladder,
            first_stage=first_broken_stage(ladder),
        )
        found = self._unrepresentative(found)
        return replace(found, verdict=verdict_of(found))

    def _unrepresentative(self, found: Diagnosis) -> Diagnosis:
        """Where nothing seems wrong, or nothing can be told: was it tested on a real picture?"""
        shown = [picture_of(frame) for frame in self.scene.frames]
        reasons = [reason for row in shown if row is not None and (reason := unrepresentative(row))]
        named = {cause for row in found.best for cause in row.causes}
        flat = all(row is not None and is_flat(row) for row in shown)
        proved = any(row.proved for row in found.best) and not found.healthy and not flat
        if len(reasons) < len(self.scene.frames) or not reasons or (proved and named):
            return found
        mistake = Mistake(
            "test.unrepresentative",
            reasons[0],
            mend=("compare on photographs like those that the network was trained for",),
            decided_by="statistics",
        )
        told = Explanation((mistake,), 0.9, (reasons[0],), proved=False)
        return replace(found, explanations=(told, *(replace(r, best=False) for r in found.best)))


def _of_array(looked: Looked) -> Iterator[Explanation]:
    """Explain by the mistakes that make just the array that was sent."""
    distinct = {row.mistake.cause: row for row in reversed(looked.matching)}
    for row in distinct.values():
        told = (
            f"this mistake makes the array that was sent; what was meant is "
            f"{looked.distance:.3g} of its own spread away"
        )
        mistake = replace(row.mistake, decided_by="contract")
        yield Explanation((mistake,), round(1 / len(distinct), 3), (told,), proved=False)


def _nothing_makes(looked: Looked) -> tuple[Explanation, ...]:
    """Say that another array was sent than was meant, where no mistake makes it."""
    told = (
        f"what was sent is not what was meant, {looked.distance:.3g} of its own spread away, and "
        "no mistake that is known makes it"
    )
    line = "show both as pictures: is it the same one, in the same crop, turned the same way?"
    mistake = Mistake("input.crop", told, mend=(line,), decided_by="contract")
    return (Explanation((mistake,), 0.3, (told,), proved=False),)


def _of_finding(row: Finding) -> Explanation:
    mistake = Mistake(
        row.cause, row.message, f"input {row.input!r}", (row.mend,), decided_by="contract"
    )
    sure = 0.95 if row.severity == "error" else 0.6
    return Explanation((mistake,), sure, row.other_causes, proved=False)


def _with_missing(
    answers: tuple[Explanation, ...], missing: Sequence[str]
) -> tuple[Explanation, ...]:
    """Return the answers; where they are harmless, first that not all could be looked at."""
    named = {cause for row in answers if row.best for cause in row.causes}
    if not missing or not named <= HARMLESS:
        return answers
    outputs = ", ".join(f"output {name!r}" for name in missing)
    told = f"the device gave nothing for {outputs}; nothing is wrong with what it gave"
    line = f"give this output too, or say which it is: --map {shlex.quote(missing[0])}=NAME"
    mistake = Mistake("output.order", told, mend=(line,), decided_by="contract")
    first = Explanation((mistake,), 0.5, (told,), proved=False)
    return (first, *(replace(row, best=False) for row in answers))


def _nothing(reason: str) -> Explanation:
    return Explanation((Mistake("none", reason, decided_by="contract"),), 0.9, (reason,))


def _worth_showing(
    findings: tuple[Finding, ...], answers: tuple[Explanation, ...]
) -> tuple[Finding, ...]:
    """Return the findings that no answer repeats."""
    told = {(mistake.cause, mistake.what) for row in answers for mistake in row.mistakes}
    return tuple(row for row in findings if (row.cause, row.message) not in told)


def verdict_of(found: Diagnosis) -> str:
    """Return the answer in one sentence."""
    best = found.best
    if not best:
        return "Nothing that was tried explains the difference."
    first = best[0]
    if found.healthy:
        return f"Nothing is wrong: {first.mistakes[0].what}."
    parts = [_clause(mistake) for mistake in first.mistakes]
    sentence = ", and ".join(parts)
    if found.by_elimination:
        what = f"{found.late} cause{'s were' if found.late > 1 else ' was'} left out"
        late = f"; {what} for lack of time (--budget)" if found.late else ""
        each = "; ".join(_clause(row) for one in best for row in one.mistakes)
        return f"Nothing that was tried explains the difference{late}. Where to look first: {each}."
    if len(best) > 1:
        others = "; ".join(" and ".join(BY_ID[c].meaning for c in row.causes) for row in best[1:])
        return f"{sentence}; what fits equally well: {others}."
    return f"{sentence}."


def _clause(mistake: Mistake) -> str:
    place = f"{mistake.where}: " if mistake.where else ""
    return f"{place}{mistake.what} ({mistake.cause})"
