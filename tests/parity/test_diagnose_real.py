"""A real network, and a device that is another tool's int8 network of it: found all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

from bittrue.diagnosis.diagnose import diagnose
from bittrue.diagnosis.given import Given
from tests.unit.scenes import picture

HARMLESS = {"none", "quant.expected", "runtime.rounding"}
#: CIFAR-10 pictures as they are: raw pixels, red, green, blue.
TOML = """size = [32, 32]
resize = "none"
scale = 1.0
mean = [0, 0, 0]
std = [1, 1, 1]
"""
SEEDS = (40, 41, 42, 43)


@pytest.fixture(scope="module")
def int8(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ONNX Runtime's own static quantisation of the network, calibrated on other pictures."""
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Pictures(quantization.CalibrationDataReader):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            self.rows = iter(range(8))

        def get_next(self) -> dict[str, np.ndarray] | None:
            seed = next(self.rows, None)
            return None if seed is None else {"input_1": planar(picture(seed))}

    made = tmp_path_factory.mktemp("int8") / "int8.onnx"
    quantization.quantize_static(
        str(shared / "models" / "resnet8_cifar10.onnx"),
        str(made),
        Pictures(),
        extra_options={"WeightSymmetric": True},
    )
    return made


def planar(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p, HARMLESS),
        (lambda p: p.transpose(0, 2, 1, 3), {"input.transposed"}),
    ],
    ids=["healthy", "turned"],
)
def test_ten_shares_of_four_pictures_name_the_mistake(
    shared, int8, tmp_path, change, expected
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(int8))
    (tmp_path / "pre.toml").write_text(TOML)
    for seed in SEEDS:
        Image.fromarray(picture(seed)[0]).save(tmp_path / f"{seed}.png")
        (gave,) = session.run(None, {"input_1": planar(change(picture(seed)))})
        np.savez(tmp_path / f"{seed}.npz", Identity=gave)
    found = diagnose(
        Given(
            model=str(shared / "models" / "resnet8_cifar10.onnx"),
            preprocess=tmp_path / "pre.toml",
            pictures=tuple(tmp_path / f"{seed}.png" for seed in SEEDS),
            devices=tuple(tmp_path / f"{seed}.npz" for seed in SEEDS),
        )
    )
    assert expected & {cause for row in found.best for cause in row.causes}
    assert found.healthy == (expected is HARMLESS)
