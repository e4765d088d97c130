"""The shapes of a network's inputs: what the file says, and what the user adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bittrue.dtypes import DTYPES
from bittrue.errors import UnsupportedError, UnsupportedNode, UsageError
from bittrue.graph.model import Shape
from bittrue.suggest import did_you_mean

if TYPE_CHECKING:
    from bittrue.importers.onnx_source import Dims, SourceInput

OPTION = "--input-shape"
#: What a hint proposes for an unknown dimension of a picture, and of anything else.
EXAMPLE_SIDE = 640
EXAMPLE_LENGTH = 128
DIM_MAX = 2**31 - 1


def check_types(inputs: Sequence[SourceInput], nodes: tuple[UnsupportedNode, ...] = ()) -> None:
    """Refuse networks whose inputs are no numbers that an engine can quantise.

    Args:
        inputs: What the file says.
        nodes: What else is known not to be handled, to be said in the same message.

    Raises:
        UnsupportedError: if an input is a text, a sequence, int64 (indices) or of an unknown type.
    """
    odd = [f"'{row.name}' is {row.dtype}" for row in inputs if row.dtype not in DTYPES]
    odd += [f"'{row.name}' is int64" for row in inputs if row.dtype == "int64"]
    if odd:
        more = f"; besides, nodes are not handled ({len(nodes)}):" if nodes else ""
        raise UnsupportedError(
            f"an input must hold pixels or values, but {', '.join(odd)}{more}",
            nodes=nodes,
            hint="start behind the part that reads it, with --start TENSOR, or export the network "
            "with that input fixed to a constant"
            + (", and end before the nodes, with --end TENSOR" if nodes else ""),
        )


def resolve_shapes(
    inputs: Sequence[SourceInput], given: Mapping[str, Sequence[int]]
) -> dict[str, Shape]:
    """Return the full shape of every input.

    A dimension is what the file says; else what the user says; else what the user says of another
    input where the file uses the same symbol; else, for the first axis, 1.

    Args:
        inputs: What the file says.
        given: What the user says, by input name.

    Raises:
        UsageError: if `given` names no input or contradicts the file, or dimensions stay unknown
            (all of them are listed).
    """
    names = [row.name for row in inputs]
    for name in given:
        if name not in names:
            raise UsageError(
                f"the network has no input called {name!r}",
                where=OPTION,
                hint=did_you_mean(name, names),
            )
    symbols: dict[str, int] = {}
    for row in inputs:
        _check_given(row, given.get(row.name))
        pairs = zip(row.dims or (), given.get(row.name, ()), strict=False)
        symbols.update({str(dim): int(size) for dim, size in pairs if isinstance(dim, str)})
    symbols.pop("?", None)
    shapes = {row.name: _shape(row, given.get(row.name), symbols) for row in inputs}
    unknown = [row for row in inputs if shapes[row.name] is None]
    if unknown:
        _refuse_unknown(unknown)
    return {name: shape for name, shape in shapes.items() if shape is not None}


def fits(shape: Sequence[int], dims: Dims) -> bool:
    """Return whether a shape is one that dimensions allow, a text being an open one."""
    return len(shape) == len(dims) and all(
        isinstance(dim, str) or dim == size for dim, size in zip(dims, shape, strict=True)
    )


def _shape(
    row: SourceInput, given: Sequence[int] | None, symbols: Mapping[str, int]
) -> Shape | None:
    if given is not None:
        return tuple(int(size) for size in given)
    if row.dims is None:
        return None
    known: list[int] = []
    for axis, dim in enumerate(row.dims):
        size = dim if isinstance(dim, int) else symbols.get(dim, 1 if axis == 0 else None)
        if size is None:
            return None
        known.append(size)
    return tuple(known)


def _check_given(row: SourceInput, given: Sequence[int] | None) -> None:
    if given is None:
        return
    asked = ",".join(str(size) for size in given)
    if any(not isinstance(size, int) or not 1 <= size <= DIM_MAX for size in given):
        raise UsageError(
            f"{row.name}={asked} is no shape", where=OPTION, hint="give whole numbers above 0"
        )
    if row.dims is None:
        return
    if not fits(given, row.dims):
        raise UsageError(
            f"{row.name}={asked} contradicts the file, in which it is {_spelt(row.dims)}",
            where=OPTION,
            hint="only unknown dimensions can be given; export the network again for another size",
        )


def _refuse_unknown(rows: Sequence[SourceInput]) -> None:
    said = "; ".join(
        f"'{row.name}' is {'of unknown rank' if row.dims is None else _spelt(row.dims)}"
        for row in rows
    )
    raise UsageError(
        f"these input shapes are not fully known: {said}",
        hint=f"give each shape, for example {' '.join(_example(row) for row in rows)}",
    )


def _example(row: SourceInput) -> str:
    dims: Dims = row.dims if row.dims is not None else ("?", 3, "?", "?")
    side = EXAMPLE_SIDE if len(dims) == 4 else EXAMPLE_LENGTH
    sizes = [
        str(dim if isinstance(dim, int) else 1 if axis == 0 else side)
        for axis, dim in enumerate(dims)
    ]
    return f"{OPTION} {row.name}={','.join(sizes)}"


def _spelt(dims: Dims) -> str:
    return f"[{', '.join(str(dim) for dim in dims)}]"
