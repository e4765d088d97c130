"""Preprocessing and the inputs that it is for: which input, one picture a run, the same shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bittrue.contract.preprocess import Preprocess, load_preprocess
from bittrue.errors import UsageError
from bittrue.graph.model import Graph, Shape
from bittrue.importers.onnx_inputs import fits

if TYPE_CHECKING:
    from bittrue.importers.onnx_source import Dims, SourceInput

PreprocessLike = Preprocess | str | Path
#: By input name; "" stands for the only input.
Table = Mapping[str, Preprocess]


def preprocess_table(given: PreprocessLike | Mapping[str, PreprocessLike] | None) -> Table:
    """Return preprocessing by input name, files of it read.

    Raises:
        Error: if a file cannot be read, or is no preprocessing.
    """
    if given is None:
        return {}
    rows = given if isinstance(given, Mapping) else {"": given}
    return {
        name: item if isinstance(item, Preprocess) else load_preprocess(item)
        for name, item in rows.items()
    }


def with_made(
    inputs: Sequence[SourceInput], table: Table, given: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Return the given shapes, and for inputs left open those that their preprocessing makes.

    Args:
        inputs: What the file says.
        table: The preprocessing.
        given: What the user says, by input name.

    Raises:
        UsageError: if preprocessing does not fit what the file says of its input.
    """
    shapes = dict(given)
    dims = {row.name: row.dims or () for row in inputs}
    only = next(iter(dims)) if len(dims) == 1 else ""
    for name, item in table.items():
        target = name or only
        if target not in dims or target in shapes:
            continue
        _check_batch(target, dims[target])
        # A file that fixes every size needs none from us: `bound` says what does not fit.
        if not dims[target] or any(isinstance(size, str) for size in dims[target]):
            _check_made(target, item, dims[target] or item.input_shape)
            shapes[target] = item.input_shape
    return shapes


def bound(table: Table, graph: Graph) -> dict[str, Preprocess]:
    """Return the preprocessing by the graph's own input names.

    Raises:
        UsageError: if a name is no input, or the preprocessing does not fit its shape.
    """
    found: dict[str, Preprocess] = {}
    for name, item in table.items():
        if name == "" and len(graph.inputs) != 1:
            raise UsageError(
                f"the network has {len(graph.inputs)} inputs: say which one is preprocessed",
                hint=f"--preprocess NAME=FILE.toml with a name of {', '.join(graph.inputs)}",
            )
        target = name or graph.inputs[0]
        if target not in graph.inputs:
            raise UsageError(
                f"the network has no input {target!r}",
                hint=f"its inputs are {', '.join(graph.inputs)}",
            )
        _check_batch(target, graph.values[target].shape)
        _check_made(target, item, graph.values[target].shape)
        found[target] = item
    return found


def _check_batch(name: str, takes: Dims) -> None:
    """Refuse preprocessing for an input of several pictures; an open first axis will be 1.

    Raises:
        UsageError: if the input takes another number of pictures than one.
    """
    if len(takes) == 4 and isinstance(takes[0], int) and takes[0] > 1:
        raise UsageError(
            f"preprocessing makes one picture a run, but input {name!r} has batch {takes[0]}",
            hint="export the network with batch 1 or a dynamic batch axis, which is then 1, or "
            "import it without preprocessing",
        )


def _check_made(name: str, item: Preprocess, takes: Dims) -> None:
    """Refuse preprocessing that makes another shape than the input takes.

    Raises:
        UsageError: if the shapes differ; where the other layout would fit, the hint says so.
    """
    if fits(item.input_shape, takes):
        return
    other = replace(item, layout="NHWC" if item.layout == "NCHW" else "NCHW")
    sizes = ", ".join("?" if isinstance(size, str) else str(size) for size in takes)
    raise UsageError(
        f"the preprocessing makes {list(item.input_shape)}, input {name!r} takes [{sizes}]",
        hint=f'set layout = "{other.layout}" in the preprocessing'
        if fits(other.input_shape, takes)
        else "mend size, layout or colour in the preprocessing, or give --input-shape",
    )
