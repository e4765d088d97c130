"""A network's weights from a file that is only data: a state dict of torch.save, or safetensors.

What cannot be read without executing it is refused.
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bittrue.errors import ModelError
from bittrue.importers.recognise import TORCH_MODULE_HINT, recognise
from bittrue.packages import require

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

#: Where training frameworks put the weights in a file that holds more than those.
WEIGHT_KEYS = ("state_dict", "model_state_dict", "model", "ema", "net", "params")
#: What wrappers for several devices put before every name.
WRAPPER = "module."
SAVE_HINT = "save them with torch.save(network.state_dict(), path)"


def load_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a state dict or a safetensors file, read without executing anything.

    Raises:
        ModelError: if the file is missing, damaged, or would have to be executed.
        UsageError: if it is a safetensors file, and safetensors is not installed.
    """
    where = os.fspath(path)
    try:
        kind = recognise(Path(where).read_bytes())
    except OSError as why:
        raise ModelError(
            f"the weights cannot be read: {why.strerror}",
            where=where,
            hint="give the path of a file that torch.save or safetensors wrote, with --weights",
        ) from why
    if kind.name == "safetensors":
        return _unwrapped(_load_safetensors(where))
    if kind.name == "onnx":
        raise ModelError(
            "the weights are a whole ONNX network",
            where=where,
            hint=f"import it as it is: bittrue import {where} -o model.bta",
        )
    if kind.name == "torchscript":
        # Before PyTorch sees it, whose own text advises to load it unsafely.
        raise ModelError(
            "the weights are a TorchScript file, not a state dict", where=where, hint=SAVE_HINT
        )
    return _tensors(_load_pickle(where), where)


def _load_safetensors(where: str) -> dict[str, Tensor]:
    require("safetensors", "tools", where=where)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(where)
    except (SafetensorError, OSError, ValueError, KeyError) as why:
        raise ModelError(
            f"the weights are a damaged safetensors file: {why}",
            where=where,
            hint="fetch or save the file again",
        ) from why
    if not found:
        raise ModelError("the weights hold no tensor", where=where, hint="save them again")
    return found


def _load_pickle(where: str) -> object:
    import torch

    try:
        # Given a path, it would go by the file's name.
        with warnings.catch_warnings(), Path(where).open("rb") as file:
            warnings.simplefilter("ignore")  # about old pickles, which it then reads or refuses
            content: object = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as why:
        raise ModelError(f"the weights cannot be read: {why.strerror}", where=where) from why
    except pickle.UnpicklingError as why:
        raise ModelError(
            "the weights are a pickled object, not a state dict",
            where=where,
            hint=TORCH_MODULE_HINT,
        ) from why
    except (RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError) as why:
        raise ModelError(
            f"the weights are no file that torch.save writes, or damaged: {why}",
            where=where,
            hint=SAVE_HINT,
        ) from why
    return content


def _tensors(content: object, where: str) -> dict[str, Tensor]:
    import torch

    candidates = [content]
    if isinstance(content, Mapping):
        candidates += [content[key] for key in WEIGHT_KEYS if key in content]
    for found in candidates:
        if isinstance(found, Mapping) and found:
            tensors = {str(key): item for key, item in found.items()}
            if all(isinstance(item, torch.Tensor) for item in tensors.values()):
                return _unwrapped(tensors)
    raise ModelError(
        f"the weights hold a {type(content).__name__} without tensors by name",
        where=where,
        hint=SAVE_HINT,
    )


def _unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    if all(key.startswith(WRAPPER) for key in tensors):
        return {key.removeprefix(WRAPPER): item for key, item in tensors.items()}
    return tensors


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
