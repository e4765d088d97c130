"""The rules of each kind of instruction: I1 to I18 of docs/format.md, and what it must be given.

The lists of the program are right already (`verify_program`): every index is in its list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from bittrue.arith import MATMUL_DEPTH_MAX, RESIZE_ONE
from bittrue.compiler.constant_values import ConstantValues
from bittrue.compiler.instructions import (
    BINARY_FUNCTIONS,
    BY_NAME,
    COMPARE_FUNCTIONS,
    COPY_RANK,
    REDUCTIONS,
    UNARY_FUNCTIONS,
    InstructionKind,
)
from bittrue.compiler.limits import CONV_TAPS_MAX, POOL_TAPS_MAX, RANK_MAX, WINDOW_MAX
from bittrue.compiler.program import Buffer, Instruction, Program, Tensor

_CODES = ("zero_point", "lo", "hi", "zero_a", "zero_b", "zero_x")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction with its parts by name."""

    program: Program
    tensors: dict[str, Tensor]
    indices: dict[str, int]
    params: dict[str, int]
    values: ConstantValues


def instruction_problems(
    program: Program, step: Instruction, values: ConstantValues
) -> Iterator[str]:
    """Yield every rule that one instruction breaks; its own only where the common ones hold.

    Args:
        program: Its lists, and the instruction's counts and indices, are right.
        step: One of its instructions.
        values: Of the program.
    """
    row = BY_NAME[step.kind]
    roles = [role.rstrip("?") for role in row.inputs][: len(step.inputs)] + list(row.outputs)
    indices = dict(zip(roles, (*step.inputs, *step.outputs), strict=True))
    tensors = {role: program.tensors[index] for role, index in indices.items()}
    params = dict(zip(row.params, step.params, strict=True))
    view = Step(program, tensors, indices, params, values)
    places = list(_places(row, view)) + list(_codes(view))
    yield from places
    if not places:
        yield from RULES[step.kind](view)


def _places(row: InstructionKind, view: Step) -> Iterator[str]:
    """Where tensors may lie: constants, and outputs on inputs."""
    output = view.tensors["y"]
    if view.program.buffers[output.buffer].constant:
        yield "it writes a constant"
    constants = [role.rstrip("?") for role in row.constants]
    for role, tensor in view.tensors.items():
        if role in constants and not view.program.buffers[tensor.buffer].constant:
            yield f"{role} {tensor.name!r} is no constant"
        if role == "y":
            continue
        if tensor.buffer != output.buffer:
            if _overlap(view.program.buffers[tensor.buffer], view.program.buffers[output.buffer]):
                yield f"its output overlaps {role} {tensor.name!r} in the arena"
            continue
        alike = (tensor.dtype, tensor.shape) == (output.dtype, output.shape)
        if not row.in_place or not alike:
            yield f"its output shares the buffer of {role} {tensor.name!r}"


def _overlap(one: Buffer, other: Buffer) -> bool:
    """Whether two buffers share bytes of the arena; those without a place yet do not."""
    if one.constant or other.constant or min(one.offset, other.offset) < 0:
        return False
    return one.offset < other.offset + other.nbytes and other.offset < one.offset + one.nbytes


def _codes(view: Step) -> Iterator[str]:
    for name in _CODES:
        if name in view.params and not 0 <= view.params[name] <= 255:
            yield f"{name} {view.params[name]} is not 0 to 255"
    if "lo" in view.params and view.params["lo"] > view.params["hi"]:
        yield f"lo {view.params['lo']} is above hi {view.params['hi']}"


def _is(view: Step, role: str, dtypes: str, rank: int | None = None) -> Iterator[str]:
    tensor = view.tensors[role]
    if tensor.dtype not in dtypes.split():
        yield f"{role} is {tensor.dtype}, not {dtypes.replace(' ', ' or ')}"
    if rank is not None and len(tensor.shape) != rank:
        yield f"{role} has {len(tensor.shape)} axes, not {rank}"


def _has_shape(view: Step, role: str, *shapes: tuple[int, ...]) -> Iterator[str]:
    shape = view.tensors[role].shape
    if shape not in shapes:
        wanted = " or ".join(str(list(item)) for item in shapes)
        yield f"{role} is {list(shape)}, not {wanted}"


def _indices_below(view: Step, role: str, limit: int) -> Iterator[str]:
    least, most = view.values.limits(view.indices[role])
    if least < 0 or most >= limit:
        yield f"{role} holds {least} to {most}, not 0 to {limit - 1}"


def _finite(view: Step, role: str) -> Iterator[str]:
    if not view.values.are_finite(view.indices[role]):
        yield f"{role} holds a value that is not finite"


def _first(*rules: Iterator[str]) -> list[str]:
    """Return what the first broken rule says: later rules rely on earlier ones."""
    for rule in rules:
        said = list(rule)
        if said:
            return said
    return []


def _window(view: Step, kernel: tuple[int, int]) -> Iterator[str]:
    names = ("stride_h", "stride_w", "dilation_h", "dilation_w")
    sizes = dict(zip(("kernel_h", "kernel_w"), kernel, strict=True))
    for name, value in {**sizes, **{name: view.params[name] for name in names}}.items():
        if not 1 <= value <= WINDOW_MAX:
            yield f"{name} {value} is not 1 to {WINDOW_MAX}"
    for name in ("pad_top", "pad_left"):
        if not -WINDOW_MAX <= view.params[name] <= WINDOW_MAX:
            yield f"{name} {view.params[name]} is not -{WINDOW_MAX} to {WINDOW_MAX}"


def _classes(view: Step, counts: tuple[int, int]) -> Iterator[str]:
    """row_class [OH] below counts[0], col_class [OW] below counts[1]."""
    _, height, width, _ = view.tensors["y"].shape
    for role, length, count in zip(
        ("row_class", "col_class"), (height, width), counts, strict=True
    ):
        yield from _first(
            _is(view, role, "int32"),
            _has_shape(view, role, (length,)),
            _indices_below(view, role, count),
        )


def _conv(view: Step) -> Iterator[str]:
    types = [
        *_is(view, "x", "uint8", 4),
        *_is(view, "weight", "int8", 4),
        *_is(view, "bias", "int32", 3),
        *_is(view, "multiplier", "float32", 1),
        *_is(view, "y", "uint8 float32", 4),
    ]
    yield from types
    if types:
        return
    outputs, kernel_h, kernel_w, depth = view.tensors["weight"].shape
    batch, _, _, channels = view.tensors["x"].shape
    _, height, width, _ = view.tensors["y"].shape
    groups = view.params["groups"]
    if groups < 1 or channels % groups or outputs % groups or depth * groups != channels:
        yield f"{groups} groups, {channels} channels, weight [{outputs},..,{depth}]"
    if kernel_h * kernel_w * depth > CONV_TAPS_MAX:
        yield f"{kernel_h * kernel_w * depth} products a sum, at most {CONV_TAPS_MAX}"
    rows, cols, _ = view.tensors["bias"].shape
    yield from _has_shape(view, "bias", (rows, cols, outputs))
    yield from _has_shape(view, "y", (batch, height, width, outputs))
    yield from _window(view, (kernel_h, kernel_w))
    yield from _classes(view, (rows, cols))
    yield from _first(_has_shape(view, "multiplier", (outputs,)), _finite(view, "multiplier"))
    yield from _no_range_of_floats(view)


def _no_range_of_floats(view: Step) -> Iterator[str]:
    codes = [view.params[name] for name in ("zero_point", "lo", "hi")]
    if view.tensors["y"].dtype == "float32" and any(codes):
        yield f"zero_point, lo, hi are {codes}, not 0, of a float32 output"


def _broadcasts(
    view: Step, dtype: str, roles: Sequence[str] = ("a", "b"), end: int | None = None
) -> Iterator[str]:
    """The inputs are of one type and y's rank; their axes before `end` broadcast to y's."""
    rank = len(view.tensors["y"].shape)
    types = [problem for role in (*roles, "y") for problem in _is(view, role, dtype, rank)]
    yield from types
    if types:
        return
    yield from _broadcast_axes(view, roles, end)


def _broadcast_axes(view: Step, roles: Sequence[str], end: int | None) -> Iterator[str]:
    shapes = [view.tensors[role].shape[:end] for role in roles]
    for axis, out in enumerate(view.tensors["y"].shape[:end]):
        sizes = [shape[axis] for shape in shapes]
        if any(size not in (1, out) for size in sizes) or max(sizes) != out:
            yield f"axis {axis}: {' and '.join(map(str, sizes))} do not broadcast to {out}"


def _scales(view: Step, role: str, *lead: int) -> Iterator[str]:
    """A float32 constant [*lead, K], K 1 or the last axis of y, all finite."""
    channels = view.tensors["y"].shape[-1]
    yield from _first(
        _is(view, role, "float32"),
        _has_shape(view, role, (*lead, 1), (*lead, channels)),
        _finite(view, role),
    )


def _add(view: Step) -> Iterator[str]:
    yield from _broadcasts(view, "uint8")
    yield from _scales(view, "multiplier", 2)


def _mul(view: Step) -> Iterator[str]:
    yield from _broadcasts(view, "uint8")
    yield from _scales(view, "multiplier")


def _same(view: Step, source: str, result: str) -> Iterator[str]:
    yield from _is(view, "x", source)
    yield from _is(view, "y", result)
    yield from _has_shape(view, "y", view.tensors["x"].shape)


def _table(view: Step) -> Iterator[str]:
    yield from _same(view, "uint8", "uint8")
    yield from _is(view, "table", "uint8")
    yield from _has_shape(view, "table", (1, 256), (view.tensors["x"].shape[-1], 256))


def _pool(view: Step) -> Iterator[str]:
    types = [*_is(view, "x", "uint8", 4), *_is(view, "y", "uint8", 4)]
    yield from types
    if types:
        return
    batch, _, _, channels = view.tensors["x"].shape
    _, height, width, _ = view.tensors["y"].shape
    yield from _has_shape(view, "y", (batch, height, width, channels))
    yield from _window(view, (view.params["kernel_h"], view.params["kernel_w"]))


def _average_pool(view: Step) -> Iterator[str]:
    said = [*_pool(view), *_is(view, "multiplier", "float32", 2)]
    yield from said
    if said:
        return
    rows, cols = view.tensors["multiplier"].shape
    taps = view.params["kernel_h"] * view.params["kernel_w"]
    if taps > POOL_TAPS_MAX:
        yield f"{taps} taps a sum, at most {POOL_TAPS_MAX}"
    yield from _classes(view, (rows, cols))
    yield from _finite(view, "multiplier")


def _gather(view: Step) -> Iterator[str]:
    dtype = view.tensors["y"].dtype
    types = [*_is(view, "x", dtype, 4), *_is(view, "y", dtype, 4)]
    yield from types
    if types:
        return
    batch, height, width, channels = view.tensors["x"].shape
    _, rows, cols, _ = view.tensors["y"].shape
    yield from _has_shape(view, "y", (batch, rows, cols, channels))
    for role, length, limit in (("rows", rows, height), ("cols", cols, width)):
        yield from _first(
            _is(view, role, "int32"),
            _has_shape(view, role, (length,)),
            _indices_below(view, role, limit),
        )


def _copy(view: Step) -> Iterator[str]:
    if "table" in view.tensors:
        yield from _is(view, "x", "uint8")
        yield from _is(view, "y", "uint8")
        yield from _is(view, "table", "uint8")
        yield from _has_shape(view, "table", (1, 256))
    yield from _is(view, "x", view.tensors["y"].dtype)
    sizes = [view.params[f"size_{axis}"] for axis in range(COPY_RANK)]
    if min(sizes) < 1:
        yield f"sizes {sizes} are not all at least 1"
        return
    for side, role in (("src", "x"), ("dst", "y")):
        strides = [view.params[f"{side}_stride_{axis}"] for axis in range(COPY_RANK)]
        steps = [(size - 1) * stride for size, stride in zip(sizes, strides, strict=True)]
        start, count = view.params[f"{side}_offset"], prod(view.tensors[role].shape)
        least = start + sum(min(step, 0) for step in steps)
        most = start + sum(max(step, 0) for step in steps)
        if least < 0 or most >= count:
            yield f"it reaches elements {least} to {most} of {role}, which has {count}"
        paired = zip(sizes, strides, strict=True)
        if side == "dst" and any(size > 1 > stride for size, stride in paired):
            yield f"destination strides {strides} are not all at least 1"
    if prod(sizes) > prod(view.tensors["y"].shape):
        yield f"it writes {prod(sizes)} elements into {prod(view.tensors['y'].shape)}"


def _fill(view: Step) -> Iterator[str]:
    yield from _is(view, "y", "uint8 float32")
    if view.tensors["y"].dtype == "uint8" and not 0 <= view.params["value"] <= 255:
        yield f"value {view.params['value']} is not 0 to 255"


def _quantize(view: Step) -> Iterator[str]:
    yield from _same(view, "float32", "uint8")
    yield from _scales(view, "scale")


def _dequantize(view: Step) -> Iterator[str]:
    yield from _same(view, "uint8", "float32")
    yield from _scales(view, "scale")


def _function(view: Step, count: int) -> Iterator[str]:
    if not 0 <= view.params["function"] < count:
        yield f"function {view.params['function']} is not 0 to {count - 1}"


def _f32_binary(view: Step) -> Iterator[str]:
    yield from _broadcasts(view, "float32")
    yield from _function(view, len(BINARY_FUNCTIONS))


def _f32_unary(view: Step) -> Iterator[str]:
    yield from _same(view, "float32", "float32")
    yield from _function(view, len(UNARY_FUNCTIONS))


def _f32_softmax(view: Step) -> Iterator[str]:
    yield from _same(view, "float32", "float32")


def _compare(view: Step) -> Iterator[str]:
    yield from _add(view)
    yield from _function(view, len(COMPARE_FUNCTIONS))


def _matmul(view: Step) -> Iterator[str]:
    rank = len(view.tensors["y"].shape)
    types = [
        *_is(view, "a", "uint8", rank),
        *_is(view, "b", "uint8", rank),
        *_is(view, "y", "uint8 float32"),
    ]
    yield from types
    if types:
        return
    a, b, y = (view.tensors[role].shape for role in ("a", "b", "y"))
    if rank < 2:
        yield f"y has {rank} axes, not 2 to {RANK_MAX}"
        return
    if a[-1] != b[-1] or a[-1] > MATMUL_DEPTH_MAX:
        yield f"{a[-1]} and {b[-1]} products a sum, not equal and at most {MATMUL_DEPTH_MAX}"
    yield from _has_shape(view, "y", (*y[:-2], a[-2], b[-2]))
    yield from _broadcast_axes(view, ("a", "b"), -2)
    yield from _scales(view, "multiplier")
    yield from _no_range_of_floats(view)


def _resize_linear(view: Step) -> Iterator[str]:
    types = [*_is(view, "x", "uint8", 4), *_is(view, "y", "uint8", 4)]
    yield from types
    if types:
        return
    batch, height, width, channels = view.tensors["x"].shape
    _, rows, cols, _ = view.tensors["y"].shape
    yield from _has_shape(view, "y", (batch, rows, cols, channels))
    for places, weights, length, limit in (
        ("rows", "row_weight", rows, height),
        ("cols", "col_weight", cols, width),
    ):
        yield from _first(
            _is(view, places, "int32"),
            _has_shape(view, places, (length, 2)),
            _indices_below(view, places, limit),
        )
        yield from _first(
            _is(view, weights, "int32"),
            _has_shape(view, weights, (length, 2)),
            _weights(view, weights),
        )


def _weights(view: Step, role: str) -> Iterator[str]:
    if not view.values.add_up(view.indices[role]):
        yield f"{role} holds a pair that does not add up to {RESIZE_ONE}, or is negative"


def _f32_where(view: Step) -> Iterator[str]:
    yield from _broadcasts(view, "float32", ("condition", "a", "b"))


def _f32_reduce(view: Step) -> Iterator[str]:
    yield from _is(view, "x", "float32")
    yield from _is(view, "y", "float32")
    yield from _has_shape(view, "y", (*view.tensors["x"].shape[:-1], 1))
    yield from _function(view, len(REDUCTIONS))


def _f32_matmul(view: Step) -> Iterator[str]:
    if len(view.tensors["y"].shape) < 2:
        yield f"y has {len(view.tensors['y'].shape)} axes, not 2 or more"
        return
    said = list(_broadcasts(view, "float32", end=-2))
    yield from said
    if said:
        return
    (m, k), (rows, n) = (view.tensors[role].shape[-2:] for role in ("a", "b"))
    if rows != k:
        yield f"a is [..,{m},{k}] and b is [..,{rows},{n}]: {k} is not {rows}"
    yield from _has_shape(view, "y", (*view.tensors["y"].shape[:-2], m, n))


#: What each kind obeys besides; a contract test compares the names with the instruction table.
RULES: dict[str, Callable[[Step], Iterator[str]]] = {
    "CONV": _conv,
    "ADD": _add,
    "MUL": _mul,
    "TABLE": _table,
    "MAX_POOL": _pool,
    "AVG_POOL": _average_pool,
    "GATHER_2D": _gather,
    "COPY": _copy,
    "FILL": _fill,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    "F32_BINARY": _f32_binary,
    "F32_UNARY": _f32_unary,
    "F32_SOFTMAX": _f32_softmax,
    "MATMUL": _matmul,
    "RESIZE_LINEAR": _resize_linear,
    "DIV": _mul,
    "MIN": _add,
    "MAX": _add,
    "COMPARE": _compare,
    "F32_WHERE": _f32_where,
    "F32_REDUCE": _f32_reduce,
    "F32_MATMUL": _f32_matmul,
}
