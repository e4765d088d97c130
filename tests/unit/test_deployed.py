"""The deployed contract as TOML: what is read, what is written, and every problem said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bittrue.contract.deployed import deployed_to_toml, load_deployed
from bittrue.contract.tensor import (
    HOLDS_CODES,
    HOLDS_PIXELS,
    HOLDS_VALUES,
    Contract,
    TensorContract,
)
from bittrue.errors import UsageError

TEXT = """
[[input]]
name = "images"
dtype = "uint8"
shape = [1, 224, 224, 3]
layout = "NHWC"
colour = "RGB"
scale = "1/255"
range = [0, 1]
holds = "raw pixels"

[[output]]
name = "scores"
dtype = "int8"
shape = [1, 1000]
scale = 0.25
zero_point = -3

[[output]]
name = "boxes"
dtype = "float32"
shape = [1, 4]
"""
CONTRACT = Contract(
    (
        TensorContract(
            *("images", (1, 224, 224, 3), "uint8", "NHWC", "RGB", 1 / 255),
            value_range=(0.0, 1.0),
            holds=HOLDS_PIXELS,
        ),
    ),
    (
        TensorContract("scores", (1, 1000), "int8", scale=0.25, zero_point=-3, holds=HOLDS_CODES),
        TensorContract("boxes", (1, 4), "float32", holds=HOLDS_VALUES),
    ),
)


def test_each_key_becomes_its_field(tmp_path: Path) -> None:
    (tmp_path / "deployed.toml").write_text(TEXT)
    assert load_deployed(TEXT) == load_deployed(tmp_path / "deployed.toml") == CONTRACT
    assert load_deployed(str(tmp_path / "deployed.toml")) == CONTRACT


def test_what_is_written_is_read_back_equal() -> None:
    assert load_deployed(deployed_to_toml(CONTRACT)) == CONTRACT
    odd = TensorContract('a "b"\\\n\x7f\N{SNOWMAN}', (3,), "int64", holds=HOLDS_VALUES)
    assert load_deployed(deployed_to_toml(Contract((), (odd,)))) == Contract((), (odd,))


def test_whole_numbers_with_a_scale_are_codes_and_floats_are_values() -> None:
    rows = load_deployed(TEXT).outputs
    assert [row.holds for row in rows] == [HOLDS_CODES, HOLDS_VALUES]


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(UsageError) as why:
        load_deployed("""
[[inputs]]
name = "x"
[[output]]
dtype = "unit8"
shape = [1, 0]
zeropoint = 3
[[output]]
name = "b"
dtype = "uint8"
shape = [1, 4, 4]
layout = "NHWC"
zero_point = 3
range = [2, 1]
""")
    for said in (
        "key 'inputs' is unknown; did you mean 'input'?",
        "output 0: name is missing",
        "output 0: dtype is 'unit8', not one of 'uint8'",
        "output 0: shape is [1, 0], not a list of whole numbers above 0",
        "output 0: key 'zeropoint' is unknown; did you mean 'zero_point'?",
        "output 1 ('b'): layout 'NHWC' has 4 axes, shape has 3",
        "output 1 ('b'): there is a zero_point but no scale",
        "output 1 ('b'): range is [2.0, 1.0]",
    ):
        assert said in why.value.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("dtype = \"float32\"", "dtype = \"float32\"\nholds = \"codes\""), "holds is 'codes' but"),
        (('name = "boxes"', 'name = "scores"'), "two output tables have the name 'scores'"),
        (("scale = 0.25", "scale = 0"), "scale is 0, not above 0"),
        (("scale = 0.25", "scale = nan"), "scale is nan, not a finite number"),
        (("range = [0, 1]", "range = [0, 1, 2]"), "not a pair"),
        (("zero_point = -3", "zero_point = 0.5"), "zero_point is 0.5, not a whole number"),
        (('"1/255"', '"1/0"'), 'not a number or a fraction such as "1/255"'),
        (("shape = [1, 4]", "shape = [1, true]"), "not a list of whole numbers"),
        (('layout = "NHWC"', 'layout = "NHWCX"'), "layout is 'NHWCX', not one of 'NCHW'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_it_should_be(change: tuple[str, str], said: str) -> None:
    assert change[0] in TEXT
    with pytest.raises(UsageError) as why:
        load_deployed(TEXT.replace(*change))
    assert said in why.value.message


def test_a_text_without_tables_is_refused() -> None:
    for text in ("\n", "input = 3", "x = ["):
        with pytest.raises(UsageError):
            load_deployed(text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file") as why:
        load_deployed(tmp_path / "none.toml")
    assert why.value.where.endswith("none.toml")
