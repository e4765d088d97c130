"""The executable on the device: checked buffers in, named arrays out, the same bits always."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from bittrue.compiler.fileformat import to_bytes
from bittrue.errors import DataError, FormatError, UsageError
from bittrue.inputs import accept
from bittrue.session import Session
from tests.golden import check_golden
from tests.unit.networks import pixels, subject, tiny

BYTES = tiny().executable or b""


def test_a_path_and_bytes_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.bte").write_bytes(BYTES)
    with Session(tmp_path / "m.bte") as one, Session(BYTES) as two:
        np.testing.assert_array_equal(
            one.run(pixels(9))["logits"], two.run({"images": pixels(9)})["logits"]
        )


def test_threads_and_isa_do_not_change_a_bit() -> None:
    wanted = None
    for isa in ("scalar", "auto"):
        for threads in (1, 2):
            with Session(BYTES, isa=isa, threads=threads) as session:
                found = session.run(pixels(9))["logits"].tobytes()
                wanted = wanted or found
                assert found == wanted


def test_a_view_with_odd_strides_runs_as_its_copy() -> None:
    backwards = pixels(9)[:, :, ::-1]
    with Session(BYTES) as session:
        found = session.run(backwards)["logits"]
        np.testing.assert_array_equal(found, session.run(backwards.copy())["logits"])
        assert accept(session.contract, backwards)["images"].flags.c_contiguous


def test_the_storys_message_is_the_one_people_read() -> None:
    """A float64 picture for a 1x640x640x3 uint8 contract: told from 2 or 8 frames."""
    from dataclasses import replace

    contract = subject().program().contract
    big = replace(contract.inputs[0], name="input_layer1", shape=(1, 640, 640, 3))
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (1, 640, 640, 3)).astype(np.float64)
    with pytest.raises(DataError) as told:
        accept(replace(contract, inputs=(big,)), x)
    assert "9,830,400 bytes received, 1,228,800 expected" in str(told.value)
    check_golden("session/float64_for_640x640x3.txt", str(told.value))


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((1, 16, 16, 3)),
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((16, 16, 3), np.uint8),
        pixels(1).astype(np.float32) / 255,
        {"image": pixels(1)},
        {},
    ],
)
def test_nothing_is_guessed(bad: object) -> None:
    with Session(BYTES) as session, pytest.raises(DataError, match="do not fit"):
        session.run(bad)  # type: ignore[arg-type]


def test_a_black_picture_runs_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with Session(BYTES) as session, caplog.at_level(logging.WARNING):
        session.run(np.zeros((1, 16, 16, 3), np.uint8))
    assert "input.cast_to_zero" in caplog.text


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        Session(tmp_path / "none.bte")
    with pytest.raises(FormatError):
        Session(BYTES[:-1])
    with pytest.raises(UsageError):
        Session(BYTES, isa="mmx")


def test_the_program_survives_its_file() -> None:
    assert to_bytes(subject().program()) == BYTES
