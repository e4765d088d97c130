"""The command report: what it writes, what it refuses, and what it says of a capture."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bittrue.archive import save_archive
from bittrue.cli.main import run_command
from bittrue.session import Session
from tests.unit.networks import pixels, tiny, write_inputs
from tests.unit.test_page import Parsed


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_inputs(tmp_path)
    save_archive(tiny(), tmp_path / "tiny.bta")
    (tmp_path / "tiny.bte").write_bytes(tiny().executable or b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_the_page_and_the_node_data(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "report tiny.bta --input x.png -o out.html --node-data errors.json"
    assert run_command(line.split()) == 0
    said = capsys.readouterr().out.splitlines()
    assert [text.split()[1].rstrip(":") for text in said] == [
        *("out.html", "errors.path.json", "errors.own.json")
    ]
    text = (here / "out.html").read_text(encoding="utf-8")
    assert Parsed(text).open == []
    assert "no capture was given" in text
    assert json.loads((here / "errors.own.json").read_text())["results"]


def test_with_a_capture_the_page_holds_the_diagnosis(here: Path) -> None:
    swapped = pixels(9)  # the picture as it is: the network wants its channels the other way round
    outputs = Session(tiny().executable or b"").run(swapped)
    np.savez(here / "device.npz", **outputs)
    line = "report tiny.bta --input x.png --capture device.npz --budget 20 --no-layers"
    assert run_command(line.split()) == 0
    text = Parsed((here / "report.html").read_text(encoding="utf-8")).text
    assert "input.channel_order" in text
    assert "what the device gave" in text
    assert "no capture was given" not in text


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("report tiny.bta --input x.png -o page.txt", 2),
        ("report tiny.bta --input x.png --match logits", 2),
        ("report tiny.onnx --input x.png", 3),
        ("report tiny.bta --input absent.png", 5),
        ("report tiny.bta --input x.png --capture absent.npz", 5),
    ],
)
def test_what_cannot_be_reported_is_refused_and_nothing_is_written(
    here: Path, line: str, code: int
) -> None:
    assert run_command(line.split()) == code
    assert not (here / "report.html").exists()


def test_an_executable_gets_a_report_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["report", "tiny.bte", "--input", "x.png"]) == 0
    assert "without the layers' own errors" in capsys.readouterr().err


def test_without_jinja2_the_line_that_installs_it_is_said(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert run_command(["report", "tiny.bta", "--input", "x.png"]) == 2
    assert 'pip install "bittrue[tools]"' in capsys.readouterr().err


def test_the_command_takes_several_inputs_and_as_many_frames(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "report tiny.bta --input x.png --input pictures/0.png --no-layers"
    assert run_command(line.split()) == 0
    text = Parsed((here / "report.html").read_text(encoding="utf-8")).text
    assert "2 inputs, each stage against" in text
    np.savez(here / "device.npz", logits=np.zeros((1, 5), np.float32))
    assert run_command(f"{line} --capture device.npz".split()) == 2
    assert "1 captured frames for 2 inputs" in capsys.readouterr().err
