"""Which layer an error comes from: figures as by hand, shares that add up, planted faults found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from bittrue import arrays
from bittrue.arith import QParams
from bittrue.compiler.fileformat import to_bytes
from bittrue.compiler.lower import compile_graph
from bittrue.engines.simulate import simulate_reference, with_real_weights
from bittrue.errors import DataError, UsageError
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_node, run_reference
from bittrue.network import Network, Source
from bittrue.parity.apart import bias_errors
from bittrue.parity.attribute import CLOSES, SHARES, LayerError, LayerTable, attribute
from bittrue.quant.model import QuantizedGraph
from bittrue.stages import Subject, open_runner
from tests.unit.networks import pixels, subject
from tests.unit.quant_graphs import Builder, pictures, quantized, weights

pytest.importorskip("onnxruntime", reason="the float stages run in onnxruntime")

SHAPE = (1, 4, 8, 8)


def network() -> Graph:
    """Two branches of convolutions, a table, an addition, a concatenation and a Reshape."""
    build = Builder({"x": SHAPE})
    build.conv("a", "x", weights(8, 4, 3, 3), weights(8, seed=5))
    build.add("Pointwise", "s", "a", expr="x x sigmoid mul")
    build.conv("d", "s", weights(8, 1, 3, 3), weights(8, seed=8), group=8, clip=(0.0, 6.0))
    build.conv("p", "d", weights(4, 8, 1, 1), weights(4, seed=6))
    build.conv("q", "x", weights(4, 4, 1, 1, seed=3), weights(4, seed=9))
    build.add("Add", "r", "p", "q")
    build.add("Concat", "c", "r", "p", axis=1)
    build.conv("y", "c", weights(3, 8, 1, 1), weights(3, seed=7))
    build.add("Reshape", "z", "y", shape=(1, 192))
    return build.finish(["z"])


def subject_of(found: QuantizedGraph, *, compiled: bool = True) -> Subject:
    """A subject as if an archive had held this quantised graph."""
    executable = to_bytes(compile_graph(found)) if compiled else None
    network = Network(
        "test",
        Source("test.onnx", "", "onnx", b""),
        found.graph,
        optimized=found.graph,
        quantized=found,
        executable=executable,
    )
    return Subject("test.bta", network, executable)


def table(
    found: QuantizedGraph, stage: str = "compiled", feeds: Sequence[np.ndarray] = ()
) -> LayerTable:
    given = [{"x": x} for x in feeds or pictures(1, SHAPE, seed=4)]
    return attribute(subject_of(found, compiled=stage != "quantized"), given, stage=stage)


def rows(found: LayerTable) -> Mapping[str, LayerError]:
    return {row.name: row for row in found.rows}


# --- figures --------------------------------------------------------------------------------------


def test_path_and_own_error_are_those_of_running_node_by_node_in_numpy() -> None:
    found = quantized(network())
    x = pictures(1, SHAPE, seed=4)[0]
    names = [name for name in found.graph.values if name not in found.graph.constants]
    real = run_reference(found.graph, {"x": x}, names)
    path = simulate_reference(found, {"x": x}, names)
    given = {**found.graph.constants, **with_real_weights(found).constants, **real}
    got = rows(table(found, "quantized", [x]))
    assert list(got) == [name for node in found.graph.nodes for name in node.outputs]
    for node in with_real_weights(found).nodes:
        (name,) = node.outputs
        (alone,) = run_node(node, [given[item] for item in node.inputs])
        own = relative(stored(found, name, alone), real[name])
        assert got[name].own == pytest.approx(own, rel=0.02), name
        assert got[name].path == pytest.approx(relative(path[name], real[name]), rel=0.02), name
        assert got[name].path_sqnr_db == pytest.approx(-10 * math.log10(got[name].path))


def stored(found: QuantizedGraph, name: str, array: np.ndarray) -> np.ndarray:
    params = found.activations.get(name)
    if params is None:
        return array
    scale, zero = params.along(array.ndim).astype(np.float64), params.zero_point
    return np.asarray((np.clip(np.rint(array / scale) + zero, 0, 255) - zero) * scale)


def relative(other: np.ndarray, reference: np.ndarray) -> float:
    r = reference.astype(np.float64)
    return float(((other - r) ** 2).sum() / (r**2).sum())


@pytest.mark.parametrize("stage", ["quantized", "bit_true", "compiled"])
def test_the_shares_of_every_layer_add_up_to_the_measured_error(stage: str) -> None:
    found = table(quantized(network()), stage, pictures(3, SHAPE, seed=4))
    assert found.closes <= CLOSES
    assert found.stages == ("fp_optimized", stage)
    for row in found.rows:
        assert tuple(row.shares) == SHARES
        assert sum(row.shares.values()) == pytest.approx(1 if row.path else 0, abs=CLOSES)


def test_the_simulated_stage_has_no_arithmetic_of_its_own() -> None:
    for row in table(quantized(network()), "quantized").rows:
        assert row.shares["requantisation"] == row.shares["table"] == row.shares["bias"] == 0.0


def test_emulator_and_engine_give_the_same_figures() -> None:
    found = quantized(network())
    assert table(found, "bit_true").rows == table(found, "compiled").rows


def test_the_first_layer_inherits_the_input_s_codes_only() -> None:
    found = rows(table(quantized(network())))
    assert found["a"].shares["inherited"] > 0.0
    raw = attribute(subject(), [{"": pixels(9)}])  # its input is uint8 pixels: nothing is lost
    first = next(row for row in raw.rows if row.op == "Conv")
    assert first.shares["inherited"] == pytest.approx(0.0, abs=1e-6)
    assert first.path == pytest.approx(first.own, rel=1e-3)


def test_a_move_has_no_error_of_its_own_but_what_its_codes_cost() -> None:
    found = rows(table(quantized(network())))
    assert found["z"].shares["inherited"] == pytest.approx(1.0)
    assert found["z"].path == pytest.approx(found["y"].path)


def test_figures_over_samples_are_those_of_all_their_elements() -> None:
    found = quantized(network())
    one, two = pictures(2, SHAPE, seed=4)
    both = rows(table(found, feeds=[one, two]))
    alone = [rows(table(found, feeds=[x])) for x in (one, two)]
    signals = [
        run_reference(found.graph, {"x": x}, ["d"])["d"].astype(np.float64) for x in (one, two)
    ]
    energy = [float((s**2).sum()) for s in signals]
    pooled = sum(e * row["d"].path for e, row in zip(energy, alone, strict=True)) / sum(energy)
    assert both["d"].path == pytest.approx(pooled)
    assert both["d"].elements == alone[0]["d"].elements == 512


def test_fetching_in_portions_changes_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    found = quantized(network())
    whole = table(found)
    monkeypatch.setattr(arrays, "PORTION_BYTES", 3000)
    assert table(found) == whole


# --- planted faults -------------------------------------------------------------------------------


def with_scale(found: QuantizedGraph, name: str, factor: float) -> QuantizedGraph:
    """Return the graph with one value stored in steps of another size."""
    old = found.activations[name]
    params = QParams(old.scale * np.float32(factor), old.zero_point, old.axis)
    return replace(found, activations={**found.activations, name: params})


def with_weights(found: QuantizedGraph, node: str, step: int) -> QuantizedGraph:
    """Return the graph with one layer's weights rounded to every `step`-th code."""
    old = found.weights[node]
    codes = (np.rint(old.codes / step) * step).clip(-127, 127).astype(np.int8)
    return replace(found, weights={**found.weights, node: replace(old, codes=codes)})


def test_a_range_that_is_too_narrow_is_clipping_at_its_layer() -> None:
    found = table(with_scale(quantized(network()), "p", 0.2))
    worst = found.by_own[0]
    assert worst.name == "p"
    assert worst.shares["clipping"] > 0.8
    assert worst.clipped == pytest.approx(12 / 256)
    assert rows(found)["y"].inherited_from == "p"


def test_steps_that_are_too_wide_are_rounding_at_their_layer() -> None:
    found = table(with_scale(quantized(network()), "r", 24))
    assert found.by_own[0].name == "r"
    assert found.by_own[0].shares["rounding"] > 0.8
    assert found.by_own[0].clipped == 0


def test_weights_that_are_too_coarse_are_named_where_they_are() -> None:
    found = table(with_weights(quantized(network()), "n_d", 90))
    worst = found.by_own[0]
    assert (worst.name, worst.node) == ("d", "n_d")
    assert worst.shares["weights"] > 0.8
    assert {row.name for row in found.rows if row.inherited_from == "d"} >= {"p", "y", "z"}
    assert rows(found)["q"].inherited_from == ""  # another branch: d does not feed it


def test_a_layer_that_adds_much_itself_does_not_inherit() -> None:
    found = table(with_weights(quantized(network()), "n_d", 90))
    assert found.by_own[0].inherited_from == ""


def test_the_bias_that_the_program_rounds_is_off_by_what_is_said() -> None:
    build = Builder({"x": (1, 6)})
    build.add("Dense", "y", "x", weights(4, 6), weights(4, seed=2))
    found = quantized(build.finish(["y"]), pictures(4, (1, 6)))
    assert "y" not in found.activations  # float32: nothing hides the accumulator
    # Codes that stand for zeros: what the accumulator holds is the bias.
    runner = open_runner(subject_of(found), "bit_true")
    codes = np.full((1, 6), found.activations["x"].zero_point, np.uint8)
    bias = found.graph.constants[found.graph.nodes[0].inputs[2]]
    gave = runner.run({"x": codes}).outputs["y"][0] - bias
    (error,) = bias_errors(found).values()
    assert gave == pytest.approx(error, abs=1e-6)
    assert np.abs(error).max() > 1e-5


def test_a_channel_that_its_codes_silence_is_dead() -> None:
    build = Builder({"x": SHAPE})
    w = weights(4, 4, 1, 1)
    w[2] *= 1e-4
    build.conv("a", "x", w)
    build.add("Concat", "c", "a", "x", axis=1)  # one scale for all
    build.add("Sigmoid", "y", "c")
    found = quantized(build.finish(["y"]), tail="int8")
    assert rows(table(found, "quantized"))["c"].dead_channels == 1


# --- what it refuses ------------------------------------------------------------------------------


def test_an_executable_has_no_layers_to_compare_with() -> None:
    executable = subject().executable
    with pytest.raises(UsageError, match=r"give the archive \(\.bta\)"):
        attribute(Subject("tiny.bte", None, executable), [{"": pixels(9)}])


def test_a_network_that_is_not_quantised_is_told_the_command() -> None:
    with pytest.raises(UsageError, match=r"bittrue quantize tiny\.bta"):
        attribute(subject("fp_optimized"), [{"": pixels(9)}])


def test_no_sample_is_no_answer() -> None:
    with pytest.raises(DataError, match="no sample"):
        attribute(subject(), [])


def test_a_float_stage_has_no_quantisation_error() -> None:
    with pytest.raises(UsageError, match="name quantized"):
        attribute(subject(), [{"": pixels(9)}], stage="native")
