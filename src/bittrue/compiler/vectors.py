"""Conformance vectors: inputs that anyone can make again, and what every tensor must then be.

An executable holds no input, only the recipe: a pattern, a seed, and for each input its least and
greatest element. docs/format.md states the recipe; `native/vectors.cc` follows it too.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from bittrue.compiler.limits import VECTORS_MAX
from bittrue.compiler.program import HASH_BYTES, PATTERNS, Program, Vector, Vectors
from bittrue.contract.tensor import TensorContract
from bittrue.dtypes import DTYPES
from bittrue.errors import InternalError

RANGE_BYTES = 8
HEAD = struct.Struct("<IIQ")
#: Of an input whose range nobody knows: what is mostly given to a network.
UNKNOWN_FLOATS, UNKNOWN_WHOLE = (-1.0, 1.0), (0, 127)
#: The difference of two such numbers is finite in float32.
_FLOAT_LIMIT = 2.0**126

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


# --- the recipe ----------------------------------------------------------------------------------


def splitmix64(seed: int, start: int, count: int) -> np.ndarray:
    """Return numbers `start` to `start + count` - 1 of the sequence splitmix64, uint64 [count].

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.

    Args:
        seed: 0 to 2^64 - 1.
        start: How many numbers of the sequence are left out.
        count: How many are wanted.
    """
    steps = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    mixed = np.uint64(seed) + steps * _GOLDEN  # modulo 2^64, as all below
    for shift, factor in _MIX:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def vector_inputs(program: Program, vector: Vector) -> list[np.ndarray]:
    """Return the arrays of a vector, one an input, of its tensor's dtype and physical shape.

    Args:
        program: Whose `vectors.ranges` say the least and greatest element of each input.
        vector: One of its `vectors.rows`.
    """
    arrays, start = [], 0
    for index, limits in zip(program.inputs, program.vectors.ranges, strict=True):
        row = program.tensors[index]
        count = prod(row.shape)
        arrays.append(_elements(vector, row.dtype, limits, start, count).reshape(row.shape))
        start += count
    return arrays


def _elements(
    vector: Vector, dtype: str, limits: tuple[float, float], start: int, count: int
) -> np.ndarray:
    """Return `count` elements in a row, [count] of `dtype`, all in `limits`."""
    low, high = limits
    if vector.pattern != "random":
        return np.full(count, low if vector.pattern == "lowest" else high, dtype)
    drawn = splitmix64(vector.seed, start, count)
    if dtype == "float32":
        share = (drawn >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)  # exact, below 1
        span = np.float32(high) - np.float32(low)
        drawn_floats: np.ndarray = np.minimum(np.float32(low) + span * share, np.float32(high))
        return drawn_floats
    steps = np.uint64(int(high) - int(low) + 1)  # at most 2^32: the product stays below 2^64
    above = ((drawn >> np.uint64(32)) * steps) >> np.uint64(32)
    return (above.astype(np.int64) + int(low)).astype(dtype)


def recipes(count: int) -> list[tuple[str, int]]:
    """Return the pattern and seed of the first `count` vectors that the compiler stores."""
    fixed = [("random", 1), ("highest", 0), ("lowest", 0)]
    return (fixed + [("random", seed) for seed in range(2, count)])[:count]


def input_ranges(program: Program) -> tuple[tuple[float, float], ...]:
    """Return the least and greatest element that vectors give to each input.

    Codes take all of 0 to 255; anything else the range of its calibration where there is one.
    """
    return tuple(
        _range(program.tensors[index].dtype, row)
        for index, row in zip(program.inputs, program.contract.inputs, strict=True)
    )


def _range(dtype: str, row: TensorContract) -> tuple[float, float]:
    seen = row.value_range
    if dtype == "float32":
        low, high = UNKNOWN_FLOATS if seen is None else seen
        least, most = (min(max(item, -_FLOAT_LIMIT), _FLOAT_LIMIT) for item in (low, high))
        return float(np.float32(least)), float(np.float32(most))
    info = np.iinfo(dtype)
    if info.bits == 8:
        return info.min, info.max
    low, high = UNKNOWN_WHOLE if seen is None else (math.floor(seen[0]), math.ceil(seen[1]))
    return max(low, int(info.min)), min(high, int(info.max))


# --- the section ---------------------------------------------------------------------------------


def section_length(inputs: int, hashed: int, count: int) -> int:
    """Return the length of VECTORS for `count` vectors, in bytes."""
    return RANGE_BYTES * inputs + count * (HEAD.size + HASH_BYTES * hashed) if count else 0


def section_bytes(program: Program) -> bytes:
    """Return VECTORS of a program.

    Raises:
        InternalError: if its vectors break a rule.
    """
    found = vector_problems(program)
    if told := [message for _, message in found]:
        raise InternalError(f"program {program.name!r} has broken vectors: {'; '.join(told)}")
    parts = [
        np.array(limits, _stored(program.tensors[index].dtype)).tobytes()
        for index, limits in zip(program.inputs, program.vectors.ranges, strict=False)
    ]
    for row in program.vectors.rows:
        parts += [HEAD.pack(PATTERNS.index(row.pattern), 0, row.seed), *row.hashes]
    return b"".join(parts)


def _stored(dtype: str) -> str:
    """Return the type in which the limits of an input are stored."""
    return "<f4" if dtype == "float32" else "<i4"


def read_section(data: memoryview, program: Program, count: int) -> tuple[Vectors, str, int]:
    """Return the vectors of a file, or what is wrong with them.

    Args:
        data: The section, of exactly `section_length` bytes.
        program: All else that the file holds; obeys its rules.
        count: How many vectors.

    Returns:
        The vectors, the broken rule (empty if there is none), and the byte of the section at
        which it is.
    """
    if count == 0:
        return Vectors(), "", 0
    limits: list[tuple[float, float]] = []
    for place, index in enumerate(program.inputs):
        dtype = program.tensors[index].dtype
        low, high = np.frombuffer(data, _stored(dtype), 2, RANGE_BYTES * place).tolist()
        limits.append((low, high))
    hashed, rows = len(program.computed), list[Vector]()
    for place in range(count):
        at = row_at(len(program.inputs), hashed, place)
        pattern, zero, seed = HEAD.unpack_from(data, at)
        if pattern >= len(PATTERNS) or zero:
            return Vectors(), f"vector {place} has pattern {pattern} and {zero}, not 0", at
        start = at + HEAD.size
        ends = range(start, start + HASH_BYTES * hashed, HASH_BYTES)
        hashes = tuple(bytes(data[end : end + HASH_BYTES]) for end in ends)
        rows.append(Vector(PATTERNS[pattern], seed, hashes))
    return Vectors(tuple(limits), tuple(rows)), "", 0


def row_at(inputs: int, hashed: int, place: int) -> int:
    """Return the byte of VECTORS at which vector `place` starts."""
    return RANGE_BYTES * inputs + place * (HEAD.size + HASH_BYTES * hashed)


def vector_problems(program: Program) -> Iterator[tuple[int, str]]:
    """Yield every rule that a program's vectors break, with the byte of VECTORS."""
    vectors, hashed = program.vectors, len(program.computed)
    if not vectors.rows and not vectors.ranges:
        return
    if len(vectors.ranges) != len(program.inputs) or not 1 <= len(vectors.rows) <= VECTORS_MAX:
        yield 0, f"{len(vectors.ranges)} ranges and {len(vectors.rows)} vectors"
        return
    for place, (index, limits) in enumerate(zip(program.inputs, vectors.ranges, strict=True)):
        row = program.tensors[index]
        if not _range_fits(row.dtype, limits):
            yield RANGE_BYTES * place, f"input '{row.name}', {row.dtype}, cannot be {limits}"
    for place, vector in enumerate(vectors.rows):
        at = row_at(len(program.inputs), hashed, place)
        most = 2**64 - 1 if vector.pattern == "random" else 0
        if not 0 <= vector.seed <= most:
            yield at + 8, f"vector {place}, {vector.pattern}, has the seed {vector.seed}"
        if [len(item) for item in vector.hashes] != [HASH_BYTES] * hashed:
            yield at, f"vector {place} has {len(vector.hashes)} hashes, not {hashed}"


def _range_fits(dtype: str, limits: Sequence[float]) -> bool:
    low, high = limits
    if dtype != "float32":
        info = np.iinfo(DTYPES[dtype].name)
        return int(info.min) <= low <= high <= int(info.max)
    with np.errstate(over="ignore", invalid="ignore"):
        span = np.float32(high) - np.float32(low)
    return bool(np.isfinite(span) and low <= high)
