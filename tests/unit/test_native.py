"""The binding of the engine: what it refuses and how, taps, threads, the float environment."""

from __future__ import annotations

import ctypes
import mmap
import platform
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from bittrue import settings
from bittrue.compiler.fileformat import to_bytes
from bittrue.compiler.instructions import BINARY_FUNCTIONS, UNARY_FUNCTIONS
from bittrue.engines import native_library
from bittrue.engines.emulate import Emulator
from bittrue.engines.native import Engine
from bittrue.errors import DataError, DeviceError, FormatError, UsageError
from tests.conftest import ROOT
from tests.kernels.programs import Case, ConvShape, conv_case
from tests.programs import Builder

FE_UPWARD = 0x800
FE_TONEAREST = 0
FLUSH_TO_ZERO, DENORMALS_ARE_ZERO = 0x8000, 0x40  # of MXCSR


def chain() -> Case:
    """x -> neg (n) -> sigmoid in place of n (s) -> x * s (y)."""
    made = Builder()
    x = made.tensor((5, 7), "float32")
    n = made.tensor((5, 7), "float32")
    s = made.alias(n, (5, 7))
    y = made.tensor((5, 7), "float32")
    made.step("F32_UNARY", (x,), n, function=UNARY_FUNCTIONS.index("neg"))
    made.step("F32_UNARY", (n,), s, function=UNARY_FUNCTIONS.index("sigmoid"))
    made.step("F32_BINARY", (x, s), y, function=BINARY_FUNCTIONS.index("mul"))
    values = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    return Case(made.program((x,), (y,)), (values,))


def product_of_floats() -> Case:
    made = Builder()
    a, b, y = (made.tensor((2,), "float32") for _ in range(3))
    made.step("F32_BINARY", (a, b), y, function=BINARY_FUNCTIONS.index("mul"))
    arrays = (np.array([1.1, 1e-30], np.float32), np.array([1.1, 1e-10], np.float32))
    return Case(made.program((a, b), (y,)), arrays)


def test_run_gives_outputs_and_taps_like_the_emulator() -> None:
    case = chain()
    everything = range(len(case.program.tensors))
    want, want_taps = Emulator(case.program).run(case.inputs, everything)
    with Engine(to_bytes(case.program)) as engine:
        got, got_taps = engine.run(case.inputs, [3, *everything, 3])
    assert [array.tobytes() for array in got] == [array.tobytes() for array in want]
    assert sorted(got_taps) == list(everything)
    for index in everything:
        assert got_taps[index].tobytes() == want_taps[index].tobytes()
        assert got_taps[index].shape == case.program.tensors[index].shape


def test_taps_of_constants_and_untouched_inputs_are_their_bytes() -> None:
    case = conv_case(np.random.default_rng(0), ConvShape((1, 3, 3, 4), 5))
    with Engine(to_bytes(case.program)) as engine:
        _, taps = engine.run(case.inputs, range(6))
    assert np.array_equal(taps[0], case.inputs[0])
    for index in range(1, 6):
        assert np.array_equal(taps[index], case.program.constant(index))


def test_a_second_run_gives_the_same_bits_without_anything_left_from_the_first() -> None:
    case = conv_case(np.random.default_rng(1), ConvShape((1, 5, 5, 3), 5, (3, 3), pad=(1, 1, 1, 1)))
    zeros = np.zeros_like(case.inputs[0])
    with Engine(to_bytes(case.program)) as engine:
        first, _ = engine.run(case.inputs)
        engine.run([zeros])
        again, _ = engine.run(case.inputs)
    assert np.array_equal(first[0], again[0])


def test_a_memory_map_and_an_array_are_files_too(tmp_path: Path) -> None:
    case = chain()
    data = to_bytes(case.program)
    (tmp_path / "a.bte").write_bytes(data)
    with (tmp_path / "a.bte").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    results = []
    for given in (data, mapped, np.frombuffer(data, np.uint8)):
        with Engine(given) as engine:
            results.append(engine.run(case.inputs)[0][0].tobytes())
    mapped.close()  # the engine has a copy
    assert len(set(results)) == 1


def test_inputs_of_any_order_in_memory_are_accepted() -> None:
    case = chain()
    turned = np.asfortranarray(case.inputs[0])
    with Engine(to_bytes(case.program)) as engine:
        assert np.array_equal(engine.run([turned])[0][0], engine.run(case.inputs)[0][0])


def test_wrong_inputs_and_taps_are_data_errors() -> None:
    case = chain()
    with Engine(to_bytes(case.program)) as engine:
        for wrong in ([], [np.zeros((5, 7), np.uint8)], [np.zeros((7, 5), np.float32)]):
            with pytest.raises(DataError):
                engine.run(wrong)
        for tap in (-1, 4):
            with pytest.raises(DataError, match="taps"):
                engine.run(case.inputs, [tap])


def test_the_c_interface_checks_sizes_itself() -> None:
    case = chain()
    library, error = native_library.load(), native_library.CError()
    with Engine(to_bytes(case.program)) as engine:
        room = np.zeros(35, np.float32)
        good = (native_library.CBuffer * 1)(native_library.CBuffer(room.ctypes.data, 140))
        short = (native_library.CBuffer * 1)(native_library.CBuffer(room.ctypes.data, 139))
        null = (native_library.CBuffer * 1)(native_library.CBuffer(None, 140))
        for inputs, outputs, says in (
            (short, good, "takes 140 bytes, not 139"),
            (good, short, "takes 140 bytes, not 139"),
            (null, good, "is null"),
            (good, null, "is null"),
        ):
            code = library.bittrue_run(
                engine._program, inputs, 1, outputs, 1, None, 0, ctypes.byref(error)
            )
            assert code == native_library.DATA
            assert says in error.text.decode()


def test_a_damaged_file_is_a_format_error_with_its_byte() -> None:
    data = bytearray(to_bytes(chain().program))
    data[8] = 3
    with pytest.raises(FormatError, match="format version is 3") as caught:
        Engine(bytes(data))
    assert caught.value.offset == 8
    with pytest.raises(FormatError):
        Engine(b"")


def test_unknown_and_missing_instruction_sets_name_the_available_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = to_bytes(chain().program)
    with pytest.raises(UsageError, match=r"'mmx'.*runs: scalar"):
        Engine(data, "mmx")
    for name in settings.ISAS[1:]:
        if name not in native_library.available_isas():
            with pytest.raises(UsageError, match=rf"does not run .*{name}; it runs: scalar"):
                Engine(data, name)
    monkeypatch.setenv("BITTRUE_ISA", "scalar")
    monkeypatch.setenv("BITTRUE_THREADS", "3")
    with Engine(data) as engine:
        assert (engine.isa, engine.threads) == ("scalar", 3)
    with Engine(data, threads=2) as engine:
        assert engine.threads == 2
    with pytest.raises(UsageError, match="1025 threads"):
        Engine(data, threads=1025)


def test_a_missing_library_says_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BITTRUE_LIBRARY", str(tmp_path / "none.so"))
    with pytest.raises(UsageError, match="is no file"):
        Engine(b"")
    (tmp_path / "none.so").write_bytes(b"not a library")
    with pytest.raises(UsageError, match="cmake --build"):
        Engine(b"")


def test_an_arena_that_cannot_be_had_is_a_device_error() -> None:
    made = Builder()
    x = made.tensor((1,))
    y = made.tensor((2**20, 2**20 - 1))  # just below 2**40 bytes
    made.step("FILL", (), y, value=1)
    program = made.program((x,), (y,))
    try:
        engine = Engine(to_bytes(program))
    except DeviceError as error:
        assert "the arena takes" in str(error)  # noqa: PT017
    else:
        engine.close()  # this system promises memory that it may not have
        pytest.skip("the system gives 2**40 bytes")


def test_closing_twice_is_fine_and_running_after_it_is_not() -> None:
    case = chain()
    engine = Engine(to_bytes(case.program))
    engine.close()
    engine.close()
    with pytest.raises(UsageError, match="closed"):
        engine.run(case.inputs)
    with pytest.raises(UsageError, match="closed"):
        engine.kernels()


def test_many_python_threads_may_share_an_engine() -> None:
    case = chain()
    (want,), _ = Emulator(case.program).run(case.inputs)
    got: list[np.ndarray] = []
    with Engine(to_bytes(case.program), threads=2) as engine:
        workers = [
            threading.Thread(target=lambda: got.extend(engine.run(case.inputs)[0]))
            for _ in range(8)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(got) == 8
    assert all(array.tobytes() == want.tobytes() for array in got)


def test_the_callers_rounding_mode_changes_nothing_and_is_restored() -> None:
    case = product_of_floats()
    (want,), _ = Emulator(case.program).run(case.inputs)
    libm = ctypes.CDLL("libm.so.6")
    with Engine(to_bytes(case.program), threads=1) as engine:
        assert libm.fesetround(FE_UPWARD) == 0
        try:
            (got,), _ = engine.run(case.inputs)
            after = libm.fegetround()
        finally:
            libm.fesetround(FE_TONEAREST)
    assert after == FE_UPWARD
    assert got.tobytes() == want.tobytes()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="fenv_t holds MXCSR on x86-64 only")
def test_denormals_are_kept_where_the_caller_flushes_them() -> None:
    case = product_of_floats()
    (want,), _ = Emulator(case.program).run(case.inputs)
    libm = ctypes.CDLL("libm.so.6")
    usual, flushing = (ctypes.c_uint32 * 8)(), (ctypes.c_uint32 * 8)()
    libm.fegetenv(usual)
    libm.fegetenv(flushing)
    flushing[7] |= FLUSH_TO_ZERO | DENORMALS_ARE_ZERO
    with Engine(to_bytes(case.program), threads=1) as engine:
        libm.fesetenv(flushing)
        try:
            (got,), _ = engine.run(case.inputs)
            flushed = case.inputs[0] * case.inputs[1]
        finally:
            libm.fesetenv(usual)
    assert flushed[1] == 0  # the caller's own setting is in force again
    assert got[1] != 0
    assert got.tobytes() == want.tobytes()


def test_a_forked_process_may_neither_run_nor_end_what_it_did_not_open() -> None:
    """Its threads did not come along: a run would wait for them for ever, an end would crash."""
    script = """
import os
import sys

from tests.kernels.programs import CASES
from bittrue.compiler.fileformat import to_bytes
from bittrue.engines.native import Engine
from bittrue.errors import UsageError
import numpy as np

case = CASES["ADD"](np.random.default_rng(0))
engine = Engine(to_bytes(case.program), threads=2)
if (child := os.fork()) == 0:
    try:
        engine.run(case.inputs)
    except UsageError as why:
        del engine
        os._exit(0 if "in each process" in why.hint else 1)
    os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
engine.run(case.inputs)
engine.close()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0
