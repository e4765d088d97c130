import math

import pytest

from bittrue.errors import ModelError
from bittrue.graph.model import NO_CLIP
from bittrue.graph.ops import KINDS, OPS, attr_problems, complete_attrs, input_problem

CONV = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": (1, 1)}


def test_each_default_is_of_its_attributes_kind() -> None:
    for op in OPS.values():
        defaults = {row.name: row.default for row in op.attrs if row.default is not None}
        faults = [text for text in attr_problems(op.name, defaults) if "missing" not in text]
        assert not faults
        assert all(row.kind in KINDS for row in op.attrs)


def test_defaults_are_filled_in_and_kinds_made_canonical() -> None:
    attrs = complete_attrs("Conv", CONV)
    assert attrs == {
        "strides": (1, 1),
        "pads": (0, 0, 0, 0),
        "dilations": (1, 1),
        "group": 1,
        "clip": NO_CLIP,
    }
    assert complete_attrs("ReduceMean", {"axes": [1], "keepdims": 0})["keepdims"] is False
    assert complete_attrs("Clip", {"min": 0}) == {"min": 0.0, "max": math.inf}


def test_canonical_attributes_are_left_as_they_are() -> None:
    once = complete_attrs("Conv", CONV)
    assert complete_attrs("Conv", once) == once


@pytest.mark.parametrize(
    ("op", "attrs", "said"),
    [
        ("Nothing", {}, "no operator"),
        ("Conv", {**CONV, "stride": (1, 1)}, "'stride' is unknown"),
        ("Conv", {"pads": (0, 0, 0, 0)}, "'strides' is missing"),
        ("Conv", {**CONV, "strides": (0, 1)}, "below 1"),
        ("Conv", {**CONV, "strides": (True, 1)}, "not of kind integers"),
        ("Conv", {**CONV, "clip": (0.0,)}, "not 2 numbers"),
        ("Conv", {**CONV, "group": 2**70}, "outside int64"),
        ("Cast", {"to": "float8"}, "not one of"),
        ("Softmax", {"axis": -1}, "below 0"),
        ("Softmax", {"axis": 1.0}, "not of kind integer"),
        ("Gelu", {"approximate": "sometimes"}, "not one of none, tanh"),
    ],
)
def test_a_wrong_attribute_is_refused(op: str, attrs: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match="node7") as caught:
        complete_attrs(op, attrs, where="node7")
    assert said in str(caught.value)


def test_all_wrong_attributes_are_said_at_once() -> None:
    with pytest.raises(ModelError) as caught:
        complete_attrs("Conv", {"strides": "wide", "colour": 1})
    for name in ("strides", "colour", "pads", "dilations"):
        assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("op", "inputs", "wrong"),
    [
        ("Conv", ("x", "w"), False),
        ("Conv", ("x", "w", "", "o"), False),
        ("Conv", ("x",), True),
        ("Conv", ("x", "", "b"), True),
        ("Conv", ("x", "w", "b", "o", "more"), True),
        ("Concat", ("a", "b", "c", "d"), False),
        ("Concat", (), True),
        ("Concat", ("a", ""), True),
        ("Add", ("a", "b"), False),
        ("Add", ("a",), True),
    ],
)
def test_the_number_of_inputs_is_checked(op: str, inputs: tuple[str, ...], wrong: bool) -> None:
    assert bool(input_problem(op, inputs)) is wrong
