"""`bittrue verify`: does this machine compute the bits that the executable says?"""

from __future__ import annotations

import re

import click

from bittrue.cli.options import json_option
from bittrue.cli.output import emit_json, say, step
from bittrue.engines.conformance import Verdict
from bittrue.engines.conformance import verify as verify_program
from bittrue.engines.native_library import available_isas
from bittrue.errors import UsageError
from bittrue.report.conformance import SCHEMA, verdict_text, verdicts_json
from bittrue.settings import ISAS, THREADS_MAX
from bittrue.stages import open_subject

DIFFERENT = 1
_COUNT = re.compile("[1-9][0-9]{0,3}")


@click.command()
@click.argument("model")
@click.option(
    "--threads",
    default="1,2,4",
    show_default=True,
    metavar="N,N,...",
    help="Numbers of threads to try.",
)
@click.option(
    "--isa",
    type=click.Choice(ISAS),
    multiple=True,
    help="Try this instruction set; every one that this CPU has where none is given.",
)
@json_option(SCHEMA)
def verify(model: str, threads: str, isa: tuple[str, ...], as_json: bool) -> None:
    """Run MODEL's conformance vectors here, and compare every tensor with the emulator's bits.

    When a network is compiled, the executable gets vectors: inputs that anyone can make again, and
    the sha256 of every tensor as the NumPy emulator computes it. Exits with 0 when each instruction
    set and number of threads gives the same bits, and with 1 when one does not.
    On a machine without Python: bittrue-run MODEL --verify.

    \b
    Example:
      bittrue verify model.bte
    """
    counts = _counts(threads)
    subject = open_subject(model)
    program = subject.program()
    found: list[Verdict] = []
    with step("verifying"):
        for verdict in verify_program(
            program, subject.executable or b"", isa or available_isas(), counts
        ):
            found.append(verdict)
            if not as_json:
                say(verdict_text(verdict))
    if as_json:
        emit_json(SCHEMA, verdicts_json(model, found))
    if any(row.mismatch is not None for row in found):
        raise click.exceptions.Exit(DIFFERENT)


def _counts(text: str) -> list[int]:
    """Return [1, 2, 4] of "1,2,4".

    Raises:
        UsageError: if the text has another form, or a number is not 1 to THREADS_MAX.
    """
    words = text.split(",")
    if not all(_COUNT.fullmatch(word) and int(word) <= THREADS_MAX for word in words):
        raise UsageError(
            f"--threads {text!r} has another form than 1,2,4",
            hint=f"give whole numbers from 1 to {THREADS_MAX} with commas between",
        )
    return list(dict.fromkeys(int(word) for word in words))
