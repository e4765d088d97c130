"""PyTorch networks to ONNX: a factory function of the user's, and weights that are only data.

load_network (build, load_weights, put_weights) -> export

The factory is code that the user names, and runs. A weights file is never code.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from bittrue.errors import UsageError
from bittrue.importers.recognise import FACTORY_HINT, refuse_others
from bittrue.importers.torch_export import chosen_opset, export
from bittrue.importers.torch_weights import load_weights, put_weights
from bittrue.packages import require
from bittrue.suggest import did_you_mean

if TYPE_CHECKING:
    from torch.nn import Module

#: Needs no further package and takes a tenth of the time; both exporters give the same graph.
DEFAULT_EXPORTER = "torchscript"


def export_torch(
    spec: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    input_shapes: Mapping[str, tuple[int, ...]],
    exporter: str = DEFAULT_EXPORTER,
    opset: int | None = None,
) -> bytes:
    """Return the network that a Python function builds as ONNX bytes, in evaluation mode.

    Args:
        spec: ``module.py:factory``; the factory takes no arguments and returns a torch.nn.Module.
        weights: A state dict saved with torch.save, or a safetensors file; None keeps what the
            factory sets.
        input_shapes: Names and shapes of forward's arguments, in their order. The name "" stands
            for the name that forward gives its first argument.
        exporter: "torchscript" (opsets 9 to 20) or "dynamo" (18 to 20, needs onnxscript).
        opset: The ONNX operator set that the exporter writes; None for its own, 17 or 18.

    Raises:
        UsageError: if a package is missing, or spec, input_shapes, exporter or opset are wrong.
        ModelError: if the weights do not fit.
        UnsupportedError: if PyTorch cannot export the network.
    """
    require("torch", "torch")
    written = chosen_opset(exporter, opset)
    if not input_shapes:
        raise UsageError(
            "the shape of the network's input is not given",
            hint="give it, for example --input-shape x=1,3,224,224",
        )
    network = load_network(spec, weights=weights)
    shapes = [(name or _first_argument(network), shape) for name, shape in input_shapes.items()]
    return export(network, shapes, exporter, written, spec)


def load_network(spec: str, *, weights: str | os.PathLike[str] | None = None) -> Module:
    """Return the network itself, with its weights, in evaluation mode.

    Args:
        spec: As in `export_torch`.
        weights: As in `export_torch`.

    Raises:
        UsageError: if torch is missing, or spec is wrong.
        ModelError: if the weights do not fit.
    """
    require("torch", "torch")
    network = build(spec)
    if weights is not None:
        put_weights(network, load_weights(weights), os.fspath(weights))
    return network.eval()


def _first_argument(network: Module) -> str:
    return next(iter(inspect.signature(network.forward).parameters), "input")


# --- the network -----------------------------------------------------------------------------


def build(spec: str) -> Module:
    """Return the network that the factory named by ``module.py:factory`` builds.

    Raises:
        UsageError: if there is no such file or function, or it fails, or returns something else.
        FormatError: if `spec` is a weights file instead.
    """
    import torch

    with _importable(Path(spec.rpartition(":")[0]).parent):
        network = _built(spec)
    if not isinstance(network, torch.nn.Module):
        raise UsageError(
            f"the factory returns a {type(network).__name__}, not a torch.nn.Module",
            where=spec,
            hint=FACTORY_HINT,
        )
    return network


def _built(spec: str) -> object:
    factory = _factory(spec)
    try:
        return factory()
    except Exception as why:  # the user's code may raise anything
        raise UsageError(
            f"the factory fails: {type(why).__name__}: {why}", where=spec, hint="mend it"
        ) from why


def _factory(spec: str) -> Callable[[], object]:
    file, colon, name = spec.rpartition(":")
    path = Path(file if colon else spec)
    if not colon or not path.is_file():
        _refuse_spec(spec, path, bool(colon))
    module = _module(path, spec)
    factory: object = getattr(module, name, None)
    if not callable(factory):
        known = [key for key, item in vars(module).items() if callable(item) and key[:1] != "_"]
        raise UsageError(
            f"the file has no function {name!r}", where=spec, hint=did_you_mean(name, known)
        )
    needed = _needed_arguments(factory)
    if needed:
        raise UsageError(
            f"the factory needs arguments: {', '.join(needed)}",
            where=spec,
            hint="write a function without arguments that calls it, and name that one",
        )
    return factory


def _needed_arguments(factory: Callable[[], object]) -> list[str]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    empty = inspect.Parameter.empty
    return [row.name for row in parameters if row.default is empty and row.kind not in kinds]


def _refuse_spec(spec: str, path: Path, named: bool) -> None:
    if named:
        raise UsageError(f"there is no file {str(path)!r}", where=spec, hint=FACTORY_HINT)
    if path.is_file() and path.suffix != ".py":
        refuse_others(path.read_bytes(), str(path))
    raise UsageError("no factory function is named", where=spec, hint=FACTORY_HINT)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the user's file import its neighbours while it is loaded and builds the network."""
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(entry)


def _module(path: Path, spec: str) -> ModuleType:
    described = importlib.util.spec_from_file_location(f"bittrue_user_{path.stem}", path)
    if described is None or described.loader is None:
        raise UsageError(f"{str(path)!r} is no Python file", where=spec, hint=FACTORY_HINT)
    module = importlib.util.module_from_spec(described)
    sys.modules[described.name] = module
    try:
        described.loader.exec_module(module)
    except Exception as why:  # the user's code may raise anything
        raise UsageError(
            f"the file cannot be imported: {type(why).__name__}: {why}", where=spec, hint="mend it"
        ) from why
    return module
