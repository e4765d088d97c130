"""Small quantised graphs for the compiler's tests, and an oracle that knows no compiler.

All scales are powers of two, so that float64 holds every real value exactly: the oracle runs the
float reference in float64 and rounds each stored value once. A program must give the same codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bittrue.arith import QParams
from bittrue.compiler.lower import compile_graph
from bittrue.compiler.program import Program
from bittrue.engines.emulate import Emulator
from bittrue.graph.model import Graph, Node, Value
from bittrue.graph.ops import complete_attrs
from bittrue.graph.reference import run_node
from bittrue.graph.shapes import infer_values
from bittrue.quant.model import QuantizedGraph, WeightCodes

#: Operators whose result has its input's codes.
SHARES = frozenset(
    ("MaxPool", "GlobalMaxPool", "Reshape", "Transpose", "Split", "Slice", "Pad", "Gather")
) | {"Expand", "Tile", "DepthToSpace", "SpaceToDepth", "Resize", "ReduceMax", "ReduceMin", "Cast"}


class Net:
    """A graph in the making; every value is stored as codes unless it is said to be float."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.values: dict[str, Value] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.nodes: list[Node] = []
        self.inputs: list[str] = []
        self.activations: dict[str, QParams] = {}
        self.weights: dict[str, WeightCodes] = {}

    def input(
        self, name: str, shape: Sequence[int], qparams: QParams | None, dtype: str = "float32"
    ) -> str:
        self.values[name] = Value(name, dtype, tuple(shape), (f"source {name}",))
        self.inputs.append(name)
        if qparams is not None:
            self.activations[name] = qparams
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants[name] = array
        self.values[name] = Value(name, array.dtype.name, array.shape)
        return name

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        out: QParams | None = None,
        outputs: Sequence[str] = (),
        **attrs: object,
    ) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        made = tuple(outputs) or (f"{name}_y",)
        full = complete_attrs(op, attrs)
        node = Node(name, op, tuple(inputs), made, full, (f"layer {name}",))
        for value in infer_values(node, self.values):
            self.values[value.name] = value
            if op in SHARES and inputs[0] in self.activations and out is None:
                self.activations[value.name] = self.activations[inputs[0]]
            elif out is not None:
                self.activations[value.name] = out
        self.nodes.append(node)
        return made[0]

    def weighted(
        self,
        op: str,
        x: str,
        shape: Sequence[int],
        out: QParams | None,
        *,
        bias: np.ndarray | None = None,
        offset: np.ndarray | None = None,
        scale: np.ndarray | None = None,
        input_scale: np.ndarray | None = None,
        **attrs: object,
    ) -> str:
        """Add a node with int8 weights whose real values are exact."""
        codes = self.rng.integers(-127, 128, tuple(shape)).astype(np.int8)
        group = int(str(attrs.get("group", 1)))
        outputs = shape[1] * group if op == "ConvTranspose" else shape[0]
        scale = np.full(outputs, 2.0**-7, np.float32) if scale is None else scale
        real = codes.astype(np.float32)
        if op == "ConvTranspose":
            per = scale.reshape(group, -1)[np.repeat(np.arange(group), shape[0] // group)]
            real = real * per.reshape(*per.shape, *(1,) * (len(shape) - 2))
        else:
            real = real * scale.reshape(-1, *(1,) * (len(shape) - 1))
        if input_scale is not None:
            real = real / input_scale.reshape(-1, *(1,) * (len(shape) - 1))
        name = f"w{len(self.nodes)}"
        inputs = [x, self.constant(name, real.astype(np.float32))]
        if bias is not None or offset is not None:
            inputs.append("" if bias is None else self.constant(f"b{len(self.nodes)}", bias))
        if offset is not None:
            inputs.append(self.constant(f"o{len(self.nodes)}", offset))
        y = self.node(op, inputs, out, **attrs)
        self.weights[self.nodes[-1].name] = WeightCodes(codes, scale, input_scale)
        return y

    def done(self, *outputs: str) -> QuantizedGraph:
        graph = Graph(
            "net", tuple(self.inputs), outputs, tuple(self.nodes), self.values, self.constants
        )
        computed = set(self.values) - set(self.constants)
        floats = frozenset(computed - set(self.activations))
        return QuantizedGraph(graph, self.activations, self.weights, floats, {})

    def codes(self, name: str) -> np.ndarray:
        """Return random codes for an input."""
        return self.rng.integers(0, 256, self.values[name].shape).astype(np.uint8)


def qp(scale: float | Sequence[float] = 2.0**-4, zero: int = 128, axis: int = 1) -> QParams:
    """Return codes with a scale (or one a channel) that should be a power of two."""
    return QParams(np.atleast_1d(np.asarray(scale, np.float32)), zero, axis)


def expected(quantized: QuantizedGraph, codes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return every value: codes where it is stored so, else float64.

    Args:
        quantized: What to run.
        codes: The inputs as stored.
    """
    graph, real, stored = quantized.graph, {}, {}

    def store(name: str, array: np.ndarray) -> None:
        held = quantized.activations.get(name)
        if held is None:
            real[name] = stored[name] = array
            return
        scale = held.along(array.ndim).astype(np.float64)
        steps = np.rint(array / scale) + held.zero_point
        stored[name] = np.clip(steps, 0, 255).astype(np.uint8)
        real[name] = (stored[name].astype(np.float64) - held.zero_point) * scale

    for name in graph.inputs:
        held = quantized.activations.get(name)
        array = codes[name].astype(np.float64)
        store(name, array if held is None else (array - held.zero_point) * held.scale[0])
    for name, array in graph.constants.items():
        real[name] = array.astype(np.float64) if array.dtype == np.float32 else array
    for node in graph.nodes:
        arrays = [real[name] if name else None for name in node.inputs]
        moved = node.op == "Cast" and node.text("to") == "float32"
        results = (arrays[0],) if moved else run_node(node, arrays)
        for name, result in zip(node.outputs, results, strict=True):
            store(name, np.asarray(result))
    return stored


def kinds(program: Program) -> list[str]:
    """Return the kind of each instruction."""
    return [step.kind for step in program.instructions]


def run(program: Program, codes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return every value of the graph that the program holds, in logical order, as stored."""
    wanted = [index for index in program.computed if program.tensors[index].perm]
    inputs = [np.ascontiguousarray(codes[row.name]) for row in program.contract.inputs]
    outputs, taps = Emulator(program).run(inputs, wanted)
    found = {}
    for index in wanted:
        found[program.tensors[index].name] = program.tensors[index].to_logical(taps[index])
    for row, array in zip(program.contract.outputs, outputs, strict=True):
        np.testing.assert_array_equal(found[row.name], array.reshape(row.shape))
    return found


def assert_exact(net: Net, *outputs: str, most: int = 0) -> Program:
    """Compile, run and compare every value with the oracle; return the program.

    Args:
        net: The network.
        outputs: Names of its outputs.
        most: Greatest difference in codes that is accepted, where the oracle rounds otherwise.
    """
    quantized = net.done(*outputs)
    program = compile_graph(quantized)
    codes = {
        name: net.codes(name)
        if name in net.activations
        else net.rng.normal(size=net.values[name].shape).astype(np.float32)
        for name in net.inputs
    }
    want, got = expected(quantized, codes), run(program, codes)
    assert set(outputs) <= set(got)
    for name, array in got.items():
        if array.dtype == np.uint8:
            difference = np.abs(array.astype(int) - want[name].astype(int))
            assert difference.max() <= most, f"{name}: {difference.max()} codes"
        else:
            np.testing.assert_allclose(array, want[name], rtol=2e-6, atol=1e-6, err_msg=name)
    return program
