"""PyTorch networks by factory and weights: what is loaded, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bittrue.chain import import_model
from bittrue.engines.float_ import FloatRunner
from bittrue.errors import FormatError, ModelError, UnsupportedError, UsageError
from bittrue.graph.verify import verify
from bittrue.importers.torch import export_torch

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

SHAPES = {"image": (1, 3, 8, 8)}
MODULE = """
import torch
from torch import nn
from torch.nn import functional as F
from bittrue_neighbour import WIDTH

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x):
        x = F.silu(self.norm(self.conv(x)))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return self.head(self.drop(x.mean((2, 3))))

def network():
    torch.manual_seed(3)
    return Net()

def wants(size):
    return Net()

def fails():
    raise ValueError("no such backbone")

def number():
    return 3

class Branches(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x - 1

class Sorted(nn.Module):
    def forward(self, x):
        return torch.linalg.svd(x)[1]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(MODULE)
    (tmp_path / "bittrue_neighbour.py").write_text("WIDTH = 4\n")
    return tmp_path


def loaded(folder: Path, name: str = "network") -> torch.nn.Module:
    """The network that the factory builds, for comparison."""
    from bittrue.importers.torch import build

    return build(f"{folder / 'net.py'}:{name}")


def test_the_graph_gives_what_pytorch_gives_in_evaluation_mode(folder: Path) -> None:
    network = loaded(folder)
    with torch.no_grad():
        for item in network.parameters():
            item.mul_(1.5)
    torch.save(network.state_dict(), folder / "w.pt")
    spec = f"{folder / 'net.py'}:network"
    graph = import_model(spec, weights=folder / "w.pt", input_shapes=SHAPES).native
    verify(graph)
    assert graph.inputs == ("image",)
    image = np.random.default_rng(1).standard_normal(SHAPES["image"]).astype(np.float32)
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(image)).numpy()
    found = FloatRunner(graph, threads=1).run({"image": image}).outputs[graph.outputs[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_wrapped_and_prefixed_state_dict_is_found(folder: Path) -> None:
    state = {f"module.{name}": item for name, item in loaded(folder).state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, folder / "w.pt")
    assert export_torch(
        f"{folder / 'net.py'}:network", weights=folder / "w.pt", input_shapes=SHAPES
    )


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_safetensors_are_weights_under_any_name(folder: Path, kind: torch.dtype) -> None:
    from bittrue.importers.torch import load_network

    save_file = pytest.importorskip("safetensors.torch").save_file
    state = loaded(folder).state_dict()
    doubled = {name: (item * 2).to(kind) for name, item in state.items()}
    save_file(doubled, folder / "weights.bin")
    found = load_network(f"{folder / 'net.py'}:network", weights=folder / "weights.bin")
    for name, item in found.state_dict().items():
        assert torch.equal(item, doubled[name].to(item.dtype)), name


def test_damaged_safetensors_and_a_network_as_weights_are_refused(folder: Path) -> None:
    spec = f"{folder / 'net.py'}:network"
    (folder / "cut.safetensors").write_bytes(b"\x40" + bytes(7) + b'{"w":{"dtype":"F32"')
    with pytest.raises(ModelError, match=r"cut\.safetensors: .*damaged safetensors"):
        export_torch(spec, weights=folder / "cut.safetensors", input_shapes=SHAPES)
    (folder / "net.onnx").write_bytes(export_torch(spec, input_shapes=SHAPES))
    with pytest.raises(ModelError, match=r"whole ONNX network\n.*bittrue import"):
        export_torch(spec, weights=folder / "net.onnx", input_shapes=SHAPES)


def test_missing_safetensors_say_how_to_get_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bittrue.importers import torch_weights

    (folder / "w.safetensors").write_bytes(b"\x02" + bytes(7) + b"{}")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UsageError, match=r"safetensors is not installed\n.*bittrue\[tools\]"):
        torch_weights.load_weights(folder / "w.safetensors")


@pytest.mark.parametrize(
    ("exporter", "opset", "words"),
    [
        ("dynmo", None, "did you mean 'dynamo'"),
        ("dynamo", 17, r"writes opsets 18 to 20, not 17(.|\n)*--exporter torchscript"),
        ("torchscript", 21, r"writes opsets 9 to 20, not 21\n  next: leave it out"),
    ],
)
def test_a_wrong_exporter_or_opset_says_what_fits(
    folder: Path, exporter: str, opset: int | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        export_torch(
            f"{folder / 'net.py'}:network", input_shapes=SHAPES, exporter=exporter, opset=opset
        )


def test_a_missing_onnxscript_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from bittrue.importers import torch_export

    monkeypatch.setattr(torch_export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs onnxscript(.|\n)*pip install onnxscript"):
        torch_export.chosen_opset("dynamo", None)
    assert torch_export.chosen_opset("torchscript", None) == 17


def test_the_named_opset_is_the_one_in_the_file(folder: Path) -> None:
    import onnx

    for opset in (9, 13, 20):
        data = export_torch(f"{folder / 'net.py'}:network", input_shapes=SHAPES, opset=opset)
        assert [row.version for row in onnx.load_from_string(data).opset_import] == [opset]


def test_dynamo_refuses_what_depends_on_data(folder: Path) -> None:
    pytest.importorskip("onnxscript", reason="the dynamo exporter needs onnxscript")
    with pytest.raises(UnsupportedError, match="PyTorch cannot export") as error:
        export_torch(f"{folder / 'net.py'}:Branches", input_shapes={"x": (3, 3)}, exporter="dynamo")
    assert len(error.value.message) < 1000
    assert "--exporter torchscript" in error.value.hint


@pytest.mark.parametrize(
    ("modules", "prefix"),
    [
        ([], ""),
        (["", "stem", "stem.conv"], "/stem/conv"),
        (["features", "features.0", "features.0.1"], "/features/features.0/features.0.1"),
        (["heads.1"], "/heads.1"),
        (["a", "a.b", "a.b.0", "a.b.0.conv"], "/a/b/b.0/conv"),
    ],
)
def test_a_module_gives_its_nodes_their_prefix(modules: list[str], prefix: str) -> None:
    from bittrue.importers.torch_export import scope

    assert scope(modules) == prefix


def test_weights_that_do_not_fit_are_all_listed(folder: Path) -> None:
    state = loaded(folder).state_dict()
    del state["head.bias"]
    state["tail.bias"] = torch.zeros(2)
    state["conv.weight"] = torch.zeros(4, 3, 5, 5)
    torch.save(state, folder / "w.pt")
    with pytest.raises(ModelError) as error:
        export_torch(f"{folder / 'net.py'}:network", weights=folder / "w.pt", input_shapes=SHAPES)
    assert "missing: head.bias" in error.value.message
    assert "unexpected: tail.bias" in error.value.message
    assert "conv.weight is [4, 3, 5, 5], the network has [4, 3, 3, 3]" in error.value.message


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04" + bytes(30)])
def test_damaged_weights_are_model_errors(folder: Path, content: bytes) -> None:
    (folder / "w.pt").write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.pt"):
        export_torch(f"{folder / 'net.py'}:network", weights=folder / "w.pt", input_shapes=SHAPES)


def test_weights_without_tensors_are_refused(folder: Path) -> None:
    torch.save({"epoch": 3}, folder / "w.pt")
    with pytest.raises(ModelError, match="without tensors"):
        export_torch(f"{folder / 'net.py'}:network", weights=folder / "w.pt", input_shapes=SHAPES)
    with pytest.raises(ModelError, match="cannot be read"):
        export_torch(f"{folder / 'net.py'}:network", weights=folder / "no.pt", input_shapes=SHAPES)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("net.py:netwrok", "did you mean 'network'"),
        ("net.py:wants", "needs arguments: size"),
        ("net.py:fails", "no such backbone"),
        ("net.py:number", "returns a int"),
        ("net.py", "no factory function is named"),
        ("gone.py:network", "there is no file"),
    ],
)
def test_a_wrong_factory_is_named(folder: Path, spec: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        export_torch(str(folder / spec), input_shapes=SHAPES)


def test_a_file_that_cannot_be_imported_is_named(folder: Path) -> None:
    (folder / "bad.py").write_text("import nowhere_at_all\n")
    with pytest.raises(UsageError, match="nowhere_at_all"):
        export_torch(f"{folder / 'bad.py'}:network", input_shapes=SHAPES)


@pytest.mark.parametrize("whole", [False, True])
def test_weights_in_place_of_a_factory_say_what_to_pass(folder: Path, whole: bool) -> None:
    network = loaded(folder)
    torch.save(network if whole else network.state_dict(), folder / "w.pt")
    with pytest.raises(FormatError, match="pickled Python object" if whole else "state dict"):
        export_torch(str(folder / "w.pt"), input_shapes=SHAPES)


def test_a_missing_shape_and_an_operator_without_export_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="--input-shape"):
        export_torch(f"{folder / 'net.py'}:network", input_shapes={})
    with pytest.raises(UnsupportedError, match="PyTorch cannot export"):
        export_torch(f"{folder / 'net.py'}:Sorted", input_shapes={"x": (3, 3)})
    with pytest.raises(UnsupportedError, match="PyTorch cannot export"):
        export_torch(f"{folder / 'net.py'}:network", input_shapes={"x": (1, 4, 8, 8)})


def test_torchscript_is_named(folder: Path) -> None:
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), folder / "s.pt")
    with pytest.raises(FormatError, match="TorchScript"):
        export_torch(str(folder / "s.pt"), input_shapes=SHAPES)
