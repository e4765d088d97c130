"""The header of a .bte file and the sections that it leads to. docs/format.md is the rule.

Every file is hostile. What the header says is checked before anything that it leads to is read.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import astuple, dataclass
from typing import NoReturn

from bittrue.compiler.limits import (
    BYTES_MAX,
    COUNT_MAX,
    IO_MAX,
    META_BYTES_MAX,
    RANK_MAX,
    VECTORS_MAX,
    WORDS_MAX,
)
from bittrue.compiler.program import ALIGNMENT, aligned
from bittrue.errors import FormatError

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


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of the header in order: all but `vectors`, the last, from byte 24 on."""

    arena_bytes: int
    tensors: int
    buffers: int
    instructions: int
    words: int
    inputs: int
    outputs: int
    vectors: int


def assemble(sections: tuple[bytes, ...], counts: Counts) -> bytes:
    """Return a file of its sections, in the order of SECTIONS, with its header."""
    offset, table, body = HEADER_BYTES, b"", bytearray()
    for data in sections:
        table += struct.pack("<QQ", offset, len(data))
        body += data + bytes(aligned(len(data)) - len(data))
        offset += aligned(len(data))
    *fields, vectors = astuple(counts)
    head = HEADER.pack(MAGIC, VERSION, 0, offset, *fields) + table + struct.pack("<I", vectors)
    whole = bytearray(head + bytes(HEADER_BYTES - len(head))) + body
    struct.pack_into("<I", whole, CRC_AT, zlib.crc32(whole[CRC_FROM:]))
    return bytes(whole)


@dataclass(frozen=True, slots=True)
class File:
    """A file's bytes with what its header says.

    Args:
        data: The whole file.
        path: For messages.
        sections: Offset and length by name.
        counts: The header's.
    """

    data: memoryview
    path: str
    sections: dict[str, tuple[int, int]]
    counts: Counts

    def section(self, name: str) -> memoryview:
        """Return the bytes of a section."""
        offset, length = self.sections[name]
        return self.data[offset : offset + length]

    def at(self, name: str, offset: int = 0) -> int:
        """Return where in the file a byte of a section is."""
        return self.sections[name][0] + offset

    def refuse(self, message: str, offset: int) -> NoReturn:
        """Refuse the file for what stands at a byte of it.

        Raises:
            FormatError: always.
        """
        raise FormatError(message, path=self.path, offset=offset, hint=_DAMAGED)


def read_header(data: memoryview, path: str) -> File:
    """Return a file whose header and section table are right.

    Args:
        data: The whole file, bytes.
        path: For messages.

    Raises:
        FormatError: if a rule H1 to H13 or S1 to S4 is broken; NAMES, CONSTANTS and VECTORS have
            their lengths from what else the file holds.
    """

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
    file = File(data, path, _read_section_table(data), Counts(*(*fields, vectors)))
    if any(data[RESERVED_AT:HEADER_BYTES]):
        file.refuse("reserved bytes of the header are not zero", RESERVED_AT)
    _check_counts(file)
    _check_sections(file)
    return file


def _read_section_table(data: memoryview) -> dict[str, tuple[int, int]]:
    pairs = struct.iter_unpack("<QQ", data[SECTION_TABLE_AT:VECTOR_COUNT_AT])
    return {name: (offset, length) for name, (offset, length) in zip(SECTIONS, pairs, strict=True)}


def _check_counts(file: File) -> None:
    """Check the header's numbers from byte 24 on."""
    counts = file.counts
    if counts.arena_bytes % ALIGNMENT or counts.arena_bytes > BYTES_MAX:
        file.refuse(f"arena of {counts.arena_bytes} bytes is no multiple of 64 up to 2^40", 24)
    for what, count, least, most, offset in (
        ("tensors", counts.tensors, 0, COUNT_MAX, 32),
        ("buffers", counts.buffers, 0, COUNT_MAX, 36),
        ("instructions", counts.instructions, 0, COUNT_MAX, 40),
        ("words of code", counts.words, 0, WORDS_MAX, 44),
        ("inputs", counts.inputs, 1, IO_MAX, 48),
        ("outputs", counts.outputs, 1, IO_MAX, 52),
        ("vectors", counts.vectors, 0, VECTORS_MAX, VECTOR_COUNT_AT),
    ):
        if not least <= count <= most:
            file.refuse(f"{count} {what}, not {least} to {most}", offset)


def _check_sections(file: File) -> None:
    """Check that the sections tile the file, have the lengths that the counts say, and no holes."""
    counts = file.counts
    wanted = {
        "BUFFERS": BUFFER_ROW.size * counts.buffers,
        "TENSORS": TENSOR_ROW.size * counts.tensors,
        "CODE": 4 * counts.words,
        "IO": 4 * (counts.inputs + counts.outputs),
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
