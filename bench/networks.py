"""Networks through every stage: `python bench/networks.py [NAME ...]`; writes docs/benchmarks.md.

For each network: `native` against the source, SQNR at `quantized` and `compiled`, whether
`compiled` equals `bit_true` in every byte of every tensor, the task's own figure, sizes and times.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import tasks  # noqa: E402
from bittrue import chain  # noqa: E402
from bittrue.archive import Network  # noqa: E402
from bittrue.cli.captions import with_captions  # noqa: E402
from bittrue.contract.preprocess import Preprocess, load_preprocess, raw_pixels  # noqa: E402
from bittrue.errors import Error  # noqa: E402
from bittrue.fetch import fetch  # noqa: E402
from bittrue.parity.compare import Comparison, compare, make_side  # noqa: E402
from bittrue.session import Session  # noqa: E402
from bittrue.stages import Subject, open_runner  # noqa: E402

SHARED = ROOT.parent / "shared"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
START, END = "<!-- networks: begin -->", "<!-- networks: end -->"
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CALIBRATION = 64
TIMED_RUNS = 11
#: Pictures of 640x640 and more that the slow `quantized` stage is judged on.
LARGE = 40


@dataclass(frozen=True, slots=True)
class Pictures:
    """Raw pixels [1, H, W, C] and labels (0 where there are none)."""

    pixels: list[np.ndarray]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class Case:
    """One network of the table.

    Args:
        name: As in the table.
        source: Returns the path (or module.py:factory) and the weights.
        preprocess: Of its only input.
        pictures: Returns calibration and evaluation pictures.
        judge: The task's figure.
    """

    name: str
    source: Callable[[], tuple[str, str | None]]
    preprocess: Callable[[], Preprocess]
    pictures: Callable[[Preprocess], tuple[list[np.ndarray], Pictures]]
    judge: tasks.Judge


# --- where networks and pictures come from -------------------------------------------------------


def shared_model(name: str) -> Callable[[], tuple[str, str | None]]:
    """Return what finds one of the networks beside the project."""
    return lambda: (str(SHARED / "models" / name), None)


def photographs(evaluated: int) -> Callable[[Preprocess], tuple[list[np.ndarray], Pictures]]:
    """Even half of the ImageNet sample to calibrate with; the odd half to evaluate on."""

    def read(item: Preprocess) -> tuple[list[np.ndarray], Pictures]:
        folder = SHARED / "data" / "imagenet500"
        with open(folder / "labels.csv", newline="") as file:
            rows = [row for row in csv.reader(file) if row and row[0].endswith(".jpg")]
        even, odd = rows[0::2], rows[1::2]
        step = len(even) / CALIBRATION
        chosen = [even[int(index * step)] for index in range(CALIBRATION)]
        calibration = [raw_pixels(item, folder / row[0]) for row in chosen]
        kept = odd[:evaluated]
        pixels = [raw_pixels(item, folder / row[0]) for row in kept]
        return calibration, Pictures(pixels, [int(row[1]) for row in kept])

    return read


def captioned(evaluated: int) -> Callable[[Preprocess], tuple[list[np.ndarray], Pictures]]:
    """The same halves with lines of text drawn on them: what a text detector is to see."""

    def read(item: Preprocess) -> tuple[list[np.ndarray], Pictures]:
        paths = sorted((SHARED / "data" / "imagenet500").glob("*.jpg"))
        even, odd = paths[0::2], paths[1::2]
        step = len(even) / CALIBRATION
        chosen = [even[int(index * step)] for index in range(CALIBRATION)]
        made = [raw_pixels(item, with_captions(path, seed)) for seed, path in enumerate(chosen)]
        kept = [
            raw_pixels(item, with_captions(path, 1000 + seed))
            for seed, path in enumerate(odd[:evaluated])
        ]
        return made, Pictures(kept, [0] * len(kept))

    return read


def cifar(item: Preprocess) -> tuple[list[np.ndarray], Pictures]:
    """64 pictures to calibrate with, spread over the set; the others to evaluate on."""
    data = np.load(SHARED / "data" / "cifar10_test2000.npz")
    images, labels = data["images"], data["labels"]
    step = len(images) // CALIBRATION
    used = set(range(0, step * CALIBRATION, step))
    rest = [index for index in range(len(images)) if index not in used]
    return (
        [raw_pixels(item, images[index]) for index in sorted(used)],
        Pictures([raw_pixels(item, images[i]) for i in rest], [int(labels[i]) for i in rest]),
    )


CASES = (
    Case(
        "mobilenet_v2",
        shared_model("mobilenet_v2.onnx"),
        lambda: Preprocess(size=(224, 224), resize="crop", resize_to=256, **IMAGENET),
        photographs(250),
        tasks.classify,
    ),
    Case(
        "resnet20_cifar10",
        shared_model("resnet20_cifar10.onnx"),
        lambda: Preprocess(size=(32, 32), resize="none", **IMAGENET),
        cifar,
        tasks.classify,
    ),
    Case(
        "ppocr_det",
        lambda: (str(fetch("ppocr_det.onnx")), None),
        lambda: Preprocess(
            size=(640, 640), corner="top-left", colour="BGR", mean=(0.5,) * 3, std=(0.5,) * 3
        ),
        captioned(40),
        tasks.masks,
    ),
    Case(
        "yolox_nano_640",
        shared_model("yolox_nano_640.onnx"),
        lambda: Preprocess(size=(640, 640), corner="top-left", colour="BGR", scale=1.0),
        photographs(60),
        tasks.boxes,
    ),
    Case(
        "net_9conv",
        lambda: (
            f"{ROOT}/examples/net_9conv/net.py:create",
            f"{ROOT}/examples/net_9conv/net_9conv.pt",
        ),
        lambda: load_preprocess(ROOT / "examples/net_9conv/preprocess.toml"),
        captioned(24),
        tasks.likeness,
    ),
)


# --- one network ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Result:
    """What one network showed."""

    name: str
    native: Comparison
    quantized: Comparison
    compiled: Comparison
    exact: Comparison
    figures: tuple[tasks.Figure, ...]
    figures_quantized: tuple[tasks.Figure, ...]
    bytes_executable: int
    seconds_build: float
    milliseconds: float


def measure(case: Case) -> Result:
    """Build one network and measure it."""
    path, weights = case.source()
    item = case.preprocess()
    calibration, evaluation = case.pictures(item)
    begin = time.perf_counter()
    network = chain.build(path, calibration, weights=weights, preprocess=item)
    seconds = time.perf_counter() - begin
    subject = Subject(case.name, network, network.executable)
    given = {network.native.inputs[0]: evaluation.pixels[0]}
    return Result(
        case.name,
        *(_edge(subject, given, *pair) for pair in EDGES),
        figures=_judge(case, subject, evaluation, "compiled"),
        figures_quantized=_judge(
            case,
            subject,
            _first(evaluation, LARGE if item.size[0] >= 640 else len(evaluation.pixels)),
            "quantized",
        ),
        bytes_executable=len(network.executable or b""),
        seconds_build=seconds,
        milliseconds=_time(network, given),
    )


EDGES = (
    ("source", "native"),
    ("fp_optimized", "quantized"),
    ("fp_optimized", "compiled"),
    ("bit_true", "compiled"),
)


def _edge(subject: Subject, given: dict[str, np.ndarray], one: str, two: str) -> Comparison:
    inner = (one, two) in (("bit_true", "compiled"), ("source", "native"))
    return compare(make_side(subject, one, given), make_side(subject, two, given), inner=inner)


def _first(pictures: Pictures, count: int) -> Pictures:
    return Pictures(pictures.pixels[:count], pictures.labels[:count])


def _judge(
    case: Case, subject: Subject, pictures: Pictures, stage: str
) -> tuple[tasks.Figure, ...]:
    exact, found = open_runner(subject, "fp_optimized"), open_runner(subject, stage)
    name = exact.contract.inputs[0].name
    rows = [
        (exact.run({name: pixels}).outputs, found.run({name: pixels}).outputs)
        for pixels in pictures.pixels
    ]
    return case.judge([row[0] for row in rows], [row[1] for row in rows], pictures.labels)


def _time(network: Network, given: dict[str, np.ndarray]) -> float:
    """Return the median of single-threaded runs in milliseconds."""
    taken = []
    with Session(network.executable or b"", threads=1) as session:
        for _ in range(TIMED_RUNS):
            begin = time.perf_counter()
            session.run(given)
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1000


# --- the document --------------------------------------------------------------------------------


def _worst(edge: Comparison) -> float:
    return min(row.difference.sqnr_db if row.difference else -np.inf for row in edge.outputs)


def _relative(edge: Comparison) -> float:
    return max(row.difference.relative if row.difference else np.inf for row in edge.outputs)


def render(results: Sequence[Result], skipped: Sequence[str]) -> str:
    """Return the part of the document between the markers."""
    today = datetime.date.today().isoformat()
    lines = [
        START,
        f"Measured {today} on {_cpu()}, {CALIBRATION} calibration pictures, by `make bench`.",
        "",
        "| network | native against source, relative | SQNR quantized | SQNR compiled "
        "| compiled = bit_true | task, compiled | task, quantized | .bte | build | run, 1 thread |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results:
        proof = f"{row.exact.inner_compared} tensors" if row.exact.same else "**NO**"
        lines.append(
            f"| {row.name} | {_relative(row.native):.1e} | {_worst(row.quantized):.1f} dB | "
            f"{_worst(row.compiled):.1f} dB | {proof} | {'; '.join(map(str, row.figures))} | "
            f"{'; '.join(map(str, row.figures_quantized))} | {row.bytes_executable / 1e6:.2f} MB | "
            f"{row.seconds_build:.1f} s | {row.milliseconds:.1f} ms |"
        )
    lines += ["", *(f"Skipped: {text}" for text in skipped), END]
    return "\n".join(lines)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write(text: str) -> None:
    """Replace the part of docs/benchmarks.md between the markers."""
    old = DOCUMENT.read_text() if DOCUMENT.exists() else f"# Benchmarks\n\n{START}\n{END}\n"
    head, _, rest = old.partition(START)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(head + text + tail)


def main() -> None:
    """Measure the networks named on the command line, or all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *(case.name for case in CASES)])
    parser.add_argument("--print", action="store_true", help="print the table, write nothing")
    options = parser.parse_args()
    results, skipped = [], []
    for case in CASES:
        if options.names and case.name not in options.names:
            continue
        try:
            results.append(measure(case))
        except (Error, FileNotFoundError) as why:
            skipped.append(f"{case.name}: {why}")
        print(f"done: {case.name}", flush=True)
    text = render(results, skipped)
    print(text)
    if not options.print and not options.names:
        write(text)


if __name__ == "__main__":
    main()
