"""Each MUST of docs/format.md: a good file passes, a file that breaks one rule is refused."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable

import numpy as np
import pytest

from bittrue.compiler.file_layout import (
    BUFFER_ROW,
    HEADER_BYTES,
    SECTION_TABLE_AT,
    SECTIONS,
    TENSOR_ROW,
)
from bittrue.compiler.fileformat import from_bytes, to_bytes
from bittrue.compiler.plan import plan
from bittrue.engines.native import Engine
from bittrue.errors import FormatError, InternalError
from tests.bte import sealed, section, with_meta
from tests.format.programs import small_program, with_some_vectors
from tests.programs import Builder

GOOD = to_bytes(with_some_vectors(small_program()))
FIRST_CONSTANT = [row.constant for row in small_program().buffers].index(True)


def patched(at: int, kind: str, value: object) -> bytes:
    data = bytearray(GOOD)
    struct.pack_into("<" + kind, data, at, value)
    return sealed(bytes(data))


def refused(data: bytes, *, engine: bool = True) -> FormatError:
    """Return what Python says; the engine, which never looks at META, must refuse it too."""
    if engine:
        with pytest.raises(FormatError):
            Engine(data, threads=1)
    else:
        Engine(data, threads=1).close()
    with pytest.raises(FormatError) as caught:
        from_bytes(data, path="some.bte")
    assert caught.value.path == "some.bte"
    assert caught.value.offset is not None
    assert 0 <= caught.value.offset <= len(data)
    assert caught.value.hint
    return caught.value


# --- good files ------------------------------------------------------------------------------


def test_a_program_comes_back_as_it_went() -> None:
    program, back = with_some_vectors(small_program()), from_bytes(GOOD)
    for name in ("name", "tensors", "buffers", "instructions", "inputs", "outputs", "contract"):
        assert getattr(back, name) == getattr(program, name)
    for name in ("arena_bytes", "preprocess", "provenance", "vectors"):
        assert getattr(back, name) == getattr(program, name)
    assert back.constants.keys() == program.constants.keys()
    for index, array in program.constants.items():
        np.testing.assert_array_equal(back.constants[index], array)
    assert to_bytes(back) == GOOD


def test_a_planned_program_comes_back_too() -> None:
    data = to_bytes(plan(small_program()))
    assert to_bytes(from_bytes(memoryview(data))) == data


def test_names_and_texts_beyond_ascii_come_back() -> None:
    made = Builder()
    x, y = made.tensor((4,), name="größe/中"), made.tensor((4,), name="y")
    made.step("TABLE", (x, made.constant(np.zeros((1, 256), np.uint8), "t")), y)
    program = made.program((x,), (y,))
    assert from_bytes(to_bytes(program)).tensors == program.tensors


def test_a_program_without_a_plan_is_not_written() -> None:
    from dataclasses import replace

    program = small_program()
    buffers = tuple(replace(row, offset=-1) for row in program.buffers)
    with pytest.raises(InternalError, match="plan it first"):
        to_bytes(replace(program, buffers=buffers, arena_bytes=0))


def float_input(low: float, high: float) -> bytes:
    """A program with one float32 input, and a vector between two numbers."""
    made = Builder()
    x, y = made.tensor((3,), "float32", "x"), made.tensor((3,), "float32", "y")
    made.step("F32_UNARY", (x,), y)
    data = bytearray(to_bytes(with_some_vectors(made.program((x,), (y,)))))
    (at,) = struct.unpack_from("<Q", data, SECTION_TABLE_AT + 16 * SECTIONS.index("VECTORS"))
    struct.pack_into("<ff", data, at, low, high)
    return sealed(bytes(data))


def test_ranges_of_floats_are_finite_and_so_is_their_difference() -> None:
    most = float(np.finfo(np.float32).max)
    for low, high in ((-1.0, -1.0), (0.0, most), (-most, 0.0), (-0.0, 0.0)):
        data = float_input(low, high)
        assert to_bytes(from_bytes(data)) == data
        Engine(data, threads=1).close()
    inf, nan = float("inf"), float("nan")
    for low, high in ((-most, most), (1.0, 0.5), (0.0, inf), (-inf, 0.0), (inf, inf), (nan, 1.0),
                      (0.0, nan)):  # fmt: skip
        assert "cannot be" in refused(float_input(low, high)).message


def test_a_file_of_version_1_is_refused_with_what_to_do() -> None:
    told = refused(patched(8, "I", 1))
    assert told.hint.startswith("compile the network again")


# --- every byte ------------------------------------------------------------------------------


def test_a_file_cut_at_any_byte_is_refused() -> None:
    for length in range(len(GOOD)):
        refused(GOOD[:length])


def test_a_file_cut_at_any_byte_that_says_so_itself_is_refused() -> None:
    for length in range(HEADER_BYTES, len(GOOD)):
        data = GOOD[:16] + struct.pack("<Q", length) + GOOD[24:length]
        refused(sealed(data))


def test_a_longer_file_is_refused() -> None:
    refused(GOOD + bytes(64))


def test_a_longer_file_that_says_so_itself_is_refused() -> None:
    for more in (1, 64, 128):
        refused(sealed(GOOD[:16] + struct.pack("<Q", len(GOOD) + more) + GOOD[24:] + bytes(more)))


def test_any_changed_byte_breaks_the_checksum() -> None:
    for at in range(0, len(GOOD), 7):
        refused(GOOD[:at] + bytes([GOOD[at] ^ 0x10]) + GOOD[at + 1 :])


@pytest.mark.parametrize("value", [0, 1, 2, 3, 255, 2**31 - 1, 2**31, 2**32 - 1])
def test_any_changed_word_is_refused_or_means_what_it_says(value: int) -> None:
    """A file that passes is exactly the file of the program that it gave; never another error."""
    meta_start, meta_length = section(GOOD, "META")
    for at in range(0, len(GOOD), 4):
        if meta_start <= at < meta_start + meta_length:
            continue
        data = patched(at, "I", value)
        try:
            program = from_bytes(data)
        except FormatError:
            continue
        assert to_bytes(program) == data, at


def test_any_changed_byte_of_meta_is_refused_or_read() -> None:
    start, length = section(GOOD, "META")
    for at in range(start, start + length):
        for value in (0, 34, 57, 123, 255):
            with contextlib.suppress(FormatError):
                from_bytes(patched(at, "B", value))


# --- each MUST of the header, the sections and the rows ----------------------------------------

N0, B0, T0, CODE, IO, C0, V0 = (section(GOOD, name)[0] for name in SECTIONS[1:])
V1 = V0 + 8
V2 = V1 + 16 + 32 * 4
CODE_LAST = CODE + 4 * 28
BC = B0 + BUFFER_ROW.size * FIRST_CONSTANT


def _grown(name: str) -> bytes:
    """A section one byte longer than its rows say."""
    return patched(
        SECTION_TABLE_AT + 16 * SECTIONS.index(name) + 8, "Q", section(GOOD, name)[1] + 1
    )


MUSTS: list[tuple[str, Callable[[], bytes], str, int | None]] = [
    ("magic", lambda: patched(0, "B", 0), "no .bte file", 0),
    ("version", lambda: patched(8, "I", 1), "version 1", 8),
    ("length", lambda: patched(16, "Q", 64), "header says 64", 16),
    ("checksum", lambda: GOOD[:12] + b"abcd" + GOOD[16:], "checksum", 12),
    ("arena not aligned", lambda: patched(24, "Q", 100), "arena", 24),
    ("arena too large", lambda: patched(24, "Q", 2**40 + 64), "arena", 24),
    ("too many tensors", lambda: patched(32, "I", 2**20 + 1), "tensors", 32),
    ("too many buffers", lambda: patched(36, "I", 2**20 + 1), "buffers", 36),
    ("too many instructions", lambda: patched(40, "I", 2**20 + 1), "instructions", 40),
    ("too many words", lambda: patched(44, "I", 2**26 + 1), "words", 44),
    ("no inputs", lambda: patched(48, "I", 0), "inputs", 48),
    ("too many inputs", lambda: patched(48, "I", 1025), "inputs", 48),
    ("no outputs", lambda: patched(52, "I", 0), "outputs", 52),
    ("too many outputs", lambda: patched(52, "I", 1025), "outputs", 52),
    ("META not at 192", lambda: patched(56, "Q", 256), "META starts at 256", 56),
    ("a hole between sections", lambda: patched(72, "Q", N0 + 64), "NAMES", 72),
    ("a section past the end", lambda: patched(176, "Q", 2**63), "VECTORS", 176),
    ("META too long", lambda: patched(64, "Q", 2**26 + 1), "META", None),
    ("NAMES too long", lambda: _grown("NAMES"), "names take", None),
    ("BUFFERS too long", lambda: _grown("BUFFERS"), "BUFFERS has", None),
    ("TENSORS too long", lambda: _grown("TENSORS"), "TENSORS has", None),
    ("CODE too long", lambda: _grown("CODE"), "CODE has", None),
    ("IO too long", lambda: _grown("IO"), "IO has", None),
    ("CONSTANTS too long", lambda: _grown("CONSTANTS"), "constant buffers end", None),
    ("bytes between sections", lambda: patched(sum(section(GOOD, "META")), "B", 1), "after", None),
    ("bytes after the last section", lambda: patched(len(GOOD) - 1, "B", 1), "after", None),
    ("reserved bytes", lambda: patched(188, "B", 1), "reserved", 188),
    ("too many vectors", lambda: patched(184, "I", 65), "65 vectors", 184),
    ("VECTORS too long", lambda: _grown("VECTORS"), "VECTORS has", 176),
    ("fewer vectors than the section has", lambda: patched(184, "I", 1), "VECTORS has", 176),
    ("vectors that are not counted", lambda: patched(184, "I", 0), "VECTORS has", 176),
    ("a range above its type", lambda: patched(V0 + 4, "i", 256), "(0, 256)", V0),
    ("a range below its type", lambda: patched(V0, "i", -1), "(-1, 255)", V0),
    ("a range the wrong way", lambda: patched(V0, "Q", 5 << 32 | 7), "(7, 5)", V0),
    ("pattern 3", lambda: patched(V1, "I", 3), "pattern 3", V1),
    ("a vector's zero", lambda: patched(V1 + 4, "I", 1), "pattern", V1),
    ("a seed where nothing is random", lambda: patched(V2 + 8, "Q", 1), "seed 1", V2 + 8),
    ("buffer kind", lambda: patched(B0, "I", 2), "kind 2", B0),
    ("buffer's zero", lambda: patched(B0 + 4, "I", 1), "kind", B0),
    ("buffer of no bytes", lambda: patched(B0 + 16, "Q", 0), "0 bytes", B0 + 16),
    ("buffer too long", lambda: patched(B0 + 16, "Q", 2**40 + 1), "bytes", B0 + 16),
    ("arena buffer off its place", lambda: patched(B0 + 8, "Q", 32), "multiple", B0 + 8),
    ("arena buffer outside", lambda: patched(B0 + 8, "Q", 2**39), "arena", B0 + 8),
    ("constants with a hole", lambda: patched(BC + 8, "Q", 64), "starts at", BC + 8),
    ("constants past the end", lambda: patched(BC + 16, "Q", 2**39), "past", BC + 16),
    ("bytes between constants", lambda: patched(C0 + 8, "B", 1), "between", None),
    ("names with a hole", lambda: patched(T0, "I", 1), "name", T0),
    ("a name of no bytes", lambda: patched(T0 + 4, "I", 0), "name", T0),
    ("a name past the end", lambda: patched(T0 + 4, "I", 60000), "name", T0),
    ("a name that is no UTF-8", lambda: patched(N0, "B", 0xFF), "UTF-8", None),
    ("a name with a zero byte", lambda: patched(N0, "B", 0), "zero byte", None),
    ("a name twice", lambda: patched(N0, "B", ord("w")), "second tensor", None),
    ("type 0", lambda: patched(T0 + 8, "I", 0), "type 0", T0 + 8),
    ("type 5", lambda: patched(T0 + 8, "I", 5), "type 5", T0 + 8),
    ("rank 0", lambda: patched(T0 + 12, "I", 0), "axes", T0 + 12),
    ("rank 7", lambda: patched(T0 + 12, "I", 7), "axes", T0 + 12),
    ("a dim of 0", lambda: patched(T0 + 16, "I", 0), "axis", T0),
    ("a dim of 2^31", lambda: patched(T0 + 16, "I", 2**31), "axis", T0),
    ("a dim past the rank", lambda: patched(T0 + 16 + 20, "I", 1), "dims", T0 + 12),
    ("dims that do not fill the buffer", lambda: patched(T0 + 16, "I", 2), "takes 18", T0),
    ("no such buffer", lambda: patched(T0 + 40, "I", 99), "buffer 99", T0),
    ("a zero point of 256", lambda: patched(T0 + 44, "i", 256), "zero point", T0),
    ("a zero point of -1", lambda: patched(T0 + 44, "i", -1), "zero point", T0),
    ("a negative scale", lambda: patched(T0 + 48, "f", -0.5), "scale", T0 + 48),
    ("a scale that is no number", lambda: patched(T0 + 48, "f", float("nan")), "scale", T0 + 48),
    ("an infinite scale", lambda: patched(T0 + 48, "f", float("inf")), "scale", T0 + 48),
    ("a scale of -0", lambda: patched(T0 + 64 + 48, "f", -0.0), "scale", T0 + 64 + 48),
    ("a tensor row's zeros", lambda: patched(T0 + 52, "I", 1), "zeros", T0 + 52),
    ("an unknown kind", lambda: patched(CODE, "I", 99), "unknown kind 99", CODE),
    ("other inputs than the table", lambda: patched(CODE + 4, "I", 5), "inputs", CODE),
    ("other outputs", lambda: patched(CODE + 8, "I", 2), "outputs", CODE),
    ("other params", lambda: patched(CODE + 12, "I", 2**32 - 1), "params", CODE),
    ("counts past the code", lambda: patched(CODE_LAST, "I", 8), "params", CODE_LAST),
    ("an instruction past the code", lambda: patched(40, "I", 4), "starts past the end", None),
    ("fewer instructions than code", lambda: patched(40, "I", 2), "fill 28 of 36", None),
    ("an input that is no tensor", lambda: patched(CODE + 16, "I", 99), "tensor 99", CODE),
    ("an end that is no tensor", lambda: patched(IO, "I", 99), "tensor 99", IO),
    ("a constant as input", lambda: patched(IO, "I", 1), "constant", IO),
    ("an output on a constant", lambda: patched(IO + 4, "I", 1), "constant", IO + 4),
    ("an output twice", lambda: patched(IO + 8, "I", 10), "shares its buffer", IO + 8),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message", "at"), [row[1:] for row in MUSTS],
                         ids=[row[0] for row in MUSTS])  # fmt: skip
def test_a_broken_rule_is_refused_at_its_byte(
    make: Callable[[], bytes], message: str, at: int | None
) -> None:
    why = refused(make())
    assert message in why.message
    if at is not None:
        assert why.offset == at


def test_another_scale_than_that_of_meta_is_refused() -> None:
    why = refused(patched(T0 + 48, "f", 0.25), engine=False)
    assert "META says" in why.message
    assert why.offset == T0 + 48


def test_the_corpus_starts_from_a_good_file() -> None:
    assert sealed(GOOD) == GOOD
    from_bytes(GOOD)
    assert TENSOR_ROW.size == 64
    assert BUFFER_ROW.size == 24


# --- META --------------------------------------------------------------------------------------


def good_meta() -> dict[str, object]:
    start, length = section(GOOD, "META")
    data = json.loads(GOOD[start : start + length])
    assert isinstance(data, dict)
    return data


def test_meta_can_be_another() -> None:
    changed = good_meta() | {"name": "other"}
    assert from_bytes(with_meta(GOOD, json.dumps(changed).encode())).name == "other"


def _contract(**changes: object) -> dict[str, object]:
    contract = json.loads(json.dumps(good_meta()["contract"]))
    contract["inputs"][0].update(changes)
    return {"contract": contract}


def _tensor(**changes: object) -> dict[str, object]:
    tensors = json.loads(json.dumps(good_meta()["tensors"]))
    tensors[0].update(changes)
    return {"tensors": tensors}


@pytest.mark.parametrize(
    "change",
    [
        {"name": 1},
        {"name": "\ud800"},
        {"extra": 1},
        {"tensors": []},
        {"tensors": 3},
        {"instructions": [{}] * 3},
        {"instructions": [{"name": "a", "origin": [1]}] * 3},
        {"preprocess": []},
        {"preprocess": {"x": 3}},
        {"provenance": None},
        {"contract": {}},
        _contract(dtype="float99"),
        _contract(dtype=[]),
        _contract(name=3),
        _contract(layout="XYZ"),
        _contract(colour="red"),
        _contract(zero_point="0"),
        _contract(scale="1"),
        _contract(scale=1e999),
        _contract(value_range=[0]),
        _contract(value_range=["a", "b"]),
        _contract(shape=[1, 3, 3, -1]),
        _contract(shape=[1, 3, 3, 2]),
        _contract(unknown=1),
        _tensor(perm=[0, 1, 2]),
        _tensor(perm=[0, 1, 2, 2]),
        _tensor(perm=[0.5, 1, 2, 3]),
        _tensor(scale=[-1.0]),
        _tensor(scale=[0.5, 0.5, 0.5, 0.5, 0.5]),
        _tensor(scale=[True]),
        _tensor(scale=[1e300]),
        _tensor(scale=[1e-60]),
        _tensor(scale=[]),
        _tensor(origin="x"),
    ],
)
def test_a_meta_of_another_form_is_refused(change: dict[str, object]) -> None:
    refused(with_meta(GOOD, json.dumps(good_meta() | change).encode()), engine=False)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100000, b'{"name":NaN}', b"1" * 5000, b"null", b"{}"],
)
def test_a_meta_that_is_no_object_is_refused(text: bytes) -> None:
    refused(with_meta(GOOD, text), engine=False)
