"""The command `bittrue`: parse, call one function, print."""

from __future__ import annotations

import importlib
import logging
import platform
import sys
import tempfile
import traceback
from pathlib import Path

import click

from bittrue import __version__, settings
from bittrue.cli.output import show_error
from bittrue.errors import Error, InternalError

INTERRUPTED = 130

#: Each command and where it is, in the order of the help; loaded when it is called.
COMMANDS: dict[str, tuple[str, str]] = {
    "build": ("bittrue.cli.convert", "build"),
    "import": ("bittrue.cli.convert", "import_"),
    "optimize": ("bittrue.cli.convert", "optimize"),
    "quantize": ("bittrue.cli.convert", "quantize"),
    "compile": ("bittrue.cli.convert", "compile_"),
    "run": ("bittrue.cli.run", "run"),
    "compare": ("bittrue.cli.run", "compare"),
    "check": ("bittrue.cli.run", "check"),
    "inspect": ("bittrue.cli.explain", "inspect"),
    "changes": ("bittrue.cli.explain", "changes"),
    "demo": ("bittrue.cli.demo", "demo"),
}


class LazyGroup(click.Group):
    """A group whose commands are loaded when they are called, so that --help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bittrue")
def cli() -> None:
    """Take a trained network to an int8 executable, and prove or explain every difference.

    \b
    Example: from an ONNX file and a folder of pictures to an executable, then run it
      bittrue build model.onnx --preprocess pre.toml --calibrate pictures/ -o model.bte
      bittrue run model.bte --input cat.jpg -o out.npz

    Exit codes: 0 done or same; 1 different; 2 usage; 3 bad model or file; 4 unsupported;
    5 bad input or data; 6 device; 70 a bug in bittrue; 130 interrupted.
    """
    level = settings.get("BITTRUE_LOG").upper()
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", force=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run_command(arguments))


def run_command(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; every error becomes a message."""
    try:
        result = cli.main(args=arguments, prog_name="bittrue", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as why:
        why.show()
        return why.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; nothing was left half-written", err=True)
        return INTERRUPTED
    except Error as why:
        show_error(why)
        return why.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: no complaint, no traceback
        return 0
    except Exception as why:
        return _report_bug(why, arguments)


def _report_bug(why: Exception, arguments: list[str] | None) -> int:
    """Write what is needed to repeat a bug to a file, and say where."""
    words = sys.argv[1:] if arguments is None else arguments
    text = (
        f"bittrue {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command: bittrue {' '.join(words)}\n\n{traceback.format_exc()}"
    )
    with tempfile.NamedTemporaryFile(
        "w", prefix="bittrue-bug-", suffix=".txt", delete=False
    ) as report:
        report.write(text)
    click.echo(
        f"error: a bug in bittrue: {type(why).__name__}: {why}\n"
        f"  next: please report it with {Path(report.name)}, and the model if you can share it",
        err=True,
    )
    return InternalError.exit_code
