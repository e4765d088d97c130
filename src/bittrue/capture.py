"""Captures: what a device gave, and what it was sent, out of whatever files somebody wrote.

docs/captures.md describes the files. `capture_files` reads arrays, `capture_text` descriptions of
them; here both become frames.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bittrue.arrays import MOST_UNPACKED, npz_bytes
from bittrue.capture_files import ARRAYS, HINT, ZIPS, Found, Raw, load_file
from bittrue.capture_text import (
    DESCRIPTIONS,
    SCHEMA,
    SENT,
    Description,
    Row,
    description_beside,
    read_description,
)
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.dtypes import DTYPES, nbytes
from bittrue.errors import DataError, FormatError
from bittrue.files import unreadable, write_atomically
from bittrue.suggest import did_you_mean

MOST_FRAMES = 1 << 16


@dataclass(frozen=True, slots=True)
class Captured:
    """One tensor as a device gave it.

    Args:
        name: What the file calls it; empty where nothing names it.
        array: As it was written: nothing is dequantised, transposed or cut.
        scale: Real value of one code, where somebody said.
        zero_point: The code of the real value 0; 0 where scale is None.
        layout: One of `contract.tensor.LAYOUTS`; empty where nobody said.
        holds: One of `contract.deployed.HOLDS`; empty where nobody said.
    """

    name: str
    array: np.ndarray
    scale: float | None = None
    zero_point: int = 0
    layout: str = ""
    holds: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """One frame: what a device gave, what it was sent, and what was written down about it.

    Args:
        path: The file or folder it was read from; empty for one made in memory.
        outputs: In the order of the file or its description.
        sent: By input name.
        metadata: Plain JSON values: driver, device, time, whatever.
    """

    path: str
    outputs: tuple[Captured, ...]
    sent: Mapping[str, np.ndarray] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)


def read_captures(path: str | Path, *, described: Contract | None = None) -> tuple[Capture, ...]:
    """Return what a device gave, frame by frame.

    A .npz, .zip, .npy or .bin file, or a description beside its arrays, is one frame. So is a
    folder of .npy and .bin files; a folder of folders, or of .npz and .zip files, is one frame
    each, in natural order (frame2 before frame10).

    Args:
        path: File or folder.
        described: What is deployed. It gives raw bytes a type and a shape, and outputs of its names
            the scale, layout and meaning that the files do not mention.

    Raises:
        DataError: if a file cannot be read, holds no numbers, or is raw bytes that nothing
            describes.
        FormatError: if a description is damaged or does not fit its arrays.
    """
    file = Path(path)
    contract = described or Contract((), ())
    return tuple(_read_folder(file, contract) if file.is_dir() else [_read_file(file, contract)])


def write_capture(path: str | Path, capture: Capture) -> None:
    """Write a capture: a .zip with its description in it, or a .npz and a .json beside it.

    `read_captures` reads an equal capture back, but for `path`. Each file is whole or not there.

    Raises:
        DataError: if the path ends otherwise, two tensors have one name, a type is none of
            `bittrue.dtypes`, the metadata is no JSON, or it cannot be written.
    """
    file = Path(path)
    if file.suffix.lower() not in ZIPS:
        raise DataError(
            f"a capture's name ends in .npz or .zip, not {file.suffix!r}",
            where=str(path),
            hint="the .npz has its description beside it, the .zip in it",
        )
    rows, arrays = _written(capture, str(path))
    text = _description(rows, capture.metadata, str(path))
    if file.suffix.lower() == ".npz":
        write_atomically(file, npz_bytes(arrays))
        write_atomically(file.with_suffix(".json"), text)
        return
    packed = io.BytesIO(npz_bytes(arrays))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(DESCRIPTIONS[0]), text)
    write_atomically(file, packed.getvalue())


# --- from files to a frame -----------------------------------------------------------------------


def _read_file(file: Path, contract: Contract) -> Capture:
    if not file.is_file():
        raise DataError("there is no such file or folder", where=str(file), hint="check the path")
    if file.suffix.lower() in {".json", ".toml"}:
        return _read_described(file, contract)
    found, inner = load_file(file)
    alone = "" if file.suffix.lower() in ZIPS else file.stem
    return _frame(file, found, [inner or description_beside(file, alone)], contract)


def _read_described(file: Path, contract: Contract) -> Capture:
    """A description was named: its arrays have the same name, or lie in its folder."""
    for suffix in (*sorted(ZIPS), *sorted(ARRAYS)):
        if file.with_suffix(suffix).is_file():
            return _read_file(file.with_suffix(suffix), contract)
    if file.name in DESCRIPTIONS:
        return _read_arrays_of(file.parent, contract)
    raise DataError(
        f"describes arrays, but there is no {file.stem}.npz, .npy or .bin beside it",
        where=str(file),
        hint="keep a description beside its arrays, under the same name",
    )


def _read_folder(folder: Path, contract: Contract) -> Iterator[Capture]:
    entries = _entries(folder)
    arrays = [row.name for row in entries if row.suffix.lower() in ARRAYS]
    frames = [row for row in entries if _is_frame(row)]
    if arrays and frames:
        raise DataError(
            f"holds both arrays ({arrays[0]!r}) and whole frames ({frames[0].name!r})",
            where=str(folder),
            hint="keep the arrays of one frame in a folder of their own",
        )
    if not frames:
        yield _read_arrays_of(folder, contract)
    for row in frames:
        yield _read_arrays_of(row, contract) if row.is_dir() else _read_file(row, contract)


def _entries(folder: Path) -> list[Path]:
    """Return what a folder holds in natural order, hidden files left out."""
    try:
        found = [row for row in folder.iterdir() if not row.name.startswith(".")]
    except OSError as why:
        raise unreadable(folder, why) from why
    if len(found) > MOST_FRAMES:
        raise DataError(
            f"holds {len(found)} files, at most {MOST_FRAMES} are read",
            where=str(folder),
            hint="is it the right folder?",
        )
    return sorted(found, key=lambda row: _natural(row.name))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which frame2 comes before frame10."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _is_frame(row: Path) -> bool:
    return row.suffix.lower() in ZIPS or (row.is_dir() and row.name != SENT)


def _read_arrays_of(folder: Path, contract: Contract) -> Capture:
    """Return the arrays of one folder: the files' stems are their names."""
    files = [folder / name for name in DESCRIPTIONS if (folder / name).is_file()]
    described = [read_description(file) for file in files]
    found: Found = {}
    for prefix, place in (("", folder), (f"{SENT}/", folder / SENT)):
        for file in _entries(place) if place.is_dir() else []:
            if file.suffix.lower() not in ARRAYS or not file.is_file():
                continue
            key = prefix + file.stem
            if key in found:
                raise DataError(
                    f"two files are named {key!r}",
                    where=str(folder),
                    hint="a file's name without its ending names the tensor: rename one",
                )
            found[key] = next(iter(load_file(file)[0].values()))
            described.append(description_beside(file, key))
    return _frame(folder, found, described, contract)


def _frame(
    path: Path, found: Found, described: Sequence[Description | None], contract: Contract
) -> Capture:
    """Return the frame that arrays and what is known of them make."""
    if not found:
        raise DataError("holds no arrays", where=str(path), hint=HINT)
    texts = [row for row in described if row is not None]
    outputs: list[Captured] = []
    sent: dict[str, np.ndarray] = {}
    for row in _rows(found, texts):
        item = found[row.array]
        if row.role == SENT:
            sent[row.name] = _array(item, _filled(row, item, contract.inputs), path)
        elif isinstance(item, Raw) and _is_all_outputs(item, row, contract):
            outputs += _cut(item, contract)
        else:
            full = _filled(row, item, contract.outputs)
            outputs.append(_captured(full, _array(item, full, path)))
    metadata = {key: value for text in texts for key, value in text.metadata.items()}
    return Capture(str(path), tuple(outputs), sent, metadata)


def _rows(found: Found, described: Sequence[Description]) -> list[Row]:
    """Return one row an array: those that are described first, in that order."""
    rows: dict[str, Row] = {}
    for text in described:
        lacking = [row.array for row in text.rows if row.array not in found]
        if lacking:
            raise FormatError(
                f"describes arrays that are not there: {_some(lacking)}",
                path=text.path,
                hint=f"{did_you_mean(lacking[0][:60], found)}",
            )
        rows |= {row.array: row for row in text.rows}
    for key in found:
        name = key.removeprefix(f"{SENT}/")
        rows.setdefault(key, Row(name, key, SENT if name != key else "output"))
    return list(rows.values())


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")


# --- from bytes to an array ----------------------------------------------------------------------


def _filled(row: Row, item: np.ndarray | Raw, known: Sequence[TensorContract]) -> Row:
    """Return a row with what the deployed contract says where the files say nothing."""
    tensor = next((tensor for tensor in known if tensor.name == row.name), None)
    if tensor is None and isinstance(item, Raw) and not row.dtype:
        fits = [tensor for tensor in known if tensor.nbytes == item.size]
        tensor = fits[0] if len(fits) == 1 else None
    if tensor is None:
        return row
    is_typed = isinstance(item, np.ndarray) or row.dtype
    as_deployed = not is_typed or (isinstance(item, np.ndarray) and item.dtype == tensor.dtype)
    said = row.scale is not None
    return replace(
        row,
        dtype=row.dtype or tensor.dtype,
        shape=row.shape if row.shape is not None or row.dtype else tensor.shape,
        scale=row.scale if said else tensor.scale,
        zero_point=row.zero_point if said else tensor.zero_point,
        layout=row.layout or (tensor.layout if as_deployed else ""),
        holds=row.holds or (tensor.holds if as_deployed else ""),
    )


def _captured(row: Row, array: np.ndarray) -> Captured:
    return Captured(row.name, array, row.scale, row.zero_point, row.layout, row.holds)


def _array(item: np.ndarray | Raw, row: Row, path: Path) -> np.ndarray:
    """Return numbers of a type that we know, in this machine's order of bytes."""
    if isinstance(item, Raw):
        return _typed(item, row)
    if item.dtype.name not in DTYPES:
        raise DataError(
            f"the elements of {row.array[:60]!r} are {str(item.dtype)[:60]}, not numbers",
            where=str(path),
            hint=f"write one of {', '.join(DTYPES)}",
        )
    return item.astype(item.dtype.newbyteorder("="), copy=False)


def _typed(raw: Raw, row: Row) -> np.ndarray:
    """Return the bytes of a file as the array that its row describes; flat without a shape."""
    if not row.dtype:
        raise DataError(
            f"holds {raw.size} bytes of no known type or shape",
            where=str(raw.path),
            hint=f"describe it: a file {raw.path.stem}.json beside it with"
            ' {"dtype": "uint8", "shape": [1, 1000]}, or a deployed contract as TOML with an'
            " [[output]] of its name or size",
        )
    shape = row.shape
    if shape is None:
        shape = (raw.size // DTYPES[row.dtype].itemsize,)
    wanted = nbytes(row.dtype, shape)
    if wanted != raw.size or raw.size > MOST_UNPACKED:
        times = f", {raw.size // wanted} times as many" if wanted and not raw.size % wanted else ""
        raise DataError(
            f"has {raw.size} bytes{times}; {row.dtype} {list(shape)} takes {wanted}",
            where=str(raw.path),
            hint="correct the dtype or the shape that describes it",
        )
    return _mapped(raw, row.dtype, shape, 0)


def _mapped(raw: Raw, dtype: str, shape: tuple[int, ...], offset: int) -> np.ndarray:
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype)
    try:
        return np.memmap(raw.path, dtype, "r", offset, shape).view(np.ndarray)
    except OSError as why:
        raise unreadable(raw.path, why) from why
    except ValueError as why:  # it became shorter since it was looked at
        raise DataError(f"cannot be read: {why}", where=str(raw.path), hint=HINT) from why


def _is_all_outputs(raw: Raw, row: Row, contract: Contract) -> bool:
    """Whether one file holds every output one after the other."""
    sizes = [tensor.nbytes for tensor in contract.outputs]
    return not row.dtype and len(sizes) > 1 and raw.size == sum(sizes)


def _cut(raw: Raw, contract: Contract) -> Iterator[Captured]:
    offset = 0
    for tensor in contract.outputs:
        row = _filled(Row(tensor.name, ""), raw, [tensor])
        yield _captured(row, _mapped(raw, tensor.dtype, tensor.shape, offset))
        offset += tensor.nbytes


# --- writing -------------------------------------------------------------------------------------


def _written(capture: Capture, path: str) -> tuple[list[dict[str, object]], dict[str, np.ndarray]]:
    """Return the rows of a description, and the arrays by the key that each row names."""
    rows: list[dict[str, object]] = []
    arrays: dict[str, np.ndarray] = {}
    given = [(SENT, Captured(name, array)) for name, array in capture.sent.items()]
    for at, (role, item) in enumerate([("output", row) for row in capture.outputs] + given):
        _refuse_unknown_type(item, path)
        key = _member(item.name, f"{role}_{at}", f"{SENT}/" if role == SENT else "")
        key = f"{role}_{at}" if key in arrays else key
        arrays[key] = item.array
        rows.append(_row_json(item, role, key))
    names = [(row["role"], row["name"]) for row in rows]
    twice = sorted({str(name) for role, name in names if names.count((role, name)) > 1})
    if twice:
        raise DataError(
            f"two tensors have the name {_some(twice)}", where=path, hint="name each otherwise"
        )
    return rows, arrays


def _description(rows: object, metadata: Mapping[str, object], path: str) -> bytes:
    try:
        data = {"schema": SCHEMA, "tensors": rows, "metadata": dict(metadata)}
        return (json.dumps(data, indent=1) + "\n").encode()
    except (TypeError, ValueError, RecursionError) as why:
        raise DataError(
            f"the metadata cannot be written as JSON: {why}",
            where=path,
            hint="keep texts, numbers, lists and objects in it",
        ) from why


def _member(name: str, otherwise: str, prefix: str) -> str:
    """Return a zip member's name: the tensor's own where any unpacker takes it."""
    plain = re.fullmatch(r"[\w:.-][\w:./-]{0,99}", name, re.ASCII)
    good = plain and ".." not in name and "//" not in name and not name.startswith(f"{SENT}/")
    return prefix + (name if good else otherwise)


def _refuse_unknown_type(item: Captured, path: str) -> None:
    if item.array.dtype.name not in DTYPES:
        raise DataError(
            f"the elements of {item.name[:60]!r} are {str(item.array.dtype)[:60]}",
            where=path,
            hint=f"write one of {', '.join(DTYPES)}",
        )


def _row_json(item: Captured, role: str, key: str) -> dict[str, object]:
    row: dict[str, object] = {"name": item.name, "array": key, "role": role}
    row |= {"dtype": item.array.dtype.name, "shape": list(item.array.shape)}
    if item.scale is not None:
        row |= {"scale": item.scale, "zero_point": item.zero_point}
    words = {"layout": item.layout, "holds": item.holds}
    return row | {word: said for word, said in words.items() if said}
