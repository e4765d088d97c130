"""What a run gave, as text and as JSON (schema bittrue.run/1): a summary of each array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bittrue.report.json_form import finite
from bittrue.report.tables import shape, table

SCHEMA = "bittrue.run/1"


@dataclass(frozen=True, slots=True)
class Summary:
    """One array in a line; the figures of an empty one are NaN."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    min: float
    max: float
    mean: float


def summary(name: str, array: np.ndarray) -> Summary:
    """Return the summary of an array of any type and shape."""
    some = array if array.size else np.full(1, np.nan)
    with np.errstate(invalid="ignore", over="ignore"):  # infinities: their mean is NaN, and shown
        mean = float(some.mean(dtype=np.float64))
    return Summary(name, array.shape, array.dtype.name, float(some.min()), float(some.max()), mean)


def outputs_text(stage: str, found: Mapping[str, np.ndarray]) -> str:
    """Return the stage and a table of its arrays."""
    columns = ("name", "shape", "dtype", "min", "max", "mean")
    rows = [_row(summary(name, array)) for name, array in found.items()]
    return f"stage {stage}\n{table(columns, rows, right=columns[3:])}"


def _row(row: Summary) -> tuple[str, ...]:
    figures = (f"{value:.6g}" for value in (row.min, row.max, row.mean))
    return (row.name, shape(row.shape), row.dtype, *figures)


def outputs_json(
    stage: str, found: Mapping[str, np.ndarray], written: Path | None
) -> dict[str, object]:
    """Return the same as plain JSON values, and the path that the arrays were written to."""
    rows = [finite(asdict(summary(name, array))) for name, array in found.items()]
    return {"stage": stage, "path": None if written is None else str(written), "outputs": rows}
