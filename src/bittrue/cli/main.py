"""The command `bittrue`: parse, call one function, print."""

from __future__ import annotations

import importlib
import logging
import os
import platform
import sys
import tempfile
import traceback

import click

from bittrue import settings
from bittrue.cli.output import show_error
from bittrue.errors import DataError, Error, InternalError, UsageError
from bittrue.suggest import did_you_mean
from bittrue.version import __version__

INTERRUPTED = 130
BROKEN_PIPE = 141

_CONVERT, _RUN, _EXPLAIN = "bittrue.cli.convert", "bittrue.cli.run", "bittrue.cli.explain"
#: Each command, where it is, and what it is for, in the order of the help. A command's module is
#: loaded when the command is called, not to show this table.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "build": (_CONVERT, "build", "All stages in one go: source and pictures to executable."),
    "import": (_CONVERT, "import_", "ONNX file or PyTorch module to archive (source, native)."),
    "optimize": (_CONVERT, "optimize", "Float passes; normalisation moves inside (fp_optimized)."),
    "quantize": (_CONVERT, "quantize", "Codes for every value, from samples (quantized)."),
    "compile": (_CONVERT, "compile_", "Executable for any CPU (bit_true, compiled)."),
    "run": (_RUN, "run", "Run an executable, or any stage of an archive."),
    "compare": ("bittrue.cli.compare", "compare", "How far stages are apart, and where it starts."),
    "diagnose": ("bittrue.cli.diagnose", "diagnose", "Why a device differs, and the mend."),
    "judge": ("bittrue.cli.judge", "judge", "A saved result again, by limits; nothing runs."),
    "report": ("bittrue.cli.report", "report", "All of it as one HTML file, layer by layer."),
    "check": (_RUN, "check", "Would this input be right? Nothing runs."),
    "verify": ("bittrue.cli.verify", "verify", "Does this machine compute the same bits?"),
    "inspect": (_EXPLAIN, "inspect", "What a file holds: stages, contract, origin."),
    "changes": (_EXPLAIN, "changes", "What became of each source layer, and where it lives."),
    "demo": ("bittrue.cli.demo", "demo", "A real network and picture through all stages."),
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
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that does not exist is answered with the nearest that does."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(f"{args[0]!r} is no command", hint=did_you_mean(args[0], COMMANDS))
        return super().resolve_command(ctx, args)


class Once(logging.Filter):
    """Lets each message through once: a sample is often read, and a stage run, several times."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the message is new."""
        text = record.getMessage()
        new = text not in self._seen
        self._seen.add(text)
        return new


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
    handler = logging.StreamHandler()
    handler.addFilter(Once())
    shown = "%(levelname)s %(name)s: %(message)s" if level in ("DEBUG", "INFO") else "%(message)s"
    logging.basicConfig(level=level, format=shown, force=True, handlers=[handler])


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
    except (BrokenPipeError, SystemExit):
        # The reader of our output has left (click then exits): no complaint, not even from the
        # last flush; but not 0 either, since a verdict was perhaps not read.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except MemoryError:
        click.echo("error: not enough memory\n  next: close other programs, or run fewer", err=True)
        return DataError.exit_code
    except Exception as why:
        return _report_bug(why, arguments)


def _report_bug(why: Exception, arguments: list[str] | None) -> int:
    """Write what is needed to repeat a bug to a file, and say where."""
    words = sys.argv[1:] if arguments is None else arguments
    text = (
        f"bittrue {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command: bittrue {' '.join(words)}\n\n{traceback.format_exc()}"
    )
    place = "the text below"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="bittrue-bug-", suffix=".txt", delete=False
        ) as report:
            report.write(text)
        place, text = report.name, ""
    except OSError:
        pass  # a full disk must not hide the bug
    click.echo(
        f"error: a bug in bittrue: {type(why).__name__}: {why}\n"
        f"  next: please report it with {place}, and the model if you can share it\n{text}",
        err=True,
        nl=False,
    )
    return InternalError.exit_code
