"""bittrue: from a trained network to an int8 executable whose bits are known in advance.

    >>> import bittrue                                                   # doctest: +SKIP
    >>> network = bittrue.import_model("model.onnx")                     # doctest: +SKIP
    >>> network = bittrue.quantize(bittrue.optimize(network), "pictures/")   # doctest: +SKIP
    >>> network = bittrue.compile(network)                               # doctest: +SKIP
    >>> bittrue.Session(network.executable).run(x)                       # doctest: +SKIP

Importing the package loads NumPy and the standard library only; each name below loads what it
needs when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bittrue.version import __version__ as __version__

if TYPE_CHECKING:
    from bittrue.archive import open_archive, save_archive
    from bittrue.chain import build, compile, import_model, optimize, quantize
    from bittrue.contract.buffers import check_buffers as check
    from bittrue.contract.preprocess import Preprocess, load_preprocess
    from bittrue.diagnosis.diagnose import diagnose
    from bittrue.diagnosis.given import Given
    from bittrue.errors import (
        DataError,
        DeviceError,
        Error,
        FormatError,
        InternalError,
        ModelError,
        UnsupportedError,
        UsageError,
    )
    from bittrue.network import Network
    from bittrue.parity.compare import compare, make_side
    from bittrue.session import Session
    from bittrue.stages import open_runner, open_subject

#: Every public name, and the module that holds it under which name.
_PUBLIC: dict[str, tuple[str, str]] = {
    "import_model": ("bittrue.chain", "import_model"),
    "optimize": ("bittrue.chain", "optimize"),
    "quantize": ("bittrue.chain", "quantize"),
    "compile": ("bittrue.chain", "compile"),
    "build": ("bittrue.chain", "build"),
    "Network": ("bittrue.network", "Network"),
    "open_archive": ("bittrue.archive", "open_archive"),
    "save_archive": ("bittrue.archive", "save_archive"),
    "open_subject": ("bittrue.stages", "open_subject"),
    "open_runner": ("bittrue.stages", "open_runner"),
    "Session": ("bittrue.session", "Session"),
    "Preprocess": ("bittrue.contract.preprocess", "Preprocess"),
    "load_preprocess": ("bittrue.contract.preprocess", "load_preprocess"),
    "check": ("bittrue.contract.buffers", "check_buffers"),
    "compare": ("bittrue.parity.compare", "compare"),
    "make_side": ("bittrue.parity.compare", "make_side"),
    "diagnose": ("bittrue.diagnosis.diagnose", "diagnose"),
    "Given": ("bittrue.diagnosis.given", "Given"),
    **{
        name: ("bittrue.errors", name)
        for name in (
            "Error",
            "UsageError",
            "ModelError",
            "FormatError",
            "UnsupportedError",
            "DataError",
            "DeviceError",
            "InternalError",
        )
    },
}

__all__ = [
    "DataError",
    "DeviceError",
    "Error",
    "FormatError",
    "Given",
    "InternalError",
    "ModelError",
    "Network",
    "Preprocess",
    "Session",
    "UnsupportedError",
    "UsageError",
    "build",
    "check",
    "compare",
    "compile",
    "diagnose",
    "import_model",
    "load_preprocess",
    "make_side",
    "open_archive",
    "open_runner",
    "open_subject",
    "optimize",
    "quantize",
    "save_archive",
]


def __getattr__(name: str) -> object:
    """Load the module of a public name on its first use."""
    try:
        module, attribute = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'bittrue' has no attribute {name!r}") from None
    value: object = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
