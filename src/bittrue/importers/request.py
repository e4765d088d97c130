"""What a user asks to be imported, and what comes of it: what every reader takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bittrue.contract.preprocess import Preprocess
from bittrue.graph.model import Graph, Shape
from bittrue.importers.preprocessed import Table, bound, with_made
from bittrue.importers.source_file import named


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks to be imported.

    Args:
        path: A file, or module.py:factory.
        input_shapes: By input name, for dimensions that the source leaves open.
        start: Node or tensor names to start at; empty means the network's inputs.
        end: Node or tensor names to end at; empty means the network's outputs.
        preprocess: By input name; "" stands for the only input.
        weights: A file of a PyTorch module's weights; None where none is given.
        exporter: Of a PyTorch module; None for the default.
        opset: Of a PyTorch module's export; None for the exporter's own.
    """

    path: str
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    start: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    preprocess: Table = field(default_factory=dict)
    weights: str | None = None
    exporter: str | None = None
    opset: int | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a request.

    Args:
        name: The source's file name, for messages.
        kind: "onnx" or "torch".
        onnx: The source as ONNX that stands alone.
        graph: The network.
        preprocess: By the graph's own input names.
    """

    name: str
    kind: str
    onnx: bytes
    graph: Graph
    preprocess: Mapping[str, Preprocess]


def from_onnx(request: Request, kind: str, name: str, data: bytes, path: str) -> Imported:
    """Return the network of an ONNX model, by which other sources may come as well.

    Args:
        request: What was asked for.
        kind: Of the source, for the archive.
        name: The source's file name, for messages.
        data: The model.
        path: Where external data is beside.

    Raises:
        FormatError: if it is damaged or no network.
        UnsupportedError: if nodes cannot be handled; lists them all.
        UsageError: if dimensions are open, or a name is unknown.
    """
    from bittrue.importers.onnx import to_graph
    from bittrue.importers.onnx_file import parse
    from bittrue.importers.onnx_source import read_source, self_contained

    with named(path):
        model = parse(data)
        alone = self_contained(model, data, Path(path).parent)
    with named(name):  # from here on an archive must say the same, which knows no folder
        whole = read_source(model, None)
        shapes = with_made(whole.inputs, request.preprocess, request.input_shapes)
        graph = to_graph(model, whole, shapes, request.start, request.end)
    return Imported(name, kind, alone, graph, bound(request.preprocess, graph))
