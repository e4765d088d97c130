import math

import numpy as np

from bittrue.graph.model import Graph, Node, Value
from bittrue.graph.ops import complete_attrs
from bittrue.graph.text import to_text


def test_text_names_every_value_with_its_shape() -> None:
    x, y = (Value(name, "float32", (1, 4)) for name in "xy")
    w = Value("w", "float32", (4, 4))
    dense = complete_attrs("Dense", {"clip": (0.0, math.inf)})
    fc = Node("fc", "Dense", ("x", "w", ""), ("h",), dense)
    same = Node("act", "Add", ("h", "h"), ("y",), complete_attrs("Add", {}))
    values = {"x": x, "w": w, "h": Value("h", "float32", (1, 4)), "y": y}
    graph = Graph("net", ("x",), ("y",), (fc, same), values, {"w": np.zeros((4, 4))})
    assert to_text(graph).splitlines() == [
        "graph net",
        "  input  x: float32 [1, 4]",
        "  h: float32 [1, 4] = Dense(x, w: float32 [4, 4], -, clip=[0.0, inf])  # fc",
        "  y: float32 [1, 4] = Add(h, h)  # act",
        "  output y: float32 [1, 4]",
    ]
