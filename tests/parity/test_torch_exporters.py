"""PyTorch's two exporters against eager PyTorch, at every layer, and against each other.

A layer is matched by its module: forward hooks keep what each leaf module returns in eager
PyTorch, and the nodes of the module `block.conv` are called `/block/conv/...` in either graph.
Tensors that no module makes are matched by their place in the optimised graphs, which are equal.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from bittrue import chain
from bittrue.compiler.fileformat import from_bytes
from bittrue.compiler.program import Program
from bittrue.engines.float_ import FloatRunner
from bittrue.fetch import fetch
from bittrue.graph.model import Graph
from bittrue.graph.verify import verify
from bittrue.importers.onnx import import_onnx
from bittrue.inputs import adapt
from bittrue.network import Network, Source
from bittrue.passes.pipeline import optimize
from bittrue.stages import Subject, open_runner

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
pytest.importorskip("onnxscript", reason="the dynamo exporter needs onnxscript")

from bittrue.errors import DataError  # noqa: E402
from bittrue.importers.torch import export_torch, load_network  # noqa: E402
from bittrue.importers.torch_export import scope  # noqa: E402
from tests import torch_networks  # noqa: E402

FILE = Path(torch_networks.__file__)
SHAPE = torch_networks.INPUT_SHAPES["image"]
NETWORKS = ("mobilenet_v2", "resnet", "detector", "unet")
EXPORTS = (("torchscript", 13), ("dynamo", 18))
#: Largest difference over largest magnitude: sums of some thousand float32 products each.
BOUND = 1e-4
#: Where a network ends for the engine, which has no bilinear Resize: nodes, named alike in both.
ENDS = {"unet": ("/conv1/conv1.5/LeakyRelu",)}


@functools.cache
def exported(network: str, exporter: str, opset: int) -> bytes:
    return export_torch(
        f"{FILE}:{network}", input_shapes={"image": SHAPE}, exporter=exporter, opset=opset
    )


@functools.cache
def native(network: str, exporter: str, opset: int) -> Graph:
    return import_onnx(exported(network, exporter, opset))


@functools.cache
def fp_optimized(network: str, exporter: str, opset: int) -> Graph:
    return optimize(native(network, exporter, opset)).graph


def image(seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def run(graph: Graph) -> dict[str, np.ndarray]:
    """Every value of a graph that is no constant, on one image."""
    taps = [name for name in graph.values if name not in graph.constants]
    done = FloatRunner(graph, threads=1).run({"image": image()}, taps)
    return {**done.taps, **done.outputs}


def assert_near(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert found.shape == expected.shape, what
    difference = float(np.abs(found - expected).max())
    assert difference <= BOUND * float(np.abs(expected).max()), (what, difference)


# --- eager PyTorch -------------------------------------------------------------------------------


@functools.cache
def eager(network: str) -> tuple[dict[str, list[np.ndarray]], list[np.ndarray]]:
    """By the scope of each leaf module: what each of its calls returned; and the outputs."""
    module = load_network(f"{FILE}:{network}")
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    called: set[str] = set()
    rows = dict(module.named_modules())

    def keep(name: str) -> object:
        def hook(_: object, __: object, output: torch.Tensor) -> None:
            called.add(name)
            if not list(rows[name].children()):
                # Copied: an activation in place would write into it afterwards.
                found[name].append(output.detach().clone().numpy())

        return hook

    for name, item in rows.items():
        item.register_forward_hook(keep(name))
    with torch.no_grad():
        outputs = module(torch.from_numpy(image()))
    plain = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    return {_scope(name, called): row for name, row in found.items()}, [o.numpy() for o in plain]


def _scope(name: str, called: set[str]) -> str:
    """The prefix of a module's nodes: those around it that ran (a ModuleList does not)."""
    parts = name.split(".")
    around = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return scope([module for module in around if module in called])


def layer_outputs(graph: Graph, place: str, calls: int) -> list[str]:
    """The value that each call of a module makes: the last of its nodes, evenly shared out."""
    places = {place, *(f"{place}_{index}" for index in range(1, calls))}
    nodes = [node for node in graph.nodes if node.origin[0].rpartition("/")[0] in places]
    assert len(nodes) % calls == 0, place
    share = len(nodes) // calls
    return [nodes[(call + 1) * share - 1].outputs[0] for call in range(calls) if share]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("exporter", "opset"), EXPORTS)
def test_every_layer_gives_what_eager_pytorch_gives(
    network: str, exporter: str, opset: int
) -> None:
    graph = native(network, exporter, opset)
    verify(graph)
    values, (layers, outputs) = run(graph), eager(network)
    unmatched = set()
    for place, calls in layers.items():
        names = layer_outputs(graph, place, len(calls))
        if not names:
            unmatched.add(place)
        for name, expected in zip(names, calls, strict=bool(names)):
            assert_near(values[name], expected, f"{place}: {name}")
    # What does nothing when a network is used has no node in any graph.
    assert unmatched == ({"/classifier/classifier.0"} if network == "mobilenet_v2" else set())
    for name, expected in zip(graph.outputs, outputs, strict=True):
        assert_near(values[name], expected, name)


# --- one exporter against the other --------------------------------------------------------------


def structure(graph: Graph) -> list[object]:
    """The nodes without names: values are numbered as they are made, constants by their shape."""
    number = {name: index for index, name in enumerate(graph.inputs)}
    rows: list[object] = []
    for node in graph.nodes:
        read = [number.get(name, graph.values[name].shape) if name else "" for name in node.inputs]
        rows.append(
            (node.op, read, dict(node.attrs), [graph.values[n].shape for n in node.outputs])
        )
        number |= {name: len(number) + index for index, name in enumerate(node.outputs)}
    return rows


@pytest.mark.parametrize("network", NETWORKS)
def test_the_optimised_graphs_are_the_same_at_every_tensor(network: str) -> None:
    one, two = (fp_optimized(network, *export) for export in EXPORTS)
    assert structure(one) == structure(two)
    first, second = run(one), run(two)
    for left, right in zip(one.nodes, two.nodes, strict=True):
        for a, b in zip(left.outputs, right.outputs, strict=True):
            assert_near(second[b], first[a], f"{a} and {b}")


@pytest.mark.parametrize("network", NETWORKS)
def test_the_layers_have_the_same_names(network: str) -> None:
    one, two = (native(network, *export) for export in EXPORTS)
    names = [
        {node.name for node in graph.nodes if node.op in ("Conv", "ConvTranspose", "Relu")}
        for graph in (one, two)
    ]
    # The tracer tells a module's second call by its place, torch.export by its node.
    second = re.compile(r"(\w+)_(\d+)/(\w+)$")
    names[0] = {n if n in names[1] else second.sub(r"\1/\3_\2", n) for n in names[0]}
    assert names[0] == names[1]
    assert len(names[0]) > 10


def program(network: str, exporter: str, opset: int) -> tuple[Program, list[np.ndarray]]:
    """The compiled network, and the arrays that the engine gives for one image."""
    data = exported(network, exporter, opset)
    source = Source("net.onnx", "", "torch", b"")
    imported = Network("net", source, import_onnx(data, end=ENDS.get(network, ())))
    samples = [image(seed) for seed in range(2)]
    done = chain.compile(chain.quantize(imported, samples, observer="minmax"))
    compiled = from_bytes(done.executable or b"")
    engine = open_runner(Subject("", done, done.executable), "compiled")
    outputs = engine.run(adapt({"image": image()}, engine.contract, {})).outputs
    return compiled, [outputs[row.name] for row in compiled.contract.outputs]


def nameless(found: Program) -> tuple[object, ...]:
    """What a program does: all of it but names and where they come from."""
    return (
        [replace(row, name="", origin=()) for row in found.tensors],
        [replace(row, name="", origin=()) for row in found.instructions],
        found.buffers,
        found.inputs,
        found.outputs,
        found.contract,
        found.arena_bytes,
        {index: array.tobytes() for index, array in found.constants.items()},
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_the_executables_are_the_same_byte_for_byte_but_for_names(network: str) -> None:
    (one, first), (two, second) = (program(network, *export) for export in EXPORTS)
    for a, b in zip(nameless(one), nameless(two), strict=True):
        assert a == b
    for x, y in zip(first, second, strict=True):
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes()


def test_a_later_opset_of_the_same_exporter_gives_the_same_graph() -> None:
    assert structure(fp_optimized("unet", "dynamo", 20)) == structure(
        fp_optimized("unet", *EXPORTS[1])
    )


# --- files that people saved themselves ----------------------------------------------------------


def test_a_saved_file_with_external_data_and_open_sizes_is_read(tmp_path: Path) -> None:
    """As people save it: optimised, the weights in a file beside it, batch and sides left open."""
    module = load_network(f"{FILE}:unet")
    path = tmp_path / "unet.onnx"
    open_axes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    example = torch.zeros(2, *SHAPE[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about itself
        saved = torch.onnx.export(
            module, (example,), dynamo=True, dynamic_shapes=(open_axes,), verbose=False
        )
    saved.save(path, external_data=True)
    assert (tmp_path / "unet.onnx.data").stat().st_size > 100_000
    assert any(dim.dim_param for dim in onnx.load(path).graph.input[0].type.tensor_type.shape.dim)
    (expected,) = eager("unet")[1]
    graph = import_onnx(path, input_shapes={"image": SHAPE})
    assert_near(run(graph)[graph.outputs[0]], expected, "output")
    assert structure(optimize(graph).graph) == structure(fp_optimized("unet", *EXPORTS[1]))
    # The archive holds one file: the weights are inside it.
    assert chain.import_model(path, input_shapes={"image": SHAPE}).native.nodes == graph.nodes


# --- the published weights -----------------------------------------------------------------------


def test_mobilenet_v2_with_its_published_weights() -> None:
    try:
        weights = fetch("mobilenet_v2-b0353104.pth")
    except DataError as why:
        pytest.skip(f"the weights cannot be fetched: {why.message}")
    data = export_torch(f"{FILE}:full_mobilenet_v2", weights=weights, input_shapes={"image": SHAPE})
    graph = import_onnx(data)
    module = load_network(f"{FILE}:full_mobilenet_v2", weights=weights)
    with torch.no_grad():
        expected = module(torch.from_numpy(image())).numpy()
    assert_near(run(graph)["output"], expected, "output")
    assert expected.shape == (1, 1000)
