"""What the engine accepts, as data: how each operator treats codes, and whether it runs in float.

One table, read from top to bottom. A rule that hangs on attributes is a function named in the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bittrue.graph.model import Graph, Node
from bittrue.graph.pointwise import UNARY_EXPR, unary_expr

#: What an operator does with codes. STORES: the result has a scale of its own. SHARES: bytes move,
#: the result has its input's scale. JOINS: like SHARES for many inputs. NONE: has no integer form.
STORES, SHARES, JOINS, NONE = "stores", "shares", "joins", "none"

#: A function of one value whose words are all among these can run in float: the engine has each as
#: an F32_BINARY or F32_UNARY.
FLOAT_WORDS = frozenset({"x", "add", "sub", "mul", "div", "min", "max"}) | frozenset(
    {"exp", "sigmoid", "sqrt", "neg", "abs"}
)
#: Functions of one value whose results span too many magnitudes for 256 codes.
WIDE = frozenset({"Exp", "Log", "Reciprocal"})
#: Functions of one value that become a table of 256 codes.
TABLES = frozenset(UNARY_EXPR) - WIDE


@dataclass(frozen=True, slots=True)
class Target:
    """How the engine runs one operator.

    Args:
        op: A name of `bittrue.graph.ops.OPS`.
        integer: STORES, SHARES, JOINS or NONE.
        floating: Whether the engine can run it on float32 values.
        rule: Decides `integer` where attributes matter; None where they do not.
        emits: Whether it can write float32 straight from its accumulator.
    """

    op: str
    integer: str
    floating: bool
    rule: Callable[[Graph, Node], str] | None = None
    emits: bool = False


def _resize(graph: Graph, node: Node) -> str:
    return STORES if node.text("mode") == "cubic" else SHARES


def _cast(graph: Graph, node: Node) -> str:
    given, to = graph.values[node.inputs[0]].dtype, node.text("to")
    if given in ("uint8", "bool") and to == "float32":
        return SHARES
    return STORES if (given, to) == ("float32", "bool") else NONE


TARGETS: tuple[Target, ...] = (
    # Sums of products: integers only, but their accumulators may leave as float32.
    Target("Conv", STORES, floating=False, emits=True),
    Target("ConvTranspose", STORES, floating=False, emits=True),
    Target("Dense", STORES, floating=False, emits=True),
    Target("Gemm", STORES, floating=False),
    Target("MatMul", STORES, floating=False, emits=True),
    # Windows.
    Target("AveragePool", STORES, floating=False),
    Target("GlobalAveragePool", STORES, floating=False),
    Target("ReduceMean", STORES, floating=False),
    Target("ReduceSum", STORES, floating=False),
    Target("ReduceMax", SHARES, floating=False),
    Target("ReduceMin", SHARES, floating=False),
    Target("MaxPool", SHARES, floating=False),
    Target("GlobalMaxPool", SHARES, floating=False),
    # Elementwise on two values.
    Target("Add", STORES, floating=True),
    Target("Sub", STORES, floating=True),
    Target("Mul", STORES, floating=True),
    Target("Div", STORES, floating=True),
    Target("Min", STORES, floating=True),
    Target("Max", STORES, floating=True),
    # Truth values are codes 0 and 1.
    *(Target(op, STORES, floating=False) for op in ("Equal", "Less", "LessOrEqual")),
    *(Target(op, STORES, floating=False) for op in ("Greater", "GreaterOrEqual")),
    *(Target(op, STORES, floating=False) for op in ("And", "Or", "Not", "Where")),
    # Elementwise on one value: a table of 256 entries. In float where FLOAT_WORDS reach.
    *(Target(op, STORES, floating=False) for op in sorted(TABLES)),
    *(Target(op, STORES, floating=False) for op in ("PRelu", "BatchNormalization")),
    # Their results span too many magnitudes for 256 codes.
    *(Target(op, NONE, floating=False) for op in sorted(WIDE)),
    Target("Softmax", NONE, floating=True),
    *(Target(op, NONE, floating=False) for op in ("LogSoftmax", "Pow")),
    # Bytes move.
    *(Target(op, SHARES, floating=True) for op in ("Reshape", "Transpose", "Split", "Slice")),
    *(Target(op, SHARES, floating=True) for op in ("Pad", "Gather", "Expand", "Tile")),
    *(Target(op, SHARES, floating=True) for op in ("DepthToSpace", "SpaceToDepth")),
    Target("Concat", JOINS, floating=True),
    Target("Resize", SHARES, floating=False, rule=_resize),
    Target("Cast", NONE, floating=False, rule=_cast),
)
_BY_OP = {row.op: row for row in TARGETS}
#: Operators that can write one scale a channel: a multiplier or a table for each.
CHANNEL_MAKERS = frozenset({"Conv", "Add", "Sub", "Mul"}) | TABLES
#: Whatever has no row runs where the graph puts it and is refused by the compiler by name.
_UNKNOWN = Target("", NONE, floating=False)


def target_of(node: Node) -> Target:
    """Return the row of a node's operator; one that says NONE for an operator without a row."""
    return _BY_OP.get(node.op, _UNKNOWN)


def integer_form(graph: Graph, node: Node) -> str:
    """Return STORES, SHARES, JOINS or NONE for this node with its attributes."""
    row = target_of(node)
    return row.integer if row.rule is None else row.rule(graph, node)


def runs_in_float(node: Node) -> bool:
    """Return whether the engine can run this node on float32 values."""
    expr = unary_expr(node.op, node.attrs)
    if expr is not None:
        return all(word in FLOAT_WORDS or _is_number(word) for word in expr.split())
    return target_of(node).floating


def needs_codes(graph: Graph, node: Node) -> bool:
    """Return whether this node has an integer form and no float form."""
    return integer_form(graph, node) != NONE and not runs_in_float(node)


def is_depthwise(graph: Graph, node: Node) -> bool:
    """Return whether each of the node's kernels reads exactly one channel of its first input."""
    if node.op != "Conv":
        return False
    channels = graph.values[node.inputs[0]].shape[1]
    return channels > 1 and node.integer("group") == channels


def channel_values(graph: Graph) -> set[str]:
    """Return the values whose readers all take one scale a channel at no cost.

    These are depthwise convolutions with constant weights, which fold it into those, and tables
    whose own result is such a value.
    """
    consumers = graph.consumers()
    found: set[str] = set()
    for node in reversed(graph.nodes):
        for name in node.outputs:
            readers = consumers[name]
            if name in graph.outputs or len(graph.values[name].shape) < 3:
                continue
            if readers and all(_takes_channels(graph, reader, name, found) for reader in readers):
                found.add(name)
    return found


def _takes_channels(graph: Graph, reader: Node, name: str, found: set[str]) -> bool:
    if reader.op in TABLES:
        return reader.outputs[0] in found
    if not is_depthwise(graph, reader) or reader.inputs.count(name) != 1:
        return False
    return len(reader.inputs) < 4 and reader.inputs[1] in graph.constants


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
