"""What a run gave, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bittrue.report.outputs import outputs_json, outputs_text

ODD = {"y": np.array([np.nan, np.inf], np.float32), "e": np.zeros(0), "b": np.array([True])}


def test_json_holds_what_is_not_finite_by_its_name() -> None:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    text = json.dumps(outputs_json("native", ODD, None))
    y, empty, truth = json.loads(text, parse_constant=refuse)["outputs"]
    assert (y["min"], y["max"], y["mean"]) == ("nan", "nan", "nan")
    assert (empty["shape"], empty["mean"]) == ([0], "nan")
    assert (truth["dtype"], truth["min"], truth["mean"]) == ("bool", 1.0, 1.0)


@pytest.mark.parametrize("path", [None, Path("out.npz")])
def test_json_names_the_file_if_one_was_written(path: Path | None) -> None:
    assert outputs_json("native", {}, path)["path"] == (None if path is None else "out.npz")


def test_text_has_a_line_for_each_array() -> None:
    lines = outputs_text("native", ODD).splitlines()
    assert lines[0] == "stage native"
    assert [line.split()[0] for line in lines[3:]] == list(ODD)
