"""The bytes of a .bte file, changed and made whole again, so that later rules are reached."""

from __future__ import annotations

import struct
import zlib

from bittrue.compiler.file_layout import CRC_AT, CRC_FROM, SECTION_TABLE_AT, SECTIONS
from bittrue.compiler.program import aligned

_TABLE = struct.Struct(f"<{2 * len(SECTIONS)}Q")
_LENGTH_AT = 16


def sealed(data: bytes | bytearray) -> bytes:
    """Return a file with the checksum that its bytes give."""
    made = bytearray(data)
    struct.pack_into("<I", made, CRC_AT, zlib.crc32(made[CRC_FROM:]))
    return bytes(made)


def section(data: bytes, name: str) -> tuple[int, int]:
    """Return offset and length of a section."""
    at = SECTION_TABLE_AT + 16 * SECTIONS.index(name)
    offset, length = struct.unpack_from("<QQ", data, at)
    return offset, length


def with_meta(data: bytes, text: bytes) -> bytes:
    """Return a file with another META; all later sections move."""
    table = list(_TABLE.unpack_from(data, SECTION_TABLE_AT))
    start, rest = table[0], table[2]
    shift = start + aligned(len(text)) - rest
    table[1] = len(text)
    table[2::2] = [at + shift for at in table[2::2]]
    made = bytearray(data[:start] + text + bytes(rest + shift - start - len(text)) + data[rest:])
    _TABLE.pack_into(made, SECTION_TABLE_AT, *table)
    struct.pack_into("<Q", made, _LENGTH_AT, len(made))
    return sealed(made)
