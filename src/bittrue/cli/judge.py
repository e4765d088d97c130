"""`bittrue judge`: a saved result under limits; nothing runs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bittrue.cli.options import check_output, json_option
from bittrue.cli.output import emit_json, note, say
from bittrue.contract.causes import BY_ID
from bittrue.diagnosis.judge import Judgement, Limits
from bittrue.diagnosis.judge import judge as judge_saved
from bittrue.errors import UsageError
from bittrue.files import read_bytes, write_atomically
from bittrue.report.judgement import SCHEMA, judgement_json, judgement_text
from bittrue.report.junit import junit_xml
from bittrue.report.sarif import sarif_json
from bittrue.report.saved import read_saved
from bittrue.suggest import did_you_mean

NOT_WITHIN = 1


@click.command()
@click.argument("result")
@click.option("--max-error-ratio", type=float, help="Most times the error that 8 bits alone make.")
@click.option("--min-sqnr", type=float, help="Least SQNR of each output in dB.")
@click.option("--max-abs", type=float, help="Greatest difference of each output.")
@click.option("--max-relative", type=float, help="The same over the greatest reference value.")
@click.option("--allow", multiple=True, metavar="CAUSE", help="A cause that is known and taken.")
@click.option(
    "--min-confidence", type=float, help="Least confidence that nothing is wrong, 0 to 1."
)
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML (.xml).")
@click.option("--sarif", type=click.Path(path_type=Path), help="Write SARIF 2.1.0 (.sarif, .json).")
@json_option(SCHEMA)
def judge(
    result: str,
    max_error_ratio: float | None,
    min_sqnr: float | None,
    max_abs: float | None,
    max_relative: float | None,
    allow: tuple[str, ...],
    min_confidence: float | None,
    junit: Path | None,
    sarif: Path | None,
    as_json: bool,
) -> None:
    """Judge RESULT, saved JSON of diagnose or compare (- reads standard input); nothing runs.

    Without limits the result's own verdict holds. Limits on outputs take the place of a
    comparison's own bound. Exits with 0 when all checks pass and with 1 when one does not: a
    result that does not hold what a limit is about has failed. docs/judging.md says more.

    \b
    Example:
      bittrue judge result.json --min-sqnr 20 --allow quant.calibration_weak --junit judged.xml
    """
    check_files(junit, sarif)
    limits = Limits(
        _limit("--min-sqnr", min_sqnr),
        _limit("--max-abs", max_abs),
        _limit("--max-relative", max_relative),
        _limit("--max-error-ratio", max_error_ratio),
        _limit("--min-confidence", min_confidence, most=1.0),
        _causes(allow),
    )
    data = sys.stdin.buffer.read() if result == "-" else read_bytes(result)
    found = judge_saved(read_saved(data, result), limits)
    write_files(found, junit, sarif)
    if as_json:
        emit_json(SCHEMA, judgement_json(result, found))
    else:
        say(judgement_text(found))
    if not found.passed:
        raise click.exceptions.Exit(NOT_WITHIN)


def check_files(junit: Path | None, sarif: Path | None) -> None:
    """Refuse files that could not be written, before any work.

    Raises:
        DataError: if a folder is missing or not writable.
        UsageError: if a name has another ending.
    """
    if junit is not None:
        check_output(junit, ".xml")
    if sarif is not None:
        check_output(sarif, ".sarif", ".json")


def write_files(found: Judgement, junit: Path | None, sarif: Path | None) -> None:
    """Write a judgement for CI servers, where that was asked for.

    Raises:
        DataError: if a file cannot be written.
    """
    if junit is not None:
        write_atomically(junit, junit_xml(found).encode())
        note(f"wrote {junit}")
    if sarif is not None:
        write_atomically(sarif, json.dumps(sarif_json(found), indent=2, allow_nan=False).encode())
        note(f"wrote {sarif}")


def _limit(name: str, value: float | None, *, most: float = math.inf) -> float | None:
    if value is not None and not (math.isfinite(value) and 0 <= value <= most):
        wanted = (
            "a finite number of at least 0" if most == math.inf else f"a number from 0 to {most:g}"
        )
        raise UsageError(f"{name} {value} is no limit", hint=f"give {wanted}")
    return value


def _causes(names: Sequence[str]) -> frozenset[str]:
    """Return the ids that are allowed.

    Raises:
        UsageError: if one is not in the table of causes.
    """
    for name in names:
        if name not in BY_ID:
            raise UsageError(f"--allow {name!r} is no cause", hint=did_you_mean(name, BY_ID))
    return frozenset(names)
