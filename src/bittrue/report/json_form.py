"""What JSON cannot hold by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping


def finite(fields: Mapping[str, object]) -> dict[str, object]:
    """Return fields with infinities and NaN as their names: "inf", "-inf", "nan"."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }
