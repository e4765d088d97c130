"""What the engine accepts, as data: how each operator treats codes, and whether it runs in float.

One table, read from top to bottom. A rule that hangs on attributes is a function named in the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bittrue.graph.model import Graph, Node
from bittrue.graph.ops import FAMILIES

#: What an operator does with codes. STORES: the result has a scale of its own. SHARES: bytes move,
#: the result has its input's scale. JOINS: like SHARES for many inputs. NONE: has no integer form.
STORES, SHARES, JOINS, NONE = "stores", "shares", "joins", "none"

#: Functions of one value whose results span too many magnitudes for 256 codes.
WIDE = frozenset({"Exp", "Log", "Reciprocal"})
#: Functions of one value that become a table of 256 codes.
TABLES = frozenset(FAMILIES["unary"]) - WIDE


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
    # Sums of products: on codes, but their accumulators may leave as float32. (Small ones on
    # values that are made in float stay there: `bittrue.quant.policy`.)
    Target("Conv", STORES, floating=False, emits=True),
    Target("ConvTranspose", STORES, floating=False, emits=True),
    Target("Dense", STORES, floating=False, emits=True),
    Target("Gemm", NONE, floating=True),
    Target("MatMul", STORES, floating=True, emits=True),
    # Windows.
    Target("AveragePool", STORES, floating=False),
    Target("GlobalAveragePool", STORES, floating=False),
    *(Target(op, STORES, floating=True) for op in ("ReduceMean", "ReduceSum")),
    *(Target(op, SHARES, floating=True) for op in ("ReduceMax", "ReduceMin")),
    *(Target(op, NONE, floating=True) for op in ("ReduceProd", "ReduceL2")),
    Target("MaxPool", SHARES, floating=False),
    Target("GlobalMaxPool", SHARES, floating=False),
    # Elementwise on two values.
    Target("Add", STORES, floating=True),
    Target("Sub", STORES, floating=True),
    Target("Mul", STORES, floating=True),
    *(Target(op, STORES, floating=True) for op in ("Min", "Max")),
    # A quotient makes an island, so that a layer norm is float; between codes it is a DIV.
    *(Target(op, NONE, floating=True) for op in ("Div", "Pow", "Mod")),
    # Truth values are codes 0 and 1.
    *(Target(op, STORES, floating=True) for op in ("Equal", "Less", "LessOrEqual")),
    *(Target(op, STORES, floating=True) for op in ("Greater", "GreaterOrEqual")),
    *(Target(op, STORES, floating=True) for op in ("And", "Or", "Not", "Where")),
    # Elementwise on one value: a table of 256 entries.
    *(Target(op, STORES, floating=True) for op in sorted(TABLES)),
    *(Target(op, STORES, floating=True) for op in ("PRelu", "BatchNormalization")),
    # Their results span too many magnitudes for 256 codes.
    *(Target(op, NONE, floating=True) for op in (*sorted(WIDE), "Softmax", "LogSoftmax")),
    # Bytes move.
    *(Target(op, SHARES, floating=True) for op in ("Reshape", "Transpose", "Split", "Slice")),
    *(Target(op, SHARES, floating=True) for op in ("Pad", "Gather", "Expand", "Tile")),
    *(Target(op, SHARES, floating=True) for op in ("DepthToSpace", "SpaceToDepth")),
    Target("Concat", JOINS, floating=True),
    Target("Resize", SHARES, floating=False, rule=_resize),
    Target("Cast", NONE, floating=True, rule=_cast),
)
_BY_OP = {row.op: row for row in TARGETS}
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
    return target_of(node).floating


def needs_codes(graph: Graph, node: Node) -> bool:
    """Return whether this node has an integer form and no float form."""
    return integer_form(graph, node) != NONE and not runs_in_float(node)


def is_plain_product(graph: Graph, node: Node) -> bool:
    """Return whether a layer is one matrix product with constants, which the engine has in float.

    That is a Dense, or a Conv of one group that reads each pixel alone.
    """
    if node.op not in ("Dense", "Conv") or len(graph.values[node.inputs[0]].shape) < 2:
        return False
    weights = graph.constants.get(node.inputs[1])
    if weights is None or node.op == "Dense":
        return weights is not None
    ones = all(size == 1 for size in (*weights.shape[2:], *node.ints("strides")))
    plain = not any(node.ints("pads")) and node.integer("group") == 1
    return ones and plain and not node.input(3)
