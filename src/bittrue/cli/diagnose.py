"""`bittrue diagnose`: why a device gives other outputs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bittrue.cli.judge import check_files, write_files
from bittrue.cli.options import json_option
from bittrue.cli.output import emit_json, say
from bittrue.diagnosis.diagnose import BUDGET
from bittrue.diagnosis.diagnose import diagnose as run_diagnosis
from bittrue.diagnosis.given import Given
from bittrue.diagnosis.judge import judge
from bittrue.diagnosis.saved import saved_of
from bittrue.errors import UsageError
from bittrue.report.diagnosis import SCHEMA, diagnosis_json, diagnosis_text

FOUND = 1


def _files(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        f"--{name}", f"{name}s", type=click.Path(path_type=Path), multiple=True, help=text
    )


@click.command()
@click.argument("model", default="")
@_files("picture", "Picture that the network is meant to see; one a frame.")
@click.option(
    "--preprocess",
    type=click.Path(path_type=Path),
    help="TOML of how it is meant to become the input; the archive's own where left out.",
)
@_files("input", "Array that the network is meant to get, in place of a picture; one a frame.")
@_files("sent", "Array that was sent to the device (.npy, .npz, .bin); one a frame.")
@click.option(
    "--deployed", type=click.Path(path_type=Path), help="TOML of what the deployed network takes."
)
@_files("reference", "What the outputs should be (.npz, folder, ...); one a frame.")
@_files("device", "What the device gave (.npz, .npy, .bin, folder, ...); one a frame.")
@click.option("--map", "pairs", multiple=True, metavar="OURS=DEVICE", help="Which output is which.")
@click.option(
    "--budget",
    type=click.FloatRange(0.0),
    default=BUDGET,
    show_default=True,
    help="Seconds for experiments.",
)
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML as well.")
@click.option("--sarif", type=click.Path(path_type=Path), help="Write SARIF 2.1.0 as well.")
@json_option(SCHEMA)
def diagnose(
    model: str,
    pictures: tuple[Path, ...],
    preprocess: Path | None,
    inputs: tuple[Path, ...],
    sents: tuple[Path, ...],
    deployed: Path | None,
    references: tuple[Path, ...],
    devices: tuple[Path, ...],
    pairs: tuple[str, ...],
    budget: float,
    junit: Path | None,
    sarif: Path | None,
    as_json: bool,
) -> None:
    """Say why what a device gave is not what MODEL (.onnx, .bta, .bte) should give.

    Give whatever there is; each part sharpens the answer. First the buffers are looked at, then
    each mistake that people make is made on purpose and compared with what the device gave. Exits
    with 0 when nothing is wrong, with 1 when a cause was found.

    \b
    Examples:
      bittrue diagnose model.bta --picture cat.jpg --device device.npz
      bittrue diagnose model.bte --sent x.npy
      bittrue diagnose model.onnx --preprocess pre.toml --picture a.jpg --picture b.jpg
        --deployed contract.toml --device a.npz --device b.npz
      bittrue diagnose --reference workstation.npz --device device.npz
    """
    given = Given(
        model=model,
        pictures=pictures,
        preprocess=preprocess,
        inputs=inputs,
        sent=sents,
        deployed=deployed,
        references=references,
        devices=devices,
        names=_names(pairs),
    )
    check_files(junit, sarif)
    with _progress() as seen:
        found = run_diagnosis(given, budget=budget, seen=seen)
    if junit is not None or sarif is not None:
        write_files(judge(saved_of(found, SCHEMA)), junit, sarif)
    if as_json:
        emit_json(SCHEMA, diagnosis_json(found))
    else:
        say(diagnosis_text(found))
    if not found.healthy:
        raise click.exceptions.Exit(FOUND)


def _names(pairs: tuple[str, ...]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    if not all(ours and equals and theirs for ours, equals, theirs in split):
        told = " ".join(pairs)
        raise UsageError(
            f"--map {told} has another form than OURS=DEVICE",
            hint="write --map with the network's name, =, and the device's",
        )
    return {ours: theirs for ours, _, theirs in split}


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show what is tried, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda label, index, count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("looking")
        yield lambda label, index, count: bars.update(
            bar, description=label[:60], completed=index, total=count
        )
