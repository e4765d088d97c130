import itertools
import math

import numpy as np
import pytest

from bittrue.errors import ModelError
from bittrue.graph.model import Node, Shape, Value
from bittrue.graph.ops import complete_attrs
from bittrue.graph.shape_rules import broadcast
from bittrue.graph.shapes import infer, infer_values
from bittrue.graph.windows import window_count

WINDOW = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


def node(op: str, count: int, attrs: dict[str, object], outputs: int = 1) -> Node:
    names = tuple(f"in{i}" for i in range(count))
    made = tuple(f"out{i}" for i in range(outputs))
    return Node("layer", op, names, made, complete_attrs(op, attrs))


def shapes(op: str, attrs: dict[str, object], *inputs: Shape, outputs: int = 1) -> list[Shape]:
    values = [Value(f"in{i}", "float32", shape) for i, shape in enumerate(inputs)]
    return [shape for _, shape in infer(node(op, len(inputs), attrs, outputs), values)]


def test_broadcast_is_numpys() -> None:
    sizes = [(), (1,), (3,), (1, 3), (2, 1), (2, 3), (4, 1, 3), (0,), (2, 0)]
    for a, b in itertools.product(sizes, sizes):
        try:
            expected = np.broadcast_shapes(a, b)
        except ValueError:
            expected = None
        assert broadcast(a, b) == expected


def test_the_windows_that_start_inside_are_counted() -> None:
    for size, kernel, stride, before, after in itertools.product(
        range(1, 7), range(1, 4), range(1, 4), range(2), range(2)
    ):
        end = size + before + after
        if kernel > end or before >= kernel or after >= kernel:
            continue
        starts = range(0, end, stride)
        full = sum(start + kernel <= end for start in starts)
        # One more window where it begins before the padding behind the data, and something of
        # the padded data is left for it.
        left = full * stride < size + before and full * stride + kernel > end > (
            (full - 1) * stride + kernel
        )
        assert window_count(size, kernel, stride, before, after, False) == full
        assert window_count(size, kernel, stride, before, after, True) == full + left


@pytest.mark.parametrize(
    ("op", "attrs", "inputs", "expected"),
    [
        ("Conv", {**WINDOW, "strides": (2, 2), "pads": (1, 1, 1, 1)},
         [(1, 3, 224, 224), (32, 3, 3, 3), (32,)], (1, 32, 112, 112)),
        ("Conv", {**WINDOW, "group": 4, "dilations": (2, 1)},
         [(2, 4, 9, 9), (8, 1, 3, 3), (8,), (4,)], (2, 8, 5, 7)),
        ("Conv", {"strides": (1,), "pads": (0, 0), "dilations": (1,)},
         [(1, 2, 5), (3, 2, 2)], (1, 3, 4)),
        ("ConvTranspose", {**WINDOW, "strides": (2, 2), "output_padding": (1, 1),
                           "pads": (1, 1, 1, 1)}, [(1, 4, 5, 5), (4, 3, 3, 3)], (1, 3, 10, 10)),
        ("Dense", {}, [(2, 7, 4), (5, 4), (5,)], (2, 7, 5)),
        ("MatMul", {}, [(4,), (4,)], ()),
        ("MatMul", {}, [(2, 1, 3, 4), (5, 4, 6)], (2, 5, 3, 6)),
        ("Gemm", {"transA": True, "transB": True}, [(4, 2), (5, 4), (5,)], (2, 5)),
        ("Slice", {"starts": (4, 0), "steps": (-2, 1), "sizes": (3, 0)}, [(5, 2)], (3, 0)),
        ("Reshape", {"shape": (3, 8)}, [(2, 3, 4)], (3, 8)),
        ("Pad", {"pads": (0, -1, 2, 0)}, [(2, 3)], (4, 2)),
        ("Gather", {"axis": 0}, [(5, 6)], None),
        ("ReduceMean", {"axes": (0, 2), "keepdims": False}, [(2, 3, 4)], (3,)),
        ("DepthToSpace", {"blocksize": 2}, [(1, 8, 2, 3)], (1, 2, 4, 6)),
        ("SpaceToDepth", {"blocksize": 2}, [(1, 2, 4, 6)], (1, 8, 2, 3)),
        ("Tile", {"repeats": (2, 3)}, [(2, 3)], (4, 9)),
        ("Transpose", {"perm": (2, 0, 1)}, [(2, 3, 4)], (4, 2, 3)),
    ],
)  # fmt: skip
def test_shape(
    op: str, attrs: dict[str, object], inputs: list[Shape], expected: Shape | None
) -> None:
    if expected is None:
        values = [Value("in0", "float32", (5, 6)), Value("in1", "int64", (2, 2))]
        assert infer(node(op, 2, attrs), values) == (("float32", (2, 2, 6)),)
    else:
        assert shapes(op, attrs, *inputs) == [expected]


def test_split_has_one_output_a_part() -> None:
    attrs: dict[str, object] = {"axis": 1, "split": (1, 3)}
    assert shapes("Split", attrs, (2, 4), outputs=2) == [(2, 1), (2, 3)]
    with pytest.raises(ModelError, match="3 outputs"):
        shapes("Split", attrs, (2, 4), outputs=3)


@pytest.mark.parametrize(
    ("op", "attrs", "inputs", "said"),
    [
        ("Conv", WINDOW, [(1, 3, 8, 8), (4, 2, 3, 3)], ["(4, 2, 3, 3)", "(1, 3, 8, 8)"]),
        ("Conv", WINDOW, [(1, 3, 2, 8), (4, 3, 3, 3)], ["larger", "(1, 3, 2, 8)"]),
        ("Conv", WINDOW, [(1, 3, 8, 8), (4, 3, 3, 3), (5,)], ["bias", "(5,)", "(4,)"]),
        ("Conv", {**WINDOW, "strides": (1,)}, [(1, 3, 8, 8), (4, 3, 3, 3)], ["strides"]),
        ("Add", {}, [(2, 3), (4,)], ["(2, 3)", "(4,)", "'in0'", "'in1'"]),
        ("MatMul", {}, [(2, 3), (4, 5)], ["(2, 3)", "(4, 5)"]),
        ("Concat", {"axis": 0}, [(2, 3), (2, 4)], ["(2, 3)", "(2, 4)"]),
        ("Reshape", {"shape": (5,)}, [(2, 3)], ["(2, 3)", "(5,)"]),
        ("Slice", {"starts": (1,), "steps": (1,), "sizes": (3,)}, [(3,)], ["(3,)"]),
        ("Slice", {"starts": (0,), "steps": (0,), "sizes": (1,)}, [(3,)], ["step 0"]),
        ("Softmax", {"axis": 2}, [(2, 3)], ["axis 2"]),
        ("Transpose", {"perm": (0, 0)}, [(2, 3)], ["(0, 0)"]),
        ("ReduceSum", {"axes": (1, 0)}, [(2, 3)], ["(1, 0)"]),
        ("Split", {"axis": 0, "split": (1, 2)}, [(4,)], ["(1, 2)", "(4,)"]),
        ("Pad", {"pads": (-4, 0)}, [(3,)], ["(-4, 0)"]),
        ("Not", {}, [(3,)], ["must be bool"]),
        ("Pointwise", {"expr": "x mul"}, [(3,)], ["'mul' takes 2"]),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    op: str, attrs: dict[str, object], inputs: list[Shape], said: list[str]
) -> None:
    with pytest.raises(ModelError, match=f"{op} 'layer'") as caught:
        shapes(op, attrs, *inputs)
    for part in said:
        assert part in str(caught.value)


def test_dtypes_follow_the_operator() -> None:
    whole = [Value("in0", "int64", (3,)), Value("in1", "int64", (1,))]
    assert infer(node("Add", 2, {}), whole) == (("int64", (3,)),)
    assert infer(node("Less", 2, {}), whole) == (("bool", (3,)),)
    assert infer(node("ArgMax", 1, {"axis": 0}), whole[:1]) == (("int64", (1,)),)
    assert infer(node("Cast", 1, {"to": "uint8"}), whole[:1]) == (("uint8", (3,)),)
    with pytest.raises(ModelError, match="int64"):
        infer(node("Sigmoid", 1, {}), whole[:1])
    mixed = [whole[0], Value("in1", "float32", (3,))]
    with pytest.raises(ModelError, match="alike"):
        infer(node("Add", 2, {}), mixed)


def test_infer_values_names_an_input_that_nothing_makes() -> None:
    with pytest.raises(ModelError, match="'in0'"):
        infer_values(node("Relu", 1, {}), {})
    made = infer_values(node("Relu", 1, {}), {"in0": Value("in0", "float32", (2,), ("a",))})
    assert made == (Value("out0", "float32", (2,)),)


def test_a_hostile_size_is_counted_without_being_made() -> None:
    (shape,) = shapes("Tile", {"repeats": (2**62,)}, (2**62,))
    assert math.prod(shape) == 2**124
