"""The story network: from its .pt in eager PyTorch through every stage, on pictures of any size."""

from __future__ import annotations

import importlib.util
import pickle
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import bittrue
from bittrue.contract.preprocess import normalise, raw_pixels
from bittrue.engines.torch_ import TorchRunner
from bittrue.errors import DataError, FormatError, ModelError, UsageError
from bittrue.fetch import fetch
from bittrue.importers.torch import export_torch, load_network
from bittrue.stages import Subject, open_runner, stage_contract
from tests.conftest import ROOT

torch = pytest.importorskip("torch", reason="PyTorch is not installed (a dev dependency)")

EXAMPLE = ROOT / "examples" / "net_9conv"
SPEC = f"{EXAMPLE / 'net.py'}:create"
WEIGHTS = EXAMPLE / "net_9conv.pt"
SIDE = 160
SMALL = (1, 3, SIDE, SIDE)


def pictures(count: int, seed: int) -> list[np.ndarray]:
    """Raw pixels that are no noise: dark bars of several widths on a slope of light."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        light = np.linspace(*rng.integers(90, 256, 2), SIDE)[:, None, None]  # [H, 1, 1]
        picture = light + rng.normal(0, 6, (SIDE, SIDE, 3))
        for top in rng.integers(0, SIDE - 12, 6):
            columns = rng.random(SIDE) < 0.5
            picture[top : top + int(rng.integers(3, 12)), columns] -= 110
        found.append(np.clip(picture, 0, 255).astype(np.uint8)[None])  # [1, H, W, 3]
    return found


@pytest.fixture(scope="module")
def preprocess() -> bittrue.Preprocess:
    return replace(bittrue.load_preprocess(EXAMPLE / "preprocess.toml"), size=(SIDE, SIDE))


@pytest.fixture(scope="module")
def network(preprocess: bittrue.Preprocess) -> bittrue.Network:
    """Every stage of the trained network, at 160x160."""
    imported = bittrue.import_model(SPEC, weights=WEIGHTS, preprocess={"image": preprocess})
    return bittrue.compile(
        bittrue.quantize(bittrue.optimize(imported), pictures(16, 1), observer="minmax")
    )


@pytest.fixture(scope="module")
def subject(network: bittrue.Network) -> Subject:
    return Subject("net_9conv.bta", network, network.executable)


@pytest.fixture(scope="module")
def eager(network: bittrue.Network) -> TorchRunner:
    return TorchRunner(load_network(SPEC, weights=WEIGHTS), stage_contract(network, "source"))


# --- the network itself ---------------------------------------------------------------------------


def test_the_network_has_exactly_nine_convolutions_and_its_weights_are_plain_tensors() -> None:
    layers = list(load_network(SPEC, weights=WEIGHTS).modules())
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in layers) == 9
    state = torch.load(WEIGHTS, weights_only=True)
    assert all(isinstance(item, torch.Tensor) for item in state.values())


def test_the_import_keeps_the_nine_convolutions_and_the_batch_norms(
    network: bittrue.Network,
) -> None:
    assert network.optimized is not None
    native = [node.op for node in network.native.nodes]
    assert (native.count("Conv"), native.count("BatchNormalization")) == (9, 8)
    optimized = [node.op for node in network.optimized.nodes]
    assert (optimized.count("Conv"), optimized.count("BatchNormalization")) == (9, 0)
    assert (network.native.inputs, network.native.outputs) == (("image",), ("output",))


# --- the ladder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["source", "native", "fp_optimized"])
def test_float_stages_give_what_eager_pytorch_gives(
    subject: Subject, eager: TorchRunner, stage: str
) -> None:
    given = {"image": pictures(1, 2)[0]}
    reference = bittrue.make_side(subject, "source", given, runner=eager)
    other = bittrue.make_side(subject, stage, given)
    expected = reference.runner.run(reference.feeds).outputs["output"]
    found = other.runner.run(other.feeds).outputs["output"]
    assert expected.max() > 0.5  # the picture has something in it that looks like text
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()))


def test_eager_is_the_module_itself_called_by_hand(
    eager: TorchRunner, preprocess: bittrue.Preprocess
) -> None:
    values = normalise(preprocess, pictures(1, 2)[0])
    spec = importlib.util.spec_from_file_location("net_by_hand", EXAMPLE / "net.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.create()
    net.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    with torch.no_grad():
        expected = net(torch.from_numpy(values.copy())).numpy()
    np.testing.assert_array_equal(eager.run({"image": values}).outputs["output"], expected)


def test_quantising_keeps_the_map(subject: Subject, eager: TorchRunner) -> None:
    # 20 dB is an error of a tenth of the signal; the README's pictures reach twice that.
    given = {"image": pictures(1, 2)[0]}
    reference = bittrue.make_side(subject, "source", given, runner=eager)
    found = bittrue.compare(reference, bittrue.make_side(subject, "compiled", given), inner=False)
    (row,) = found.outputs
    assert row.difference is not None
    assert row.difference.sqnr_db > 20


def test_bit_true_and_compiled_agree_in_every_code_of_every_tensor(subject: Subject) -> None:
    program = subject.program()
    taps = [program.tensors[index].name for index in program.computed]
    assert len(taps) >= 19
    emulated, compiled = (open_runner(subject, stage) for stage in ("bit_true", "compiled"))
    for pixels in [*pictures(1, 2), np.zeros_like(pictures(1, 2)[0])]:
        one = emulated.run({"image": pixels}, taps, codes=True)
        two = compiled.run({"image": pixels}, taps, codes=True)
        for name in taps:
            assert one.taps[name].dtype == two.taps[name].dtype, name
            assert one.taps[name].tobytes() == two.taps[name].tobytes(), name


# --- the story ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ladder() -> Iterator[ModuleType]:
    """The example's script, as `python ladder.py` sees it: its neighbours can be imported."""
    before = set(sys.modules)
    sys.path.insert(0, str(EXAMPLE))
    try:
        spec = importlib.util.spec_from_file_location("net_9conv_ladder", EXAMPLE / "ladder.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in (set(sys.modules) - before) & {"net", "pictures", "show"}:
            del sys.modules[name]


def test_each_wrong_buffer_is_refused_and_its_mend_gives_the_right_result(
    ladder: ModuleType, network: bittrue.Network
) -> None:
    pixels = pictures(1, 2)[0]
    assert network.executable is not None
    with bittrue.Session(network.executable) as session:
        expected = session.run(pixels)["output"]
        causes = []
        for x in ladder.wrong_buffers(pixels).values():
            (finding,) = bittrue.check(session.contract, {"image": x})
            causes.append(finding.cause)
            with pytest.raises(DataError, match=finding.cause):
                session.run(x)
            scope = {"np": np, "x": x}
            exec(finding.mend, scope)
            np.testing.assert_array_equal(session.run(scope["x"])["output"], expected)
    assert causes == ["input.dtype", "input.dtype", "input.layout"]


def test_the_story_network_finds_the_text_of_the_page(
    ladder: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    try:
        page = fetch("page.png")
    except DataError as why:
        pytest.skip(f"scikit-image's page.png cannot be fetched: {why.message}")
    preprocess = bittrue.load_preprocess(EXAMPLE / "preprocess.toml")
    network = bittrue.import_model(SPEC, weights=WEIGHTS, preprocess={"image": preprocess})
    pixels = raw_pixels(preprocess, page)
    network = bittrue.compile(bittrue.quantize(network, [pixels], observer="minmax"))
    subject = ladder.save(network, tmp_path)
    climbed = ladder.climb_from_eager(subject, network, WEIGHTS, pixels)
    by_eager, by_executable, shared = ladder.shares(climbed)
    assert 0.20 <= by_eager <= 0.27
    assert 0.20 <= by_executable <= 0.27
    assert shared > 0.95
    names = ["eager", "source", "native", "fp_optimized", "quantized", "bit_true", "compiled"]
    assert [rung.stage for rung in climbed.rungs] == names
    assert len(climbed.edges) == 6
    assert climbed.first_broken is None
    assert "agree in all 25,600 output values" in ladder.proof(climbed.edges[-1])
    ladder.tell_story(subject, pixels)
    told = capsys.readouterr().out
    assert "9,830,400 bytes received, 1,228,800 expected: 8 times as many" in told
    assert told.count("does not fit") == 3
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"net_9conv.bta", "net_9conv.bte", "changes.svg"}


# --- what the importer refuses --------------------------------------------------------------------


def test_the_first_argument_of_forward_names_an_input_that_nobody_names() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nor does the exporter's own noise reach the user
        named = export_torch(SPEC, weights=WEIGHTS, input_shapes={"image": SMALL})
        unnamed = export_torch(SPEC, weights=WEIGHTS, input_shapes={"": SMALL})
    assert named == unnamed


def test_a_bare_state_dict_is_refused_by_name() -> None:
    with pytest.raises(FormatError, match="state dict") as error:
        bittrue.import_model(WEIGHTS)
    assert "module.py:factory" in str(error.value)


def import_whole(path: Path, as_weights: bool) -> None:
    """Import a .pt in place of a network, or as the weights of one."""
    if as_weights:
        bittrue.import_model(SPEC, weights=path, input_shapes={"image": SMALL})
    else:
        bittrue.import_model(path)


@pytest.mark.parametrize("as_weights", [False, True])
def test_a_pickled_module_is_refused_and_never_run(tmp_path: Path, as_weights: bool) -> None:
    path, proof = tmp_path / "whole.pt", tmp_path / "proof"

    class Harmful(torch.nn.Module):
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.write_text, (proof, "executed")

    torch.save(Harmful(), path)
    with pytest.raises((FormatError, ModelError), match=r"pickled (Python )?object"):
        import_whole(path, as_weights)
    assert not proof.exists()
    with path.open("rb"), pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize("as_weights", [False, True])
def test_torchscript_is_refused_by_name(tmp_path: Path, as_weights: bool) -> None:
    path = tmp_path / "script.pt"
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), path)
    with pytest.raises(ModelError, match="TorchScript file") as error:
        import_whole(path, as_weights)
    assert "arbitrary code" not in str(error.value)  # PyTorch's own text advises to execute it


def test_weights_of_another_network_are_refused_with_every_name(tmp_path: Path) -> None:
    state = torch.load(WEIGHTS, weights_only=True)
    del state["conv9.bias"]
    torch.save({**state, "conv10.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"missing: conv9\.bias(.|\n)*unexpected: conv10\.weight"):
        load_network(SPEC, weights=tmp_path / "other.pt")


# --- the runner of eager PyTorch ------------------------------------------------------------------


def test_the_eager_runner_refuses_what_its_contract_does_not_hold(
    eager: TorchRunner, network: bittrue.Network
) -> None:
    image = np.zeros(SMALL, np.float32)
    with pytest.raises(DataError, match="float64"):
        eager.run({"image": image.astype(np.float64)})
    with pytest.raises(UsageError, match="conv1"):
        eager.run({"image": image}, ["conv1"])
    assert set(eager.run({"image": image}, ["image", "output"]).taps) == {"image", "output"}
    contract = stage_contract(network, "source")
    with pytest.raises(ModelError, match=r"gives float32 \[1, 3, 160, 160\], it must give"):
        TorchRunner(torch.nn.ReLU(), contract).run({"image": image})
    with pytest.raises(DataError, match="PyTorch cannot run"):
        TorchRunner(torch.nn.Linear(3, 3), contract).run({"image": image})


def test_the_eager_runner_leaves_the_callers_array_alone(network: bittrue.Network) -> None:
    class Greedy(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.add_(1)[:, :1, ::4, ::4]

    image = np.zeros(SMALL, np.float32)
    image.setflags(write=False)
    TorchRunner(Greedy(), stage_contract(network, "source")).run({"image": image})
    assert not image.any()
