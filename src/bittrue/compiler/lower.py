"""From a quantised graph to a program: one lowering an operator, read from one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bittrue.arith import QParams
from bittrue.compiler.constants import Misfit, Refusal
from bittrue.compiler.limits import IO_MAX, RANK_MAX
from bittrue.compiler.lower_conv import lower_conv_transpose
from bittrue.compiler.lower_either import (
    lower_any_comparison,
    lower_any_matmul,
    lower_any_not,
    lower_any_prelu,
    lower_any_reduction,
    lower_any_where,
)
from bittrue.compiler.lower_elementwise import (
    lower_batch_norm,
    lower_binary,
    lower_softmax,
    lower_unary,
)
from bittrue.compiler.lower_float import (
    lower_any_cast,
    lower_any_conv,
    lower_any_dense,
    lower_gemm,
    lower_log_softmax,
)
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
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.errors import ModelError, UnsupportedError, UnsupportedNode
from bittrue.graph.model import Graph, Node
from bittrue.quant.model import QuantizedGraph

Lower = Callable[[Lowering, Node], tuple[Operand, ...]]

#: Of a name in a network: in an executable it may be longer by the role that a step adds.
SOURCE_NAME_BYTES_MAX = 65_000

_UNARY = (
    *("Pointwise", "Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"),
    *("Exp", "Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Floor", "Ceil", "Round", "Sign", "Erf"),
    *("Softplus", "Softsign", "Mish", "Sin", "Cos", "Elu", "Celu", "Selu", "ThresholdedRelu"),
    "Gelu",
)

#: The lowering of every operator that has one.
LOWERINGS: dict[str, Lower] = {
    "Conv": lower_any_conv,
    "ConvTranspose": lower_conv_transpose,
    "Dense": lower_any_dense,
    "MatMul": lower_any_matmul,
    "Gemm": lower_gemm,
    "BatchNormalization": lower_batch_norm,
    "PRelu": lower_any_prelu,
    **dict.fromkeys(_UNARY, lower_unary),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Mod"), lower_binary),
    **dict.fromkeys(
        ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"), lower_any_comparison
    ),
    **dict.fromkeys(("And", "Or"), lower_any_comparison),
    "Not": lower_any_not,
    "Where": lower_any_where,
    "Softmax": lower_softmax,
    "LogSoftmax": lower_log_softmax,
    "Cast": lower_any_cast,
    "MaxPool": lower_max_pool,
    "AveragePool": lower_average_pool,
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), lower_reduction),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"), lower_any_reduction),
    **dict.fromkeys(("ReduceProd", "ReduceL2"), lower_any_reduction),
    "Resize": lower_resize,
    "Reshape": lower_reshape,
    "Transpose": lower_transpose,
    "Concat": lower_concat,
    "Split": lower_split,
    "Slice": lower_slice,
    "Pad": lower_pad,
    "Gather": lower_gather,
    "Expand": lower_expand,
    "Tile": lower_tile,
    "DepthToSpace": lower_depth_to_space,
    "SpaceToDepth": lower_space_to_depth,
}

#: The operators without a lowering, and why.
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
) -> Program:
    """Return the program of a quantised graph, planned and verified.

    Args:
        quantized: The graph, with a form for every value that is no constant.
        name: The network's name; the graph's where empty.
        inputs: What is known of the inputs, by name: layout and colour are taken over.
        preprocess: By input name: JSON form of its preprocessing.
        provenance: Tool version, source's sha256, settings: plain JSON values.

    Raises:
        ModelError: if a name cannot be in an executable.
        UnsupportedError: if nodes cannot be lowered; all of them are listed with the reason.
        InternalError: if the program made breaks a rule of the format.
    """
    _check_names(quantized.graph)
    low, ends, refused = _lowered(quantized, figures=True)
    if refused:
        raise UnsupportedError(
            f"{len(refused)} node{'s' if len(refused) > 1 else ''} cannot run on the engine",
            nodes=tuple(refused),
            where=quantized.graph.name,
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
        contract=_contract(quantized, {row.name: row for row in inputs}, preprocess or {}),
        preprocess=preprocess or {},
        provenance=provenance or {},
    )
    done = plan(pruned(program))
    verify_program(done)
    return done


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
    lower = LOWERINGS.get(node.op)
    if lower is None:
        raise Refusal(NOT_LOWERED.get(node.op, "the compiler does not know it"))
    for name, operand in zip(node.outputs, lower(low, node), strict=True):
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


def _contract(
    quantized: QuantizedGraph,
    known: Mapping[str, TensorContract],
    preprocess: Mapping[str, Mapping[str, object]],
) -> Contract:
    graph = quantized.graph
    return Contract(
        tuple(
            replace(
                _tensor_contract(quantized, name),
                layout=known[name].layout if name in known else _layout(graph, name),
                colour=known[name].colour if name in known else _colour(preprocess.get(name)),
                value_range=_range(quantized, name, known.get(name)),
            )
            for name in graph.inputs
        ),
        tuple(_tensor_contract(quantized, name) for name in graph.outputs),
    )


def _range(
    quantized: QuantizedGraph, name: str, known: TensorContract | None
) -> tuple[float, float] | None:
    """Return an input's calibrated range; where none was seen (raw pixels), what is known of it."""
    seen = quantized.ranges.get(name)
    if seen is not None:
        return float(seen[0]), float(seen[1])
    return None if known is None else known.value_range


def _tensor_contract(quantized: QuantizedGraph, name: str) -> TensorContract:
    value = quantized.graph.values[name]
    held = quantized.activations.get(name)
    limits = quantized.ranges.get(name)
    raw = value.dtype == "uint8" and name in quantized.graph.inputs
    plain = TensorContract(
        name,
        value.shape,
        value.dtype,
        value_range=None if limits is None else (float(limits[0]), float(limits[1])),
        holds="raw pixels" if raw else "values",
    )
    return plain if held is None or raw else _as_codes(plain, held)


def _as_codes(plain: TensorContract, held: QParams) -> TensorContract:
    return replace(
        plain,
        dtype="uint8",
        scale=float(held.scale[0]),
        zero_point=held.zero_point,
        holds="codes",
    )


def _layout(graph: Graph, name: str) -> str:
    """Return what the axes of an input mean, where its first reader says it."""
    rank = len(graph.values[name].shape)
    for node in graph.nodes:
        if name not in node.inputs:
            continue
        if node.op in ("Conv", "ConvTranspose", "MaxPool", "AveragePool"):
            return {3: "NCL", 4: "NCHW"}.get(rank, "")
        if node.op == "Transpose" and node.ints("perm") == (0, 3, 1, 2):
            return "NHWC"
    return ""


def _colour(recipe: Mapping[str, object] | None) -> str:
    colour = "" if recipe is None else recipe.get("colour", "")
    return colour if isinstance(colour, str) else ""
