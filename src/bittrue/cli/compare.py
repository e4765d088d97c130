"""The command compare: two stages, or the whole ladder of one model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bittrue.cli.options import json_option
from bittrue.cli.output import emit_json, say, step
from bittrue.errors import UsageError
from bittrue.inputs import read_input
from bittrue.parity.attribute import attribute
from bittrue.parity.bounds import Bound
from bittrue.parity.compare import compare as compare_sides
from bittrue.parity.compare import make_side
from bittrue.parity.samples import Sample, survey
from bittrue.report.comparison import SCHEMA as COMPARE_SCHEMA
from bittrue.report.comparison import comparison_json, comparison_text
from bittrue.report.survey import SCHEMA as LADDER_SCHEMA
from bittrue.report.survey import survey_json, survey_text
from bittrue.stages import Subject, contract_of_stage, open_subject, split_reference

if TYPE_CHECKING:
    from bittrue.capture import Capture

DIFFERENT = 1


@click.command()
@click.argument("a")
@click.argument("b", required=False)
@click.option(
    "--input",
    "inputs",
    required=True,
    multiple=True,
    help="Picture, .npy, .npz, or raw bytes .bin; the ladder takes several.",
)
@click.option("--max-relative", type=float, help="Bound: largest difference over largest value.")
@click.option("--min-sqnr", type=float, help="Bound: least SQNR in dB.")
@click.option("--exact", is_flag=True, help="Bound: every bit equal.")
@click.option("--outputs-only", is_flag=True, help="Do not look at inner tensors.")
@click.option(
    "--capture",
    "captures",
    multiple=True,
    help="What a device gave on each input, in their order: .npz, .npy, .bin or a folder.",
)
@click.option("--match", "matches", multiple=True, help="OUTPUT=NAME: which captured tensor it is.")
@click.option("--layers", is_flag=True, help="Each layer's own error, and what it inherits.")
@json_option(f"{COMPARE_SCHEMA} of two, {LADDER_SCHEMA} of one model")
def compare(
    a: str,
    b: str | None,
    inputs: tuple[str, ...],
    max_relative: float | None,
    min_sqnr: float | None,
    exact: bool,
    outputs_only: bool,
    captures: tuple[str, ...],
    matches: tuple[str, ...],
    layers: bool,
    as_json: bool,
) -> None:
    """Compare B with the reference A, each FILE[@STAGE], on the same input.

    Exits with 0 when every output is within the bound and with 1 when one is not, is missing, or
    nothing could be compared. Without a bound, that of the two stages holds: it is printed.

    With one FILE, the whole ladder: source, native, fp_optimized, quantized, bit_true, compiled
    and what a device gave, each against the one before it. Exits with 0 when every edge that
    could be measured is within its budget, and then names those that could not; with 1 when one
    is over it: the first is named.

    \b
    Examples:
      bittrue compare model.bta@native model.bta@compiled --input cat.jpg
      bittrue compare model.bta --input cat.jpg --layers
      bittrue compare model.bta --input cat.jpg --capture device.npz
    """
    bound = _bound(max_relative, min_sqnr, exact)
    if b is None:
        if bound is not None:
            raise UsageError(
                "each edge of the ladder has a bound of its own",
                hint="name two stages to give a bound: FILE@STAGE FILE@STAGE",
            )
        same = _ladder(a, inputs, captures, matches, layers, not outputs_only, as_json)
    else:
        if len(inputs) > 1 or captures or matches or layers:
            raise UsageError(
                "two stages are compared on one input; several inputs, --capture, --match and "
                "--layers belong to the ladder of one model",
                hint=f"bittrue compare {split_reference(a)[0]} --input {inputs[0]}",
            )
        same = _pair(a, b, inputs[0], bound, not outputs_only, as_json)
    if not same:
        raise click.exceptions.Exit(DIFFERENT)


def _pair(a: str, b: str, input_: str, bound: Bound | None, inner: bool, as_json: bool) -> bool:
    (path_a, stage_a), (path_b, stage_b) = split_reference(a), split_reference(b)
    one, two = open_subject(path_a), open_subject(path_b)
    given = read_input(input_, one.preprocess or two.preprocess)
    with step("running both"):
        found = compare_sides(
            make_side(one, stage_a, given, preprocess_from=two),
            make_side(two, stage_b, given, preprocess_from=one),
            bound=bound,
            inner=inner,
        )
    if as_json:
        emit_json(COMPARE_SCHEMA, comparison_json(found))
    else:
        say(comparison_text(found))
    return found.same


def _ladder(
    model: str,
    inputs: Sequence[str],
    captures: Sequence[str],
    matches: Sequence[str],
    layers: bool,
    inner: bool,
    as_json: bool,
) -> bool:
    path, stage = split_reference(model)
    if stage:
        raise UsageError(
            f"the ladder is of a whole file, not of its stage {stage!r}",
            hint=f"leave out @{stage}, or name two stages",
        )
    subject = open_subject(path)
    given = [read_input(name, subject.preprocess) for name in inputs]
    frames = _frames(subject, captures, len(inputs))
    samples = [
        Sample(name, arrays, frame)
        for name, arrays, frame in zip(inputs, given, frames, strict=True)
    ]
    with step("climbing the ladder"):
        found = survey(subject, samples, by_hand=_by_hand(matches, captures), inner=inner)
    table = None
    if layers:
        with step("running each layer by itself"):
            table = attribute(subject, given)
    if as_json:
        emit_json(LADDER_SCHEMA, survey_json(found, table))
    else:
        say(survey_text(found, table))
    return found.first_broken is None


def _frames(subject: Subject, captures: Sequence[str], count: int) -> list[Capture | None]:
    """Return what a device gave on each input; None where nothing was given."""
    if not captures:
        return [None] * count
    from bittrue.capture import read_captures

    contract = contract_of_stage(subject)  # of raw bytes, which say nothing themselves
    frames = [frame for path in captures for frame in read_captures(path, described=contract)]
    if len(frames) != count:
        raise UsageError(
            f"{len(frames)} captured frames for {count} inputs",
            hint="give one frame an input, in the same order",
        )
    return list(frames)


def _by_hand(matches: Sequence[str], captures: Sequence[str]) -> dict[str, str] | None:
    if matches and not captures:
        raise UsageError("--match says what a capture's tensors are", hint="give --capture too")
    pairs = [text.partition("=") for text in matches]
    for text, (output, equals, name) in zip(matches, pairs, strict=True):
        if not (output and equals and name):
            raise UsageError(f"--match {text!r} has another form", hint="write OUTPUT=NAME")
    return {output: name for output, _, name in pairs} or None


def _bound(relative: float | None, sqnr: float | None, exact: bool) -> Bound | None:
    if relative is None and sqnr is None and not exact:
        return None
    for name, value in (("--max-relative", relative), ("--min-sqnr", sqnr)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UsageError(
                f"{name} {value} is no bound",
                hint="give a finite number of at least 0; --exact asks for every bit",
            )
    return Bound(relative=relative, sqnr_db=sqnr, exact=exact, why="given on the command line")
