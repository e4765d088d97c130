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

from collections.abc import Mapping
from dataclasses import dataclass

from bittrue.errors import UsageError
from bittrue.graph.model import Graph, Node
from bittrue.quant.observers import Range
from bittrue.quant.target import (
    JOINS,
    NONE,
    STORES,
    integer_form,
    is_float_product,
    needs_codes,
    runs_in_float,
    target_of,
)

TAILS = ("float", "int8")
#: Inputs of a Concat whose largest magnitudes differ by more than this are unlike: the smaller
#: would keep less than 6 of 8 bits.
UNLIKE = 4.0


@dataclass(frozen=True, slots=True)
class Partition:
    """Which part of a graph runs in float.

    Args:
        float_nodes: Names of nodes that compute in float32.
        float_values: Names of values that are stored as float32 (or their own integer type).
    """

    float_nodes: frozenset[str]
    float_values: frozenset[str]


def partition(graph: Graph, ranges: Mapping[str, Range], *, tail: str = "float") -> Partition:
    """Return which nodes and values of a graph are float.

    Args:
        graph: The optimised float graph.
        ranges: Least and greatest value of each tensor that calibration saw.
        tail: "float", or "int8" for codes wherever an operator has an integer form.

    Raises:
        UsageError: if `tail` is no word of TAILS.
    """
    if tail not in TAILS:
        raise UsageError(f"tail={tail!r} is not one of {', '.join(TAILS)}", hint="use tail='float'")
    nodes = {node.name for node in graph.nodes if integer_form(graph, node) == NONE}
    if tail == "float":
        nodes |= _tail_nodes(graph, ranges, nodes)
        nodes |= _island_nodes(graph, nodes)
        nodes |= _between(graph, nodes)
    return Partition(frozenset(nodes), frozenset(_float_values(graph, nodes, tail)))


def _tail_nodes(graph: Graph, ranges: Mapping[str, Range], seeds: set[str]) -> set[str]:
    """Return the nodes behind the last convolutions that a float tail holds."""
    behind = _behind(graph)
    producers = graph.producers()
    found: set[str] = set()
    for node in graph.nodes:
        makers = [producers[name] for name in node.inputs if name in producers]
        if node.name in behind and is_float_product(graph, node):
            if makers and all(maker.name in seeds or maker.name in found for maker in makers):
                found.add(node.name)
            continue
        if node.name not in behind or needs_codes(graph, node):
            continue
        hangs_on_float = any(
            maker.name in seeds or maker.name in found or _emits(maker, behind) for maker in makers
        )
        if hangs_on_float or _joins_unlike(graph, node, ranges):
            found.add(node.name)
    return found


def _between(graph: Graph, floats: set[str]) -> set[str]:
    """Return the nodes that lead from an accumulator, or a float value, to float nodes alone.

    Codes between them would cost accuracy and two conversions: scores of an attention on their way
    to the softmax.
    """
    consumers, producers = graph.consumers(), graph.producers()
    known = set(floats)
    for node in reversed(graph.nodes):
        readers = [reader for name in node.outputs if name for reader in consumers[name]]
        inside = all(reader.name in known for reader in readers)
        if readers and inside and runs_in_float(node) and not target_of(node).emits:
            known.add(node.name)
    kept = set(floats)
    for node in graph.nodes:
        makers = [producers[name] for name in node.inputs if name in producers]
        if node.name in known and any(m.name in kept or target_of(m).emits for m in makers):
            kept.add(node.name)
    return kept - floats


def _island_nodes(graph: Graph, floats: set[str]) -> set[str]:
    """Return the nodes between float nodes, and elementwise ones that read float values only."""
    consumers, producers = graph.consumers(), graph.producers()
    before: set[str] = set()  # only float nodes read what it makes
    for node in reversed(graph.nodes):
        readers = [reader for name in node.outputs if name for reader in consumers[name]]
        ends = any(name in graph.outputs for name in node.outputs)
        inside = all(reader.name in floats or reader.name in before for reader in readers)
        if readers and inside and not ends and _may_move(graph, node, floats):
            before.add(node.name)
    found, after = set(floats), set[str]()
    for node in graph.nodes:
        makers = {producers[name].name for name in node.inputs if name in producers}
        if not makers or not _may_move(graph, node, floats):
            continue
        if makers & (found | after):
            after.add(node.name)
        stores = integer_form(graph, node) == STORES
        if node.name in before & after or (stores and makers <= found):
            found.add(node.name)
    return found - floats


def _may_move(graph: Graph, node: Node, floats: set[str]) -> bool:
    """Return whether a node that runs on codes could run in float."""
    return node.name not in floats and runs_in_float(node)


def _behind(graph: Graph) -> set[str]:
    """Return nodes with a float form behind which no node needs codes; and emitters likewise."""
    consumers = graph.consumers()
    behind: set[str] = set()
    for node in reversed(graph.nodes):
        readers = [reader for name in node.outputs if name for reader in consumers[name]]
        clear = all(r.name in behind and not needs_codes(graph, r) for r in readers)
        if clear and (not needs_codes(graph, node) or target_of(node).emits):
            behind.add(node.name)
    return behind


def _emits(node: Node, behind: set[str]) -> bool:
    return target_of(node).emits and node.name in behind


def _joins_unlike(graph: Graph, node: Node, ranges: Mapping[str, Range]) -> bool:
    if integer_form(graph, node) != JOINS:
        return False
    sizes = [max(map(abs, ranges[name])) for name in node.inputs if name in ranges]
    return bool(sizes) and max(sizes) > UNLIKE * min(sizes)


def _float_values(graph: Graph, float_nodes: set[str], tail: str) -> set[str]:
    """Return the values that every reader takes as float, and that can be made as float."""
    consumers, producers = graph.consumers(), graph.producers()
    found: set[str] = set()
    for name, value in graph.values.items():
        if name in graph.constants:
            continue
        if value.dtype == "bool":
            continue  # codes 0 and 1 everywhere
        if value.dtype not in ("float32", "uint8"):
            found.add(name)
            continue
        readers = consumers[name]
        if any(reader.name not in float_nodes for reader in readers):
            continue
        maker = producers.get(name)
        if maker is None:
            made = value.dtype == "float32" and bool(readers)
        elif tail == "float" and target_of(maker).emits:
            made = True
        else:
            made = maker.name in float_nodes
        if made:
            found.add(name)
    return found
