"""Take Net9Conv from its .pt through every stage of bittrue, and show what each stage changes.

Run `python ladder.py -o ladder`. The first rung is the .pt in eager PyTorch. Written are the
archive, the executable, what the executable finds on the picture (PNG) and what became of each
layer (SVG).
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from show import WEIGHTS, overlay

import bittrue
from bittrue.contract.preprocess import raw_pixels
from bittrue.engines.torch_ import TorchRunner
from bittrue.fetch import fetch
from bittrue.fetch_items import ITEMS
from bittrue.files import write_atomically
from bittrue.importers.torch import load_network
from bittrue.parity.compare import Comparison, Side
from bittrue.parity.ladder import Ladder, Rung, climb
from bittrue.report.changes import changes_of
from bittrue.report.changes_svg import changes_svg
from bittrue.report.contracts import contract_text
from bittrue.report.ladder import ladder_text
from bittrue.stages import Subject, stage_contract

HERE = Path(__file__).parent
SPEC = f"{HERE / 'net.py'}:create"
INPUT = "image"  # the name of forward's argument
PICTURE = "page.png"
DIFFERENT = 1


# --- from the .pt to the executable ---------------------------------------------------------------


def take_through(weights: Path, pictures: Path | list[np.ndarray]) -> bittrue.Network:
    """Return the network with every stage reached.

    Args:
        weights: Net9Conv's state dict.
        pictures: A folder of pictures to calibrate with, or their raw pixels, each [1, 640, 640, 3]
            uint8, RGB.
    """
    network = bittrue.import_model(
        SPEC, weights=weights, preprocess={INPUT: HERE / "preprocess.toml"}
    )
    return bittrue.compile(bittrue.quantize(bittrue.optimize(network), pictures))


def calibration(preprocess: bittrue.Preprocess) -> list[np.ndarray]:
    """Return the raw pixels of every picture that bittrue fetches but the one that is shown."""
    names = [name for name in ITEMS if name.endswith((".png", ".jpg")) and name != PICTURE]
    return [raw_pixels(preprocess, fetch(name)) for name in names]


def save(network: bittrue.Network, folder: Path) -> Subject:
    """Write the archive, the executable and the SVG; return them as the comparison takes them."""
    path = folder / "net_9conv.bta"
    bittrue.save_archive(network, path)
    executable = network.executable or b""
    write_atomically(path.with_suffix(".bte"), executable)
    subject = Subject(str(path), network, executable)
    if network.history is not None:
        program = subject.program()
        drawn = changes_svg(changes_of(program, network.history), program)
        write_atomically(folder / "changes.svg", drawn.encode())
    return subject


# --- the ladder -----------------------------------------------------------------------------------


def climb_from_eager(
    subject: Subject, network: bittrue.Network, weights: Path, raw: np.ndarray
) -> Ladder:
    """Return the ladder of all stages, with the .pt in eager PyTorch as one more, first rung.

    Args:
        subject: Net9Conv with every stage reached.
        network: The same.
        weights: Net9Conv's state dict.
        raw: Pixels [1, 640, 640, 3] uint8, RGB.
    """
    given = {INPUT: raw}
    runner = TorchRunner(load_network(SPEC, weights=weights), stage_contract(network, "source"))
    eager = bittrue.make_side(subject, "source", given, runner=runner)
    first, last = (bittrue.make_side(subject, name, given) for name in ("source", "compiled"))
    ladder = climb(subject, given)
    # Eager layers have no names that the export keeps: only the outputs are compared.
    edge = bittrue.compare(eager, first, inner=False)
    whole = bittrue.compare(eager, last, inner=False)
    return Ladder((_eager_rung(eager), *ladder.rungs), (edge, *ladder.edges), whole)


def _eager_rung(side: Side) -> Rung:
    side.runner.run(side.feeds)
    start = time.perf_counter()
    outputs = side.runner.run(side.feeds).outputs
    return Rung("eager", time.perf_counter() - start, outputs)


def proof(edge: Comparison) -> str:
    """Return whether the last edge, bit_true to compiled, holds in every bit, as a sentence."""
    rows = [row.difference for row in edge.outputs if row.difference is not None]
    count = sum(row.elements for row in rows)
    if not edge.same:
        outputs = f"{sum(row.differing for row in rows):,} of {count:,} output values"
        inner = f", first in '{edge.first.name}'" if edge.first else ""
        return f"NOT PROVED: bit_true and compiled differ in {outputs}{inner}"
    return (
        f"proof: bit_true (NumPy) and compiled (C++) agree in all {count:,} output values and in "
        f"every byte of {edge.inner_compared} inner tensors"
    )


def shares(ladder: Ladder) -> tuple[float, float, float]:
    """Return how much text eager PyTorch marks, the executable marks, and both over either."""
    first, last = (probability(rung.outputs) >= 0.5 for rung in (ladder.rungs[0], ladder.rungs[-1]))
    either = int((first | last).sum())
    return float(first.mean()), float(last.mean()), int((first & last).sum()) / max(either, 1)


def probability(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the network's only output as a map [160, 160] float32 within [0, 1]."""
    (found,) = outputs.values()
    return np.asarray(found[0, 0])


# --- the story ------------------------------------------------------------------------------------


def wrong_buffers(raw: np.ndarray) -> dict[str, np.ndarray]:
    """Return buffers that people hand to an executable which takes raw uint8 pixels.

    Args:
        raw: Pixels [1, 640, 640, 3] uint8: the right buffer.
    """
    return {
        "pixels / 255.0": raw / 255.0,
        "(pixels / 255.0).astype(np.float32)": (raw / 255.0).astype(np.float32),
        "pixels.transpose(0, 3, 1, 2)": np.ascontiguousarray(raw.transpose(0, 3, 1, 2)),
    }


def tell_story(subject: Subject, raw: np.ndarray) -> None:
    """Print what `bittrue check` says of each wrong buffer, and of the right one."""
    contract = subject.program().contract
    for line, buffer in {**wrong_buffers(raw), "pixels": raw}.items():
        print(f"\n>>> x = {line}  # {buffer.dtype} {list(buffer.shape)}, {buffer.nbytes} bytes")
        findings = bittrue.check(contract, {INPUT: buffer})
        for finding in findings:
            print(finding)
        refused = any(finding.severity == "error" for finding in findings)
        print("does not fit" if refused else "fits")


# --- the command line -----------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Run the chain, print the ladder and the story, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, default=Path("ladder"), help="folder to write")
    parser.add_argument("--picture", type=Path, help="default: scikit-image's page.png, fetched")
    parser.add_argument("--pictures", type=Path, help="folder to calibrate with; default: fetched")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    options = parser.parse_args(arguments)
    try:
        return show(options.output, options.picture, options.pictures, options.weights)
    except bittrue.Error as why:
        print(f"error: {why}", file=sys.stderr)
        return why.exit_code


def show(output: Path, picture: Path | None, pictures: Path | None, weights: Path) -> int:
    """Do what `main` says with checked options; errors of bittrue pass through."""
    try:  # before minutes of work, not after
        output.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise bittrue.DataError(f"cannot be made: {why.strerror}", where=str(output)) from why
    preprocess = bittrue.load_preprocess(HERE / "preprocess.toml")
    raw = raw_pixels(preprocess, picture or fetch(PICTURE))
    network = take_through(weights, pictures or calibration(preprocess))
    subject = save(network, output)
    ladder = climb_from_eager(subject, network, weights, raw)
    print(f"the ladder, on {picture or PICTURE}\n{ladder_text(ladder)}\n")
    print(proof(ladder.edges[-1]))
    by_eager, by_executable, shared = shares(ladder)
    print(
        f"text on {by_executable:.1%} of the picture by the executable, {by_eager:.1%} by eager "
        f"PyTorch; {shared:.1%} of what either marks is marked by both"
    )
    drawn = io.BytesIO()
    overlay(raw[0], probability(ladder.rungs[-1].outputs)).save(drawn, "PNG")
    write_atomically(output / "found.png", drawn.getvalue())
    print(f"wrote net_9conv.bta, net_9conv.bte, found.png and changes.svg to {output}")
    print(f"\nthe contract of net_9conv.bte\n{contract_text(subject.program().contract)}")
    print("\nwhat bittrue check says before anything runs")
    tell_story(subject, raw)
    return 0 if ladder.first_broken is None else DIFFERENT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
