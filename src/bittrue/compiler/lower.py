"""From a quantised graph to a program: each operator's forms are read from one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bittrue.compiler.constants import Misfit, Refusal
from bittrue.compiler.limits import IO_MAX, RANK_MAX
from bittrue.compiler.lower_conv import lower_conv, lower_conv_transpose, lower_dense
from bittrue.compiler.lower_elementwise import (
    all_codes,
    as_table,
    lower_extreme,
    lower_product,
    lower_quotient,
    lower_sum,
    reads_codes,
)
from bittrue.compiler.lower_float import (
    lower_cast,
    lower_expression,
    lower_float_binary,
    lower_float_comparison,
    lower_float_conv,
    lower_float_dense,
    lower_float_matmul,
    lower_float_norm,
    lower_float_not,
    lower_float_prelu,
    lower_float_reduction,
    lower_float_where,
    lower_gemm,
    lower_log_softmax,
    lower_softmax,
)
from bittrue.compiler.lower_logic import lower_compare, lower_prelu, lower_where
from bittrue.compiler.lower_matmul import lower_matmul
from bittrue.compiler.lower_move import (
    lower_concat,
    lower_depth_to_space,
    lower_expand,
    lower_gather,
    lower_pad,
    lower_reshape,
    lower_slice,
    lower_space_to_depth,
    lower_split,
    lower_tile,
    lower_transpose,
)
from bittrue.compiler.lower_pool import (
    lower_average_pool,
    lower_max_pool,
    lower_reduction,
    lower_resize,
)
from bittrue.compiler.lower_state import Lowering, Operand, identity
from bittrue.compiler.plan import plan, pruned
from bittrue.compiler.program import Program
from bittrue.compiler.verify_program import verify_program
from bittrue.contract.tensor import HOLDS_CODES, HOLDS_PIXELS, Contract, TensorContract
from bittrue.errors import InternalError, ModelError, UnsupportedError, UnsupportedNode
from bittrue.graph.model import Graph, Node
from bittrue.graph.ops import FAMILIES
from bittrue.quant.model import QuantizedGraph

Lower = Callable[[Lowering, Node], tuple[Operand, ...]]

#: Of a name in a network: in an executable it may be longer by the role that a step adds.
SOURCE_NAME_BYTES_MAX = 65_000


def _weights_are_codes(low: Lowering, node: Node) -> bool:
    """Return whether a layer's weights have codes; computed ones, which have none, are refused."""
    return node.name in low.quantized.weights or low.array(node.inputs[1]) is None


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms in which an operator runs; the first that a node's values allow is taken.

    Args:
        codes: On codes; refuses values in float32 where there is no form for those.
        floats: In float32.
        table: Whether it is one TABLE where it is a function of one value, both stored as codes.
        takes_codes: Whether a node's values are stored as `codes` takes them.
    """

    codes: Lower | None = None
    floats: Lower | None = None
    table: bool = False
    takes_codes: Callable[[Lowering, Node], bool] = all_codes

    def lower(self, low: Lowering, node: Node) -> tuple[Operand, ...]:
        """Emit a node and return its outputs.

        Raises:
            Refusal: if it cannot be lowered.
        """
        made = as_table(low, node) if self.table else None
        if made is not None:
            return made
        if self.codes is not None and (self.floats is None or self.takes_codes(low, node)):
            return self.codes(low, node)
        if self.floats is None:
            raise InternalError(f"{node.op} has no form")
        return self.floats(low, node)


def _as_stored(lower: Lower) -> Forms:
    """Return the forms of an operator that only moves elements, whatever they are stored as."""
    return Forms(lower, lower)


_COMPARISON = Forms(lower_compare, lower_float_comparison, table=True)
_EXPRESSION = Forms(floats=lower_expression, table=True)
_LOGIC = Forms(lower_extreme, lower_float_comparison, table=True)

#: The forms of every operator that has one.
LOWERINGS: dict[str, Forms] = {
    "Conv": Forms(lower_conv, lower_float_conv, takes_codes=_weights_are_codes),
    "ConvTranspose": Forms(lower_conv_transpose),
    "Dense": Forms(lower_dense, lower_float_dense, takes_codes=_weights_are_codes),
    # Sums of codes may leave as float32.
    "MatMul": Forms(lower_matmul, lower_float_matmul, takes_codes=reads_codes),
    "Gemm": Forms(floats=lower_gemm),
    "BatchNormalization": Forms(floats=lower_float_norm, table=True),
    "PRelu": Forms(lower_prelu, lower_float_prelu, table=True),
    **dict.fromkeys(FAMILIES["unary"], _EXPRESSION),
    **dict.fromkeys(("Add", "Sub"), Forms(lower_sum, lower_float_binary, table=True)),
    "Mul": Forms(lower_product, lower_float_binary, table=True),
    "Div": Forms(lower_quotient, lower_float_binary, table=True),
    **dict.fromkeys(("Min", "Max"), Forms(lower_extreme, lower_float_binary, table=True)),
    **dict.fromkeys(("Pow", "Mod"), Forms(floats=lower_float_binary, table=True)),
    **dict.fromkeys(FAMILIES["comparison"], _COMPARISON),
    **dict.fromkeys(("And", "Or"), _LOGIC),
    "Not": Forms(floats=lower_float_not, table=True),
    "Where": Forms(lower_where, lower_float_where, table=True),
    "Softmax": Forms(floats=lower_softmax),
    "LogSoftmax": Forms(floats=lower_log_softmax),
    "Cast": _as_stored(lower_cast),
    "MaxPool": Forms(lower_max_pool),
    "AveragePool": Forms(lower_average_pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), Forms(lower_reduction)),
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"),
        Forms(lower_reduction, lower_float_reduction),
    ),
    **dict.fromkeys(("ReduceProd", "ReduceL2"), Forms(floats=lower_float_reduction)),
    "Resize": _as_stored(lower_resize),
    "Reshape": _as_stored(lower_reshape),
    "Transpose": _as_stored(lower_transpose),
    "Concat": _as_stored(lower_concat),
    "Split": _as_stored(lower_split),
    "Slice": _as_stored(lower_slice),
    "Pad": _as_stored(lower_pad),
    "Gather": _as_stored(lower_gather),
    "Expand": _as_stored(lower_expand),
    "Tile": _as_stored(lower_tile),
    "DepthToSpace": _as_stored(lower_depth_to_space),
    "SpaceToDepth": _as_stored(lower_space_to_depth),
}

#: The operators without a form, and why.
NOT_LOWERED: dict[str, str] = {
    **dict.fromkeys(("ArgMax", "ArgMin"), "the engine writes no indices"),
}


def compile_graph(
    quantized: QuantizedGraph,
    *,
    name: str = "",
    inputs: Sequence[TensorContract] = (),
    preprocess: Mapping[str, Mapping[str, object]] | None = None,
    provenance: Mapping[str, object] | None = None,
    where: str = "",
) -> Program:
    """Return the program of a quantised graph, planned and verified.

    Args:
        quantized: The graph, with a form for every value that is no constant.
        name: The network's name; the graph's where empty.
        inputs: What is known of the inputs: layout and colour are taken over, and the range of
            those that were not calibrated (raw pixels).
        preprocess: By input name: JSON form of its preprocessing.
        provenance: Tool version, source's sha256, settings: plain JSON values.
        where: The file that a refusal names; the graph where empty.

    Raises:
        ModelError: if a name cannot be in an executable.
        UnsupportedError: if nodes cannot be lowered; all of them are listed with the reason.
        InternalError: if the program made breaks a rule of the format.
    """
    _check_names(quantized.graph)
    low, ends, refused = _lowered(quantized, figures=True)
    if refused:
        raise cannot_run(
            refused,
            where=where or quantized.graph.name,
            hint="end the network before them (--end), or change these layers in the source",
        )
    program = Program(
        name=name or quantized.graph.name,
        tensors=tuple(low.tensors),
        buffers=tuple(low.buffers),
        instructions=tuple(low.steps),
        constants=low.constants,
        inputs=tuple(low.placed[item].tensor for item in quantized.graph.inputs),
        outputs=tuple(ends),
        contract=_contract(quantized, {row.name: row for row in inputs}),
        preprocess=preprocess or {},
        provenance=provenance or {},
    )
    done = plan(pruned(program))
    verify_program(done)
    return done


def cannot_run(nodes: Sequence[UnsupportedNode], *, where: str, hint: str) -> UnsupportedError:
    """Return the refusal of a network for some of its nodes, all of them listed."""
    return UnsupportedError(
        f"{len(nodes)} node{'s' if len(nodes) > 1 else ''} cannot run on the engine",
        nodes=tuple(nodes),
        where=where,
        hint=hint,
    )


def refused_nodes(
    quantized: QuantizedGraph, *, figures: bool = True
) -> tuple[UnsupportedNode, ...]:
    """Return the nodes that `compile_graph` would refuse.

    Args:
        quantized: As `compile_graph`.
        figures: Whether nodes count whose scales or sums are the reason.
    """
    return tuple(_lowered(quantized, figures=figures)[2])


# --- the parts -------------------------------------------------------------------------------


def _check_names(graph: Graph) -> None:
    """Refuse a network whose names an executable cannot hold, with room for what steps add."""
    names = (*graph.values, *(node.name for node in graph.nodes))
    odd = [name for name in names if "\0" in name or len(name.encode()) > SOURCE_NAME_BYTES_MAX]
    if odd:
        raise ModelError(
            f"{len(odd)} names have a zero byte or more than {SOURCE_NAME_BYTES_MAX} bytes, "
            f"the first begins {odd[0][:80]!r}",
            where=graph.name[:80],
            hint="give these tensors and nodes other names in the source",
        )


def _lowered(
    quantized: QuantizedGraph, *, figures: bool
) -> tuple[Lowering, list[int], list[UnsupportedNode]]:
    """Return the program so far, its outputs, and what was refused: then it is no program."""
    low = Lowering(quantized)
    refused = [*_place_inputs(low), *_lower_nodes(low, figures)]
    if refused:
        return low, [], refused
    ends, late = _finish_outputs(low)
    return low, ends, late


def _place_inputs(low: Lowering) -> list[UnsupportedNode]:
    refused = []
    for name in low.graph.inputs:
        value, held = low.value(name), low.expected(name)
        try:
            if value.dtype not in ("float32", "uint8") or (value.dtype == "uint8" and not held):
                raise Refusal(f"an input of {value.dtype} is not handled")
            if held is not None and held.per_channel:
                raise Refusal("an input with one scale a channel is not handled")
            low.bind(name, low.new(value.shape, identity(len(value.shape)), held))
        except Refusal as why:
            refused.append(UnsupportedNode(name, "input", str(why)))
            low.stand_in(name)
    for what, ends in (("inputs", low.graph.inputs), ("outputs", low.graph.outputs)):
        if not 1 <= len(ends) <= IO_MAX:
            reason = f"it has {len(ends)} {what}, not 1 to {IO_MAX}"
            refused.append(UnsupportedNode(low.graph.name, "graph", reason))
    return refused


def _lower_nodes(low: Lowering, figures: bool) -> list[UnsupportedNode]:
    """Lower every node; a refused one gets stand-ins as outputs, so that later ones are tried."""
    refused = []
    for node in low.graph.nodes:
        low.start(node)
        try:
            _lower_node(low, node)
        except Refusal as why:
            if figures or not isinstance(why, Misfit):
                refused.append(UnsupportedNode(node.name, node.op, str(why), _cut_at(low, node)))
            for name in node.outputs:
                low.stand_in(name)
    return refused


def _cut_at(low: Lowering, node: Node) -> tuple[str, ...]:
    """Return the computed tensors that a node reads: no graph can end at its own input."""
    return tuple(
        name
        for name in dict.fromkeys(node.inputs)
        if name and name not in low.graph.inputs and low.array(name) is None
    )


def _lower_node(low: Lowering, node: Node) -> None:
    for name in node.inputs:
        value = low.graph.values.get(name)
        if value is not None and low.array(name) is None and not all(value.shape):
            raise Refusal(f"its input '{name}' has shape {list(value.shape)}")
    for name in (*node.inputs, *node.outputs):
        if name and len(low.graph.values[name].shape) > RANK_MAX:
            shape = list(low.graph.values[name].shape)
            raise Refusal(f"'{name}' {shape} has more than the {RANK_MAX} axes of a tensor")
    forms = LOWERINGS.get(node.op)
    if forms is None:
        raise Refusal(NOT_LOWERED.get(node.op, "the compiler does not know it"))
    for name, operand in zip(node.outputs, forms.lower(low, node), strict=True):
        if name:
            low.bind(name, operand)


def _finish_outputs(low: Lowering) -> tuple[list[int], list[UnsupportedNode]]:
    ends: list[int] = []
    refused = []
    taken: set[int] = set()
    producers = low.graph.producers()
    for name in low.graph.outputs:
        node = producers.get(name, Node(name, "output", (), ()))
        low.start(node)
        try:
            if name in low.graph.constants:
                raise Refusal(f"output '{name}' is a constant")
            ends.append(low.finish_output(name, taken))
        except Refusal as why:
            refused.append(UnsupportedNode(node.name, node.op, str(why)))
    return ends, refused


# --- the contract ----------------------------------------------------------------------------


def _contract(quantized: QuantizedGraph, known: Mapping[str, TensorContract]) -> Contract:
    graph = quantized.graph
    inputs = tuple(_end(quantized, name) for name in graph.inputs)
    return Contract(
        tuple(_with_known(row, known.get(row.name, row)) for row in inputs),
        tuple(_end(quantized, name) for name in graph.outputs),
    )


def _with_known(row: TensorContract, known: TensorContract) -> TensorContract:
    seen = known.value_range if row.value_range is None else row.value_range
    return replace(row, layout=known.layout, colour=known.colour, value_range=seen)


def _end(quantized: QuantizedGraph, name: str) -> TensorContract:
    """Return what the graph itself says of an input or output."""
    value = quantized.graph.values[name]
    limits = quantized.ranges.get(name)
    seen = None if limits is None else (float(limits[0]), float(limits[1]))
    row = TensorContract(name, value.shape, value.dtype, value_range=seen)
    if value.dtype == "uint8" and name in quantized.graph.inputs:
        return replace(row, holds=HOLDS_PIXELS)
    held = quantized.activations.get(name)
    if held is None:
        return row
    scale = float(held.scale[0])
    return replace(row, dtype="uint8", scale=scale, zero_point=held.zero_point, holds=HOLDS_CODES)
