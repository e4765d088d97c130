"""Which layer the quantisation error comes from, and what it is made of.

Two chains run on the same input, the float one and a quantised one, and every layer runs by
itself on the input of either (`chains`). What differs between those four is divided as `energies`
says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bittrue.arrays import portions
from bittrue.errors import DataError, UsageError
from bittrue.graph.model import Graph, Node
from bittrue.network import PROGRAM_STAGES
from bittrue.parity.chains import REFERENCE, Chains, layers_of
from bittrue.parity.energies import PARTS, Energies, decibels, energies
from bittrue.quant.model import QuantizedGraph
from bittrue.stages import Subject

#: What a layer's error may be made of, in the order of reports.
SHARES = ("weights", "bias", "rounding", "clipping", "requantisation", "table", "inherited")
#: A layer passes an error on if its own is at most this share of it (in energy), and most of it
#: came with the input.
PASSES_ON = 0.25
#: The shares of a layer add up to 1 within this: they are sums in float64 of float32 differences.
CLOSES = 1e-6


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far one layer's output is off, and why.

    Args:
        name: Of the value that it makes.
        origin: The source's tensors that this value equals.
        node: Of the node that makes it.
        op: Of the node.
        elements: Of the value, on one sample.
        path: Error energy in the quantised chain over the signal's: ``sum e^2 / sum y^2``.
        own: The same of the layer alone: fed with the reference's input, its output stored.
        path_sqnr_db: `path` in dB.
        own_sqnr_db: `own` in dB.
        inherited_from: The value behind it in the graph with the largest own error, where this
            layer only passes an error on; else empty.
        shares: Of the path error's energy, by the words of SHARES; negative where a part cancels
            others. They add up to 1, or are all 0 where there is no error.
        clipped: Share of elements that the codes' range cuts off.
        dead_channels: How many channels are exactly one code in the quantised chain while they
            are alive in the float one.
    """

    name: str
    origin: tuple[str, ...]
    node: str
    op: str
    elements: int
    path: float
    own: float
    path_sqnr_db: float
    own_sqnr_db: float
    inherited_from: str
    shares: Mapping[str, float]
    clipped: float
    dead_channels: int


@dataclass(frozen=True, slots=True)
class LayerTable:
    """Every layer's error.

    Args:
        rows: In running order.
        closes: The most that a layer's shares are away from adding up to 1; CLOSES is promised.
        samples: How many inputs the figures are over.
        stages: The reference, and what was compared with it.
    """

    rows: tuple[LayerError, ...]
    closes: float
    samples: int
    stages: tuple[str, str]

    @property
    def by_own(self) -> tuple[LayerError, ...]:
        """The rows, the largest own error first."""
        return tuple(sorted(self.rows, key=lambda row: -_weight(row.own)))


def attribute(
    subject: Subject, feeds: Sequence[Mapping[str, np.ndarray]], *, stage: str = ""
) -> LayerTable:
    """Return every layer's error in a quantised stage against the float one.

    Args:
        subject: An archive that is at least quantised.
        feeds: The samples, each as `bittrue.inputs.read_input` gives it.
        stage: "quantized", "bit_true" or "compiled"; "compiled" by default where it was reached,
            whose bits are those of "bit_true" at a fraction of the time.

    Raises:
        DataError: if there is no sample, or one does not fit.
        UsageError: if the subject is not quantised, or holds no float stage.
    """
    quantized, stage = _quantized(subject, stage)
    if not feeds:
        raise DataError("no sample was given", hint="give at least one input")
    chains = Chains(subject, quantized, stage)
    found: dict[str, Energies] = {}
    for part in portions(layers_of(quantized.graph), lambda row: 8 * row.elements):
        looks = chains.prepare(part)
        for given in feeds:
            for name, look in looks(given):
                more = energies(look)
                found[name] = found[name].plus(more) if name in found else more
    rows = _rows(quantized.graph, found, chains.tables, len(feeds))
    closes = max((item.gap for item in found.values()), default=0.0)
    return LayerTable(rows, closes, len(feeds), (REFERENCE, stage))


def _quantized(subject: Subject, stage: str) -> tuple[QuantizedGraph, str]:
    network = subject.network
    if network is None:
        raise UsageError(
            "an executable holds no float stage to compare its layers with",
            where=subject.path,
            hint="give the archive (.bta) that it was compiled from",
        )
    if network.quantized is None:
        raise UsageError(
            "the network is not quantised yet: its layers have no quantisation error",
            where=subject.path,
            hint=f"bittrue quantize {subject.path} --calibrate pictures/ -o {subject.path}",
        )
    stage = stage or ("quantized" if subject.executable is None else "compiled")
    if stage not in ("quantized", *PROGRAM_STAGES):
        raise UsageError(
            f"stage {stage!r} has no quantisation error",
            where=subject.path,
            hint="name quantized, bit_true or compiled",
        )
    return network.quantized, stage


# --- from sums to rows ----------------------------------------------------------------------------


def _rows(
    graph: Graph, found: Mapping[str, Energies], tables: frozenset[str], samples: int
) -> tuple[LayerError, ...]:
    rows = []
    strongest: dict[str, str] = {}  # by value: that with the largest own error up to it
    own = {name: _relative(item.own, item.signal) for name, item in found.items()}
    for node in graph.nodes:
        before = [strongest[name] for name in node.inputs if name in strongest]
        source = max(before, key=lambda name: _weight(own[name]), default="")
        for name in node.outputs:
            if name not in found:
                strongest |= {name: source} if source else {}
                continue
            row = _row(graph, node, name, found[name], name in tables, source, samples)
            strongest[name] = (
                source if source and _weight(own[source]) >= _weight(own[name]) else name
            )
            rows.append(row)
    return tuple(rows)


def _row(
    graph: Graph,
    node: Node,
    name: str,
    sums: Energies,
    table: bool,
    source: str,
    samples: int,
) -> LayerError:
    path, own = _relative(sums.path, sums.signal), _relative(sums.own, sums.signal)
    parts = dict(zip(PARTS, sums.parts / sums.path if sums.path else sums.parts, strict=True))
    parts["table" if table else "requantisation"] = parts.pop("last")
    shares = {key: float(parts.get(key, 0.0)) for key in SHARES}
    passes = path > 0 and own <= PASSES_ON * path and shares["inherited"] > 0.5
    return LayerError(
        name,
        graph.values[name].origin,
        node.name,
        node.op,
        sums.elements // samples,
        path,
        own,
        decibels(path),
        decibels(own),
        source if passes else "",
        shares,
        sums.cut / sums.elements if sums.elements else 0.0,
        sums.dead,
    )


def _weight(own: float) -> float:
    """Return an own error for ordering; one without a signal to measure it by weighs nothing."""
    return own if math.isfinite(own) else 0.0


def _relative(error: float, signal: float) -> float:
    if error == 0:
        return 0.0
    return error / signal if signal else math.inf
