"""The command report: one HTML file that shows what happened, and the node data beside it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from bittrue.cli.options import check_output
from bittrue.cli.output import note, say, step
from bittrue.contract.picture import PICTURES
from bittrue.diagnosis.diagnose import BUDGET, diagnose
from bittrue.diagnosis.facts import Diagnosis
from bittrue.diagnosis.given import Given
from bittrue.errors import UsageError
from bittrue.files import write_atomically
from bittrue.inputs import read_input
from bittrue.packages import require
from bittrue.parity.attribute import LayerTable, attribute
from bittrue.parity.samples import Sample, Survey, survey
from bittrue.report.node_data import node_data
from bittrue.report.page import page_html
from bittrue.report.page_facts import PageFacts, page_facts, worst_ladder
from bittrue.report.tables import size
from bittrue.stages import Subject, open_subject

if TYPE_CHECKING:
    from bittrue.capture import Capture


@click.command()
@click.argument("model")
@click.option(
    "--input",
    "inputs",
    required=True,
    multiple=True,
    help="Picture, .npy, .npz, or raw bytes .bin; several make the figures surer.",
)
@click.option(
    "--capture",
    "captures",
    multiple=True,
    help="What a device gave on each input, in their order: .npz, .npy, .bin or a folder.",
)
@click.option(
    "--sent",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The array that was sent to the device for each input.",
)
@click.option("--match", "matches", multiple=True, help="OUTPUT=NAME: which captured tensor it is.")
@click.option(
    "--deployed",
    type=click.Path(path_type=Path),
    help="TOML: what the deployed network takes and gives.",
)
@click.option(
    "--preprocess",
    type=click.Path(path_type=Path),
    help="TOML: how the picture is meant to get into the network, where the model does not say.",
)
@click.option(
    "--reference",
    "references",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What the outputs should be for each input, where the model cannot be trusted to say.",
)
@click.option(
    "--budget",
    type=click.FloatRange(0),
    default=BUDGET,
    show_default=True,
    help="Seconds for the diagnosis's experiments.",
)
@click.option("--no-layers", is_flag=True, help="Do not run each layer by itself; quicker.")
@click.option(
    "--node-data",
    "nodes",
    type=click.Path(path_type=Path),
    help="Also write the layers' errors for Model Explorer: NAME.path.json and NAME.own.json.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page.",
)
def report(
    model: str,
    inputs: tuple[str, ...],
    captures: tuple[str, ...],
    sent: tuple[Path, ...],
    matches: tuple[str, ...],
    deployed: Path | None,
    preprocess: Path | None,
    references: tuple[Path, ...],
    budget: float,
    no_layers: bool,
    nodes: Path | None,
    output: Path,
) -> None:
    """Write what all stages of MODEL give, and why a device gives something else, as one HTML file.

    The page shows the verdict, the ladder, the causes, the outputs that are pictures, and each
    layer's error in a graph. It fetches nothing and needs no server. With a capture, or the array
    that was sent, it holds the diagnosis too.

    Exits with 0 when the page was written, whatever it says.

    \b
    Examples:
      bittrue report model.bta --input cat.jpg -o report.html
      bittrue report model.bta --input cat.jpg --capture device.npz -o report.html
    """
    require("jinja2", "tools", where="the HTML report")
    check_output(output, ".html", ".htm")
    if nodes is not None:
        check_output(nodes, ".json")
    subject = open_subject(model)
    given = [read_input(name, subject.preprocess) for name in inputs]
    told = Told(captures, sent, _names(matches), deployed, preprocess, references, budget)
    surveyed = _surveyed(subject, inputs, given, told)
    table = None if no_layers else _table(subject, given)
    found = _diagnosis(model, inputs, told)
    with step("looking at every layer"):
        facts = page_facts(
            subject,
            given[0],
            found,
            worst_ladder(surveyed),
            table,
            survey=surveyed,
            files=told.roles(inputs),
            made=datetime.date.today().isoformat(),
        )
    _write(facts, output, nodes)


def _surveyed(
    subject: Subject,
    inputs: Sequence[str],
    given: Sequence[Mapping[str, np.ndarray]],
    told: Told,
) -> Survey:
    frames = _frames(told.captures, len(inputs))
    samples = [
        Sample(name, arrays, frame)
        for name, arrays, frame in zip(inputs, given, frames, strict=True)
    ]
    with step("climbing the ladder"):
        return survey(subject, samples, by_hand=told.names or None)


def _frames(captures: Sequence[str], count: int) -> Sequence[Capture | None]:
    """Return what the device gave on each input; None where nothing was given."""
    if not captures:
        return [None] * count
    from bittrue.capture import read_captures

    frames = [frame for path in captures for frame in read_captures(path)]
    if len(frames) != count:
        raise UsageError(
            f"{len(frames)} captured frames for {count} inputs",
            hint="give one frame an input, in the same order",
        )
    return frames


def _table(subject: Subject, given: Sequence[Mapping[str, np.ndarray]]) -> LayerTable | None:
    """Return each layer's own error; None, and the reason is noted, where nothing is quantised."""
    try:
        with step("running each layer by itself"):
            return attribute(subject, given)
    except UsageError as why:
        note(f"without the layers' own errors: {why}")
        return None


@dataclass(frozen=True, slots=True)
class Told:
    """What the user gave beside the model and its inputs."""

    captures: tuple[str, ...]
    sent: tuple[Path, ...]
    names: Mapping[str, str]
    deployed: Path | None
    preprocess: Path | None
    references: tuple[Path, ...]
    budget: float

    @property
    def of_device(self) -> bool:
        """Whether anything of it says what a device did."""
        return bool(self.captures or self.sent)

    def roles(self, inputs: Sequence[str]) -> dict[str, str]:
        """What was given, by role, for the page's last section."""
        rows = {
            "input": ", ".join(inputs),
            "capture": ", ".join(self.captures),
            "sent": ", ".join(map(str, self.sent)),
            "deployed contract": str(self.deployed or ""),
            "preprocess": str(self.preprocess or ""),
            "reference": ", ".join(map(str, self.references)),
        }
        return {role: text for role, text in rows.items() if text}


def _names(matches: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in matches]
    for text, (output, equals, name) in zip(matches, pairs, strict=True):
        if not (output and equals and name):
            raise UsageError(f"--match {text!r} has another form", hint="write OUTPUT=NAME")
    return {output: name for output, _, name in pairs}


def _diagnosis(model: str, inputs: Sequence[str], told: Told) -> Diagnosis | None:
    """Ask why the device gave something else: the one call of the diagnosis."""
    if not told.of_device:
        return None
    paths = [Path(name) for name in inputs]
    given = Given(
        model=model,
        pictures=tuple(path for path in paths if path.suffix.lower() in PICTURES),
        inputs=tuple(path for path in paths if path.suffix.lower() not in PICTURES),
        preprocess=told.preprocess,
        sent=told.sent,
        references=told.references,
        deployed=told.deployed,
        devices=tuple(map(Path, told.captures)),
        names=told.names or None,
    )
    with step("looking for the cause"):
        return diagnose(given, budget=told.budget)


def _write(facts: PageFacts, output: Path, nodes: Path | None) -> None:
    page = page_html(facts).encode()
    write_atomically(output, page)
    say(f"wrote {output} ({size(len(page))})")
    for kind, data in node_data(facts).items() if nodes is not None else ():
        path = nodes.with_suffix(f".{kind}.json") if nodes is not None else Path()
        write_atomically(path, json.dumps(data, indent=1, allow_nan=False).encode())
        say(f"wrote {path}: the {kind} error of each layer, for Model Explorer")
