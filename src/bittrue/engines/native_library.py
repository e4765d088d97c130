"""The engine's C interface (native/bittrue.h) as ctypes sees it: structures, functions, tables."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char, c_char_p, c_float, c_int32, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bittrue import settings
from bittrue.errors import UsageError

ABI = 1
MAX_RANK = 6
NONE = 2**32 - 1
NO_OFFSET = 2**64 - 1
OK, FORMAT, DATA, USAGE, MEMORY, INTERNAL = range(6)
COPY = 0
LIBRARY = "libbittrue.so"


class CError(ctypes.Structure):
    """bittrue_error."""

    _fields_ = (
        ("code", c_int32),
        ("reserved", c_int32),
        ("offset", c_uint64),
        ("text", c_char * 496),
    )


class CInstructionRow(ctypes.Structure):
    """bittrue_instruction_row."""

    _fields_ = (
        ("name", c_char_p),
        ("code", c_uint32),
        ("reserved", c_uint32),
        ("inputs", c_char_p),
        ("outputs", c_char_p),
        ("params", c_char_p),
    )


class CKernelRow(ctypes.Structure):
    """bittrue_kernel_row."""

    _fields_ = (
        ("instruction", c_char_p),
        ("form", c_char_p),
        ("isa", c_char_p),
        ("name", c_char_p),
        ("available", c_int32),
        ("reserved", c_int32),
    )


class CProgramInfo(ctypes.Structure):
    """bittrue_program_info."""

    _fields_ = (
        ("tensors", c_uint32),
        ("instructions", c_uint32),
        ("inputs", c_uint32),
        ("outputs", c_uint32),
        ("threads", c_uint32),
        ("vectors", c_uint32),
        ("isa", c_char_p),
        ("arena_bytes", c_uint64),
        ("scratch_bytes", c_uint64),
        ("packed_bytes", c_uint64),
    )


class CTensorInfo(ctypes.Structure):
    """bittrue_tensor_info."""

    _fields_ = (
        ("name", c_char_p),
        ("dtype", c_uint32),
        ("rank", c_uint32),
        ("dims", c_uint32 * MAX_RANK),
        ("nbytes", c_uint64),
        ("scale", c_float),
        ("zero_point", c_int32),
        ("constant", c_int32),
        ("reserved", c_int32),
    )


class CBuffer(ctypes.Structure):
    """bittrue_input and bittrue_output."""

    _fields_ = (("data", c_void_p), ("nbytes", c_uint64))


class CTap(ctypes.Structure):
    """bittrue_tap."""

    _fields_ = (
        ("tensor", c_uint32),
        ("reserved", c_uint32),
        ("data", c_void_p),
        ("nbytes", c_uint64),
    )


#: The functions that are called: name, result, arguments.
FUNCTIONS: tuple[tuple[str, type | None, tuple[type, ...]], ...] = (
    ("bittrue_isa_name", c_char_p, (c_uint32,)),
    ("bittrue_isa_available", c_int32, (c_uint32,)),
    ("bittrue_instruction_table", c_int32, (c_uint32, POINTER(CInstructionRow))),
    ("bittrue_float_function", c_char_p, (c_uint32, c_uint32)),
    ("bittrue_kernel_table", c_int32, (c_uint32, POINTER(CKernelRow))),
    (
        "bittrue_open",
        c_int32,
        (c_void_p, c_uint64, c_uint32, c_char_p, c_uint32, POINTER(c_void_p), POINTER(CError)),
    ),
    ("bittrue_close", None, (c_void_p,)),
    ("bittrue_get_info", None, (c_void_p, POINTER(CProgramInfo))),
    ("bittrue_get_tensor", c_int32, (c_void_p, c_uint32, POINTER(CTensorInfo))),
    ("bittrue_get_input", c_uint32, (c_void_p, c_uint32)),
    ("bittrue_get_output", c_uint32, (c_void_p, c_uint32)),
    ("bittrue_get_kernel", c_uint32, (c_void_p, c_uint32)),
    (
        "bittrue_run",
        c_int32,
        (
            c_void_p,
            POINTER(CBuffer),
            c_uint32,
            POINTER(CBuffer),
            c_uint32,
            POINTER(CTap),
            c_uint32,
            POINTER(CError),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class InstructionRow:
    """One row of the engine's instruction table, as `bittrue.compiler.instructions` writes it."""

    name: str
    code: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One row of the engine's kernel table, native/kernels.inc."""

    instruction: str
    form: str
    isa: str
    name: str
    available: bool


def library_path() -> Path:
    """Return the path of the engine's shared library.

    BITTRUE_LIBRARY if that is set; else beside the package, where installing puts it; else in the
    build folder of a source checkout.

    Raises:
        UsageError: if it is nowhere.
    """
    chosen = settings.get("BITTRUE_LIBRARY")
    if chosen:
        if not Path(chosen).is_file():
            raise UsageError(
                f"BITTRUE_LIBRARY={chosen!r} is no file",
                hint="unset BITTRUE_LIBRARY, or set it to the path of libbittrue.so",
            )
        return Path(chosen)
    package = Path(__file__).resolve().parent.parent
    for folder in (package, *_installed(), package.parent.parent / "build" / "native"):
        if (folder / LIBRARY).is_file():
            return folder / LIBRARY
    raise UsageError(
        f"the engine's library {LIBRARY} is not beside the package in {package}",
        hint="pip install . builds it; in a source checkout also "
        "cmake -S . -B build/native -G Ninja && cmake --build build/native",
    )


def _installed() -> tuple[Path, ...]:
    """Return the folder that an editable install puts the library in: not that of the sources."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = [item for item in files("bittrue") or () if item.name == LIBRARY]
    except PackageNotFoundError:
        return ()
    return tuple(Path(str(item.locate())).parent for item in found)


def load() -> ctypes.CDLL:
    """Return the library that `library_path` finds, its functions typed; loaded once a path.

    Raises:
        UsageError: if it is nowhere, cannot be loaded or has another interface.
    """
    return _load(library_path())


@lru_cache(maxsize=8)
def _load(path: Path) -> ctypes.CDLL:
    hint = "build it again: cmake -S . -B build/native -G Ninja && cmake --build build/native"
    try:
        library = ctypes.CDLL(str(path))
        library.bittrue_abi.restype = c_uint32
        found = int(library.bittrue_abi())
    except (OSError, AttributeError) as why:
        raise UsageError(f"the engine cannot be loaded: {why}", where=str(path), hint=hint) from why
    if found != ABI:
        raise UsageError(f"the engine has interface {found}, not {ABI}", where=str(path), hint=hint)
    for name, result, arguments in FUNCTIONS:
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def available_isas() -> tuple[str, ...]:
    """Return the instruction sets that the engine can use on this CPU, slowest first."""
    library = load()
    names = []
    index = 0
    while (name := library.bittrue_isa_name(index)) is not None:
        if library.bittrue_isa_available(index):
            names.append(name.decode())
        index += 1
    return tuple(names)


def instruction_rows() -> tuple[InstructionRow, ...]:
    """Return the engine's instruction table, to be compared with the compiler's."""
    library, row, rows = load(), CInstructionRow(), list[InstructionRow]()
    while library.bittrue_instruction_table(len(rows), ctypes.byref(row)):
        words = (row.inputs, row.outputs, row.params)
        inputs, outputs, params = (tuple(text.decode().split()) for text in words)
        rows.append(InstructionRow(row.name.decode(), row.code, inputs, outputs, params))
    return tuple(rows)


def float_functions(inputs: int) -> tuple[str, ...]:
    """Return the functions of F32_UNARY (1 input), F32_BINARY (2) or F32_REDUCE (0), by number."""
    library, names = load(), list[str]()
    while (name := library.bittrue_float_function(inputs, len(names))) is not None:
        names.append(name.decode())
    return tuple(names)


def kernel_rows() -> tuple[KernelRow, ...]:
    """Return the engine's kernel table."""
    library, row, rows = load(), CKernelRow(), list[KernelRow]()
    while library.bittrue_kernel_table(len(rows), ctypes.byref(row)):
        words = (row.instruction, row.form, row.isa, row.name)
        instruction, form, isa, name = (text.decode() for text in words)
        rows.append(KernelRow(instruction, form, isa, name, bool(row.available)))
    return tuple(rows)
