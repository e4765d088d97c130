"""Numbers that no network can compute with: NaN anywhere, infinities as weights."""

from __future__ import annotations

import math

import numpy as np

from bittrue.errors import ModelError
from bittrue.graph.model import Graph
from bittrue.importers.onnx_source import SourceNode

#: Operators that sum products with their constants: one infinity spoils every result. Elsewhere
#: infinities are legal, as in masks and in pads before a maximum.
SUMMING = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"))
#: Operators of which an attribute may be infinite: no bound, and what a maximum never takes.
UNBOUNDED = frozenset(("Clip", "Pad"))


def check_attrs(node: SourceNode) -> None:
    """Refuse a node with an attribute that is NaN, or infinite where that means nothing.

    Raises:
        ModelError: naming the node and the attribute.
    """
    for name, value in node.attrs.items():
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, float) or math.isfinite(number):
                continue
            if math.isnan(number) or node.op not in UNBOUNDED:
                raise ModelError(
                    f"attribute {name!r} is {'NaN' if math.isnan(number) else number}",
                    where=node.label,
                    hint="the file is damaged; export the network again",
                )


def check_constants(graph: Graph) -> None:
    """Refuse a network whose constants make its results NaN.

    Args:
        graph: The imported network.

    Raises:
        ModelError: if a constant holds NaN, or one of a weighted operator holds an infinity.
    """
    known = {name: _fault(array) for name, array in graph.constants.items()}
    for node in graph.nodes:
        for name in node.inputs:
            fault = known.get(name, "")
            if not fault or (fault != "NaN" and node.op not in SUMMING):
                continue
            raise ModelError(
                f"constant {name!r} of shape {list(graph.constants[name].shape)} holds {fault}",
                where=f"{node.op} '{node.name}'",
                hint="the file is damaged, or training diverged: export the network again from a "
                "checkpoint with finite weights",
            )


def _fault(array: np.ndarray) -> str:
    """Return "NaN", "infinity" or, where all numbers are finite, nothing."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return ""
    return "NaN" if np.isnan(array).any() else "infinity"
