"""Damaged files of every kind that bittrue reads, and what each reader may do with them.

A reader may return, or raise one of `bittrue.errors`; anything else, a slow answer, or a file left
behind is a finding. Run as a program it tries many more than the tests, under a memory limit:

    python -m tests.format.mutate 20000 [kind ...]
"""

from __future__ import annotations

import io
import json
import pickle
import random
import resource
import struct
import sys
import tempfile
import time
import tomllib
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from bittrue.archive import MANIFEST, archive_bytes, open_archive, sha256
from bittrue.capture import Capture, Captured, read_captures, write_capture
from bittrue.compiler.fileformat import from_bytes, to_bytes
from bittrue.contract.deployed import load_deployed
from bittrue.contract.preprocess import Preprocess, load_preprocess
from bittrue.contract.tensor import TensorContract
from bittrue.errors import Error
from bittrue.importers.onnx import import_onnx
from bittrue.inputs import read_input
from bittrue.quant.samples import Sample, samples_from
from tests.bte import sealed, section, with_meta
from tests.format.programs import small_program
from tests.unit.networks import TOML, tiny, tiny_onnx

Rng = random.Random
#: Seconds that one file may take, and bytes that the process may have above those it starts with.
MOST_SECONDS = 10.0
MOST_MEMORY = 2 << 30
DEEP = "@deep@"
LONG = "@long@"
ODD_JSON: tuple[object, ...] = (
    *(None, True, -1, 0, 1, 2, 255, 2**31, 2**63, 2**64, 10**400, 1e308, 5e-324, 0.5, -0.0),
    *(float("nan"), float("inf"), "", "x", "\ud800", "\0", "../../x", "images", [], {}, [[]], [0]),
    *({"": 0}, [1, 2, 3], [-1], [2**40, 2**40], DEEP, LONG),
)
ODD_WORDS = (0, 1, 2, 3, 64, 255, 256, 65535, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
ODD_SIZES = (0, 1, 7, 8, 63, 2**16, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: what its names end in, a right one, one change of it, and its reader."""

    suffix: str
    make: Callable[[], bytes]
    change: Callable[[bytes, Rng], bytes]
    read: Callable[[Path], object]


def judge(kind: Kind, data: bytes, folder: Path) -> str:
    """Return what was found on one file, with the traceback; empty if its reader behaved.

    The folder must be empty but for the file while the reader runs, and is so afterwards.
    """
    path = folder / f"file{kind.suffix}"
    path.write_bytes(data)
    start = time.perf_counter()
    found = ""
    try:
        kind.read(path)
    except Error as why:
        found = _unprintable(why)
    except Exception:
        found = traceback.format_exc()
    took = time.perf_counter() - start
    if took > MOST_SECONDS:
        found = f"{took:.1f} s"
    left = sorted(entry.name for entry in folder.iterdir() if entry != path)
    return found or (f"left behind: {left}" if left else "")


def _unprintable(error: Error) -> str:
    """A message is for a terminal or a log: what cannot be written to either is a finding."""
    try:
        str(error).encode()
    except UnicodeEncodeError as why:
        return f"message cannot be printed: {why}"
    return "a message of more than 10,000 characters" if len(str(error)) > 10_000 else ""


# --- bytes and JSON ------------------------------------------------------------------------------


def change_bytes(data: bytes, rng: Rng) -> bytes:
    """Flip bits, set words, cut, repeat or insert."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        match rng.randrange(6):
            case 0 | 1 if at < len(made):
                made[at] ^= 1 << rng.randrange(8)
            case 2:
                made[at : at + 4] = struct.pack("<I", rng.choice(ODD_WORDS))
            case 3:
                made[at : at + 8] = struct.pack("<Q", rng.choice(ODD_SIZES))
            case 4:
                del made[at : at + rng.choice((1, 2, 16, 1000))]
            case 5:
                made[at:at] = made[at : at + rng.choice((1, 4, 100))]
    return bytes(made)


def change_json(value: object, rng: Rng) -> object:
    """Return the value with one place in it, at any depth, replaced, dropped or repeated."""
    places = list(_places(value))
    if not places:
        return rng.choice(ODD_JSON)
    whole, key = rng.choice(places)
    odd = rng.choice(ODD_JSON)
    if rng.randrange(4) == 0:  # another part of the same file: of a right form, but not here
        other, its_key = rng.choice(places)
        odd = json.loads(json.dumps(other[its_key]))  # type: ignore[index]
    if rng.randrange(5) == 0:
        del whole[key]  # type: ignore[attr-defined]
    elif isinstance(whole, list) and rng.randrange(3) == 0:
        whole.insert(key, odd)  # type: ignore[arg-type]
    elif isinstance(whole, dict) and rng.randrange(5) == 0:
        whole[str(odd)] = whole.pop(key)
    else:
        whole[key] = odd  # type: ignore[index]
    return value


def _places(value: object, most: int = 6) -> list[tuple[object, object]]:
    if not isinstance(value, dict | list) or most == 0:
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    found: list[tuple[object, object]] = [(value, key) for key in keys]
    for key in keys:
        found += _places(value[key], most - 1)
    return found


def json_bytes(value: object) -> bytes:
    """Return JSON text; marks in it become what no writer gives: great depth, a long number."""
    text = json.dumps(value).replace(f'"{LONG}"', "9" * 5000)
    return text.replace(f'"{DEEP}"', "[" * 50_000 + "]" * 50_000).encode()


# --- the executable ------------------------------------------------------------------------------


def change_bte(data: bytes, rng: Rng) -> bytes:
    """Change words or META of a .bte, and mend lengths and checksum."""
    if rng.randrange(2):
        made = bytearray(data)
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(0, len(made) - 8, 4)
            odd = rng.choice(ODD_WORDS)
            struct.pack_into("<I", made, at, odd if rng.randrange(2) else _word(made, at) ^ odd)
        return sealed(made)
    start, length = section(data, "META")
    meta = json.loads(data[start : start + length])
    text = json_bytes(change_json(meta, rng))
    if rng.randrange(8) == 0:
        text = change_bytes(text, rng)
    return with_meta(data, text)


def _word(data: bytes | bytearray, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


# --- the archive ---------------------------------------------------------------------------------


def change_bta(data: bytes, rng: Rng) -> bytes:
    """Change a member and mend its digest, or the zip around the members."""
    if rng.randrange(4) == 0:
        return change_zip(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop(MANIFEST))
    name = rng.choice(sorted(members))
    digests = {key: sha256(member) for key, member in members.items()}
    if rng.randrange(3) == 0 and name.endswith(".safetensors"):
        members[name] = change_safetensors(members[name], rng)
    elif rng.randrange(8) == 0:
        members[name] = change_bytes(members[name], rng)
    else:
        manifest = change_json(manifest, rng)
    if isinstance(manifest, dict) and manifest.get("members") == digests:
        manifest["members"] = {key: sha256(member) for key, member in members.items()}
    return _stored({MANIFEST: json_bytes(manifest), **members})


def _stored(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return out.getvalue()


#: Places in an entry of a zip's directory, and in its end: size, then offset.
ENTRY_FIELDS = (
    *((2, 6), (2, 8), (2, 10), (4, 16), (4, 20), (4, 24), (2, 28), (2, 30), (2, 32), (2, 34)),
    *((2, 36), (4, 38), (4, 42)),
)
END_FIELDS = ((2, 4), (2, 6), (2, 8), (2, 10), (4, 12), (4, 16), (2, 20))
LOCAL_FIELDS = ((2, 4), (2, 6), (2, 8), (4, 14), (4, 18), (4, 22), (2, 26), (2, 28))


def change_zip(data: bytes, rng: Rng) -> bytes:
    """Make sizes, offsets, methods, flags or names of a zip lie."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        mark, fields = rng.choice(
            ((b"PK\x01\x02", ENTRY_FIELDS), (b"PK\x05\x06", END_FIELDS), (b"PK\3\4", LOCAL_FIELDS))
        )
        starts = [at for at in range(len(made)) if made.startswith(mark, at)]
        if not starts:
            return change_bytes(data, rng)
        start = rng.choice(starts)
        size, offset = rng.choice(fields)
        at = start + offset
        value = rng.choice((*ODD_WORDS, 8, 12, 99, 0x41ED0000, len(made), rng.randrange(len(made))))
        made[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
        if rng.randrange(6) == 0:
            made = bytearray(
                made.replace(b"source.onnx", rng.choice((b"../../x.onn", b"/etc/passwd")))
            )
    return bytes(made)


def change_safetensors(data: bytes, rng: Rng) -> bytes:
    """Change the header of a safetensors file, or its stated length."""
    (length,) = struct.unpack_from("<Q", data)
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    text = json_bytes(change_json(header, rng))
    stated = rng.choice(ODD_SIZES) if rng.randrange(8) == 0 else len(text)
    return (
        struct.pack("<Q", stated)
        + text
        + (change_bytes(rest, rng) if rng.randrange(4) == 0 else rest)
    )


# --- ONNX ----------------------------------------------------------------------------------------


def change_onnx(data: bytes, rng: Rng) -> bytes:
    """Change one field of the model's messages, or its bytes."""
    if rng.randrange(4) == 0:
        return change_bytes(data, rng)
    model = onnx.load_model_from_string(data)
    for _ in range(rng.randint(1, 2)):
        rng.choice(ONNX_CHANGES)(model, rng)
    return bytes(model.SerializeToString())


def _change_dims(model: onnx.ModelProto, rng: Rng) -> None:
    dims = rng.choice(list(model.graph.initializer)).dims
    if rng.randrange(2) and dims:
        dims[rng.randrange(len(dims))] = rng.choice((-1, 0, 1, 2**31, 2**40, 2**62, 2**63 - 1))
    else:
        dims.append(rng.choice((0, 1, 3, 2**40)))


def _change_input(model: onnx.ModelProto, rng: Rng) -> None:
    tensor = rng.choice((model.graph.input, model.graph.output))[0].type.tensor_type
    if rng.randrange(4) == 0:
        tensor.elem_type = rng.choice((0, 2, 7, 8, 10, 16, 23, 99, 2**31 - 1))
    elif tensor.shape.dim:
        dim = rng.choice(list(tensor.shape.dim))
        if rng.randrange(3):
            dim.dim_value = rng.choice((-1, 0, 1, 5, 2**16, 2**31, 2**40, 2**63 - 1))
        else:
            dim.dim_param = rng.choice(("N", "", "\0", "x" * 3000))


def _change_wiring(model: onnx.ModelProto, rng: Rng) -> None:
    node = rng.choice(list(model.graph.node))
    side = rng.choice((node.input, node.output))
    names = [name for other in model.graph.node for name in (*other.input, *other.output)]
    if side and rng.randrange(2):
        side[rng.randrange(len(side))] = rng.choice((*names, "", "nobody"))
    elif side and rng.randrange(2):
        del side[rng.randrange(len(side))]
    else:
        side.append(rng.choice(names))


def _change_node(model: onnx.ModelProto, rng: Rng) -> None:
    node = rng.choice(list(model.graph.node))
    operators = ("Conv", "Reshape", "Resize", "Gather", "Loop", "If", "Pad", "Tile", "Expand")
    operators += ("Slice", "Range", "ConstantOfShape", "Split", "TopK", "\0", "Concat", "Transpose")
    match rng.randrange(3):
        case 0:
            node.op_type = rng.choice(operators)
        case 1:
            node.domain = rng.choice(("com.microsoft", "ai.onnx", "x"))
        case 2:
            model.graph.node.append(node)


def _change_attribute(model: onnx.ModelProto, rng: Rng) -> None:
    node = rng.choice(list(model.graph.node))
    names = ("pads", "strides", "dilations", "group", "kernel_shape", "axis", "transB", "alpha")
    if node.attribute and rng.randrange(2):
        node.attribute.pop(rng.randrange(len(node.attribute)))
    value: object = rng.choice(
        (0, -1, 2**31, 2**62, [0, 0], [-1] * 4, [2**40] * 4, [1], 0.5, "x", [2**62, 2])
    )
    node.attribute.append(onnx.helper.make_attribute(rng.choice(names), value))


def _change_tensor(model: onnx.ModelProto, rng: Rng) -> None:
    tensor = rng.choice(list(model.graph.initializer))
    match rng.randrange(5):
        case 0:
            tensor.data_type = rng.choice((0, 2, 6, 7, 8, 9, 10, 16, 17, 22, 99))
        case 1:
            tensor.raw_data = change_bytes(tensor.raw_data, rng)
        case 2:
            tensor.float_data.append(1.0)
        case 3:
            tensor.name = rng.choice(("", "images", "w1", "logits"))
        case 4:
            tensor.data_location = onnx.TensorProto.EXTERNAL
            del tensor.external_data[:]
            for key, values in EXTERNAL.items():
                tensor.external_data.add(key=key, value=rng.choice(values))


def _change_opset(model: onnx.ModelProto, rng: Rng) -> None:
    model.opset_import[0].version = rng.choice((-1, 0, 1, 8, 9, 13, 22, 23, 2**62))
    if rng.randrange(2):
        model.graph.name = rng.choice(("", "\0", "x" * 5000))


EXTERNAL = {
    "location": ("/etc/passwd", "../../../etc/passwd", "", ".", "file.onnx", "\0", "x" * 5000),
    "offset": ("0", "-1", "1", str(2**62), "x", "9" * 5000),
    "length": ("0", "864", "-1", str(2**31), str(2**62), "x"),
}
ONNX_CHANGES = (
    *(_change_dims, _change_input, _change_wiring, _change_node, _change_attribute),
    *(_change_tensor, _change_opset),
)


# --- arrays, pictures, TOML ----------------------------------------------------------------------


def _npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.arange(12, dtype=np.float32).reshape(3, 4))
    return out.getvalue()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, images=np.zeros((1, 3, 16, 16), np.float32), b=np.ones(3))
    return out.getvalue()


DESCRS = ("<f4", "|O", ">f8", "<f4,<i4", "|S0", "<U9999999", "|V8", "<M8[ns]", "x", "(")
SHAPES = ("(3, 4)", "()", "(-1,)", "(0,)", "(2**70,)", f"({2**62}, 4)", f"({2**40},)", "3")
SHAPES += ("(True,)", "(" * 300)


def change_npy(data: bytes, rng: Rng) -> bytes:
    """Change the header of a .npy, or its bytes."""
    if rng.randrange(3) == 0:
        return change_bytes(data, rng)
    descr, shape = rng.choice(DESCRS), rng.choice(SHAPES)
    order = rng.choice(("False", "True", "None", "1", "(" * 300))
    text = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"
    if rng.randrange(6) == 0:
        text = rng.choice(("[" * 2000, "-" * 9000 + "1", "__import__('os')", "{}", "\0", text[:-3]))
    return data[:8] + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + data[128:]


def _picture(kind: str) -> Callable[[], bytes]:
    def make() -> bytes:
        out = io.BytesIO()
        pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(out, kind)
        return out.getvalue()

    return make


ODD_TOML = ("[-1, 2]", "[16]", "nan", "inf", "1e400", "99999999999999999999", "''", "'RGB'", "true")
ODD_TOML += ("{a = 1}", "[[1], [2]]", "[1, 'a']", "1979-05-27", "[" * 500, "[1e30, 16]", "[0, 0]")


def change_toml(data: bytes, rng: Rng) -> bytes:
    """Change a value, a key, or the bytes of a file of settings."""
    if rng.randrange(3) == 0:
        return change_bytes(data, rng)
    fields = (*Preprocess.__dataclass_fields__, *TensorContract.__dataclass_fields__)
    keys = [*tomllib.loads(data.decode()), *fields, "\N{SNOWMAN}", '"a b"']
    lines = data.decode().splitlines()
    line = f"{rng.choice(keys)} = {rng.choice(ODD_TOML)}"
    lines[rng.randrange(len(lines))] = line
    return "\n".join(lines).encode()


# --- captures ------------------------------------------------------------------------------------


def _capture() -> bytes:
    outputs = (
        Captured("boxes", np.arange(12, dtype=np.float32).reshape(3, 4), layout="NC"),
        Captured("scores", np.arange(5, dtype=np.uint8), 0.5, 3, holds="codes"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.zip"
        write_capture(path, Capture("", outputs, {"x": np.zeros(3)}, {"device": "a", "n": [1]}))
        return path.read_bytes()


def change_capture(data: bytes, rng: Rng) -> bytes:
    """Change the description, an array, or the zip around both."""
    if rng.randrange(4) == 0:
        return change_zip(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    if name == "capture.json":
        members[name] = json_bytes(change_json(json.loads(members[name]), rng))
    else:
        members[name] = change_npy(members[name], rng)
    if rng.randrange(8) == 0:
        members[rng.choice(("../x.npy", "a.npz", "\N{SNOWMAN}.npy", "x"))] = members.pop(name)
    return _stored(members)


# --- torch ---------------------------------------------------------------------------------------


def _weights() -> bytes:
    import torch

    out = io.BytesIO()
    torch.save({"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2)}, out)
    return out.getvalue()


def _safetensors() -> bytes:
    from safetensors.numpy import save

    return bytes(save({"a.weight": np.arange(6.0).reshape(2, 3), "a.bias": np.zeros(2)}))


def _read_weights(path: Path) -> object:
    from bittrue.importers.torch_weights import load_weights

    return load_weights(path)


# --- files of other tools ------------------------------------------------------------------------


def _foreign_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", pickle.dumps({"w": list(range(100))}))
        archive.writestr("m/version", "3")
    return out.getvalue()


def change_foreign_zip(data: bytes, rng: Rng) -> bytes:
    """Change the directory of a zip, or its packed members."""
    return rng.choice((change_zip, change_bytes))(data, rng)


DEPLOYED = """[[input]]
name = "images"
dtype = "uint8"
shape = [1, 4, 4, 3]
layout = "NHWC"
range = [0, 1]
[[output]]
name = "scores"
dtype = "int8"
scale = "1/256"
zero_point = -3
shape = [1, 5]
holds = "codes"
"""
RAW = {"images": Preprocess(size=(16, 16))}


def _read_input(path: Path) -> object:
    return read_input(path, RAW)


def _read_samples(path: Path) -> list[Sample]:
    found = samples_from(path)
    return [found[index] for index in range(len(found))]


KINDS: dict[str, Kind] = {
    "bte": Kind(
        ".bte", lambda: to_bytes(small_program()), change_bte, lambda p: from_bytes(p.read_bytes())
    ),
    "bta": Kind(".bta", lambda: archive_bytes(tiny()), change_bta, open_archive),
    "onnx": Kind(".onnx", tiny_onnx, change_onnx, import_onnx),
    "npy": Kind(".npy", _npy, change_npy, _read_input),
    "npz": Kind(".npz", _npz, change_zip, _read_input),
    "samples": Kind(".npy", _npy, change_npy, _read_samples),
    "zipped samples": Kind(".npz", _npz, change_zip, _read_samples),
    "toml": Kind(".toml", TOML.encode, change_toml, load_preprocess),
    "capture": Kind(".zip", _capture, change_capture, read_captures),
    "deployed": Kind(".toml", DEPLOYED.encode, change_toml, load_deployed),
    "torch": Kind(".pt", _weights, change_bytes, _read_weights),
    "torch zip": Kind(".pt", _weights, change_zip, _read_weights),
    "safetensors": Kind(".safetensors", _safetensors, change_safetensors, _read_weights),
    "foreign zip": Kind(".zip", _foreign_zip, change_foreign_zip, import_onnx),
    **{
        name: Kind(f".{name}", _picture(name.upper()), change_bytes, _read_input)
        for name in ("png", "jpeg", "bmp", "gif", "tiff", "webp")
    },
}


def findings(name: str, count: int, seed: int, folder: Path) -> list[tuple[int, str]]:
    """Return the number and the finding of each of `count` changed files that has one."""
    kind = KINDS[name]
    data = kind.make()
    found = []
    for number in range(count):
        rng = Rng(f"{name} {seed} {number}")
        said = judge(kind, kind.change(data, rng), folder)
        if said:
            found.append((number, said))
    return found


def main() -> int:
    """Try files of every kind, or of some; print what was found."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    names = sys.argv[2:] or list(KINDS)
    lines: Counter[str] = Counter()
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            KINDS[name].make()  # what it imports does not count
            _limit_memory()
            found = findings(name, count, 0, Path(folder))
        sys.stdout.write(f"{name}: {count} files, {len(found)} findings\n")
        lines.update(f"{name} {said}" for _, said in found)
    for said, times in lines.most_common():
        sys.stdout.write(f"\n{times} x {said}\n")
    return 1 if lines else 0


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(
        resource.RLIMIT_AS,
        (pages * resource.getpagesize() + MOST_MEMORY, resource.RLIM_INFINITY),
    )


if __name__ == "__main__":
    sys.exit(main())
