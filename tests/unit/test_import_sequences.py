"""Sequences of tensors in ONNX files: gone after import, their members as in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from bittrue.errors import Error, ModelError, UnsupportedError
from bittrue.graph.reference import run_reference
from bittrue.graph.verify import verify
from bittrue.importers.onnx import import_onnx
from tests.unit.onnx_models import N, floats, model

X = floats(1, 3, 8, 8)
INDEX = {"zero": np.int64(0), "one": np.int64(1), "last": np.int64(-1)}


def check(data: bytes) -> list[str]:
    """Compare with ONNX Runtime, and return the operators that are left."""
    graph = import_onnx(data)
    verify(graph)
    (found,) = run_reference(graph, {"x": X}).values()
    (expected,) = onnxruntime.InferenceSession(data).run(None, {"x": X})
    np.testing.assert_array_equal(found, expected)
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize(
    ("split", "axis"),
    [(np.int64(3), 2), (np.int64(8), -1), (np.array([1, 2]), 1), (np.array([5, 3]), 3)],
)
@pytest.mark.parametrize("index", ["zero", "last"])
def test_the_parts_of_a_split_are_its_members(split: np.ndarray, axis: int, index: str) -> None:
    nodes = [
        N("SplitToSequence", ["x", "split"], ["s"], axis=axis),
        N("SequenceAt", ["s", index], ["m"]),
        N("Relu", ["m"], ["y"]),
    ]
    assert check(model(nodes, split=split, **INDEX)) == ["Split", "Relu"]


@pytest.mark.parametrize("keepdims", [0, 1])
def test_without_sizes_each_slice_is_a_member(keepdims: int) -> None:
    nodes = [
        N("SplitToSequence", ["x"], ["s"], axis=1, keepdims=keepdims),
        N("SequenceAt", ["s", "one"], ["a"]),
        N("SequenceAt", ["s", "last"], ["b"]),
        N("Sub", ["a", "b"], ["y"]),
    ]
    check(model(nodes, **INDEX))


@pytest.mark.parametrize("new_axis", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_sequence_is_joined_again(new_axis: int, axis: int) -> None:
    nodes = [
        N("Relu", ["x"], ["r"]),
        N("SequenceConstruct", ["x", "r", "x"], ["s"]),
        N("ConcatFromSequence", ["s"], ["y"], axis=axis, new_axis=new_axis),
    ]
    check(model(nodes))


def test_a_member_has_the_name_that_the_file_gives_it() -> None:
    nodes = [
        N("SplitToSequence", ["x", "split"], ["s"], axis=1),
        N("SequenceAt", ["s", "one"], ["second"]),
        N("SequenceAt", ["s", "last"], ["again"]),
        N("Add", ["second", "again"], ["y"]),
    ]
    graph = import_onnx(model(nodes, split=np.array([1, 2]), **INDEX))
    assert graph.values["second"].origin == ("second", "again")
    assert graph.nodes[-1].inputs == ("second", "second")


def test_a_length_is_a_constant() -> None:
    nodes = [
        N("SplitToSequence", ["x"], ["s"], axis=2),
        N("SequenceLength", ["s"], ["n"]),
        N("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        N("Mul", ["x", "f"], ["y"]),
    ]
    graph = import_onnx(model(nodes))
    (found,) = run_reference(graph, {"x": X}).values()
    np.testing.assert_array_equal(found, X * 8)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (N("SequenceAt", ["s", "far"], ["y"]), "position 9 is not in a sequence of 3"),
        (N("Relu", ["s"], ["y"]), "it reads a sequence of tensors"),
        (N("SequenceAt", ["x", "far"], ["y"]), "only known while the network runs"),
        (N("Identity", ["s"], ["y"]), "it reads a sequence of tensors"),
    ],
)
def test_what_cannot_be_resolved_is_said(node: object, words: str) -> None:
    nodes = [N("SplitToSequence", ["x"], ["s"], axis=1), node]
    with pytest.raises(Error, match=words):
        import_onnx(model(nodes, far=np.int64(9)))  # type: ignore[arg-type]


def test_a_network_cannot_end_at_a_sequence() -> None:
    nodes = [N("SplitToSequence", ["x"], ["s"], axis=1), N("SequenceAt", ["s", "one"], ["y"])]
    with pytest.raises(ModelError, match=r"'s' is a sequence of tensors\n.*--end"):
        import_onnx(model(nodes, **INDEX), end=["s"])


@pytest.mark.parametrize("split", [np.int64(0), np.int64(-2), np.array([1, 1]), np.array([4, -1])])
def test_a_split_that_does_not_fit_is_refused(split: np.ndarray) -> None:
    nodes = [
        N("SplitToSequence", ["x", "split"], ["s"], axis=1),
        N("SequenceAt", ["s", "one"], ["y"]),
    ]
    with pytest.raises((ModelError, UnsupportedError), match=r"part has the size|does not fit"):
        import_onnx(model(nodes, split=split, **INDEX))
