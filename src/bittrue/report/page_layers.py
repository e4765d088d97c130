"""The layers of the report: both sides run with taps, each layer's figures and histograms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bittrue.arrays import portions
from bittrue.compiler.program import Program
from bittrue.errors import DataError
from bittrue.graph.model import Graph
from bittrue.network import BY_NAME
from bittrue.parity.attribute import LayerError, LayerTable
from bittrue.parity.compare import Side
from bittrue.parity.metrics import Difference, difference
from bittrue.parity.tensors import tensors_by_origin
from bittrue.stages import Subject, stage_graph

BINS = 40


@dataclass(frozen=True, slots=True)
class Drawn:
    """One box of the graph: a node of a stage's graph, or an instruction of a program.

    Args:
        name: Of the node.
        op: Its operator or kind.
        tensor: Name of its first output.
        shape: Of that tensor, in logical order where it has one.
        reads: Numbers of the boxes that it reads.
        origin: The source's nodes whose work it does.
        sources: The source's tensors that its first output equals.
    """

    name: str
    op: str
    tensor: str
    shape: tuple[int, ...]
    reads: tuple[int, ...]
    origin: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """Where an array's finite values lie."""

    low: float
    high: float
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often values occur on both sides, in bins of one width that both share."""

    low: float
    high: float
    reference: tuple[int, ...]
    other: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: what it is, and how far the two sides are apart behind it.

    Args:
        drawn: What it is.
        path: The difference of the two sides' tensors; None where it could not be taken.
        histogram: Of both sides.
        reference: Where the reference's values lie.
        other: Where the other side's values lie.
        error: Its own error and what it is made of, where that was measured.
        problem: Why there are no figures.
    """

    drawn: Drawn
    path: Difference | None = None
    histogram: Histogram | None = None
    reference: Spread | None = None
    other: Spread | None = None
    error: LayerError | None = None
    problem: str = ""

    @property
    def path_db(self) -> float | None:
        """Signal to noise ratio of its tensor, errors of the layers before it included."""
        return None if self.path is None else self.path.sqnr_db

    @property
    def own_db(self) -> float | None:
        """The same where it is fed with what the reference feeds it: its own error alone."""
        return None if self.error is None else self.error.own_sqnr_db


# --- what is drawn -------------------------------------------------------------------------------


def drawn_layers(subject: Subject, stage: str) -> tuple[Drawn, ...]:
    """Return the boxes of a stage's graph, in running order, its inputs first."""
    if subject.network is None or BY_NAME[stage].arithmetic == "program":
        return _of_program(subject.program())
    return _of_graph(stage_graph(subject.network, stage))


def _of_graph(graph: Graph) -> tuple[Drawn, ...]:
    boxes = [
        Drawn(name, "input", name, graph.values[name].shape, (), (), graph.values[name].origin)
        for name in graph.inputs
    ]
    maker = {name: at for at, name in enumerate(graph.inputs)}
    for node in graph.nodes:
        outputs = [name for name in node.outputs if name]
        value = graph.values[outputs[0]]
        reads = tuple(dict.fromkeys(maker[name] for name in node.inputs if name in maker))
        maker.update(dict.fromkeys(outputs, len(boxes)))
        boxes.append(
            Drawn(node.name, node.op, value.name, value.shape, reads, node.origin, value.origin)
        )
    return tuple(boxes)


def _of_program(program: Program) -> tuple[Drawn, ...]:
    rows = program.tensors
    boxes = [
        Drawn(rows[at].name, "input", rows[at].name, rows[at].shape, (), (), rows[at].origin)
        for at in program.inputs
    ]
    # By buffer: several tensors may view one, and an instruction may write on its input.
    maker = {rows[tensor].buffer: at for at, tensor in enumerate(program.inputs)}
    for step in program.instructions:
        row = rows[step.outputs[0]]
        read = (rows[at].buffer for at in step.inputs)
        reads = tuple(dict.fromkeys(maker[buffer] for buffer in read if buffer in maker))
        maker.update({rows[at].buffer: len(boxes) for at in step.outputs})
        boxes.append(
            Drawn(
                step.name or row.name,
                step.kind,
                row.name,
                row.shape,
                reads,
                step.origin,
                row.origin,
            )
        )
    return tuple(boxes)


# --- what is measured ----------------------------------------------------------------------------


def measured(
    boxes: Sequence[Drawn],
    reference: Side,
    other: Side,
    table: LayerTable | None = None,
    *,
    seen: Callable[[int, int], None] = lambda done, count: None,
) -> tuple[Layer, ...]:
    """Return every box with its figures: both sides run, a portion of the taps at a time.

    Args:
        boxes: Those of the reference's stage.
        reference: The side that is right.
        other: The side that is compared with it.
        table: Own errors, where they were measured.
        seen: Called with how many layers were looked at, and of how many.
    """
    errors = {row.name: row for row in table.rows} if table else {}
    layers = [Layer(box, error=_error(errors, box), problem="not compared") for box in boxes]
    pairs = list(_pairs(boxes, other))
    paired = {at for at, _ in pairs}
    for at, box in enumerate(boxes):
        if at not in paired:
            said = "an input" if box.op == "input" else f"stage {other.stage} has no such tensor"
            layers[at] = replace(layers[at], problem=said)
    done = 0
    for part in portions(pairs, lambda pair: 8 * math.prod(boxes[pair[0]].shape)):
        mine = reference.runner.run(reference.feeds, [boxes[at].tensor for at, _ in part]).taps
        theirs = other.runner.run(other.feeds, [name for _, name in part]).taps
        for at, name in part:
            layers[at] = _compared(layers[at], mine[boxes[at].tensor], theirs[name])
        done += len(part)
        seen(done, len(pairs))
    return tuple(layers)


def _error(errors: Mapping[str, LayerError], box: Drawn) -> LayerError | None:
    return errors.get(box.tensor)


def _pairs(boxes: Sequence[Drawn], other: Side) -> Iterable[tuple[int, str]]:
    """Yield the boxes that the other stage holds too, with its own name for their tensor."""
    by_origin = tensors_by_origin(other.subject, other.stage)
    known = {row.name for row in by_origin.values()}
    for at, box in enumerate(boxes):
        if box.op == "input":
            continue
        found = (by_origin[name].name for name in box.sources if name in by_origin)
        name = box.tensor if box.tensor in known else next(found, "")
        if name:
            yield at, name


def _compared(layer: Layer, mine: np.ndarray, theirs: np.ndarray) -> Layer:
    try:
        found = difference(mine, theirs)
    except DataError as why:
        return replace(layer, problem=why.message)
    return replace(
        layer,
        path=found,
        histogram=histogram(mine, theirs),
        reference=spread(mine),
        other=spread(theirs),
        problem="",
    )


def spread(array: np.ndarray) -> Spread:
    """Return where an array's finite values lie; NaN where it has none."""
    some = array[np.isfinite(array)].astype(np.float64)
    if not some.size:
        return Spread(math.nan, math.nan, math.nan, math.nan)
    return Spread(float(some.min()), float(some.max()), float(some.mean()), float(some.std()))


def histogram(mine: np.ndarray, theirs: np.ndarray, bins: int = BINS) -> Histogram | None:
    """Return how often values occur on both sides; None where neither has a finite one.

    Args:
        mine: The reference, any shape and type.
        theirs: The other side, of the same shape.
        bins: How many, of one width, from the least to the greatest value of both.
    """
    sides = [array[np.isfinite(array)].astype(np.float64) for array in (mine, theirs)]
    some = [array for array in sides if array.size]
    if not some:
        return None
    low = min(float(array.min()) for array in some)
    high = max(float(array.max()) for array in some)
    if not math.isfinite(high - low) or high - low < 1e-30:
        bins, high = 1, low + 1.0
    counts = [np.histogram(array, bins, (low, high))[0] for array in sides]
    one, two = (tuple(int(count) for count in row) for row in counts)
    return Histogram(low, high, one, two)
