"""The float passes, in the order in which they run, and what each promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bittrue import settings
from bittrue.contract.preprocess import Preprocess
from bittrue.errors import InternalError
from bittrue.graph.model import Graph
from bittrue.graph.text import to_text
from bittrue.graph.verify import verify
from bittrue.passes.affine import fold_affine_back, fold_affine_forward, fold_batch_norm
from bittrue.passes.channels import split_layers
from bittrue.passes.fold import fold_constants, fold_pads, pool_reductions, use_dense
from bittrue.passes.fuse import fuse_clips, fuse_functions, fuse_pointwise
from bittrue.passes.history import History, begin, record
from bittrue.passes.normalize import normalize_inputs
from bittrue.passes.tidy import remove_unused, share_duplicates, tidy_moves


@dataclass(frozen=True, slots=True)
class Exact:
    """Every output has the same numbers as before (a zero may change its sign)."""


@dataclass(frozen=True, slots=True)
class Reassociates:
    """The same sum in another order, or with factors moved.

    Args:
        bound: No output differs by more than this times the largest magnitude of any float tensor
            that the network makes on the same inputs.
    """

    bound: float


Promise = Exact | Reassociates


@dataclass(frozen=True, slots=True)
class Pass:
    """One step from a graph to a better one.

    Args:
        name: Unique in the table.
        run: Returns a new graph, or the same one where there is nothing to do.
        needs: What must hold before, in words that earlier passes give.
        gives: What holds afterwards.
        promise: What becomes of the outputs.
    """

    name: str
    run: Callable[[Graph], Graph]
    needs: frozenset[str]
    gives: frozenset[str]
    promise: Promise


def _row(
    run: Callable[[Graph], Graph], promise: Promise, *, needs: str = "", gives: str = ""
) -> Pass:
    return Pass(run.__name__, run, frozenset(needs.split()), frozenset(gives.split()), promise)


EXACT = Exact()
#: A sum of n float32 products is off by up to n * 2**-24 of its terms' magnitudes in either order;
#: 1e-5 allows some 170 of such roundings to add up, real networks stay near 1e-6.
FOLDS = Reassociates(1e-5)

#: Every float pass of any graph, read from top to bottom; `passes_for` puts one in front of them.
PASSES: tuple[Pass, ...] = (
    _row(remove_unused, EXACT, gives="all_used"),
    _row(fold_constants, EXACT, gives="constants_known"),
    _row(pool_reductions, FOLDS, gives="pools"),
    _row(use_dense, FOLDS, needs="constants_known", gives="dense"),
    _row(tidy_moves, EXACT, needs="constants_known pools dense", gives="moves_tidy"),
    _row(share_duplicates, EXACT, needs="moves_tidy", gives="no_duplicates"),
    _row(split_layers, FOLDS, needs="moves_tidy no_duplicates", gives="layers_split"),
    _row(fold_pads, FOLDS, needs="layers_split", gives="pads_folded"),
    _row(
        fold_batch_norm,
        FOLDS,
        needs="dense pads_folded no_duplicates",
        gives="no_batch_norm",
    ),
    _row(fold_affine_back, FOLDS, needs="dense no_batch_norm", gives="affine_back"),
    _row(fuse_clips, EXACT, needs="affine_back", gives="clips"),
    _row(fuse_functions, FOLDS, needs="clips", gives="functions"),
    _row(fold_affine_forward, FOLDS, needs="pads_folded functions", gives="affine_forward"),
    _row(fuse_pointwise, FOLDS, needs="affine_forward", gives="pointwise"),
)


@dataclass(frozen=True, slots=True)
class Optimized:
    """A graph after the passes, and what became of each node of the graph before."""

    graph: Graph
    history: History


def optimize(graph: Graph, *, preprocess: Mapping[str, Preprocess] | None = None) -> Optimized:
    """Return the graph after all float passes, and the history of its nodes.

    With BITTRUE_VERIFY=1 the graph is checked after every pass; with BITTRUE_DUMP=<folder> it is
    written there after every pass.

    Args:
        graph: As imported.
        preprocess: How a picture becomes each input named: the graph then reads uint8 pixels
            [N, H, W, C] there, and normalises them itself.

    Raises:
        UsageError: if the preprocessing does not fit the graph's inputs.
        InternalError: if a pass made a graph that is not legal (only with BITTRUE_VERIFY=1).
    """
    history = begin(graph)
    for index, step in enumerate(passes_for(preprocess or {})):
        after = step.run(graph)
        history = record(history, step.name, graph, after)
        _inspect(after, index, step)
        graph = after
    return Optimized(graph, history)


def passes_for(preprocess: Mapping[str, Preprocess]) -> tuple[Pass, ...]:
    """Return the passes to run: normalisation first, where there is any."""
    if not preprocess:
        return PASSES
    run = partial(normalize_inputs, preprocess=preprocess)
    return (Pass("normalize_inputs", run, frozenset(), frozenset(("raw",)), FOLDS), *PASSES)


def _inspect(graph: Graph, index: int, step: Pass) -> None:
    if settings.get_flag("BITTRUE_VERIFY"):
        try:
            verify(graph)
        except InternalError as why:
            raise InternalError(f"after pass {step.name!r}: {why}") from why
    folder = settings.get("BITTRUE_DUMP")
    if folder:
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        text = to_text(graph)
        (path / f"{index:02d}-{step.name}.txt").write_text(text, encoding="utf-8")


def order_problems(passes: Sequence[Pass]) -> list[str]:
    """Return what is wrong with the order of passes, one sentence each; empty when nothing is."""
    given: set[str] = set()
    problems = []
    for step in passes:
        missing = step.needs - given
        if missing:
            problems.append(f"{step.name} needs {', '.join(sorted(missing))} from a pass before it")
        given |= step.gives
    names = [step.name for step in passes]
    problems += [f"{name} is there twice" for name in sorted(set(names)) if names.count(name) > 1]
    return problems
