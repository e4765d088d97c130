"""Small files that ask for much: memory, time, a place outside. Each is refused, or costs little.

Every reader runs in a process of its own that may take 2 GB more than it starts with, and 60 s.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bittrue.archive import MANIFEST, archive_bytes, sha256
from tests.unit.networks import tiny

SECONDS = 60
READ = """
import sys
from pathlib import Path
from bittrue.errors import Error
from tests.format.mutate import KINDS, _limit_memory
kind = KINDS[sys.argv[1]]
kind.make()
_limit_memory()
for path in sys.argv[2:]:
    try:
        kind.read(Path(path))
    except Error as why:
        print("refused:", type(why).__name__, why.message[:300].replace("\\n", " "))
    else:
        print("read")
"""


def outcomes(kind: str, *paths: Path) -> list[str]:
    """What a reader did with each file: "read", or "refused" with the error."""
    folder = paths[0].parent
    before = sorted(folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", READ, kind, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(folder.iterdir()) == before
    said = [line for line in done.stdout.splitlines() if line.startswith(("read", "refused:"))]
    assert len(said) == len(paths)
    return said


def written(folder: Path, suffix: str, files: dict[str, bytes]) -> list[Path]:
    """Write files, numbered in their order."""
    paths = [folder / f"{number}{suffix}" for number in range(len(files))]
    for path, data in zip(paths, files.values(), strict=True):
        path.write_bytes(data)
    return paths


def not_refused(kind: str, folder: Path, suffix: str, files: dict[str, bytes]) -> list[str]:
    """Names of the files that were read, or refused by another error than of the model."""
    errors = ("FormatError", "UnsupportedError", "ModelError")
    said = outcomes(kind, *written(folder, suffix, files))
    return [
        f"{name}: {what}"
        for name, what in zip(files, said, strict=True)
        if not what.startswith(tuple(f"refused: {error}" for error in errors))
    ]


# --- zips ----------------------------------------------------------------------------------------


def test_a_zip_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    """45 MB of 45 GB would take as long to make: the directory lies instead."""
    data = io.BytesIO()
    np.savez_compressed(data, x=np.zeros(10**6))
    made = bytearray(data.getvalue())
    entry = made.index(b"PK\x01\x02")
    struct.pack_into("<I", made, entry + 24, 2**32 - 2)
    more = bytes(made[entry : made.index(b"PK\x05\x06")])
    end = made.index(b"PK\x05\x06")
    made[end:end] = more.replace(b"x.npy", b"y.npy")
    for place, size in ((8, 2), (10, 2)):
        at = made.index(b"PK\x05\x06") + place
        made[at : at + size] = (2).to_bytes(size, "little")
    at = made.index(b"PK\x05\x06") + 12
    struct.pack_into("<I", made, at, 2 * len(more))
    (tmp_path / "bomb.npz").write_bytes(made)
    (said,) = outcomes("npz", tmp_path / "bomb.npz")
    assert said.startswith("refused: DataError would unpack to 8589934588 bytes")


def test_a_real_bomb_stops_at_the_memory_there_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": (3 << 30,)}
        )
        with archive.open("x.npy", "w", force_zip64=True) as member:
            member.write(header.getvalue() + bytes(1 << 20))
    (said,) = outcomes("npz", tmp_path / "bomb.npz")
    assert said.startswith("refused: DataError")


def test_an_archive_names_no_place_outside(tmp_path: Path) -> None:
    files = {}
    for name in ("../outside", "/tmp/outside", "source.onnx/", "C:\\outside"):
        data = io.BytesIO(archive_bytes(tiny("native")))
        with zipfile.ZipFile(data, "a") as archive:
            archive.writestr(name, b"x")
        files[name] = data.getvalue()
    assert not_refused("bta", tmp_path, ".bta", files) == []


def test_a_link_in_an_archive_is_bytes_like_others(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("source.onnx")
    link.external_attr = 0o120777 << 16
    data = _edited(lambda manifest, members: None, link)
    (tmp_path / "a.bta").write_bytes(data)
    assert outcomes("bta", tmp_path / "a.bta") == ["read"]  # nothing was made: `outcomes` looks


def _edited(
    edit: Callable[[dict[str, object], dict[str, bytes]], None],
    info: zipfile.ZipInfo | None = None,
) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive_bytes(tiny("native")))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop(MANIFEST))
    edit(manifest, members)
    manifest["members"] = {name: sha256(member) for name, member in members.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        archive.writestr(MANIFEST, json.dumps(manifest))
        for name, member in members.items():
            archive.writestr(info if info and info.filename == name else name, member)
    return out.getvalue()


def _tensors(**rows: object) -> bytes:
    text = json.dumps(rows).encode()
    return struct.pack("<Q", len(text)) + text + bytes(16)


F32 = {"dtype": "F32", "shape": [2]}


LIES = {
    "overlap": _tensors(a={**F32, "data_offsets": [0, 8]}, b={**F32, "data_offsets": [4, 12]}),
    "hole": _tensors(a={**F32, "data_offsets": [0, 8]}, b={**F32, "data_offsets": [12, 20]}),
    "negative": _tensors(a={**F32, "data_offsets": [-8, 0]}),
    "backwards": _tensors(a={**F32, "data_offsets": [8, 0]}),
    "past 2^64": _tensors(a={**F32, "data_offsets": [0, 2**64]}),
    "overflow": _tensors(a={"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}),
    "huge": _tensors(a={"dtype": "U8", "shape": [2**63], "data_offsets": [0, 16]}),
    "long": struct.pack("<Q", 2**63) + b"{}",
    "list": struct.pack("<Q", 2) + b"[]",
}


def test_safetensors_that_lie_are_refused(tmp_path: Path) -> None:
    files = {}
    for name, member in LIES.items():
        changed = {"native.safetensors": member}
        files[name] = _edited(lambda manifest, members, changed=changed: members.update(changed))
    assert not_refused("bta", tmp_path, ".bta", files) == []


# --- ONNX ----------------------------------------------------------------------------------------


def _model(nodes: list[onnx.NodeProto], *constants: onnx.TensorProto) -> bytes:
    graph = helper.make_graph(
        nodes,
        "bomb",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def _ints(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


ADD = helper.make_node("Add", ["x", "c"], ["y"])
BOMBS = {
    "ConstantOfShape": (
        [helper.make_node("ConstantOfShape", ["s"], ["c"]), ADD],
        [_ints("s", 2**20, 2**20)],
    ),
    "Expand": (
        [helper.make_node("Expand", ["one", "s"], ["c"]), ADD],
        [_ints("s", 2**30, 2**20), numpy_helper.from_array(np.ones(1, np.float32), "one")],
    ),
    "Tile": (
        [helper.make_node("Tile", ["one", "s"], ["c"]), ADD],
        [_ints("s", 2**40), numpy_helper.from_array(np.ones(1, np.float32), "one")],
    ),
    "Range": (
        [
            helper.make_node("Range", ["a", "b", "d"], ["r"]),
            helper.make_node("Cast", ["r"], ["c"], to=1),
            ADD,
        ],
        [
            numpy_helper.from_array(np.int64(n), name)
            for name, n in zip("abd", (0, 2**40, 1), strict=True)
        ],
    ),
    "Pad": (
        [helper.make_node("Pad", ["one", "s"], ["c"]), ADD],
        [_ints("s", 0, 2**40), numpy_helper.from_array(np.ones(1, np.float32), "one")],
    ),
    "Tile of the input": (
        [helper.make_node("Tile", ["x", "s"], ["y"])],
        [_ints("s", 2**40, 2**40)],
    ),
    "a cycle": (
        [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Add", ["a", "x"], ["b"])],
        [],
    ),
    "a node that reads itself": ([helper.make_node("Add", ["x", "y"], ["y"])], []),
}


def _doubled() -> bytes:
    """40 Concats of a thing with itself: 2^40 numbers from a file of 3 kB."""
    nodes = [helper.make_node("Concat", [f"c{i}"] * 2, [f"c{i + 1}"], axis=0) for i in range(40)]
    nodes.append(helper.make_node("Add", ["x", "c40"], ["y"]))
    return _model(nodes, numpy_helper.from_array(np.ones(1, np.float32), "c0"))


def _deep() -> bytes:
    """Graphs within graphs: ModelProto.graph, then node, attribute and g again and again."""
    data = b""
    for _ in range(3000):
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            data = tag + _varint(len(data)) + data
    return b"\x3a" + _varint(len(data)) + data


def test_networks_that_ask_for_much_are_refused(tmp_path: Path) -> None:
    files = {name: _model(nodes, *constants) for name, (nodes, constants) in BOMBS.items()}
    files |= {"doubled": _doubled(), "deep": _deep()}
    for length in (2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1):
        files[f"a field of {length} bytes"] = b"\x3a" + _varint(length) + b"\x0a\x00" * 100
    assert not_refused("onnx", tmp_path, ".onnx", files) == []


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


# --- torch ---------------------------------------------------------------------------------------


class Payload:
    """Makes a file when unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.proof,)


@pytest.mark.parametrize("wrapped", [True, False])
def test_weights_with_code_in_them_are_refused_and_not_run(wrapped: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    proof = tmp_path / "proof" / "it_ran"
    proof.parent.mkdir()
    path = tmp_path / "weights.pt"
    if wrapped:
        torch.save({"a.weight": torch.zeros(2), "b": Payload(proof)}, path)
    else:
        path.write_bytes(pickle.dumps({"a": Payload(proof)}))
    (said,) = outcomes("torch", path)
    assert said.startswith("refused: ModelError")
    assert not proof.exists()
    if not wrapped:  # the payload works: without the refusal there would be a file
        pickle.loads(path.read_bytes())
        assert proof.exists()
