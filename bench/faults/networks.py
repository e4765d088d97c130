"""The networks that devices are made of: file, preprocessing, pictures, what the outputs mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.faults.pictures import ROOT
from bench.faults.recipe import Recipe, Three
from bittrue.fetch import fetch

MODELS = ROOT.parent / "shared" / "models"
MEAN: Three = (0.485, 0.456, 0.406)
STD: Three = (0.229, 0.224, 0.225)
HALF: Three = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Boxes:
    """Where boxes lie in an output.

    Args:
        output: Its name.
        axis: Of the four numbers.
        form: "corners" (x, y, x, y) or "centre" (x, y, width, height).
        unit: "one" where 1 is the whole picture, else "pixel".
    """

    output: str
    axis: int
    form: str
    unit: str = "pixel"


@dataclass(frozen=True, slots=True)
class Network:
    """One network.

    Args:
        name: As in the table.
        path: Finds the file.
        recipe: Of its only input.
        pictures: One of `pictures.KINDS`.
        split: "dev" or "test".
        boxes: Where they are, if anywhere.
        scores: Output that holds probabilities, and axis and first index of them.
        logits: Outputs whose softmax or sigmoid is left to the user's program, and which.
        heavy: Whether one run takes long: it then gets fewer cases.
        wide: Whether the device's activations have 16 bits: for networks that 8 bits spoil.
        method: How the device's ranges are found: "minmax" or "percentile".
    """

    name: str
    path: Callable[[], Path]
    recipe: Recipe
    pictures: str
    split: str
    boxes: Boxes | None = None
    scores: tuple[str, int, int] | None = None
    logits: dict[str, str] = field(default_factory=dict)
    heavy: bool = False
    wide: bool = False
    method: str = "minmax"


def _shared(name: str) -> Callable[[], Path]:
    return lambda: MODELS / name


def _fetched(name: str) -> Callable[[], Path]:
    return lambda: fetch(name)


def _faces(height: int, width: int, *, middle: float = 127.5, colour: str = "RGB") -> Recipe:
    return Recipe(
        size=(height, width),
        resize="stretch",
        colour=colour,
        scale=1.0,
        mean=(middle, middle, middle),
        std=(128.0, 128.0, 128.0),
    )


NETWORKS = (
    Network(
        "resnet8_cifar10",
        _shared("resnet8_cifar10.onnx"),
        Recipe(size=(32, 32), resize="none", scale=1.0),
        "small",
        "dev",
        scores=("Identity", 1, 0),
    ),
    Network(
        "ultraface",
        _shared("ultraface_rfb320.onnx"),
        _faces(240, 320, middle=127.0),
        "scene",
        "dev",
        boxes=Boxes("boxes", 2, "corners", "one"),
        scores=("scores", 2, 0),
    ),
    Network(
        "mobilenet_v2",
        _shared("mobilenet_v2.onnx"),
        Recipe(size=(224, 224), resize="crop", resize_to=256, mean=MEAN, std=STD),
        "tiled",
        "dev",
        logits={"logits": "Softmax"},
    ),
    Network(
        "yolox_nano",
        _shared("yolox_nano.onnx"),
        Recipe(size=(416, 416), corner="top-left", colour="BGR", scale=1.0),
        "tiled",
        "dev",
        boxes=Boxes("output", 2, "centre"),
        scores=("output", 2, 4),
        heavy=True,
        wide=True,
    ),
    Network(
        "mtcnn_rnet",
        _shared("mtcnn_rnet.onnx"),
        _faces(24, 24),
        "face",
        "dev",
        boxes=Boxes("reg", 1, "corners", "one"),
        scores=("prob", 1, 0),
    ),
    Network(
        "ppocr_cls",
        _fetched("ppocr_cls.onnx"),
        Recipe(size=(48, 192), resize="stretch", colour="BGR", mean=HALF, std=HALF),
        "line",
        "dev",
        scores=("save_infer_model/scale_0.tmp_1", 1, 0),
    ),
    Network(
        "resnet20_cifar10",
        _shared("resnet20_cifar10.onnx"),
        Recipe(size=(32, 32), resize="none", mean=MEAN, std=STD),
        "small",
        "test",
        logits={"logits": "Softmax"},
    ),
    Network(
        "mtcnn_onet",
        _shared("mtcnn_onet.onnx"),
        _faces(48, 48),
        "face",
        "test",
        boxes=Boxes("reg", 1, "corners", "one"),
        scores=("prob", 1, 0),
    ),
    Network(
        "fsanet_1x1",
        _shared("fsanet_1x1.onnx"),
        _faces(64, 64, colour="BGR"),
        "face",
        "test",
    ),
    Network(
        "blazeface_front",
        _fetched("blazeface_front.onnx"),
        Recipe(
            size=(128, 128),
            resize="stretch",
            scale=1.0,
            mean=(127.5, 127.5, 127.5),
            std=(127.5, 127.5, 127.5),
            layout="NHWC",
        ),
        "scene",
        "test",
        boxes=Boxes("Identity_2:0", 2, "centre"),
        logits={"Identity:0": "Sigmoid", "Identity_1:0": "Sigmoid"},
        method="percentile",
    ),
    Network(
        "open_nsfw",
        _fetched("open_nsfw.onnx"),
        Recipe(
            size=(224, 224),
            resize="stretch",
            colour="BGR",
            scale=1.0,
            mean=(104.0, 117.0, 123.0),
            layout="NHWC",
        ),
        "tiled",
        "test",
        scores=("outputs", 1, 0),
        heavy=True,
    ),
    Network(
        "orinet",
        _fetched("orinet.onnx"),
        Recipe(size=(320, 320), pad_colour=(255, 255, 255), mean=MEAN, std=STD),
        "page",
        "test",
        logits={"logits": "Softmax"},
        heavy=True,
    ),
    Network(
        "nudenet_320",
        _fetched("nudenet_320n.onnx"),
        Recipe(size=(320, 320), corner="top-left", pad_colour=(0, 0, 0)),
        "scene",
        "test",
        boxes=Boxes("output0", 1, "centre"),
        scores=("output0", 1, 4),
        heavy=True,
    ),
    Network(
        "ppocr_det",
        _fetched("ppocr_det.onnx"),
        Recipe(size=(640, 640), corner="top-left", colour="BGR", mean=HALF, std=HALF),
        "captioned",
        "test",
        scores=("sigmoid_0.tmp_0", 1, 0),
        heavy=True,
        wide=True,
    ),
)
BY_NAME = {row.name: row for row in NETWORKS}
