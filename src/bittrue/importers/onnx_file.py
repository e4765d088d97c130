"""From a path or bytes to a parsed ONNX model, or to the reason why it is none.

Every file is hostile: nothing here executes what it finds, and a pickle is only looked at opcode
by opcode, never loaded.
"""

from __future__ import annotations

import io
import os
import pickletools
import zipfile
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]

from bittrue.errors import DataError, FormatError, UnsupportedError

OPSET_MIN = 9
OPSET_MAX = 22
#: Protobuf's own limit of one message.
SIZE_MAX = 2**31 - 1
PICKLE_READ_MAX = 2**24
DEFAULT_DOMAINS = ("", "ai.onnx")

#: Files that people hand over by mistake: offset, bytes found there, what it is, what to do.
MAGICS = (
    (0, b"BITTRUE\0", "a bittrue executable (.bte)", "give the network that it was compiled from"),
    (4, b"TFL3", "a TensorFlow Lite network", "convert it to ONNX with tf2onnx first"),
    (0, b"\x89HDF\r\n", "an HDF5 file (Keras weights)", "export the network to ONNX with tf2onnx"),
    (0, b"\x01HEF", "a Hailo executable (.hef)", "give the ONNX file that it was compiled from"),
    (0, b"RKNN", "a Rockchip executable (.rknn)", "give the ONNX file that it was compiled from"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it and give the .onnx file in it"),
    (257, b"ustar", "a tar archive", "unpack it and give the .onnx file in it"),
    (0, b"\x89PNG", "a picture", "give an .onnx file"),
    (0, b"\xff\xd8\xff", "a picture", "give an .onnx file"),
    (0, b"\x7fELF", "a program", "give an .onnx file"),
)
STATE_DICT_HINT = (
    "weights alone do not say what the layers are: give the Python function that builds the "
    "network as module.py:factory, and this file as --weights"
)
TORCH_MODULE_HINT = (
    "it is not opened, because loading it would execute code from the file; save its weights with "
    "torch.save(network.state_dict(), ...) and give module.py:factory with --weights"
)
TORCHSCRIPT_HINT = "export the network with torch.onnx.export and give the .onnx file"
#: What the pickle of a bare state dict refers to; anything else is code of the user's own.
STATE_DICT_MODULES = ("collections", "torch", "torch._utils", "torch.storage", "numpy", "_codecs")


def read_bytes(source: str | os.PathLike[str] | bytes) -> tuple[bytes, str, Path | None]:
    """Return a source's bytes, the name to show for it, and the folder that it lies in.

    Args:
        source: A path, or the file's bytes (which lie in no folder).

    Raises:
        DataError: if there is no such file, or it cannot be read.
        FormatError: if it is longer than protobuf allows.
    """
    if isinstance(source, bytes):
        return source, "<bytes>", None
    path = Path(source)
    try:
        size = path.stat().st_size
        if size > SIZE_MAX:
            raise FormatError(
                f"the file has {size} bytes, an ONNX file has at most {SIZE_MAX}",
                path=str(path),
                hint="save it so: onnx.save(model, path, save_as_external_data=True)",
            )
        return path.read_bytes(), str(path), path.parent
    except OSError as why:
        raise DataError(
            f"the file cannot be read: {why.strerror}",
            where=str(path),
            hint="give the path of an .onnx file",
        ) from why


def parse(data: bytes, path: str) -> onnx.ModelProto:
    """Return the ONNX model that some bytes hold, its local functions put in place.

    Raises:
        FormatError: if they are no ONNX model; the message says what they are where that is known.
        UnsupportedError: if its operator set is not in 9 to 22.
    """
    refuse_others(data, path)
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RecursionError) as why:
        raise FormatError(
            "this is no ONNX model: its protobuf is cut short or damaged",
            path=path,
            hint="fetch or export the file again",
        ) from why
    if not model.HasField("graph") or not model.graph.node or not model.opset_import:
        raise FormatError(
            "this is no ONNX model: it has no graph, no nodes or no operator set",
            path=path,
            hint="give a file written by an ONNX exporter",
        )
    check_opset(model, path)
    return _inlined(model, path)


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operator set that a model uses; 0 when it uses none."""
    versions = [row.version for row in model.opset_import if row.domain in DEFAULT_DOMAINS]
    return int(max(versions, default=0))


def check_opset(model: onnx.ModelProto, path: str) -> None:
    """Refuse a model whose operator set has rules that nobody here has read.

    Raises:
        UnsupportedError: if it is not in 9 to 22.
    """
    opset = opset_of(model)
    if not OPSET_MIN <= opset <= OPSET_MAX:
        raise UnsupportedError(
            f"the network uses ONNX opset {opset}; opsets {OPSET_MIN} to {OPSET_MAX} are read",
            where=path,
            hint=f"export it with opset_version=17, or convert it: onnx.version_converter."
            f"convert_version(model, {min(max(opset, 13), OPSET_MAX)})",
        )


def _inlined(model: onnx.ModelProto, path: str) -> onnx.ModelProto:
    if not model.functions:
        return model
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as why:
        raise FormatError(f"its local functions cannot be put in place: {why}", path=path) from why


def refuse_others(data: bytes, path: str) -> None:
    """Refuse bytes that are known to be something else than an ONNX model.

    Raises:
        FormatError: saying what they are and what to give instead.
    """
    if not data:
        raise FormatError("the file is empty", path=path, hint="fetch or export the file again")
    for offset, magic, what, hint in MAGICS:
        if data[offset : offset + len(magic)] == magic:
            raise FormatError(f"this is {what}, not an ONNX model", path=path, hint=hint)
    if data[:4] == b"PK\x03\x04":
        _refuse_zip(data, path)
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        _refuse_pickle(data, path)
    _refuse_text(data, path)


def _refuse_text(data: bytes, path: str) -> None:
    head = data[:1024]
    control = sum(byte < 32 and byte not in (9, 10, 13) for byte in head)
    if control or not _is_utf8(head):
        return
    what = "a web page" if b"<html" in head.lower() else "a text file"
    if head.startswith(b"version https://git-lfs"):
        what = "a Git LFS pointer"
    raise FormatError(
        f"this is {what}, not an ONNX model",
        path=path,
        hint="fetch the file itself" if what != "a text file" else "give an .onnx file",
    )


def _is_utf8(head: bytes) -> bool:
    try:
        head[:-3].decode("utf-8")
    except UnicodeDecodeError as why:
        return why.start > len(head) - 8
    return True


def _refuse_zip(data: bytes, path: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.rsplit("/", 1)[-1] == "data.pkl"]
            content = _member(archive, pickles[0]) if pickles else b""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as why:
        raise FormatError(
            f"this is a damaged zip archive, not an ONNX model: {why}",
            path=path,
            hint="fetch or export the file again",
        ) from why
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise FormatError(
            "this is a TorchScript file, not an ONNX model", path=path, hint=TORCHSCRIPT_HINT
        )
    if pickles:
        _refuse_pickle(content, path)
    if "manifest.json" in names:
        raise FormatError(
            "this is a zip with a manifest (a bittrue archive?), not an ONNX model",
            path=path,
            hint="open an archive with the commands that take a .bta",
        )
    raise FormatError(
        f"this is a zip archive of {len(names)} files, not an ONNX model",
        path=path,
        hint="unpack it and give the .onnx file in it",
    )


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        return file.read(PICKLE_READ_MAX)


def _refuse_pickle(data: bytes, path: str) -> None:
    if is_state_dict_pickle(data):
        raise FormatError(
            "this is a PyTorch state dict (weights without a network), not an ONNX model",
            path=path,
            hint=STATE_DICT_HINT,
        )
    raise FormatError(
        "this is a pickled Python object (a PyTorch module?), not an ONNX model",
        path=path,
        hint=TORCH_MODULE_HINT,
    )


def is_state_dict_pickle(data: bytes) -> bool:
    """Return whether a pickle refers to nothing but tensors and containers.

    The opcodes are listed, never executed, so a hostile pickle does nothing.
    """
    modules: set[str] = set()
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("GLOBAL", "INST"):
                modules.add(str(argument).split(" ", 1)[0])
            elif opcode.name == "STACK_GLOBAL":
                modules.update(strings[-2:-1] or ["?"])
            elif isinstance(argument, str):
                strings.append(argument)
    except (ValueError, UnicodeDecodeError, IndexError):
        return False
    return bool(modules) and modules <= set(STATE_DICT_MODULES)
