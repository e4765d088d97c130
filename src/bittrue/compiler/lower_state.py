"""A program while it is being written: tensors, constants and steps so far, and how values lie.

It lives inside `compile_graph` only. A lowering asks it for operands, makes new ones, emits steps
and returns the operands that are the node's outputs; names, borders between codes and floats, and
network outputs are settled here, once for all operators.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from bittrue import arith
from bittrue.arith import QParams
from bittrue.compiler.constants import Refusal
from bittrue.compiler.instructions import BY_NAME, COPY_RANK
from bittrue.compiler.limits import DIM_MAX, RANK_MAX
from bittrue.compiler.program import Buffer, Instruction, Tensor
from bittrue.errors import InternalError
from bittrue.graph.model import Node, Shape, Value
from bittrue.graph.names import fresh
from bittrue.quant.model import QuantizedGraph

Perm = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor of the program as a value of the graph.

    Args:
        tensor: Index in the program.
        shape: Logical shape.
        perm: Physical axis i holds logical axis perm[i].
        qparams: What the codes stand for; None for float32.
    """

    tensor: int
    shape: Shape
    perm: Perm
    qparams: QParams | None

    @property
    def physical(self) -> Shape:
        """The shape in memory's order; that of a value without axes is [1]."""
        return tuple(self.shape[axis] for axis in self.perm) or (1,)

    @property
    def dtype(self) -> str:
        """The type of its elements."""
        return "float32" if self.qparams is None else "uint8"

    @property
    def strides(self) -> list[int]:
        """Elements from one step to the next along each logical axis."""
        found = [0] * len(self.perm)
        step = 1
        for axis in reversed(self.perm):
            found[axis] = step
            step *= self.shape[axis]
        return found


def identity(rank: int) -> Perm:
    """Return the order of axes in which nothing moves."""
    return tuple(range(rank))


def channels_last(rank: int, axis: int = 1, base: Perm | None = None) -> Perm:
    """Return an order of axes that ends in `axis`; the others stay in the order of `base`."""
    order = identity(rank) if base is None else base
    return (*(item for item in order if item != axis), axis)


def real_order(shape: Shape, perm: Perm) -> Perm:
    """Return perm without axes of length 1, which lie anywhere at no cost."""
    return tuple(axis for axis in perm if shape[axis] > 1)


def equal_codes(a: QParams, b: QParams) -> bool:
    """Return whether equal codes stand for equal values."""
    if a.zero_point != b.zero_point or not np.array_equal(a.scale, b.scale):
        return False
    return not a.per_channel or a.axis == b.axis


class Lowering:
    """The program so far.

    Args:
        quantized: The graph that is being lowered.
    """

    def __init__(self, quantized: QuantizedGraph) -> None:
        """Start an empty program with the network's inputs."""
        self.quantized = quantized
        self.graph = quantized.graph
        self.tensors: list[Tensor] = []
        self.buffers: list[Buffer] = []
        self.steps: list[Instruction] = []
        self.constants: dict[int, np.ndarray] = {}
        self.placed: dict[str, Operand] = {}
        self._node = Node("", "", (), ())
        self._named: set[int] = set()
        self._known: dict[tuple[str, Shape, bytes], int] = {}
        self._copies: dict[tuple[int, Perm], Operand] = {}
        self._converted: dict[tuple[int, str, bytes, int], Operand] = {}
        self._taken = set(self.graph.values)

    def start(self, node: Node) -> None:
        """Say which node the following steps come from."""
        self._node = node

    # --- what is there --------------------------------------------------------------------------

    def value(self, name: str) -> Value:
        """Return a value of the graph."""
        return self.graph.values[name]

    def expected(self, name: str) -> QParams | None:
        """Return what a value's codes must stand for; None where it is stored as float32."""
        return self.quantized.activations.get(name)

    def array(self, name: str) -> np.ndarray | None:
        """Return the array of a constant; None for what is computed."""
        return self.graph.constants.get(name)

    def given(self, node: Node, index: int) -> np.ndarray | None:
        """Return the constant that a node's input is; None where it is left out.

        Raises:
            Refusal: if the input is computed.
        """
        if not node.input(index):
            return None
        array = self.array(node.inputs[index])
        if array is None:
            raise Refusal(f"its input '{node.inputs[index]}' is computed, it must be a constant")
        return array

    def read(self, name: str, qparams: QParams | None = None) -> Operand:
        """Return a value as it is stored; a constant in the given codes, or as float32.

        Raises:
            Refusal: if the value is of a type that the engine does not have.
        """
        array = self.array(name)
        if array is None:
            return self.placed[name]
        if array.dtype != np.float32:
            raise Refusal(f"constant '{name}' is {array.dtype}, not float32")
        if qparams is None:
            return self.constant_operand("constant", array, None)
        codes = arith.quantize(array, qparams.along(array.ndim), qparams.zero_point)
        return self.constant_operand("constant", codes, qparams)

    def codes(self, name: str) -> tuple[Operand, QParams]:
        """Return a value that must be stored as codes, and what they stand for.

        Raises:
            Refusal: if it is stored as float32 or is a constant.
        """
        found = None if self.array(name) is not None else self.placed[name]
        if found is None or found.qparams is None:
            raise Refusal(f"its input '{name}' is not stored as codes, and it has no float form")
        return found, found.qparams

    # --- making tensors --------------------------------------------------------------------------

    def new(self, shape: Shape, perm: Perm, qparams: QParams | None) -> Operand:
        """Return a new operand with a buffer of its own in the arena."""
        draft = Operand(len(self.tensors), shape, perm, qparams)
        self._check_shape(draft.physical)
        self._append(draft.dtype, draft.physical, len(self.buffers), qparams)
        self.buffers.append(Buffer(self.tensors[-1].nbytes, False))
        return draft

    def raw(self, shape: Shape, qparams: QParams | None) -> Operand:
        """Return a new operand whose logical shape is its physical one."""
        return self.new(shape, identity(len(shape)), qparams)

    def view(self, operand: Operand, shape: Shape, perm: Perm) -> Operand:
        """Return the same bytes under another shape; no step is emitted."""
        seen = replace(operand, shape=shape, perm=perm)
        row = self.tensors[operand.tensor]
        if seen.physical == row.shape:
            return seen
        self._check_shape(seen.physical)
        if prod(seen.physical) != prod(row.shape):
            raise InternalError(f"view of {row.shape} as {seen.physical}")
        self._append(row.dtype, seen.physical, row.buffer, operand.qparams)
        return replace(seen, tensor=len(self.tensors) - 1)

    def raw_view(self, operand: Operand, shape: Shape) -> Operand:
        """Return the same bytes as a physical shape."""
        return self.view(operand, shape, identity(len(shape)))

    def constant(self, role: str, array: np.ndarray) -> int:
        """Return the index of a constant tensor; equal ones are stored once."""
        dense = np.ascontiguousarray(array)
        data = dense.reshape(-1).view(np.uint8)
        key = (dense.dtype.name, dense.shape, hashlib.sha256(data.tobytes()).digest())
        if key not in self._known:
            self._known[key] = len(self.tensors)
            self.constants[len(self.buffers)] = data
            name = fresh(f"{self._node.name}/{role}", self._taken, ".")
            self.tensors.append(Tensor(name, dense.dtype.name, dense.shape, len(self.buffers)))
            self.buffers.append(Buffer(dense.nbytes, True))
        return self._known[key]

    def constant_operand(
        self, role: str, array: np.ndarray, qparams: QParams | None, perm: Perm | None = None
    ) -> Operand:
        """Return a constant (float32, or uint8 codes) as an operand in some order of axes."""
        order = identity(array.ndim) if perm is None else perm
        physical = array.transpose(order)
        index = self.constant(role, physical.reshape(physical.shape or (1,)))
        return Operand(index, array.shape, order, qparams)

    def _append(self, dtype: str, shape: Shape, buffer: int, qparams: QParams | None) -> None:
        scale = () if qparams is None else tuple(float(item) for item in qparams.scale)
        zero = 0 if qparams is None else qparams.zero_point
        name = fresh(f"{self._node.name}/step", self._taken, ".")
        self.tensors.append(Tensor(name, dtype, shape, buffer, (), scale, zero))

    @staticmethod
    def _check_shape(shape: Shape) -> None:
        if not 1 <= len(shape) <= RANK_MAX or not all(1 <= dim <= DIM_MAX for dim in shape):
            raise Refusal(f"shape {list(shape)} is not 1 to {RANK_MAX} axes of at least 1")

    # --- steps -----------------------------------------------------------------------------------

    def emit(
        self, kind: str, inputs: Sequence[int], output: Operand, params: Mapping[str, int]
    ) -> Operand:
        """Append a step that writes `output`, and return it."""
        values = tuple(int(params[name]) for name in BY_NAME[kind].params)
        step = Instruction(
            kind, tuple(inputs), (output.tensor,), values, self._node.name, self._node.origin
        )
        self.steps.append(step)
        return output

    def copy(
        self,
        source: Operand,
        target: Operand,
        axes: Sequence[tuple[int, int, int]],
        offsets: tuple[int, int] = (0, 0),
        table: np.ndarray | None = None,
    ) -> None:
        """Emit a COPY.

        Args:
            source: Read.
            target: Written.
            axes: Size, source stride and target stride of each axis, in any order.
            offsets: First element of the source and of the target.
            table: uint8 [1, 256] that codes pass through.

        Raises:
            Refusal: if it takes more axes or larger numbers than the instruction has.
        """
        packed = merged_axes(axes)
        if len(packed) > COPY_RANK:
            raise Refusal(f"moving its elements takes {len(packed)} strides, at most {COPY_RANK}")
        packed = [(1, 0, 0)] * (COPY_RANK - len(packed)) + packed
        params = {"src_offset": offsets[0], "dst_offset": offsets[1]}
        for index, (size, read, write) in enumerate(packed):
            params |= {f"size_{index}": size, f"src_stride_{index}": read}
            params[f"dst_stride_{index}"] = write
        if max(map(abs, params.values())) > DIM_MAX:
            raise Refusal("its tensor has 2^31 elements or more")
        tables = [] if table is None else [self.constant("table", table)]
        self.emit("COPY", (source.tensor, *tables), target, params)

    # --- other forms of an operand ---------------------------------------------------------------

    def laid_out(self, operand: Operand, perm: Perm) -> Operand:
        """Return an operand in another order of axes: a view where that costs nothing."""
        if real_order(operand.shape, perm) == real_order(operand.shape, operand.perm):
            return self.view(operand, operand.shape, perm)
        if self.is_constant(operand):
            logical = self._constant_array(operand)
            return self.constant_operand("constant", logical, operand.qparams, perm)
        key = (operand.tensor, perm)
        if key not in self._copies or self._copies[key].shape != operand.shape:
            made = self.new(operand.shape, perm, operand.qparams)
            strides = zip(operand.shape, operand.strides, made.strides, strict=True)
            self.copy(operand, made, list(strides))
            self._copies[key] = made
        return self._copies[key]

    def is_constant(self, operand: Operand) -> bool:
        """Return whether an operand lies in the constants."""
        return self.buffers[self.tensors[operand.tensor].buffer].constant

    def _constant_array(self, operand: Operand) -> np.ndarray:
        row = self.tensors[operand.tensor]
        physical = self.constants[row.buffer].view(row.dtype).reshape(operand.physical)
        return physical.transpose(np.argsort(operand.perm))

    def padded(self, operand: Operand, rank: int) -> Operand:
        """Return an operand with axes of length 1 before its own, as broadcasting has it.

        Raises:
            Refusal: if its channels have scales of their own and would move.
        """
        extra = rank - len(operand.shape)
        if not extra:
            return operand
        if operand.qparams is not None and operand.qparams.per_channel:
            raise Refusal("a value with one scale a channel is broadcast along new axes")
        perm = (*range(extra), *(axis + extra for axis in operand.perm))
        return self.view(operand, (1,) * extra + operand.shape, perm)

    def table(self, operand: Operand, table: np.ndarray, axis: int, result: QParams) -> Operand:
        """Return an operand through a table of codes.

        Args:
            operand: uint8.
            table: uint8 [1, 256], or [C, 256] along a logical axis.
            axis: That axis.
            result: What the new codes stand for.
        """
        perm = operand.perm
        if table.shape[0] > 1:
            perm = channels_last(len(perm), axis, perm)
        source = self.laid_out(operand, perm)
        target = self.new(operand.shape, perm, result)
        return self.emit("TABLE", (source.tensor, self.constant("table", table)), target, {})

    def flipped(self, operand: Operand) -> Operand:
        """Return truth values (codes 0 and 1) turned round; those of a constant are a constant."""
        if operand.qparams is None:
            raise Refusal("its condition is not stored as codes")
        if self.is_constant(operand):
            turned = np.uint8(1) - self._constant_array(operand)
            return self.constant_operand("constant", turned, operand.qparams, operand.perm)
        table = (np.arange(arith.CODES)[None, :] == 0).astype(np.uint8)
        return self.table(operand, table, 0, operand.qparams)

    def convert(self, operand: Operand, wanted: QParams | None) -> Operand:
        """Return an operand in other codes, or as float32 (None), or as codes of float32."""
        held = operand.qparams
        if wanted is None:
            return operand if held is None else self._border(operand, "DEQUANTIZE", held, None)
        if held is None:
            return self._border(operand, "QUANTIZE", wanted, wanted)
        if equal_codes(held, wanted):
            return operand
        return self.table(operand, recoding(held, wanted), _axis(held, wanted), wanted)

    def _border(
        self, operand: Operand, kind: str, codes: QParams, result: QParams | None
    ) -> Operand:
        key = (operand.tensor, kind, codes.scale.tobytes(), codes.zero_point)
        known = self._converted.get(key)
        if known is not None and (known.shape, known.perm) == (operand.shape, operand.perm):
            return known
        perm = operand.perm
        if codes.per_channel:
            perm = channels_last(len(perm), codes.axis, perm)
        source = self.laid_out(operand, perm)
        target = self.new(operand.shape, perm, result)
        scale = self.constant("scale", codes.scale)
        made = self.emit(kind, (source.tensor, scale), target, {"zero_point": codes.zero_point})
        self._converted[key] = made
        return made

    # --- naming ----------------------------------------------------------------------------------

    def bind(self, name: str, operand: Operand) -> None:
        """Make an operand the place of a value of the graph, in the form that the value has."""
        value = self.value(name)
        if operand.shape != value.shape:
            raise InternalError(f"'{name}' is {value.shape}, its lowering made {operand.shape}")
        done = self.convert(operand, self.expected(name))
        if done.tensor in self._named or self.is_constant(done):
            row = self.tensors[done.tensor]
            self._append(row.dtype, row.shape, row.buffer, done.qparams)
            done = replace(done, tensor=len(self.tensors) - 1)
        self._rename(done, value)
        self.placed[name] = done

    def stand_in(self, name: str) -> None:
        """Place a value whose node was refused, so that later nodes are looked at too."""
        value = self.value(name)
        shape = value.shape if 1 <= len(value.shape) <= RANK_MAX and all(value.shape) else (1,)
        self.placed[name] = self.raw(shape, self.expected(name))

    def _rename(self, operand: Operand, value: Value) -> None:
        row = self.tensors[operand.tensor]
        # The tensor of a value without axes has one, so that it equals no tensor of the source.
        origin = value.origin if value.shape else ()
        self.tensors[operand.tensor] = replace(
            row, name=value.name, perm=operand.perm, origin=origin
        )
        self._named.add(operand.tensor)

    def finish_output(self, name: str, taken: set[int]) -> int:
        """Return the tensor of a network output: row-major, on a buffer that no other output has.

        Args:
            name: The value.
            taken: Buffers of the outputs before it; extended.

        Raises:
            Refusal: if its channels have scales of their own.
        """
        value, held = self.value(name), self.read(name)
        if (held.qparams is None and value.dtype != "float32") or not value.shape:
            kind = f"{value.dtype} {list(value.shape)}"
            raise Refusal(f"output '{name}' is {kind}; outputs are float32 or uint8, with axes")
        if held.qparams is not None and held.qparams.per_channel:
            raise Refusal(f"output '{name}' has one scale a channel")
        order = identity(len(held.shape))
        row = self.tensors[held.tensor]
        if self.is_constant(held) or row.buffer in taken or self._copied(held, order):
            made = self.new(held.shape, order, held.qparams)
            self.copy(held, made, list(zip(held.shape, held.strides, made.strides, strict=True)))
        else:
            made = self.view(held, held.shape, order)
        if made.tensor != held.tensor:
            hidden = fresh(f"{name}/physical", self._taken, ".")
            self.tensors[held.tensor] = replace(row, name=hidden, perm=(), origin=())
            self._rename(made, value)
        taken.add(self.tensors[made.tensor].buffer)
        return made.tensor

    @staticmethod
    def _copied(operand: Operand, perm: Perm) -> bool:
        return real_order(operand.shape, operand.perm) != real_order(operand.shape, perm)


def merged_axes(axes: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return the axes of a copy without those of length 1, those that run on in one, slowest first.

    Args:
        axes: Size, source stride and target stride of each axis.
    """
    ordered = sorted((axis for axis in axes if axis[0] > 1), key=lambda axis: -axis[2])
    done: list[tuple[int, int, int]] = []
    for size, read, write in ordered:
        if done and done[-1][1:] == (read * size, write * size):
            done[-1] = (done[-1][0] * size, read, write)
        else:
            done.append((size, read, write))
    reach = 0
    for size, _, write in reversed(done):
        if write <= reach:
            raise InternalError(f"a copy would write an element twice: {done}")
        reach += (size - 1) * write
    return done


def _axis(a: QParams, b: QParams) -> int:
    if a.per_channel and b.per_channel and a.axis != b.axis:
        raise Refusal("its input and output have scales along different axes")
    return a.axis if a.per_channel else b.axis


def recoding(held: QParams, wanted: QParams) -> np.ndarray:
    """Return the table from codes to other codes of the nearest value, uint8 [1 or C, 256]."""
    codes = np.arange(arith.CODES, dtype=np.uint8)[None, :]
    real = arith.dequantize(codes, held.scale[:, None], held.zero_point)
    return arith.quantize(real, wanted.scale[:, None], wanted.zero_point)
