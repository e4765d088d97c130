"""`bittrue demo`: the main job on a real network and a real picture, from the file to the proof."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
from PIL import Image

from bittrue import chain
from bittrue.archive import archive_bytes
from bittrue.cli.captions import with_captions
from bittrue.cli.output import note, progress, say, step
from bittrue.contract.preprocess import Preprocess, raw_pixels
from bittrue.errors import DataError, UsageError
from bittrue.fetch import fetch
from bittrue.fetch_items import ITEMS
from bittrue.files import write_atomically
from bittrue.network import Network
from bittrue.parity.compare import Comparison
from bittrue.parity.ladder import Ladder, climb
from bittrue.report.contracts import contract_text
from bittrue.report.ladder import ladder_text
from bittrue.report.tables import size
from bittrue.stages import Subject

NETWORK = "ppocr_det.onnx"
PICTURE = "page.png"
#: As the network's own package prepares pictures: BGR, (x / 255 - 0.5) / 0.5.
PREPROCESS = Preprocess(
    size=(640, 640),
    resize="letterbox",
    corner="top-left",
    pad_colour=(255, 255, 255),
    colour="BGR",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
#: A pixel belongs to text from this probability on: the package's own threshold.
TEXT = 0.3
#: What the stages before the executable need, of the extra `tools`.
TOOLS = ("onnx", "onnxruntime", "safetensors")


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for the archive, the executable and the picture.",
)
@click.option("--picture", type=click.Path(path_type=Path), help="Another picture with text.")
def demo(output: Path, picture: Path | None) -> None:
    """Fetch a real text detector and pictures, and take it through all six stages.

    The network is PP-OCRv4 text detection, out of the package rapidocr-onnxruntime; both it and
    the pictures are pinned and checked by sha256. Prints the ladder and the proof that bit_true
    and compiled agree, and writes the result as a picture.

    \b
    Example:
      bittrue demo -o demo/
    """
    _need_tools()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise DataError(
            f"cannot be made: {why.strerror}", where=str(output), hint="name another folder with -o"
        ) from why
    names = [name for name in ITEMS if name == NETWORK or name.endswith((".png", ".jpg"))]
    note(f"fetching {NETWORK} and {len(names) - 1} pictures (pinned, sha256-checked)")
    files = {name: fetch(name) for name in progress(names, "fetching")}
    chosen = picture or files[PICTURE]
    calibration = [
        raw_pixels(PREPROCESS, with_captions(path, seed))
        for seed, (name, path) in enumerate(files.items())
        if name.endswith((".png", ".jpg")) and name != PICTURE
    ]
    network = _build(files[NETWORK], calibration)
    subject = _save(network, output)
    given = {network.native.inputs[0]: raw_pixels(PREPROCESS, chosen)}
    with step("running all stages"):
        ladder = climb(
            subject,
            given,
            entering=lambda stage: note(f"running {stage}"),
            comparing=lambda one, two: note(f"comparing {one} with {two}, tensor by tensor"),
        )
    _report(subject, ladder, chosen)
    _draw(given[network.native.inputs[0]], ladder, output / "result.png")


def _need_tools() -> None:
    """Refuse before anything is fetched where a package that the stages need is missing."""
    missing = [name for name in TOOLS if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the demo needs {', '.join(missing)}, not installed here",
            hint='pip install "bittrue[tools]"',
        )


def _build(path: Path, calibration: list[np.ndarray]) -> Network:
    note(f"importing, optimising, quantising with {len(calibration)} pictures, compiling")
    with step("building"):
        network = chain.optimize(chain.import_model(path, preprocess=PREPROCESS))
        return chain.compile(chain.quantize(network, calibration))


def _save(network: Network, folder: Path) -> Subject:
    path = folder / "ppocr_det.bta"
    data = archive_bytes(network)
    write_atomically(path, data)
    executable = network.executable or b""
    write_atomically(path.with_suffix(".bte"), executable)
    say(
        f"wrote {path} ({size(len(data))}) and {path.with_suffix('.bte')} ({size(len(executable))})"
    )
    return Subject(str(path), network, network.executable)


def _report(subject: Subject, ladder: Ladder, picture: Path) -> None:
    say(f"\ncontract of the executable\n{contract_text(subject.program().contract)}")
    say(f"\nthe ladder, on {picture.name}\n{ladder_text(ladder)}")
    say(f"\n{_proof(ladder.edges[-1])}")
    reference, result = (_mask(rung.outputs) for rung in (ladder.rungs[0], ladder.rungs[-1]))
    union = int(np.count_nonzero(reference | result))
    shared = int(np.count_nonzero(reference & result)) / union if union else 1.0
    say(
        f"text found: {np.count_nonzero(result):,} pixels by the executable, "
        f"{np.count_nonzero(reference):,} by the source; {shared:.1%} of their union is shared"
    )


def _proof(edge: Comparison) -> str:
    outputs = [row.difference for row in edge.outputs if row.difference is not None]
    elements = sum(row.elements for row in outputs)
    differing = sum(row.differing for row in outputs)
    if not edge.same:
        return f"NOT PROVED: bit_true and compiled differ in {differing:,} of {elements:,} values"
    return (
        f"proof: bit_true (NumPy) and compiled (C++ engine) agree in all {elements:,} output "
        f"values and in every byte of {edge.inner_compared} inner tensors"
    )


def _mask(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return where text is, bool [H, W], from the network's only output [1, 1, H, W]."""
    (probability,) = outputs.values()
    found: np.ndarray = probability[0, 0] >= TEXT
    return found


def _draw(raw: np.ndarray, ladder: Ladder, path: Path) -> None:
    """Write the picture with the text that the executable found in colour."""
    pixels = raw[0, :, :, ::-1].copy()  # [H, W, 3], BGR to RGB
    found = _mask(ladder.rungs[-1].outputs)
    pixels[found] = pixels[found] // 2 + np.array([0, 110, 60], np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    write_atomically(path, out.getvalue())
    say(f"wrote {path}: what the executable found, in green")
