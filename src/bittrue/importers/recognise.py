"""What a file is, by its content and never by its name, and what to give instead of it.

Every file is hostile: nothing here executes what it finds, and a pickle is only looked at opcode by
opcode, never loaded.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bittrue.errors import DataError, FormatError

MEMBER_READ_MAX = 2**24
#: A file of torch.save before PyTorch 1.6 is several pickles; the fourth holds the object.
PICKLES_MAX = 4
HEAD = 2**16
#: What the pickle of a bare state dict refers to; anything else is code of the user's own.
STATE_DICT_MODULES = ("collections", "torch", "torch._utils", "torch.storage", "numpy", "_codecs")

FACTORY_HINT = "give the file and the function that returns the network, as module.py:factory"
STATE_DICT_HINT = (
    "weights alone do not say what the layers are: give the Python function that builds the "
    "network as module.py:factory, and this file as --weights"
)
TORCH_MODULE_HINT = (
    "it is not opened, because loading it would execute code from the file; save its weights with "
    "torch.save(network.state_dict(), ...) and give module.py:factory with --weights"
)
_EXPORT = (
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
_PICTURE = "give an .onnx file; a picture goes to --input"
_AGAIN = "fetch or export the file again"
_NETWORK = "give an .onnx file"
_ITS_NETWORK = "give the network it was compiled from"
_ITS_FOLDER = _SAVED_MODEL.replace("FOLDER", "the folder it lies in")
_ARRAY = "give it to --calibrate or --input; here, a network"
_ARCHIVE = "open an archive with the commands that take a .bta"
_UNPACK = "unpack it and give the .onnx file in it"
_LFS = "fetch the file itself: git lfs pull"
_PAGE = "fetch the file itself; the address gave a page about it"
_OPENVINO = "OpenVINO has no way back to ONNX; give the network it was converted from"
_NCNN = "ncnn has no way back to ONNX; give the network it was converted from"
_CONVERTED = "give the network it was converted from, as ONNX"
_DARKNET = "convert it to ONNX with its weights"

_TORCHSCRIPT = "a TorchScript file{it.control_flow}"
_STATE_DICT = "a PyTorch state dict (weights without a network)"
_SAFETENSORS = "a safetensors file (weights without a network)"
_ZIP = "a zip archive of {it.count} files"
_PYTHON = rb"^\s*(import |from \S+ import |class \w|def \w)"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is.

    Args:
        name: One word for it: a key of READERS where something here reads it.
        what: The same for the user, with its article.
        hint: What to give instead, where no network can be read from it.
    """

    name: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes, and what is in it where it is a zip.

    Args:
        data: The bytes.
        names: The members of a zip; empty for any other file.
    """

    data: bytes
    names: tuple[str, ...]

    @property
    def is_zip(self) -> bool:
        """Whether the file begins as zip archives do."""
        return self.data[:4] in (b"PK\x03\x04", b"PK\x05\x06")

    @property
    def count(self) -> int:
        """How many members a zip has."""
        return len(self.names)

    @property
    def network(self) -> str:
        """The first ONNX file in a zip; empty where there is none."""
        return next((name for name in self.names if name.endswith(".onnx")), "")

    @property
    def pickled(self) -> bytes | None:
        """The pickle that the file is, or that torch.save put into it; None where there is none."""
        if self.data[:1] == b"\x80" and self.data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            return self.data[:MEMBER_READ_MAX]
        found = [name for name in self.names if name.rsplit("/", 1)[-1] == "data.pkl"]
        return self.member(found[0]) if found else None

    @property
    def control_flow(self) -> str:
        """How much of a TorchScript program depends on data, in words; empty for nothing."""
        found = [name for name in self.names if "/code/" in name and name.endswith(".py")]
        code = b"".join(self.member(name) for name in found)
        branches = len(re.findall(rb"^ *if ", code, re.MULTILINE))
        loops = len(re.findall(rb"^ *(?:for|while) ", code, re.MULTILINE))
        return f" whose code has {branches} branches and {loops} loops" if branches or loops else ""

    def member(self, name: str) -> bytes:
        """Return the beginning of a zip's member."""
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive, archive.open(name) as file:
            return file.read(MEMBER_READ_MAX)


Test = Callable[[Content], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of file.

    Args:
        name: As in Kind.
        test: Whether some content is of this kind, where no row above says so.
        what: As in Kind; {it.…} stands for a property of the content.
        hint: The same.
    """

    name: str
    test: Test
    what: str
    hint: str


# --- tests ---------------------------------------------------------------------------------------


def begins(*found: bytes, at: int = 0) -> Test:
    """Return the test for one of some texts at a place near the beginning."""
    return lambda it: any(it.data[at : at + len(text)] == text for text in found)


def holds(pattern: str) -> Test:
    """Return the test for a zip with a member whose whole path has a pattern in it."""
    return lambda it: any(re.search(pattern, name) for name in it.names)


def says(pattern: bytes) -> Test:
    """Return the test for a text file with a pattern in it."""
    return lambda it: bool(
        _is_text(it.data[:1024]) and re.search(pattern, it.data[:HEAD], re.MULTILINE)
    )


def is_onnx(it: Content) -> bool:
    """Return whether a file begins as most ONNX models do: ir_version from 3 on, then a field."""
    head = it.data[:3]
    return head[:1] == b"\x08" and 3 <= int.from_bytes(head[1:2]) <= 31 and head[2:] in b"\x12\x3a"


def is_safetensors(it: Content) -> bool:
    """Return whether a file begins as safetensors do: a length of 8 bytes, then JSON."""
    return it.data[4:8] == bytes(4) and it.data[8:10] in (b'{"', b"{}", b"{ ")


def is_wrapped_engine(it: Content) -> bool:
    """Return whether it is an engine behind a length and JSON, as one exporter writes."""
    length = int.from_bytes(it.data[:4], "little")
    return it.data[4:5] == b"{" and it.data[4 + length : 8 + length] in (b"ftrt", b"ptrt")


def is_saved_model(it: Content) -> bool:
    """Return whether it is TensorFlow's protobuf, which begins with a field that ONNX has not."""
    pattern = rb"StatefulPartitionedCall|VarHandleOp|Placeholder|saved_model_main_op|\x22\x05serve"
    return it.data[:3] == b"\x08\x01\x12" and bool(re.search(pattern, it.data))


def is_frozen_graph(it: Content) -> bool:
    """Return whether it is a protobuf of TensorFlow's nodes."""
    pattern = rb"\x12(\x0bPlaceholder|\x05Const)"
    return it.data[:1] == b"\x0a" and bool(re.search(pattern, it.data[:HEAD]))


def is_state_dict(it: Content) -> bool:
    """Return whether it is a pickle that refers to nothing but tensors and containers.

    The opcodes are listed, never executed, so a hostile pickle does nothing. Of several pickles one
    after the other, as old versions of torch.save wrote them, the first four are looked at.
    """
    stream = io.BytesIO(it.pickled or b"")
    modules: set[str] = set()
    for _ in range(PICKLES_MAX):
        try:
            modules.update(_modules(stream))
        except (ValueError, UnicodeDecodeError, IndexError):
            return False
        if modules:
            break
    return bool(modules) and modules <= set(STATE_DICT_MODULES)


def is_pickle(it: Content) -> bool:
    """Return whether it is a pickle, or torch.save put one into it."""
    return it.pickled is not None


def is_npz(it: Content) -> bool:
    """Return whether it is a zip of nothing but NumPy's arrays."""
    return bool(it.names) and all(name.endswith(".npy") for name in it.names)


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


def _is_text(head: bytes) -> bool:
    if any(byte < 32 and byte not in (9, 10, 13) for byte in head):
        return False
    try:
        head[:-3].decode("utf-8")
    except UnicodeDecodeError as why:
        return why.start > len(head) - 8
    return True


# --- the table -----------------------------------------------------------------------------------

#: From the surest sign to the weakest: the first row whose test holds counts.
KINDS = (
    Row("empty", lambda it: not it.data, "an empty file", _AGAIN),
    Row("executable", begins(b"BITTRUE\0"), "a bittrue executable (.bte)", _ITS_NETWORK),
    Row("tflite", begins(b"TFL3", at=4), "a TensorFlow Lite network", _TFLITE),
    Row(
        "hdf5", begins(b"\x89HDF\r\n"), "an HDF5 file (a Keras network or its weights, .h5)", _KERAS
    ),
    Row("tensorrt", begins(b"ftrt", b"ptrt"), "a TensorRT engine", _COMPILED),
    Row("hef", begins(b"\x01HEF"), "a Hailo executable (.hef)", _COMPILED),
    Row("rknn", begins(b"RKNN"), "a Rockchip executable (.rknn)", _COMPILED),
    Row("executorch", begins(b"ET12", at=4), "an ExecuTorch program (.pte)", _COMPILED),
    Row("gguf", begins(b"GGUF"), "a GGUF language model", "language models are not handled"),
    Row("npy", begins(b"\x93NUMPY"), "a NumPy array", _ARRAY),
    Row("gzip", begins(b"\x1f\x8b"), "a gzip archive", _UNPACK),
    Row("tar", begins(b"ustar", at=257), "a tar archive", _UNPACK),
    Row("picture", begins(b"\x89PNG", b"\xff\xd8\xff"), "a picture", _PICTURE),
    Row("program", begins(b"\x7fELF"), "a program", _NETWORK),
    # zip archives, and pickles, which are most often in one
    Row("torchscript", holds(r"/code/|constants\.pkl$"), _TORCHSCRIPT, _EXPORT),
    Row("state dict", is_state_dict, _STATE_DICT, STATE_DICT_HINT),
    Row("pickle", is_pickle, "a pickled Python object (a PyTorch module?)", TORCH_MODULE_HINT),
    Row("pt2", holds(r"models/model\.json$"), "a program of torch.export (.pt2)", _EXPORT),
    Row("bta", holds(r"^manifest\.json$"), "a zip with a manifest (a bittrue archive?)", _ARCHIVE),
    Row("keras", holds(r"^model\.weights\.h5$"), "a Keras network (.keras)", _KERAS),
    Row("npz", is_npz, "a file of NumPy arrays (.npz)", "give a network"),
    Row("zip", lambda it: bool(it.network), _ZIP, "unpack it and give {it.network!r}"),
    Row("zip", lambda it: it.is_zip, _ZIP, "no .onnx file is in it: give one"),
    # what only its first fields tell
    Row("safetensors", is_safetensors, _SAFETENSORS, STATE_DICT_HINT),
    Row("tensorrt", is_wrapped_engine, "a TensorRT engine", _COMPILED),
    Row("saved model", is_saved_model, "a TensorFlow SavedModel", _ITS_FOLDER),
    Row("frozen graph", is_frozen_graph, "a frozen TensorFlow graph (.pb)", _FROZEN),
    Row("onnx", is_onnx, "an ONNX model", "import it as it is: bittrue import FILE -o model.bta"),
    # texts
    Row("git lfs", says(rb"^version https://git-lfs"), "a Git LFS pointer", _LFS),
    Row("html", says(rb"(?i)<html"), "a web page", _PAGE),
    Row("openvino", says(rb"<net\s[^>]*name="), "an OpenVINO network (.xml)", _OPENVINO),
    Row("ncnn", says(rb"^7767517\s"), "an ncnn network (.param)", _NCNN),
    Row("tfjs", says(rb'"modelTopology"'), "a TensorFlow.js network", _CONVERTED),
    Row("darknet", says(rb"^\s*\[net\]"), "a Darknet description (.cfg)", _DARKNET),
    Row("python", says(_PYTHON), "a Python file", FACTORY_HINT),
    Row("text", says(rb""), "a text file", _NETWORK),
    Row("unknown", lambda it: True, "a file of no known kind", _NETWORK),
)


def recognise(data: bytes) -> Kind:
    """Return what bytes are; an ONNX model of unusual fields is "unknown"."""
    try:
        it = _opened(data)
        row = next(row for row in KINDS if row.test(it))
        return Kind(row.name, row.what.format(it=it), row.hint.format(it=it))
    except _ZIP_ERRORS as why:
        return Kind("zip", f"a damaged zip archive ({str(why) or 'cut short'})", _AGAIN)


#: What zipfile raises for directories and members that lie.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError),
    *(NotImplementedError, RuntimeError),
)


def _opened(data: bytes) -> Content:
    it = Content(data, ())
    if not it.is_zip:
        return it
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return Content(data, tuple(archive.namelist()))


# --- refusing ----------------------------------------------------------------------------------


def refusal(kind: Kind, path: str = "") -> FormatError:
    """Return the error for a file that is no network."""
    return FormatError(f"this is {kind.what}, not an ONNX model", path=path, hint=kind.hint)


def refuse_others(data: bytes, path: str = "") -> None:
    """Refuse bytes that are known to be something else than an ONNX model.

    Raises:
        FormatError: saying what they are and what to give instead.
    """
    kind = recognise(data)
    if kind.name not in ("onnx", "unknown"):
        raise refusal(kind, path)


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
