"""`bittrue compare` with one model: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bittrue
from bittrue.cli.main import run_command
from bittrue.inputs import read_input
from tests.unit.networks import tiny, write_inputs

pytest.importorskip("onnxruntime", reason="the float stages run in onnxruntime")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = write_inputs(tmp_path_factory.mktemp("ladder"))
    network = tiny()
    bittrue.save_archive(network, here / "tiny.bta")
    bittrue.save_archive(tiny("native"), here / "native.bta")
    x = read_input(here / "x.png", network.preprocess)
    gave = bittrue.Session(network.executable or b"").run(x)["logits"]
    np.savez(here / "same.npz", logits=gave)
    np.savez(here / "off.npz", logits=-gave)
    np.savez(here / "named.npz", out7=gave)
    gave.tofile(here / "logits.bin")
    return here


def run(
    line: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    monkeypatch.chdir(folder)
    capfd.readouterr()
    code = run_command(line.split())
    out, err = capfd.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("tiny.bta --input x.png", 0, "not measured: compiled to capture (no capture was given"),
        ("native.bta --input x.png", 0, "bittrue optimize native.bta -o native.bta"),
        ("native.bta --input x.png", 0, "not measured: fp_optimized to quantized"),
        ("tiny.bta --input x.png --capture same.npz", 0, "every edge is within its budget"),
        ("tiny.bta --input x.png --capture logits.bin", 0, "every edge is within its budget"),
        ("tiny.bta --input x.png --capture off.npz", 1, "OVER ITS BUDGET FIRST: compiled to"),
        ("tiny.bta --input x.png --capture named.npz", 0, "is the capture's 'out7'"),
        (
            "tiny.bta --input x.png --capture named.npz --match logits=out7",
            0,
            "by given by hand, confidence 1.00",
        ),
        ("tiny.bta --input x.png --input pictures/0.png", 0, "2 samples (paired bootstrap)"),
        ("tiny.bta --input x.png --layers", 0, "the largest own error first"),
    ],
)
def test_what_the_ladder_prints_and_its_exit_code(
    line: str,
    code: int,
    told: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    got, out, _ = run(f"compare {line}", folder, monkeypatch, capfd)
    assert (got, told in out) == (code, True), out


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("tiny.bta@native --input x.png", 2, "leave out @native"),
        ("tiny.bta --input x.png --exact", 2, "each edge of the ladder has a bound of its own"),
        ("tiny.bta --input x.png --min-sqnr 10", 2, "name two stages"),
        ("tiny.bta tiny.bta --input x.png --input x.png", 2, "two stages are compared on one"),
        ("tiny.bta tiny.bta --input x.png --layers", 2, "bittrue compare tiny.bta --input x.png"),
        ("tiny.bta --input x.png --input x.png --capture same.npz", 2, "1 captured frames for 2"),
        ("tiny.bta --input x.png --capture same.npz --match logits", 2, "write OUTPUT=NAME"),
        ("tiny.bta --input x.png --match logits=out7", 2, "--capture"),
        ("tiny.bte --input x.png --layers", 5, "cannot be read"),
        ("native.bta --input x.png --layers", 2, "bittrue quantize native.bta"),
        ("tiny.bta --input x.png --capture none.npz", 5, "none.npz"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_to_do(
    line: str,
    code: int,
    told: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    got, _, err = run(f"compare {line}", folder, monkeypatch, capfd)
    assert (got, told in err) == (code, True), err


def test_layers_are_all_in_the_json(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run("compare tiny.bta --input x.png --layers --json", folder, monkeypatch, capfd)
    data = json.loads(out)
    assert (code, data["schema"]) == (0, "bittrue.ladder/1")
    rows = data["layers"]["rows"]
    assert {row["op"] for row in rows} >= {"Conv", "Dense"}
    assert data["layers"]["closes"] <= data["layers"]["promised"]
    for row in rows:
        assert sum(row["shares"].values()) == pytest.approx(1.0 if row["path"] else 0.0)
