"""A network with knobs: untouched it is the network, and each knob does what its formula says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnxruntime", reason="the network with knobs runs in onnxruntime")

from bittrue.engines.altered import Alteration, AlteredRunner
from bittrue.engines.float_ import open_session
from bittrue.errors import DataError
from bittrue.graph.model import Graph, Node
from bittrue.graph.reference import REFERENCE, run_reference
from bittrue.importers.export import to_onnx
from bittrue.importers.onnx_altered import MOVES, altered, knobs
from bittrue.passes.pipeline import optimize
from tests.unit.onnx_models import N, imported, model

Store = Callable[[str, np.ndarray], np.ndarray]
X = np.random.default_rng(2).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)


@functools.cache
def graph() -> Graph:
    """ReLU6 and ReLU fused into convolutions, a pool that only moves, a Concat, a Dense."""
    rng = np.random.default_rng(4)

    def weight(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.7, shape).astype(np.float32)

    nodes = [
        N("Conv", ["x", "w1", "b1"], ["c1"], "one", pads=[1] * 4),
        N("Clip", ["c1", "zero", "two"], ["a1"], "cut"),
        N("MaxPool", ["a1"], ["p1"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        N("Conv", ["p1", "w2", "b2"], ["c2"], "two", pads=[1] * 4),
        N("Relu", ["c2"], ["a2"], "relu"),
        N("Concat", ["a2", "p1"], ["cat"], "both", axis=1),
        N("Flatten", ["cat"], ["f"], "flat"),
        N("Gemm", ["f", "w3", "b3"], ["y"], "dense", transB=1),
    ]
    data = model(
        nodes,
        ("y",),
        w1=weight(4, 3, 3, 3),
        b1=weight(4),
        zero=np.float32(0),
        two=np.float32(2),
        w2=weight(5, 4, 3, 3),
        b2=weight(5),
        w3=weight(6, 9 * 16) * np.float32(0.1),
        b3=weight(6),
    )
    return optimize(imported(data)).graph


@functools.cache
def runner() -> AlteredRunner:
    return AlteredRunner(graph(), threads=1)


def stored_as(name: str, made: Callable[[np.ndarray], np.ndarray]) -> Store:
    """One value stored otherwise, all others as they are."""
    return lambda other, array: made(array) if other == name else array


def by_reference(
    store: Store,
    *,
    nodes: Mapping[str, Node] | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
    x: np.ndarray = X,
    taps: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """The NumPy reference, in which each node's outputs are stored by a function of the test."""

    def rule(op: str) -> Callable[..., list[np.ndarray]]:
        def run(node: Node, arrays: list[np.ndarray | None]) -> list[np.ndarray]:
            given = list(arrays)
            if weights and node.name in weights:
                given[1] = weights[node.name]
            made = REFERENCE[op]((nodes or {}).get(node.name, node), given)
            pairs = zip(node.outputs, made, strict=True)
            return [np.asarray(store(name, array), np.float32) for name, array in pairs]

        return run

    rules = {op: rule(op) for op in REFERENCE}
    return run_reference(graph(), {"x": x}, taps, rules=rules)  # type: ignore[arg-type]


def near(made: np.ndarray, own: Mapping[str, np.ndarray]) -> bool:
    """Sums of at most 144 products of float32 in another order: 144 * 2^-24 of the largest term."""
    return bool(np.abs(made - own["y"]).max() <= 144 * 2**-24 * 20)


def same(name: str, array: np.ndarray) -> np.ndarray:
    return array


def test_untouched_knobs_change_not_one_bit() -> None:
    """Against the plain model with open constants: ONNX Runtime sums packed ones otherwise."""
    proto = onnx.load_model_from_string(to_onnx(graph()))
    proto.graph.input.extend(
        onnx.helper.make_tensor_value_info(row.name, row.data_type, list(row.dims))
        for row in proto.graph.initializer
    )
    (plain,) = open_session(proto.SerializeToString(), 1).run(["y"], {"x": X})
    assert np.array_equal(runner().run({"x": X})["y"], plain)
    assert np.array_equal(runner().run({"x": X}, Alteration())["y"], plain)
    assert near(plain, by_reference(same))


def test_an_alteration_is_forgotten_after_its_run() -> None:
    before = runner().run({"x": X})["y"]
    name = runner().made.stored[0]
    assert not np.array_equal(runner().run({"x": X}, Alteration(steps={name: 0.5}))["y"], before)
    assert np.array_equal(runner().run({"x": X})["y"], before)


def test_what_only_moves_has_no_knobs_and_every_other_value_has_three() -> None:
    made = altered(graph())
    own = [out for node in graph().nodes if node.op not in MOVES for out in node.outputs]
    assert list(made.stored) == own
    proto = onnx.load_model_from_string(made.model)
    inputs = {row.name for row in proto.graph.input}
    assert {knob for name in made.stored for knob in knobs(name)} <= inputs
    assert "MaxPool" in {node.op for node in graph().nodes}
    onnx.checker.check_model(proto)


@pytest.mark.parametrize("index", range(4))
def test_a_value_is_cut_off_at_its_limits(index) -> None:
    name = runner().made.stored[index]
    made = runner().run({"x": X}, Alteration(limits={name: (0.1, 0.6)}))["y"]
    own = by_reference(stored_as(name, lambda array: np.clip(array, 0.1, 0.6)))
    assert near(made, own)
    assert not near(made, by_reference(same))


@pytest.mark.parametrize("index", range(4))
@given(step=st.sampled_from([0.25, 0.5, 1.0]))
@settings(max_examples=3)
def test_a_value_is_rounded_to_whole_steps_ties_to_even(index, step) -> None:
    name = runner().made.stored[index]
    made = runner().run({"x": X}, Alteration(steps={name: step}))["y"]
    taken = runner().run({"x": X}, None, [name])[
        name
    ]  # its bits: a tie must not turn on a rounding
    own = by_reference(stored_as(name, lambda array: np.rint(taken / np.float32(step)) * step))
    assert near(made, own)


def test_a_value_is_cut_off_before_it_is_rounded() -> None:
    name = runner().made.stored[0]
    made = runner().run({"x": X}, Alteration({name: (0.0, 0.6)}, {name: 0.4}))["y"]
    taken = runner().run({"x": X}, None, [name])[name]
    own = by_reference(
        stored_as(name, lambda array: np.rint(np.minimum(taken, 0.6) / np.float32(0.4)) * 0.4)
    )
    assert near(made, own)


def test_a_tap_shows_a_value_before_it_is_stored() -> None:
    name = runner().made.stored[0]
    found = runner().run({"x": X}, Alteration(limits={name: (0.0, 0.1)}), [name])
    assert np.array_equal(found[name], runner().run({"x": X}, None, [name])[name])


def test_the_input_is_cut_off_and_rounded_like_any_value() -> None:
    made = runner().run({"x": X}, Alteration({"x": (-1.0, 1.0)}, {"x": 0.25}))["y"]
    turned = np.rint(np.clip(X, -1, 1) / 0.25) * np.float32(0.25)
    assert np.array_equal(made, runner().run({"x": turned.astype(np.float32)})["y"])


def test_weights_are_replaced_for_one_node_alone() -> None:
    for node in graph().nodes:
        if node.name not in runner().made.weights:
            continue
        coarse = np.rint(graph().constants[node.inputs[1]] / 0.5).astype(np.float32) * np.float32(
            0.5
        )
        made = runner().run({"x": X}, Alteration(weights={node.name: coarse}))["y"]
        assert near(made, by_reference(same, weights={node.name: coarse}))
    assert len(runner().made.weights) == 3


def test_unclipped_leaves_both_ends_of_a_fused_activation_out() -> None:
    assert len(runner().made.clips) == 2
    for name in runner().made.clips:
        node = next(row for row in graph().nodes if row.name == name)
        assert "clip" in node.attrs
        bare = replace(node, attrs={key: row for key, row in node.attrs.items() if key != "clip"})
        own = by_reference(same, nodes={name: bare})
        made = runner().run({"x": X}, Alteration(unclipped=(name,)))["y"]
        assert near(made, own)
        assert not near(made, by_reference(same))


def test_values_that_are_stored_nowhere_are_passed_over() -> None:
    plain = runner().run({"x": X})["y"]
    strange = Alteration(limits={"no value": (0.0, 1.0)}, steps={"no value": 0.5})
    assert np.array_equal(runner().run({"x": X}, strange)["y"], plain)


def test_an_input_of_another_shape_is_an_error_of_the_data() -> None:
    with pytest.raises(DataError, match="cannot run the altered network"):
        runner().run({"x": X[:, :2]})
