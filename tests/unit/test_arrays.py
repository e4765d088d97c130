"""Arrays from files of anybody: what NumPy, zipfile and tokenize raise becomes one error."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bittrue.arrays import MOST_UNPACKED, npz_bytes, portions, read_arrays
from bittrue.errors import DataError


def npy_with_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "x"
    path.write_bytes(data)
    return read_arrays(path, hint="give another")


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    one, both = io.BytesIO(), io.BytesIO()
    np.save(one, np.arange(3))
    np.savez_compressed(both, a=np.eye(2), b=np.int8([1]))
    np.testing.assert_array_equal(read(tmp_path, one.getvalue())[""], [0, 1, 2])
    found = read(tmp_path, both.getvalue())
    assert sorted(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], np.eye(2))


@pytest.mark.parametrize(
    "text",
    ["(" * 300, "'", "{'descr': '<f4'", "[" * 5000, "-" * 9000 + "1", "", "\0", "{}"],
    ids=["parentheses", "quote", "cut", "deep", "minus", "empty", "zero", "no fields"],
)
def test_a_header_that_python_cannot_parse_is_a_data_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read as \.npy"):
        read(tmp_path, npy_with_header(text))


def test_a_zip_that_says_it_is_encrypted_or_patched_is_a_data_error(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.savez(out, a=np.zeros(3))
    for flag in (1, 1 << 5, 1 << 6):
        made = bytearray(out.getvalue())
        for mark, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
            made[made.index(mark) + offset] |= flag
        with pytest.raises(DataError):
            read(tmp_path, bytes(made))


def test_what_unpacks_to_too_much_is_refused_before(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.savez(out, a=np.zeros(3), b=np.zeros(3))
    made = bytearray(out.getvalue())
    first = made.index(b"PK\1\2")
    for at in (first, made.index(b"PK\1\2", first + 1)):
        struct.pack_into("<I", made, at + 24, 2**31 + 1)
    with pytest.raises(DataError, match=f"unpack to {MOST_UNPACKED + 2} bytes"):
        read(tmp_path, bytes(made))


def test_a_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="no array"):
        read(tmp_path, out.getvalue())


def test_arrays_may_be_called_anything(tmp_path: Path) -> None:
    arrays = {name: np.arange(3) for name in ("file", "allow_pickle", "a/b:0", "../x")}
    (tmp_path / "a.npz").write_bytes(npz_bytes(arrays))
    found = read_arrays(tmp_path / "a.npz", hint="")
    assert set(found) == set(arrays)
    assert npz_bytes(arrays) == npz_bytes(dict(arrays))


def test_portions_keep_the_order_and_hold_what_fits_or_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bittrue.arrays.PORTION_BYTES", 10)
    assert portions([4, 6, 1, 99, 2], int) == [[4, 6], [1], [99], [2]]
    assert portions([], int) == []
