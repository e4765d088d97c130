"""`bittrue diagnose`: exit codes, JSON by its schema, and what each error says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

import bittrue
from bittrue.cli.main import run_command
from tests.unit.scenes import TOML, codes, device, host, picture, seeing_onnx, subject

ROOT = Path(__file__).parents[2]
RULES = json.loads((ROOT / "docs/schemas/bittrue.diagnose-1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("cli")
    (here / "seeing.onnx").write_bytes(seeing_onnx())
    (here / "pre.toml").write_text(TOML)
    there = subject()
    assert there.network is not None
    bittrue.save_archive(there.network, here / "seeing.bta")
    (here / "cut.bta").write_bytes((here / "seeing.bta").read_bytes()[:2000])
    for index in range(2):
        pixels = picture(index)
        Image.fromarray(pixels[0]).save(here / f"{index}.png")
        for name, made in {
            "ok": device(host(pixels)),
            "bgr": device(host(pixels[..., ::-1])),
            "codes": codes(host(pixels)),
        }.items():
            np.savez(here / f"{name}{index}.npz", **made)  # type: ignore[arg-type]
    np.save(here / "bgr.npy", picture(0)[..., ::-1])
    (here / "cut.npz").write_bytes((here / "ok0.npz").read_bytes()[:300])
    return here


def run(
    line: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    monkeypatch.chdir(folder)
    capfd.readouterr()
    code = run_command(["diagnose", *line.split()])
    out, err = capfd.readouterr()
    return code, out, err


BOTH = "seeing.bta --picture 0.png --picture 1.png"


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        (f"{BOTH} --device ok0.npz --device ok1.npz", 0, "Nothing is wrong"),
        (f"{BOTH} --device bgr0.npz --device bgr1.npz", 1, "input.channel_order"),
        (f"{BOTH} --device codes0.npz --device codes1.npz", 1, "output.not_dequantized"),
        (
            "seeing.onnx --preprocess pre.toml --picture 0.png --device bgr0.npz",
            1,
            "input.channel_order",
        ),
        ("seeing.bta --picture 0.png --sent bgr.npy", 1, "input.channel_order"),
        ("--reference ok0.npz --device codes0.npz", 1, "output.not_dequantized"),
        ("--reference ok0.npz --device ok0.npz", 0, "Nothing is wrong"),
        ("cut.bta --picture 0.png --device ok0.npz", 1, "runtime.damaged_file"),
        ("seeing.bta --picture 0.png --device cut.npz", 1, "runtime.damaged_file"),
    ],
)
def test_the_exit_code_is_0_for_nothing_and_1_for_a_cause(
    folder, monkeypatch, capfd, line, code, told
) -> None:
    done, out, _ = run(line, folder, monkeypatch, capfd)
    assert done == code
    assert told in out


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("", 2, "nothing was given"),
        ("seeing.bta", 2, "nothing was given"),
        ("--device ok0.npz", 2, "compared with nothing"),
        (f"{BOTH} --device ok0.npz", 2, "2 of --picture, 1 of --device"),
        ("seeing.bta --picture 0.png --device ok0.npz --map a=map", 2, "'a' is no output"),
        ("seeing.bta --picture 0.png --device ok0.npz --map map", 2, "OURS=DEVICE"),
        ("seeing.bta --picture 0.png --device ok0.npz --budget -1", 2, "budget"),
        ("seeing.bta --picture gone.png --device ok0.npz", 5, "gone.png"),
        ("seeing.bta --picture 0.png --device gone.npz", 5, "gone.npz"),
        ("gone.bta --picture 0.png --device ok0.npz", 5, "gone.bta"),
        ("seeing.bta --picture 0.png --device ok0.npz --deployed gone.toml", 2, "gone.toml"),
    ],
)
def test_what_cannot_be_diagnosed_is_an_error_that_says_why(
    folder, monkeypatch, capfd, line, code, told
) -> None:
    done, out, err = run(line, folder, monkeypatch, capfd)
    assert (done, out) == (code, "")
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize("kind", ["ok", "bgr", "codes"])
def test_json_is_one_document_by_its_schema(folder, monkeypatch, capfd, kind) -> None:
    line = f"{BOTH} --device {kind}0.npz --device {kind}1.npz --json"
    done, out, _ = run(line, folder, monkeypatch, capfd)
    data = json.loads(out)
    jsonschema.validate(data, RULES)
    assert data["schema"] == "bittrue.diagnose/1"
    assert done == (0 if kind == "ok" else 1)


def test_other_forms_are_written_beside_it(folder, monkeypatch, capfd) -> None:
    line = f"{BOTH} --device bgr0.npz --device bgr1.npz --junit j.xml --sarif s.json"
    assert run(line, folder, monkeypatch, capfd)[0] == 1
    assert "input.channel_order" in (folder / "j.xml").read_text()
    assert "input.channel_order" in (folder / "s.json").read_text()


def test_a_budget_of_nothing_lists_what_was_not_tried(folder, monkeypatch, capfd) -> None:
    line = f"{BOTH} --device bgr0.npz --device bgr1.npz --budget 0"
    _, out, _ = run(line, folder, monkeypatch, capfd)
    assert "the budget was used up (--budget)" in out


def test_a_map_by_hand_is_taken(folder, monkeypatch, capfd) -> None:
    line = f"{BOTH} --device ok0.npz --device ok1.npz --map map=map --map logits=logits"
    assert run(line, folder, monkeypatch, capfd)[0] == 0
