"""Scale and zero point of each value that is stored as codes: one, or one a channel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from bittrue.arith import F32, QParams
from bittrue.graph.elementwise import unary_expr
from bittrue.graph.expression import evaluate
from bittrue.quant.groups import Basis, group
from bittrue.quant.limits import raise_small
from bittrue.quant.observers import through
from bittrue.quant.params import (
    least_scales,
    params_of_channels,
    params_of_identity,
    params_of_range,
    params_of_shared_channels,
)
from bittrue.quant.policy import CHANNEL_MAKERS, channel_values, separates
from bittrue.quant.statistics import Range
from bittrue.quant.target import TABLES
from bittrue.quant.wiring import Wiring


def assign(basis: Basis) -> dict[str, QParams]:
    """Return the scale and zero point of each value that is stored as uint8."""
    members, ranges = group(basis)
    single = {names[0] for names in members.values() if len(names) == 1}
    channelwise = _channelwise(basis, single)
    found: dict[str, QParams] = {}
    for root, names in members.items():
        limits = ranges[root]
        if limits is None:
            params = params_of_identity()
        else:
            params = _params_of_group(basis, names, limits, by_channel=root in channelwise)
        found.update(dict.fromkeys(names, params))
    return raise_small(basis.wiring.graph, found, members.values())


def _channelwise(basis: Basis, single: set[str]) -> set[str]:
    """Return the values that get one scale a channel: readers, maker and group allow it."""
    wiring = basis.wiring
    makers = {name: wiring.maker[name] for name in channel_values(wiring) & single}
    found = {
        name
        for name, maker in makers.items()
        if maker.op in CHANNEL_MAKERS and maker.name not in basis.part.float_nodes
    }
    # A table takes scales a channel only if its result has them; drop chains that broke.
    for node in reversed(wiring.graph.nodes):
        for name in found.intersection(node.outputs):
            tables = [reader for reader in wiring.readers[name] if reader.op in TABLES]
            if any(reader.outputs[0] not in found for reader in tables):
                found.discard(name)
    return found


def _params_of_group(basis: Basis, names: list[str], limits: Range, *, by_channel: bool) -> QParams:
    """Return what the codes of a group stand for; one with scales a channel has one member."""
    seen = basis.statistics.tensors
    read, function = _only_function(basis.wiring, names)
    if function is not None:
        least, most = through(seen[read], function)
        limits = max(limits[0], least), min(limits[1], most)
    params = params_of_range(*limits)
    (name, *_) = names
    if not by_channel or not seen[name].channels:
        return params
    ends = np.array([basis.observer(channel) for channel in seen[name].channels], np.float32)
    low, high = ends[:, 0], ends[:, 1]  # [C]
    if function is not None:
        low, high = np.maximum(low, limits[0]), np.minimum(high, limits[1])
    floor = least_scales(seen[name], float(params.scale[0]))
    if not separates(basis.wiring, name):
        return params_of_shared_channels(low, high, whole=params, least=floor)
    return params_of_channels(low, high, least=floor)


def _only_function(wiring: Wiring, names: list[str]) -> tuple[str, Callable[[F32], F32] | None]:
    """Return the elementwise function that alone reads a group, and which value it reads.

    Nodes that move bytes inside the group do not count. A linear Resize among them sees ends cut
    off that it would have mixed in; what that costs is far less than what finer steps gain.

    Args:
        wiring: The optimised float graph.
        names: The values that share one scale.
    """
    inside = set(names)
    readers = [
        (name, reader)
        for name in names
        for reader in wiring.readers[name]
        if inside.isdisjoint(reader.outputs)
    ]
    if len(readers) != 1 or inside.intersection(wiring.graph.outputs):
        return "", None
    (read, reader), *_ = readers
    expr = unary_expr(reader) if reader.op in TABLES else None
    return read, None if expr is None else partial(evaluate, expr)
