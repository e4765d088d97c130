"""The layers' errors as the node data that Google's Model Explorer shows on its graph.

A file of node data holds one number a node; so there is one for the path error and one for the own
error. Its ONNX adapter calls a node by its name in the file, other adapters by the names of the
tensors that it makes: a layer stands under the names of the source's nodes that it does the work
of, or, where it has none, of the source's tensors that it equals. What has neither is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bittrue.report.page_facts import PageFacts
from bittrue.report.page_layers import Layer

#: Up to which error, in percent of the signal's root mean square, a node has which colours: the
#: steps of the HTML report, 40, 30, 20 and 10 dB.
THRESHOLDS = (
    (0.0, "#e9edf1", "#1a1f26"),
    (1.0, "#f4edcd", "#1a1f26"),
    (3.1623, "#f7da8f", "#1a1f26"),
    (10.0, "#f2ae5d", "#1a1f26"),
    (31.623, "#e07544", "#1a1f26"),
    (1e9, "#a9233a", "#ffffff"),
)
KINDS = ("path", "own")


def node_data(facts: PageFacts) -> dict[str, dict[str, object]]:
    """Return the node data by kind of error, plain JSON values; "own" only where it was measured.

    Args:
        facts: Those of the HTML report.
    """
    kinds = KINDS if facts.own else KINDS[:1]
    return {kind: _graph(facts, kind) for kind in kinds}


def _graph(facts: PageFacts, kind: str) -> dict[str, object]:
    return {
        "name": f"{kind} error in %, {facts.other} against {facts.reference}",
        "results": _results(facts.layers, kind),
        "thresholds": [
            {"value": value, "bgColor": back, "textColor": text} for value, back, text in THRESHOLDS
        ],
    }


def _results(layers: Sequence[Layer], kind: str) -> Mapping[str, object]:
    """Later layers replace earlier ones: a source's node ends where its last layer does."""
    found: dict[str, object] = {}
    for row in layers:
        error = percent(row.path_db if kind == "path" else row.own_db)
        if error is not None:
            names = row.drawn.origin or row.drawn.sources
            found.update({name: {"value": error} for name in names})
    return found


def percent(decibels: float | None) -> float | None:
    """Return ``100 * 10^(-dB/20)``, the error in percent of the signal; None without a figure."""
    if decibels is None or math.isnan(decibels):
        return None
    return float(f"{min(100 * 10 ** (-max(decibels, -120.0) / 20), 1e8):.4g}")
