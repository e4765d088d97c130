"""A contract as text: what each buffer must be, in the words that a user needs."""

from __future__ import annotations

from bittrue.contract.preprocess import Preprocess
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.report.tables import shape, table


def contract_text(contract: Contract) -> str:
    """Return the inputs and outputs of a contract as a table."""
    rows = [
        (
            way,
            row.name,
            shape(row.shape),
            row.dtype,
            row.layout or "-",
            f"{row.nbytes:,}",
            _meaning(row),
        )
        for way, part in (("input", contract.inputs), ("output", contract.outputs))
        for row in part
    ]
    return table(
        ("", "name", "shape", "dtype", "layout", "bytes", "what it holds"), rows, right=("bytes",)
    )


def _meaning(row: TensorContract) -> str:
    parts = [row.holds]
    if row.colour:
        parts.append(row.colour)
    if row.scale is not None and not (row.scale == 1.0 and row.zero_point == 0):
        parts.append(f"value = (code - {row.zero_point}) * {row.scale:.9g}")
    if row.value_range is not None:
        parts.append(f"range {row.value_range[0]:.6g} to {row.value_range[1]:.6g}")
    return ", ".join(parts)


def preprocess_text(name: str, item: Preprocess) -> str:
    """Return one input's preprocessing in a sentence."""
    height, width = item.size
    parts = [f"{item.resize} to {height}x{width} ({item.interpolation})"]
    if item.resize == "letterbox":
        parts.append(f"pad {item.pad_colour}, picture at the {item.corner}")
    parts.append(item.colour)
    parts.append(f"(pixel * {item.scale:.9g} - {_numbers(item.mean)}) / {_numbers(item.std)}")
    return f"preprocessing of '{name}': " + ", ".join(parts)


def _numbers(values: tuple[float, ...]) -> str:
    texts = [f"{value:.6g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else "[" + ", ".join(texts) + "]"
