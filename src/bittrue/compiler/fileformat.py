"""The executable file, .bte: a Program to bytes and back. docs/format.md is the rule.

Every file is hostile. Nothing is used before it is checked; what a file says is never trusted to
size an allocation larger than the file itself.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import NoReturn

import numpy as np

from bittrue.compiler.fileformat_meta import Meta, meta_from_bytes, meta_to_bytes
from bittrue.compiler.instructions import BY_CODE, BY_NAME
from bittrue.compiler.limits import (
    BYTES_MAX,
    COUNT_MAX,
    IO_MAX,
    META_BYTES_MAX,
    NAME_BYTES_MAX,
    RANK_MAX,
    VECTORS_MAX,
    WORDS_MAX,
)
from bittrue.compiler.program import (
    ALIGNMENT,
    Buffer,
    Instruction,
    Program,
    Tensor,
    Vectors,
    aligned,
)
from bittrue.compiler.vectors import (
    read_section,
    section_bytes,
    section_length,
    vector_problems,
)
from bittrue.compiler.verify_program import (
    Problem,
    arity_problems,
    problems,
    verify_program,
)
from bittrue.dtypes import BY_CODE as DTYPE_BY_CODE
from bittrue.dtypes import DTYPES
from bittrue.errors import FormatError, InternalError

MAGIC = b"BITTRUE\0"
VERSION = 2
HEADER_BYTES = 192
SECTIONS = ("META", "NAMES", "BUFFERS", "TENSORS", "CODE", "IO", "CONSTANTS", "VECTORS")

HEADER = struct.Struct("<8sIIQQIIIIII")
CRC_AT, CRC_FROM = 12, 16
SECTION_TABLE_AT = HEADER.size
VECTOR_COUNT_AT = SECTION_TABLE_AT + 16 * len(SECTIONS)
RESERVED_AT = VECTOR_COUNT_AT + 4
BUFFER_ROW = struct.Struct("<IIQQ")
TENSOR_ROW = struct.Struct(f"<IIII{RANK_MAX}IIif12s")
_DAMAGED = "the file is damaged or was not written by bittrue: compile the network again"


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
    counts = (len(program.tensors), len(program.buffers), len(program.instructions))
    ends = (len(program.inputs), len(program.outputs))
    fields = (program.arena_bytes, *counts, len(code) // 4, *ends)
    return _assemble(sections, fields, len(program.vectors.rows))


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


def _assemble(sections: tuple[bytes, ...], fields: tuple[int, ...], vectors: int) -> bytes:
    """Put header and sections together; `fields` are the header's from the arena on."""
    offset, table, body = HEADER_BYTES, b"", bytearray()
    for data in sections:
        table += struct.pack("<QQ", offset, len(data))
        body += data + bytes(aligned(len(data)) - len(data))
        offset += aligned(len(data))
    head = HEADER.pack(MAGIC, VERSION, 0, offset, *fields) + table + struct.pack("<I", vectors)
    whole = bytearray(head + bytes(HEADER_BYTES - len(head))) + body
    struct.pack_into("<I", whole, CRC_AT, zlib.crc32(whole[CRC_FROM:]))
    return bytes(whole)


# --- reading ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _File:
    """A file's bytes with its header, checked; `sections` maps a name to (offset, length)."""

    data: memoryview
    path: str
    sections: dict[str, tuple[int, int]]
    vectors: int
    arena_bytes: int
    tensors: int
    buffers: int
    instructions: int
    words: int
    inputs: int
    outputs: int

    def section(self, name: str) -> memoryview:
        offset, length = self.sections[name]
        return self.data[offset : offset + length]

    def at(self, name: str, offset: int = 0) -> int:
        return self.sections[name][0] + offset

    def refuse(self, message: str, offset: int) -> NoReturn:
        raise FormatError(message, path=self.path, offset=offset, hint=_DAMAGED)


def from_bytes(data: bytes | memoryview, *, path: str = "") -> Program:
    """Return the program that a .bte file holds; its constants are views of `data`.

    Args:
        data: The whole file.
        path: For messages.

    Raises:
        FormatError: if any MUST of docs/format.md is broken, with the byte at which it is.
    """
    file = _read_header(memoryview(data).cast("B").toreadonly(), path)
    buffers = _read_buffers(file)
    instructions, starts = _read_code(file)
    ends = np.frombuffer(file.section("IO"), "<u4").tolist()
    offset, _ = file.sections["META"]
    meta = meta_from_bytes(
        bytes(file.section("META")), file.tensors, file.instructions, path=path, offset=offset
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
        inputs=tuple(ends[: file.inputs]),
        outputs=tuple(ends[file.inputs :]),
        contract=meta.contract,
        arena_bytes=file.arena_bytes,
        preprocess=meta.preprocess,
        provenance=meta.provenance,
    )
    for problem in problems(program):
        message = f"{problem.place} {problem.index}: {problem.message}"
        file.refuse(message, _byte(file, problem, starts))
    return replace(program, vectors=_read_vectors(file, program))


def _read_vectors(file: _File, program: Program) -> Vectors:
    """Read VECTORS, last of all: how long it must be follows from everything else."""
    offset, length = file.sections["VECTORS"]
    wanted = section_length(file.inputs, len(program.computed), file.vectors)
    if length != wanted:
        at = SECTION_TABLE_AT + 16 * SECTIONS.index("VECTORS") + 8
        file.refuse(f"section VECTORS has {length} bytes, not {wanted}", at)
    found, broken, at = read_section(file.section("VECTORS"), program, file.vectors)
    if broken:
        file.refuse(broken, offset + at)
    for at, message in vector_problems(replace(program, vectors=found)):
        file.refuse(message, offset + at)
    return found


def _byte(file: _File, problem: Problem, starts: list[int]) -> int:
    """Return the byte of the row that a problem is in."""
    rows = {"buffer": ("BUFFERS", BUFFER_ROW.size), "tensor": ("TENSORS", TENSOR_ROW.size)}
    if problem.place in rows:
        section, size = rows[problem.place]
        return file.at(section, size * problem.index)
    if problem.place == "instruction":
        return file.at("CODE", 4 * starts[problem.index])
    return file.at("IO", 4 * problem.index) if problem.place == "io" else 0


def _read_header(data: memoryview, path: str) -> _File:
    def refuse(message: str, offset: int, hint: str = _DAMAGED) -> NoReturn:
        raise FormatError(message, path=path, offset=offset, hint=hint)

    if bytes(data[: len(MAGIC)]) != MAGIC:
        refuse("this is no .bte file: it does not start with BITTRUE", 0, "give a compiled network")
    if len(data) < HEADER_BYTES:
        refuse(f"the header takes {HEADER_BYTES} bytes, the file has {len(data)}", len(data))
    _, version, crc, total, *fields = HEADER.unpack_from(data)
    if version != VERSION:
        refuse(
            f"format version {version} is not {VERSION}, the one known here",
            8,
            "compile the network again with this bittrue: bittrue compile model.bta -o model.bte",
        )
    if total != len(data):
        refuse(
            f"the header says {total} bytes, the file has {len(data)}",
            16,
            "the file was cut short or added to: copy or write it again",
        )
    found = zlib.crc32(data[CRC_FROM:])
    if crc != found:
        refuse(f"the checksum is {found:08x}, the header says {crc:08x}", CRC_AT)
    (vectors,) = struct.unpack_from("<I", data, VECTOR_COUNT_AT)
    file = _File(data, path, _read_section_table(data), vectors, *fields)
    if any(data[RESERVED_AT:HEADER_BYTES]):
        file.refuse("reserved bytes of the header are not zero", RESERVED_AT)
    _check_counts(file)
    _check_sections(file)
    return file


def _read_section_table(data: memoryview) -> dict[str, tuple[int, int]]:
    pairs = struct.iter_unpack("<QQ", data[SECTION_TABLE_AT:VECTOR_COUNT_AT])
    return {name: (offset, length) for name, (offset, length) in zip(SECTIONS, pairs, strict=True)}


def _check_counts(file: _File) -> None:
    """Check the header's numbers from byte 24 on."""
    if file.arena_bytes % ALIGNMENT or file.arena_bytes > BYTES_MAX:
        file.refuse(f"arena of {file.arena_bytes} bytes is no multiple of 64 up to 2^40", 24)
    for what, count, least, most, offset in (
        ("tensors", file.tensors, 0, COUNT_MAX, 32),
        ("buffers", file.buffers, 0, COUNT_MAX, 36),
        ("instructions", file.instructions, 0, COUNT_MAX, 40),
        ("words of code", file.words, 0, WORDS_MAX, 44),
        ("inputs", file.inputs, 1, IO_MAX, 48),
        ("outputs", file.outputs, 1, IO_MAX, 52),
        ("vectors", file.vectors, 0, VECTORS_MAX, VECTOR_COUNT_AT),
    ):
        if not least <= count <= most:
            file.refuse(f"{count} {what}, not {least} to {most}", offset)


def _check_sections(file: _File) -> None:
    """Check that the sections tile the file, have the lengths that the counts say, and no holes."""
    wanted = {
        "BUFFERS": BUFFER_ROW.size * file.buffers,
        "TENSORS": TENSOR_ROW.size * file.tensors,
        "CODE": 4 * file.words,
        "IO": 4 * (file.inputs + file.outputs),
    }
    end = HEADER_BYTES
    for index, (name, (offset, length)) in enumerate(file.sections.items()):
        at = SECTION_TABLE_AT + 16 * index
        if offset != end:
            file.refuse(f"section {name} starts at {offset}, not at {end}", at)
        if wanted.get(name, length) != length:
            file.refuse(f"section {name} has {length} bytes, not {wanted[name]}", at + 8)
        if length > len(file.data) - offset:
            file.refuse(f"section {name} ends at {offset + length}, past the file's end", at + 8)
        end = offset + aligned(length)
        if any(file.data[offset + length : end]):
            file.refuse(f"bytes after section {name} are not zero", offset + length)
    if end != len(file.data):
        file.refuse(f"the sections end at {end}, the file at {len(file.data)}", VECTOR_COUNT_AT - 8)
    if file.sections["META"][1] > META_BYTES_MAX:
        file.refuse(f"META has {file.sections['META'][1]} bytes, at most {META_BYTES_MAX}", 64)


def _read_buffers(file: _File) -> tuple[Buffer, ...]:
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
        elif offset % ALIGNMENT or offset + length > file.arena_bytes:
            file.refuse(
                f"buffer {index} lies at {offset} to {offset + length} of an arena of "
                f"{file.arena_bytes} bytes, or not on a multiple of {ALIGNMENT}",
                at + 8,
            )
        buffers.append(Buffer(length, bool(kind), offset))
    if end != len(constants):
        file.refuse(
            f"the constant buffers end at {end}, CONSTANTS at {len(constants)}",
            SECTION_TABLE_AT + 16 * SECTIONS.index("CONSTANTS") + 8,
        )
    return tuple(buffers)


def _constant_views(file: _File, buffers: tuple[Buffer, ...]) -> dict[int, np.ndarray]:
    data = np.frombuffer(file.section("CONSTANTS"), np.uint8)
    return {
        index: data[buffer.offset : buffer.offset + buffer.nbytes]
        for index, buffer in enumerate(buffers)
        if buffer.constant
    }


def _read_code(file: _File) -> tuple[list[Instruction], list[int]]:
    """Return the instructions, and the word at which each starts."""
    words = np.frombuffer(file.section("CODE"), "<u4").tolist()
    signed = np.frombuffer(file.section("CODE"), "<i4").tolist()
    steps: list[Instruction] = []
    starts: list[int] = []
    at = 0
    for index in range(file.instructions):
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


def _read_tensors(file: _File, meta: Meta) -> tuple[Tensor, ...]:
    names = bytes(file.section("NAMES"))
    tensors: list[Tensor] = []
    name_end = 0
    for index, row in enumerate(TENSOR_ROW.iter_unpack(file.section("TENSORS"))):
        name_at, length, code, rank = row[:4]
        dims, (buffer, zero_point, scale, zeros) = row[4 : 4 + RANK_MAX], row[4 + RANK_MAX :]
        at = file.at("TENSORS", TENSOR_ROW.size * index)
        if name_at != name_end or not 1 <= length <= min(NAME_BYTES_MAX, len(names) - name_at):
            file.refuse(
                f"tensor {index}: a name of {length} bytes at {name_at} of NAMES",
                at,
            )
        name_end = name_at + length
        if code not in DTYPE_BY_CODE:
            file.refuse(f"tensor {index}: type {code} is unknown", at + 8)
        if not 1 <= rank <= RANK_MAX or any(dims[rank:]):
            file.refuse(f"tensor {index}: {rank} axes, dims {list(dims)}", at + 12)
        said = meta.tensors[index].scale
        with np.errstate(over="ignore"):
            first = np.float32(said[0]) if said else np.float32(0)
        if not np.isfinite(scale) or np.signbit(scale) or first != np.float32(scale):
            file.refuse(f"tensor {index}: scale {scale}, META says {list(said[:1])}", at + 48)
        if any(zeros):
            file.refuse(f"tensor {index}: the row does not end in zeros", at + 52)
        try:
            name = names[name_at:name_end].decode()
        except UnicodeDecodeError:
            file.refuse(f"tensor {index}: its name is no UTF-8", file.at("NAMES", name_at))
        extra = meta.tensors[index]
        tensors.append(
            Tensor(
                name, DTYPE_BY_CODE[code].name, dims[:rank], buffer, extra.perm, said, zero_point,
                extra.origin,
            )
        )  # fmt: skip
    if name_end != len(names):
        file.refuse(f"the tensors' names take {name_end} of {len(names)} bytes", file.at("NAMES"))
    return tuple(tensors)
