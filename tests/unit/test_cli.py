"""The commands: what they print, write and leave behind, and the exit code of each mistake."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bittrue import chain
from bittrue.archive import save_archive
from bittrue.cli import main as main_module
from bittrue.cli.main import run_command
from bittrue.cli.options import preprocess_of, shapes_of
from bittrue.errors import UsageError
from tests.golden import check_golden
from tests.unit.networks import pixels, tiny, write_inputs

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny.onnx, pre.toml, pictures/, x.png, tiny.bta, tiny.bte and native.bta."""
    write_inputs(tmp_path)
    save_archive(tiny(), tmp_path / "tiny.bta")
    save_archive(tiny("native"), tmp_path / "native.bta")
    (tmp_path / "tiny.bte").write_bytes(tiny().executable or b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs one command line; returns exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(line: str) -> tuple[int, str, str]:
        code = run_command(line.split())
        return code, *capfd.readouterr()

    return call


# --- the main job --------------------------------------------------------------------------------


def test_build_then_run(here: Path, run: Run) -> None:
    build = "build tiny.onnx --preprocess pre.toml --calibrate pictures --observer minmax"
    code, out, err = run(f"{build} -o new.bta -o new.bte")
    assert code == 0, err
    assert "wrote new.bta" in out
    archive, executable = out.splitlines()[:2]
    assert archive.endswith("stages source, native, fp_optimized, quantized, bit_true, compiled")
    assert "wrote new.bte" in executable
    assert executable.endswith("stages bit_true, compiled")
    code, out, _ = run("run new.bte --input x.png -o out.npz")
    assert code == 0
    with np.load(here / "out.npz") as arrays:
        assert arrays["logits"].shape == (1, 5)
    assert run("compare new.bta@bit_true new.bte --input x.png --exact")[0] == 0


def test_the_demo_asks_for_its_packages_before_it_fetches_anything(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bittrue.cli.demo.TOOLS", ("numpy", "no_such_package"))
    monkeypatch.setattr("bittrue.cli.demo.fetch", lambda name: pytest.fail(f"fetched {name}"))
    code, _, err = run("demo -o new_folder")
    assert code == 2
    assert "the demo needs no_such_package" in err
    assert 'pip install "bittrue[tools]"' in err
    assert not (here / "new_folder").exists()


def test_the_parts_give_the_same_as_build(here: Path, run: Run) -> None:
    options = "--calibrate pictures --observer minmax"
    run(f"build tiny.onnx --preprocess pre.toml {options} -o one.bte")
    run("import tiny.onnx --preprocess images=pre.toml -o two.bta")
    run("optimize two.bta -o two.bta")
    run(f"quantize two.bta {options} -o two.bta")
    assert run("compile two.bta -o two.bte")[0] == 0
    assert (here / "two.bte").read_bytes() == (here / "one.bte").read_bytes()


JSON = {
    "import tiny.onnx --preprocess pre.toml -o a.bta": "bittrue.network/1",
    "optimize native.bta -o a.bta": "bittrue.network/1",
    "quantize native.bta --calibrate pictures --observer minmax -o a.bta": "bittrue.network/1",
    "compile tiny.bta -o a.bte": "bittrue.network/1",
    "build tiny.onnx --preprocess pre.toml --calibrate pictures --observer minmax"
    " -o a.bta -o a.bte": "bittrue.network/1",
    "run tiny.bte --input x.png": "bittrue.run/1",
    "compare tiny.bta@native tiny.bta --input x.png": "bittrue.compare/1",
    "check tiny.bte --input x.png": "bittrue.check/1",
    "verify tiny.bte --threads 2": "bittrue.verify/1",
    "verify tiny.bta --threads 2 --isa scalar": "bittrue.verify/1",
    "inspect tiny.bta": "bittrue.inspect/1",
    "inspect tiny.bte": "bittrue.inspect/1",
    "changes tiny.bte": "bittrue.changes/1",
}


@pytest.mark.parametrize("line", JSON)
def test_json_is_one_valid_object_with_its_schema(here: Path, run: Run, line: str) -> None:
    code, out, err = run(f"{line} --json")
    assert code == 0, err

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    assert json.loads(out, parse_constant=refuse)["schema"] == JSON[line]


@pytest.mark.parametrize("line", [*JSON, "changes tiny.bta --svg a.svg --proof"])
def test_nothing_but_results_is_printed_where_there_is_no_terminal(
    here: Path, run: Run, line: str
) -> None:
    _, out, err = run(line)
    assert "\x1b" not in out + err
    assert "%" not in err
    assert [row for row in err.splitlines() if "calibration samples" not in row] == []


def test_an_executable_tells_the_layers_in_running_order_too(here: Path, run: Run) -> None:
    for file in ("tiny.bte", "tiny.bta"):
        layers = json.loads(run(f"changes {file} --json")[1])["layers"]
        assert [row["source"] for row in layers] == [node.name for node in tiny().native.nodes]


def test_the_calibration_bar_knows_how_many_samples_there_are() -> None:
    seen: list[tuple[int, int]] = []
    samples = [pixels(seed) for seed in range(3)]
    network = tiny("fp_optimized")
    chain.quantize(network, samples, observer="minmax", seen=lambda *row: seen.append(row))
    assert {index for index, _ in seen} == {0, 1, 2}
    assert {count for _, count in seen} == {3}


# --- mistakes ------------------------------------------------------------------------------------

MISTAKES = {
    "inspect none.bta": 5,
    "inspect tiny.onnx": 3,
    "inspect .": 5,
    "optimize tiny.onnx -o a.bta": 3,
    "optimize tiny.bte -o a.bta": 3,
    "optimize native.bta -o a.bte": 2,
    "optimize native.bta -o a.onnx": 2,
    "optimize native.bta -o .": 5,
    "optimize native.bta -o none/a.bta": 5,
    "compile native.bta -o a.bte": 2,
    "changes native.bta": 2,
    "import none.onnx -o a.bta": 5,
    "import x.png -o a.bta": 3,
    "import tiny.bta -o a.bta": 3,
    "import tiny.onnx --weights w.pt -o a.bta": 2,
    "import tiny.onnx --input-shape images=1,3 -o a.bta": 2,
    "import tiny.onnx --input-shape images -o a.bta": 2,
    "import tiny.onnx --preprocess none.toml -o a.bta": 2,
    "import tiny.onnx --end nothing -o a.bta": 2,
    "quantize native.bta --calibrate none -o a.bta": 5,
    "quantize native.bta --calibrate pictures --observer best -o a.bta": 2,
    "quantize native.bta --calibrate pictures --samples 0 -o a.bta": 2,
    "run tiny.bte --input none.npy": 5,
    "run tiny.bte --input x.png --tap nothing": 2,
    "run tiny.bte --input x.png --isa mmx": 2,
    "run tiny.bte@native --input x.png": 2,
    "run tiny.bta@natve --input x.png": 2,
    "run tiny.bte --input x.png -o a.npy": 2,
    "run tiny.bte --input float64.npy": 5,
    "check tiny.bte --input float64.npy": 5,
    "compare tiny.bta@native tiny.bta --input x.png --min-sqnr nan": 2,
    "compare tiny.bta@native tiny.bta --input x.png --max-relative -1": 2,
    "compare tiny.bta@native tiny.bta --input x.png --exact": 1,
    "quantise native.bta": 2,
    "run tiny.bte": 2,
    "run tiny.bte --input x.png --nonsense": 2,
}


@pytest.mark.parametrize("line", MISTAKES)
def test_each_mistake_has_its_exit_code_and_leaves_no_file(here: Path, run: Run, line: str) -> None:
    np.save(here / "float64.npy", pixels(9).astype(np.float64))
    before = sorted(path.name for path in here.iterdir())
    code, out, err = run(line)
    assert code == MISTAKES[line], out + err
    assert sorted(path.name for path in here.iterdir()) == before
    if code != 1:
        assert "Traceback" not in err
        assert out + err


def test_the_texts_of_mistakes_are_the_ones_people_read(here: Path, run: Run) -> None:
    np.save(here / "float64.npy", pixels(9).astype(np.float64))
    told = {line: "".join(run(line)[1:]) for line, code in MISTAKES.items() if code != 1}
    # What click says of its own changes with its version.
    ours = {line: text for line, text in told.items() if "Usage:" not in text}
    assert len(ours) > 25
    texts = [f"$ bittrue {line}\n{text}" for line, text in ours.items()]
    check_golden("cli/mistakes.txt", "\n".join(texts))


@pytest.mark.parametrize("variable", ["BITTRUE_LOG", "BITTRUE_ISA", "BITTRUE_THREADS"])
def test_a_wrong_setting_is_a_usage_error(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "nonsense")
    code, _, err = run("run tiny.bte --input x.png")
    assert code == 2
    assert f"{variable}='nonsense'" in err


def test_options_as_values() -> None:
    assert shapes_of(("a=b=1,3",)) == {"a=b": (1, 3)}
    with pytest.raises(UsageError, match="twice"):
        shapes_of(("x=1", "x=2"))
    with pytest.raises(UsageError, match="names of their inputs"):
        preprocess_of(("a.toml", "b.toml"))
    assert preprocess_of(("a=a.toml", "b=b.toml")) == {"a": Path("a.toml"), "b": Path("b.toml")}


# --- what interrupts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (OSError(errno.ENOSPC, "No space left"), 5)]
)
def test_an_interrupted_write_leaves_the_old_file(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def stop(handle: int) -> None:
        raise error

    before = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    monkeypatch.setattr(os, "fsync", stop)
    assert run("optimize native.bta -o native.bta")[0] == code
    after = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    assert after == before


def test_a_bug_is_reported_with_a_file_that_repeats_it(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(here))
    monkeypatch.setattr("tempfile.tempdir", str(here))
    monkeypatch.setattr("bittrue.cli.explain.inspection_text", lambda subject: 1 / 0)
    code, _, err = run("inspect tiny.bta")
    assert code == 70
    (report,) = here.glob("bittrue-bug-*.txt")
    assert str(report) in err
    assert "ZeroDivisionError" in report.read_text()
    assert "command: bittrue inspect tiny.bta" in report.read_text()


def test_too_little_memory_is_no_bug(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(subject: object) -> str:
        raise MemoryError

    monkeypatch.setattr("bittrue.cli.explain.inspection_text", full)
    assert run("inspect tiny.bta")[:1] == (5,)


def python(code: str, *words: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    source = str(Path(main_module.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source}
    return subprocess.run(command, text=True, env=environment, check=False, **more)  # type: ignore[call-overload,no-any-return]


def test_a_reader_that_leaves_is_no_error(here: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = "from bittrue.cli.main import main; main()"
    done = python(code, "inspect", "tiny.bta", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_loads_no_command(here: Path) -> None:
    code = (
        "import sys; from bittrue.cli.main import run_command; run_command(['--help']);"
        "print([m for m in sys.modules if m.startswith('bittrue.') and m.split('.')[1] not in"
        " ('cli', 'errors', 'settings', 'suggest', 'version')], 'onnx' in sys.modules)"
    )
    done = python(code, capture_output=True)
    assert done.stdout.splitlines()[-1] == "[] False"
