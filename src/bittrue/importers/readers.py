"""From the source that a user names to a Graph: which module reads it is a row of READERS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bittrue.errors import UsageError
from bittrue.importers.recognise import recognise, refusal
from bittrue.importers.request import Imported, Request, from_onnx
from bittrue.importers.source_file import read_bytes
from bittrue.packages import require


@dataclass(frozen=True, slots=True)
class Reader:
    """What imports one kind of source.

    Args:
        what: The kind, for messages.
        read: From the request, and the file's bytes where it is a file.
        packages: What it needs beside NumPy, of the extra `tools`.
        is_module: Whether weights, exporter and opset mean something to it.
    """

    what: str
    read: Callable[[Request, bytes], Imported]
    packages: tuple[str, ...]
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
    for package in reader.packages:
        require(package, "tools")
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
    return from_onnx(request, "onnx", Path(request.path).name, data, request.path)


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
    return from_onnx(request, "torch", name, data, name)


_ONNX = Reader("an ONNX file", _read_onnx, ("onnx",))
#: By kind, as `recognise` names it: what imports it. All others are refused by name.
READERS: Mapping[str, Reader] = {
    "onnx": _ONNX,
    "unknown": _ONNX,  # protobuf allows any order of fields, so a model need not look like one
    "factory": Reader("a PyTorch module", _read_factory, ("onnx",), is_module=True),
}
