"""Where cases run: in this process, under an emulation of AVX-512, under an emulated ARM CPU.

`place("avx2")` is this process. `place("neon@cortex-a53")` is a cross build of the engine under
qemu, which knows what that CPU lacks: sdot is an illegal instruction there. `place("neon")` takes
that too, as this is no ARM; on one it is this process. `place("avx512vbmi")` is this process on a
CPU that has it, and elsewhere the same source built on SIMDe (native/avx512_intrinsics.h), which
proves the logic of the source, not the silicon. A place that cannot be had skips the test with the
reason.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Protocol

import pytest

from bittrue.compiler.fileformat import to_bytes
from bittrue.engines.native import Engine
from bittrue.engines.native_library import OK, USAGE, available_isas, kernel_rows
from bittrue.errors import InternalError, UsageError
from tests.kernels.programs import Case

ROOT = Path(__file__).resolve().parent.parent.parent
SIMDE = Path("/usr/include/simde/x86/avx512.h")
SYSROOT = Path("/usr/aarch64-linux-gnu")
CROSS = "-DCMAKE_TOOLCHAIN_FILE=native/toolchains/aarch64-linux-gnu.cmake"
#: The ARM CPU whose emulation runs an instruction set where this machine is no ARM.
ARM_CPU = {"neon": "cortex-a53", "neondot": "cortex-a76"}
#: One of each kernel: every instruction set, and the plain C++ as it is compiled for ARM.
EVERYWHERE = (
    "scalar", "avx2", "avxvnni", "avx512vnni256", "avx512vnni", "avx512vbmi",
    "scalar@cortex-a53", "neon", "neondot",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case.

    Args:
        isa: The instruction set in use.
        kernels: Of each instruction, the kernel that it ran by.
        tensors: The bytes of every tensor, by index, each as the last instruction left it that
            writes it or another tensor of its buffer.
        outputs: The bytes of every output, in order, at the end.
    """

    isa: str
    kernels: tuple[str, ...]
    tensors: tuple[bytes, ...]
    outputs: tuple[bytes, ...]


class Place(Protocol):
    """Something that runs cases on some instruction sets."""

    def isas(self) -> tuple[str, ...]:
        """Return the instruction sets that run here, slowest first."""

    def kernels(self) -> tuple[tuple[str, str], ...]:
        """Return the kernel table: instruction set and name of each row."""

    def run(self, case: Case, isa: str, threads: int = 1) -> Result:
        """Run a case; UsageError if the instruction set does not run here."""


class Here:
    """The library, in this process."""

    def isas(self) -> tuple[str, ...]:
        return available_isas()

    def kernels(self) -> tuple[tuple[str, str], ...]:
        return tuple((row.isa, row.name) for row in kernel_rows())

    def run(self, case: Case, isa: str, threads: int = 1) -> Result:
        with Engine(to_bytes(case.program), isa, threads) as engine:
            outputs, taps = engine.run(case.inputs, range(len(engine.tensors)))
            untapped, _ = engine.run(case.inputs)  # a tap forces its tensor to exist
            kernels = tuple(row.name for row in engine.kernels())
            tensors = tuple(taps[index].tobytes() for index in range(len(taps)))
            ends = tuple(output.tobytes() for output in outputs)
            assert ends == tuple(output.tobytes() for output in untapped), "taps changed outputs"
            return Result(engine.isa, kernels, tensors, ends)


class Driver:
    """Another build of the engine: native/tests/kernel_driver.cc, one process for all cases.

    Args:
        command: The driver with what it runs under, for example `qemu-aarch64 -cpu max ...`.
    """

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        words = run((*command, "--isas")).split("\n")
        self._isas = tuple(word for word in words if word and " " not in word)
        rows = (word.split(" ") for word in words if " " in word)
        self._kernels = tuple((isa, name) for isa, name in rows)
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def close(self) -> None:
        """End the process; another run starts a new one."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def isas(self) -> tuple[str, ...]:
        return self._isas

    def kernels(self) -> tuple[tuple[str, str], ...]:
        return self._kernels

    def run(self, case: Case, isa: str, threads: int = 1) -> Result:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        ask, answer = self._process.stdin, self._process.stdout
        if ask is None or answer is None:
            raise InternalError("the driver has no pipes")
        ask.write(case_bytes(case, isa, threads))
        ask.flush()
        code, blocks = struct.unpack("<II", self._read(answer, 8))
        found = [self._read_block(answer) for _ in range(blocks)]
        if code == OK:
            isa, kernels = found[0].decode(), tuple(found[1].decode().split())
            end = len(found) - len(case.program.outputs)
            return Result(isa, kernels, tuple(found[2:end]), tuple(found[end:]))
        if code == USAGE:
            raise UsageError(found[0].decode())
        raise InternalError(f"the driver's code is {code}: {found[0].decode()}")

    def _read(self, answer: IO[bytes], count: int) -> bytes:
        found = answer.read(count)
        if len(found) < count:
            process, self._process = self._process, None
            code = process.wait() if process else None
            raise InternalError(f"{' '.join(self._command)} ended with {code}")
        return found

    def _read_block(self, answer: IO[bytes]) -> bytes:
        (count,) = struct.unpack("<Q", self._read(answer, 8))
        return self._read(answer, count)


def case_bytes(case: Case, isa: str, threads: int) -> bytes:
    """Return a case as native/tests/case.h reads it."""
    blocks = [to_bytes(case.program), *(array.tobytes() for array in case.inputs)]
    head = struct.pack("<II16s", threads, len(case.inputs), isa.encode())
    return head + b"".join(struct.pack("<Q", len(block)) + block for block in blocks)


def run_cases(
    cases: Iterable[Case], isa: str, runner: Place, threads: int = 1
) -> list[dict[int, bytes]]:
    """Return the bytes of every tensor of each case, by tensor index.

    Raises:
        UsageError: if the instruction set does not run there.
    """
    return [dict(enumerate(runner.run(case, isa, threads).tensors)) for case in cases]


def place(name: str) -> Place:
    """Return where "isa" or "isa@cpu" runs; skip the test, saying why, where it cannot."""
    isa, _, cpu = name.partition("@")
    if cpu or (isa in ARM_CPU and isa not in available_isas()):
        return qemu(cpu or ARM_CPU[isa])
    if isa in available_isas():
        return _here()
    if isa == "avx2":
        pytest.skip("this CPU does not run avx2")
    return emulation()


@lru_cache
def _here() -> Here:
    return Here()


@lru_cache
def emulation() -> Driver:
    """Return the VNNI and AVX-512 kernels on SIMDe's emulation of each intrinsic."""
    if not SIMDE.is_file():
        pytest.skip(f"SIMDe is not installed ({SIMDE}); apt-get install libsimde-dev")
    if "avx2" not in available_isas():
        pytest.skip("this CPU does not run avx2, which the emulation is built for")
    return Driver((str(built("emulate", "-DBITTRUE_EMULATE_AVX512=ON") / "kernel_driver"),))


@lru_cache
def qemu(cpu: str) -> Driver:
    """Return the AArch64 build under qemu as a CPU of its list, "max" for all that it knows."""
    folder = aarch64()
    command = (tool("qemu-aarch64", "qemu-user"), "-cpu", cpu, "-L", str(SYSROOT))
    return Driver((*command, str(folder / "kernel_driver")))


def aarch64() -> Path:
    """Return the build folder of the engine for AArch64, built."""
    tool("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")
    return built("aarch64", CROSS)


@lru_cache
def built(name: str, option: str) -> Path:
    """Return build/<name>, configured with an option and built; one process at a time does it."""
    tool("c++", "g++")
    folder = ROOT / "build" / name
    folder.mkdir(parents=True, exist_ok=True)
    cmake = tool("cmake", "cmake")
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        configure = (cmake, "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", option)
        ninja = f"-DCMAKE_MAKE_PROGRAM={tool('ninja', 'ninja-build')}"
        run((*configure, ninja, "-DBITTRUE_TEST_DRIVERS=ON"))
        run((cmake, "--build", str(folder)))
    return folder


def tool(name: str, package: str) -> str:
    """Return the path of a tool, from the interpreter's folder or the system's, or skip."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not installed; apt-get install {package}")
    return found


def run(command: tuple[str, ...]) -> str:
    """Return what a command printed; fail with it if the command fails."""
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout[-4000:] + made.stderr[-4000:]
    return made.stdout
