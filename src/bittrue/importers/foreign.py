"""Files that are no ONNX model: what each is, why it cannot be used, and what to do instead.

They are known by their content, never by their names. Every file is hostile: nothing here executes
what it finds, and a pickle is only looked at opcode by opcode, never loaded.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bittrue.errors import DataError, FormatError

MEMBER_READ_MAX = 2**24
#: A file of torch.save before PyTorch 1.6 is several pickles; the fourth holds the object.
PICKLES_MAX = 4
HEAD = 2**16

FACTORY_HINT = "give the file and the function that returns the network, as module.py:factory"
STATE_DICT_HINT = (
    "weights alone do not say what the layers are: give the Python function that builds the "
    "network as module.py:factory, and this file as --weights"
)
TORCH_MODULE_HINT = (
    "it is not opened, because loading it would execute code from the file; save its weights with "
    "torch.save(network.state_dict(), ...) and give module.py:factory with --weights"
)
TORCHSCRIPT_HINT = (
    "export the module that it was made from: torch.onnx.export(module, example, 'model.onnx'), or "
    "give module.py:factory"
)
_SAVED_MODEL = "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx --opset 17"
_FROZEN = (
    "python -m tf2onnx.convert --graphdef FILE.pb --inputs x:0 --outputs y:0 --output model.onnx"
)
_TFLITE = (
    "convert the float network: python -m tf2onnx.convert --tflite FILE.tflite --output model.onnx "
    "--opset 17"
)
_KERAS = (
    "load it with Keras, write model.export('FOLDER'), then "
    "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx --opset 17"
)
_COMPILED = "it is compiled for one device; give the ONNX file that it was made from"
#: What the pickle of a bare state dict refers to; anything else is code of the user's own.
STATE_DICT_MODULES = ("collections", "torch", "torch._utils", "torch.storage", "numpy", "_codecs")


@dataclass(frozen=True, slots=True)
class Magic:
    """Bytes at the beginning of a file that tell what it is."""

    offset: int
    found: bytes
    what: str
    hint: str


MAGICS = (
    Magic(0, b"BITTRUE\0", "a bittrue executable (.bte)", "give the network it was compiled from"),
    Magic(4, b"TFL3", "a TensorFlow Lite network", _TFLITE),
    Magic(0, b"\x89HDF\r\n", "an HDF5 file (a Keras network or its weights, .h5)", _KERAS),
    Magic(0, b"ftrt", "a TensorRT engine", _COMPILED),
    Magic(0, b"ptrt", "a TensorRT engine", _COMPILED),
    Magic(0, b"\x01HEF", "a Hailo executable (.hef)", _COMPILED),
    Magic(0, b"RKNN", "a Rockchip executable (.rknn)", _COMPILED),
    Magic(4, b"ET12", "an ExecuTorch program (.pte)", _COMPILED),
    Magic(0, b"GGUF", "a GGUF language model", "language models are not handled"),
    Magic(0, b"\x93NUMPY", "a NumPy array", "give it to --calibrate or --input; here, a network"),
    Magic(0, b"\x1f\x8b", "a gzip archive", "unpack it and give the .onnx file in it"),
    Magic(257, b"ustar", "a tar archive", "unpack it and give the .onnx file in it"),
    Magic(0, b"\x89PNG", "a picture", "give an .onnx file; a picture goes to --input"),
    Magic(0, b"\xff\xd8\xff", "a picture", "give an .onnx file; a picture goes to --input"),
    Magic(0, b"\x7fELF", "a program", "give an .onnx file"),
)


@dataclass(frozen=True, slots=True)
class Text:
    """A pattern that tells what a text file is; the first that is found counts."""

    pattern: bytes
    what: str
    hint: str


TEXTS = (
    Text(rb"^version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    Text(rb"(?i)<html", "a web page", "fetch the file itself; the address gave a page about it"),
    Text(
        rb"<net\s[^>]*name=",
        "an OpenVINO network (.xml)",
        "OpenVINO has no way back to ONNX; give the network it was converted from",
    ),
    Text(
        rb"^7767517\s",
        "an ncnn network (.param)",
        "ncnn has no way back to ONNX; give the network it was converted from",
    ),
    Text(
        rb'"modelTopology"',
        "a TensorFlow.js network",
        "give the network it was converted from, as ONNX",
    ),
    Text(rb"^\s*\[net\]", "a Darknet description (.cfg)", "convert it to ONNX with its weights"),
    Text(rb"^\s*(import |from \S+ import |class \w|def \w)", "a Python file", FACTORY_HINT),
    Text(rb"", "a text file", "give an .onnx file"),
)


def refuse_others(data: bytes, path: str) -> None:
    """Refuse bytes that are known to be something else than an ONNX model.

    Raises:
        FormatError: saying what they are and what to give instead.
    """
    if not data:
        raise FormatError("the file is empty", path=path, hint="fetch or export the file again")
    for row in MAGICS:
        if data[row.offset : row.offset + len(row.found)] == row.found:
            raise _not_onnx(row.what, path, row.hint)
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        _refuse_zip(data, path)
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        _refuse_pickle(data, path)
    if is_safetensors(data[:64]):
        raise _not_onnx("a safetensors file (weights without a network)", path, STATE_DICT_HINT)
    if _is_wrapped_engine(data):
        raise _not_onnx("a TensorRT engine", path, _COMPILED)
    _refuse_tensorflow(data, path)
    _refuse_text(data, path)


def refuse_folder(path: Path) -> None:
    """Refuse a folder, and say which file in it, or which command, is meant.

    Raises:
        DataError: always, where `path` is a folder.
    """
    if not path.is_dir():
        return
    names = sorted(item.name for item in path.iterdir())
    networks = [name for name in names if name.endswith(".onnx")]
    what, hint = "this is a folder", "give the path of an .onnx file"
    if networks:
        hint = f"give the file in it: {', '.join(str(path / name) for name in networks[:3])}"
    elif "saved_model.pb" in names:
        what = "this is a TensorFlow SavedModel, not an ONNX model"
        hint = _SAVED_MODEL.replace("FOLDER", str(path))
    elif any(name.endswith((".safetensors", ".pt", ".pth", ".bin")) for name in names):
        hint = STATE_DICT_HINT
    raise DataError(what, where=str(path), hint=hint)


def _not_onnx(what: str, path: str, hint: str) -> FormatError:
    return FormatError(f"this is {what}, not an ONNX model", path=path, hint=hint)


def is_onnx(head: bytes) -> bool:
    """Return whether a file begins as ONNX models do: an ir_version from 3 on, then a field."""
    return head[:1] == b"\x08" and 3 <= int.from_bytes(head[1:2]) <= 31 and head[2:3] in b"\x12\x3a"


def is_safetensors(head: bytes) -> bool:
    """Return whether a file begins as safetensors do: a length of 8 bytes, then JSON."""
    return len(head) > 9 and head[4:8] == bytes(4) and head[8:10] in (b'{"', b"{}", b"{ ")


def _is_wrapped_engine(data: bytes) -> bool:
    """Whether this is an engine behind a length and JSON, as one exporter of detectors writes."""
    length = int.from_bytes(data[:4], "little")
    return data[4:5] == b"{" and data[4 + length : 8 + length] in (b"ftrt", b"ptrt")


def _refuse_tensorflow(data: bytes, path: str) -> None:
    """Refuse TensorFlow's protobufs, which begin with fields that ONNX's have otherwise."""
    if data[:3] == b"\x08\x01\x12" and re.search(
        rb"StatefulPartitionedCall|VarHandleOp|Placeholder|saved_model_main_op|\x22\x05serve", data
    ):
        hint = _SAVED_MODEL.replace("FOLDER", "the folder it lies in")
        raise _not_onnx("a TensorFlow SavedModel", path, hint)
    if data[:1] == b"\x0a" and re.search(rb"\x12(\x0bPlaceholder|\x05Const)", data[:HEAD]):
        raise _not_onnx("a frozen TensorFlow graph (.pb)", path, _FROZEN)


def _refuse_text(data: bytes, path: str) -> None:
    head = data[:1024]
    control = sum(byte < 32 and byte not in (9, 10, 13) for byte in head)
    if control or not _is_utf8(head):
        return
    row = next(row for row in TEXTS if re.search(row.pattern, data[:HEAD], re.MULTILINE))
    raise _not_onnx(row.what, path, row.hint)


def _is_utf8(head: bytes) -> bool:
    try:
        head[:-3].decode("utf-8")
    except UnicodeDecodeError as why:
        return why.start > len(head) - 8
    return True


# --- zip archives --------------------------------------------------------------------------------


def _refuse_zip(data: bytes, path: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _refuse_members(archive, archive.namelist(), path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as why:
        raise FormatError(
            f"this is a damaged zip archive, not an ONNX model: {why}",
            path=path,
            hint="fetch or export the file again",
        ) from why


def _refuse_members(archive: zipfile.ZipFile, names: list[str], path: str) -> None:
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise _not_onnx(
            f"a TorchScript file{_control_flow(archive, names)}", path, TORCHSCRIPT_HINT
        )
    pickles = [name for name in names if name.rsplit("/", 1)[-1] == "data.pkl"]
    if pickles:
        _refuse_pickle(_member(archive, pickles[0]), path)
    if any(name.endswith("models/model.json") for name in names):
        raise _not_onnx("a program of torch.export (.pt2)", path, TORCHSCRIPT_HINT)
    if "manifest.json" in names:
        raise _not_onnx(
            "a zip with a manifest (a bittrue archive?)",
            path,
            "open an archive with the commands that take a .bta",
        )
    if "model.weights.h5" in names:
        raise _not_onnx("a Keras network (.keras)", path, _KERAS)
    if names and all(name.endswith(".npy") for name in names):
        raise _not_onnx("a file of NumPy arrays (.npz)", path, "give a network")
    inside = [name for name in names if name.endswith(".onnx")]
    raise _not_onnx(
        f"a zip archive of {len(names)} files",
        path,
        f"unpack it and give {inside[0]!r}" if inside else "no .onnx file is in it: give one",
    )


def _control_flow(archive: zipfile.ZipFile, names: list[str]) -> str:
    """Return in words how much of a TorchScript program depends on data; empty for nothing."""
    code = b"".join(
        _member(archive, name) for name in names if "/code/" in name and name.endswith(".py")
    )
    branches = len(re.findall(rb"^ *if ", code, re.MULTILINE))
    loops = len(re.findall(rb"^ *(?:for|while) ", code, re.MULTILINE))
    return f" whose code has {branches} branches and {loops} loops" if branches or loops else ""


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        return file.read(MEMBER_READ_MAX)


# --- pickles -------------------------------------------------------------------------------------


def _refuse_pickle(data: bytes, path: str) -> None:
    if is_state_dict_pickle(data):
        raise _not_onnx("a PyTorch state dict (weights without a network)", path, STATE_DICT_HINT)
    raise _not_onnx("a pickled Python object (a PyTorch module?)", path, TORCH_MODULE_HINT)


def is_state_dict_pickle(data: bytes) -> bool:
    """Return whether a pickle refers to nothing but tensors and containers.

    The opcodes are listed, never executed, so a hostile pickle does nothing. Of several pickles one
    after the other, as old versions of torch.save wrote them, the first four are looked at.
    """
    stream = io.BytesIO(data[:MEMBER_READ_MAX])
    modules: set[str] = set()
    for _ in range(PICKLES_MAX):
        try:
            modules.update(_modules(stream))
        except (ValueError, UnicodeDecodeError, IndexError):
            return False
        if modules:
            break
    return bool(modules) and modules <= set(STATE_DICT_MODULES)


def _modules(stream: io.BytesIO) -> Iterator[str]:
    """Yield the modules that one pickle refers to, and leave the stream behind it."""
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in ("GLOBAL", "INST"):
            yield str(argument).split(" ", 1)[0]
        elif opcode.name == "STACK_GLOBAL":
            yield from strings[-2:-1] or ["?"]
        elif isinstance(argument, str):
            strings.append(argument)
