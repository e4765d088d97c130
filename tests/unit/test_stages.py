"""From a file and a stage's name to a runner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bittrue import chain
from bittrue.archive import save_archive
from bittrue.errors import DataError, FormatError, UsageError
from bittrue.inputs import adapt
from bittrue.network import LADDER
from bittrue.stages import (
    open_runner,
    open_subject,
    split_reference,
)
from tests.unit.networks import subject, tiny, write_onnx


def test_a_reference_is_a_path_and_a_stage(tmp_path: Path) -> None:
    assert split_reference("m.bta@native") == ("m.bta", "native")
    assert split_reference("m.bta") == ("m.bta", "")
    with pytest.raises(UsageError, match="did you mean 'native'"):
        split_reference("m.bta@natve")
    odd = tmp_path / "a@b"
    odd.write_bytes(b"")
    assert split_reference(str(odd)) == (str(odd), "")


def test_files_are_recognised_by_content(tmp_path: Path) -> None:
    save_archive(tiny(), tmp_path / "archive.txt")
    (tmp_path / "executable.txt").write_bytes(tiny().executable or b"")
    assert open_subject(tmp_path / "archive.txt").stages == LADDER
    assert open_subject(tmp_path / "executable.txt").stages == ("bit_true", "compiled")
    (tmp_path / "m.bta").write_bytes(b"\x08\x07onnx")
    with pytest.raises(FormatError, match="import it first"):
        open_subject(tmp_path / "m.bta")
    with pytest.raises(DataError, match="cannot be read"):
        open_subject(tmp_path)


def test_a_stage_that_was_not_reached_says_how_to_reach_it() -> None:
    with pytest.raises(UsageError, match=r"it holds source, native\n.*bittrue compile"):
        open_runner(subject("native"), "compiled")
    with pytest.raises(UsageError, match=r"'natve' is not in the file.*\n.*'native'"):
        open_runner(subject(), "natve")
    with pytest.raises(UsageError, match="not compiled yet"):
        subject("quantized").program()


def test_a_cut_network_runs_at_every_stage_between_its_cuts(tmp_path: Path) -> None:
    network = chain.import_model(write_onnx(tmp_path), start=("depthwise",), end=("pool",))
    x = np.random.default_rng(0).normal(0, 1, (4, *network.native.values["r1"].shape[1:]))
    network = chain.quantize(network, list(x.astype(np.float32)), observer="minmax")
    network = chain.compile(network)
    from bittrue.stages import Subject

    made = Subject("cut", network, network.executable)
    assert made.stages == LADDER
    given = {"": x[:1].astype(np.float32)}
    found = {}
    for stage in LADDER:
        runner = open_runner(made, stage)
        assert [row.name for row in runner.contract.inputs] == ["r1"]
        (found[stage],) = runner.run(adapt(given, runner.contract, {})).outputs.values()
    np.testing.assert_allclose(found["native"], found["source"], rtol=1e-5)
    np.testing.assert_allclose(found["compiled"], found["source"], atol=0.05)
