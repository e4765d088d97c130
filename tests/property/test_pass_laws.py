"""The laws that every float pass keeps, on graphs drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bittrue.graph.model import Graph
from bittrue.graph.reference import run_reference
from bittrue.graph.verify import verify
from bittrue.passes.history import history_from_json, history_to_json
from bittrue.passes.pipeline import PASSES, Exact, Pass, Promise, optimize
from tests.graphs import random_graph, random_inputs

LAWS = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def run_all(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    taps = [name for name in graph.values if name not in graph.constants]
    return run_reference(graph, random_inputs(graph, seed), taps)


def bound(promise: Promise, *runs: dict[str, np.ndarray]) -> float:
    """The promise in numbers: relative to the largest magnitude of any tensor."""
    if isinstance(promise, Exact):
        return 0.0
    arrays = [array for run in runs for array in run.values() if array.size]
    return promise.bound * max(float(np.abs(array).max()) for array in arrays)


def assert_same_outputs(
    before: Graph,
    after: Graph,
    old: dict[str, np.ndarray],
    new: dict[str, np.ndarray],
    limit: float,
) -> None:
    assert after.outputs == before.outputs
    for name in before.outputs:
        assert after.values[name].shape == before.values[name].shape
        assert after.values[name].dtype == before.values[name].dtype
        np.testing.assert_allclose(new[name], old[name], rtol=0, atol=limit, err_msg=name)


def assert_origins_hold(
    graph: Graph, old: dict[str, np.ndarray], new: dict[str, np.ndarray], limit: float
) -> None:
    for name, value in graph.values.items():
        array = new.get(name, graph.constants.get(name))
        for origin in value.origin:
            np.testing.assert_allclose(array, old[origin], rtol=0, atol=limit, err_msg=name)


def reaches_its_pass(graph: Graph, step: Pass) -> Graph:
    """Run what comes before a pass: its needs."""
    for earlier in PASSES[: PASSES.index(step)]:
        graph = earlier.run(graph)
    return graph


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
@given(data=st.data(), early=st.booleans())
@LAWS
def test_a_pass_keeps_its_promise_and_runs_twice_as_once(
    step: Pass, data: st.DataObject, early: bool
) -> None:
    source = data.draw(random_graph())
    graph = source if early else reaches_its_pass(source, step)
    after = step.run(graph)
    verify(after)
    assert step.run(after) is after
    if after is graph:
        return
    old, new = run_all(graph, 1), run_all(after, 1)
    limit = bound(step.promise, old, new)
    assert_same_outputs(graph, after, old, new, limit)
    if early:
        assert_origins_hold(after, old, new, limit)


@given(source=random_graph(max_steps=12))
@settings(LAWS, max_examples=150)
def test_all_passes_keep_outputs_and_origins(source: Graph) -> None:
    result = optimize(source)
    verify(result.graph)
    old, new = run_all(source, 2), run_all(result.graph, 2)
    limit = 1e-5 * max(
        1.0, *(float(np.abs(array).max()) for array in (*old.values(), *new.values()))
    )
    assert_same_outputs(source, result.graph, old, new, limit)
    assert_origins_hold(result.graph, old, new, limit)
    again = optimize(result.graph)
    assert again.graph is result.graph
    assert not again.history.structure_changes


@given(source=random_graph(max_steps=12))
@settings(LAWS, max_examples=60)
def test_the_history_accounts_for_every_source_node(source: Graph) -> None:
    result = optimize(source)
    history = result.history
    assert list(history.sources) == [node.name for node in source.nodes]
    working = {origin: [] for node in source.nodes for origin in node.origin}
    for node in result.graph.nodes:
        for origin in node.origin:
            working[origin].append(node.name)
    for name, nodes in working.items():
        assert history.final[name] == tuple(nodes)
        fate = history.fate(name)
        assert (fate in ("removed", "folded")) == (not nodes)
        assert history.trail(name)[-1].into == tuple(nodes)
    assert sum(history.counts().values()) == len(source.nodes)
    assert history_from_json(history_to_json(history)) == history
