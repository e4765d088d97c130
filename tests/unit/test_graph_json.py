import copy
import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from bittrue.errors import FormatError
from bittrue.graph.graph_json import graph_from_json, graph_to_json
from bittrue.graph.model import Graph, Node, Value
from bittrue.graph.ops import complete_attrs
from bittrue.graph.verify import verify

WINDOW = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}


def network() -> Graph:
    values = {
        "x": Value("x", "float32", (1, 3, 8, 8), ("image",)),
        "w": Value("w", "float32", (4, 3, 3, 3)),
        "o": Value("o", "float32", (3,)),
        "h": Value("h", "float32", (1, 4, 8, 8), ("a", "b")),
        "s": Value("s", "float32", (1, 4, 8, 8)),
        "y": Value("y", "float32", (1, 4, 10, 8)),
    }
    conv = complete_attrs("Conv", {**WINDOW, "clip": (0.0, math.inf)})
    pads = complete_attrs("Pad", {"pads": (0, 0, 1, 0, 0, 0, 1, 0), "value": math.nan})
    nodes = (
        Node("conv", "Conv", ("x", "w", "", "o"), ("h",), conv, ("Conv_0", "Relu_1")),
        Node("act", "Pointwise", ("h",), ("s",), complete_attrs("Pointwise", {"expr": "x exp"})),
        Node("border", "Pad", ("s",), ("y",), pads),
    )
    rng = np.random.default_rng(0)
    constants = {name: rng.normal(size=values[name].shape).astype(np.float32) for name in "wo"}
    return Graph("net", ("x",), ("y",), nodes, values, constants)


def as_json(graph: Graph) -> dict[str, object]:
    """Return what a reader of the file gets; NaN and infinities would be refused here."""
    found = json.loads(json.dumps(graph_to_json(graph), allow_nan=False))
    assert isinstance(found, dict)
    return found


def test_a_graph_survives_json() -> None:
    graph = network()
    verify(graph)
    again = graph_from_json(as_json(graph), graph.constants)
    assert graph_to_json(again) == graph_to_json(graph)
    assert again.values == graph.values
    assert again.nodes[0] == graph.nodes[0]
    assert math.isnan(again.nodes[2].number("value"))


def set_at(*path: str | int) -> Callable[[dict[str, object], object], None]:
    def change(data: dict[str, object], value: object) -> None:
        place: object = data
        for key in path[:-1]:
            place = place[key]  # type: ignore[index]
        place[path[-1]] = value  # type: ignore[index]

    return change


PLACES: list[tuple[tuple[str | int, ...], list[object]]] = [
    (("format",), [2, None, "1"]),
    (("name",), [None, 3]),
    (("inputs",), [None, "x", ["nothing"], [3], ["x", "x"], ["w"]]),
    (("outputs",), [None, ["nothing"], {}]),
    (("values",), [None, [], [["x"]], [[]], "xyz", 3]),
    (("values", 0), [None, ["x", "float32", [1, 3, 8, 8]], ["x", "float32", [1, 3, 8, 9], []]]),
    (("values", 0, 0), [None, "", "w", "z"]),
    (("values", 0, 1), [None, "float8", "int8", "object"]),
    (("values", 0, 2), [None, "big", [1, 3, 8], [-1], [1.0], [True], [2**64], [2**20] * 20, [0]]),
    (("values", 0, 2), [[1] * 100]),
    (("values", 0, 3), [None, [None]]),
    (("nodes",), [None, [], [None], ["conv"], {}]),
    (("nodes", 0, "op"), [None, "Nothing", "__class__", 1]),
    (("nodes", 0, "name"), ["", "act", None, 0]),
    (("nodes", 0, "inputs"), [None, [], ["x"], ["x", "w", "", "o", "o"], ["h", "w"], ["x", 1]]),
    (("nodes", 0, "outputs"), [[], ["x"], ["h", "s"], [""]]),
    (("nodes", 0, "attrs"), [None, [], {}, {"strides": [1, 1]}, {"extra": 1}]),
    (("nodes", 0, "attrs", "strides"), [[0, 1], [1], [1, 1, 1], 1, "11", [1.0, 1], [10**400, 1]]),
    (("nodes", 0, "attrs", "pads"), [[10**18] * 4, [-1, 0, 0, 0], None]),
    (("nodes", 0, "attrs", "clip"), [["inf"], [0, 1, 2], "inf", ["a", "b"], [10**400, 0]]),
    (("nodes", 0, "attrs", "group"), [0, -1, 2, True, 1.0, 10**30]),
    (("nodes", 0, "origin"), [None, "abc", [1]]),
    (("nodes", 1, "attrs", "expr"), ["", "x x", "x " * 100000, "import os", 1, "x 1e999 mul"]),
]


@pytest.mark.parametrize(("path", "values"), PLACES, ids=[str(path) for path, _ in PLACES])
def test_hostile_json_is_a_format_error(path: tuple[str | int, ...], values: list[object]) -> None:
    graph = network()
    for value in values:
        data = copy.deepcopy(as_json(graph))
        set_at(*path)(data, value)
        with pytest.raises(FormatError) as caught:
            graph_from_json(data, graph.constants, path="model.bta")
        assert caught.value.path == "model.bta"
        assert len(str(caught.value)) < 2000


def test_each_missing_key_is_a_format_error() -> None:
    graph = network()
    for key in as_json(graph):
        data = as_json(graph)
        del data[key]
        with pytest.raises(FormatError, match=r"model\.bta"):
            graph_from_json(data, graph.constants, path="model.bta")
    for key in ("name", "op", "inputs", "outputs", "attrs", "origin"):
        data = as_json(graph)
        del data["nodes"][0][key]  # type: ignore[index]
        with pytest.raises(FormatError, match=key):
            graph_from_json(data, graph.constants)


def test_constants_that_do_not_match_are_a_format_error() -> None:
    graph = network()
    with pytest.raises(FormatError, match="'w'"):
        graph_from_json(as_json(graph), {"o": graph.constants["o"]})
    with pytest.raises(FormatError, match="'w'"):
        graph_from_json(as_json(graph), {**graph.constants, "w": np.zeros(3, np.float32)})
