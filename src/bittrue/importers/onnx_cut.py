"""Which part of a network is taken: from where, up to where, and where it could end instead."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from bittrue.errors import UsageError
from bittrue.importers.onnx_source import OnnxSource, SourceInput, SourceNode
from bittrue.suggest import did_you_mean


def end_tensors(source: OnnxSource, names: Sequence[str]) -> tuple[str, ...]:
    """Return the tensors at which the network ends: those named, and the named nodes' outputs.

    Raises:
        UsageError: if a name is neither a node's nor a tensor's.
    """
    return _tensors(source, names, "--end", {node.name: node.outputs for node in source.nodes})


def start_tensors(source: OnnxSource, names: Sequence[str]) -> tuple[str, ...]:
    """Return the tensors that the network starts with: those named, and the named nodes' inputs.

    Of a node's inputs only those are taken that depend on the network's own inputs.

    Raises:
        UsageError: if a name is neither a node's nor a tensor's, or a constant's.
    """
    fixed = [name for name in names if name in source.constants or name in source.unreadable]
    if fixed:
        raise UsageError(
            f"{fixed[0]!r} is a constant of the network, not a value that could be given to it",
            where="--start",
            hint="name the node that reads it, or the tensor that this node computes from",
        )
    live = dependent(source.nodes, {row.name for row in source.inputs})
    inputs = {
        node.name: tuple(name for name in node.inputs if name in live) for node in source.nodes
    }
    return _tensors(source, names, "--start", inputs)


def cut(source: OnnxSource, starts: Sequence[SourceInput], ends: Sequence[str]) -> OnnxSource:
    """Return the part of a network that makes `ends`, reading `starts` instead of making them.

    Inputs, nodes and constants that this part does not need are left out.

    Raises:
        UsageError: if a start is not needed for any end.
    """
    given = {row.name for row in starts}
    reads = {name: node.inputs for node in source.nodes for name in node.outputs if name}
    needed = needed_tensors(reads, ends, given)
    idle = sorted(given - needed)
    if idle:
        raise UsageError(
            f"no end of the network depends on {', '.join(idle)}",
            where="--start",
            hint="choose a start that lies before the end",
        )
    nodes = tuple(
        node
        for node in source.nodes
        if any(name in needed and name not in given for name in node.outputs if name)
    )
    kept = [row for row in source.inputs if row.name in needed and row.name not in given]
    return replace(source, nodes=nodes, inputs=(*starts, *kept), outputs=tuple(ends))


def needed_tensors(
    reads: Mapping[str, Iterable[str]], ends: Iterable[str], given: Collection[str]
) -> set[str]:
    """Return all tensors that `ends` depend on, themselves included, none behind `given`.

    Args:
        reads: What the node that makes a tensor reads, by tensor.
        ends: Where to begin.
        given: Tensors that nothing makes any more.
    """
    needed: set[str] = set()
    waiting = list(ends)
    while waiting:
        name = waiting.pop()
        if name and name not in needed:
            needed.add(name)
            if name not in given:
                waiting.extend(reads.get(name, ()))
    return needed


def dependent(nodes: Iterable[SourceNode], names: Collection[str]) -> set[str]:
    """Return the given tensors and all that depend on them; nodes are in running order."""
    found = set(names)
    for node in nodes:
        if found.intersection(node.inputs):
            found.update(name for name in node.outputs if name)
    return found


def cut_points(
    source: OnnxSource, bad: Collection[str], fixed: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return for each bad node the tensors at which the graph could end in its stead.

    They are the last tensors before it that depend on no bad node, are computed, and vary.

    Args:
        source: The network.
        bad: Names of nodes that cannot be handled.
        fixed: Tensors at which no graph can end: constants and the network's inputs.
    """
    spoilt: set[str] = set()
    before: dict[str, dict[str, None]] = {}  # what lies before each spoilt tensor
    points: dict[str, tuple[str, ...]] = {}
    for node in source.nodes:
        if node.name not in bad and not spoilt.intersection(node.inputs):
            continue
        found: dict[str, None] = {}
        for name in node.inputs:
            if name in spoilt:
                found.update(before[name])
            elif name and name not in fixed:
                found[name] = None
        spoilt.update(node.outputs)
        before.update(dict.fromkeys(node.outputs, found))
        if node.name in bad:
            points[node.name] = tuple(found)
    return points


def _tensors(
    source: OnnxSource, names: Sequence[str], option: str, of_node: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    known = source.tensors()
    found: dict[str, None] = {}
    for name in names:
        if name not in known and name not in of_node:
            raise UsageError(
                f"the network has no node and no tensor called {name!r}",
                where=option,
                hint=did_you_mean(name, [*of_node, *sorted(known)]),
            )
        tensors = (name,) if name in known else of_node[name]
        found.update(dict.fromkeys(item for item in tensors if item))
    return tuple(found)
