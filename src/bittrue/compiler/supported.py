"""What the engine could not run of a float graph, before a sample has been looked at.

The graph is lowered with codes that stand for nothing, by the same tables as for good. What hangs
on figures (a sum that is too large, scales that do not fit together) shows only afterwards.
"""

from __future__ import annotations

from collections.abc import Collection

from bittrue.compiler.lower import refused_nodes
from bittrue.errors import UnsupportedNode
from bittrue.graph.model import Graph
from bittrue.quant.options import QuantizeOptions
from bittrue.quant.pipeline import uncalibrated


def unsupported_nodes(graph: Graph, options: QuantizeOptions) -> tuple[UnsupportedNode, ...]:
    """Return the nodes that no calibration could make the engine run; empty if there are none.

    Args:
        graph: The optimised float graph.
        options: How it would be quantised; the tail matters.

    Raises:
        UsageError: if the tail is an unknown word.
    """
    return refused_nodes(uncalibrated(graph, options), figures=False)


def joint_cut(graph: Graph, refused: Collection[str]) -> tuple[str, ...]:
    """Return tensors of the source at which, all together, a graph can end before some nodes.

    They are what the rest of the graph needs or gives: each is computed, depends on no refused
    node, and is read by one that cannot run any more, or is an output. A value that is no tensor
    of the source is passed over for those before it.

    Args:
        graph: Its values' origins are the source's tensors.
        refused: Names of nodes.

    Returns:
        Names in running order; empty if nothing could be kept.
    """
    lost = {name for node in graph.nodes if node.name in refused for name in node.outputs}
    while True:
        for node in graph.nodes:
            if lost.intersection(node.inputs):
                lost.update(node.outputs)
        made = {name: node for node in graph.nodes for name in node.outputs if name}
        read = {name for node in graph.nodes if lost & {*node.outputs} for name in node.inputs}
        ends = [name for name in made if name not in lost and name in read | {*graph.outputs}]
        nameless = {name for name in ends if not graph.values[name].origin}
        if not nameless:
            return tuple(dict.fromkeys(graph.values[name].origin[0] for name in ends))
        lost |= {other for name in nameless for other in made[name].outputs}
