"""One network through every stage: each step keeps what the steps before it found.

A step that fails is named with its reason in the network's own row; the others still have theirs.
"""

from __future__ import annotations

import statistics
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.cases import Case
from bench.data import Counts, Data
from bench.tasks.figure import Figure, Outputs
from bittrue import chain
from bittrue.engines.program_runner import ProgramRunner
from bittrue.errors import Error, InternalError
from bittrue.inputs import adapt
from bittrue.network import Network
from bittrue.parity.compare import Comparison, compare, make_side
from bittrue.session import Session
from bittrue.stages import Subject, open_runner

TIMED_RUNS = 11
#: Letters of a reason that are kept: a refusal lists every node.
REASON = 240
#: `native` must be as near as this to the source, relative to the largest value.
NATIVE = 1e-4


@dataclass(frozen=True, slots=True)
class Row:
    """What one network showed; None and empty where it did not get that far.

    Args:
        name: Of the network.
        reached: The last stage that could be run.
        problems: What was refused or is wrong, with its reason.
        native: `source` against `native`, inner tensors too.
        quantized: `fp_optimized` against `quantized`.
        compiled: `fp_optimized` against `compiled`.
        tensors: How many tensors are equal in every byte at `bit_true` and `compiled`.
        own: What float itself is worth.
        figures_quantized: The task at `quantized`.
        figures_compiled: The task at `compiled`.
        bytes_executable: Size of the .bte.
        seconds_build: From the file to the .bte.
        seconds: All that was done for this row.
        milliseconds: Median CPU time of one run with one thread.
    """

    name: str
    reached: str = "none"
    problems: tuple[str, ...] = ()
    native: Comparison | None = None
    quantized: Comparison | None = None
    compiled: Comparison | None = None
    tensors: int = 0
    own: tuple[Figure, ...] = ()
    figures_quantized: tuple[Figure, ...] = ()
    figures_compiled: tuple[Figure, ...] = ()
    bytes_executable: int = 0
    seconds_build: float = 0.0
    seconds: float = 0.0
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Bench:
    """A network on its way: what it is, how far it is, and what was seen so far.

    Args:
        case: The network's line of the table.
        data: Its samples.
        row: What was seen.
        network: The network as far as it is.
        exact: What float gave for each sample.
        counts: How many samples there are of each sort.
    """

    case: Case
    data: Data
    row: Row
    network: Network
    counts: Counts
    exact: tuple[Outputs, ...] = ()

    @property
    def subject(self) -> Subject:
        """The network as something that has stages."""
        return Subject(self.case.name, self.network, self.network.executable)

    @property
    def first(self) -> dict[str, np.ndarray]:
        """The first sample by input name."""
        return {self.network.native.inputs[0]: self.data.samples[0]}


def measure(case: Case, *, quick: bool = False, most: int = 0) -> Row:
    """Take one network through all steps; what stops it is in the row, never raised.

    Args:
        case: The network.
        quick: Whether to take only so many samples that all steps run.
        most: Samples that are judged, at most, and a third of them at `quantized`; 0 for no limit.
    """
    begin = time.perf_counter()
    row = Row(case.name)
    try:
        bench = _start(case, row, counts_of(case, quick=quick, most=most))
        row = bench.row
        for step in STEPS:
            bench = step(bench)
            row = bench.row
    # Whatever it is, the other networks are to be measured.
    except Exception as why:
        row = replace(row, problems=(*row.problems, f"after {row.reached}: {_reason(why)}"))
    return replace(row, seconds=time.perf_counter() - begin)


def _reason(why: Exception) -> str:
    known = isinstance(why, Error) and not isinstance(why, InternalError)
    text = why.message if isinstance(why, Error) else str(why)
    said = textwrap.shorten(text, REASON, placeholder=" ...")
    return said if known else f"{type(why).__name__}: {said}"


def counts_of(case: Case, *, quick: bool, most: int = 0) -> Counts:
    """Return how many samples a network gets; `quick` and `most` as `measure`."""
    if quick:
        return Counts(min(16, case.calibration), min(12, case.judged), min(4, case.quantized))
    if most:
        return Counts(case.calibration, min(most, case.judged), min(most // 3, case.quantized))
    return Counts(case.calibration, case.judged, case.quantized)


# --- the steps -----------------------------------------------------------------------------------


def _start(case: Case, row: Row, counts: Counts) -> Bench:
    path, weights = case.source()
    begin = time.perf_counter()
    network = chain.import_model(path, weights=weights, preprocess=case.preprocess)
    row = replace(row, reached="native", seconds_build=time.perf_counter() - begin)
    return Bench(case, case.kind(case.preprocess, counts), row, network, counts)


def _compare_native(bench: Bench) -> Bench:
    edge = _edge(bench, "source", "native", inner=True)
    gap = relative(edge)
    wrong = () if gap <= NATIVE else (f"native is {gap:.1e} from the source, above {NATIVE:g}",)
    row = bench.row
    return replace(bench, row=replace(row, native=edge, problems=(*row.problems, *wrong)))


def _optimize(bench: Bench) -> Bench:
    network, seconds = _timed(lambda: chain.optimize(bench.network))
    done = replace(bench, network=network, row=_gone(bench.row, "fp_optimized", seconds))
    exact = _outputs(done, "fp_optimized", done.data.samples)
    own = done.case.task.own(exact, done.data.truths)
    return replace(done, exact=tuple(exact), row=replace(done.row, own=own))


def _quantize(bench: Bench) -> Bench:
    network, seconds = _timed(lambda: chain.quantize(bench.network, bench.data.calibration))
    return replace(bench, network=network, row=_gone(bench.row, "quantized", seconds))


def _judge_quantized(bench: Bench) -> Bench:
    edge = _edge(bench, "fp_optimized", "quantized")
    figures = _judge(bench, "quantized", bench.counts.quantized)
    return replace(bench, row=replace(bench.row, quantized=edge, figures_quantized=figures))


def _compile(bench: Bench) -> Bench:
    network, seconds = _timed(lambda: chain.compile(bench.network))
    row = _gone(bench.row, "compiled", seconds)
    size = len(network.executable or b"")
    return replace(bench, network=network, row=replace(row, bytes_executable=size))


def _judge_compiled(bench: Bench) -> Bench:
    edge = _edge(bench, "fp_optimized", "compiled")
    figures = _judge(bench, "compiled", bench.counts.judged)
    time_taken = _time(bench)
    row = replace(bench.row, compiled=edge, figures_compiled=figures, milliseconds=time_taken)
    return replace(bench, row=row)


def _compare_exactly(bench: Bench) -> Bench:
    tensors, wrong = compare_exactly(bench.subject, bench.first)
    row = replace(bench.row, tensors=tensors, problems=(*bench.row.problems, *wrong))
    return replace(bench, row=row)


#: In the order in which a network goes through them.
STEPS: tuple[Callable[[Bench], Bench], ...] = (
    _compare_native,
    _optimize,
    _quantize,
    _judge_quantized,
    _compile,
    _judge_compiled,
    _compare_exactly,
)


# --- what the steps are made of ------------------------------------------------------------------


def _timed(make: Callable[[], Network]) -> tuple[Network, float]:
    begin = time.perf_counter()
    return make(), time.perf_counter() - begin


def _gone(row: Row, stage: str, seconds: float) -> Row:
    return replace(row, reached=stage, seconds_build=row.seconds_build + seconds)


def _edge(bench: Bench, one: str, two: str, *, inner: bool = False) -> Comparison:
    subject, given = bench.subject, bench.first
    return compare(make_side(subject, one, given), make_side(subject, two, given), inner=inner)


def _outputs(bench: Bench, stage: str, samples: Sequence[np.ndarray]) -> list[Outputs]:
    runner = open_runner(bench.subject, stage)
    name = bench.network.native.inputs[0]
    return [
        runner.run(adapt({name: x}, runner.contract, bench.network.preprocess)).outputs
        for x in samples
    ]


def _judge(bench: Bench, stage: str, count: int) -> tuple[Figure, ...]:
    found = _outputs(bench, stage, bench.data.samples[:count])
    return bench.case.task.alike(bench.exact[:count], found, bench.data.truths[:count])


def _time(bench: Bench) -> float:
    """Return the median of single-threaded runs in milliseconds of CPU time.

    CPU time, since other programs on a shared machine would count as well in the clock's.
    """
    taken = []
    with Session(bench.network.executable or b"", threads=1) as session:
        given = adapt(bench.first, session.contract, bench.network.preprocess)
        for _ in range(TIMED_RUNS):
            begin = time.thread_time()
            session.run(given)
            taken.append(time.thread_time() - begin)
    return statistics.median(taken) * 1000


def compare_exactly(subject: Subject, given: dict[str, np.ndarray]) -> tuple[int, tuple[str, ...]]:
    """Return how many tensors of a program have the same bytes at both integer stages.

    Every tensor that is no constant is looked at, as it is stored.

    Returns:
        How many are equal, and what is wrong: the first that is not.
    """
    emulated, compiled = open_runner(subject, "bit_true"), open_runner(subject, "compiled")
    if not isinstance(emulated, ProgramRunner):
        raise InternalError("a program is not run by a ProgramRunner")
    names = [row.name for row in emulated.tensors]
    fed = adapt(given, emulated.contract, subject.preprocess)
    one, two = (side.run(fed, names, codes=True).taps for side in (emulated, compiled))
    unlike = [n for n in names if one[n].tobytes() != two[n].tobytes()]
    wrong = (f"compiled is not bit_true, first in {unlike[0]}",) if unlike else ()
    return len(names) - len(unlike), wrong if names else ("no tensor was compared",)


def relative(edge: Comparison) -> float:
    """Return the largest relative difference of the outputs."""
    return max(row.difference.relative if row.difference else np.inf for row in edge.outputs)
