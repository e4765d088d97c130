"""The commands that say what a file holds, and what became of a network: inspect, changes."""

from __future__ import annotations

from pathlib import Path

import click

from bittrue.cli.options import check_output, json_option
from bittrue.cli.output import emit_json, say
from bittrue.compiler.plan import proof
from bittrue.files import write_atomically
from bittrue.report.changes import SCHEMA as CHANGES_SCHEMA
from bittrue.report.changes import changes_json, changes_of, changes_text
from bittrue.report.changes_svg import changes_svg
from bittrue.report.inspection import SCHEMA as INSPECT_SCHEMA
from bittrue.report.inspection import inspection_json, inspection_text
from bittrue.report.plan import proof_text
from bittrue.stages import open_subject


@click.command()
@click.argument("file")
@json_option(INSPECT_SCHEMA)
def inspect(file: str, as_json: bool) -> None:
    """Say what FILE holds: its stages, its contract, its preprocessing, where it came from.

    \b
    Examples:
      bittrue inspect model.bta
      bittrue inspect model.bte --json
    """
    subject = open_subject(file)
    if as_json:
        emit_json(INSPECT_SCHEMA, inspection_json(subject))
    else:
        say(inspection_text(subject))


@click.command()
@click.argument("file")
@click.option("--svg", type=click.Path(path_type=Path), help="Also write the picture.")
@click.option("--proof", "with_proof", is_flag=True, help="Also print the memory plan's proof.")
@json_option(CHANGES_SCHEMA)
def changes(file: str, svg: Path | None, with_proof: bool, as_json: bool) -> None:
    """Does the structure change when FILE is compiled? Say what became of each source layer.

    \b
    Example:
      bittrue changes model.bte --svg changes.svg
    """
    if svg is not None:
        check_output(svg, ".svg")
    subject = open_subject(file)
    program = subject.program()
    found = changes_of(program, subject.history)
    if svg is not None:
        write_atomically(svg, changes_svg(found, program).encode())
    if as_json:
        emit_json(CHANGES_SCHEMA, changes_json(found))
        return
    say(changes_text(found))
    if with_proof:
        say(proof_text(proof(program)))
    if svg is not None:
        say(f"wrote {svg}")
