"""The commands that run a stage, or say whether it would: run, check."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue.arrays import npz_bytes
from bittrue.cli.options import check_output, json_option
from bittrue.cli.output import emit_json, say, step
from bittrue.contract.buffers import check_buffers
from bittrue.contract.picture import PICTURES
from bittrue.errors import DataError
from bittrue.files import write_atomically
from bittrue.inputs import RAW_BYTES, adapt, in_domain, read_input
from bittrue.report.findings import SCHEMA as CHECK_SCHEMA
from bittrue.report.findings import findings_json, findings_text, fits
from bittrue.report.outputs import SCHEMA as RUN_SCHEMA
from bittrue.report.outputs import outputs_json, outputs_text
from bittrue.settings import ISAS
from bittrue.stages import (
    contract_of_stage,
    open_runner,
    open_subject,
    split_reference,
)


@click.command()
@click.argument("model")
@click.option("--input", "input_", required=True, help="Picture, .npy, .npz, or raw bytes .bin.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write outputs as .npz.")
@click.option("--tap", "taps", multiple=True, help="Also return this inner tensor.")
@click.option("--codes", is_flag=True, help="Integers as stored, not the values they stand for.")
@click.option(
    "--isa",
    type=click.Choice(ISAS),
    default="auto",
    show_default=True,
    help="Instruction set of the engine; changes no bit.",
)
@click.option(
    "--threads",
    type=click.IntRange(0),
    default=0,
    help="Threads of the engine, 0 for one a core; changes no bit.",
)
@json_option(RUN_SCHEMA)
def run(
    model: str,
    input_: str,
    output: Path | None,
    taps: tuple[str, ...],
    codes: bool,
    isa: str,
    threads: int,
    as_json: bool,
) -> None:
    """Run MODEL, an executable or FILE.bta[@STAGE], on one input.

    Stages: source, native, fp_optimized, quantized, bit_true, compiled; the last one reached by
    default. Pictures go through the model's own preprocessing. Float arrays given to an input
    with a scale are quantised with that scale and zero point, after they were checked to fit.

    \b
    Examples:
      bittrue run model.bte --input cat.jpg -o out.npz
      bittrue run model.bta@quantized --input x.npy
    """
    if output is not None:
        check_output(output, ".npz")
    path, stage = split_reference(model)
    subject = open_subject(path)
    runner = open_runner(subject, stage, isa=isa, threads=threads)
    feeds = adapt(read_input(input_, subject.preprocess), runner.contract, subject.preprocess)
    with step("running"):
        done = runner.run(feeds, taps, codes=codes)
    found = {**done.outputs, **done.taps}
    if output is not None:
        write_atomically(output, npz_bytes(found))
    stage = stage or subject.stages[-1]
    if as_json:
        emit_json(RUN_SCHEMA, outputs_json(stage, found, output))
        return
    say(outputs_text(stage, found))
    if output is not None:
        say(f"wrote {output}")


@click.command()
@click.argument("model")
@click.option("--input", "input_", required=True, help="Picture, .npy, .npz, or raw bytes .bin.")
@json_option(CHECK_SCHEMA)
def check(model: str, input_: str, as_json: bool) -> None:
    """Say whether an input would be right for MODEL, FILE[@STAGE]; nothing runs.

    A picture goes through the model's own preprocessing first, raw bytes are given its shape;
    arrays are looked at as they are.
    Exits with 0 when it fits (warnings may be printed) and with 5 when it does not.

    \b
    Example:
      bittrue check model.bte --input x.npy
    """
    path, stage = split_reference(model)
    subject = open_subject(path)
    contract = contract_of_stage(subject, stage)
    given = read_input(input_, subject.preprocess)
    if Path(input_).suffix.lower() in PICTURES | RAW_BYTES:
        given = in_domain(given, contract, subject.preprocess)
    findings = check_buffers(contract, given.get("", given))
    if as_json:
        emit_json(CHECK_SCHEMA, findings_json(model, findings))
    else:
        say(findings_text(contract, findings))
    if not fits(findings):
        raise click.exceptions.Exit(DataError.exit_code)
