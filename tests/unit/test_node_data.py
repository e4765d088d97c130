"""Node data for Model Explorer: its fields, its keys, and one number a node."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import onnx
import pytest

from bittrue.report.node_data import THRESHOLDS, node_data, percent
from bittrue.report.page_words import level
from tests.unit.networks import tiny_onnx
from tests.unit.test_page import plain

#: The fields that Model Explorer's own node_data_builder.py writes for a graph.
FIELDS = {
    *("name", "results", "thresholds", "gradient", "hideInAggregatedStatsTable"),
    *("hideInChildrenStatsTable", "hideAggregatedStats", "showExpandedSummaryOnGroupNode"),
    "showLabelCountColumnsInChildrenStatsTable",
}


def results(kind: str) -> dict[str, dict[str, float]]:
    found = node_data(plain())[kind]["results"]
    assert isinstance(found, dict)
    return found


def test_the_keys_are_names_of_the_source_s_nodes() -> None:
    nodes = {node.name for node in onnx.load_from_string(tiny_onnx()).graph.node}
    for kind in ("path", "own"):
        assert results(kind)
        assert set(results(kind)) <= nodes


def test_each_file_has_only_fields_that_model_explorer_reads_and_is_json() -> None:
    for kind, data in node_data(plain()).items():
        assert set(data) <= FIELDS
        assert json.loads(json.dumps(data, allow_nan=False)) == data
        assert kind in str(data["name"])
        assert all(set(row) == {"value"} for row in results(kind).values())
        assert data["thresholds"] == [
            {"value": value, "bgColor": back, "textColor": text} for value, back, text in THRESHOLDS
        ]


def test_a_node_s_value_is_the_error_of_the_layer_that_does_its_work() -> None:
    last = plain().layers[plain().outputs[0]]
    assert last.path is not None
    expected = 100 / 10 ** (last.path.sqnr_db / 20)
    assert results("path")["dense"]["value"] == pytest.approx(expected, rel=1e-3)


def test_without_own_errors_there_is_no_file_of_them() -> None:
    assert list(node_data(replace(plain(), samples=0))) == ["path"]


@pytest.mark.parametrize(
    ("ratio", "error"),
    [(math.inf, 0.0), (40.0, 1.0), (0.0, 100.0), (-20.0, 1000.0), (math.nan, None)],
)
def test_decibels_become_percent(ratio: float, error: float | None) -> None:
    assert percent(ratio) == error


@pytest.mark.parametrize("ratio", [math.inf, 55.0, 35.0, 25.0, 15.0, 3.0, -80.0, -math.inf])
def test_the_steps_are_those_of_the_report(ratio: float) -> None:
    error = percent(ratio)
    assert error is not None
    step = next(at for at, (most, _, _) in enumerate(THRESHOLDS) if error <= most)
    assert str(step) == level(ratio)
