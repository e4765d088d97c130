"""Sources of samples: folders of pictures and of arrays, stacks, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bittrue.errors import DataError
from bittrue.quant.samples import samples_from

SHAPE = (1, 2, 6, 6)


def test_a_folder_of_arrays_is_read_one_by_one_and_thinned_evenly(tmp_path: Path) -> None:
    for index in range(10):
        np.save(tmp_path / f"{index}.npy", np.full(SHAPE, index, np.float32))
    got = samples_from(tmp_path, limit=5)
    values = [float(np.asarray(got[i]).flat[0]) for i in range(len(got))]
    assert values == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_a_folder_of_pictures_goes_through_the_given_function(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    got = samples_from(tmp_path, prepare=lambda path: np.full(SHAPE, len(path.stem), np.float32))
    assert len(got) == 2
    assert np.asarray(got[0]).shape == SHAPE
    with pytest.raises(DataError, match="how the network wants them"):
        samples_from(tmp_path)


def test_npy_and_npz_are_stacks_of_samples(tmp_path: Path) -> None:
    stack = np.arange(3 * 72, dtype=np.float32).reshape(3, *SHAPE)
    np.save(tmp_path / "s.npy", stack)
    np.savez(tmp_path / "s.npz", x=stack)
    one, other = samples_from(tmp_path / "s.npy"), samples_from(tmp_path / "s.npz")
    assert len(one) == len(other) == 3
    for index in range(3):
        assert np.array_equal(np.asarray(one[index]), stack[index])
        assert np.array_equal(dict(other[index])["x"], stack[index])


def test_sources_without_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures"):
        samples_from(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        samples_from(tmp_path / "none.npy")
    (tmp_path / "bad.npy").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"cannot be read as \.npy"):
        samples_from(tmp_path / "bad.npy")
    np.savez(tmp_path / "unlike.npz", x=np.zeros((3, 2)), z=np.zeros((4, 2)))
    with pytest.raises(DataError, match="unlike numbers"):
        samples_from(tmp_path / "unlike.npz")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"cannot be read as \.npy"):
        samples_from(tmp_path / "o.npy")


# --- checks ----------------------------------------------------------------------------------
