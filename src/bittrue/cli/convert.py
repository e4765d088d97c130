"""The commands that take a network from one stage to the next."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import Progress

from bittrue import chain
from bittrue.archive import archive_bytes, open_archive
from bittrue.cli.options import (
    check_output,
    json_option,
    output_option,
    preprocess_of,
    shapes_of,
)
from bittrue.cli.output import emit_json, say, step
from bittrue.compiler.limits import VECTORS_MAX
from bittrue.errors import UsageError
from bittrue.files import write_atomically
from bittrue.network import Network
from bittrue.quant.observers import OBSERVERS
from bittrue.quant.options import AUTO, DEFAULTS
from bittrue.quant.partition import TAILS
from bittrue.quant.weights import ROUNDINGS
from bittrue.report.written import SCHEMA, Written, written_json, written_text

Command = TypeVar("Command", bound=Callable[..., object])


def source_options(command: Command) -> Command:
    """Add the options that say what to import and how."""
    for option in reversed(
        (
            click.option("--weights", help="Of the PyTorch module: state dict or safetensors."),
            click.option(
                "--exporter",
                type=click.Choice(["torchscript", "dynamo"]),
                help="Of PyTorch, for module.py:factory.  [default: torchscript]",
            ),
            click.option(
                "--opset",
                type=int,
                help="Of ONNX, for module.py:factory.  [default: the exporter's own]",
            ),
            click.option(
                "--input-shape",
                "input_shapes",
                multiple=True,
                metavar="NAME=1,3,640,640",
                help="Shape of an input whose file leaves it open.",
            ),
            click.option("--start", multiple=True, help="Node or tensor to start at."),
            click.option("--end", multiple=True, help="Node or tensor to end at."),
            click.option(
                "--preprocess",
                "preprocess",
                multiple=True,
                metavar="[NAME=]FILE.toml",
                help="How a picture becomes the input.",
            ),
        )
    ):
        command = option(command)
    return command


def calibrate_options(command: Command) -> Command:
    """Add the options that say how to quantise."""
    *others, last = AUTO, *OBSERVERS
    for option in reversed(
        (
            click.option(
                "--calibrate",
                "calibration",
                required=True,
                help="Folder of pictures, or of .npy and .npz; or one .npy or .npz.",
            ),
            click.option(
                "--samples",
                default=DEFAULTS.samples,
                show_default=True,
                type=click.IntRange(1),
                help="At most this many, spread evenly.",
            ),
            click.option(
                "--observer",
                default=DEFAULTS.observer,
                show_default=True,
                help=f"How ranges are found: {', '.join(others)} or {last}.",
            ),
            click.option(
                "--tail",
                type=click.Choice(sorted(TAILS)),
                default=DEFAULTS.tail,
                show_default=True,
                help="What runs where 8 bits do not fit at the end.",
            ),
            click.option(
                "--rounding",
                type=click.Choice(sorted(ROUNDINGS)),
                default=DEFAULTS.rounding,
                show_default=True,
                help="How weights are rounded.",
            ),
        )
    ):
        command = option(command)
    return command


def vectors_option(command: Command) -> Command:
    """Add the option that says how many conformance vectors the executable holds."""
    return click.option(
        "--vectors",
        type=click.IntRange(0, VECTORS_MAX),
        default=chain.DEFAULT_VECTORS,
        show_default=True,
        help="Conformance vectors for `bittrue verify`; each costs a run of the emulator.",
    )(command)


@click.command(name="import")
@click.argument("source")
@source_options
@output_option("Archive to write, model.bta.")
@json_option(SCHEMA)
def import_(
    source: str,
    weights: str | None,
    exporter: str | None,
    opset: int | None,
    input_shapes: tuple[str, ...],
    start: tuple[str, ...],
    end: tuple[str, ...],
    preprocess: tuple[str, ...],
    output: Path,
    as_json: bool,
) -> None:
    """Import SOURCE, an ONNX file or module.py:factory, into an archive.

    \b
    Examples:
      bittrue import model.onnx --preprocess pre.toml -o model.bta
      bittrue import model.onnx --input-shape x=1,3,640,640 --end /head/Concat -o model.bta
      bittrue import net.py:create --weights net.pt --input-shape input=1,3,64,64 -o net.bta
    """
    _check_outputs(output, executable=False)
    with step("importing"):
        network = chain.import_model(
            source,
            weights=weights,
            input_shapes=shapes_of(input_shapes),
            start=start,
            end=end,
            preprocess=preprocess_of(preprocess),
            exporter=exporter,
            opset=opset,
        )
    _write(network, output, as_json=as_json)


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--normalize",
    type=click.Choice(["inside", "outside"]),
    default="inside",
    show_default=True,
    help="inside: later stages take raw uint8 pixels; needs preprocessing.",
)
@output_option("Archive to write; may be the one that is read.")
@json_option(SCHEMA)
def optimize(archive: Path, normalize: str, output: Path, as_json: bool) -> None:
    """Run the float passes on ARCHIVE: fold, fuse, tidy, and take normalisation inside.

    \b
    Example:
      bittrue optimize model.bta -o model.bta
    """
    _check_outputs(output, executable=False)
    with step("optimising"):
        network = chain.optimize(open_archive(archive), normalize_inside=normalize == "inside")
    _write(network, output, as_json=as_json)


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@calibrate_options
@output_option("Archive to write; may be the one that is read.")
@json_option(SCHEMA)
def quantize(
    archive: Path,
    calibration: str,
    samples: int,
    observer: str,
    tail: str,
    rounding: str,
    output: Path,
    as_json: bool,
) -> None:
    """Choose codes for every value of ARCHIVE from calibration samples.

    \b
    Example:
      bittrue quantize model.bta --calibrate pictures/ -o model.bta
    """
    _check_outputs(output, executable=False)
    network = _quantize(open_archive(archive), calibration, samples, observer, tail, rounding)
    _write(network, output, as_json=as_json)


@click.command(name="compile")
@click.argument("archive", type=click.Path(path_type=Path))
@vectors_option
@output_option("model.bte writes the executable; model.bta the archive with it inside.")
@json_option(SCHEMA)
def compile_(archive: Path, vectors: int, output: Path, as_json: bool) -> None:
    """Compile the quantised ARCHIVE to an executable for any CPU.

    \b
    Examples:
      bittrue compile model.bta -o model.bte
      bittrue compile model.bta -o model.bta
    """
    _check_outputs(output, executable=True)
    with step("compiling"):
        network = chain.compile(open_archive(archive), vectors=vectors)
    _write(network, output, as_json=as_json)


@click.command()
@click.argument("source")
@source_options
@calibrate_options
@vectors_option
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="model.bte, model.bta, or both: give -o twice.",
)
@json_option(SCHEMA)
def build(
    source: str,
    weights: str | None,
    exporter: str | None,
    opset: int | None,
    input_shapes: tuple[str, ...],
    start: tuple[str, ...],
    end: tuple[str, ...],
    preprocess: tuple[str, ...],
    calibration: str,
    samples: int,
    observer: str,
    tail: str,
    rounding: str,
    vectors: int,
    outputs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Take SOURCE through every stage in one go: import, optimise, quantise, compile.

    \b
    Example:
      bittrue build model.onnx --preprocess pre.toml --calibrate pictures/ -o model.bte
    """
    _check_outputs(*outputs, executable=True)
    with step("importing and optimising"):
        network = chain.optimize(
            chain.import_model(
                source,
                weights=weights,
                input_shapes=shapes_of(input_shapes),
                start=start,
                end=end,
                preprocess=preprocess_of(preprocess),
                exporter=exporter,
                opset=opset,
            )
        )
        chain.check(network, tail=tail)
    network = _quantize(network, calibration, samples, observer, tail, rounding)
    with step("compiling"):
        network = chain.compile(network, vectors=vectors)
    _write(network, *outputs, as_json=as_json)


def _quantize(
    network: Network, calibration: str, samples: int, observer: str, tail: str, rounding: str
) -> Network:
    """Quantise with a bar that counts the samples as they are read."""
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task("calibrating", total=samples)
        return chain.quantize(
            network,
            calibration,
            samples=samples,
            observer=observer,
            tail=tail,
            rounding=rounding,
            seen=lambda index, count: bars.update(bar, completed=index + 1, total=count),
        )


def _check_outputs(*paths: Path, executable: bool) -> None:
    """Refuse outputs before any work; only a compiled network can be an executable."""
    for path in paths:
        if path.suffix.lower() == ".bte" and not executable:
            raise UsageError(
                "only a compiled network can be written as .bte",
                where=str(path),
                hint="name the output model.bta, or use `bittrue compile` or `bittrue build`",
            )
        check_output(path, ".bta", ".bte")


def _write(network: Network, *paths: Path, as_json: bool) -> None:
    """Write archives and executables, by the endings of their names, and say what they are."""
    executable = network.executable or b""
    made = [
        (path, executable if path.suffix.lower() == ".bte" else archive_bytes(network))
        for path in paths
    ]
    for path, data in made:
        write_atomically(path, data)
    files = [Written(path, len(data), path.suffix.lower() == ".bte") for path, data in made]
    if as_json:
        emit_json(SCHEMA, written_json(network, files))
    else:
        say(written_text(network, files))
