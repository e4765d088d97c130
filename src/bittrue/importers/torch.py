"""PyTorch networks to a Graph: a factory function of the user's, and weights that are only data.

load_network (build, load_weights, put_weights) -> torch.onnx.export -> import_onnx

The factory is code that the user names, and runs. A weights file is never code: what cannot be
read without executing it is refused.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import logging
import os
import pickle
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from bittrue.errors import ModelError, UnsupportedError, UsageError
from bittrue.graph.model import Graph
from bittrue.importers.onnx import import_onnx
from bittrue.importers.onnx_file import TORCH_MODULE_HINT, refuse_others
from bittrue.suggest import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

_log = logging.getLogger(__name__)
#: The newest opset that PyTorch's exporter without further packages writes in full.
EXPORT_OPSET = 17
#: Where training frameworks put the weights in a file that holds more than those.
WEIGHT_KEYS = ("state_dict", "model_state_dict", "model", "ema", "net", "params")
#: What wrappers for several devices put before every name.
WRAPPER = "module."
SPEC_HINT = "give the file and the function that returns the network, as module.py:factory"


def import_torch(
    spec: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    input_shapes: Mapping[str, tuple[int, ...]],
    start: Sequence[str] = (),
    end: Sequence[str] = (),
) -> Graph:
    """Return the network that a Python function builds, as a Graph.

    Args:
        spec: ``module.py:factory``; the factory takes no arguments and returns a torch.nn.Module.
        weights: A state dict saved with torch.save; None keeps what the factory sets.
        input_shapes: Names and shapes of forward's arguments, in their order. The name "" stands
            for the name that forward gives its first argument.
        start: Tensors or nodes of the export that the network begins with.
        end: Tensors or nodes of the export that it ends with.

    Raises:
        UsageError: if torch is missing, or spec or input_shapes are wrong.
        ModelError: if the weights do not fit or the network cannot be exported.
        UnsupportedError: if the network has operators that are not handled.
    """
    data = export_torch(spec, weights=weights, input_shapes=input_shapes)
    return import_onnx(data, start=start, end=end)


def export_torch(
    spec: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    input_shapes: Mapping[str, tuple[int, ...]],
) -> bytes:
    """Return the network that a Python function builds as ONNX bytes, in evaluation mode.

    Args:
        spec: As in `import_torch`.
        weights: As in `import_torch`.
        input_shapes: As in `import_torch`.

    Raises:
        UsageError: if torch is missing, or spec or input_shapes are wrong.
        ModelError: if the weights do not fit.
        UnsupportedError: if PyTorch cannot export the network.
    """
    _require_torch()
    import torch

    if not input_shapes:
        raise UsageError(
            "the shape of the network's input is not given",
            hint="give it, for example --input-shape x=1,3,224,224",
        )
    network = load_network(spec, weights=weights)
    samples = tuple(torch.zeros(tuple(shape)) for shape in input_shapes.values())
    names = tuple(name or _first_argument(network) for name in input_shapes)
    return _export(network, samples, names, spec)


def load_network(spec: str, *, weights: str | os.PathLike[str] | None = None) -> Module:
    """Return the network itself, with its weights, in evaluation mode.

    Args:
        spec: As in `import_torch`.
        weights: As in `import_torch`.

    Raises:
        UsageError: if torch is missing, or spec is wrong.
        ModelError: if the weights do not fit.
    """
    _require_torch()
    network = build(spec)
    if weights is not None:
        put_weights(network, load_weights(weights), os.fspath(weights))
    return network.eval()


def _require_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise UsageError("torch is not installed", hint='pip install "bittrue[torch]"')


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
            hint=SPEC_HINT,
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
        raise UsageError(f"there is no file {str(path)!r}", where=spec, hint=SPEC_HINT)
    if path.is_file() and path.suffix != ".py":
        refuse_others(path.read_bytes(), str(path))
    raise UsageError("no factory function is named", where=spec, hint=SPEC_HINT)


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
        raise UsageError(f"{str(path)!r} is no Python file", where=spec, hint=SPEC_HINT)
    module = importlib.util.module_from_spec(described)
    sys.modules[described.name] = module
    try:
        described.loader.exec_module(module)
    except Exception as why:  # the user's code may raise anything
        raise UsageError(
            f"the file cannot be imported: {type(why).__name__}: {why}", where=spec, hint="mend it"
        ) from why
    return module


# --- the weights -----------------------------------------------------------------------------


def load_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a state dict, read without executing anything.

    Raises:
        ModelError: if the file is missing, damaged, or would have to be executed.
    """
    import torch

    where = os.fspath(path)
    _refuse_torchscript(where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickles, which it then reads or refuses
            content = torch.load(where, map_location="cpu", weights_only=True)
    except OSError as why:
        raise ModelError(f"the weights cannot be read: {why.strerror}", where=where) from why
    except pickle.UnpicklingError as why:
        raise ModelError(
            "the weights are a pickled object, not a state dict",
            where=where,
            hint=TORCH_MODULE_HINT,
        ) from why
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError) as why:
        raise ModelError(
            f"the weights are no file that torch.save writes, or damaged: {why}",
            where=where,
            hint="save them with torch.save(network.state_dict(), path)",
        ) from why
    return _tensors(content, where)


def _refuse_torchscript(where: str) -> None:
    """Refuse a compiled module before PyTorch sees it: its own text advises to load it unsafely."""
    try:
        with zipfile.ZipFile(where) as archive:
            compiled = any(name.endswith("constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # no zip: load_weights says what is wrong with it
    if compiled:
        raise ModelError(
            "the weights are a TorchScript file, not a state dict",
            where=where,
            hint="save them with torch.save(network.state_dict(), path)",
        )


def _tensors(content: object, where: str) -> dict[str, Tensor]:
    import torch

    candidates = [content]
    if isinstance(content, Mapping):
        candidates += [content[key] for key in WEIGHT_KEYS if key in content]
    for found in candidates:
        if isinstance(found, Mapping) and found:
            tensors = {str(key): item for key, item in found.items()}
            if all(isinstance(item, torch.Tensor) for item in tensors.values()):
                if all(key.startswith(WRAPPER) for key in tensors):
                    return {key.removeprefix(WRAPPER): item for key, item in tensors.items()}
                return tensors
    raise ModelError(
        f"the weights hold a {type(content).__name__} without tensors by name",
        where=where,
        hint="save them with torch.save(network.state_dict(), path)",
    )


def put_weights(network: Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load tensors into a network, all of which must fit.

    Raises:
        ModelError: listing every name that is missing, unexpected or of another shape.
    """
    wanted = network.state_dict()
    problems = [f"missing: {name}" for name in wanted if name not in tensors]
    problems += [f"unexpected: {name}" for name in tensors if name not in wanted]
    problems += [
        f"{name} is {list(tensors[name].shape)}, the network has {list(item.shape)}"
        for name, item in wanted.items()
        if name in tensors and tensors[name].shape != item.shape
    ]
    if problems:
        raise ModelError(
            "the weights do not fit the network:\n  " + "\n  ".join(problems),
            where=where,
            hint="let the factory build the network that these weights were trained in",
        )
    network.load_state_dict(dict(tensors), strict=True)


# --- the export ------------------------------------------------------------------------------


def _export(
    network: Module, samples: tuple[Tensor, ...], names: tuple[str, ...], spec: str
) -> bytes:
    import torch

    buffer = io.BytesIO()
    # The exporter warns that it is old, and the tracer of what it cannot follow: the first is
    # known here, the second goes to the log.
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always")
        try:
            torch.onnx.export(
                network,
                samples,
                buffer,
                input_names=list(names),
                output_names=_output_names(network(*samples), names),
                opset_version=EXPORT_OPSET,
                dynamo=False,
                # The network is in evaluation mode already. EVAL here would make the exporter
                # fold BatchNorm unseen, and nobody could say what became of it.
                training=torch.onnx.TrainingMode.PRESERVE,
            )
        except Exception as why:  # the network's own code runs here, and may raise anything
            raise UnsupportedError(
                f"PyTorch cannot export the network: {type(why).__name__}: {why}",
                where=spec,
                hint="check the input shapes, or export it yourself and give the .onnx file",
            ) from why
    for row in caught:
        if issubclass(row.category, torch.jit.TracerWarning):
            _log.warning("%s: %s", spec, row.message)
    return buffer.getvalue()


def _output_names(outputs: object, taken: tuple[str, ...]) -> list[str]:
    """Return names for what forward returned; none, so the exporter's own, if that is nested."""
    import torch

    rows = outputs if isinstance(outputs, tuple | list) else (outputs,)
    plain = all(isinstance(row, torch.Tensor) for row in rows)
    names = ["output"] if len(rows) == 1 else [f"output_{index}" for index in range(len(rows))]
    return names if plain and not set(names) & set(taken) else []
