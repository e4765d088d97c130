"""The float instructions store one NaN, whichever operation or input it came from."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue import arith_float
from bittrue.compiler.instructions import BINARY_FUNCTIONS, REDUCTIONS, UNARY_FUNCTIONS
from bittrue.compiler.program import Program
from bittrue.engines.emulate import Emulator
from tests.kernels.check import check
from tests.kernels.programs import Case
from tests.programs import Builder

THE_NAN = 0x7FC00000
#: Quiet and signalling NaNs of both signs with and without payload, then what makes NaNs.
BITS = (0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7FC12345, 0xFFFFFFFF,
        0x7F800000, 0xFF800000, 0x00000000, 0x80000000, 0x3F800000, 0xBF800000)  # fmt: skip
ODD = np.array(BITS, np.uint32).view(np.float32)
COMPARISONS = BINARY_FUNCTIONS[BINARY_FUNCTIONS.index("equal") :]
#: Enough of them for whole vectors and a rest.
TIMES = 5


def of_inputs(kind: str, inputs: tuple[np.ndarray, ...], params: dict[str, int]) -> Program:
    """One instruction of a kind on float inputs of one shape."""
    made = Builder()
    tensors = tuple(made.tensor(array.shape, "float32") for array in inputs)
    y = made.tensor(inputs[0].shape, "float32")
    made.step(kind, tensors, y, **params)
    return made.program(tensors, (y,))


def assert_one_nan(isa: str, case: Case, wanted: np.ndarray) -> None:
    """Fail unless NaN is exactly where it is wanted, as THE_NAN, and the engine has these bytes."""
    (found,), _ = Emulator(case.program).run(case.inputs)
    np.testing.assert_array_equal(np.isnan(found), wanted)
    assert set(found.view(np.uint32)[wanted].tolist()) <= {THE_NAN}
    check(case, isa)


@pytest.mark.parametrize("function", BINARY_FUNCTIONS)
def test_functions_of_two(isa: str, function: str) -> None:
    pairs = np.meshgrid(np.tile(ODD, TIMES), ODD)
    a, b = (np.ascontiguousarray(side).reshape(-1) for side in pairs)
    with np.errstate(all="ignore"):
        wanted = {
            "add": np.isnan(a) | np.isnan(b) | (np.isinf(a) & np.isinf(b) & (a != b)),
            "sub": np.isnan(a) | np.isnan(b) | (np.isinf(a) & (a == b)),
            "mul": np.isnan(a * b),
            "div": np.isnan(a / b),
            "min": np.isnan(b),
            "max": np.isnan(b),
            "pow": (np.isnan(a) | np.isnan(b)) & (a != 1) & (b != 0),
            "mod": np.isnan(np.fmod(a, b)),
        }.get(function, np.zeros(a.shape, np.bool_))  # a comparison gives 0 or 1
    assert wanted.any() == (function not in COMPARISONS)
    params = {"function": BINARY_FUNCTIONS.index(function)}
    assert_one_nan(isa, Case(of_inputs("F32_BINARY", (a, b), params), (a, b)), wanted)


@pytest.mark.parametrize("function", UNARY_FUNCTIONS)
def test_functions_of_one(isa: str, function: str) -> None:
    x = np.tile(ODD, TIMES)
    with np.errstate(invalid="ignore"):
        wanted = np.isnan(x)
        wanted |= (function in ("sqrt", "log")) & (x < 0)
        wanted |= (function in ("sin", "cos")) & np.isinf(x)
    assert wanted.any()
    params = {"function": UNARY_FUNCTIONS.index(function)}
    assert_one_nan(isa, Case(of_inputs("F32_UNARY", (x,), params), (x,)), wanted)


def test_softmax(isa: str) -> None:
    x = np.full((len(BITS) + 1, 3), -np.inf, np.float32)
    x[:-1] = 1
    x.view(np.uint32)[:-1, 1] = BITS  # as bits: a conversion would quiet a signalling NaN
    lost = np.isnan(x).any(axis=1) | np.isposinf(x).any(axis=1) | np.isneginf(x).all(axis=1)
    wanted = np.repeat(np.reshape(lost, (-1, 1)), 3, axis=1)
    assert_one_nan(isa, Case(of_inputs("F32_SOFTMAX", (x,), {}), (x,)), wanted)


@pytest.mark.parametrize("function", REDUCTIONS)
def test_reductions(isa: str, function: str) -> None:
    x = np.full((len(BITS) + 1, 19), -np.inf, np.float32)
    x[:-1] = 1
    x.view(np.uint32)[:-1, 17] = BITS
    wanted = np.isnan(x).any(axis=1)
    params = {"function": REDUCTIONS.index(function)}
    made = Builder()
    tensor, y = made.tensor(x.shape, "float32"), made.tensor((len(x), 1), "float32")
    made.step("F32_REDUCE", (tensor,), y, **params)
    assert_one_nan(isa, Case(made.program((tensor,), (y,)), (x,)), wanted[:, None])


def test_a_condition_that_is_nan_holds(isa: str) -> None:
    condition, a, b = np.tile(ODD, TIMES), np.tile(ODD, TIMES), np.repeat(ODD, TIMES)
    wanted = np.isnan(np.where(condition == 0, b, a))
    assert_one_nan(
        isa, Case(of_inputs("F32_WHERE", (condition, a, b), {}), (condition, a, b)), wanted
    )


def test_products_of_matrices(isa: str) -> None:
    a = np.ones((len(BITS), 3), np.float32)
    a.view(np.uint32)[:, 1] = BITS
    b = np.ones((3, 18), np.float32)
    b[1, 5] = np.inf
    with np.errstate(invalid="ignore"):
        wanted = np.isnan(a[:, 1:2] * b[1:2])
    made = Builder()
    left, right = made.tensor(a.shape, "float32"), made.tensor(b.shape, "float32")
    y = made.tensor(wanted.shape, "float32")
    made.step("F32_MATMUL", (left, right), y)
    assert_one_nan(isa, Case(made.program((left, right), (y,)), (a, b)), wanted)


def test_the_rule_changes_no_number() -> None:
    bits = np.arange(0, 2**32, 65537, dtype=np.uint64).astype(np.uint32)
    found = arith_float.one_nan(bits.view(np.float32)).view(np.uint32)
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    np.testing.assert_array_equal(found, np.where(nan, THE_NAN, bits))
