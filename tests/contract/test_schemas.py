"""What the command line prints with --json is what docs/schemas says, on every branch of it."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import click
import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import bittrue
from bittrue.cli.main import cli, run_command
from bittrue.compiler.program import PATTERNS
from bittrue.contract.tensor import COLOURS, LAYOUTS
from bittrue.diagnosis.facts import DECIDED_BY
from bittrue.diagnosis.judge import KINDS, STATUSES
from bittrue.inputs import read_input
from bittrue.parity.attribute import SHARES
from bittrue.parity.captured import CAPTURE
from bittrue.parity.samples import Sample, survey
from bittrue.passes.history import FATES
from bittrue.report.changes import RELABELLED
from bittrue.report.diagnosis import SCHEMA as DIAGNOSE
from bittrue.report.diagnosis import diagnosis_json
from bittrue.report.survey import SCHEMA as LADDER
from bittrue.report.survey import survey_json
from tests.unit.diagnoses import healthy, one_cause
from tests.unit.networks import pixels, subject, tiny, write_inputs

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "schemas"
FILES = {
    f"{path.stem.rpartition('-')[0]}/{path.stem.rpartition('-')[2]}": path
    for path in sorted(FOLDER.glob("*.json"))
}
SCHEMAS = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
#: Schemas of files, which no command prints; tests/unit/test_capture.py holds a written one to it.
OF_FILES = frozenset({"bittrue.capture/1"})
PRINTED = {name: schema for name, schema in SCHEMAS.items() if name not in OF_FILES}
#: So small a network's diagnosis has no ladder and leaves nothing untried: one with everything in
#: it is held to its schema by tests/unit/test_report_diagnosis.py.
HELD_THERE = frozenset({"bittrue.diagnose/1"})

QUANTIZE = "--calibrate pictures --observer minmax"
#: Command lines, their schema and exit code, and why they are here where it is not plain.
LINES: dict[str, tuple[str, int]] = {
    "import tiny.onnx --preprocess pre.toml -o a.bta": ("network", 0),
    "optimize native.bta -o a.bta": ("network", 0),
    f"quantize native.bta {QUANTIZE} -o a.bta": ("network", 0),
    "compile tiny.bta -o a.bte": ("network", 0),
    f"build tiny.onnx --preprocess pre.toml {QUANTIZE} -o a.bta -o a.bte": ("network", 0),
    "run tiny.bte --input x.png": ("run", 0),
    "run tiny.bta@native --input x.png --tap r1 --codes -o out.npz": ("run", 0),
    "run log.bta --input zeros.npy": ("run", 0),  # -inf
    "run empty.bta --input zeros.npy": ("run", 0),  # no element: nan
    "compare tiny.bta@native tiny.bta --input x.png": ("compare", 0),
    "compare tiny.bta@bit_true tiny.bte --input x.png": ("compare", 0),  # SQNR inf
    "compare tiny.bta@native tiny.bta --input x.png --exact": ("compare", 1),
    "compare tiny.bta@native tiny.bta --input x.png --max-relative 0 --min-sqnr 99": ("compare", 1),
    "compare tiny.bta tiny.bta --input x.png --outputs-only": ("compare", 0),
    "compare exp.bta log.bta --input zeros.npy": ("compare", 1),  # each lacks the other's output
    "compare log.bta log.bta@source --input zeros.npy": ("compare", 1),  # no finite value
    "compare tiny.bta --input x.png --layers": ("ladder", 0),
    "compare quantized.bta --input x.png --input x.png --layers": ("ladder", 0),
    "compare tiny.bte --input x.png --capture same.npz": ("ladder", 0),
    "compare tiny.bta --input x.png --capture same.npz": ("ladder", 0),
    "compare tiny.bta --input x.png --capture off.npz": ("ladder", 1),  # and a flip
    "diagnose tiny.bta --picture x.png --device bgr.npz": ("diagnose", 1),
    "diagnose tiny.bte --sent float64.npy": ("diagnose", 1),  # nothing runs
    "judge healthy.json": ("judge", 0),
    "judge cause.json": ("judge", 1),
    "judge healthy.json --min-sqnr 20 --max-abs 1": ("judge", 1),  # it holds no such figures
    "judge cause.json --allow input.dtype --min-confidence 0.5 --max-error-ratio 2": ("judge", 1),
    "judge climbed.json --max-relative 0.5": ("judge", 1),
    "check tiny.bte --input x.png": ("check", 0),
    "check tiny.bta@native --input x.png": ("check", 0),
    "check tiny.bte --input float64.npy": ("check", 5),
    "check tiny.bte --input black.npy": ("check", 0),  # a warning
    "check tiny.bte --input unknown.npz": ("check", 5),
    "verify tiny.bte --threads 1,2": ("verify", 0),
    "verify tiny.bta --threads 2 --isa scalar": ("verify", 0),
    "verify last.bte --threads 1 --isa scalar": ("verify", 1),  # an instruction's tensor
    "verify first.bte --threads 1 --isa scalar": ("verify", 1),  # the input
    "inspect native.bta": ("inspect", 0),
    "inspect tiny.bta": ("inspect", 0),
    "inspect tiny.bte": ("inspect", 0),
    "changes tiny.bta": ("changes", 0),
    "changes tiny.bte --svg a.svg --proof": ("changes", 0),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file that LINES names, made once."""
    here = write_inputs(tmp_path_factory.mktemp("schemas"))
    bittrue.save_archive(tiny(), here / "tiny.bta")
    bittrue.save_archive(tiny("native"), here / "native.bta")
    executable = tiny().executable or b""
    (here / "tiny.bte").write_bytes(executable)
    bittrue.save_archive(tiny("quantized"), here / "quantized.bta")
    x = read_input(here / "x.png", tiny().preprocess)
    gave = bittrue.Session(executable).run(x)["logits"]
    np.savez(here / "same.npz", logits=gave)
    np.savez(here / "off.npz", logits=-gave)
    bgr = {name: array[..., ::-1].copy() for name, array in x.items()}
    np.savez(here / "bgr.npz", logits=bittrue.Session(executable).run(bgr)["logits"])
    write_saved(here)
    vectors, length = struct.unpack_from("<QQ", executable, 168)  # docs/format.md: VECTORS
    (here / "first.bte").write_bytes(with_other_byte(executable, vectors + 8 + 16))
    (here / "last.bte").write_bytes(with_other_byte(executable, vectors + length - 1))
    for name, op in (("exp", "Exp"), ("log", "Log")):
        (here / f"{name}.onnx").write_bytes(one_node(name, helper.make_node(op, ["x"], [name])))
    none = helper.make_node("Slice", ["x", "zero", "zero"], ["empty"])
    (here / "empty.onnx").write_bytes(one_node("empty", none))
    for name in ("exp", "log", "empty"):
        assert run_command(["import", f"{here / name}.onnx", "-o", f"{here / name}.bta"]) == 0
    np.save(here / "zeros.npy", np.zeros((1, 4), np.float32))
    np.save(here / "float64.npy", pixels(9).astype(np.float64))
    np.save(here / "black.npy", np.zeros_like(pixels(9)))
    np.savez(here / "unknown.npz", images=pixels(9), other=pixels(9))
    return here


def write_saved(here: Path) -> None:
    """Write results as their commands print them."""
    ladder = survey(subject(), [Sample("x", {"": pixels(9)})])
    for name, schema, data in (
        ("healthy", DIAGNOSE, diagnosis_json(healthy())),
        ("cause", DIAGNOSE, diagnosis_json(one_cause())),
        ("climbed", LADDER, survey_json(ladder)),
    ):
        text = json.dumps({"schema": schema, **data}, allow_nan=False)
        (here / f"{name}.json").write_text(text, encoding="utf-8")


def with_other_byte(data: bytes, at: int) -> bytes:
    """Return an executable with one byte changed and the right checksum."""
    changed = bytearray(data)
    changed[at] ^= 1
    struct.pack_into("<I", changed, 12, zlib.crc32(changed[16:]))
    return bytes(changed)


def one_node(name: str, node: onnx.NodeProto) -> bytes:
    """Return a network of one node: x float32 [1,4] to `name`."""
    zero = helper.make_tensor("zero", TensorProto.INT64, [1], [0])
    graph = helper.make_graph(
        [node],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        [zero] if "zero" in node.input else [],
    )
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString())


def printed(line: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, object]:
    """Return a command's exit code and the JSON that it printed."""
    capfd.readouterr()
    code = run_command([*line.split(), "--json"])
    return code, json.loads(capfd.readouterr().out)


@pytest.mark.parametrize("line", LINES)
def test_what_a_command_prints_is_what_its_schema_says(
    line: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    name, wanted = LINES[line]
    code, data = printed(line, capfd)
    assert code == wanted
    jsonschema.Draft202012Validator(SCHEMAS[f"bittrue.{name}/1"]).validate(data)


def test_every_key_of_a_schema_is_printed_by_some_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    seen: dict[str, set[str]] = {name: set() for name in PRINTED}
    for line, (name, _) in LINES.items():
        seen[f"bittrue.{name}/1"] |= {
            key for row in objects(printed(line, capfd)[1]) for key in row
        }
    for name, schema in PRINTED.items():
        if name not in HELD_THERE:
            assert declared(schema) - seen[name] == set(), name


def objects(value: object) -> Iterator[dict[str, object]]:
    """Yield every JSON object in a value, itself included."""
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from objects(item)


def declared(schema: object) -> set[str]:
    """Return every key that a schema describes, at any depth."""
    tables = [row["properties"] for row in objects(schema) if "properties" in row]
    return {key for table in tables if isinstance(table, dict) for key in table}


# --- the schemas themselves ----------------------------------------------------------------------


def test_each_schema_of_a_command_has_a_file_and_each_file_a_command() -> None:
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in cli.list_commands(context)]
    helps = " ".join(
        p.help or "" for c in commands if c for p in c.params if isinstance(p, click.Option)
    )
    assert set(re.findall(r"bittrue\.[a-z]+/\d+", helps)) == set(PRINTED)


def test_the_source_names_no_schema_without_a_file() -> None:
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = {found for text in texts for found in re.findall(r'"(bittrue\.[a-z]+/\d+)"', text)}
    assert named == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_closed_and_says_what_each_key_means(name: str) -> None:
    schema = SCHEMAS[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert (schema["title"], schema["properties"]["schema"]["const"]) == (name, name)
    for row in objects(schema):
        if row.get("type") == "object":
            assert "additionalProperties" in row, row
        if isinstance(row.get("properties"), dict) and row.get("type") == "object":
            assert row["additionalProperties"] is False
            assert "required" in row
            for key, item in row["properties"].items():
                assert item.get("description", "").endswith("."), f"{name}: {key}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_refuses_what_it_does_not_describe(name: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": name}, SCHEMAS[name])


def enum(name: str, *keys: str) -> set[str]:
    """Return the words of an enum, found by its keys from the top of a schema."""
    found = SCHEMAS[f"bittrue.{name}/1"]
    for key in keys:
        found = found[key]
    return set(found["enum"])


def words_of(field: str) -> set[str]:
    """Return the words that a field of a Preprocess may hold, as its refusal lists them."""
    with pytest.raises(bittrue.UsageError) as why:
        bittrue.Preprocess((8, 8), **{field: "?"})  # type: ignore[arg-type]
    listed = re.search(rf"{field} is '\?', not one of ([^;\n]*)", str(why.value))
    assert listed is not None
    return set(listed[1].split(", "))


def test_the_words_of_the_schemas_are_those_of_the_tables() -> None:
    for name in ("network", "run", "inspect"):
        assert enum(name, "$defs", "stage") == set(tiny().stages)
    assert enum("ladder", "$defs", "stage") == {*tiny().stages, CAPTURE}
    shares = SCHEMAS["bittrue.ladder/1"]["$defs"]["layer"]["properties"]["shares"]
    assert tuple(shares["properties"]) == SHARES
    tensor, recipe = ("$defs", "tensor", "properties"), ("$defs", "preprocess", "properties")
    assert enum("inspect", *tensor, "layout") == set(LAYOUTS)
    assert enum("inspect", *tensor, "colour") == set(COLOURS)
    for field in ("resize", "interpolation", "corner", "colour", "layout", "dtype"):
        assert enum("inspect", *recipe, field) == words_of(field)
    assert enum("verify", "$defs", "mismatch", "properties", "pattern") == set(PATTERNS)
    assert enum("judge", "$defs", "check", "properties", "kind") == set(KINDS)
    assert enum("judge", "$defs", "check", "properties", "status") == set(STATUSES)
    assert enum("diagnose", "$defs", "mistake", "properties", "decided_by") == set(DECIDED_BY)
    fates = {*FATES, RELABELLED}
    assert enum("changes", "$defs", "layer", "properties", "fate") == fates
    assert enum("changes", "properties", "counts", "propertyNames") == fates
