"""Captures: every form of file, what describes raw bytes, and what is refused and how."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from bittrue import capture_files
from bittrue.arrays import npz_bytes
from bittrue.capture import Capture, Captured, read_captures, write_capture
from bittrue.contract.deployed import HOLDS
from bittrue.contract.tensor import HOLDS_CODES, LAYOUTS, Contract, TensorContract
from bittrue.dtypes import DTYPES
from bittrue.errors import DataError, FormatError

BOXES = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
CODES = np.arange(6, dtype=np.uint8).reshape(1, 6)
DEPLOYED = Contract(
    (TensorContract("images", (1, 2, 2, 3), "uint8", "NHWC"),),
    (
        TensorContract("boxes", (1, 3, 4), "float32"),
        TensorContract("scores", (1, 6), "uint8", "NC", scale=0.5, zero_point=3, holds=HOLDS_CODES),
    ),
)


def only(path: Path, described: Contract | None = None) -> Capture:
    (capture,) = read_captures(path, described=described)
    return capture


def npy(array: np.ndarray) -> bytes:
    member = io.BytesIO()
    np.save(member, array)
    return member.getvalue()


def named(capture: Capture) -> dict[str, np.ndarray]:
    return {row.name: row.array for row in capture.outputs}


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


# --- the forms of files --------------------------------------------------------------------------


def test_the_arrays_of_a_npz_are_outputs_and_those_below_sent_what_was_sent(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", **{"boxes": BOXES, "scores": CODES, "sent/images": CODES})
    capture = only(tmp_path / "c.npz")
    same(named(capture), {"boxes": BOXES, "scores": CODES})
    same(dict(capture.sent), {"images": CODES})


def test_a_compressed_npz_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "c.npz", boxes=np.asfortranarray(BOXES[0]))
    same(named(only(tmp_path / "c.npz")), {"boxes": BOXES[0]})


def test_a_npy_has_the_name_of_its_file(tmp_path: Path) -> None:
    np.save(tmp_path / "boxes.npy", BOXES)
    same(named(only(tmp_path / "boxes.npy")), {"boxes": BOXES})


def test_arrays_of_the_other_byte_order_become_native(tmp_path: Path) -> None:
    np.save(tmp_path / "boxes.npy", BOXES.astype(">f4"))
    same(named(only(tmp_path / "boxes.npy")), {"boxes": BOXES})


def test_a_folder_of_arrays_is_one_frame(tmp_path: Path) -> None:
    np.save(tmp_path / "boxes.npy", BOXES)
    CODES.tofile(tmp_path / "scores.bin")
    (tmp_path / "sent").mkdir()
    np.save(tmp_path / "sent" / "images.npy", CODES)
    (tmp_path / "notes.txt").write_text("from the lab")
    capture = only(tmp_path, DEPLOYED)
    same(named(capture), {"boxes": BOXES, "scores": CODES})
    same(dict(capture.sent), {"images": CODES})


@pytest.mark.parametrize("kind", ["folder", ".npz", ".zip"])
def test_frames_come_in_natural_order(tmp_path: Path, kind: str) -> None:
    for number in (10, 9, 1):
        frame = Capture("", (Captured("n", np.array([number])),))
        if kind == "folder":
            (tmp_path / f"frame{number}").mkdir()
            np.save(tmp_path / f"frame{number}" / "n.npy", np.array([number]))
        else:
            write_capture(tmp_path / f"frame{number}{kind}", frame)
    frames = read_captures(tmp_path)
    assert [int(frame.outputs[0].array[0]) for frame in frames] == [1, 9, 10]


def test_a_folder_of_arrays_and_frames_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "boxes.npy", BOXES)
    np.savez(tmp_path / "c.npz", BOXES)
    with pytest.raises(DataError, match=r"both arrays \('boxes\.npy'\) and whole frames"):
        read_captures(tmp_path)


# --- raw bytes -----------------------------------------------------------------------------------


def test_raw_bytes_that_nothing_describes_are_refused_with_the_way_to_describe_them(
    tmp_path: Path,
) -> None:
    CODES.tofile(tmp_path / "scores.bin")
    with pytest.raises(DataError, match=r"6 bytes of no known type") as why:
        read_captures(tmp_path / "scores.bin")
    assert 'scores.json beside it with {"dtype"' in why.value.hint


@pytest.mark.parametrize("name", ["scores.bin", "anything.raw"])
def test_the_deployed_contract_describes_raw_bytes_by_name_or_size(
    tmp_path: Path, name: str
) -> None:
    CODES.tofile(tmp_path / name)
    (row,) = only(tmp_path / name, DEPLOYED).outputs
    same({"": row.array}, {"": CODES})
    assert (row.scale, row.zero_point, row.layout, row.holds) == (0.5, 3, "NC", HOLDS_CODES)


def test_one_raw_file_of_all_outputs_is_cut_into_them(tmp_path: Path) -> None:
    (tmp_path / "all.bin").write_bytes(BOXES.tobytes() + CODES.tobytes())
    capture = only(tmp_path / "all.bin", DEPLOYED)
    same(named(capture), {"boxes": BOXES, "scores": CODES})
    assert capture.outputs[1].scale == 0.5


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".json", '{"name": "s", "dtype": "uint8", "shape": [2, 3], "scale": 0.5}'),
        (".toml", 'name = "s"\ndtype = "uint8"\nshape = [2, 3]\nscale = 0.5'),
        (".json", '{"tensors": [{"name": "s", "array": "x", "dtype": "uint8", "shape": [2, 3],'
         ' "scale": 0.5}]}'),
    ],
)  # fmt: skip
def test_a_description_beside_raw_bytes_says_what_they_are(
    tmp_path: Path, suffix: str, text: str
) -> None:
    CODES.tofile(tmp_path / "x.bin")
    (tmp_path / f"x{suffix}").write_text(text)
    for path in (tmp_path / "x.bin", tmp_path / f"x{suffix}", tmp_path):
        (row,) = only(path).outputs
        same({row.name: row.array}, {"s": CODES.reshape(2, 3)})
        assert (row.scale, row.zero_point) == (0.5, 0)


def test_raw_bytes_of_another_size_than_described_are_refused_with_both(tmp_path: Path) -> None:
    np.concatenate([CODES, CODES]).tofile(tmp_path / "scores.bin")
    with pytest.raises(DataError, match=r"12 bytes, 2 times as many; uint8 \[1, 6\] takes 6"):
        read_captures(tmp_path / "scores.bin", described=DEPLOYED)


def test_a_type_without_a_shape_gives_flat_values(tmp_path: Path) -> None:
    BOXES.tofile(tmp_path / "boxes.bin")
    (tmp_path / "boxes.json").write_text('{"dtype": "float32"}')
    same(named(only(tmp_path / "boxes.bin")), {"boxes": BOXES.reshape(-1)})


# --- what is known besides the numbers -----------------------------------------------------------


def test_the_contract_says_what_a_npz_does_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", scores=CODES, boxes=BOXES.astype(np.float64))
    scores, boxes = only(tmp_path / "c.npz", DEPLOYED).outputs
    assert (scores.scale, scores.zero_point, scores.holds) == (0.5, 3, HOLDS_CODES)
    assert boxes.holds == "", "float64 is not what was deployed, so nobody knows what it holds"


def test_what_the_file_says_wins_over_the_contract(tmp_path: Path) -> None:
    said = Captured("scores", CODES, 0.25, 7, "CHW", "values")
    write_capture(tmp_path / "c.zip", Capture("", (said,)))
    (row,) = only(tmp_path / "c.zip", DEPLOYED).outputs
    assert (row.scale, row.zero_point, row.layout, row.holds) == (0.25, 7, "CHW", "values")


FULL = Capture(
    "",
    (
        Captured("boxes", BOXES, None, 0, "NLC", "values"),
        Captured("a/b:0", CODES, 0.5, -3, "NC", HOLDS_CODES),
        Captured("", np.zeros((0, 3), np.int64)),
        Captured("../../x \N{SNOWMAN}", np.array(True)),
        Captured("../../x", np.array(1.5)),
    ),
    {"boxes": CODES, "/images": BOXES},
    {"device": "a board", "frames": [1, 2], "nested": {"ok": None}},
)


@pytest.mark.parametrize("suffix", [".npz", ".zip"])
def test_what_is_written_is_read_back_equal(tmp_path: Path, suffix: str) -> None:
    write_capture(tmp_path / f"c{suffix}", FULL)
    capture = only(tmp_path / f"c{suffix}")
    same(named(capture), named(FULL))
    same(dict(capture.sent), dict(FULL.sent))
    rows = [(r.name, r.scale, r.zero_point, r.layout, r.holds) for r in capture.outputs]
    assert rows == [(r.name, r.scale, r.zero_point, r.layout, r.holds) for r in FULL.outputs]
    assert capture.metadata == FULL.metadata
    beside = sorted(path.name for path in tmp_path.iterdir())
    assert beside == (["c.json", "c.npz"] if suffix == ".npz" else ["c.zip"])


def test_no_written_member_leaves_its_folder(tmp_path: Path) -> None:
    write_capture(tmp_path / "c.zip", FULL)
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        names = archive.namelist()
    assert not [name for name in names if ".." in name or name.startswith("/")]


def test_a_zip_of_a_npz_and_a_description_is_one_capture(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("capture.npz", npz_bytes({"scores": CODES}))
        archive.writestr("capture.json", '{"tensors": [{"name": "scores", "scale": 2}]}')
    (row,) = only(tmp_path / "c.zip").outputs
    assert (row.name, row.scale) == ("scores", 2.0)


def test_another_program_s_json_beside_a_npz_is_passed_over(tmp_path: Path) -> None:
    np.savez(tmp_path / "out.npz", scores=CODES)
    (tmp_path / "out.json").write_text('{"schema": "bittrue.run/1", "outputs": []}')
    same(named(only(tmp_path / "out.npz")), {"scores": CODES})


def test_another_program_s_json_as_the_description_of_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("capture.json", '{"schema": "bittrue.run/1", "outputs": []}')
    with pytest.raises(FormatError, match=r"the schema is 'bittrue\.run/1'"):
        read_captures(tmp_path / "c.zip")


def test_two_tensors_of_one_name_are_not_written(tmp_path: Path) -> None:
    twice = Capture("", (Captured("a", CODES), Captured("a", BOXES)))
    with pytest.raises(DataError, match="two tensors have the name 'a'"):
        write_capture(tmp_path / "c.npz", twice)
    assert list(tmp_path.iterdir()) == []


def test_a_capture_is_written_as_npz_or_zip_only(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ends in \.npz or \.zip, not '\.bin'"):
        write_capture(tmp_path / "c.bin", FULL)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "Expecting value"),
        (
            '{"schema": "bittrue.capture/2", "tensors": []}',
            "the schema is 'bittrue.capture/2', and",
        ),
        ("[]", "the description is .* not an object"),
        ('{"tensors": [{"name": "scores", "scal": 2}]}', "'scal' is unknown; did you mean 'scale'"),
        ('{"tensors": [{"name": "scores", "layout": "NHCW"}]}', "did you mean 'NHWC'"),
        ('{"tensors": [{"name": "scores", "scale": -1}]}', "scale is not above 0"),
        ('{"tensors": [{"name": "scores", "scale": true}]}', "scale is no number"),
        ('{"tensors": [{"name": "scores", "zero_point": 1}]}', "a zero_point but no scale"),
        ('{"tensors": [{"name": "scores", "shape": [-1]}]}', "below 0"),
        ('{"tensors": [{"name": "score"}]}', "arrays that are not there: 'score'"),
        ('{"tensors": [{"name": "scores"}, {"name": "scores"}]}', "two tensors have one array"),
        ('{"tensors": [{}]}', r"tensors\[0\]: name is None"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_description_that_is_wrong_is_refused_with_the_place(
    tmp_path: Path, text: str, said: str
) -> None:
    np.savez(tmp_path / "c.npz", scores=CODES)
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(FormatError, match=said) as why:
        read_captures(tmp_path / "c.npz")
    assert why.value.path == str(tmp_path / "c.json")


def test_texts_and_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "text.npz", names=np.array(["a"]))
    with pytest.raises(DataError, match="'names' are <U1, not numbers"):
        read_captures(tmp_path / "text.npz")
    np.savez(tmp_path / "object.npz", names=np.array([{}], object))
    with pytest.raises(DataError, match="Python objects"):
        read_captures(tmp_path / "object.npz")


def test_a_member_whose_header_promises_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    promised = npy(CODES).replace(b"(1, 6), ", b"(9, 9), ")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("scores.npy", promised)
    with pytest.raises(DataError, match=r"shape \(9, 9\) has 6 bytes"):
        read_captures(tmp_path / "c.npz")


def test_a_zip_that_would_unpack_to_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "c.npz", zeros=np.zeros(1000))
    monkeypatch.setattr(capture_files, "MOST_UNPACKED", 8000)
    with pytest.raises(DataError, match="would unpack to 8128 bytes in 1 members"):
        read_captures(tmp_path / "c.npz")


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("capture.npz", npz_bytes({"scores": CODES}))
        archive.writestr("scores.npy", npy(CODES))
    with pytest.raises(DataError, match="two members are named 'scores'"):
        read_captures(tmp_path / "c.zip")


@pytest.mark.parametrize("name", ["nothing.npz", "readme.txt", "empty"])
def test_what_is_no_capture_is_refused_with_what_could_be_given(tmp_path: Path, name: str) -> None:
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as why:
        read_captures(tmp_path / name)
    assert why.value.where == str(tmp_path / name)
    assert why.value.hint


def test_a_description_without_its_arrays_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"tensors": []}))
    with pytest.raises(DataError, match=r"no c\.npz, \.npy or \.bin beside it"):
        read_captures(tmp_path / "c.json")


def test_what_is_written_is_what_the_schema_says(tmp_path: Path) -> None:
    write_capture(tmp_path / "c.npz", FULL)
    schema = Path(__file__).parents[2] / "docs" / "schemas" / "bittrue.capture-1.json"
    written = json.loads((tmp_path / "c.json").read_text())
    jsonschema.validate(written, json.loads(schema.read_text(encoding="utf-8")))
    keys = set().union(*(row.keys() for row in written["tensors"]))
    assert keys == {
        *("name", "array", "role", "dtype", "shape"),
        *("scale", "zero_point", "layout", "holds"),
    }


def test_the_words_of_the_schema_are_those_of_the_tables() -> None:
    path = Path(__file__).parents[2] / "docs" / "schemas" / "bittrue.capture-1.json"
    row = json.loads(path.read_text())["properties"]["tensors"]["items"]["properties"]
    assert row["dtype"]["enum"] == list(DTYPES)
    assert row["layout"]["enum"] == [word for word in LAYOUTS if word]
    assert row["holds"]["enum"] == list(HOLDS)


def test_metadata_that_is_no_json_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="metadata cannot be written as JSON"):
        write_capture(tmp_path / "c.npz", Capture("", (), {}, {"at": object()}))
    assert list(tmp_path.iterdir()) == []
