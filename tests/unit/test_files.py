"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bittrue.errors import DataError
from bittrue.files import read_bytes, write_atomically


def test_a_written_file_holds_the_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"new"}


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_keeps_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fail(fd: int) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((DataError, KeyboardInterrupt)):
        write_atomically(tmp_path / "a", b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"old"}


def test_a_missing_folder_is_a_data_error_with_a_mend(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file or directory") as caught:
        write_atomically(tmp_path / "none" / "a", b"")
    assert "folder exists" in caught.value.hint


def test_the_file_gets_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"whole")
    assert read_bytes(tmp_path / "a") == b"whole"
    with pytest.raises(DataError, match="b: cannot be read: No such file") as caught:
        read_bytes(tmp_path / "b")
    assert caught.value.hint == "check the path"
