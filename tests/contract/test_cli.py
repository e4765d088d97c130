"""Promises of the command line: an example in each help, no command that does not exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from bittrue import errors
from bittrue.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ASKED = (
    "build import optimize quantize compile run verify inspect check changes compare demo "
    "diagnose report judge"
)


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def check_line(line: str) -> None:
    """Refuse a command line with an unknown command or option."""
    words = shlex.split(line.partition("#")[0])[1:]
    if words[0].startswith("-"):
        return
    assert words[0] in COMMANDS, f"there is no command {words[0]}: {line}"
    found = command(words[0])
    found.make_parser(click.Context(found)).parse_args(words[1:])


def examples(text: str) -> list[str]:
    return re.findall(r"^\s*(?:\$ )?(bittrue [a-z-].*)$", text, re.MULTILINE)


def test_every_command_that_was_asked_for_is_there() -> None:
    assert set(COMMANDS) == set(ASKED.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_that_is_right(name: str) -> None:
    found = command(name)
    text = found.get_help(click.Context(found, info_name=f"bittrue {name}"))
    assert "Example" in text
    lines = [line for line in examples(text) if line.startswith(f"bittrue {name} ")]
    assert lines
    for line in lines:
        check_line(line)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    for option in command(name).params:
        assert not isinstance(option, click.Option) or option.help, option.name


def test_the_help_lists_every_command() -> None:
    text = cli.get_help(click.Context(cli, info_name="bittrue"))
    for name, (_, _, said) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(said[:30])}", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_in_the_documentation_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in examples(block):
            check_line(line)
    for line in re.findall(r"`(bittrue [a-z]+ [^`]*)`", text):
        check_line(line)


def raised() -> list[str]:
    """The error classes that the package raises; a base class, or one of later work, is none."""
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    return [name for name in vars(errors) if re.search(rf"raise {name}\(", source)]


@pytest.mark.parametrize("name", raised())
def test_every_error_class_is_raised_by_some_test(name: str) -> None:
    tests = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert any(re.search(rf"(raises\(|except )\(?[^):]*\b{name}\b", text) for text in tests)
