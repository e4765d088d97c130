import numpy as np
import pytest

from bittrue.engines.float_ import open_session
from bittrue.errors import UsageError
from bittrue.graph.model import Graph
from bittrue.importers.export import to_onnx
from bittrue.importers.onnx_part import part_of
from tests.graphs import GraphBuilder


def two_nodes() -> bytes:
    """x -> relu -> doubled."""
    builder = GraphBuilder()
    r = builder.add("Relu", builder.input("x", (1, 3)), name="r")
    y = builder.add("Mul", r, builder.const(np.float32([2, 2, 2])), name="y")
    return to_onnx(
        Graph("net", ("x",), (y,), tuple(builder.nodes), builder.values, builder.constants)
    )


def test_a_part_of_a_file_runs_between_any_two_tensors() -> None:
    x = np.float32([[-1, 2, 3]])
    session = open_session(part_of(two_nodes(), {"r:out": (1, 3)}, ["y:out"]), 1)
    assert [row.name for row in session.get_inputs()] == ["r:out"]
    assert np.array_equal(session.run(["y:out"], {"r:out": x})[0], 2 * x)


def test_a_tensor_that_the_file_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean"):
        part_of(two_nodes(), {"x": (1, 3)}, ["y:outt"])
