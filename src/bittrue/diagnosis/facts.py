"""What a diagnosis found, as frozen facts: explanations, what was tried, what was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bittrue.contract.causes import BY_ID
from bittrue.contract.finding import Finding
from bittrue.errors import InternalError
from bittrue.parity.ladder import Ladder

#: What `Mistake.decided_by` may be: docs/diagnosis.md says what each means.
DECIDED_BY = ("contract", "experiment", "ladder", "statistics")
#: Causes that say that nothing is to be mended.
HARMLESS = frozenset({"none", "quant.expected", "runtime.rounding"})


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that went wrong, at one place.

    Args:
        cause: An id of the table of causes.
        what: The variant in words: "blue, green, red where red, green, blue is expected".
        where: "input 'images'", "output 'boxes'", "layer '/conv1/Conv'"; empty for the whole.
        mend: Lines of code or a command that make it go away, in the user's terms; `x` is the
            array that is sent, `d` what the device gave.
        decided_by: One of DECIDED_BY.
    """

    cause: str
    what: str
    where: str = ""
    mend: tuple[str, ...] = ()
    decided_by: str = "experiment"

    def __post_init__(self) -> None:
        """Refuse a misspelt id or way of deciding."""
        if self.cause not in BY_ID or self.decided_by not in DECIDED_BY:
            raise InternalError(f"{self.cause!r} or {self.decided_by!r} is in no table")


@dataclass(frozen=True, slots=True)
class Effect:
    """How far what the device gave is from what it should give, before and after the mend.

    Args:
        output: Name of the output; "" for all together.
        before_sqnr_db: Without the mend.
        after_sqnr_db: With it.
        before_max_abs: Greatest difference without it.
        after_max_abs: With it.
    """

    output: str
    before_sqnr_db: float
    after_sqnr_db: float
    before_max_abs: float
    after_max_abs: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """One or two mistakes that together explain the difference.

    Args:
        mistakes: One, or an input's and an output's together.
        confidence: 0 to 1; docs/diagnosis.md says how it is made.
        evidence: Sentences with figures.
        effects: The mend applied, by output; empty where it could not be tried.
        best: Whether it is first, or tied for first.
        proved: Whether reproduced by experiment (False: read off contracts and statistics).
    """

    mistakes: tuple[Mistake, ...]
    confidence: float
    evidence: tuple[str, ...]
    effects: tuple[Effect, ...] = ()
    best: bool = True
    proved: bool = True

    @property
    def causes(self) -> tuple[str, ...]:
        """Their ids."""
        return tuple(row.cause for row in self.mistakes)


@dataclass(frozen=True, slots=True)
class Trial:
    """One experiment: mistakes applied to our own pipeline.

    Args:
        label: What was tried, in words.
        causes: Ids.
        residual: What it leaves unexplained, in units of the ordinary noise (1: nothing but noise).
        gain: Residual of no mistake over this one's; 1: it explains nothing.
    """

    label: str
    causes: tuple[str, ...]
    residual: float
    gain: float


@dataclass(frozen=True, slots=True)
class NotTried:
    """What could have been the reason but was not looked at, and why."""

    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why the two sides differ.

    Args:
        verdict: One sentence.
        explanations: Those that fit equally well first (`best`); then the runners-up.
        findings: What the buffers show by themselves.
        trials: Every experiment, best first.
        not_tried: What was not looked at, with the reason.
        residual: What no mistake leaves unexplained, in units of the ordinary noise.
        noise: Where the ordinary noise was taken from, in words.
        ladder: The stages, where there is a network to climb.
        first_stage: The first stage, or capture, beyond its bound; empty where none is.
        first_layer: The first layer beyond it; empty where nobody can tell.
        given: What was given, by role: file names.
        seconds: By step.
    """

    verdict: str
    explanations: tuple[Explanation, ...]
    findings: tuple[Finding, ...] = ()
    trials: tuple[Trial, ...] = ()
    not_tried: tuple[NotTried, ...] = ()
    residual: float | None = None
    noise: str = ""
    ladder: Ladder | None = None
    first_stage: str = ""
    first_layer: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def best(self) -> tuple[Explanation, ...]:
        """The explanations that are first or tied for first."""
        return tuple(row for row in self.explanations if row.best)

    @property
    def by_elimination(self) -> bool:
        """Whether nothing that was tried fits, and several places to look at are named instead."""
        statistics = all(m.decided_by == "statistics" for row in self.best for m in row.mistakes)
        return len(self.best) > 1 and statistics and not any(row.proved for row in self.best)

    @property
    def late(self) -> int:
        """How many causes were not tried, or not in every way, for lack of time."""
        return len({row.cause for row in self.not_tried if "budget" in row.reason})

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong: no cause, or only the ordinary noise of 8 bits."""
        return bool(self.best) and all(set(row.causes) <= HARMLESS for row in self.best)
