"""The executable file, .bte: a Program to bytes and back. docs/format.md is the rule.

Every file is hostile. Nothing is used before it is checked; what a file says is never trusted to
size an allocation larger than the file itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from bittrue.compiler.file_layout import (
    BUFFER_ROW,
    SECTION_TABLE_AT,
    SECTIONS,
    TENSOR_ROW,
    Counts,
    File,
    assemble,
    read_header,
)
from bittrue.compiler.fileformat_meta import Meta, meta_from_bytes, meta_to_bytes
from bittrue.compiler.instructions import BY_CODE, BY_NAME
from bittrue.compiler.limits import BYTES_MAX, NAME_BYTES_MAX, RANK_MAX
from bittrue.compiler.program import (
    ALIGNMENT,
    Buffer,
    Instruction,
    Program,
    Tensor,
    Vectors,
    aligned,
)
from bittrue.compiler.vectors import read_section, section_bytes, section_length, vector_problems
from bittrue.compiler.verify_program import Problem, arity_problems, problems, verify_program
from bittrue.dtypes import BY_CODE as DTYPE_BY_CODE
from bittrue.dtypes import DTYPES
from bittrue.errors import InternalError

# --- writing ---------------------------------------------------------------------------------


def to_bytes(program: Program) -> bytes:
    """Return a planned program as the bytes of a .bte file; equal programs give equal bytes.

    Raises:
        InternalError: if the program breaks a rule of the format or is not planned.
    """
    verify_program(program)
    if any(buffer.offset < 0 for buffer in program.buffers):
        raise InternalError(f"program {program.name!r} has a buffer without a place: plan it first")
    code = _code_bytes(program)
    sections = (
        meta_to_bytes(program),
        b"".join(tensor.name.encode() for tensor in program.tensors),
        b"".join(
            BUFFER_ROW.pack(int(row.constant), 0, row.offset, row.nbytes) for row in program.buffers
        ),
        _tensor_bytes(program),
        code,
        np.array([*program.inputs, *program.outputs], "<u4").tobytes(),
        _constant_bytes(program),
        section_bytes(program),
    )
    counts = Counts(
        program.arena_bytes,
        len(program.tensors),
        len(program.buffers),
        len(program.instructions),
        len(code) // 4,
        len(program.inputs),
        len(program.outputs),
        len(program.vectors.rows),
    )
    return assemble(sections, counts)


def _tensor_bytes(program: Program) -> bytes:
    rows, name_at = [], 0
    for tensor in program.tensors:
        length = len(tensor.name.encode())
        dims = (*tensor.shape, *(0,) * (RANK_MAX - len(tensor.shape)))
        code, rank = DTYPES[tensor.dtype].code, len(tensor.shape)
        scale = tensor.scale[0] if tensor.scale else 0.0
        tail = (tensor.buffer, tensor.zero_point, scale, bytes(12))
        rows.append(TENSOR_ROW.pack(name_at, length, code, rank, *dims, *tail))
        name_at += length
    return b"".join(rows)


def _code_bytes(program: Program) -> bytes:
    words: list[int] = []
    for step in program.instructions:
        words += [BY_NAME[step.kind].code, len(step.inputs), len(step.outputs), len(step.params)]
        words += [*step.inputs, *step.outputs, *(param & 0xFFFFFFFF for param in step.params)]
    return np.array(words, "<u4").tobytes()


def _constant_bytes(program: Program) -> bytes:
    parts, end = [], 0
    for index, buffer in enumerate(program.buffers):
        if buffer.constant:
            start = aligned(end)
            if buffer.offset != start:
                raise InternalError(f"constant buffer {index} is at {buffer.offset}, not {start}")
            parts += [bytes(start - end), program.constants[index].tobytes()]
            end = buffer.offset + buffer.nbytes
    return b"".join(parts)


# --- reading ---------------------------------------------------------------------------------


def from_bytes(data: bytes | memoryview, *, path: str = "") -> Program:
    """Return the program that a .bte file holds; its constants are views of `data`.

    Args:
        data: The whole file.
        path: For messages.

    Raises:
        FormatError: if any MUST of docs/format.md is broken, with the byte at which it is.
    """
    file = read_header(memoryview(data).cast("B").toreadonly(), path)
    buffers = _read_buffers(file)
    instructions, starts = _read_code(file)
    ends = np.frombuffer(file.section("IO"), "<u4").tolist()
    offset, _ = file.sections["META"]
    meta = meta_from_bytes(
        bytes(file.section("META")),
        file.counts.tensors,
        file.counts.instructions,
        path=path,
        offset=offset,
    )
    program = Program(
        name=meta.name,
        tensors=_read_tensors(file, meta),
        buffers=buffers,
        instructions=tuple(
            Instruction(step.kind, step.inputs, step.outputs, step.params, row.name, row.origin)
            for step, row in zip(instructions, meta.instructions, strict=True)
        ),
        constants=_constant_views(file, buffers),
        inputs=tuple(ends[: file.counts.inputs]),
        outputs=tuple(ends[file.counts.inputs :]),
        contract=meta.contract,
        arena_bytes=file.counts.arena_bytes,
        preprocess=meta.preprocess,
        provenance=meta.provenance,
    )
    for problem in problems(program):
        message = f"{problem.place} {problem.index}: {problem.message}"
        file.refuse(message, _byte(file, problem, starts))
    return replace(program, vectors=_read_vectors(file, program))


def _read_vectors(file: File, program: Program) -> Vectors:
    """Read VECTORS, last of all: how long it must be follows from everything else."""
    offset, length = file.sections["VECTORS"]
    wanted = section_length(file.counts.inputs, len(program.computed), file.counts.vectors)
    if length != wanted:
        at = SECTION_TABLE_AT + 16 * SECTIONS.index("VECTORS") + 8
        file.refuse(f"section VECTORS has {length} bytes, not {wanted}", at)
    found, broken, at = read_section(file.section("VECTORS"), program, file.counts.vectors)
    if broken:
        file.refuse(broken, offset + at)
    for at, message in vector_problems(replace(program, vectors=found)):
        file.refuse(message, offset + at)
    return found


def _byte(file: File, problem: Problem, starts: list[int]) -> int:
    """Return the byte of the row that a problem is in."""
    rows = {"buffer": ("BUFFERS", BUFFER_ROW.size), "tensor": ("TENSORS", TENSOR_ROW.size)}
    if problem.place in rows:
        section, size = rows[problem.place]
        return file.at(section, size * problem.index)
    if problem.place == "instruction":
        return file.at("CODE", 4 * starts[problem.index])
    return file.at("IO", 4 * problem.index) if problem.place == "io" else 0


def _read_buffers(file: File) -> tuple[Buffer, ...]:
    buffers: list[Buffer] = []
    end = 0
    constants = file.section("CONSTANTS")
    for index, (kind, zero, offset, length) in enumerate(
        BUFFER_ROW.iter_unpack(file.section("BUFFERS"))
    ):
        at = file.at("BUFFERS", BUFFER_ROW.size * index)
        if kind not in (0, 1) or zero:
            file.refuse(f"buffer {index} has kind {kind} and {zero}, not 0 or 1 and 0", at)
        if not 1 <= length <= BYTES_MAX:
            file.refuse(f"buffer {index} has {length} bytes, not 1 to 2^40", at + 16)
        if kind == 1:
            start = aligned(end)
            if offset != start:
                file.refuse(f"constant buffer {index} starts at {offset}, not {start}", at + 8)
            if length > len(constants) - offset:
                file.refuse(f"constant buffer {index} ends past the constants", at + 16)
            if any(constants[end:offset]):
                file.refuse("bytes between constants are not zero", file.at("CONSTANTS", end))
            end = offset + length
        elif offset % ALIGNMENT or offset + length > file.counts.arena_bytes:
            file.refuse(
                f"buffer {index} lies at {offset} to {offset + length} of an arena of "
                f"{file.counts.arena_bytes} bytes, or not on a multiple of {ALIGNMENT}",
                at + 8,
            )
        buffers.append(Buffer(length, bool(kind), offset))
    if end != len(constants):
        file.refuse(
            f"the constant buffers end at {end}, CONSTANTS at {len(constants)}",
            SECTION_TABLE_AT + 16 * SECTIONS.index("CONSTANTS") + 8,
        )
    return tuple(buffers)


def _constant_views(file: File, buffers: tuple[Buffer, ...]) -> dict[int, np.ndarray]:
    data = np.frombuffer(file.section("CONSTANTS"), np.uint8)
    return {
        index: data[buffer.offset : buffer.offset + buffer.nbytes]
        for index, buffer in enumerate(buffers)
        if buffer.constant
    }


def _read_code(file: File) -> tuple[list[Instruction], list[int]]:
    """Return the instructions, and the word at which each starts."""
    words = np.frombuffer(file.section("CODE"), "<u4").tolist()
    signed = np.frombuffer(file.section("CODE"), "<i4").tolist()
    steps: list[Instruction] = []
    starts: list[int] = []
    at = 0
    for index in range(file.counts.instructions):
        if at + 4 > len(words):
            file.refuse(f"instruction {index} starts past the end of CODE", file.at("CODE", 4 * at))
        code, *counts = words[at : at + 4]
        if code not in BY_CODE:
            file.refuse(f"instruction {index} has the unknown kind {code}", file.at("CODE", 4 * at))
        for message in arity_problems(BY_CODE[code], (counts[0], counts[1], counts[2])):
            file.refuse(f"instruction {index}: {message}", file.at("CODE", 4 * at))
        if sum(counts) > len(words) - at - 4:
            file.refuse(f"instruction {index} ends past the end of CODE", file.at("CODE", 4 * at))
        starts.append(at)
        cuts = list(accumulate((at + 4, *counts)))
        inputs, outputs = (tuple(words[start:end]) for start, end in pairwise(cuts[:3]))
        params = tuple(signed[cuts[2] : cuts[3]])
        steps.append(Instruction(BY_CODE[code].name, inputs, outputs, params))
        at = cuts[3]
    if at != len(words):
        file.refuse(f"the instructions fill {at} of {len(words)} words", file.at("CODE", 4 * at))
    return steps, starts


@dataclass(frozen=True, slots=True)
class _TensorRow:
    """A row of TENSORS as it stands there."""

    name_at: int
    name_length: int
    code: int
    rank: int
    dims: tuple[int, ...]
    buffer: int
    zero_point: int
    scale: float
    zeros: bytes


def _tensor_rows(file: File) -> Iterator[_TensorRow]:
    for row in TENSOR_ROW.iter_unpack(file.section("TENSORS")):
        name_at, length, code, rank, *others = row
        dims = tuple(others[:RANK_MAX])
        yield _TensorRow(name_at, length, code, rank, dims, *others[RANK_MAX:])


def _read_tensors(file: File, meta: Meta) -> tuple[Tensor, ...]:
    names = bytes(file.section("NAMES"))
    tensors: list[Tensor] = []
    end = 0
    for index, (row, told) in enumerate(zip(_tensor_rows(file), meta.tensors, strict=True)):
        at = file.at("TENSORS", TENSOR_ROW.size * index)
        longest = min(NAME_BYTES_MAX, len(names) - row.name_at)
        if row.name_at != end or not 1 <= row.name_length <= longest:
            place = f"a name of {row.name_length} bytes at {row.name_at} of NAMES"
            file.refuse(f"tensor {index}: {place}", at)
        _check_tensor_row(file, index, row, told.scale)
        start, end = end, end + row.name_length
        try:
            name = names[start:end].decode()
        except UnicodeDecodeError:
            file.refuse(f"tensor {index}: its name is no UTF-8", file.at("NAMES", start))
        dtype, shape = DTYPE_BY_CODE[row.code].name, row.dims[: row.rank]
        views = (told.perm, told.scale, row.zero_point, told.origin)
        tensors.append(Tensor(name, dtype, shape, row.buffer, *views))
    if end != len(names):
        file.refuse(f"the tensors' names take {end} of {len(names)} bytes", file.at("NAMES"))
    return tuple(tensors)


def _check_tensor_row(file: File, index: int, row: _TensorRow, scales: tuple[float, ...]) -> None:
    """Check what a row says besides its name; the rules of programs check the rest."""
    at = file.at("TENSORS", TENSOR_ROW.size * index)
    if row.code not in DTYPE_BY_CODE:
        file.refuse(f"tensor {index}: type {row.code} is unknown", at + 8)
    if not 1 <= row.rank <= RANK_MAX or any(row.dims[row.rank :]):
        file.refuse(f"tensor {index}: {row.rank} axes, dims {list(row.dims)}", at + 12)
    with np.errstate(over="ignore"):
        first = np.float32(scales[0]) if scales else np.float32(0)
    if not np.isfinite(row.scale) or np.signbit(row.scale) or first != np.float32(row.scale):
        file.refuse(f"tensor {index}: scale {row.scale}, META says {list(scales[:1])}", at + 48)
    if any(row.zeros):
        file.refuse(f"tensor {index}: the row does not end in zeros", at + 52)
