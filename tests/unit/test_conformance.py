"""Conformance vectors: made as docs/format.md says, the same here and in C++, and found wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bittrue import chain
from bittrue.cli.main import run_command
from bittrue.compiler.fileformat import from_bytes, to_bytes
from bittrue.compiler.program import Program, Tensor, Vector, Vectors
from bittrue.compiler.vectors import (
    input_ranges,
    recipes,
    row_at,
    splitmix64,
    vector_inputs,
)
from bittrue.contract.tensor import TensorContract
from bittrue.engines.conformance import verify, with_vectors
from bittrue.engines.emulate import Emulator
from bittrue.engines.native_library import available_isas
from bittrue.errors import UsageError
from tests.bte import sealed, section
from tests.format.programs import small_program
from tests.programs import Builder
from tests.run_program import aarch64_program, call
from tests.unit.networks import tiny

TINY = tiny().executable or b""
Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny.bte."""
    (tmp_path / "tiny.bte").write_bytes(TINY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line of bittrue; returns exit code, standard output and standard error."""

    def call(line: str) -> tuple[int, str, str]:
        return run_command(line.split()), *capfd.readouterr()

    return call


# --- the recipe ----------------------------------------------------------------------------------


def brute_force(vector: Vector, ranges: tuple[tuple[float, float], ...],
                tensors: list[Tensor]) -> list[list[float]]:  # fmt: skip
    """The rule of docs/format.md in whole numbers and fractions, one element after the other."""
    state, found = vector.seed, []
    for (low, high), tensor in zip(ranges, tensors, strict=True):
        elements = []
        for _ in range(int(np.prod(tensor.shape))):
            state = (state + 0x9E3779B97F4A7C15) % 2**64
            z = state
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
            z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
            z ^= z >> 31
            if tensor.dtype != "float32":
                elements.append(int(low) + ((z >> 32) * (int(high) - int(low) + 1) >> 32))
                continue
            span = fl(Fraction(high) - Fraction(low))
            step = fl(span * Fraction(z >> 40, 2**24))
            elements.append(float(min(fl(Fraction(low) + step), Fraction(high))))
        found.append(elements)
    return found


def fl(exact: Fraction) -> Fraction:
    """The nearest float32, ties to even: the nearest of three candidates, by exact comparison."""
    near = np.float32(float(exact))
    three = [near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))]
    best = min(three, key=lambda item: (abs(Fraction(float(item)) - exact),
                                        int(item.view(np.uint32)) & 1))  # fmt: skip
    return Fraction(float(best))


def four_inputs() -> Program:
    """One input of each type, none of them in its full range."""
    made = Builder()
    inputs = (
        made.tensor((3, 5), name="u"),
        made.tensor((7,), "int8", "i"),
        made.tensor((2, 3), "int32", "n"),
        made.tensor((300,), "float32", "f"),
        made.tensor((1,), "float32", "g"),
    )
    y = made.tensor((300,), "float32", "y")
    made.step("F32_UNARY", (inputs[3],), y, function=3)
    return made.program(inputs, (y,))


FLOATS = (float(np.float32(-0.1)), float(np.float32(0.7)))
RANGES = ((3.0, 9.0), (-128.0, 127.0), (-(2.0**31), 2.0**31 - 1), FLOATS, (5.0, 5.0))


def given_vectors(program: Program, ranges: tuple[tuple[float, float], ...]) -> Program:
    """The program with vectors of every pattern and these ranges, hashed by the emulator."""
    rows = [Vector("random", 2**64 - 1, ()), Vector("lowest", 0, ()), Vector("highest", 0, ())]
    made = replace(program, vectors=Vectors(ranges, tuple(rows)))
    wanted, hashed = made.computed, []
    for row in rows:
        taps = Emulator(made).run(vector_inputs(made, row), wanted)[1]
        digests = tuple(hashlib.sha256(taps[index].tobytes()).digest() for index in wanted)
        hashed.append(replace(row, hashes=digests))
    return replace(made, vectors=Vectors(ranges, tuple(hashed)))


def test_splitmix64_gives_the_published_numbers() -> None:
    """Those of seed 1234567, as other implementations print them."""
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423,
              4593380528125082431, 16408922859458223821]  # fmt: skip
    assert splitmix64(1234567, 0, 5).tolist() == wanted
    assert splitmix64(1234567, 2, 3).tolist() == wanted[2:]


def test_random_inputs_are_those_of_the_rule() -> None:
    program = given_vectors(four_inputs(), RANGES)
    tensors = [program.tensors[index] for index in program.inputs]
    (random, lowest, highest) = program.vectors.rows
    for array, row, wanted in zip(
        vector_inputs(program, random), tensors, brute_force(random, RANGES, tensors), strict=True
    ):
        assert (array.dtype.name, array.shape) == (row.dtype, row.shape)
        assert array.reshape(-1).tolist() == wanted
    for pattern, place in ((lowest, 0), (highest, 1)):
        for array, row, limits in zip(
            vector_inputs(program, pattern), tensors, RANGES, strict=True
        ):
            assert (array == np.array(limits[place], row.dtype)).all()


def test_the_engine_makes_the_same_inputs(here: Path) -> None:
    """bittrue-run hashes the inputs that C++ made; the hashes are of those that NumPy made."""
    (here / "four.bte").write_bytes(to_bytes(given_vectors(four_inputs(), RANGES)))
    code, out, err = call("four.bte", "--verify", "--isa", "scalar", "--threads", "1")
    assert (code, out, err) == (0, "scalar, 1 thread: 3 vectors, 6 tensors, same bits\n", "")


def test_sha256_is_right_around_every_border_of_a_block(here: Path) -> None:
    made = Builder()
    lengths = (*range(1, 140), 191, 192, 193, 1000)
    inputs = tuple(made.tensor((count,), name=f"x{count}") for count in lengths)
    y = made.tensor((1,), name="y")
    made.step("TABLE", (inputs[0], made.constant(np.zeros((1, 256), np.uint8), "t")), y)
    program = given_vectors(made.program(inputs, (y,)), ((0.0, 255.0),) * len(inputs))
    (here / "lengths.bte").write_bytes(to_bytes(program))
    code, out, _ = call("lengths.bte", "--verify", "--isa", "scalar", "--threads", "1")
    assert (code, out) == (
        0,
        f"scalar, 1 thread: 3 vectors, {len(lengths) + 1} tensors, same bits\n",
    )


@pytest.mark.parametrize(
    ("dtype", "seen", "wanted"),
    [
        ("uint8", (0.0, 1.0), (0, 255)),
        ("int8", None, (-128, 127)),
        ("float32", None, (-1.0, 1.0)),
        ("float32", (-0.5, 3.0), (-0.5, 3.0)),
        ("float32", (-1e39, 1e39), (-(2.0**126), 2.0**126)),
        ("int32", None, (0, 127)),
        ("int32", (0.5, 30521.5), (0, 30522)),
    ],
)
def test_ranges_are_those_of_the_type_or_of_calibration(
    dtype: str, seen: tuple[float, float] | None, wanted: tuple[float, float]
) -> None:
    made = Builder()
    x, y = made.tensor((2,), dtype, "x"), made.tensor((2,), name="y")
    program = made.program((x,), (y,))
    row = TensorContract("x", (2,), dtype, value_range=seen)
    contract = replace(program.contract, inputs=(row,))
    assert input_ranges(replace(program, contract=contract)) == (wanted,)


def test_the_order_of_the_compilers_vectors() -> None:
    assert recipes(5) == [
        ("random", 1),
        ("highest", 0),
        ("lowest", 0),
        ("random", 2),
        ("random", 3),
    ]
    assert recipes(0) == []


# --- what the compiler stores --------------------------------------------------------------------


def test_compile_stores_the_hashes_of_the_emulator() -> None:
    program = from_bytes(TINY)
    assert [(row.pattern, row.seed) for row in program.vectors.rows] == recipes(2)
    again = replace(program, vectors=Vectors())
    for row in program.vectors.rows:
        inputs = vector_inputs(program, row)
        taps = Emulator(again).run(inputs, again.computed)[1]
        assert row.hashes == tuple(hashlib.sha256(a.tobytes()).digest() for a in taps.values())


def test_any_number_of_vectors_but_the_same_rest() -> None:
    three = chain.compile(tiny("quantized"), vectors=3).executable or b""
    none = chain.compile(tiny("quantized"), vectors=0).executable or b""
    assert len(from_bytes(three).vectors.rows) == 3
    assert from_bytes(none).vectors == Vectors()
    bare = [replace(from_bytes(data), vectors=Vectors()) for data in (TINY, three)]
    assert to_bytes(bare[0]) == to_bytes(bare[1]) == none
    with pytest.raises(UsageError, match="65 conformance vectors"):
        with_vectors(small_program(), 65)


# --- what is found -------------------------------------------------------------------------------


def test_every_isa_gives_the_same_bits(here: Path, run: Run) -> None:
    tensors = len(from_bytes(TINY).computed)
    lines = [
        f"{isa}, {count} thread{'s' * (count > 1)}: 2 vectors, {tensors} tensors, same bits"
        for isa in available_isas()
        for count in (1, 2, 4)
    ]
    code, out, err = run("verify tiny.bte")
    assert (code, out.splitlines(), err) == (0, lines, "")
    code, out, err = call("tiny.bte", "--verify")
    assert (code, out.splitlines(), err) == (0, lines, "")


def with_a_changed_hash(tensor: int, vector: int) -> bytes:
    program = from_bytes(TINY)
    hashed = program.computed
    row = row_at(len(program.inputs), len(hashed), vector)
    data = bytearray(TINY)
    data[section(TINY, "VECTORS")[0] + row + 16 + 32 * hashed.index(tensor) + 31] ^= 1
    return sealed(data)


def with_a_changed_weight() -> bytes:
    """The sign of the middle weight of the first convolution is another."""
    program = from_bytes(TINY)
    step = next(row for row in program.instructions if row.kind == "CONV")
    weight = program.tensors[step.inputs[1]]
    data = bytearray(TINY)
    data[section(TINY, "CONSTANTS")[0] + program.buffers[weight.buffer].offset + 13] ^= 0x80
    return sealed(data)


def with_another_seed() -> bytes:
    data = bytearray(TINY)
    data[section(TINY, "VECTORS")[0] + row_at(1, 0, 0) + 8] ^= 2
    return sealed(data)


def both(run: Run, name: str) -> tuple[str, str]:
    """What Python and bittrue-run say of a file whose bits differ."""
    code, python, _ = run(f"verify {name} --isa scalar --threads 1")
    assert code == 1
    code, native, err = call(name, "--verify", "--isa", "scalar", "--threads", "1")
    assert (code, err) == (1, "")
    return python, native


def test_one_changed_hash_is_found_and_named(here: Path, run: Run) -> None:
    program = from_bytes(TINY)
    step = program.instructions[1]
    name = program.tensors[step.outputs[0]].name
    (here / "bad.bte").write_bytes(with_a_changed_hash(step.outputs[0], 1))
    for told in both(run, "bad.bte"):
        assert "DIFFERENT: vector 1 (highest), first at tensor " + repr(name) in told
        assert f"written by instruction 1, {step.kind}" in told
        assert f"in {step.kind.lower()}_" in told
        assert told.endswith("; tensors that differ in it: 1\n")


def test_one_changed_weight_is_found_at_its_convolution(here: Path, run: Run) -> None:
    program = from_bytes(TINY)
    at = [row.kind for row in program.instructions].index("CONV")
    name = program.tensors[program.instructions[at].outputs[0]].name
    (here / "bad.bte").write_bytes(with_a_changed_weight())
    for told in both(run, "bad.bte"):
        assert f"vector 0 (random), first at tensor {name!r}" in told
        assert f"written by instruction {at}, CONV" in told
        assert ", in conv_general_scalar; " in told


def test_another_seed_shows_at_the_input(here: Path, run: Run) -> None:
    (here / "bad.bte").write_bytes(with_another_seed())
    for told in both(run, "bad.bte"):
        assert "first at tensor 'images', an input; " in told


def test_every_isa_is_tried_though_one_differs() -> None:
    program = from_bytes(TINY)
    data = with_a_changed_weight()
    found = list(verify(program, data, available_isas(), (1, 2)))
    assert [row.isa for row in found] == [isa for isa in available_isas() for _ in range(2)]
    assert all(row.mismatch is not None for row in found)


def test_json_names_the_first_difference(here: Path, run: Run) -> None:
    (here / "bad.bte").write_bytes(with_a_changed_weight())
    code, out, _ = run("verify bad.bte --json --threads 2")
    told = json.loads(out)
    assert (code, told["schema"], told["same"]) == (1, "bittrue.verify/1", False)
    assert [row["isa"] for row in told["verdicts"]] == list(available_isas())
    assert told["verdicts"][0]["mismatch"]["kind"] == "CONV"
    code, out, _ = run("verify tiny.bte --json --threads 2")
    told = json.loads(out)
    assert (code, told["same"]) == (0, True)
    assert told["verdicts"][0]["mismatch"] is None


def test_nothing_to_compare_with_is_an_error_that_says_how_to_add_it(here: Path, run: Run) -> None:
    none = chain.compile(tiny("quantized"), vectors=0).executable or b""
    (here / "none.bte").write_bytes(none)
    code, out, err = run("verify none.bte")
    assert (code, out) == (2, "")
    assert "holds no conformance vectors" in err
    assert "bittrue compile model.bta --vectors 2 -o model.bte" in err
    code, out, err = call("none.bte", "--verify")
    assert (code, out) == (2, "")
    assert "holds no conformance vectors" in err
    assert "bittrue compile model.bta --vectors 2 -o model.bte" in err


@pytest.mark.parametrize("text", ["0", "1,,2", "many", "1025", "9" * 5000, "-1", "1.5"])
def test_threads_of_another_form_are_refused(here: Path, run: Run, text: str) -> None:
    code, _, err = run(f"verify tiny.bte --threads={text}")
    assert code == 2
    assert "--threads" in err


# --- another CPU ---------------------------------------------------------------------------------


def test_aarch64_gives_the_same_bits(here: Path) -> None:
    program = aarch64_program()
    (here / "bad.bte").write_bytes(with_a_changed_weight())
    for cpu in ("cortex-a53", "cortex-a76", "max"):
        qemu = ("qemu-aarch64", "-cpu", cpu)
        code, out, err = call("tiny.bte", "--verify", before=qemu, path=program)
        assert (code, err) == (0, ""), cpu
        assert out.startswith("scalar, 1 thread: 2 vectors, "), cpu
        assert all(line.endswith(" tensors, same bits") for line in out.splitlines()), cpu
        code, out, _ = call("bad.bte", "--verify", before=qemu, path=program)
        assert code == 1, cpu
        assert all("DIFFERENT" in line for line in out.splitlines()), cpu
