"""The networks of the benchmark: where each comes from, what it is fed, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bench import data
from bench.data import ROOT, SHARED, Kind
from bench.tasks import boxes, classify, faces, lines, pictures, pitch, pose, text
from bench.tasks.figure import Task
from bittrue.contract.preprocess import Preprocess, load_preprocess
from bittrue.fetch import fetch

ThreeFloats = tuple[float, float, float]
MEAN: ThreeFloats = (0.485, 0.456, 0.406)
STD: ThreeFloats = (0.229, 0.224, 0.225)
HALF: ThreeFloats = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Case:
    """One network of the table.

    Args:
        name: As in the table.
        source: Returns the path (or module.py:factory) and the weights.
        preprocess: Of its only input; None where it takes no picture.
        kind: Makes the samples.
        task: Judges.
        judged: Samples to judge on.
        quantized: Of these, for the `quantized` stage, which is slow.
        calibration: Samples to calibrate with.
        shapes: For dimensions that the file leaves open.
    """

    name: str
    source: Callable[[], tuple[str, str | None]]
    preprocess: Preprocess | None
    kind: Kind
    task: Task
    judged: int
    quantized: int
    calibration: int = 64
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


def shared(name: str) -> Callable[[], tuple[str, str | None]]:
    """Return what finds one of the networks beside the project."""
    return lambda: (str(SHARED / "models" / name), None)


def fetched(name: str) -> Callable[[], tuple[str, str | None]]:
    """Return what fetches one of the networks of `bittrue.fetch`."""
    return lambda: (str(fetch(name)), None)


def _example() -> tuple[str, str | None]:
    folder = ROOT / "examples/net_9conv"
    return f"{folder}/net.py:create", f"{folder}/net_9conv.pt"


def _yolox(side: int) -> Preprocess:
    return Preprocess(size=(side, side), corner="top-left", colour="BGR", scale=1.0)


def _nudenet(side: int) -> Preprocess:
    return Preprocess(size=(side, side), corner="top-left", pad_colour=(0, 0, 0))


def _faces(height: int, width: int, *, middle: float = 127.5, colour: str = "RGB") -> Preprocess:
    """Return (x - middle) / 128."""
    return Preprocess(
        size=(height, width),
        resize="stretch",
        colour=colour,
        scale=1.0,
        mean=(middle,) * 3,
        std=(128.0,) * 3,
    )


CLASSIFIERS = (
    Case(
        "mobilenet_v2",
        shared("mobilenet_v2.onnx"),
        Preprocess(size=(224, 224), resize="crop", resize_to=256, mean=MEAN, std=STD),
        data.photographs,
        classify.CLASS,
        judged=250,
        quantized=250,
    ),
    Case(
        "resnet20_cifar10",
        shared("resnet20_cifar10.onnx"),
        Preprocess(size=(32, 32), resize="none", mean=MEAN, std=STD),
        data.cifar,
        classify.CLASS,
        judged=1936,
        quantized=1936,
    ),
    Case(
        "resnet8_cifar10",
        shared("resnet8_cifar10.onnx"),
        Preprocess(size=(32, 32), resize="none", scale=1.0),
        data.cifar,
        classify.CLASS,
        judged=1936,
        quantized=1936,
    ),
    Case(
        "open_nsfw",
        fetched("open_nsfw.onnx"),
        Preprocess(
            size=(224, 224),
            resize="stretch",
            colour="BGR",
            scale=1.0,
            mean=(104.0, 117.0, 123.0),
            layout="NHWC",
        ),
        data.harmless,
        classify.PROBABILITY,
        judged=150,
        quantized=60,
    ),
)

DETECTORS = (
    Case(
        "yolox_nano",
        shared("yolox_nano.onnx"),
        _yolox(416),
        data.photographs,
        boxes.YOLOX,
        judged=100,
        quantized=60,
    ),
    Case(
        "yolox_nano_640",
        shared("yolox_nano_640.onnx"),
        _yolox(640),
        data.photographs,
        boxes.YOLOX,
        judged=60,
        quantized=40,
    ),
    Case(
        "nudenet_yolov8n_320",
        fetched("nudenet_320n.onnx"),
        _nudenet(320),
        data.scenes(48, 140),
        boxes.NUDENET,
        judged=80,
        quantized=40,
    ),
    Case(
        "nudenet_yolov8n_640",
        fetched("nudenet_320n.onnx"),
        _nudenet(640),
        data.scenes(80, 280),
        boxes.NUDENET,
        judged=30,
        quantized=15,
        calibration=32,
    ),
    Case(
        "picodet_layout",
        fetched("picodet_layout.onnx"),
        Preprocess(size=(800, 608), resize="stretch", mean=MEAN, std=STD),
        data.pages,
        boxes.PICODET,
        judged=30,
        quantized=15,
        calibration=32,
    ),
)

FACES = (
    Case(
        "ultraface",
        shared("ultraface_rfb320.onnx"),
        _faces(240, 320, middle=127.0),
        data.scenes(36, 120),
        faces.ULTRAFACE,
        judged=150,
        quantized=100,
    ),
    Case(
        "mtcnn_pnet",
        shared("mtcnn_pnet.onnx"),
        _faces(240, 320),
        data.scenes(12, 20),
        faces.PROPOSALS,
        judged=80,
        quantized=60,
    ),
    Case(
        "mtcnn_rnet",
        shared("mtcnn_rnet.onnx"),
        _faces(24, 24),
        data.face_windows,
        faces.REFINED,
        judged=100,
        quantized=100,
    ),
    Case(
        "mtcnn_onet",
        shared("mtcnn_onet.onnx"),
        _faces(48, 48),
        data.face_windows,
        faces.REFINED,
        judged=100,
        quantized=100,
    ),
    Case(
        "blazeface_front",
        fetched("blazeface_front.onnx"),
        Preprocess(
            size=(128, 128),
            resize="stretch",
            scale=1.0,
            mean=(127.5,) * 3,
            std=(127.5,) * 3,
            layout="NHWC",
        ),
        data.scenes(28, 64),
        faces.BLAZEFACE,
        judged=250,
        quantized=200,
    ),
    Case(
        "fsanet_1x1",
        shared("fsanet_1x1.onnx"),
        _faces(64, 64, colour="BGR"),
        data.mirrored_faces,
        pose.POSE,
        judged=100,
        quantized=100,
    ),
)

TEXTS = (
    Case(
        "ppocr_det",
        fetched("ppocr_det.onnx"),
        Preprocess(size=(640, 640), corner="top-left", colour="BGR", mean=HALF, std=HALF),
        data.captioned,
        text.MASK,
        judged=40,
        quantized=40,
    ),
    Case(
        "ppocr_cls",
        fetched("ppocr_cls.onnx"),
        Preprocess(size=(48, 192), resize="stretch", colour="BGR", mean=HALF, std=HALF),
        data.text_lines,
        classify.CLASS,
        judged=400,
        quantized=200,
    ),
    Case(
        "orinet",
        fetched("orinet.onnx"),
        Preprocess(size=(320, 320), pad_colour=(255, 255, 255), mean=MEAN, std=STD),
        data.turned_pages,
        classify.CLASS,
        judged=120,
        quantized=60,
    ),
)

OTHERS = (
    Case(
        "mlsd_tiny",
        fetched("mlsd_tiny.onnx"),
        None,
        data.with_one,
        lines.SEGMENTS,
        judged=60,
        quantized=30,
    ),
    Case(
        "super_resolution",
        shared("super_resolution.onnx"),
        Preprocess(size=(224, 224), resize="none", colour="GRAY", mean=(0.0,), std=(1.0,)),
        data.mosaics,
        pictures.ENLARGED,
        judged=25,
        quantized=15,
        calibration=32,
    ),
    Case(
        "net_9conv",
        _example,
        load_preprocess(ROOT / "examples/net_9conv/preprocess.toml"),
        data.captioned,
        pictures.LIKENESS,
        judged=24,
        quantized=24,
    ),
    Case(
        "crepe_tiny",
        shared("crepe_tiny.onnx"),
        None,
        data.tones,
        pitch.PITCH,
        judged=400,
        quantized=200,
    ),
)

CASES = (*CLASSIFIERS, *DETECTORS, *FACES, *TEXTS, *OTHERS)
