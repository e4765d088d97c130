"""Where integers end: which nodes run in float, and which values are stored as float32.

Some nodes run in float wherever they stand: those without an integer form. With a float tail there
are four kinds more. Behind the last convolution (where nothing is left that needs codes) joins of
unlike magnitudes with all that follows them, and whatever hangs on a convolution alone, since that
can write float32 from its accumulator at no cost. Small matrix products there, of what is made in
float. Islands: what lies between two float nodes, and elementwise nodes that read nothing but
float, such as the sums and products of a layer norm; codes there would only round. And what leads
from an accumulator to float nodes alone, such as scores on their way to a softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bittrue.graph.model import Node
from bittrue.quant.policy import is_float_product
from bittrue.quant.statistics import Range
from bittrue.quant.target import (
    JOINS,
    NONE,
    STORES,
    integer_form,
    needs_codes,
    runs_in_float,
    target_of,
)
from bittrue.quant.wiring import Wiring

#: Inputs of a Concat whose largest magnitudes differ by more than this are unlike: the smaller
#: would keep less than 6 of 8 bits.
UNLIKE = 4.0

Ranges = Mapping[str, Range]


@dataclass(frozen=True, slots=True)
class Partition:
    """Which part of a graph runs in float.

    Args:
        float_nodes: Names of nodes that compute in float32.
        float_values: Names of values that are stored as float32 (or their own integer type).
    """

    float_nodes: frozenset[str]
    float_values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tail:
    """What else runs in float, beside the nodes without an integer form.

    Args:
        more: From those nodes, all nodes that run in float.
        emits: Whether accumulators leave as float32 where nobody needs codes.
    """

    more: Callable[[Wiring, Ranges, set[str]], set[str]]
    emits: bool


def partition(wiring: Wiring, ranges: Ranges, tail: Tail) -> Partition:
    """Return which nodes and values of a graph are float.

    Args:
        wiring: The optimised float graph.
        ranges: Least and greatest value of each tensor that calibration saw.
        tail: A row of TAILS.
    """
    graph = wiring.graph
    seeds = {node.name for node in graph.nodes if integer_form(graph, node) == NONE}
    nodes = tail.more(wiring, ranges, seeds)
    return Partition(frozenset(nodes), frozenset(_float_values(wiring, nodes, tail)))


def _float_tail(wiring: Wiring, ranges: Ranges, seeds: set[str]) -> set[str]:
    nodes = _tail_nodes(wiring, ranges, seeds)
    nodes |= _island_nodes(wiring, nodes)
    return nodes | _between(wiring, nodes)


def _no_tail(wiring: Wiring, ranges: Ranges, seeds: set[str]) -> set[str]:
    return seeds


#: By the word of the user.
TAILS: dict[str, Tail] = {
    "float": Tail(_float_tail, emits=True),
    "int8": Tail(_no_tail, emits=False),
}


def _tail_nodes(wiring: Wiring, ranges: Ranges, seeds: set[str]) -> set[str]:
    """Return the seeds, and the nodes behind the last convolutions that a float tail holds."""
    graph, clear = wiring.graph, _clear(wiring)
    floats = set(seeds)
    for node in graph.nodes:
        if node.name not in clear:
            continue
        makers = wiring.before(node)
        if is_float_product(graph, node):
            if makers and all(maker.name in floats for maker in makers):
                floats.add(node.name)
            continue
        if needs_codes(graph, node):
            continue
        hangs_on_float = any(
            maker.name in floats or (target_of(maker).emits and maker.name in clear)
            for maker in makers
        )
        if hangs_on_float or _joins_unlike(wiring, node, ranges):
            floats.add(node.name)
    return floats


def _clear(wiring: Wiring) -> set[str]:
    """Return nodes with a float form behind which no node needs codes; and emitters likewise."""
    graph = wiring.graph
    clear: set[str] = set()
    for node in reversed(graph.nodes):
        free = all(r.name in clear and not needs_codes(graph, r) for r in wiring.behind(node))
        if free and (not needs_codes(graph, node) or target_of(node).emits):
            clear.add(node.name)
    return clear


def _joins_unlike(wiring: Wiring, node: Node, ranges: Ranges) -> bool:
    if integer_form(wiring.graph, node) != JOINS:
        return False
    sizes = [max(map(abs, ranges[name])) for name in node.inputs if name in ranges]
    return bool(sizes) and max(sizes) > UNLIKE * min(sizes)


def _island_nodes(wiring: Wiring, floats: set[str]) -> set[str]:
    """Return the nodes between float nodes, and elementwise ones that read float values only."""
    graph = wiring.graph
    before: set[str] = set()  # only float nodes read what it makes
    for node in reversed(graph.nodes):
        readers = wiring.behind(node)
        ends = any(name in graph.outputs for name in node.outputs)
        inside = all(reader.name in floats or reader.name in before for reader in readers)
        if readers and inside and not ends and _may_move(node, floats):
            before.add(node.name)
    found, after = set(floats), set[str]()
    for node in graph.nodes:
        makers = {maker.name for maker in wiring.before(node)}
        if not makers or not _may_move(node, floats):
            continue
        if makers & (found | after):
            after.add(node.name)
        stores = integer_form(graph, node) == STORES
        if node.name in before & after or (stores and makers <= found):
            found.add(node.name)
    return found - floats


def _may_move(node: Node, floats: set[str]) -> bool:
    """Return whether a node that runs on codes could run in float."""
    return node.name not in floats and runs_in_float(node)


def _between(wiring: Wiring, floats: set[str]) -> set[str]:
    """Return the nodes that lead from an accumulator, or a float value, to float nodes alone.

    Codes between them would cost accuracy and two conversions: scores of an attention on their way
    to the softmax.
    """
    nodes = wiring.graph.nodes
    known = set(floats)
    for node in reversed(nodes):
        readers = wiring.behind(node)
        inside = all(reader.name in known for reader in readers)
        if readers and inside and runs_in_float(node) and not target_of(node).emits:
            known.add(node.name)
    kept = set(floats)
    for node in nodes:
        makers = wiring.before(node)
        if node.name in known and any(m.name in kept or target_of(m).emits for m in makers):
            kept.add(node.name)
    return kept - floats


def _float_values(wiring: Wiring, float_nodes: set[str], tail: Tail) -> set[str]:
    """Return the values that every reader takes as float, and that can be made as float."""
    found: set[str] = set()
    for name, value in wiring.graph.values.items():
        if name in wiring.graph.constants or value.dtype == "bool":
            continue  # truth values are codes 0 and 1 everywhere
        if value.dtype not in ("float32", "uint8"):
            found.add(name)
            continue
        readers = wiring.readers[name]
        if any(reader.name not in float_nodes for reader in readers):
            continue
        maker = wiring.maker.get(name)
        if maker is None:
            made = value.dtype == "float32" and bool(readers)
        else:
            made = maker.name in float_nodes or (tail.emits and target_of(maker).emits)
        if made:
            found.add(name)
    return found
