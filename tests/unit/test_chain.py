"""One function a stage: what each needs, refuses and leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bittrue import chain
from bittrue.contract.preprocess import normalise
from bittrue.errors import DataError, FormatError, UnsupportedError, UsageError
from bittrue.importers.onnx import import_onnx
from bittrue.network import Network, Source
from tests.unit.networks import PREPROCESS, TOML, pixels, tiny, write_inputs, write_onnx
from tests.unit.onnx_models import N, floats, model


def test_each_stage_adds_itself_and_an_earlier_one_drops_the_later() -> None:
    assert tiny("native").stages == ("source", "native")
    assert tiny("compiled").stages[-2:] == ("bit_true", "compiled")
    assert chain.optimize(tiny("compiled")).stages == ("source", "native", "fp_optimized")
    samples = [pixels(1)]
    again = chain.quantize(tiny("compiled"), samples, observer="minmax")
    assert again.stages[-1] == "quantized"


def test_a_network_is_not_changed_by_its_next_stage() -> None:
    before = tiny("native")
    chain.optimize(before)
    assert before.stages == ("source", "native")
    assert before.optimized is None


def test_compiling_twice_gives_the_same_bytes() -> None:
    assert chain.compile(tiny("quantized")).executable == tiny().executable


def test_compiling_before_quantising_says_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"not quantised yet\n.*bittrue quantize"):
        chain.compile(tiny("native"))


@pytest.mark.parametrize("form", ["raw", "normalised", "stack", "folder of pictures", "npy", "npz"])
def test_every_form_of_calibration_gives_the_same_codes(tmp_path: Path, form: str) -> None:
    raw = [pixels(seed) for seed in range(4)]
    stack = np.concatenate(raw)
    np.save(tmp_path / "a.npy", stack)
    np.savez(tmp_path / "a.npz", images=stack)
    write_inputs(tmp_path)
    # Pictures are RGB files, the network takes BGR: the same pixels as these arrays reversed.
    flipped = [array[..., ::-1].copy() for array in raw]
    forms = {
        "raw": raw,
        "normalised": [normalise(PREPROCESS, array) for array in raw],
        "stack": list(stack),
        "folder of pictures": tmp_path / "pictures",
        "npy": tmp_path / "a.npy",
        "npz": str(tmp_path / "a.npz"),
    }
    found = chain.quantize(tiny("fp_optimized"), forms[form], observer="minmax")  # type: ignore[arg-type]
    wanted = chain.quantize(
        tiny("fp_optimized"), flipped if form == "folder of pictures" else raw, observer="minmax"
    )
    assert found.quantized is not None
    assert wanted.quantized is not None
    assert found.quantized.ranges == wanted.quantized.ranges


def branching() -> bytes:
    """A convolution; one branch the engine runs, the other ends in a cubic resize."""
    return model(
        [
            N("Conv", ["x", "w"], ["h"], pads=[1, 1, 1, 1]),
            N("Relu", ["h"], ["y"]),
            N("Sigmoid", ["h"], ["s"]),
            N("Resize", ["s", "", "scales"], ["wide"], mode="cubic"),
            N("Tanh", ["wide"], ["z"]),
        ],
        inputs={"x": (1, 2, 4, 4)},
        outputs=("y", "z"),
        w=floats(3, 2, 3, 3),
        scales=np.float32([1, 1, 2, 2]),
    )


def no_samples() -> Iterator[np.ndarray]:
    pytest.fail("a sample was read")
    yield np.zeros(1)


def test_what_cannot_run_is_refused_before_a_sample_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(branching())
    with pytest.raises(UnsupportedError, match="'cubic' is not handled") as refused:
        chain.build(path, no_samples())
    assert [node.op for node in refused.value.nodes] == ["Resize"]
    ends = refused.value.hint.partition(": ")[2].partition(" (")[0].split("--end ")[1:]
    # The last before it, and the output that has nothing to do with it.
    assert [name.strip() for name in ends] == ["y", "s"]
    samples = [floats(1, 2, 4, 4) for _ in range(2)]
    done = chain.build(path, samples, end=[name.strip() for name in ends])
    assert done.stages[-1] == "compiled"


def test_compiling_says_the_same_cut(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(branching())
    samples = [floats(1, 2, 4, 4) for _ in range(2)]
    network = chain.quantize(chain.import_model(path), samples, observer="minmax")
    with pytest.raises(UnsupportedError, match="--end y --end s"):
        chain.compile(network)


def test_what_hangs_on_figures_is_not_refused_early() -> None:
    """A draft's ranges are -1 to 1: a constant of 10^9 fits them badly, and real ones well."""
    data = model(
        [N("Mul", ["x", "c"], ["y"])],
        inputs={"x": (1, 2, 4, 4)},
        outputs=("y",),
        c=floats(1, 2, 4, 4) * 1e12,
    )
    network = Network("net", Source("net.onnx", "", "onnx", data), import_onnx(data))
    chain.check(network)


def test_a_sample_with_nan_is_refused() -> None:
    x = normalise(PREPROCESS, pixels(1))
    x[0, 0, 0, 0] = np.nan
    network = chain.optimize(tiny("native"), normalize_inside=False)
    with pytest.raises(DataError, match="NaN"):
        chain.quantize(network, [x], observer="minmax")


def test_an_unknown_observer_is_refused() -> None:
    with pytest.raises(UsageError, match="observer='best'"):
        chain.quantize(tiny("fp_optimized"), [pixels(1)], observer="best")


def test_build_goes_all_the_way(tmp_path: Path) -> None:
    folder = write_inputs(tmp_path)
    network = chain.build(folder / "tiny.onnx", folder / "pictures", preprocess=TOML)
    assert network.stages[-1] == "compiled"


def test_weights_of_an_onnx_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--weights goes with a PyTorch module"):
        chain.import_model(write_onnx(tmp_path), weights="net.pt")


def test_preprocessing_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"size|shape|contradicts"):
        chain.import_model(write_onnx(tmp_path), preprocess="size = [8, 8]\n")
    with pytest.raises(UsageError, match="no input 'image'"):
        chain.import_model(write_onnx(tmp_path), preprocess={"image": PREPROCESS})


def two_pictures(folder: Path, batch: int | str) -> Path:
    """A convolution over [batch, 3, 16, 16]."""
    path = folder / "two.onnx"
    inputs = {"x": (batch, 3, 16, 16)}
    path.write_bytes(model([N("Conv", ["x", "w"], ["y"])], inputs=inputs, w=floats(4, 3, 1, 1)))
    return path


def test_preprocessing_for_several_pictures_at_once_is_refused(tmp_path: Path) -> None:
    words = r"one picture a run, but input 'x' has batch 2\n.*export the network with batch 1"
    for preprocess in (PREPROCESS, {"x": PREPROCESS}):
        with pytest.raises(UsageError, match=words) as caught:
            chain.import_model(two_pictures(tmp_path, 2), preprocess=preprocess)
        assert "--input-shape" not in str(caught.value)
    open_batch, given = two_pictures(tmp_path, "n"), {"x": (2, 3, 16, 16)}
    with pytest.raises(UsageError, match=words):
        chain.import_model(open_batch, input_shapes=given, preprocess=PREPROCESS)


def test_a_dynamic_batch_is_one_picture_and_a_fixed_one_needs_no_preprocessing(
    tmp_path: Path,
) -> None:
    dynamic = chain.import_model(two_pictures(tmp_path, "n"), preprocess=PREPROCESS)
    assert dynamic.native.values["x"].shape == (1, 3, 16, 16)
    fixed = chain.import_model(two_pictures(tmp_path, 2))
    assert fixed.native.values["x"].shape == (2, 3, 16, 16)


def test_a_damaged_network_is_refused(tmp_path: Path) -> None:
    path = write_onnx(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FormatError):
        chain.import_model(path)


def test_without_normalisation_inside_the_input_stays_float_until_it_is_codes() -> None:
    network = chain.optimize(tiny("native"), normalize_inside=False)
    samples = [normalise(PREPROCESS, pixels(seed)) for seed in range(4)]
    network = chain.compile(chain.quantize(network, samples, observer="minmax"))
    from bittrue.session import Session

    with Session(network.executable or b"") as session:
        (row,) = session.contract.inputs
        assert (row.dtype, row.shape) == ("uint8", (1, 3, 16, 16))
        assert row.scale is not None
        (out,) = session.run(samples[0]).values()
    assert np.isfinite(out).all()


def test_a_picture_size_unlike_the_file_is_the_preprocessings_mistake(tmp_path: Path) -> None:
    other = replace(PREPROCESS, size=(8, 8))
    with pytest.raises(UsageError, match=r"preprocessing makes \[1, 3, 8, 8\], input 'x' takes"):
        chain.import_model(two_pictures(tmp_path, 1), preprocess=other)


@pytest.mark.parametrize("batch", ["n", 1])
def test_a_network_that_takes_channels_last_is_told_so_by_name(
    tmp_path: Path, batch: str | int
) -> None:
    path = tmp_path / "last.onnx"
    inputs = {"x": (batch, 8, 8, 3)}
    path.write_bytes(model([N("Relu", ["x"], ["y"])], inputs=inputs))
    planar = replace(PREPROCESS, size=(8, 8))
    with pytest.raises(UsageError) as refused:
        chain.import_model(path, preprocess=planar)
    assert refused.value.message == (
        f"the preprocessing makes [1, 3, 8, 8], input 'x' takes "
        f"[{1 if batch == 1 else '?'}, 8, 8, 3]"
    )
    assert refused.value.hint == 'set layout = "NHWC" in the preprocessing'
    done = chain.import_model(path, preprocess=replace(planar, layout="NHWC"))
    assert done.native.values["x"].shape == (1, 8, 8, 3)


def test_a_batch_of_minus_one_is_an_open_one(tmp_path: Path) -> None:
    path = tmp_path / "open.onnx"
    inputs = {"x": (-1, 3, "h", "w")}
    path.write_bytes(model([N("Conv", ["x", "w"], ["y"])], inputs=inputs, w=floats(4, 3, 1, 1)))
    network = chain.import_model(path, preprocess=PREPROCESS)
    assert network.native.values["x"].shape == (1, 3, 16, 16)
