"""Small graphs for the tests of quantisation, written node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bittrue.graph.model import Graph, Node, Value
from bittrue.graph.ops import complete_attrs
from bittrue.graph.reference import run_reference
from bittrue.graph.shapes import infer
from bittrue.quant.calibrate import Run, gather
from bittrue.quant.model import QuantizedGraph
from bittrue.quant.options import QuantizeOptions
from bittrue.quant.pipeline import quantize_with
from bittrue.quant.samples import Sample


class Builder:
    """Adds nodes one by one; shapes come from the graph's own rules."""

    def __init__(self, inputs: Mapping[str, tuple[int, ...]], dtype: str = "float32") -> None:
        self.values = {name: Value(name, dtype, shape) for name, shape in inputs.items()}
        self.inputs = tuple(inputs)
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        self.values[name] = Value(name, array.dtype.name, array.shape)
        return name

    def add(
        self, op: str, name: str, *inputs: str | np.ndarray, outputs: int = 1, **attrs: object
    ) -> str:
        names = tuple(i if isinstance(i, str) else self.constant(i) for i in inputs)
        outs = (name,) if outputs == 1 else tuple(f"{name}.{i}" for i in range(outputs))
        node = Node(f"n_{name}", op, names, outs, complete_attrs(op, attrs))
        results = infer(node, [self.values[item] if item else None for item in names])
        for out, (dtype, shape) in zip(outs, results, strict=True):
            self.values[out] = Value(out, dtype, tuple(shape))
        self.nodes.append(node)
        return name

    def conv(
        self, name: str, x: str, w: np.ndarray, b: np.ndarray | None = None, **more: object
    ) -> str:
        rank = w.ndim - 2
        pad = tuple(size // 2 for size in w.shape[2:])
        attrs = {"strides": (1,) * rank, "pads": pad + pad, "dilations": (1,) * rank, "group": 1}
        inputs = (x, w) if b is None else (x, w, b)
        return self.add("Conv", name, *inputs, **{**attrs, **more})

    def finish(self, outputs: Sequence[str]) -> Graph:
        return Graph(
            "test", self.inputs, tuple(outputs), tuple(self.nodes), self.values, self.constants
        )


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


def pictures(count: int, shape: tuple[int, ...], seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1, shape).astype(np.float32) for _ in range(count)]


def runner(graph: Graph) -> Run:
    return lambda inputs, taps: run_reference(graph, inputs, taps)


def quantized(
    graph: Graph, samples: Sequence[Sample] | None = None, **options: str
) -> QuantizedGraph:
    """Return a graph quantised with the extremes of 16 samples, or of those given."""
    samples = samples or pictures(16, graph.values[graph.inputs[0]].shape)
    chosen = QuantizeOptions(**{"observer": "minmax", **options})
    return quantize_with(graph, gather(graph, samples, runner(graph)), chosen).quantized


def builder(channels: int = 4) -> Builder:
    return Builder({"x": (1, channels, 8, 8)})


def scale_of(result: QuantizedGraph, name: str) -> float:
    params = result.activations[name]
    assert params.scale.size == 1
    return float(params.scale[0])


def depthwise_graph(*, extra_reader: bool = False, table: bool = False) -> Graph:
    build = builder()
    w = weights(4, 4, 1, 1)
    w *= np.array([0.01, 0.1, 1, 10], np.float32).reshape(-1, 1, 1, 1)
    a = build.conv("a", "x", w)
    if table:
        a = build.add("Pointwise", "s", "a", expr="x x sigmoid mul")
    build.conv("d", a, weights(4, 1, 3, 3), group=4)
    build.conv("y", "d", weights(2, 4, 1, 1))
    outputs = ["y"]
    if extra_reader:
        build.conv("z", a, weights(2, 4, 1, 1))
        outputs.append("z")
    return build.finish(outputs)
