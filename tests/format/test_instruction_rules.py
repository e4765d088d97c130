"""Each rule of an instruction: the compiler and both readers refuse what breaks it.

Files are read by `bittrue.compiler.fileformat` and by the engine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bittrue.compiler.fileformat import from_bytes, to_bytes
from bittrue.compiler.instructions import INSTRUCTIONS
from bittrue.compiler.program import Program
from bittrue.compiler.verify_program import verify_program
from bittrue.engines.emulate import Emulator
from bittrue.engines.native import Engine
from bittrue.errors import InternalError
from tests.format.instruction_cases import (
    F32,
    ROWS,
    assert_accepted,
    assert_refused,
    i32,
    program_of,
)
from tests.programs import Builder

#: A copy of one axis of three.
COPY_ALL = {**{f"size_{i}": 1 for i in range(5)}, "size_5": 3, "src_stride_5": 1, "dst_stride_5": 1}


def test_every_instruction_has_a_row_here() -> None:
    assert set(ROWS) == {row.name for row in INSTRUCTIONS}


@pytest.mark.parametrize("kind", ROWS)
def test_the_rows_are_good_and_run(kind: str) -> None:
    program = from_bytes(to_bytes(program_of(kind)))
    inputs = [np.zeros(row.shape, row.dtype) for row in program.contract.inputs]
    (want, *_), _ = Emulator(program).run(inputs)
    with Engine(to_bytes(program), threads=1) as engine:
        (found, *_), _ = engine.run(inputs)
    assert found.tobytes() == want.tobytes()


TENSORS: list[tuple[str, str, str, tuple[int, ...], str]] = [
    ("CONV", "x", "float32", (1, 4, 5, 6), "x is float32"),
    ("CONV", "x", "uint8", (4, 5, 6), "3 axes"),
    ("CONV", "x", "uint8", (1, 4, 5, 5), "groups"),
    ("CONV", "x", "uint8", (2, 4, 5, 6), "y is"),
    ("CONV", "y", "uint8", (1, 4, 5, 6), "y is"),
    ("CONV", "y", "uint8", (1, 3, 5, 4), "row_class is"),
    ("CONV", "y", "int32", (1, 4, 5, 4), "y is int32"),
    ("CONV", "y", "float32", (1, 4, 5, 4), "of a float32 output"),
    ("ADD", "a", "float32", (2, 3, 4), "a is float32"),
    ("ADD", "b", "uint8", (1, 4), "2 axes"),
    ("ADD", "b", "uint8", (2, 2, 4), "broadcast"),
    ("ADD", "y", "uint8", (2, 3, 5), "broadcast"),
    ("MUL", "a", "uint8", (2, 1, 4), "broadcast"),
    ("MUL", "y", "int8", (2, 3, 4), "y is int8"),
    ("TABLE", "x", "int8", (2, 3), "x is int8"),
    ("TABLE", "y", "uint8", (3, 2), "y is"),
    ("TABLE", "x", "uint8", (3, 2), "table is"),
    ("MAX_POOL", "x", "float32", (1, 4, 5, 6), "x is float32"),
    ("MAX_POOL", "y", "uint8", (1, 3, 4, 5), "y is"),
    ("MAX_POOL", "y", "uint8", (1, 3, 24), "3 axes"),
    ("AVG_POOL", "x", "uint8", (1, 4, 5, 5), "y is"),
    ("AVG_POOL", "y", "uint8", (1, 2, 4, 6), "row_class is"),
    ("AVG_POOL", "y", "uint8", (1, 3, 5, 6), "col_class is"),
    ("GATHER_2D", "x", "uint8", (1, 4, 5, 6), "x is uint8"),
    ("GATHER_2D", "x", "float32", (1, 3, 5, 6), "rows holds"),
    ("GATHER_2D", "x", "float32", (1, 4, 4, 6), "cols holds"),
    ("GATHER_2D", "y", "float32", (1, 2, 2, 6), "cols is"),
    ("GATHER_2D", "y", "float32", (1, 2, 1, 5), "y is"),
    ("GATHER_2D", "y", "float32", (2, 6), "2 axes"),
    ("COPY", "x", "float32", (4, 5), "x is float32"),
    ("COPY", "y", "int8", (5, 4), "y is int8"),
    ("COPY", "x", "uint8", (19,), "reaches"),
    ("COPY", "y", "uint8", (19,), "reaches"),
    ("FILL", "y", "int32", (3,), "y is int32"),
    ("QUANTIZE", "x", "uint8", (2, 3), "x is uint8"),
    ("QUANTIZE", "y", "uint8", (3, 2), "y is"),
    ("DEQUANTIZE", "y", "uint8", (2, 3), "y is uint8"),
    ("F32_BINARY", "a", "uint8", (1, 3), "a is uint8"),
    ("F32_BINARY", "y", "float32", (3, 3), "broadcast"),
    ("F32_UNARY", "y", "float32", (6,), "y is"),
    ("F32_SOFTMAX", "x", "uint8", (2, 3), "x is uint8"),
    ("MATMUL", "a", "float32", (2, 1, 3, 5), "a is float32"),
    ("MATMUL", "b", "int8", (1, 4, 2, 5), "b is int8"),
    ("MATMUL", "a", "uint8", (1, 3, 5), "3 axes"),
    ("MATMUL", "b", "uint8", (4, 2, 5), "3 axes"),
    ("MATMUL", "a", "uint8", (2, 1, 3, 4), "products a sum"),
    ("MATMUL", "a", "uint8", (3, 1, 3, 5), "broadcast"),
    ("MATMUL", "y", "uint8", (2, 5, 3, 2), "broadcast"),
    ("MATMUL", "y", "uint8", (2, 4, 2, 2), "y is"),
    ("MATMUL", "y", "uint8", (2, 4, 3, 3), "y is"),
    ("MATMUL", "y", "int32", (2, 4, 3, 2), "y is int32"),
    ("MATMUL", "y", "float32", (2, 4, 3, 2), "of a float32 output"),
    ("RESIZE_LINEAR", "x", "float32", (1, 4, 5, 6), "x is float32"),
    ("RESIZE_LINEAR", "x", "uint8", (4, 5, 6), "3 axes"),
    ("RESIZE_LINEAR", "x", "uint8", (1, 3, 5, 6), "rows holds"),
    ("RESIZE_LINEAR", "x", "uint8", (1, 4, 4, 6), "cols holds"),
    ("RESIZE_LINEAR", "y", "float32", (1, 2, 1, 6), "y is float32"),
    ("RESIZE_LINEAR", "y", "uint8", (1, 2, 2, 6), "cols is"),
    ("RESIZE_LINEAR", "y", "uint8", (1, 1, 1, 6), "rows is"),
    ("RESIZE_LINEAR", "y", "uint8", (1, 2, 1, 5), "y is"),
    ("DIV", "a", "float32", (2, 3, 4), "a is float32"),
    ("MIN", "b", "uint8", (2, 2, 4), "broadcast"),
    ("MAX", "y", "int8", (2, 3, 4), "y is int8"),
    ("COMPARE", "b", "uint8", (1, 4), "2 axes"),
    ("COMPARE", "y", "uint8", (2, 3, 5), "broadcast"),
    ("COMPARE", "y", "float32", (2, 3, 4), "y is float32"),
    ("F32_WHERE", "condition", "uint8", (1, 3), "condition is uint8"),
    ("F32_WHERE", "condition", "float32", (3,), "1 axes"),
    ("F32_WHERE", "a", "float32", (3, 1), "broadcast"),
    ("F32_WHERE", "b", "float32", (2, 4), "broadcast"),
    ("F32_WHERE", "y", "float32", (4, 3), "broadcast"),
    ("F32_REDUCE", "x", "uint8", (2, 3), "x is uint8"),
    ("F32_REDUCE", "y", "uint8", (2, 1), "y is uint8"),
    ("F32_REDUCE", "y", "float32", (2, 3), "y is"),
    ("F32_REDUCE", "y", "float32", (3, 1), "y is"),
    ("F32_REDUCE", "y", "float32", (2,), "y is"),
    ("F32_MATMUL", "a", "uint8", (2, 1, 3, 4), "a is uint8"),
    ("F32_MATMUL", "a", "float32", (2, 1, 3, 5), "5 is not 4"),
    ("F32_MATMUL", "a", "float32", (3, 1, 3, 4), "broadcast"),
    ("F32_MATMUL", "b", "float32", (3, 5, 4, 6), "broadcast"),
    ("F32_MATMUL", "b", "float32", (5, 4, 6), "3 axes"),
    ("F32_MATMUL", "b", "float32", (1, 4, 4, 6), "broadcast"),
    ("F32_MATMUL", "y", "float32", (2, 5, 4, 6), "y is"),
    ("F32_MATMUL", "y", "float32", (2, 5, 3, 7), "y is"),
    ("F32_MATMUL", "y", "float32", (6,), "not 2 or more"),
]


@pytest.mark.parametrize(("kind", "role", "dtype", "shape", "message"), TENSORS)
def test_types_and_shapes(
    kind: str, role: str, dtype: str, shape: tuple[int, ...], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert_refused(program_of(kind, {role: (dtype, shape)}), message, monkeypatch)


CONSTANTS: list[tuple[str, str, np.ndarray, str]] = [
    ("CONV", "weight", np.ones((4, 3, 2, 2), np.int8), "groups"),
    ("CONV", "weight", np.ones((3, 3, 2, 3), np.int8), "groups"),
    ("CONV", "weight", np.ones((4, 3, 2, 3), np.uint8), "weight is uint8"),
    ("CONV", "weight", np.ones((4, 18, 3), np.int8), "3 axes"),
    ("CONV", "weight", np.ones((4, 1, 2**15 + 1, 3), np.int8), "kernel_w"),
    ("CONV", "weight", np.ones((4, 5, 5000, 3), np.int8), "products a sum"),
    ("CONV", "bias", np.zeros((2, 1, 3), np.int32), "bias is"),
    ("CONV", "bias", np.zeros((2, 4), np.int32), "2 axes"),
    ("CONV", "bias", np.zeros((2, 1, 4), F32), "bias is float32"),
    ("CONV", "row_class", i32(0, 1, 2, 0), "row_class holds"),
    ("CONV", "row_class", i32(0, -1, 0, 0), "row_class holds"),
    ("CONV", "row_class", i32(0, 0, 0), "row_class is"),
    ("CONV", "col_class", i32(0, 0, 0, 0, 1), "col_class holds"),
    ("CONV", "col_class", np.zeros(5, np.int8), "col_class is int8"),
    ("CONV", "multiplier", np.zeros(3, F32), "multiplier is"),
    ("CONV", "multiplier", np.full(4, np.nan, F32), "not finite"),
    ("ADD", "multiplier", np.zeros((2, 3), F32), "multiplier is"),
    ("ADD", "multiplier", np.full((2, 1), np.inf, F32), "not finite"),
    ("MUL", "multiplier", np.zeros((2, 1), F32), "multiplier is"),
    ("MUL", "multiplier", np.full(4, np.nan, F32), "not finite"),
    ("TABLE", "table", np.zeros((2, 256), np.uint8), "table is"),
    ("TABLE", "table", np.zeros((1, 255), np.uint8), "table is"),
    ("TABLE", "table", np.zeros((1, 256), np.int8), "table is int8"),
    ("AVG_POOL", "row_class", i32(0, 2, 0), "row_class holds"),
    ("AVG_POOL", "multiplier", np.zeros(2, F32), "1 axes"),
    ("AVG_POOL", "multiplier", np.full((2, 1), np.nan, F32), "not finite"),
    ("GATHER_2D", "rows", i32(4, 0), "rows holds"),
    ("GATHER_2D", "cols", i32(-1), "cols holds"),
    ("GATHER_2D", "rows", i32(0), "rows is"),
    ("COPY", "table", np.zeros((2, 256), np.uint8), "table is"),
    ("QUANTIZE", "scale", np.zeros(2, F32), "scale is"),
    ("QUANTIZE", "scale", np.full(1, np.inf, F32), "not finite"),
    ("DEQUANTIZE", "scale", np.full(3, np.nan, F32), "not finite"),
    ("DEQUANTIZE", "scale", np.zeros(3, np.int32), "scale is int32"),
    ("MATMUL", "multiplier", np.zeros(3, F32), "multiplier is"),
    ("MATMUL", "multiplier", np.full(2, np.inf, F32), "not finite"),
    ("MATMUL", "multiplier", np.zeros((2, 1), F32), "multiplier is"),
    ("RESIZE_LINEAR", "rows", np.zeros(2, np.int32), "rows is"),
    ("RESIZE_LINEAR", "rows", np.zeros((2, 3), np.int32), "rows is"),
    ("RESIZE_LINEAR", "rows", np.zeros((2, 2), np.int8), "rows is int8"),
    ("RESIZE_LINEAR", "rows", np.array([[0, 1], [3, 4]], np.int32), "rows holds"),
    ("RESIZE_LINEAR", "rows", np.array([[-1, 1], [3, 3]], np.int32), "rows holds"),
    ("RESIZE_LINEAR", "cols", np.array([[0, 5]], np.int32), "cols holds"),
    ("RESIZE_LINEAR", "row_weight", np.array([[512, 1536]], np.int32), "row_weight is"),
    ("RESIZE_LINEAR", "row_weight", np.full((2, 2), 1024, F32), "row_weight is float32"),
    ("RESIZE_LINEAR", "row_weight", np.array([[512, 1536], [0, 2047]], np.int32), "add up to"),
    ("RESIZE_LINEAR", "col_weight", np.array([[-1, 2049]], np.int32), "add up to"),
    ("RESIZE_LINEAR", "col_weight", np.array([[2049, -1]], np.int32), "add up to"),
    ("DIV", "multiplier", np.zeros((2, 4), F32), "multiplier is"),
    ("MIN", "multiplier", np.zeros(4, F32), "multiplier is"),
    ("MAX", "multiplier", np.full((2, 4), np.nan, F32), "not finite"),
    ("COMPARE", "multiplier", np.zeros((1, 4), F32), "multiplier is"),
]


@pytest.mark.parametrize(("kind", "role", "array", "message"), CONSTANTS)
def test_constants(
    kind: str, role: str, array: np.ndarray, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(program_of(kind, arrays={role: array}), message, monkeypatch)


#: Kinds with a zero point and a range.
RANGED = ("CONV", "ADD", "MUL", "AVG_POOL", "MATMUL", "DIV", "MIN", "MAX")
PARAMS: list[tuple[str, str, int, str]] = [
    *((kind, name, value, name)
      for kind in ("CONV", "MAX_POOL", "AVG_POOL")
      for name in ("stride_h", "stride_w", "dilation_h", "dilation_w")
      for value in (0, 2**15 + 1)),
    *((kind, name, value, name)
      for kind in ("CONV", "MAX_POOL", "AVG_POOL")
      for name in ("pad_top", "pad_left")
      for value in (-(2**15) - 1, 2**15 + 1)),
    *((kind, name, value, name)
      for kind in ("MAX_POOL", "AVG_POOL")
      for name in ("kernel_h", "kernel_w")
      for value in (0, 2**15 + 1)),
    *((kind, name, value, name)
      for kind in RANGED
      for name in ("zero_point", "lo", "hi")
      for value in (-1, 256)),
    *((kind, name, value, name)
      for kind in ("ADD", "MUL", "MATMUL", "DIV", "MIN", "MAX", "COMPARE")
      for name in ("zero_a", "zero_b")
      for value in (-1, 256)),
    ("AVG_POOL", "zero_x", 256, "zero_x"),
    ("QUANTIZE", "zero_point", 256, "zero_point"),
    ("DEQUANTIZE", "zero_point", -1, "zero_point"),
    *((kind, "hi", -1, "hi -1") for kind in RANGED),
    ("COMPARE", "function", 3, "function"),
    ("COMPARE", "function", -1, "function"),
    ("CONV", "groups", 0, "groups"),
    ("CONV", "groups", 3, "groups"),
    ("CONV", "groups", -2, "groups"),
    ("F32_BINARY", "function", 13, "function"),
    ("F32_BINARY", "function", -1, "function"),
    ("F32_UNARY", "function", 16, "function"),
    ("F32_REDUCE", "function", 6, "function"),
    ("F32_REDUCE", "function", -1, "function"),
    ("FILL", "value", 256, "value"),
    ("FILL", "value", -1, "value"),
    ("COPY", "size_4", 0, "sizes"),
    ("COPY", "size_5", 5, "reaches"),
    ("COPY", "src_offset", 3, "reaches elements -1"),
    ("COPY", "src_offset", 5, "reaches"),
    ("COPY", "dst_offset", 1, "reaches"),
    ("COPY", "dst_offset", -1, "reaches"),
    ("COPY", "src_stride_5", 2**31 - 1, "reaches"),
    ("COPY", "dst_stride_5", 0, "at least 1"),
    ("COPY", "dst_stride_5", -1, "at least 1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "value", "message"), PARAMS)
def test_params(
    kind: str, name: str, value: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(program_of(kind, params={name: value}), message, monkeypatch)


def test_names_of_65535_bytes_are_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(name: str) -> Program:
        made = Builder()
        x, inner, y = (made.tensor((3,), name=item) for item in ("x", name, "y"))
        made.tensors[inner] = replace(made.tensors[inner], origin=())
        made.step("COPY", (x,), inner, **COPY_ALL)
        made.step("COPY", (inner,), y, **COPY_ALL)
        return made.program((x,), (y,))

    assert_accepted(named("n" * 65535))
    assert_refused(named("n" * 65536), "a name of 65536 bytes", monkeypatch)


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan, np.inf, 1e300, 1e-60])
def test_scales_are_positive_and_finite_as_float32(scale: float) -> None:
    program = program_of("MAX_POOL")
    tensors = (replace(program.tensors[0], scale=(scale,)), *program.tensors[1:])
    with pytest.raises(InternalError, match="scale is not positive and finite"):
        verify_program(replace(program, tensors=tensors))


def test_lo_above_hi(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in RANGED:
        program = program_of(kind, params={"lo": 9, "hi": 8})
        assert_refused(program, "lo 9 is above hi 8", monkeypatch)


def test_sums_of_a_pool_that_could_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of("AVG_POOL", params={"kernel_h": 2**12, "kernel_w": 2**11 + 1})
    assert_refused(program, "taps a sum", monkeypatch)
    assert_accepted(program_of("AVG_POOL", params={"kernel_h": 2**12, "kernel_w": 2**11}))


def test_sums_of_a_convolution_that_could_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of("CONV", arrays={"weight": np.ones((4, 1, 21846, 3), np.int8)})
    assert_refused(program, "products a sum", monkeypatch)
    assert_accepted(program_of("CONV", arrays={"weight": np.ones((4, 1, 21845, 3), np.int8)}))


def test_sums_of_a_product_that_could_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(depth: int) -> Program:
        sides = {"a": ("uint8", (1, 1, 3, depth)), "b": ("uint8", (1, 1, 2, depth))}
        return program_of("MATMUL", sides | {"y": ("uint8", (1, 1, 3, 2))})

    assert_accepted(made(33025))
    assert_refused(made(33026), "products a sum", monkeypatch)


def test_a_product_has_two_axes_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = {"a": ("uint8", (5,)), "b": ("uint8", (5,)), "y": ("uint8", (1,))}
    assert_refused(program_of("MATMUL", sides), "not 2 to 6", monkeypatch)


def test_a_copy_of_more_elements_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    params = {"size_0": 2, "dst_stride_0": 1, "size_4": 4, "size_5": 4}
    program = program_of("COPY", params=params)
    assert_refused(program, "it writes 32 elements into 20", monkeypatch)


@pytest.mark.parametrize("kind", ["ADD", "MUL", "F32_BINARY", "DIV", "MIN", "MAX", "COMPARE"])
def test_what_two_inputs_broadcast_to(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype = "float32" if kind == "F32_BINARY" else "uint8"
    constants = {name: array.reshape(-1)[:1] for name, array in ROWS[kind][1].items()}
    if kind in ("ADD", "MIN", "MAX", "COMPARE"):
        constants = {"multiplier": np.full((2, 1), 0.5, F32)}

    def made(a: tuple[int, ...], b: tuple[int, ...], y: tuple[int, ...]) -> Program:
        return program_of(kind, {"a": (dtype, a), "b": (dtype, b), "y": (dtype, y)}, constants)

    for a, b in (((2, 3), (2, 3)), ((1, 3), (2, 1)), ((1, 1), (1, 1))):
        shape = np.broadcast_shapes(a, b)
        assert_accepted(made(a, b, shape))
        for longer in ((shape[0] + 1, shape[1]), (shape[0], shape[1] + 1)):
            assert_refused(made(a, b, longer), "broadcast", monkeypatch)
    for a, b, y in (((2, 3), (2, 3), (2, 1)), ((2, 3), (2, 2), (2, 3)), ((4, 1), (2, 1), (4, 1))):
        assert_refused(made(a, b, y), "broadcast", monkeypatch)
    assert_refused(made((2, 3), (3,), (2, 3)), "axes", monkeypatch)
