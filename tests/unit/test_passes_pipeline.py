"""The table of passes: its order, its switches, and what comes out of it."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from bittrue import passes
from bittrue.contract.preprocess import Preprocess
from bittrue.errors import InternalError
from bittrue.graph.model import Graph
from bittrue.passes import pipeline
from bittrue.passes.pipeline import PASSES, Pass, optimize, order_problems, passes_for
from tests.graphs import GraphBuilder, random_graph


def small() -> Graph:
    b = GraphBuilder()
    conv = b.conv(b.input("x", (1, 2, 4, 4)), np.ones((3, 2, 1, 1)))
    return b.graph(b.add("Relu", conv))


def test_every_pass_runs_after_those_that_give_what_it_needs() -> None:
    assert order_problems(PASSES) == []
    first, *others = passes_for({"x": Preprocess((4, 4))})
    assert (first.name, others) == ("normalize_inputs", [*PASSES])
    assert order_problems([first, *others]) == []


def test_a_wrong_order_is_said() -> None:
    problems = order_problems(PASSES[::-1])
    assert any("fuse_clips needs affine_back" in text for text in problems)
    assert order_problems((PASSES[0], PASSES[0])) == [f"{PASSES[0].name} is there twice"]


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
def test_the_drawn_graphs_give_every_pass_something_to_do(step: Pass) -> None:
    def changes(graph: Graph) -> bool:
        for earlier in PASSES[: PASSES.index(step)]:
            graph = earlier.run(graph)
        return step.run(graph) is not graph

    settings = hypothesis.settings(
        max_examples=2000,
        derandomize=True,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    assert hypothesis.find(random_graph(max_steps=10), changes, settings=settings)


def test_the_graph_after_every_pass_is_written_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITTRUE_DUMP", str(tmp_path / "dump"))
    optimize(small())
    names = sorted(path.name for path in (tmp_path / "dump").iterdir())
    assert names[0] == f"00-{PASSES[0].name}.txt"
    assert len(names) == len(PASSES)
    assert "Conv" in (tmp_path / "dump" / names[-1]).read_text()


def test_an_illegal_graph_is_found_behind_the_pass_that_made_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = replace(PASSES[3], run=lambda graph: replace(graph, outputs=("nowhere",)))
    monkeypatch.setattr(pipeline, "PASSES", (*PASSES[:3], broken))
    monkeypatch.setenv("BITTRUE_VERIFY", "1")
    with pytest.raises(InternalError, match=f"after pass '{broken.name}'"):
        optimize(small())
    monkeypatch.setenv("BITTRUE_VERIFY", "0")
    optimize(small())


def test_a_scale_behind_an_activation_joins_its_table_not_the_convolution() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, 2, 4, 4))
    scaled = b.add("Mul", b.add("Sigmoid", x), b.const(np.float32(2)))
    moved = b.add("Sub", scaled, b.const(np.float32(0.5)))
    graph = b.graph(b.conv(moved, np.ones((1, 2, 3, 3)), pads=(1, 1, 1, 1)))
    after = optimize(graph).graph
    assert [node.op for node in after.nodes] == ["Pointwise", "Conv"]
    assert after.nodes[0].attrs["expr"] == "x sigmoid 2.0 mul 0.5 sub"
    assert len(after.nodes[1].inputs) == 2


def test_a_mean_without_kept_axes_and_a_flatten_are_a_pool_and_one_reshape() -> None:
    b = GraphBuilder()
    mean = b.add("ReduceMean", b.input("x", (1, 2, 4, 4)), axes=(2, 3), keepdims=False)
    after = optimize(b.graph(b.add("Reshape", mean, shape=(2, 1)))).graph
    assert [node.op for node in after.nodes] == ["AveragePool", "Reshape"]


def test_every_pass_stands_in_the_table() -> None:
    """A pass is what takes a Graph and nothing else, and gives one."""
    found = set()
    for path in Path(passes.__path__[0]).glob("*.py"):
        module = importlib.import_module(f"bittrue.passes.{path.stem}")
        for name, item in inspect.getmembers(module, inspect.isfunction):
            is_pass = item.__annotations__ == {"graph": "Graph", "return": "Graph"}
            if is_pass and item.__module__ == module.__name__ and not name.startswith("_"):
                found.add(name)
    assert found == {row.run.__name__ for row in PASSES}
