"""The archive: round trip to the byte, and every rule of docs/format.md ("The archive")."""

from __future__ import annotations

import contextlib
import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bittrue.archive import (
    MANIFEST,
    MEMBERS,
    archive_bytes,
    archive_from_bytes,
    open_archive,
    save_archive,
    sha256,
)
from bittrue.errors import DataError, Error, FormatError
from bittrue.graph.model import Value
from tests.unit.networks import tiny

STAGES = ("native", "fp_optimized", "quantized", "compiled")


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(members: dict[str, bytes], *, kind: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def changed(edit: Callable[[dict[str, object], dict[str, bytes]], None]) -> bytes:
    """A compiled archive after an edit of its manifest and members, digests made right again."""
    members = members_of(archive_bytes(tiny()))
    manifest = json.loads(members.pop(MANIFEST))
    edit(manifest, members)
    manifest["members"] = {name: sha256(data) for name, data in members.items()}
    return pack({MANIFEST: json.dumps(manifest).encode(), **members})


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_read_is_what_was_written(stage: str) -> None:
    data = archive_bytes(tiny(stage))
    again = archive_from_bytes(data)
    assert again.stages == tiny(stage).stages
    assert again.history == tiny(stage).history
    assert again.preprocess == tiny(stage).preprocess
    assert archive_bytes(again) == data


def test_a_scalar_constant_stays_a_scalar() -> None:
    again = archive_from_bytes(archive_bytes(tiny("native")))
    shapes = {name: array.shape for name, array in tiny("native").native.constants.items()}
    assert () in shapes.values()
    assert {name: array.shape for name, array in again.native.constants.items()} == shapes


def test_codes_and_scales_survive_to_the_bit() -> None:
    mine, again = tiny().quantized, archive_from_bytes(archive_bytes(tiny())).quantized
    assert mine is not None
    assert again is not None
    assert mine.activations.keys() == again.activations.keys()
    for name, codes in mine.weights.items():
        np.testing.assert_array_equal(codes.codes, again.weights[name].codes)
        np.testing.assert_array_equal(codes.scale, again.weights[name].scale)


def test_names_may_hold_anything() -> None:
    native = tiny("native").native
    odd = "../a/b\0c\N{GREEK SMALL LETTER PI}"
    values = {**native.values, odd: Value(odd, "float32", (2,))}
    constants = {**native.constants, odd: np.arange(2, dtype=np.float32)}
    network = replace(tiny("native"), native=replace(native, values=values, constants=constants))
    again = archive_from_bytes(archive_bytes(network))
    np.testing.assert_array_equal(again.native.constants[odd], [0, 1])


def test_saving_is_opened_again(tmp_path: Path) -> None:
    save_archive(tiny(), tmp_path / "a.bta")
    assert open_archive(tmp_path / "a.bta").executable == tiny().executable
    assert [path.name for path in tmp_path.iterdir()] == ["a.bta"]


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        open_archive(tmp_path / "none.bta")


# --- the rules -----------------------------------------------------------------------------------


def test_rule_1_a_file_that_is_no_zip_is_refused() -> None:
    with pytest.raises(FormatError, match="no bittrue archive"):
        archive_from_bytes(b"\x08\x07onnx", path="model.onnx")
    with pytest.raises(FormatError, match="not a readable archive"):
        archive_from_bytes(b"PK\x03\x04" + bytes(100))


def test_rule_2_compressed_members_are_refused() -> None:
    members = members_of(archive_bytes(tiny("native")))
    with pytest.raises(FormatError, match="compressed"):
        archive_from_bytes(pack(members, kind=zipfile.ZIP_DEFLATED))


def test_rule_2_a_name_twice_is_refused() -> None:
    out = io.BytesIO(archive_bytes(tiny("native")))
    with warnings.catch_warnings(), zipfile.ZipFile(out, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("source.onnx", b"other")
    with pytest.raises(FormatError, match="twice"):
        archive_from_bytes(out.getvalue())


def test_rule_2_entries_that_share_bytes_are_refused() -> None:
    data = pack({"a": bytes(3000), "b": b""})
    # The directory's entry of "b" is made to point at the bytes of "a".
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    first = data.index(b"PK\x01\x02")
    forged = data[: at + 16] + data[first + 16 : first + 28] + data[at + 28 : at + 42]
    forged += data[first + 42 : first + 46] + data[at + 46 :]
    with pytest.raises(FormatError, match="longer than the file"):
        archive_from_bytes(forged)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "missing, empty"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "archive format 1"),
        (b'{"format": 2}', "archive format 1"),
        (b'{"format": 1}', "members"),
    ],
)
def test_rule_3_a_bad_manifest_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        archive_from_bytes(pack({MANIFEST: text}))


def test_rule_3_an_archive_without_manifest_is_refused() -> None:
    with pytest.raises(FormatError, match="missing"):
        archive_from_bytes(pack({"source.onnx": b""}))


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_rule_4_a_changed_member_is_refused(name: str) -> None:
    members = members_of(archive_bytes(tiny()))
    members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])
    with pytest.raises(FormatError, match=f"{name}.*sha256"):
        archive_from_bytes(pack(members))


def test_rule_4_a_member_that_is_not_listed_is_refused() -> None:
    members = members_of(archive_bytes(tiny("native")))
    with pytest.raises(FormatError, match="not those that the manifest lists"):
        archive_from_bytes(pack({**members, "more.bin": b"x"}))


def test_rule_5_a_member_of_another_name_is_refused() -> None:
    with pytest.raises(FormatError, match="no members of an archive"):
        archive_from_bytes(changed(lambda manifest, members: members.update({"setup.py": b"x"})))


@pytest.mark.parametrize("name", ["source.onnx", "native.safetensors", "weights.safetensors"])
def test_rule_5_a_member_that_is_needed_is_missed(name: str) -> None:
    with pytest.raises(FormatError, match=name):
        archive_from_bytes(changed(lambda manifest, members: members.pop(name) and None))


def test_rule_6_stages_that_are_not_there_are_refused() -> None:
    with pytest.raises(FormatError, match="it says stages"):
        archive_from_bytes(changed(lambda manifest, members: members.pop("compiled.bte") and None))


def test_rule_7_a_graph_that_is_not_legal_is_refused() -> None:
    def edit(manifest: dict[str, object], members: dict[str, bytes]) -> None:
        manifest["native"]["constants"].reverse()  # type: ignore[index]

    with pytest.raises(FormatError, match="not legal"):
        archive_from_bytes(changed(edit), path="a.bta")


@pytest.mark.parametrize("name", ["native.safetensors", "weights.safetensors"])
@pytest.mark.parametrize("data", [b"", b"\xff" * 64, bytes(8)])
def test_rule_7_damaged_arrays_are_refused(name: str, data: bytes) -> None:
    with pytest.raises(FormatError):
        archive_from_bytes(changed(lambda manifest, members: members.update({name: data})))


def test_a_file_cut_anywhere_is_refused() -> None:
    data = archive_bytes(tiny())
    for end in (*range(0, 200), *range(200, len(data), 997), *range(len(data) - 200, len(data))):
        with pytest.raises(FormatError):
            archive_from_bytes(data[:end])


def test_a_changed_byte_never_gives_anything_but_an_error_of_ours() -> None:
    data = archive_bytes(tiny())
    rng = random.Random(1)
    directory = data.rindex(b"PK\x05\x06") - 700
    for _ in range(150):
        at = rng.randrange(directory, len(data)) if rng.random() < 0.7 else rng.randrange(len(data))
        forged = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        with contextlib.suppress(FormatError):  # anything else fails the test
            archive_from_bytes(forged)


def test_a_manifest_with_any_value_replaced_gives_only_errors_of_ours() -> None:
    members = members_of(archive_bytes(tiny()))
    manifest = json.loads(members[MANIFEST])
    odd: tuple[object, ...] = (None, 10**400, -1, "", [], {}, [[]], True, 1e308)
    for key in [key for key in manifest if key not in ("format", "members")]:
        for value in odd:
            forged = {**manifest, key: value}
            with contextlib.suppress(Error):  # a name may be any text: not each of these is wrong
                archive_from_bytes(pack({**members, MANIFEST: json.dumps(forged).encode()}))
