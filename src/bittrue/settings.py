"""The environment variables that change what bittrue does, in one table; read nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass

from bittrue.errors import UsageError

#: Slowest first within an architecture; the names of native/cpu.cc.
ISAS = (
    "auto",
    "scalar",
    "avx2",
    "avxvnni",
    "avx512vnni256",
    "avx512vnni",
    "avx512vbmi",
    "neon",
    "neondot",
)
#: The most that an engine may be asked for, as BITTRUE_MAX_THREADS of native/bittrue.h.
THREADS_MAX = 1024
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable: its name, what it means, its default, and the words it may hold (if few)."""

    name: str
    meaning: str
    default: str
    choices: tuple[str, ...] = ()


SETTINGS = (
    Setting("BITTRUE_ISA", "instruction set that the engine uses", "auto", ISAS),
    Setting("BITTRUE_THREADS", "threads that the engine uses; 0 means one a core", "0"),
    Setting("BITTRUE_VERIFY", "1 checks the graph after every pass", "0", ("0", "1")),
    Setting("BITTRUE_DUMP", "folder that the graph after every pass is written to", ""),
    Setting("BITTRUE_LOG", "least level of message that is logged", "warning", LOG_LEVELS),
    Setting("BITTRUE_LIBRARY", "path of the engine's shared library", ""),
    Setting("BITTRUE_CACHE", "folder that fetched networks and pictures are kept in", ""),
)
_BY_NAME = {row.name: row for row in SETTINGS}


def get(name: str) -> str:
    """Return a setting's value, or its default.

    Raises:
        UsageError: if the value is not one of the words that the setting may hold.
    """
    row = _BY_NAME[name]
    value = os.environ.get(name, row.default)
    if row.choices and value not in row.choices:
        raise UsageError(
            f"{name}={value!r} is not one of {', '.join(row.choices)}",
            hint=f"unset {name}, or set it to one of those",
        )
    return value


def get_flag(name: str) -> bool:
    """Return whether a setting that may be 0 or 1 is 1.

    Raises:
        UsageError: if it is anything else.
    """
    return get(name) == "1"


def get_count(name: str) -> int:
    """Return a setting that is a whole number of at least 0.

    Raises:
        UsageError: if it is anything else.
    """
    text = get(name)
    if not text.isascii() or not text.isdigit() or int(text) > THREADS_MAX:
        raise UsageError(
            f"{name}={text!r} is not a whole number from 0 to {THREADS_MAX}",
            hint=f"unset {name}, or mend it",
        )
    return int(text)
