"""The public surface, listed: a change that nobody announced fails here (docs/public.md).

Each listing is a file below tests/golden/surface; where a number stands for the listing (the ABI, a
file format's version), the file's name holds it, so that a change under the same number is seen.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import io
import json
import re
import struct
import typing
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import bittrue
from bittrue import chain
from bittrue.archive import ARCHIVE_FORMAT, archive_bytes
from bittrue.cli.main import BROKEN_PIPE, INTERRUPTED, cli
from bittrue.compiler.file_layout import BUFFER_ROW, SECTIONS, TENSOR_ROW, VERSION
from bittrue.compiler.instructions import (
    BINARY_FUNCTIONS,
    COMPARE_FUNCTIONS,
    INSTRUCTIONS,
    REDUCTIONS,
    UNARY_FUNCTIONS,
)
from bittrue.compiler.program import PATTERNS
from bittrue.dtypes import DTYPES
from bittrue.network import Network
from bittrue.settings import SETTINGS
from tests.golden import FOLDER, check_golden
from tests.run_program import call
from tests.unit.networks import pixels, tiny


def outside() -> Network:
    """Return the tiny network that takes normalised values as codes, and ends in codes."""
    network = chain.optimize(tiny("native"), normalize_inside=False)
    samples = [pixels(seed) for seed in range(4)]
    return chain.compile(chain.quantize(network, samples, observer="minmax", tail="int8"))


ROOT = Path(__file__).parents[2]
PUBLIC = (ROOT / "docs" / "public.md").read_text(encoding="utf-8")
FORMAT = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
HEADER = (ROOT / "native" / "bittrue.h").read_text(encoding="utf-8")
ABI = int(re.findall(r"^#define BITTRUE_ABI (\d+)$", HEADER, re.MULTILINE)[0])
EXECUTABLE = tiny().executable or b""
#: One network compiled in two ways: between them every key and kind of value is written.
NETWORKS = (tiny(), outside())

ANNOUNCE = (
    "this is public (docs/public.md). If the change is wanted: say it in changelog.d/, give the"
    " format, ABI or schema a new number where docs/public.md asks for one, and run this test again"
    " with BITTRUE_UPDATE_GOLDEN=1"
)


def check_public(name: str, lines: list[str]) -> None:
    """Compare a listing with tests/golden/surface/<name>; the message says what differs."""
    text = "\n".join(lines) + "\n"
    try:
        check_golden(f"surface/{name}", text)
    except AssertionError as why:
        path = FOLDER / "surface" / name
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        shown = difflib.unified_diff(old.split("\n"), text.split("\n"), "announced", "now", n=0)
        raise AssertionError("\n".join([ANNOUNCE, str(why), *shown])) from None


def test_there_is_no_listing_of_an_older_number() -> None:
    names = {"python.txt", "command_line.txt", "exit_codes.txt", "settings.txt", "schemas.txt"}
    names |= {f"header_abi_{ABI}.txt", f"bte_{VERSION}.txt", f"bta_{ARCHIVE_FORMAT}.txt"}
    assert {path.name for path in (FOLDER / "surface").iterdir()} == names


# --- Python --------------------------------------------------------------------------------------

#: What leads into the inside of the compiler: named by a public type, but not public itself.
INSIDE = ("Graph", "History", "Program", "QuantizedGraph")


class Word(str):
    """A text that shows itself without quotes, as an annotation in a signature."""

    def __repr__(self) -> str:
        return str(self)


def annotation(hint: object) -> Word:
    """Return a type as text, without the modules that its parts are in."""
    text = "None" if hint is type(None) else inspect.formatannotation(hint)
    return Word(re.sub(r"\b(?:\w+\.)+(?=\w)", "", text))


def default(value: object) -> object:
    """Return a default as a signature is to show it: a function has no fixed text."""
    return Word("<function>") if inspect.isfunction(value) else value


def signature(function: typing.Callable[..., object]) -> inspect.Signature:
    """Return a signature with every annotation resolved, without `self`."""
    hints = typing.get_type_hints(function)
    found = inspect.signature(function)
    taken = [
        row.replace(annotation=annotation(hints[name]), default=default(row.default))
        for name, row in found.parameters.items()
        if name != "self"
    ]
    return found.replace(parameters=taken, return_annotation=annotation(hints["return"]))


def parameter_lines(taken: inspect.Signature) -> Iterator[str]:
    """Yield parameters, one a line; a line of * stands before those that are given by name."""
    by_name = False
    for row in taken.parameters.values():
        if row.kind is row.KEYWORD_ONLY and not by_name:
            by_name = True
            yield "    *"
        yield f"    {row}"


def classes_in(hint: object) -> Iterator[type]:
    """Yield the package's own classes that a type hint names, the inside of the compiler apart."""
    for part in typing.get_args(hint):
        yield from classes_in(part)
    ours = isinstance(hint, type) and hint.__module__.partition(".")[0] == "bittrue"
    if isinstance(hint, type) and ours and hint.__name__ not in INSIDE:
        yield hint


def public_members(cls: type) -> dict[str, object]:
    """Return a class's own public methods, properties and constants, by name."""
    fields = {row.name for row in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else ()
    return {
        name: value
        for name, value in sorted(vars(cls).items())
        if (name == "__enter__" or not name.startswith("_")) and name not in fields
    }


def functions_of(value: object) -> list[typing.Callable[..., object]]:
    """Return the functions that a public name is made of: itself, or a class's public ones."""
    if not inspect.isclass(value):
        return [value] if inspect.isfunction(value) else []
    members = [
        row.fget if isinstance(row, property) else row for row in public_members(value).values()
    ]
    made = [] if getattr(value, "_is_protocol", False) else [vars(value).get("__init__")]
    return [row for row in (*made, *members) if inspect.isfunction(row)]


def reached() -> dict[str, object]:
    """Return the public names, and the classes that they take and give, by name."""
    found: dict[str, object] = {}

    def visit(name: str, value: object) -> None:
        assert found.setdefault(name, value) is value, f"two public things are called {name}"
        for function in functions_of(value):
            for hint in typing.get_type_hints(function).values():
                for cls in classes_in(hint):
                    if cls.__name__ not in found:
                        visit(cls.__name__, cls)

    for name in bittrue.__all__:
        visit(name, getattr(bittrue, name))
    return found


def class_lines(name: str, cls: type) -> Iterator[str]:
    """Yield a class: what it is derived from, how it is made, and its public members."""
    bases = " of " + ", ".join(base.__name__ for base in cls.__bases__) if cls.__base__ else ""
    made = vars(cls).get("__init__")
    frozen = dataclasses.is_dataclass(cls)
    yield f"{'frozen ' if frozen else ''}class {name}{bases.removesuffix(' of object')}"
    if made in functions_of(cls):
        yield from parameter_lines(signature(made))
        if not frozen:
            source = inspect.getsource(made)
            yield from (f"    .{row}" for row in re.findall(r" self\.([a-z]\w*).* = ", source))
    for member, value in public_members(cls).items():
        if isinstance(value, property):
            yield f"    .{member}: {signature(value.fget).return_annotation}"
        else:
            yield f"    .{member}{signature(value) if callable(value) else f' = {value!r}'}"


def python_lines() -> Iterator[str]:
    """Yield the names of the package, then the classes that these lead to."""
    found = reached()
    for name in (*sorted(bittrue.__all__), "", *sorted(set(found) - set(bittrue.__all__))):
        value = found.get(name)
        if inspect.isclass(value):
            yield from class_lines(name, value)
        elif value is None:
            yield "# Classes that the names above give and take."
        else:
            taken = signature(value)
            yield f"function {name} -> {taken.return_annotation}"
            yield from parameter_lines(taken)


def test_python() -> None:
    check_public("python.txt", list(python_lines()))


# --- command line --------------------------------------------------------------------------------


def command_lines() -> Iterator[str]:
    """Yield every command with its arguments and options, in the order of the help."""
    context = click.Context(cli)
    yield "bittrue"
    yield from map(parameter_line, cli.params)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield f"bittrue {name}"
        yield from map(parameter_line, command.params)


def parameter_line(row: click.Parameter) -> str:
    """Return an argument or option, for example "    --samples INTEGER 1.. = 64"."""
    names = ", ".join(row.opts) if isinstance(row, click.Option) else str(row.name).upper()
    words = [names, "" if getattr(row, "is_flag", False) else type_text(row)]
    words += ["required"] * (row.required and isinstance(row, click.Option))
    words += ["repeatable"] * row.multiple
    value = row.to_info_dict()["default"]
    words += [f"= {value}"] * (value is not False and value not in (None, ()))
    return "    " + " ".join(word for word in words if word)


def type_text(row: click.Parameter) -> str:
    """Return what a parameter's value may be."""
    if isinstance(row.type, click.Choice):
        return "|".join(row.type.choices)
    if isinstance(row.type, click.IntRange):
        most = "" if row.type.max is None else row.type.max
        return f"integer {row.type.min}..{most}"
    return row.type.name


def device_lines() -> Iterator[str]:
    """Yield the options of bittrue-run, as its help lists them."""
    code, text, _ = call("--help")
    assert code == 0
    yield "bittrue-run"
    yield from (
        f"    {row}"
        for row in re.findall(r"^  (--\S+?(?: [A-Z=/]+)?)(?:,|  |$)", text, re.MULTILINE)
    )


def test_command_line() -> None:
    check_public("command_line.txt", [*command_lines(), *device_lines()])


def test_exit_codes() -> None:
    rows = [getattr(bittrue, name) for name in bittrue.__all__]
    errors = [
        (row.exit_code, row.__name__, row.__base__.__name__)
        for row in rows
        if hasattr(row, "exit_code")
    ]
    lines = [f"{code} {name} of {base}" for code, name, base in sorted(errors)]
    lines += [f"{INTERRUPTED} interrupted", f"{BROKEN_PIPE} broken pipe"]
    for name, text in (("bittrue", cli.help or ""), ("bittrue-run", call("--help")[1])):
        lines.append(f"{name}: {' '.join(text[text.index('Exit codes') :].split())}")
    check_public("exit_codes.txt", lines)


# --- C -------------------------------------------------------------------------------------------


def header_lines() -> Iterator[str]:
    """Yield the header's definitions and declarations, one a line, without comments."""
    text = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
    text = re.sub(r"^#ifdef __cplusplus$.*?^#endif$", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"^#(?:define \w+ .*|include .*)$", text, re.MULTILINE)
    code = " ".join(re.sub(r"^#.*$", "", text, flags=re.MULTILINE).split())
    yield from (row.strip() for row in re.findall(r"(?:[^;{]|\{[^}]*\})+;", code))


def test_header() -> None:
    check_public(f"header_abi_{ABI}.txt", list(header_lines()))


# --- files ---------------------------------------------------------------------------------------

KINDS = {dict: "object", list: "list", str: "text", bool: "bool", int: "int", float: "float"}
#: Objects whose keys are names of the network's own, and those that hold an operator's attributes.
BY_NAME, ANY = ("members", "preprocess", "ranges", "final"), ("attrs",)


def key_lines(*values: object) -> list[str]:
    """Return every key of some JSON values with the types it had, for example "a[].b: int"."""
    found: dict[str, dict[str, None]] = {}

    def visit(at: str, item: object) -> None:
        found.setdefault(at, {})[KINDS.get(type(item), "null")] = None
        last = at.rpartition(".")[2]
        if isinstance(item, dict) and last not in ANY:
            for key, inner in item.items():
                visit(f"{at}.{'*' if last in BY_NAME else key}".lstrip("."), inner)
        if isinstance(item, list):
            for inner in item:
                visit(f"{at}[]", inner)

    for value in values:
        visit("", value)
    return sorted(f"{at}: {' or '.join(sorted(kinds))}" for at, kinds in found.items() if at)


def meta(executable: bytes) -> object:
    """Return the section META of an executable: the header's table says where it is."""
    at, length = struct.unpack_from("<QQ", executable, 56)
    return json.loads(executable[at : at + length])


def table_after(heading: str, text: str) -> list[list[str]]:
    """Return the rows of the first table below a heading, each a list of cells."""
    body = text[text.index(f"\n{heading}") :]
    table = re.search(r"^\|.*?\n(?!\|)", body, re.DOTALL | re.MULTILINE)
    assert table is not None, heading
    rows = [line.strip("|").split("|") for line in table[0].strip().split("\n")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def executable_lines() -> Iterator[str]:
    """Yield what a .bte file is made of."""
    yield f"format version {VERSION}"
    for at, kind, what, *_ in table_after("## Header", FORMAT):
        yield f"header {at}: {kind}, {what}"
    yield f"sections {' '.join(SECTIONS)}"
    yield f"row of BUFFERS {BUFFER_ROW.format}, of TENSORS {TENSOR_ROW.format}"
    for name, row in DTYPES.items():
        if row.code:
            yield f"type {row.code} {name}"
    for index, pattern in enumerate(PATTERNS):
        yield f"pattern {index} {pattern}"
    for step in INSTRUCTIONS:
        ends = f"({', '.join(step.inputs)}) -> ({', '.join(step.outputs)})"
        yield f"instruction {step.code} {step.name}{ends} [{', '.join(step.params)}]"
    tables = (UNARY_FUNCTIONS, BINARY_FUNCTIONS, REDUCTIONS, COMPARE_FUNCTIONS)
    for name, words in zip(
        ("F32_UNARY", "F32_BINARY", "F32_REDUCE", "COMPARE"), tables, strict=True
    ):
        yield from (f"function {index} of {name}: {word}" for index, word in enumerate(words))
    yield from (
        f"META {line}" for line in key_lines(*(meta(n.executable or b"") for n in NETWORKS))
    )


def test_executable() -> None:
    check_public(f"bte_{VERSION}.txt", list(executable_lines()))


def test_the_table_of_the_header_tells_where_a_real_file_holds_what() -> None:
    sizes = {"8 bytes": 8, "4 bytes": 4, "u32": 4, "u64": 8, "8 x (u64 offset, u64 length)": 128}
    rows = table_after("## Header, 192 bytes", FORMAT)
    ends = [int(at) + sizes[kind] for at, kind, *_ in rows]
    assert [int(at) for at, *_ in rows] == [0, *ends[:-1]]
    assert ends[-1] == 192
    codes = {"u32": "<I", "u64": "<Q"}
    found = {
        what: struct.unpack_from(codes[kind], EXECUTABLE, int(at))[0]
        for at, kind, what, *_ in rows
        if kind in codes
    }
    with bittrue.Session(EXECUTABLE) as session:
        program = session.program
    assert list(found.values()) == [
        VERSION,
        zlib.crc32(EXECUTABLE[16:]),
        len(EXECUTABLE),
        program.arena_bytes,
        len(program.tensors),
        len(program.buffers),
        len(program.instructions),
        sum(
            4 + len(row.inputs) + len(row.outputs) + len(row.params) for row in program.instructions
        ),
        len(program.inputs),
        len(program.outputs),
        len(program.vectors.rows),
    ]


def test_archive() -> None:
    archives = [zipfile.ZipFile(io.BytesIO(archive_bytes(network))) for network in NETWORKS]
    members = [f"member {name}" for name in archives[0].namelist()]
    keys = key_lines(*(json.loads(archive.read("manifest.json")) for archive in archives))
    lines = [f"archive format {ARCHIVE_FORMAT}", *members, *(f"manifest {line}" for line in keys)]
    check_public(f"bta_{ARCHIVE_FORMAT}.txt", lines)


# --- settings and schemas ------------------------------------------------------------------------


def test_settings() -> None:
    lines = [f"{row.name} = {row.default!r} {'|'.join(row.choices)}".strip() for row in SETTINGS]
    check_public("settings.txt", lines)


def schemas() -> dict[str, list[str]]:
    """Return each schema that a command's help names, and the commands that print it."""
    context = click.Context(cli)
    found: dict[str, list[str]] = {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        helps = (
            " ".join(getattr(row, "help", "") or "" for row in command.params) if command else ""
        )
        for schema in re.findall(r"bittrue\.[a-z]+/\d+", helps):
            found.setdefault(schema, []).append(name)
    return found


def test_schemas() -> None:
    check_public(
        "schemas.txt", [f"{name}: {' '.join(by)}" for name, by in sorted(schemas().items())]
    )


# --- docs/public.md ------------------------------------------------------------------------------


def told(heading: str) -> list[str]:
    """Return the first cells of a table of docs/public.md, without backticks."""
    return [row[0].replace("`", "") for row in table_after(heading, PUBLIC)]


def test_the_page_lists_what_there_is() -> None:
    assert sorted(told("## Python")) == sorted(bittrue.__all__)
    assert told("## Command line") == cli.list_commands(click.Context(cli))
    printed = table_after("## JSON", PUBLIC)
    assert {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in printed} == schemas()
    assert told("## Environment variables") == [row.name for row in SETTINGS]
    numbers = {row[0].strip("`"): row[1] for row in table_after("## Numbers", PUBLIC)}
    assert numbers["bittrue.h"] == f"`BITTRUE_ABI` {ABI}"
    assert numbers[".bte"] == f"format version {VERSION}"
    assert numbers[".bta"] == f"archive format {ARCHIVE_FORMAT}"


def test_the_page_gives_each_error_its_exit_code() -> None:
    errors = [getattr(bittrue, name) for name in bittrue.__all__ if name.endswith("Error")]
    wanted = {(cls.exit_code, cls.__name__) for cls in errors if cls is not bittrue.Error}
    rows = table_after("### Exit codes", PUBLIC)
    assert {(int(row[0]), name) for row in rows for name in row[2].split(", ") if name} == wanted
    plain = {int(row[0]) for row in rows if not row[2]}
    assert plain == {0, bittrue.Error.exit_code, INTERRUPTED, BROKEN_PIPE}


def test_the_page_names_what_a_public_name_leads_to() -> None:
    table = table_after("### Classes that these give and take", PUBLIC)
    named = [row[0].strip("`") for row in table]
    assert sorted(named) == sorted(set(reached()) - set(bittrue.__all__))
    inside = re.findall(r"`(\w+)`", PUBLIC[PUBLIC.index("The inside") :].partition("\n\n")[0])
    assert set(INSIDE) <= set(inside)


def test_a_change_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BITTRUE_UPDATE_GOLDEN", raising=False)
    with pytest.raises(AssertionError, match=r"(?s)this is public.*-BITTRUE_ISA.*\+something else"):
        check_public("settings.txt", ["something else"])
