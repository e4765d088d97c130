"""The table of readers: which module imports what kind of source."""

from __future__ import annotations

from pathlib import Path

import pytest

from bittrue.errors import FormatError, UsageError
from bittrue.importers.readers import READERS, import_source
from bittrue.importers.recognise import KINDS
from bittrue.importers.request import Request
from tests.unit.networks import write_onnx

#: What is known by the words of the request, and what is tried where no row fits.
BESIDE = {"factory", "unknown"}


@pytest.mark.parametrize("name", sorted(set(READERS) - BESIDE))
def test_each_reader_reads_a_kind_that_is_recognised(name: str) -> None:
    assert name in {row.name for row in KINDS}


def test_a_kind_without_a_reader_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x01HEF" + bytes(100))
    with pytest.raises(FormatError, match=r"a Hailo executable"):
        import_source(Request(str(tmp_path / "net.onnx")))


def test_options_of_modules_are_refused_for_files(tmp_path: Path) -> None:
    path = write_onnx(tmp_path)
    with pytest.raises(UsageError, match="--opset goes with a PyTorch module"):
        import_source(Request(str(path), opset=17))
