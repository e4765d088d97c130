"""Files that are no ONNX models, or damaged or hostile ones: each is refused, by name."""

from __future__ import annotations

import io
import pickle
import random
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bittrue import chain
from bittrue.errors import DataError, Error, FormatError
from bittrue.graph.verify import verify
from bittrue.importers import source_file
from bittrue.importers.onnx import import_onnx

N = helper.make_node


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def weights_pickle() -> bytes:
    """What torch.save writes for a state dict, by its global names."""
    return (
        b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00wq\x02"
        b"ctorch._utils\n_rebuild_tensor_v2\nq\x03s."
    )


TARRED = io.BytesIO()
with tarfile.open(fileobj=TARRED, mode="w") as _tar:
    _tar.addfile(tarfile.TarInfo("model.onnx"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"BITTRUE\0" + bytes(300), "bittrue executable"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
        (TARRED.getvalue(), "a tar archive"),
        (zipped(("archive/data.pkl", weights_pickle()), ("archive/data/0", b"")), "state dict"),
        (weights_pickle(), "state dict"),
        (zipped(("m/data.pkl", pickle.dumps(Path("x")))), "pickled Python object"),
        (zipped(("m/data.pkl", b""), ("m/code/net.py", b"")), "TorchScript"),
        (zipped(("m/data.pkl", b""), ("m/constants.pkl", b"")), "TorchScript"),
        (zipped(("manifest.json", b"{}")), "manifest"),
        (b"PK\x03\x04" + bytes(40), "damaged zip"),
        (b"\x00\x01\x02\x03\xff\xfe" * 20, "cut short or damaged"),
        (bytes(64), "cut short or damaged"),
        (helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString(), "no nodes"),
    ],
)
def test_what_is_no_onnx_model_is_named(data: bytes, words: str) -> None:
    with pytest.raises(FormatError) as error:
        import_onnx(data)
    assert words in error.value.message
    assert error.value.hint


def test_a_state_dict_says_what_to_pass() -> None:
    with pytest.raises(FormatError, match=r"module.py:factory.*--weights"):
        import_onnx(weights_pickle())


def test_a_missing_file_and_a_folder_are_model_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "no.onnx", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            import_onnx(path)


def test_a_file_beyond_protobufs_limit_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big.onnx"
    path.write_bytes(bytes(100))
    monkeypatch.setattr(source_file, "SIZE_MAX", 99)
    with pytest.raises(FormatError, match="has 100 bytes"):
        import_onnx(path)


# --- external data ---------------------------------------------------------------------------


def external(folder: Path, location: str = "w.bin", **entries: str) -> Path:
    """A model in `folder` whose weights lie in another file, 16 bytes into it."""
    weights = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3])
    weights.data_location = TensorProto.EXTERNAL
    given = {"location": location, "offset": "16", "length": "24"} | entries
    for key, value in given.items():
        weights.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [N("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [2, 3])],
        [helper.make_tensor_value_info("y", 1, [2, 3])],
        [weights],
    )
    folder.mkdir(exist_ok=True)
    path = folder / "m.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    path.write_bytes(model.SerializeToString())
    (folder / "w.bin").write_bytes(bytes(16) + np.arange(6, dtype="<f4").tobytes())
    return path


def test_external_data_is_read_at_its_offset(tmp_path: Path) -> None:
    graph = import_onnx(external(tmp_path))
    assert np.array_equal(graph.constants["w"], np.arange(6, dtype=np.float32).reshape(2, 3))


def test_external_data_can_be_moved_inside(tmp_path: Path) -> None:
    graph = import_onnx(chain.import_model(external(tmp_path)).source.onnx)
    assert np.array_equal(graph.constants["w"], np.arange(6, dtype=np.float32).reshape(2, 3))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "no.bin"}, "is not there"),
        ({"location": "../outside.bin"}, "is not inside"),
        ({"location": "/etc/hostname"}, "is not inside"),
        ({"location": "link.bin"}, "is not inside"),
        ({"location": ""}, "is not inside"),
        ({"location": "a\0b"}, "is not inside"),
        ({"offset": "17"}, "needs 24 bytes at 17"),
        ({"offset": "-1"}, "offset '-1'"),
        ({"length": "23"}, "the file says 23"),
        ({"length": "9" * 30}, "length"),
    ],
)
def test_external_data_that_is_wrong_or_elsewhere_is_refused(
    tmp_path: Path, entries: dict[str, str], words: str
) -> None:
    (tmp_path / "outside.bin").write_bytes(bytes(100))
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(FormatError, match=words):
        import_onnx(external(folder, **entries))


def test_external_data_needs_a_path(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="bytes have no folder"):
        import_onnx(external(tmp_path).read_bytes())


# --- hostile protobufs -------------------------------------------------------------------------


def network() -> onnx.ModelProto:
    """A network with an operator of every kind that has parameters."""
    draw = np.random.default_rng(0)
    arrays = {
        "w": draw.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "s": np.ones(4, np.float32),
        "to": np.array([1, -1]),
        "from": np.array([0, 1]),
        "upto": np.array([3, -1]),
        "axes": np.array([2, 3]),
        "scales": np.float32([1, 1, 2, 2]),
        "pads": np.array([0, 0, 1, 1, 0, 0, 0, 1]),
        "zero": np.int64(0),
    }
    nodes = [
        N("Conv", ["x", "w"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2]),
        N("BatchNormalization", ["c", "s", "s", "s", "s"], ["b"]),
        N("MaxPool", ["b"], ["p"], kernel_shape=[2, 2], ceil_mode=1),
        N("Shape", ["p"], ["sh"]),
        N("Gather", ["sh", "zero"], ["n"]),
        N("ConstantOfShape", ["sh"], ["k"]),
        N("Reshape", ["p", "to"], ["f"]),
        N("Slice", ["b", "from", "upto", "axes"], ["sl"]),
        N("Resize", ["sl", "", "scales"], ["r"], mode="nearest"),
        N("Pad", ["r", "pads"], ["pd"]),
        N("Split", ["pd"], ["q1", "q2"], axis=1, num_outputs=2),
        N("Transpose", ["q1"], ["t"], perm=[0, 2, 3, 1]),
        N("Softmax", ["f"], ["y"], axis=1),
        N("ReduceMean", ["q2", "axes"], ["m"]),
        N("Concat", ["m", "m"], ["z"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info(name, 1, None) for name in ("y", "z", "t")],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def judged(data: bytes) -> str:
    """How an import ends; anything but a graph or an Error of ours escapes and fails the test."""
    try:
        verify(import_onnx(data))
    except Error as error:
        return type(error).__name__
    return "graph"


def test_a_model_cut_short_anywhere_is_refused() -> None:
    data = network().SerializeToString()
    assert judged(data) == "graph"
    ends = Counter(judged(data[:size]) for size in range(0, len(data) - 60, 7))
    assert set(ends) == {"FormatError"}


def test_bytes_changed_anywhere_never_give_a_traceback() -> None:
    data, chance = network().SerializeToString(), random.Random(5)
    ends: Counter[str] = Counter()
    for _ in range(1200):
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 3))):
            changed[chance.randrange(len(data))] = chance.choice((0, 1, 127, 128, 255))
        ends[judged(bytes(changed))] += 1
    assert {"graph", "FormatError", "ModelError"} <= set(ends)


def test_numbers_changed_anywhere_never_give_a_traceback() -> None:
    original, chance = network(), random.Random(6)
    odd = (-(2**63), -1, 0, 1, 7, 2**31, 2**63 - 1)
    ends: Counter[str] = Counter()
    for _ in range(400):
        proto = onnx.ModelProto()
        proto.CopyFrom(original)
        kind = chance.randrange(4)
        node = chance.choice(proto.graph.node)
        if kind == 0 and node.attribute:
            attr = chance.choice(node.attribute)
            attr.i = chance.choice(odd)
            attr.ints[:] = [chance.choice(odd) for _ in range(chance.randrange(5))]
        elif kind == 1:
            tensor = chance.choice(proto.graph.initializer)
            tensor.dims[:] = [chance.choice(odd) for _ in range(chance.randrange(5))]
        elif kind == 2:
            tensor = chance.choice([t for t in proto.graph.initializer if t.data_type == 7])
            values = [chance.choice(odd) for _ in range(chance.randrange(9))]
            tensor.CopyFrom(numpy_helper.from_array(np.array(values, np.int64), tensor.name))
        else:
            names = [row.name for row in proto.graph.initializer] + ["", "x", "b", "p"]
            node.input[chance.randrange(len(node.input))] = chance.choice(names)
        ends[judged(proto.SerializeToString())] += 1
    assert len(ends) >= 3
