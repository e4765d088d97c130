"""From the source that a user names to a Graph: which module reads it is a row of READERS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bittrue.contract.preprocess import Preprocess
from bittrue.errors import UsageError
from bittrue.graph.model import Graph, Shape
from bittrue.importers.preprocessed import Table, bound, with_made
from bittrue.importers.recognise import recognise, refusal
from bittrue.importers.source_file import named, read_bytes
from bittrue.packages import require


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


@dataclass(frozen=True, slots=True)
class Reader:
    """What imports one kind of source.

    Args:
        what: The kind, for messages.
        read: From the request, and the file's bytes where it is a file.
        package: What it needs beside NumPy.
        is_module: Whether weights, exporter and opset mean something to it.
    """

    what: str
    read: Callable[[Request, bytes], Imported]
    package: str
    is_module: bool = False


def import_source(request: Request) -> Imported:
    """Return the network that a request is for.

    Raises:
        DataError: if its file cannot be read.
        FormatError: if it is damaged or no network.
        UnsupportedError: if nodes cannot be handled; lists them all.
        UsageError: if dimensions are open, a name is unknown, or an option is for other sources.
    """
    data = b"" if _is_factory(request.path) else read_bytes(request.path)[0]
    kind = recognise(data)
    name = "factory" if _is_factory(request.path) else kind.name
    if name not in READERS:
        raise refusal(kind, request.path)
    reader = READERS[name]
    if not reader.is_module:
        _refuse_module_options(request, reader.what)
    require(reader.package, "tools")
    return reader.read(request, data)


def _is_factory(path: str) -> bool:
    """Return whether this is module.py:factory."""
    return path.rpartition(":")[0].endswith(".py")


def _refuse_module_options(request: Request, what: str) -> None:
    """Refuse what only a PyTorch module can have.

    Raises:
        UsageError: if any of it is given.
    """
    given = {
        "--weights": request.weights,
        "--exporter": request.exporter,
        "--opset": request.opset,
    }
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise UsageError(
            f"{', '.join(names)} goes with a PyTorch module, not with {what}",
            where=request.path,
            hint=f"give module.py:factory, or leave {' and '.join(names)} out",
        )


# --- the readers ---------------------------------------------------------------------------------


def _read_onnx(request: Request, data: bytes) -> Imported:
    return _from_onnx(request, "onnx", Path(request.path).name, data, request.path)


def _read_factory(request: Request, _: bytes) -> Imported:
    from bittrue.importers.torch import DEFAULT_EXPORTER, export_torch

    made = {
        name: item.input_shape
        for name, item in request.preprocess.items()
        if name or not request.input_shapes
    }
    data = export_torch(
        request.path,
        weights=request.weights,
        input_shapes={**made, **request.input_shapes},
        exporter=request.exporter or DEFAULT_EXPORTER,
        opset=request.opset,
    )
    name = Path(request.weights or request.path).name
    return _from_onnx(request, "torch", name, data, name)


def _from_onnx(request: Request, kind: str, name: str, data: bytes, path: str) -> Imported:
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


_ONNX = Reader("an ONNX file", _read_onnx, "onnx")
#: By kind, as `recognise` names it: what imports it. All others are refused by name.
READERS: Mapping[str, Reader] = {
    "onnx": _ONNX,
    "unknown": _ONNX,  # protobuf allows any order of fields, so a model need not look like one
    "factory": Reader("a PyTorch module", _read_factory, "onnx", is_module=True),
}
