"""The history says what became of each source node, whichever pass did it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bittrue.contract.preprocess import Preprocess
from bittrue.errors import FormatError
from bittrue.graph.model import Graph
from bittrue.passes.history import begin, history_from_json, history_to_json, record
from bittrue.passes.pipeline import Optimized, optimize
from tests.graphs import GraphBuilder


def network() -> Graph:
    """One node for each fate."""
    b = GraphBuilder()
    x = b.input("x", (1, 2, 4, 4))
    conv = b.conv(x, np.ones((3, 2, 3, 3)), name="conv")
    parts = [b.const(np.full(3, number)) for number in (2.0, 1.0, 0.5, 1.0)]
    norm = b.add("BatchNormalization", conv, *parts, name="norm")
    relu = b.add("Relu", norm, name="relu")
    idle = b.add("Reshape", relu, shape=b.shape(relu), name="idle")
    table = b.add("Neg", b.const(np.ones((1, 3, 1, 1))), name="table")
    other = b.add("Mul", idle, b.add("Tanh", idle, name="tanh"), name="gate")
    joined = b.add("Concat", other, b.add("MaxPool", other, name="pool", **_same_pool()), axis=1)
    total = b.add("Add", joined, b.add("Concat", table, table, axis=1, name="twice"), name="total")
    mean = b.add("ReduceMean", total, axes=(2, 3), keepdims=False, name="mean")
    return b.graph(b.add("Softmax", mean, axis=1, name="softmax"))


def _same_pool() -> dict[str, object]:
    return {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1,) * 4, "dilations": (1, 1)}


@pytest.fixture(scope="module")
def done() -> Optimized:
    return optimize(network())


@pytest.mark.parametrize(
    ("source", "fate", "into"),
    [
        ("conv", "fused", ("conv",)),
        ("norm", "fused", ("conv",)),
        ("relu", "fused", ("conv",)),
        ("idle", "removed", ()),
        ("table", "folded", ()),
        ("twice", "folded", ()),
        ("tanh", "fused", ("gate",)),
        ("pool", "kept", ("pool",)),
        ("softmax", "kept", ("softmax",)),
        ("mean", "split", ("mean", "mean/shape")),
    ],
)
def test_each_fate(done: Optimized, source: str, fate: str, into: tuple[str, ...]) -> None:
    assert done.history.fate(source) == fate
    assert done.history.final[source] == into
    assert done.history.trail(source)[-1].into == into


def test_the_trail_names_the_passes_and_the_company(done: Optimized) -> None:
    trail = done.history.trail("conv")
    assert [change.stage_or_pass for change in trail] == ["fold_batch_norm", "fuse_clips"]
    assert trail[0].detail == "Conv is part of Conv 'conv', with norm"
    assert done.history.structure_changes
    assert done.history.counts()["folded"] == 2


def test_a_network_that_stays_as_it_is_has_no_changes() -> None:
    b = GraphBuilder()
    x = b.input("x", (2, 3))
    history = optimize(b.graph(b.add("Softmax", x, axis=1, name="s"))).history
    assert not history.structure_changes
    assert [change.fate for change in history.trail("s")] == ["kept"]


def test_weights_that_change_under_one_name_are_noticed() -> None:
    b = GraphBuilder()
    conv = b.conv(b.input("x", (1, 3, 4, 4)), np.ones((1, 3, 1, 1)), name="conv")
    history = optimize(b.graph(conv), preprocess={"x": Preprocess((4, 4))}).history
    (change,) = history.trail("conv")
    assert change.fate == "rewritten"
    assert change.detail == "Conv is now Conv 'conv' (other constants)"


def test_a_pass_that_loses_a_node_cannot_hide_it() -> None:
    graph = network()
    lost = graph.with_nodes([node for node in graph.nodes if node.name != "pool"])
    history = record(begin(graph), "careless", graph, lost)
    assert [(change.source, change.fate) for change in history.changes] == [("pool", "removed")]


def test_json_gives_the_history_back(done: Optimized) -> None:
    data = json.loads(json.dumps(history_to_json(done.history)))
    assert history_from_json(data) == done.history


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"sources": {}, "changes": {}, "final": {}},
        {"sources": {"a": 1}, "changes": [], "final": {}},
        {"sources": {}, "changes": [{"fate": "kept"}], "final": {}},
        {"sources": {}, "changes": [], "final": {"a": "b"}},
    ],
)
def test_a_broken_history_is_refused(data: object) -> None:
    with pytest.raises(FormatError, match="history cannot be read"):
        history_from_json(data, path="model.bta")
