"""Any graph that can be quantised becomes a program in which every step is right.

Each node is judged on its own: the float reference runs in float64 on what the program itself
stored for the node's inputs, so that errors do not add up and the bound can be one code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bittrue.compiler.fileformat import from_bytes, to_bytes
from bittrue.compiler.lower import compile_graph
from bittrue.compiler.plan import proof
from bittrue.compiler.program import Program
from bittrue.engines.emulate import Emulator
from bittrue.errors import UnsupportedError
from bittrue.graph.model import Graph, Node
from bittrue.graph.reference import run_node, run_reference
from bittrue.passes.pipeline import optimize
from bittrue.quant.model import QuantizedGraph
from bittrue.quant.options import QuantizeOptions
from bittrue.quant.partition import TAILS
from bittrue.quant.pipeline import quantize
from tests.graphs import random_graph, random_inputs

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR", "bittrue.quant")


def quantized_of(graph: Graph, tail: str) -> QuantizedGraph:
    """Quantise with ranges from two random inputs."""

    def run(inputs: Mapping[str, np.ndarray], taps: Iterable[str]) -> dict[str, np.ndarray]:
        return run_reference(graph, inputs, taps)

    samples = [random_inputs(graph, seed) for seed in range(2)]
    options = QuantizeOptions(observer="minmax", tail=tail)
    return quantize(graph, samples, run=run, options=options).quantized


def stored(quantized: QuantizedGraph, program: Program) -> dict[str, np.ndarray]:
    """Run the program on random inputs; return every value of the graph as it is stored."""
    wanted = [
        index
        for index, row in enumerate(program.tensors)
        if row.name in quantized.graph.values and row.perm
    ]
    rng = np.random.default_rng(5)
    inputs = [
        rng.integers(0, 256, row.shape).astype(np.uint8)
        if row.dtype == "uint8"
        else rng.normal(size=row.shape).astype(np.float32)
        for row in program.contract.inputs
    ]
    _, taps = Emulator(program).run(inputs, wanted)
    return {
        program.tensors[index].name: program.tensors[index].to_logical(taps[index])
        for index in wanted
    }


def real_inputs(
    quantized: QuantizedGraph, node: Node, got: Mapping[str, np.ndarray]
) -> list[np.ndarray | None]:
    """Return a node's inputs as the real values that are stored, weights as their codes say."""
    arrays: list[np.ndarray | None] = []
    for name in node.inputs:
        array = quantized.graph.constants.get(name, got.get(name))
        held = quantized.activations.get(name)
        if not name or array is None:
            arrays.append(None)
        elif held is not None:
            steps = array.astype(np.float64) - held.zero_point
            arrays.append(steps * held.along(array.ndim).astype(np.float64))
        else:
            arrays.append(array.astype(np.float64) if array.dtype == np.float32 else array)
    weights = quantized.weights.get(node.name)
    if weights is not None:
        arrays[1] = real_weights(node, weights.codes, weights.scale, weights.input_scale)
    return arrays


def real_weights(
    node: Node, codes: np.ndarray, scale: np.ndarray, input_scale: np.ndarray | None
) -> np.ndarray:
    wide = codes.astype(np.float64)
    ones = (1,) * (codes.ndim - 1)
    if node.op != "ConvTranspose":
        wide *= scale.astype(np.float64).reshape(-1, *ones)
        if input_scale is None:
            return wide
        each = np.repeat(input_scale.astype(np.float64), codes.shape[0] // input_scale.size)
        return wide / each.reshape(-1, *ones)
    group = node.integer("group")
    inside = codes.shape[0] // group
    for index in range(codes.shape[0]):
        part = scale.reshape(group, -1)[index // inside].astype(np.float64)
        wide[index] *= part.reshape(-1, *(1,) * (codes.ndim - 2))
    return wide


def assert_node(quantized: QuantizedGraph, node: Node, got: Mapping[str, np.ndarray]) -> None:
    arrays = real_inputs(quantized, node, got)
    with np.errstate(all="ignore"):
        results = run_node(node, arrays)
    for name, result in zip(node.outputs, results, strict=True):
        held = quantized.activations.get(name)
        if name not in got:
            continue
        if result.dtype == np.bool_:
            # What compares is what dequantisation gives: products rounded to float32.
            exact = [None if array is None else array.astype(np.float32) for array in arrays]
            np.testing.assert_array_equal(got[name], run_node(node, exact)[0])
            continue
        if held is None:
            # Biases are rounded to a step of the accumulator, exp and sigmoid to 2 ulp.
            size = np.abs(result[np.isfinite(result)]).max(initial=1e-3)
            np.testing.assert_allclose(got[name], result, rtol=1e-4, atol=size * 1e-3)
            continue
        steps = np.rint(result / held.along(result.ndim).astype(np.float64)) + held.zero_point
        want = np.clip(np.nan_to_num(steps, nan=0.0), 0, 255)
        assert np.abs(got[name] - want).max() <= 1, f"{node.op} {name}"


#: Reasons that a graph of these operators may be refused for.
REASONS = (
    "no float32 form", "runs on codes only", "run on codes only",
    "no float form", "runs on codes and with constants", "computed", "no such sum",
    "no logarithm", "leave 2^-100", "not stored as codes",
)  # fmt: skip


@settings(max_examples=60)
@given(random_graph(choices=True), st.sampled_from(sorted(TAILS)))
def test_every_step_of_a_program_is_right(graph: Graph, tail: str) -> None:
    assume(graph.outputs)
    quantized = quantized_of(optimize(graph).graph, tail)
    try:
        program = compile_graph(quantized)
    except UnsupportedError as why:
        for refused in why.nodes:
            assert any(reason in refused.reason for reason in REASONS), refused
        return
    assert proof(program).holds
    data = to_bytes(program)
    assert to_bytes(from_bytes(data)) == data
    got = stored(quantized, program)
    for node in quantized.graph.nodes:
        assert_node(quantized, node, got)
