"""The `compiled` stage: the C++ engine through its C interface, with ctypes.

ctypes lets go of Python's lock during a call, so other Python threads go on while the engine
computes.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap
from threading import Lock
from types import TracebackType
from typing import NoReturn

import numpy as np

from bittrue import settings
from bittrue.dtypes import BY_CODE
from bittrue.engines.native_library import (
    COPY,
    DATA,
    FORMAT,
    MEMORY,
    NO_OFFSET,
    NONE,
    OK,
    USAGE,
    CBuffer,
    CError,
    CProgramInfo,
    CTap,
    CTensorInfo,
    KernelRow,
    kernel_rows,
    load,
)
from bittrue.engines.runner import check_arrays
from bittrue.errors import DataError, DeviceError, FormatError, InternalError, UsageError


@dataclass(frozen=True, slots=True)
class NativeTensor:
    """A tensor as the engine holds it.

    Args:
        name: As in the program.
        dtype: A name of `bittrue.dtypes.DTYPES`.
        shape: Physical shape.
        scale: Of one code (of the first channel where there are several); 0 for none.
        zero_point: Code of the real value 0.
        constant: Whether it lies in the constants.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    constant: bool


class Engine:
    """Runs a compiled program in the C++ engine.

    Any thread may call it; one run at a time is under way, others wait. To run at the same time,
    open the program once for each thread.

    `isa` and `threads` are what is in use, `tensors` all tensors of the program, `inputs` and
    `outputs` their indices among them.

    Args:
        data: A whole .bte file, as bytes, a memory map or uint8 [nbytes]. The engine copies it.
        isa: Instruction set, one of `bittrue.settings.ISAS`; "auto" means BITTRUE_ISA, and
            without that the fastest that this CPU runs.
        threads: Threads that compute, the caller's included; 0 means BITTRUE_THREADS, and without
            that one a core. The results have the same bits whatever it is.

    Raises:
        FormatError: if the file breaks a rule of docs/format.md.
        UsageError: if this CPU does not run the instruction set, or the library is missing.
        DeviceError: if memory cannot be had.
    """

    def __init__(
        self, data: bytes | mmap | np.ndarray, isa: str = "auto", threads: int = 0
    ) -> None:
        """Check the file, pack the weights, start the threads."""
        self._program = ctypes.c_void_p()
        self._lock = Lock()
        self._process = os.getpid()
        self._library = load()
        chosen = settings.get("BITTRUE_ISA") if isa == "auto" else isa
        count = settings.get_count("BITTRUE_THREADS") if threads == 0 else threads
        if not 0 <= count <= settings.THREADS_MAX:
            raise UsageError(
                f"{count} threads, not 0 to {settings.THREADS_MAX}", hint="0 takes one a core"
            )
        file = np.frombuffer(data, np.uint8)
        error = CError()
        code = self._library.bittrue_open(
            file.ctypes.data,
            file.nbytes,
            COPY,
            chosen.encode(),
            count,
            ctypes.byref(self._program),
            ctypes.byref(error),
        )
        if code != OK:
            _raise(error)
        info = CProgramInfo()
        self._library.bittrue_get_info(self._program, ctypes.byref(info))
        self.isa: str = info.isa.decode()
        self.threads: int = info.threads
        self.tensors = tuple(self._read_tensor(index) for index in range(info.tensors))
        self.inputs = _until_none(self._library.bittrue_get_input, self._program)
        self.outputs = _until_none(self._library.bittrue_get_output, self._program)

    def _read_tensor(self, index: int) -> NativeTensor:
        found = CTensorInfo()
        self._library.bittrue_get_tensor(self._program, index, ctypes.byref(found))
        return NativeTensor(
            found.name.decode(),
            BY_CODE[found.dtype].name,
            tuple(found.dims[: found.rank]),
            found.scale,
            found.zero_point,
            bool(found.constant),
        )

    def run(
        self, inputs: Sequence[np.ndarray], taps: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], dict[int, np.ndarray]]:
        """Return the outputs, and the tensors asked for as they were when last written.

        Args:
            inputs: One array an input, in the program's order, of its tensor's dtype and
                physical shape.
            taps: Tensor indices.

        Returns:
            The outputs in order, and a copy of each tapped tensor, physical shapes.

        Raises:
            DataError: if an input has another dtype or shape, or a tap's index is none.
            UsageError: if the engine is closed, or was opened before this process was forked.
        """
        check_arrays([self.tensors[index] for index in self.inputs], inputs)
        arrays = [np.ascontiguousarray(array) for array in inputs]
        wanted = list(dict.fromkeys(taps))
        if any(not 0 <= index < len(self.tensors) for index in wanted):
            raise DataError(f"taps {wanted} are not all 0 to {len(self.tensors) - 1}", where="taps")
        outputs = [self._empty(index) for index in self.outputs]
        tapped = {index: self._empty(index) for index in wanted}
        error = CError()
        with self._lock:
            if not self._program:
                raise UsageError("the engine is closed", hint="open the program again")
            if self._process != os.getpid():
                raise UsageError(
                    "the engine was opened before this process was forked, and its threads are "
                    "those of the other process",
                    hint="open the program in each process, after the fork",
                )
            code = self._library.bittrue_run(
                self._program,
                _buffers(arrays),
                len(arrays),
                _buffers(outputs),
                len(outputs),
                _taps(tapped),
                len(tapped),
                ctypes.byref(error),
            )
        if code != OK:
            _raise(error)
        return outputs, tapped

    def _empty(self, index: int) -> np.ndarray:
        return np.empty(self.tensors[index].shape, self.tensors[index].dtype)

    def kernels(self) -> tuple[KernelRow, ...]:
        """Return the row of the kernel table that each instruction runs by."""
        rows = kernel_rows()
        with self._lock:
            if not self._program:
                raise UsageError("the engine is closed", hint="open the program again")
            found = _until_none(self._library.bittrue_get_kernel, self._program)
        return tuple(rows[index] for index in found)

    def close(self) -> None:
        """Free the program; a second call does nothing."""
        with self._lock:
            program, self._program = self._program, ctypes.c_void_p()
            if self._process == os.getpid():  # a forked process has none of its threads to end
                self._library.bittrue_close(program)

    def __enter__(self) -> Engine:
        """Return the engine itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Close an engine that nobody closed."""
        opened = getattr(self, "_library", None) is not None and self._program
        if opened and self._process == os.getpid():
            self._library.bittrue_close(self._program)


def _until_none(function: ctypes._NamedFuncPointer, program: ctypes.c_void_p) -> tuple[int, ...]:
    found: list[int] = []
    while (index := int(function(program, len(found)))) != NONE:
        found.append(index)
    return tuple(found)


def _buffers(arrays: Sequence[np.ndarray]) -> ctypes.Array[CBuffer]:
    return (CBuffer * len(arrays))(*(CBuffer(row.ctypes.data, row.nbytes) for row in arrays))


def _taps(arrays: dict[int, np.ndarray]) -> ctypes.Array[CTap]:
    rows = (CTap(index, 0, row.ctypes.data, row.nbytes) for index, row in arrays.items())
    return (CTap * len(arrays))(*rows)


def _raise(error: CError) -> NoReturn:
    text = error.text.decode("utf-8", "replace")
    if error.code == FORMAT:
        raise FormatError(
            text,
            offset=None if error.offset == NO_OFFSET else error.offset,
            hint="the file is damaged or was not written by bittrue: compile the network again",
        )
    if error.code == DATA:
        raise DataError(text, hint="see `bittrue inspect` for what the buffers should be")
    if error.code == USAGE:
        raise UsageError(text, hint="choose one that is available, or leave the choice to auto")
    if error.code == MEMORY:
        raise DeviceError(text, where="engine", hint="free memory, or run on a larger machine")
    raise InternalError(f"the engine failed: {text}")
