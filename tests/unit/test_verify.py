from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bittrue.errors import InternalError
from bittrue.graph.model import Graph, Node, Value
from bittrue.graph.ops import complete_attrs
from bittrue.graph.verify import broken_promises, verify


def legal() -> Graph:
    values = {
        "x": Value("x", "float32", (1, 2)),
        "w": Value("w", "float32", (2, 2)),
        "h": Value("h", "float32", (1, 2)),
        "y": Value("y", "float32", (1, 2)),
    }
    dense = Node("fc", "Dense", ("x", "w"), ("h",), complete_attrs("Dense", {}))
    relu = Node("act", "Relu", ("h",), ("y",))
    return Graph("net", ("x",), ("y",), (dense, relu), values, {"w": np.zeros((2, 2), np.float32)})


def with_value(graph: Graph, name: str, **changes: object) -> Graph:
    value = replace(graph.values[name], **changes)  # type: ignore[arg-type]
    return replace(graph, values={**graph.values, name: value})


def with_node(graph: Graph, index: int, **changes: object) -> Graph:
    nodes = list(graph.nodes)
    nodes[index] = replace(nodes[index], **changes)  # type: ignore[arg-type]
    return replace(graph, nodes=tuple(nodes))


def with_one_more(graph: Graph, outputs: tuple[str, ...]) -> Graph:
    return replace(graph, nodes=(*graph.nodes, Node("more", "Relu", ("x",), outputs)))


def test_a_legal_graph_passes() -> None:
    verify(legal())


BREAKS: list[tuple[str, Callable[[Graph], Graph]]] = [
    ("before anything makes it", lambda g: replace(g, nodes=g.nodes[::-1])),
    ("nothing makes value 'y'", lambda g: replace(g, nodes=g.nodes[:1])),
    ("no name of its own", lambda g: with_node(g, 1, name="fc")),
    ("no name of its own", lambda g: with_node(g, 1, name="")),
    ("there already", lambda g: with_one_more(g, outputs=("y",))),
    ("no operator", lambda g: with_node(g, 1, op="Swish")),
    ("'clip' is missing", lambda g: with_node(g, 0, attrs={})),
    ("'alpha' is unknown", lambda g: with_node(g, 1, attrs={"alpha": 1.0})),
    ("2 inputs", lambda g: with_node(g, 1, inputs=("h", "x"))),
    ("is left out", lambda g: with_node(g, 0, inputs=("x", ""))),
    ("value 'y' says float32 (2, 1)", lambda g: with_value(g, "y", shape=(2, 1))),
    ("value 'y' says int32", lambda g: with_value(g, "y", dtype="int32")),
    ("does not exist", lambda g: with_value(g, "y", dtype="float8")),
    ("has shape", lambda g: with_value(g, "y", shape=(1, -2))),
    ("has shape", lambda g: with_value(g, "y", shape=(1, np.int64(2)))),
    ("do not fit input", lambda g: with_value(g, "x", shape=(1, 3))),
    ("is listed as 'y'", lambda g: replace(g, values={**g.values, "y": g.values["h"]})),
    ("constant 'w' is", lambda g: replace(g, constants={"w": np.zeros((2, 2))})),
    ("constant 'w' is", lambda g: replace(g, constants={"w": np.zeros((2,), np.float32)})),
    ("nothing makes value 'w'", lambda g: replace(g, constants={})),
    ("constant 'v' is no value", lambda g: replace(g, constants={**g.constants, "v": np.zeros(1)})),
    ("is an input too", lambda g: replace(g, inputs=("x", "w"))),
    ("output 'q' is no value", lambda g: replace(g, outputs=("q",))),
    ("named twice", lambda g: replace(g, outputs=("y", "y"))),
    ("makes '', which is no value", lambda g: with_one_more(g, outputs=("",))),
]  # fmt: skip


@pytest.mark.parametrize(("said", "break_it"), BREAKS)
def test_each_broken_promise_is_found(said: str, break_it: Callable[[Graph], Graph]) -> None:
    with pytest.raises(InternalError) as caught:
        verify(break_it(legal()))
    assert said in str(caught.value)


def test_all_broken_promises_are_listed() -> None:
    graph = with_node(with_value(legal(), "y", shape=(9,)), 0, attrs={})
    assert len(broken_promises(graph)) == 2
