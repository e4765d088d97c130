"""bittrue-run: the same bytes as Python's engine, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bittrue import __version__
from bittrue.compiler.fileformat import to_bytes
from bittrue.engines.emulate import Emulator
from bittrue.engines.native import Engine
from bittrue.engines.native_library import available_isas
from bittrue.session import Session
from tests.golden import check_golden
from tests.programs import Builder
from tests.run_program import call
from tests.unit.networks import pixels, tiny

BYTES = tiny().executable or b""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny.bte and an input x.npy."""
    (tmp_path / "tiny.bte").write_bytes(BYTES)
    np.save(tmp_path / "x.npy", pixels(9))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wanted() -> np.ndarray:
    with Session(BYTES) as session:
        return session.run(pixels(9), codes=True)["logits"]


def two_in_two_out() -> bytes:
    """Inputs 'a=b' and 'a', float32 [2]; outputs 'sum/ü' and 'x:\\n' (their difference)."""
    made = Builder()
    a, b = made.tensor((2,), "float32", "a=b"), made.tensor((2,), "float32", "a")
    total, rest = made.tensor((2,), "float32", "sum/ü"), made.tensor((2,), "float32", "x:\n")
    made.step("F32_BINARY", (a, b), total, function=0)
    made.step("F32_BINARY", (a, b), rest, function=1)
    return to_bytes(made.program((a, b), (total, rest)))


# --- what it computes -----------------------------------------------------------------------------


def test_npy_in_and_out_are_what_python_gives(here: Path) -> None:
    code, out, err = call("tiny.bte", "--input", "x.npy", "--output", "y.npy")
    assert (code, out, err) == (0, "wrote y.npy\n", "")
    found = np.load("y.npy")
    assert found.dtype == np.float32
    assert found.shape == (1, 5)
    assert found.tobytes() == wanted().tobytes()
    assert sorted(path.name for path in here.iterdir()) == ["tiny.bte", "x.npy", "y.npy"]


def test_raw_bytes_in_and_out_are_the_same(here: Path) -> None:
    (here / "x.bin").write_bytes(pixels(9).tobytes())
    assert call("tiny.bte", "--input=x.bin", "--output=logits=y.bin")[0] == 0
    assert (here / "y.bin").read_bytes() == wanted().tobytes()


def test_every_isa_and_any_threads_give_the_same_file(here: Path) -> None:
    for isa in (*available_isas(), "auto"):
        for threads in ("1", "3"):
            words = ("--isa", isa, "--threads", threads, "--output", "y.npy")
            assert call("tiny.bte", "--input", "x.npy", *words)[0] == 0
            assert np.load("y.npy").tobytes() == wanted().tobytes()


def test_version_2_and_odd_headers_are_read(here: Path) -> None:
    with (here / "x.npy").open("wb") as out:
        np.lib.format.write_array(out, pixels(9), version=(2, 0))
    assert call("tiny.bte", "--input", "x.npy", "--output", "y.npy")[0] == 0
    text = b'{"shape":(1,16,16,3),"fortran_order":False,"descr":"|u1"}'
    head = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
    (here / "x.npy").write_bytes(head + text + pixels(9).tobytes())
    assert call("tiny.bte", "--input", "x.npy", "--output", "z.npy")[0] == 0
    assert (here / "y.npy").read_bytes() == (here / "z.npy").read_bytes()


def test_taps_are_every_computed_tensor_as_it_was_when_last_written(here: Path) -> None:
    words = ("--input", "x.npy", "--taps", "taps", "--output", "outs/")
    assert call("tiny.bte", *words)[0] == 0
    program = Session(BYTES).program
    inner = program.computed
    taps = Emulator(program).run([pixels(9)], inner)[1]
    rows = json.loads((here / "taps" / "index.json").read_text(encoding="utf-8"))
    assert tuple(row["tensor"] for row in rows) == inner
    for row in rows:
        found, tensor = np.load(here / "taps" / row["file"]), program.tensors[row["tensor"]]
        assert (row["name"], row["dtype"], tuple(row["shape"])) == (
            tensor.name, tensor.dtype, tensor.shape
        )  # fmt: skip
        assert np.float32(row["scale"]) == np.float32(tensor.scale[0] if tensor.scale else 0)
        assert row["zero_point"] == tensor.zero_point
        assert found.dtype.name == tensor.dtype
        assert found.tobytes() == taps[row["tensor"]].tobytes(), row["name"]
    assert len(list((here / "taps").iterdir())) == len(rows) + 1
    (output,) = json.loads((here / "outs" / "index.json").read_text(encoding="utf-8"))
    assert np.load(here / "outs" / output["file"]).tobytes() == wanted().tobytes()


def test_names_may_hold_anything(here: Path) -> None:
    data = two_in_two_out()
    (here / "two.bte").write_bytes(data)
    a, b = np.float32([1, 2]), np.float32([0.5, 0.25])
    np.save("1.npy", a)
    np.save("2.npy", b)
    words = ("--input", "a=b=1.npy", "--input", "a=2.npy")
    assert call("two.bte", *words, "--output", "outs/", "--output", "sum/ü=s.npy")[0] == 0
    with Engine(data) as engine:
        total, rest = engine.run([a, b])[0]
    assert np.load("s.npy").tobytes() == total.tobytes()
    rows = json.loads((here / "outs" / "index.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == ["sum/ü", "x:\n"]
    assert [row["file"] for row in rows] == ["00000_sum___.npy", "00001_x__.npy"]
    assert np.load(here / "outs" / rows[1]["file"]).tobytes() == rest.tobytes()
    code, out, _ = call("two.bte", "--list")
    assert code == 0
    assert "output 'x:\\x0a' float32 [2], 8 bytes" in out


def test_repeat_prints_times(here: Path) -> None:
    code, out, _ = call("tiny.bte", "--input", "x.npy", "--repeat", "5", "--threads", "2")
    assert code == 0
    assert out.startswith("5 runs, ")
    assert ", 2 threads: min " in out
    least, median = (float(out.split(word)[1].split()[0]) for word in ("min", "median"))
    assert 0 < least <= median


def test_list_isas_and_version(here: Path) -> None:
    code, out, _ = call("tiny.bte", "--list")
    assert code == 0
    assert out.splitlines() == [
        "input  'images' uint8 [1, 16, 16, 3] scale 1 zero_point 0, 768 bytes",
        "output 'logits' float32 [1, 5], 20 bytes",
    ]
    code, out, _ = call("--isas")
    assert code == 0
    rows = [line.split(None, 1) for line in out.splitlines()]
    assert tuple(name for name, said in rows if said == "available") == available_isas()
    assert call("--version") == (0, f"bittrue-run {__version__}\n", "")
    code, out, _ = call("--help")
    assert code == 0
    assert "--taps FOLDER" in out


# --- what it refuses ------------------------------------------------------------------------------

RUN = "--input x.npy --output y.npy"
MISTAKES = (
    "",
    "tiny.bte",
    f"none.bte {RUN}",
    f"tiny.bte again.bte {RUN}",
    "tiny.bte --output y.npy",
    f"tiny.bte {RUN} --threads 5000",
    f"tiny.bte {RUN} --repeat many",
    f"tiny.bte {RUN} --frobnicate 1",
    "tiny.bte --input",
    "tiny.bte --verify --input x.npy",
    "tiny.bte --list --output y.npy",
    "tiny.bte --input x.npy --output y.png",
    "tiny.bte --input x.npy --output none/y.npy",
    "tiny.bte --input x.npy --taps none/taps",
    "tiny.bte --input x.png --output y.npy",
    "tiny.bte --input none.npy --output y.npy",
    "tiny.bte --input short.bin --output y.npy",
    "tiny.bte --input long.bin --output y.npy",
    "tiny.bte --input text.npy --output y.npy",
    "tiny.bte --input float64.npy --output y.npy",
    "tiny.bte --input nchw.npy --output y.npy",
    "tiny.bte --input small.npy --output y.npy",
    "tiny.bte --input fortran.npy --output y.npy",
    "tiny.bte --input cut.npy --output y.npy",
    "tiny.bte --input more.npy --output y.npy",
    "tiny.bte --input object.npy --output y.npy",
    "tiny.bte --input structured.npy --output y.npy",
    "tiny.bte --input version3.npy --output y.npy",
    "codes.bte --input float32.npy --output y.npy",
    "floats.bte --input big_endian.npy --output y.npy",
    "floats.bte --input float64.npy --output y.npy",
    "two.bte --input a=float32.npy --output outs/",
    "two.bte --input float32.npy --output outs/",
    "two.bte --input a=float32.npy --input a=float32.npy --output outs/",
    "two.bte --input a=float32.npy --input a=b=float32.npy --output y.npy",
)


def write_mistakes(folder: Path) -> None:
    """Write the files that the lines of MISTAKES name."""
    x = pixels(9)
    (folder / "two.bte").write_bytes(two_in_two_out())
    for name, dtype in (("codes", "uint8"), ("floats", "float32")):
        made = Builder()
        given, y = made.tensor((2,), dtype, "x"), made.tensor((2,), dtype, "y")
        if dtype == "uint8":
            made.step("TABLE", (given, made.constant(np.zeros((1, 256), np.uint8), "t")), y)
        else:
            made.step("F32_UNARY", (given,), y)
        (folder / f"{name}.bte").write_bytes(to_bytes(made.program((given,), (y,))))
    (folder / "short.bin").write_bytes(x.tobytes()[:-1])
    (folder / "long.bin").write_bytes(x.tobytes() * 2)
    (folder / "text.npy").write_text("1 2 3")
    np.save(folder / "float64.npy", x.astype(np.float64))
    np.save(folder / "float32.npy", np.float32([1, 2]))
    np.save(folder / "big_endian.npy", np.array([1, 2], ">f4"))
    np.save(folder / "nchw.npy", x.transpose(0, 3, 1, 2).copy())
    np.save(folder / "small.npy", x[:, :8])
    np.save(folder / "fortran.npy", np.asfortranarray(x))
    np.save(folder / "object.npy", np.array([None]), allow_pickle=True)
    np.save(folder / "structured.npy", np.zeros(1, [("a", "u1")]))
    whole = (folder / "x.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:-1])
    (folder / "more.npy").write_bytes(whole + b"x")
    (folder / "version3.npy").write_bytes(whole[:6] + b"\x03" + whole[7:])


def test_each_mistake_is_one_line_that_says_what_to_do(here: Path) -> None:
    write_mistakes(here)
    before = {path.name for path in here.iterdir()}
    told = []
    for line in MISTAKES:
        code, out, err = call(*line.split())
        assert out == "", line
        assert err.startswith("error: "), line
        assert err.count("\n") == 1, line
        told.append(f"$ bittrue-run {line}\n[{code}] {err}")
    check_golden("run_program/mistakes.txt", "\n".join(told))
    assert {path.name for path in here.iterdir()} == before


def test_a_damaged_executable_is_refused_with_the_byte(here: Path) -> None:
    damaged = bytearray(BYTES)
    damaged[-1000] ^= 1
    (here / "damaged.bte").write_bytes(damaged)
    (here / "short.bte").write_bytes(BYTES[:-64])
    code, _, err = call("damaged.bte", *RUN.split())
    assert code == 3
    assert err.startswith("error: damaged.bte at byte 12: checksum is 0x")
    code, _, err = call("short.bte", *RUN.split())
    assert code == 3
    assert err.startswith(f"error: short.bte at byte 16: the header says {len(BYTES)} bytes")


def test_an_unknown_isa_is_refused_with_those_there_are(here: Path) -> None:
    code, _, err = call("tiny.bte", *RUN.split(), "--isa", "sse9")
    assert code == 2
    assert f"this CPU runs: {', '.join(available_isas())}; next: choose one" in err


GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 16, 16, 3), }"
ODD_HEADERS = {
    "more after it": GOOD + " 1",
    "no dictionary": GOOD[1:],
    "no end": GOOD[:-1],
    "no descr": "{'fortran_order': False, 'shape': (1, 16, 16, 3), }",
    "no order": "{'descr': '|u1', 'shape': (1, 16, 16, 3), }",
    "no shape": "{'descr': '|u1', 'fortran_order': False, }",
    "a key twice": GOOD.replace("{", "{'descr': '|u1', "),
    "another key": GOOD.replace("{", "{'more': '|u1', "),
    "order as a number": GOOD.replace("False", "0"),
    "order cut": "{'fortran_order': Fal",
    "a negative size": GOOD.replace("16, 3", "-16, 3"),
    "a size past 2^64": GOOD.replace("16, 3", "18446744073709551617, 3"),
    "sizes that wrap to the right product": GOOD.replace("1, 16", "1, 4611686018427387904, 4, 16"),
    "a size that is text": GOOD.replace("16, 3", "'16', 3"),
    "a list": GOOD.replace("(", "[").replace(")", "]"),
    "no comma": GOOD.replace("16, 3", "16 3"),
    "text without end": "{'descr': '|u1",
    "an escape": GOOD.replace("|u1", "\\x7cu1"),
    "a control character": GOOD.replace("|u1", "|u1\x1b"),
    "65 axes": GOOD.replace("1, 16", "1, " * 62 + "1, 16"),
    "nothing": "",
}


@pytest.mark.parametrize("what", ODD_HEADERS)
def test_a_header_of_another_form_is_refused(here: Path, what: str) -> None:
    def written(text: str) -> int:
        head = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
        (here / "odd.npy").write_bytes(head + pixels(9).tobytes())
        return call("tiny.bte", "--input", "odd.npy", "--output", "y.npy")[0]

    assert written(ODD_HEADERS[what]) == 5
    assert written(GOOD) == 0


def test_an_input_cut_at_any_byte_is_refused(here: Path) -> None:
    whole = (here / "x.npy").read_bytes()
    for length in (*range(0, 140, 3), len(whole) - 1):
        (here / "cut.npy").write_bytes(whole[:length])
        assert call("tiny.bte", "--input", "cut.npy", "--output", "y.npy")[0] == 5, length


def test_a_full_disk_leaves_the_old_file_and_nothing_else(here: Path) -> None:
    (here / "y.npy").write_bytes(b"old")
    before = sorted(path.name for path in here.iterdir())
    words = ("--input", "x.npy", "--output", "y.npy")
    code, _, err = call("tiny.bte", *words, most_bytes=100)
    assert (code, err) == (
        5,
        "error: y.npy: cannot be written: File too large; next: check that the folder exists, "
        "is yours to write, and has room\n",
    )
    assert (here / "y.npy").read_bytes() == b"old"
    assert sorted(path.name for path in here.iterdir()) == before
