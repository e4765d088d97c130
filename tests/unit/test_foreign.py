"""Files that are right in themselves but no network for bittrue: what each error says to do.

Every row says what the file is, why it cannot be used, and the next step.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bittrue import chain
from bittrue.errors import DataError, Error, FormatError, UnsupportedError, UsageError
from bittrue.fetch import fetch
from bittrue.importers.onnx import import_onnx
from bittrue.importers.readers import READERS
from bittrue.importers.recognise import KINDS, recognise
from bittrue.stages import open_subject


def fetched(name: str) -> Path:
    try:
        return fetch(name)
    except DataError as why:
        pytest.skip(f"{name} cannot be fetched: {why.message}")


def refusal(path: Path, **options: object) -> Error:
    with pytest.raises(Error) as error:
        chain.import_model(path, **options)  # type: ignore[arg-type]
    assert path.name in error.value.where
    assert error.value.hint
    return error.value


# --- real files ----------------------------------------------------------------------------------


def test_a_recurrent_network_with_branches_names_everything_that_hinders() -> None:
    error = refusal(fetched("silero_vad_16k_op15.onnx"))
    assert isinstance(error, UnsupportedError)
    assert "'sr' is int64" in error.message
    assert {row.op for row in error.nodes} == {"If"}
    assert any("LSTM" in row.reason for row in error.nodes)
    assert "--start" in error.hint
    assert "--end" in error.hint


def test_a_torchscript_file_says_how_much_of_it_depends_on_data() -> None:
    error = refusal(fetched("silero_vad.jit"))
    assert isinstance(error, FormatError)
    assert "TorchScript file whose code has 50 branches and 3 loops" in error.message
    assert "torch.onnx.export(" in error.hint


@pytest.mark.parametrize("name", ["mobilenet_v2-b0353104.pth", "silero_vad_16k.safetensors"])
@pytest.mark.parametrize("twice", [False, True])
def test_weights_alone_ask_for_the_architecture(name: str, twice: bool) -> None:
    path = fetched(name)
    error = refusal(path, **({"weights": path} if twice else {}))
    assert isinstance(error, FormatError)
    assert "weights without a network" in error.message
    assert "module.py:factory" in error.hint
    assert "--weights" in error.hint


# --- networks that are quantised already ---------------------------------------------------------


def float_network(folder: Path) -> Path:
    rng = np.random.default_rng(1)
    weights = {"w": (4, 3, 3, 3), "v": (4, 4, 3, 3), "d": (4, 5)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "v"], ["c"], "second"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("MatMul", ["f", "d"], ["y"], "dense"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        [
            numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "float.onnx")
    return folder / "float.onnx"


def test_a_network_quantised_on_the_fly_asks_for_the_float_one(tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    path = tmp_path / "dynamic.onnx"
    quantization.quantize_dynamic(float_network(tmp_path), path)
    held = {node.op_type for node in onnx.load(path).graph.node}
    assert {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"} <= held
    error = refusal(path)
    assert isinstance(error, UnsupportedError)
    assert "already quantised on the fly" in error.message
    assert "2 ConvInteger" in error.message
    assert "1 MatMulInteger" in error.message
    assert "bittrue build FLOAT.onnx --calibrate" in error.hint


def test_a_qdq_network_gets_one_message_not_one_a_node(tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            rng = np.random.default_rng(2)
            self.rows = iter([{"x": rng.standard_normal((1, 3, 12, 12)).astype(np.float32)}] * 2)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.rows, None)

    path = tmp_path / "qdq.onnx"
    form = quantization.QuantFormat.QDQ
    quantization.quantize_static(float_network(tmp_path), path, Reader(), quant_format=form)
    ops = [node.op_type for node in onnx.load(path).graph.node]
    error = refusal(path)
    assert isinstance(error, UnsupportedError)
    assert "already quantised to int8" in error.message
    assert f"{ops.count('QuantizeLinear')} QuantizeLinear" in error.message
    assert f"{ops.count('DequantizeLinear')} DequantizeLinear" in error.message
    assert [row.op for row in error.nodes].count("QuantizeLinear") == 1
    assert "before any quantize_static" in error.hint


# --- files of other tools ------------------------------------------------------------------------


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return buffer.getvalue()


def field(number: int, content: bytes) -> bytes:
    """A field of a protobuf with a length, as TensorFlow writes them."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


METADATA = json.dumps({"stride": 32}).encode()
OPENVINO = b'<?xml version="1.0"?>\n<net name="m" version="11">\n<layers>\n</layers></net>\n'
SAVED_MODEL = b"\x08\x01" + field(2, field(1, field(4, b"serve")))
FROZEN = field(1, field(1, b"input") + field(2, b"Placeholder"))
FILES = {
    "m.tflite": (b"\x20\0\0\0TFL3" + bytes(40), "TensorFlow Lite", "tf2onnx.convert --tflite"),
    "m.h5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5", "tf2onnx.convert"),
    "m.keras": (zipped("metadata.json", "model.weights.h5"), "Keras", "tf2onnx.convert"),
    "saved_model.pb": (SAVED_MODEL, "TensorFlow SavedModel", "tf2onnx.convert --saved-model"),
    "frozen.pb": (FROZEN, "frozen TensorFlow graph", "tf2onnx.convert --graphdef"),
    "m.xml": (OPENVINO, "OpenVINO network", "converted from"),
    "m.engine": (b"ftrt" + bytes(40), "TensorRT engine", "ONNX file that it was made from"),
    "yolo.engine": (
        len(METADATA).to_bytes(4, "little") + METADATA + b"ftrt" + bytes(40),
        "TensorRT engine",
        "ONNX file that it was made from",
    ),
    "m.param": (b"7767517\n75 83\nInput data 0 1\n", "ncnn network", "converted from"),
    "m.pt2": (zipped("m/models/model.json", "m/version"), "torch.export", "torch.onnx.export("),
    "empty.onnx": (b"", "empty", "fetch or export"),
    "notes.txt": (b"the network is in the other folder\n", "a text file", ".onnx"),
    "net.py": (b"import torch\n\ndef create():\n    pass\n", "a Python file", "module.py:factory"),
    "pointer.onnx": (b"version https://git-lfs.github.com/spec/v1\n", "LFS", "git lfs pull"),
    "page.onnx": (b"<!DOCTYPE html>\n<html></html>\n", "a web page", "fetch the file itself"),
    "two.zip": (zipped("a/net.onnx", "b.txt"), "zip archive of 2 files", "give 'a/net.onnx'"),
    "none.zip": (zipped("b.txt"), "zip archive of 1 files", "no .onnx file is in it"),
    "nothing.zip": (zipped(), "zip archive of 0 files", "no .onnx file is in it"),
    "arrays.npz": (zipped("x.npy"), "NumPy arrays", "network"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_kind_is_named_by_its_content(tmp_path: Path, name: str) -> None:
    data, what, hint = FILES[name]
    # Under a name that says nothing, so that only the content can tell.
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    error = refusal(path)
    assert isinstance(error, FormatError)
    assert what in error.message
    assert hint in error.hint


def test_no_onnx_network_is_taken_for_something_else(tmp_path: Path) -> None:
    path = float_network(tmp_path)
    assert recognise(path.read_bytes()).name == "onnx"
    assert chain.import_model(path).native.nodes
    for data, _, _ in FILES.values():
        assert recognise(data).name not in READERS


def test_every_reader_is_of_a_kind_that_can_be_recognised() -> None:
    assert set(READERS) - {"factory"} <= {row.name for row in KINDS}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a.onnx", "b.onnx"), r"give the file in it: .*a\.onnx, .*b\.onnx"),
        (("saved_model.pb",), "tf2onnx.convert --saved-model"),
        (("model.safetensors", "config.json"), "module.py:factory"),
        ((), r"path of an \.onnx file"),
    ],
)
def test_a_folder_says_which_file_is_meant(
    tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"content")
    with pytest.raises(DataError, match=words):
        chain.import_model(tmp_path)


@pytest.mark.parametrize("name", ["two.zip", "nothing.zip", "empty.onnx", "notes.txt"])
def test_what_is_no_archive_is_refused_by_the_commands_that_take_one(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name][0])
    with pytest.raises(FormatError, match=r"archive|bittrue import") as error:
        open_subject(path)
    assert error.value.hint


# --- pickles -------------------------------------------------------------------------------------


class Harmful:
    """Writes a file as soon as anybody unpickles it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.target, "executed")


def save_new(torch: object, item: object, path: Path) -> None:
    torch.save(item, path)  # type: ignore[attr-defined]


def save_old(torch: object, item: object, path: Path) -> None:
    torch.save(item, path, _use_new_zipfile_serialization=False)  # type: ignore[attr-defined]


def save_raw(torch: object, item: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(item))


@pytest.mark.parametrize("save", [save_new, save_old, save_raw])
@pytest.mark.parametrize("as_weights", [False, True])
def test_a_pickled_module_is_refused_and_its_code_never_runs(
    tmp_path: Path, save: Callable[[object, object, Path], None], as_weights: bool
) -> None:
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    path, proof = tmp_path / "net.pt", tmp_path / "proof"
    save(torch, {"layer": Harmful(proof)}, path)
    (tmp_path / "net.py").write_text("import torch\ndef create():\n    return torch.nn.ReLU()\n")
    spec = f"{tmp_path / 'net.py'}:create" if as_weights else path
    options = {"weights": path, "input_shapes": {"x": (1, 3)}} if as_weights else {}
    with pytest.raises(Error, match=r"pickled (.|\n)*execute code from the file") as error:
        chain.import_model(spec, **options)  # type: ignore[arg-type]
    assert "torch.save(network.state_dict()" in error.value.hint
    assert not proof.exists()
    if save is save_raw:
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert proof.exists()  # it would have shown


def test_a_state_dict_of_an_old_pytorch_is_known(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    save_old(torch, {"w": torch.zeros(3)}, tmp_path / "w.pt")
    assert recognise((tmp_path / "w.pt").read_bytes()).name == "state dict"
    save_old(torch, torch.nn.ReLU(), tmp_path / "m.pt")
    assert recognise((tmp_path / "m.pt").read_bytes()).name == "pickle"


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_any_protocol_is_known_bare_or_in_a_zip(protocol: int) -> None:
    data = pickle.dumps({"w": Path("x")}, protocol)
    boxed = io.BytesIO()
    with zipfile.ZipFile(boxed, "w") as archive:
        archive.writestr("m/data.pkl", data)
    assert [recognise(file).name for file in (data, boxed.getvalue())] == ["pickle"] * 2


def test_a_zip_whose_pickle_cannot_be_unpacked_is_damaged() -> None:
    boxed = io.BytesIO()
    with zipfile.ZipFile(boxed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(1000))
    data = bytearray(boxed.getvalue())
    data[40] = 0xFF  # the first byte that is packed
    with pytest.raises(FormatError, match=r"a damaged zip archive \(.*decompressing"):
        import_onnx(bytes(data))


def test_options_of_a_pytorch_module_do_not_fit_an_onnx_file(tmp_path: Path) -> None:
    path = float_network(tmp_path)
    with pytest.raises(UsageError, match="--exporter, --opset goes with a PyTorch module"):
        chain.import_model(path, exporter="dynamo", opset=18)
