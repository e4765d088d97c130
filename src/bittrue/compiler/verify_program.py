"""What every program must be before anything runs it, whoever made it: the compiler or a file.

The rules are those of docs/format.md. The reader of files turns a problem into a FormatError with
its byte; the compiler turns one into an InternalError. All sizes are Python's whole numbers, so no
product below can overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

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
from bittrue.compiler.program import ALIGNMENT, MAX_RANK, Buffer, Instruction, Program, Tensor
from bittrue.dtypes import DTYPES
from bittrue.errors import InternalError

DIM_MAX = 2**31 - 1
FLOAT32_MAX = float(np.finfo(np.float32).max)
BYTES_MAX = 2**40
COUNT_MAX = 2**20
IO_MAX = 1024
WINDOW_MAX = 2**15
#: 65,536 products of at most 255 * 127 stay below 2^31 (docs/numerics.md).
CONV_TAPS_MAX = 65536
#: 2^23 codes of at most 255 stay below 2^31.
POOL_TAPS_MAX = 2**23
#: Roles that only a constant may play, and that an engine may therefore prepare when it loads.
CONSTANT_ROLES = frozenset(
    ("weight", "bias", "row_class", "col_class", "multiplier", "table", "rows", "cols", "scale")
) | {"row_weight", "col_weight"}
#: Kinds whose output may lie on an input of its own type and shape.
IN_PLACE = frozenset(("TABLE", "ADD", "MUL", "F32_BINARY", "F32_UNARY")) | {
    *("DIV", "MIN", "MAX", "COMPARE")
}
_CODES = ("zero_point", "lo", "hi", "zero_a", "zero_b", "zero_x")

Place = Literal["program", "buffer", "tensor", "io", "instruction"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule.

    Args:
        place: Which list it is in.
        index: Position in that list; for "io" in the inputs followed by the outputs.
        message: The rule that is broken, with its values.
    """

    place: Place
    index: int
    message: str


def verify_program(program: Program) -> None:
    """Check a program of ours.

    Raises:
        InternalError: if any rule is broken; the first ten are listed.
    """
    found = [f"{item.place} {item.index}: {item.message}" for item in problems(program)]
    if found:
        raise InternalError(f"program {program.name!r} is broken:\n  " + "\n  ".join(found[:10]))


def problems(program: Program) -> Iterator[Problem]:
    """Yield every rule that a program breaks; rules on what is broken already are not tried.

    Offsets of -1 (not planned yet) are accepted in arena buffers while `arena_bytes` is 0.
    """
    first = list(_structure(program))
    yield from first
    if first:
        return
    yield from _network_ends(program)
    values = ConstantValues(program)
    for index, step in enumerate(program.instructions):
        for message in _instruction(program, step, values):
            yield Problem("instruction", index, f"{step.kind} {step.name!r}: {message}")


# --- lists -----------------------------------------------------------------------------------


def _structure(program: Program) -> Iterator[Problem]:
    counts = (len(program.tensors), len(program.buffers), len(program.instructions))
    if max(counts) > COUNT_MAX:
        yield Problem("program", 0, f"{max(counts)} entries in one list, at most {COUNT_MAX}")
    for index, _ in enumerate(program.buffers):
        for message in _buffer(program, index):
            yield Problem("buffer", index, message)
    names: set[str] = set()
    for index, tensor in enumerate(program.tensors):
        for message in _tensor(program, tensor):
            yield Problem("tensor", index, message)
        if tensor.name in names:
            yield Problem("tensor", index, f"a second tensor is called {tensor.name!r}")
        names.add(tensor.name)
    for index, tensor_index in enumerate((*program.inputs, *program.outputs)):
        if not 0 <= tensor_index < len(program.tensors):
            yield Problem("io", index, f"tensor {tensor_index} of {len(program.tensors)}")
    for index, step in enumerate(program.instructions):
        for message in _counts(program, step):
            yield Problem("instruction", index, message)


def _buffer(program: Program, index: int) -> Iterator[str]:
    buffer = program.buffers[index]
    if not 1 <= buffer.nbytes <= BYTES_MAX:
        yield f"{buffer.nbytes} bytes, not 1 to 2^40"
    planned = buffer.offset >= 0
    if planned and buffer.offset % ALIGNMENT:
        yield f"offset {buffer.offset} is no multiple of {ALIGNMENT}"
    if not buffer.constant and planned != (program.arena_bytes > 0):
        yield f"offset {buffer.offset}, while the arena has {program.arena_bytes} bytes"
    if not buffer.constant and planned and buffer.offset + buffer.nbytes > program.arena_bytes:
        end = buffer.offset + buffer.nbytes
        yield f"ends at {end}, the arena has {program.arena_bytes} bytes"
    if buffer.constant:
        array = program.constants.get(index)
        held = None if array is None else array.nbytes
        if held != buffer.nbytes:
            yield f"{buffer.nbytes} bytes of constants are promised, {held} are there"


def _tensor(program: Program, tensor: Tensor) -> Iterator[str]:
    if tensor.dtype not in DTYPES or not DTYPES[tensor.dtype].code:
        yield f"type {tensor.dtype!r} cannot be in a program"
        return
    if not 1 <= len(tensor.name.encode()) <= 65535:
        yield f"a name of {len(tensor.name.encode())} bytes, not 1 to 65535"
    if "\0" in tensor.name:
        yield f"its name {tensor.name!r} has a zero byte"
    if not 1 <= len(tensor.shape) <= MAX_RANK:
        yield f"{len(tensor.shape)} axes, not 1 to {MAX_RANK}"
    if not all(1 <= dim <= DIM_MAX for dim in tensor.shape):
        yield f"shape {list(tensor.shape)} has an axis that is not 1 to 2^31-1"
    if tensor.perm and sorted(tensor.perm) != list(range(len(tensor.shape))):
        yield f"perm {list(tensor.perm)} is no order of {len(tensor.shape)} axes"
    if not 0 <= tensor.zero_point <= 255:
        yield f"zero point {tensor.zero_point} is not 0 to 255"
    if not all(0 < scale <= FLOAT32_MAX and np.float32(scale) > 0 for scale in tensor.scale):
        yield "a scale is not positive and finite as float32"
    if len(tensor.scale) > 1 and len(tensor.scale) not in tensor.shape:
        yield f"{len(tensor.scale)} scales for shape {list(tensor.shape)}"
    if not 0 <= tensor.buffer < len(program.buffers):
        yield f"buffer {tensor.buffer} of {len(program.buffers)}"
    elif tensor.nbytes != program.buffers[tensor.buffer].nbytes:
        held = program.buffers[tensor.buffer].nbytes
        what = f"{tensor.dtype} {list(tensor.shape)}"
        yield f"{what} takes {tensor.nbytes} bytes, its buffer has {held}"


def arity_problems(row: InstructionKind, counts: tuple[int, int, int]) -> Iterator[str]:
    """Yield what is wrong with an instruction's numbers of inputs, outputs and params."""
    inputs, outputs, params = counts
    optional = sum(role.endswith("?") for role in row.inputs)
    if not len(row.inputs) - optional <= inputs <= len(row.inputs):
        yield f"{row.name} has {inputs} inputs, not {len(row.inputs)}"
    if outputs != len(row.outputs):
        yield f"{row.name} has {outputs} outputs, not {len(row.outputs)}"
    if params != len(row.params):
        yield f"{row.name} has {params} params, not {len(row.params)}"


def _counts(program: Program, step: Instruction) -> Iterator[str]:
    row = BY_NAME.get(step.kind)
    if row is None:
        yield f"kind {step.kind!r} is unknown"
        return
    yield from arity_problems(row, (len(step.inputs), len(step.outputs), len(step.params)))
    for index in (*step.inputs, *step.outputs):
        if not 0 <= index < len(program.tensors):
            yield f"{step.kind} uses tensor {index} of {len(program.tensors)}"
    for param in step.params:
        if not -(2**31) <= param < 2**31:
            yield f"{step.kind} has param {param}, which is no int32"


def _network_ends(program: Program) -> Iterator[Problem]:
    """Inputs and outputs: arena, distinct, on distinct buffers, as the contract says."""
    base = 0
    for ends, contract in (
        (program.inputs, program.contract.inputs),
        (program.outputs, program.contract.outputs),
    ):
        if not 1 <= len(ends) <= IO_MAX or len(ends) != len(contract):
            yield Problem("io", base, f"{len(ends)} tensors, {len(contract)} in the contract")
            return
        buffers: set[int] = set()
        for index, (tensor_index, promise) in enumerate(zip(ends, contract, strict=True)):
            tensor = program.tensors[tensor_index]
            if program.buffers[tensor.buffer].constant:
                yield Problem("io", base + index, f"{tensor.name!r} is a constant")
            if tensor.buffer in buffers:
                yield Problem("io", base + index, f"{tensor.name!r} shares its buffer")
            buffers.add(tensor.buffer)
            if (tensor.dtype, tensor.shape) != (promise.dtype, promise.shape):
                yield Problem(
                    "io",
                    base + index,
                    f"{tensor.name!r} is {tensor.dtype} {list(tensor.shape)}, the contract says "
                    f"{promise.dtype} {list(promise.shape)}",
                )
        base += len(ends)


# --- instructions ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction with its parts by name."""

    program: Program
    tensors: dict[str, Tensor]
    indices: dict[str, int]
    params: dict[str, int]
    values: ConstantValues


def _instruction(program: Program, step: Instruction, values: ConstantValues) -> Iterator[str]:
    row = BY_NAME[step.kind]
    roles = [role.rstrip("?") for role in row.inputs][: len(step.inputs)] + list(row.outputs)
    indices = dict(zip(roles, (*step.inputs, *step.outputs), strict=True))
    tensors = {role: program.tensors[index] for role, index in indices.items()}
    params = dict(zip(row.params, step.params, strict=True))
    view = _Step(program, tensors, indices, params, values)
    places = list(_places(step, view)) + list(_codes(view))
    yield from places
    if not places:
        yield from _CHECKS[step.kind](view)


def _places(step: Instruction, view: _Step) -> Iterator[str]:
    """Where tensors may lie: constants, and outputs on inputs."""
    output = view.tensors["y"]
    if view.program.buffers[output.buffer].constant:
        yield "it writes a constant"
    for role, tensor in view.tensors.items():
        constant = view.program.buffers[tensor.buffer].constant
        if role in CONSTANT_ROLES and not constant:
            yield f"{role} {tensor.name!r} is no constant"
        if role == "y":
            continue
        if tensor.buffer != output.buffer:
            if _overlap(view.program.buffers[tensor.buffer], view.program.buffers[output.buffer]):
                yield f"its output overlaps {role} {tensor.name!r} in the arena"
            continue
        alike = (tensor.dtype, tensor.shape) == (output.dtype, output.shape)
        if step.kind not in IN_PLACE or not alike:
            yield f"its output shares the buffer of {role} {tensor.name!r}"


def _overlap(one: Buffer, other: Buffer) -> bool:
    """Whether two buffers share bytes of the arena; those without a place yet do not."""
    if one.constant or other.constant or min(one.offset, other.offset) < 0:
        return False
    return one.offset < other.offset + other.nbytes and other.offset < one.offset + one.nbytes


def _codes(view: _Step) -> Iterator[str]:
    for name in _CODES:
        if name in view.params and not 0 <= view.params[name] <= 255:
            yield f"{name} {view.params[name]} is not 0 to 255"
    if "lo" in view.params and view.params["lo"] > view.params["hi"]:
        yield f"lo {view.params['lo']} is above hi {view.params['hi']}"


def _is(view: _Step, role: str, dtypes: str, rank: int | None = None) -> Iterator[str]:
    tensor = view.tensors[role]
    if tensor.dtype not in dtypes.split():
        yield f"{role} is {tensor.dtype}, not {dtypes.replace(' ', ' or ')}"
    if rank is not None and len(tensor.shape) != rank:
        yield f"{role} has {len(tensor.shape)} axes, not {rank}"


def _has_shape(view: _Step, role: str, *shapes: tuple[int, ...]) -> Iterator[str]:
    shape = view.tensors[role].shape
    if shape not in shapes:
        wanted = " or ".join(str(list(item)) for item in shapes)
        yield f"{role} is {list(shape)}, not {wanted}"


def _indices_below(view: _Step, role: str, limit: int) -> Iterator[str]:
    least, most = view.values.limits(view.indices[role])
    if least < 0 or most >= limit:
        yield f"{role} holds {least} to {most}, not 0 to {limit - 1}"


def _finite(view: _Step, role: str) -> Iterator[str]:
    if not view.values.are_finite(view.indices[role]):
        yield f"{role} holds a value that is not finite"


def _first(*rules: Iterator[str]) -> list[str]:
    """Return what the first broken rule says: later rules rely on earlier ones."""
    for rule in rules:
        said = list(rule)
        if said:
            return said
    return []


def _window(view: _Step, kernel: tuple[int, int]) -> Iterator[str]:
    names = ("stride_h", "stride_w", "dilation_h", "dilation_w")
    sizes = dict(zip(("kernel_h", "kernel_w"), kernel, strict=True))
    for name, value in {**sizes, **{name: view.params[name] for name in names}}.items():
        if not 1 <= value <= WINDOW_MAX:
            yield f"{name} {value} is not 1 to {WINDOW_MAX}"
    for name in ("pad_top", "pad_left"):
        if not -WINDOW_MAX <= view.params[name] <= WINDOW_MAX:
            yield f"{name} {view.params[name]} is not -{WINDOW_MAX} to {WINDOW_MAX}"


def _classes(view: _Step, counts: tuple[int, int]) -> Iterator[str]:
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


def _conv(view: _Step) -> Iterator[str]:
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
    codes = [view.params[name] for name in ("zero_point", "lo", "hi")]
    if view.tensors["y"].dtype == "float32" and any(codes):
        yield f"zero_point, lo, hi are {codes}, not 0, of a float32 output"


def _broadcasts(
    view: _Step, dtype: str, roles: Sequence[str] = ("a", "b"), end: int | None = None
) -> Iterator[str]:
    """The inputs are of one type and y's rank; their axes before `end` broadcast to y's."""
    rank = len(view.tensors["y"].shape)
    types = [problem for role in (*roles, "y") for problem in _is(view, role, dtype, rank)]
    yield from types
    if types:
        return
    yield from _broadcast_axes(view, roles, end)


def _broadcast_axes(view: _Step, roles: Sequence[str], end: int | None) -> Iterator[str]:
    shapes = [view.tensors[role].shape[:end] for role in roles]
    for axis, out in enumerate(view.tensors["y"].shape[:end]):
        sizes = [shape[axis] for shape in shapes]
        if any(size not in (1, out) for size in sizes) or max(sizes) != out:
            yield f"axis {axis}: {' and '.join(map(str, sizes))} do not broadcast to {out}"


def _scales(view: _Step, role: str, *lead: int) -> Iterator[str]:
    """A float32 constant [*lead, K], K 1 or the last axis of y, all finite."""
    channels = view.tensors["y"].shape[-1]
    yield from _first(
        _is(view, role, "float32"),
        _has_shape(view, role, (*lead, 1), (*lead, channels)),
        _finite(view, role),
    )


def _add(view: _Step) -> Iterator[str]:
    yield from _broadcasts(view, "uint8")
    yield from _scales(view, "multiplier", 2)


def _mul(view: _Step) -> Iterator[str]:
    yield from _broadcasts(view, "uint8")
    yield from _scales(view, "multiplier")


def _same(view: _Step, source: str, result: str) -> Iterator[str]:
    yield from _is(view, "x", source)
    yield from _is(view, "y", result)
    yield from _has_shape(view, "y", view.tensors["x"].shape)


def _table(view: _Step) -> Iterator[str]:
    yield from _same(view, "uint8", "uint8")
    yield from _is(view, "table", "uint8")
    yield from _has_shape(view, "table", (1, 256), (view.tensors["x"].shape[-1], 256))


def _pool(view: _Step) -> Iterator[str]:
    types = [*_is(view, "x", "uint8", 4), *_is(view, "y", "uint8", 4)]
    yield from types
    if types:
        return
    batch, _, _, channels = view.tensors["x"].shape
    _, height, width, _ = view.tensors["y"].shape
    yield from _has_shape(view, "y", (batch, height, width, channels))
    yield from _window(view, (view.params["kernel_h"], view.params["kernel_w"]))


def _average_pool(view: _Step) -> Iterator[str]:
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


def _gather(view: _Step) -> Iterator[str]:
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


def _copy(view: _Step) -> Iterator[str]:
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


def _fill(view: _Step) -> Iterator[str]:
    yield from _is(view, "y", "uint8 float32")
    if view.tensors["y"].dtype == "uint8" and not 0 <= view.params["value"] <= 255:
        yield f"value {view.params['value']} is not 0 to 255"


def _quantize(view: _Step) -> Iterator[str]:
    yield from _same(view, "float32", "uint8")
    yield from _scales(view, "scale")


def _dequantize(view: _Step) -> Iterator[str]:
    yield from _same(view, "uint8", "float32")
    yield from _scales(view, "scale")


def _function(view: _Step, count: int) -> Iterator[str]:
    if not 0 <= view.params["function"] < count:
        yield f"function {view.params['function']} is not 0 to {count - 1}"


def _f32_binary(view: _Step) -> Iterator[str]:
    yield from _broadcasts(view, "float32")
    yield from _function(view, len(BINARY_FUNCTIONS))


def _f32_unary(view: _Step) -> Iterator[str]:
    yield from _same(view, "float32", "float32")
    yield from _function(view, len(UNARY_FUNCTIONS))


def _f32_softmax(view: _Step) -> Iterator[str]:
    yield from _same(view, "float32", "float32")


def _compare(view: _Step) -> Iterator[str]:
    yield from _add(view)
    yield from _function(view, len(COMPARE_FUNCTIONS))


def _matmul(view: _Step) -> Iterator[str]:
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
        yield f"y has {rank} axes, not 2 to {MAX_RANK}"
        return
    if a[-1] != b[-1] or a[-1] > MATMUL_DEPTH_MAX:
        yield f"{a[-1]} and {b[-1]} products a sum, not equal and at most {MATMUL_DEPTH_MAX}"
    yield from _has_shape(view, "y", (*y[:-2], a[-2], b[-2]))
    yield from _broadcast_axes(view, ("a", "b"), -2)
    yield from _scales(view, "multiplier")
    codes = [view.params[name] for name in ("zero_point", "lo", "hi")]
    if view.tensors["y"].dtype == "float32" and any(codes):
        yield f"zero_point, lo, hi are {codes}, not 0, of a float32 output"


def _resize_linear(view: _Step) -> Iterator[str]:
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


def _weights(view: _Step, role: str) -> Iterator[str]:
    if not view.values.add_up(view.indices[role]):
        yield f"{role} holds a pair that does not add up to {RESIZE_ONE}, or is negative"


def _f32_where(view: _Step) -> Iterator[str]:
    yield from _broadcasts(view, "float32", ("condition", "a", "b"))


def _f32_reduce(view: _Step) -> Iterator[str]:
    yield from _is(view, "x", "float32")
    yield from _is(view, "y", "float32")
    yield from _has_shape(view, "y", (*view.tensors["x"].shape[:-1], 1))
    yield from _function(view, len(REDUCTIONS))


def _f32_matmul(view: _Step) -> Iterator[str]:
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


_CHECKS: dict[str, Callable[[_Step], Iterator[str]]] = {
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
