"""What the HTML report shows, as frozen facts: collected here, drawn by `bittrue.report.page`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bittrue.diagnosis.facts import Diagnosis
from bittrue.network import BY_NAME
from bittrue.parity.attribute import LayerTable
from bittrue.parity.compare import make_side
from bittrue.parity.ladder import Ladder
from bittrue.parity.samples import Survey
from bittrue.report.page_layers import Layer, drawn_layers, measured
from bittrue.report.page_pictures import PictureRow, input_row, output_rows
from bittrue.stages import Subject


@dataclass(frozen=True, slots=True)
class PageFacts:
    """Everything that the page shows.

    Args:
        name: Of the network.
        model: The file that it came from.
        reference: The stage that layers are compared with.
        other: The stage whose layers are compared.
        ladder: Every stage and edge; with several inputs, each edge on the worst of them.
        diagnosis: Why a device gave something else; None where no device's data was given.
        layers: In running order, inputs first.
        outputs: Numbers of the layers that make the network's outputs.
        pictures: The input and the outputs that are pictures.
        given: What was given, by role: file names.
        made: When, in words; empty leaves it out.
        samples: How many inputs the layers' own errors are over; 0 where none was measured.
        closes: How far the shares of a layer's error are from adding up to 1, at most.
        survey: What several inputs say together; None where there is one.
    """

    name: str
    model: str
    reference: str
    other: str
    ladder: Ladder
    diagnosis: Diagnosis | None
    layers: tuple[Layer, ...]
    outputs: tuple[int, ...]
    pictures: tuple[PictureRow, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    made: str = ""
    samples: int = 0
    closes: float = 0.0
    survey: Survey | None = None

    @property
    def own(self) -> bool:
        """Whether layers' own errors were measured."""
        return self.samples > 0


def page_facts(
    subject: Subject,
    given: Mapping[str, np.ndarray],
    diagnosis: Diagnosis | None,
    ladder: Ladder,
    table: LayerTable | None,
    *,
    survey: Survey | None = None,
    files: Mapping[str, str] | None = None,
    made: str = "",
    seen: Callable[[int, int], None] = lambda done, count: None,
) -> PageFacts:
    """Return what the page shows; both compared stages are run with taps, in portions.

    Args:
        subject: The network, with at least two stages.
        given: Its input, as `bittrue.inputs.adapt` takes it.
        diagnosis: Of what a device gave, where something was given.
        ladder: Every stage on that input.
        table: Every layer's own error, where that was measured.
        survey: What several inputs say together, that one first.
        files: What was given, by role, to name it.
        made: When, in words.
        seen: Called with how many layers were looked at, and of how many.

    Raises:
        DataError: if the input does not fit.
    """
    mine, theirs = compared_stages(subject, table)
    boxes = drawn_layers(subject, mine)
    one, two = make_side(subject, mine, given), make_side(subject, theirs, given)
    ends = {row.name for row in one.runner.contract.outputs}
    return PageFacts(
        name=subject.network.name if subject.network else subject.program().name,
        model=subject.path,
        reference=mine,
        other=theirs,
        ladder=ladder,
        diagnosis=diagnosis,
        layers=measured(boxes, one, two, table, seen=seen),
        outputs=tuple(at for at, box in enumerate(boxes) if box.tensor in ends),
        pictures=_pictures(subject, given, ladder),
        given=files or (diagnosis.given if diagnosis else {}),
        made=made,
        samples=table.samples if table else 0,
        closes=table.closes if table else 0.0,
        survey=survey if survey is not None and len(survey.samples) > 1 else None,
    )


def worst_ladder(found: Survey) -> Ladder:
    """Return one ladder of several: the first input's outputs, each edge on its worst input."""
    first = found.ladders[0]
    return Ladder(
        first.rungs,
        tuple(min(edge, key=lambda one: (one.same, one.worst.sqnr_db)) for edge in found.edges),
        min((row.whole for row in found.ladders), key=lambda one: one.worst.sqnr_db),
        found.unmeasured,
        found.ratios,
        first.matches,
    )


def compared_stages(subject: Subject, table: LayerTable | None = None) -> tuple[str, str]:
    """Return the reference's stage and the other's.

    They are those of the table; without one, the last float stage before the last stage, and that.
    """
    if table is not None:
        return table.stages
    *before, last = subject.stages
    floats = [name for name in before if BY_NAME[name].arithmetic == "float"]
    return (floats or before or [last])[-1], last


def _pictures(
    subject: Subject, given: Mapping[str, np.ndarray], ladder: Ladder
) -> tuple[PictureRow, ...]:
    """The first rung and the last: what the source gives, and what is deployed or was captured."""
    first, last = ladder.rungs[0], ladder.rungs[-1]
    colours = {row.colour for row in subject.preprocess.values()}
    colour = colours.pop() if len(colours) == 1 else ""
    rows = output_rows((first.stage, first.outputs), (last.stage, last.outputs), colour)
    shown = input_row(given, subject.preprocess)
    return (*([shown] if shown else []), *rows)
