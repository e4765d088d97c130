"""Scale and zero point of each value that is stored as codes.

Values between which bytes move untouched form a group with one scale. The real value 0 is always
a code, so that padding and ReLU are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bittrue.arith import CODE_MAX, QParams
from bittrue.graph.elementwise import unary_expr
from bittrue.graph.expression import evaluate
from bittrue.graph.model import Graph, Node
from bittrue.quant.observers import (
    F32,
    Observer,
    Range,
    Statistics,
    TensorStatistics,
    through,
)
from bittrue.quant.partition import Partition
from bittrue.quant.target import (
    CHANNEL_MAKERS,
    JOINS,
    SHARES,
    TABLES,
    channel_values,
    integer_form,
    separates,
    target_of,
)

F64 = NDArray[np.float64]

#: Ranges narrower than this are taken for zero: the tensor was dead in calibration.
RANGE_MIN = 2.0**-50
#: A channel's scale is at least this part of the tensor's. Channels that were dead in calibration
#: need it: 0.03 held with 64 pictures, 0.001 with 16 pictures wrecked a network.
CHANNEL_FLOOR = 0.03
#: The same for a channel that was at work in most samples: its range can be trusted. On
#: yolox_nano_640 one tensor with channels from 0.4 to 100 costs 10 dB at the outputs without this.
TRUSTED_FLOOR = 0.001
#: At work: in the median sample it spans this part of what it spans over all samples.
TRUST = 0.25
#: A Concat's input takes the result's scale if its own would be at least this part of it.
ALIKE = 0.5
#: Largest sum of a convolution in steps of its output; the engine's limit is 2^31.
STEPS_MAX = 2.0**30


@dataclass(slots=True)
class _Groups:
    """Which values share one scale: a union-find over value names."""

    parent: dict[str, str] = field(default_factory=dict)

    def root(self, name: str) -> str:
        while self.parent.setdefault(name, name) != name:
            self.parent[name] = self.parent[self.parent[name]]
            name = self.parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        self.parent[self.root(other)] = self.root(one)

    def members(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in list(self.parent):
            found.setdefault(self.root(name), []).append(name)
        return found


def assign(
    graph: Graph, statistics: Statistics, part: Partition, observer: Observer
) -> dict[str, QParams]:
    """Return the scale and zero point of each value that is stored as uint8.

    Args:
        graph: The optimised float graph.
        statistics: What calibration saw of every float32 value of the graph.
        part: What runs in float.
        observer: How ranges are estimated.
    """
    stored = [
        name
        for name in graph.values
        if name not in graph.constants and name not in part.float_values
    ]
    groups = _shared(graph, stored, part)
    ranges = _group_ranges(graph, groups, statistics, observer, part)
    _join_concats(graph, groups, ranges, part)
    members = groups.members()
    single = {names[0] for names in members.values() if len(names) == 1}
    channelwise = _channelwise(graph, single, part)
    found: dict[str, QParams] = {}
    for root, names in members.items():
        params = _params_of_group(graph, root, names, ranges, observer, statistics, channelwise)
        found.update(dict.fromkeys(names, params))
    return _raise_small(graph, found, members)


def params_of_range(low: float, high: float) -> QParams:
    """Return the finest scale whose codes span [low, high] and 0, and its zero point.

    A range that is zero (a tensor that was dead in calibration) gets steps of 1/255.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < RANGE_MIN:
        return QParams(np.array([1 / CODE_MAX], np.float32), 0)
    scale = np.float32((high - low) / CODE_MAX)
    zero_point = int(np.clip(np.rint(-low / float(scale)), 0, CODE_MAX))
    return QParams(np.array([scale], np.float32), zero_point)


def params_of_channels(low: F32, high: F32, *, least: F64) -> QParams:
    """Return one scale a channel with the common zero point that costs the least.

    For zero point z a channel needs s = max(high/(255-z), -low/z); the z that minimises the sum
    of (s / (high-low))^2 over the channels is taken. (Against the channel's mean square in place of
    its width, yolox_nano_640 has 13.5 dB and F1 89.6 in place of 15.7 dB and 92.6.) Channels
    narrower than 255 of their least scale have no say in it.

    Args:
        low: float32 [C], least value of each channel.
        high: float32 [C], greatest value of each channel.
        least: float64 [C], least scale of each channel, positive.
    """
    low64 = np.minimum(low.astype(np.float64), 0.0)
    high64 = np.maximum(high.astype(np.float64), 0.0)
    alive = (high64 - low64) > CODE_MAX * least
    zero_point = 0
    if alive.any():
        needed = _needed(low64[alive], high64[alive])  # [256, alive]
        cost = ((needed / (high64 - low64)[alive]) ** 2).sum(axis=1)
        zero_point = int(np.argmin(cost))
    scale = np.maximum(_needed(low64, high64)[zero_point], least)
    # A narrow channel with values on a side that has no codes keeps its least scale.
    scale = np.where(np.isfinite(scale), scale, least)
    return QParams(scale.astype(np.float32), zero_point)


def params_of_shared_channels(low: F32, high: F32, *, whole: QParams, least: F64) -> QParams:
    """Return one scale a channel for a value whose channels meet in the sums of its readers.

    Folding s_c into such weights costs them precision, since one scale serves all inputs of an
    output, and it trusts calibration more. ``s * (s_c / s)^(1/4)``, a quarter of the way from the
    tensor's scale to the channel's own, gained on every network measured (docs/numerics.md, 2.2).
    The zero point stays the tensor's, so that no channel's scale becomes larger than the tensor's.

    Args:
        low: float32 [C], least value of each channel.
        high: float32 [C], greatest value of each channel.
        whole: Scale and zero point that the tensor would have.
        least: float64 [C], least scale of each channel, positive.
    """
    limit = float(whole.scale[0])
    low64 = np.minimum(low.astype(np.float64), 0.0)
    high64 = np.maximum(high.astype(np.float64), 0.0)
    own = np.clip(_needed(low64, high64)[whole.zero_point], np.minimum(least, limit), limit)
    # Two square roots: each has the same bits on every machine.
    part = np.sqrt(np.sqrt(own / limit))
    return QParams((limit * part).astype(np.float32), whole.zero_point)


def least_scales(seen: TensorStatistics, tensor_scale: float) -> F64:
    """Return the least scale of each channel, float64 [C]; see CHANNEL_FLOOR and TRUSTED_FLOOR.

    Args:
        seen: With extremes of channels.
        tensor_scale: The scale that the whole tensor would have.
    """
    high = np.array([channel.sample_max for channel in seen.channels])  # [C, n]
    low = np.array([channel.sample_min for channel in seen.channels])
    spans = np.maximum(high, 0) - np.minimum(low, 0)
    trusted = np.median(spans, axis=1) >= TRUST * spans.max(axis=1)
    floor = np.where(trusted & (spans.max(axis=1) > 0), TRUSTED_FLOOR, CHANNEL_FLOOR)
    return np.asarray(floor * tensor_scale, np.float64)


def _needed(low: F64, high: F64) -> F64:
    """Return the scale that each channel needs at each zero point, float64 [256, C]."""
    zero_point = np.arange(CODE_MAX + 1, dtype=np.float64)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        above = np.where(high > 0, high / (CODE_MAX - zero_point), 0.0)
        below = np.where(low < 0, -low / zero_point, 0.0)
    return np.maximum(above, below)


# --- groups ----------------------------------------------------------------------------------


def _shared(graph: Graph, stored: list[str], part: Partition) -> _Groups:
    groups = _Groups({name: name for name in stored})
    for node in graph.nodes:
        if node.name in part.float_nodes or integer_form(graph, node) != SHARES:
            continue
        names = [name for name in (node.inputs[0], *node.outputs) if name in groups.parent]
        for name in names[1:]:
            groups.join(names[0], name)
    return groups


def _group_ranges(
    graph: Graph,
    groups: _Groups,
    statistics: Statistics,
    observer: Observer,
    part: Partition,
) -> dict[str, Range | None]:
    """Return the range of each group by its root; None for raw pixels and truth values: scale 1."""
    producers = graph.producers()
    found: dict[str, Range | None] = {}
    for root, names in groups.members().items():
        if any(graph.values[name].dtype in ("uint8", "bool") for name in names):
            found[root] = None
            continue
        limits = [
            statistics.tensors[name].extremes
            if _is_answer(graph, name, part)
            else observer.estimate(statistics.tensors[name])
            for name in names
        ]
        for name in names:
            maker = producers.get(name)
            if maker is not None and maker.op == "Pad" and maker.text("mode") == "constant":
                limits.append((maker.number("value"),) * 2)
        found[root] = (min(low for low, _ in limits), max(high for _, high in limits))
    return found


def _is_answer(graph: Graph, name: str, part: Partition) -> bool:
    """Return whether only outputs and float nodes read a value: its peaks are never cut off.

    Among thousands of scores near 0 the few near 1 are what a detector is for, and no observer
    sees that: least error cut nudenet's at 640x640 to a tenth, and every face was lost.
    """
    readers = graph.consumers()[name]
    return (name in graph.outputs or bool(readers)) and all(
        reader.name in part.float_nodes for reader in readers
    )


def _join_concats(
    graph: Graph, groups: _Groups, ranges: dict[str, Range | None], part: Partition
) -> None:
    """Give the inputs of each integer Concat its scale where that loses little or nothing."""
    consumers = graph.consumers()
    for node in reversed(graph.nodes):
        if node.name in part.float_nodes or integer_form(graph, node) != JOINS:
            continue
        for name in dict.fromkeys(node.inputs):
            if name not in groups.parent:
                continue
            whole, own = groups.root(node.outputs[0]), groups.root(name)
            if whole == own or ranges[whole] is None or ranges[own] is None:
                continue
            inside = [m for m, parent in groups.parent.items() if groups.root(parent) == own]
            readers = {reader.name for member in inside for reader in consumers[member]}
            only_here = len(inside) == 1 and readers == {node.name}
            if only_here or _width(ranges[own]) >= ALIKE * _width(ranges[whole]):
                merged = _union(ranges[whole], ranges[own])
                groups.join(whole, own)
                ranges[groups.root(whole)] = merged


def _width(limits: Range | None) -> float:
    return 0.0 if limits is None else max(limits[1], 0.0) - min(limits[0], 0.0)


def _union(one: Range | None, other: Range | None) -> Range | None:
    if one is None or other is None:
        return None
    return min(one[0], other[0]), max(one[1], other[1])


# --- channels --------------------------------------------------------------------------------


def _channelwise(graph: Graph, single: set[str], part: Partition) -> set[str]:
    """Return the values that get one scale a channel: readers, maker and group allow it."""
    consumers, producers = graph.consumers(), graph.producers()
    found = {
        name
        for name in channel_values(graph) & single
        if producers[name].op in CHANNEL_MAKERS and producers[name].name not in part.float_nodes
    }
    # A table takes scales a channel only if its result has them; drop chains that broke.
    for node in reversed(graph.nodes):
        for name in found.intersection(node.outputs):
            tables = [r for r in consumers[name] if r.op in TABLES]
            if any(reader.outputs[0] not in found for reader in tables):
                found.discard(name)
    return found


def _params_of_group(
    graph: Graph,
    root: str,
    names: list[str],
    ranges: Mapping[str, Range | None],
    observer: Observer,
    statistics: Statistics,
    channelwise: set[str],
) -> QParams:
    limits = ranges[root]
    if limits is None:
        return QParams(np.ones(1, np.float32), 0)
    seen = statistics.tensors[root]
    read, function = _only_function(graph, names)
    if function is not None:
        limits = _inside(limits, through(statistics.tensors[read], function))
    params = params_of_range(*limits)
    if root not in channelwise or not seen.channels:
        return params
    ends = np.array([observer.estimate(channel) for channel in seen.channels], np.float32)
    low, high = ends[:, 0], ends[:, 1]  # [C]
    if function is not None:
        low, high = np.maximum(low, limits[0]), np.minimum(high, limits[1])
    least = least_scales(seen, float(params.scale[0]))
    if not separates(graph, root):
        return params_of_shared_channels(low, high, whole=params, least=least)
    return params_of_channels(low, high, least=least)


def _inside(limits: Range, other: Range) -> Range:
    return max(limits[0], other[0]), min(limits[1], other[1])


def _only_function(graph: Graph, names: list[str]) -> tuple[str, Callable[[F32], F32] | None]:
    """Return the elementwise function that alone reads a group, and which value it reads.

    Nodes that move bytes inside the group do not count. A linear Resize among them sees ends cut
    off that it would have mixed in; what that costs is far less than what finer steps gain.

    Args:
        graph: The optimised float graph.
        names: The values that share one scale.
    """
    consumers, inside = graph.consumers(), set(names)
    readers = [
        (name, reader)
        for name in names
        for reader in consumers[name]
        if inside.isdisjoint(reader.outputs)
    ]
    if len(readers) != 1 or inside.intersection(graph.outputs):
        return "", None
    (read, reader), *_ = readers
    expr = unary_expr(reader) if reader.op in TABLES else None
    return read, None if expr is None else partial(evaluate, expr)


# --- limits of the accumulator -----------------------------------------------------------------


def _raise_small(
    graph: Graph, params: dict[str, QParams], members: Mapping[str, list[str]]
) -> dict[str, QParams]:
    """Raise scales so that no sum is 2^30 output steps or more (docs/numerics.md, 3).

    Only a tensor that was all but dead in calibration is concerned.
    """
    group_of = {name: names for names in members.values() for name in names}
    for node in graph.nodes:
        result = node.outputs[0]
        if not target_of(node).emits or result not in params:
            continue
        if node.op != "MatMul" and node.inputs[0] not in params:
            continue
        least = _largest_sum(graph, node, params) / STEPS_MAX
        old = params[result]
        if float(old.scale.min()) < least:
            raised = QParams(np.maximum(old.scale, np.float32(least)), old.zero_point, old.axis)
            params.update(dict.fromkeys(group_of[result], raised))
    return params


def _largest_product(graph: Graph, node: Node, params: Mapping[str, QParams]) -> float:
    """Return the largest sum of a MatMul, each of its factors a code or a constant."""
    size = float(graph.values[node.inputs[0]].shape[-1])
    for name in node.inputs:
        array = graph.constants.get(name)
        if array is not None:
            size *= float(np.ptp(np.append(array, 0)))
        elif name in params:
            size *= CODE_MAX * float(params[name].scale.max())
    return size


def _largest_sum(graph: Graph, node: Node, params: Mapping[str, QParams]) -> float:
    if node.op == "MatMul":
        return _largest_product(graph, node, params)
    given, weights = params[node.inputs[0]], graph.constants.get(node.inputs[1])
    if weights is None:
        return 0.0
    # ConvTranspose has its output channels second; the sum over all is a bound for each.
    rows = np.abs(weights.astype(np.float64))
    total = rows.sum() if node.op == "ConvTranspose" else rows.reshape(len(rows), -1).sum(1).max()
    bias = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
    largest = 0.0 if bias is None else float(np.abs(bias).max(initial=0.0))
    return float(total) * CODE_MAX * float(given.scale.max()) + largest
