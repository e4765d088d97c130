"""Programs for the comparison of bits: wide layers, small programs of any kind, networks.

A case is known by its kind and number alone, so that a difference can be met again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from hypothesis import Phase, given, seed, settings

from bittrue import chain
from bittrue.compiler.fileformat import from_bytes
from bittrue.compiler.instructions import BY_NAME
from bittrue.contract.preprocess import Preprocess
from tests.conftest import ROOT, SHARED
from tests.kernels.programs import Case, ConvShape, conv_case, fill_codes
from tests.property.programs import (
    INPUTS,
    WEIGHTS,
    drawn_chain,
    drawn_conv,
    make_ties,
    make_wide,
    make_wide_ties,
    weights_of,
)

#: About as many output bytes has a wide layer.
WIDE_BYTES = 2**18
#: Below, at and above every tile (16, 32 and 64 channels; steps of 2, 4 and 16 codes).
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 127, 129)
WINDOWS = ((1, 1), (1, 1), (3, 3), (3, 3), (2, 3), (5, 5), (1, 7), (7, 2))
SUMS = ("as weighted", "as weighted", "as weighted", "ties", "ties above 2^24", "2^24", "2^31")
ZEROS = (0, 255, 128, None)
#: So many layers or small programs are one chunk.
LAYERS = 16
BATCH = 200


@dataclass(frozen=True, slots=True)
class Item:
    """One case and where it comes from.

    Args:
        name: Kind and number, e.g. "wide 17", "chain 3/41", "mobilenet_v2 2".
        case: The program and its inputs.
    """

    name: str
    case: Case


# --- wide layers -------------------------------------------------------------------------------


def wide_layers(chunk: int) -> list[Item]:
    """Return LAYERS convolutions of about WIDE_BYTES each: dense, depthwise or grouped."""
    numbers = range(chunk * LAYERS, (chunk + 1) * LAYERS)
    return [Item(f"wide {n}", wide_case(np.random.default_rng([7, n]))) for n in numbers]


def wide_case(rng: np.random.Generator) -> Case:
    """Return one convolution of about WIDE_BYTES, with sums and zero points of any kind."""
    shape = _wide_shape(rng)
    sums = str(rng.choice(SUMS))
    kind = "one" if "ties" in sums else str(rng.choice(WEIGHTS))
    f32 = bool(rng.random() < 0.1)
    classes = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    case = conv_case(
        rng,
        shape,
        fill=str(rng.choice(INPUTS)),
        weight=weights_of(rng, shape, kind),
        f32=f32,
        classes=classes,
    )
    if sums == "ties":
        make_ties(case, rng)
    elif sums == "ties above 2^24":
        make_wide_ties(case, rng)
    elif sums != "as weighted":
        make_wide(case, rng, 2**24 if sums == "2^24" else 2**31)
    return case if f32 else _with_zero(case, rng)


def _wide_shape(rng: np.random.Generator) -> ConvShape:
    form = str(rng.choice(["dense", "dense", "depthwise", "grouped"]))
    channels, outputs, groups = int(rng.choice(SIZES)), int(rng.choice(SIZES)), 1
    if form == "depthwise":
        outputs = groups = channels
    elif form == "grouped":
        groups = int(rng.integers(2, 5))
        channels, outputs = groups * min(channels, 17), groups * min(outputs, 17)
    kernel = WINDOWS[int(rng.integers(len(WINDOWS)))]
    stride, dilation = ((int(rng.integers(1, 3)),) * 2 for _ in range(2))
    pad = tuple(rng.integers(0, 3, 4).tolist())
    pixels = max(WIDE_BYTES // outputs, 16)
    height = int(rng.integers(4, 64))
    width = max(pixels // height, 4)
    size = [
        side * stride[0] + (k - 1) * dilation[0]
        for side, k in zip((height, width), kernel, strict=True)
    ]
    return ConvShape((1, *size, channels), outputs, kernel, stride, dilation, pad, groups)


def _with_zero(case: Case, rng: np.random.Generator) -> Case:
    """Return the case with its zero point at one of the ends, in the middle or where it was."""
    zero = ZEROS[int(rng.integers(len(ZEROS)))]
    if zero is None:
        return case
    (step,) = case.program.instructions
    params = dict(zip(BY_NAME[step.kind].params, step.params, strict=True)) | {"zero_point": zero}
    changed = replace(step, params=tuple(params.values()))
    return Case(replace(case.program, instructions=(changed,)), case.inputs)


# --- small programs ------------------------------------------------------------------------------


def small_programs(chunk: int) -> list[Item]:
    """Return what hypothesis draws: convolutions of any window, or chains of any instructions."""
    strategy = drawn_conv() if chunk % 2 else drawn_chain()
    drawn: list[Case] = []

    @seed(chunk)
    @settings(max_examples=BATCH, database=None, derandomize=False, phases=[Phase.generate])
    @given(case=strategy)
    def keep(case: Case) -> None:
        drawn.append(case)

    keep()
    return [Item(f"small {chunk}, program {at}", case) for at, case in enumerate(drawn)]


# --- networks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """A network to compile: its file, and what turns a picture into its input."""

    path: str
    preprocess: Preprocess
    weights: str | None = None


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
#: Normalisation folds into the first, padded convolution of each.
NETWORKS: dict[str, Source] = {
    "net_9conv": Source(
        f"{ROOT}/examples/net_9conv/net.py:create",
        Preprocess(size=(320, 320), mean=(127.5,) * 3, std=(127.5,) * 3, scale=1.0),
        f"{ROOT}/examples/net_9conv/net_9conv.pt",
    ),
    "resnet20_cifar10": Source(
        str(SHARED / "models" / "resnet20_cifar10.onnx"), Preprocess(size=(32, 32), **IMAGENET)
    ),
    "mobilenet_v2": Source(
        str(SHARED / "models" / "mobilenet_v2.onnx"), Preprocess(size=(224, 224), **IMAGENET)
    ),
    "ultraface": Source(
        str(SHARED / "models" / "ultraface_rfb320.onnx"),
        Preprocess(size=(240, 320), scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3),
    ),
    "yolox_nano": Source(
        str(SHARED / "models" / "yolox_nano.onnx"),
        Preprocess(size=(416, 416), scale=1.0, colour="BGR"),
    ),
}
CALIBRATION = 8
FILLS_OF_NETWORKS = ("picture", "picture", "picture", "random", "least", "most")


def network_runs(executables: Mapping[str, bytes], chunk: int) -> list[Item]:
    """Return one run of one network on a picture, on noise, or on codes all 0 or all 255."""
    name = sorted(executables)[chunk % len(executables)]
    program = from_bytes(executables[name])
    rng = np.random.default_rng([11, chunk])
    (port,) = program.inputs
    shape = program.tensors[port].shape
    fill = str(rng.choice(FILLS_OF_NETWORKS))
    codes = picture(rng, shape) if fill == "picture" else fill_codes(rng, shape, fill)
    return [Item(f"{name}, run {chunk}, {fill}", Case(program, (codes,)))]


def present() -> tuple[str, ...]:
    """Return the names of the networks whose files are there."""
    return tuple(
        name for name, row in NETWORKS.items() if Path(row.path.partition(":")[0]).is_file()
    )


def compiled(source: Source) -> bytes:
    """Return a network as an executable, calibrated on drawn pictures."""
    item = source.preprocess
    rng = np.random.default_rng(13)
    samples = [picture(rng, (1, *item.size, 3)) for _ in range(CALIBRATION)]
    network = chain.build(source.path, samples, weights=source.weights, preprocess=item)
    return network.executable or b""


def picture(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return a picture uint8 [1, H, W, C] of slopes, boxes and grain: no noise, no constant."""
    _, height, width, channels = shape
    rows, cols = np.mgrid[:height, :width]
    light = rng.integers(0, 256, 3)
    found = np.empty((height, width, channels))
    for channel in range(channels):
        found[..., channel] = light[channel % 3] * rows / height + 128 * cols / width
    for _ in range(12):
        top, left = rng.integers(0, height), rng.integers(0, width)
        found[top : top + height // 4, left : left + width // 4] += rng.integers(-150, 151, 1)
    grain = found + rng.normal(0, 8, found.shape)
    return np.clip(grain, 0, 255).astype(np.uint8)[None]
