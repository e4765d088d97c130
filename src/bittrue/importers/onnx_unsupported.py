"""What is said of operators that are not handled: all of them at once, and where to end instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from bittrue.errors import UnsupportedError, UnsupportedNode
from bittrue.importers.onnx_cut import cut_points
from bittrue.importers.onnx_ops import QUANTIZED_OPS, REFUSED, find_row
from bittrue.importers.onnx_source import OnnxSource, SourceNode, Subgraph

#: Of QUANTIZED_OPS, those that find their scales while the network runs.
ON_THE_FLY = {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"}


def refused(part: OnnxSource) -> tuple[UnsupportedNode, ...]:
    """Return the nodes that could not be handled whatever they read, for a message about more."""
    rows = [(node, refusal(node, part.opset)) for node in part.nodes]
    return tuple(UnsupportedNode(node.name, node.op, why) for node, why in rows if why)


def refusal(node: SourceNode, opset: int) -> str:
    """Return why no converter takes a node, or what no converter takes in its branches.

    Branches are worth a word: who takes the If away meets the LSTM in it next.
    """
    row = find_row(node.op, node.domain, opset)
    branches = {
        op for value in node.attrs.values() if isinstance(value, Subgraph) for op in value.ops
    }
    inner = ", ".join(sorted(branches & set(REFUSED) - {node.op}))
    reasons = [row if isinstance(row, str) else "", f"its branches hold {inner}" if inner else ""]
    return "; ".join(filter(None, reasons))


def unsupported(
    part: OnnxSource, reasons: Mapping[str, str], fixed: Collection[str]
) -> UnsupportedError:
    """Return the error for nodes that could not be converted.

    Args:
        part: The network.
        reasons: By the node's name, why not.
        fixed: Tensors at which no graph can end: constants and the network's inputs.
    """
    points = cut_points(part, reasons, fixed)
    bad = [node for node in part.nodes if node.name in reasons]
    quantized = Counter(node.op for node in bad if node.op in QUANTIZED_OPS)
    first = {node.op: node for node in reversed(bad)}
    # Of hundreds of quantised nodes, the first of each kind is enough.
    nodes = tuple(
        UnsupportedNode(node.name, node.op, reasons[node.name], points[node.name])
        for node in bad
        if node.op not in quantized or node is first[node.op]
    )
    if quantized:
        return _quantized(quantized, nodes)
    ends = dict.fromkeys(name for node in nodes for name in node.cut_at)
    return UnsupportedError(
        f"{len(nodes)} node{'s are' if len(nodes) > 1 else ' is'} not handled",
        nodes=nodes,
        hint="end the network before them: " + " ".join(f"--end {name}" for name in ends)
        if ends
        else "nothing could be kept before them; replace them in the network",
    )


def _quantized(found: Mapping[str, int], nodes: tuple[UnsupportedNode, ...]) -> UnsupportedError:
    """Return one message for all quantised nodes: listing hundreds of them would help nobody."""
    counts = ", ".join(f"{count} {op}" for op, count in sorted(found.items()))
    how = "on the fly, as quantize_dynamic does" if set(found) & ON_THE_FLY else "to int8"
    return UnsupportedError(
        f"the network is already quantised {how} ({counts}), and bittrue chooses its own codes, "
        "from float weights; not handled (quantised: the first of each kind):",
        nodes=nodes,
        hint="give the float network that it was made from (the exporter's own file, before any "
        "quantize_static, quantize_dynamic or QAT conversion): bittrue build FLOAT.onnx "
        "--calibrate pictures/ -o model.bte",
    )
