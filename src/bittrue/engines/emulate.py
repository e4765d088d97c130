"""The `bit_true` stage: a compiled program interpreted in NumPy, slow and normative.

Every rule is called from `bittrue.arith` and `bittrue.arith_float`, never repeated here. Each
buffer has bytes of its own, whatever the memory plan says: a plan that lets two live buffers
overlap therefore shows as a difference between this emulator and the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bittrue import arith, arith_float
from bittrue.compiler.instructions import (
    BINARY_FUNCTIONS,
    BY_NAME,
    COMPARE_FUNCTIONS,
    COPY_RANK,
    REDUCTIONS,
    UNARY_FUNCTIONS,
)
from bittrue.compiler.program import Instruction, Program
from bittrue.engines.runner import check_arrays
from bittrue.errors import InternalError

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction with its arrays: what an emulation rule sees.

    Args:
        inputs: Arrays of the input tensors, physical shapes.
        output: The array to fill in, physical shape.
        params: Each parameter by its name in the instruction table.
    """

    inputs: tuple[Array, ...]
    output: Array
    params: Mapping[str, int]


Emulation = Callable[[Step], None]


class Emulator:
    """Runs a program in NumPy, one instruction after the other.

    Args:
        program: A verified program; its memory plan is not used.
    """

    def __init__(self, program: Program) -> None:
        """Keep the program; nothing is prepared."""
        self.program = program

    def run(
        self, inputs: Sequence[Array], taps: Sequence[int] = ()
    ) -> tuple[list[Array], dict[int, Array]]:
        """Return the outputs, and the tensors asked for as they were when last written.

        Args:
            inputs: One array an input, in the program's order, of its tensor's dtype and
                physical shape.
            taps: Tensor indices.

        Returns:
            The outputs in order, and a copy of each tapped tensor, physical shapes.

        Raises:
            DataError: if an input has another dtype or shape.
        """
        program = self.program
        memory = self._memory(inputs)
        arrays = [memory[row.buffer].view(row.dtype).reshape(row.shape) for row in program.tensors]
        last = program.last_writes()
        found = {index: arrays[index].copy() for index in taps if last[index] < 0}
        for at, instruction in enumerate(program.instructions):
            emulate(instruction, arrays)
            for index in taps:
                if last[index] == at:
                    found[index] = arrays[index].copy()
        return [arrays[index].copy() for index in program.outputs], found

    def _memory(self, inputs: Sequence[Array]) -> list[Array]:
        """Return the bytes of every buffer, with the inputs and constants filled in."""
        program = self.program
        rows = [program.tensors[index] for index in program.inputs]
        check_arrays(rows, inputs, program.name)
        memory = [
            program.constants[index] if row.constant else np.zeros(row.nbytes, np.uint8)
            for index, row in enumerate(program.buffers)
        ]
        for row, array in zip(rows, inputs, strict=True):
            memory[row.buffer][:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return memory


def emulate(instruction: Instruction, arrays: Sequence[Array]) -> None:
    """Run one instruction on the tensors' arrays, in place on its output."""
    names = BY_NAME[instruction.kind].params
    step = Step(
        tuple(arrays[index] for index in instruction.inputs),
        arrays[instruction.outputs[0]],
        dict(zip(names, instruction.params, strict=True)),
    )
    EMULATORS[instruction.kind](step)


# --- windows -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a sliding window: tap k of output o reads ``o*stride - pad + k*dilation``."""

    size: int
    outputs: int
    stride: int
    dilation: int
    pad: int

    def inside(self, tap: int) -> tuple[slice, slice]:
        """Return the outputs whose tap lies inside the input, and the input places it reads."""
        shift = tap * self.dilation - self.pad
        first = max(0, -(shift // self.stride))
        last = min(self.outputs - 1, (self.size - 1 - shift) // self.stride)
        if last < first:
            return slice(0, 0), slice(0, 0)
        start = first * self.stride + shift
        return slice(first, last + 1), slice(start, last * self.stride + shift + 1, self.stride)


def window_axes(step: Step) -> tuple[Axis, Axis]:
    """Return the vertical and the horizontal axis of a windowed instruction."""
    p, x, y = step.params, step.inputs[0], step.output
    return (
        Axis(x.shape[1], y.shape[1], p["stride_h"], p["dilation_h"], p["pad_top"]),
        Axis(x.shape[2], y.shape[2], p["stride_w"], p["dilation_w"], p["pad_left"]),
    )


def _sum_taps(
    step: Step, acc: Array, kernel: tuple[int, int], term: Callable[[Array, int, int], Array]
) -> None:
    """Add `term(inside pixels, ky, kx)` of every tap to acc [N,OH,OW,O], in place."""
    rows, cols = window_axes(step)
    x = step.inputs[0]
    for ky in range(kernel[0]):
        out_rows, in_rows = rows.inside(ky)
        for kx in range(kernel[1]):
            out_cols, in_cols = cols.inside(kx)
            part = x[:, in_rows, in_cols]
            if part.size:
                acc[:, out_rows, out_cols] += term(part, ky, kx)


def _conv(step: Step) -> None:
    weight, bias, row_class, col_class, mult = step.inputs[1:]
    out, groups = step.output, step.params["groups"]
    kernel = (weight.shape[1], weight.shape[2])
    acc = np.zeros(out.shape, np.float64)  # exact: every sum is an integer below 2**53
    if groups == weight.shape[0] and weight.shape[3] == 1:
        repeat = weight.shape[0] // step.inputs[0].shape[3]

        def term(part: Array, ky: int, kx: int) -> Array:
            return np.repeat(part, repeat, axis=3) * weight[:, ky, kx, 0].astype(np.float64)
    else:
        per_group = weight.astype(np.float64).reshape(groups, -1, *weight.shape[1:])

        def term(part: Array, ky: int, kx: int) -> Array:
            split = part.reshape(*part.shape[:3], groups, -1).astype(np.float64)
            if groups == 1:
                return split[..., 0, :] @ per_group[0, :, ky, kx].T
            product: Array = np.einsum("nhwgc,goc->nhwgo", split, per_group[:, :, ky, kx])
            return product.reshape(*part.shape[:3], -1)

    _sum_taps(step, acc, kernel, term)
    acc += bias[row_class][:, col_class]  # [OH, OW, O]
    _store_sums(step, acc, mult)


def _store_sums(step: Step, acc: Array, mult: Array) -> None:
    """Requantise integer sums (float64 or int32) into the output, or scale them into floats."""
    wrapped = acc.astype(np.int64).astype(np.int32)
    if step.output.dtype == np.float32:
        step.output[...] = wrapped.astype(np.float32) * mult
        return
    p = step.params
    step.output[...] = arith.requantize(wrapped, mult, p["zero_point"], p["lo"], p["hi"])


def _max_pool(step: Step) -> None:
    rows, cols = window_axes(step)
    x, y = step.inputs[0], step.output
    y[...] = 0
    for ky in range(step.params["kernel_h"]):
        out_rows, in_rows = rows.inside(ky)
        for kx in range(step.params["kernel_w"]):
            out_cols, in_cols = cols.inside(kx)
            view = y[:, out_rows, out_cols]
            np.maximum(view, x[:, in_rows, in_cols], out=view)


def _avg_pool(step: Step) -> None:
    row_class, col_class, mult = step.inputs[1:]
    zero = step.params["zero_x"]
    acc = np.zeros(step.output.shape, np.float64)
    kernel = (step.params["kernel_h"], step.params["kernel_w"])
    _sum_taps(step, acc, kernel, lambda part, _ky, _kx: part.astype(np.float64) - zero)
    _store_sums(step, acc, mult[row_class][:, col_class][..., None])  # [OH, OW, 1]


# --- elementwise -------------------------------------------------------------------------------


def _pair(rule: Callable[[Array, Array, int, int, Array, int, int, int], Array]) -> Emulation:
    """Return the emulation of a rule of `arith` on two tensors of codes."""

    def run(step: Step) -> None:
        a, b, mult = step.inputs
        p = step.params
        step.output[...] = rule(
            a, b, p["zero_a"], p["zero_b"], mult, p["zero_point"], p["lo"], p["hi"]
        )

    return run


def _compare(step: Step) -> None:
    a, b, mult = step.inputs
    p = step.params
    function = COMPARE_FUNCTIONS[p["function"]]
    step.output[...] = arith.compare(a, b, p["zero_a"], p["zero_b"], mult, function)


def _matmul(step: Step) -> None:
    a, b, mult = step.inputs
    acc = arith.matmul(a, b, step.params["zero_a"], step.params["zero_b"])
    _store_sums(step, acc, mult)


def _table(step: Step) -> None:
    x, table = step.inputs
    if table.shape[0] == 1:
        step.output[...] = table[0][x]
    else:
        step.output[...] = table[np.arange(table.shape[0]), x]


def _quantize(step: Step) -> None:
    x, scale = step.inputs
    step.output[...] = arith.quantize(x, scale, step.params["zero_point"])


def _dequantize(step: Step) -> None:
    x, scale = step.inputs
    step.output[...] = arith.dequantize(x, scale, step.params["zero_point"])


def _f32_binary(step: Step) -> None:
    function = arith_float.BINARY[BINARY_FUNCTIONS[step.params["function"]]]
    with np.errstate(all="ignore"):
        step.output[...] = arith_float.one_nan(function(step.inputs[0], step.inputs[1]))


def _f32_unary(step: Step) -> None:
    function = arith_float.UNARY[UNARY_FUNCTIONS[step.params["function"]]]
    with np.errstate(all="ignore"):
        step.output[...] = arith_float.one_nan(function(step.inputs[0]))


def _f32_softmax(step: Step) -> None:
    with np.errstate(all="ignore"):
        step.output[...] = arith_float.one_nan(arith_float.softmax(step.inputs[0]))


def _f32_where(step: Step) -> None:
    step.output[...] = arith_float.one_nan(arith_float.where(*step.inputs))


def _f32_reduce(step: Step) -> None:
    function = arith_float.REDUCTIONS[REDUCTIONS[step.params["function"]]]
    with np.errstate(all="ignore"):
        step.output[...] = arith_float.one_nan(function(step.inputs[0]))[..., None]


def _f32_matmul(step: Step) -> None:
    with np.errstate(all="ignore"):
        step.output[...] = arith_float.one_nan(arith_float.matmul(step.inputs[0], step.inputs[1]))


# --- moves -------------------------------------------------------------------------------------


def _gather_2d(step: Step) -> None:
    x, rows, cols = step.inputs
    step.output[...] = x[:, rows][:, :, cols]


def _resize_linear(step: Step) -> None:
    x, rows, row_weight, cols, col_weight = step.inputs
    step.output[...] = arith.resize_linear(x, rows, row_weight, cols, col_weight)


def _strided(array: Array, offset: int, strides: Sequence[int], sizes: Sequence[int]) -> Array:
    """Return the view ``view[i] = array.flat[offset + sum i*stride]``, after checking its reach."""
    reach = [stride * (size - 1) for stride, size in zip(strides, sizes, strict=True)]
    low = offset + sum(min(0, item) for item in reach)
    high = offset + sum(max(0, item) for item in reach)
    if low < 0 or high >= array.size:
        raise InternalError(f"COPY reaches {low}..{high} of {array.size} elements")
    flat = array.reshape(-1)[offset:]
    steps = [stride * array.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(flat, tuple(sizes), steps)


def _writes_once(strides: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether each axis steps over all that the axes of smaller steps write."""
    reach = 0
    for stride, size in sorted(zip(strides, sizes, strict=True)):
        if size > 1 and stride <= reach:
            return False
        reach += (size - 1) * stride
    return True


def _copy(step: Step) -> None:
    p, x = step.params, step.inputs[0]
    sizes = [p[f"size_{i}"] for i in range(COPY_RANK)]
    source = _strided(x, p["src_offset"], [p[f"src_stride_{i}"] for i in range(COPY_RANK)], sizes)
    codes = source if len(step.inputs) == 1 else step.inputs[1][0][source]
    strides = [p[f"dst_stride_{i}"] for i in range(COPY_RANK)]
    if _writes_once(strides, sizes):
        _strided(step.output, p["dst_offset"], strides, sizes)[...] = codes
        return
    # NumPy assigns to a view in an order of its own; to a list of places in the list's order.
    places = _strided(np.arange(step.output.size), p["dst_offset"], strides, sizes)
    step.output.reshape(-1)[places.reshape(-1)] = codes.reshape(-1)


def _fill(step: Step) -> None:
    value = step.params["value"]
    if step.output.dtype == np.float32:
        step.output[...] = np.array([value], np.int32).view(np.float32)[0]
    else:
        step.output[...] = value


#: The rule of each instruction; a contract test compares the names with the instruction table.
EMULATORS: dict[str, Emulation] = {
    "CONV": _conv,
    "ADD": _pair(arith.add),
    "MUL": _pair(arith.mul),
    "TABLE": _table,
    "MAX_POOL": _max_pool,
    "AVG_POOL": _avg_pool,
    "GATHER_2D": _gather_2d,
    "COPY": _copy,
    "FILL": _fill,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    "F32_BINARY": _f32_binary,
    "F32_UNARY": _f32_unary,
    "F32_SOFTMAX": _f32_softmax,
    "MATMUL": _matmul,
    "RESIZE_LINEAR": _resize_linear,
    "DIV": _pair(arith.div),
    "MIN": _pair(arith.minimum),
    "MAX": _pair(arith.maximum),
    "COMPARE": _compare,
    "F32_WHERE": _f32_where,
    "F32_REDUCE": _f32_reduce,
    "F32_MATMUL": _f32_matmul,
}
