"""What a user gives to a diagnosis, and how it becomes a scene."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bittrue.arith import dequantize
from bittrue.capture import Capture, Captured, read_captures
from bittrue.contract.deployed import load_deployed
from bittrue.contract.picture import PICTURES
from bittrue.contract.preprocess import (
    Preprocess,
    denormalise,
    load_preprocess,
    normalise,
    normalised_range,
    raw_pixels,
)
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.diagnosis.door import Door, door_of, usual_doors
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.errors import DataError, FormatError, UsageError
from bittrue.inputs import RAW_BYTES, accept, in_domain, read_input
from bittrue.stages import Subject, contract_of_stage, open_subject, stage_contract


@dataclass(frozen=True, slots=True)
class Given:
    """What a user gives; any part may be left out.

    Args:
        model: .onnx, .bta or .bte; empty for none.
        pictures: One a frame.
        preprocess: TOML of the picture's way into the network; None for what the model holds.
        inputs: Arrays that the network is meant to get, one file a frame, in place of pictures.
        sent: Arrays that were sent to the device, one file a frame.
        deployed: TOML of what the deployed network takes and gives.
        references: What the outputs should be, one file a frame.
        devices: What the device gave: files or folders, one or more frames each.
        names: The device's name by the network's, for outputs whose map is known.
    """

    model: str = ""
    pictures: tuple[Path, ...] = ()
    preprocess: Path | None = None
    inputs: tuple[Path, ...] = ()
    sent: tuple[Path, ...] = ()
    deployed: Path | None = None
    references: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    names: Mapping[str, str] | None = None

    def roles(self) -> dict[str, str]:
        """What was given, by role, for the report."""
        rows = {
            "model": self.model,
            "picture": _listed(self.pictures),
            "preprocess": str(self.preprocess or ""),
            "input": _listed(self.inputs),
            "sent": _listed(self.sent),
            "deployed contract": str(self.deployed or ""),
            "reference": _listed(self.references),
            "device": _listed(self.devices),
        }
        return {role: text for role, text in rows.items() if text}


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)


def open_scene(given: Given) -> Scene:
    """Return what was given as a scene.

    Raises:
        DataError: if a file cannot be read, or frames do not match.
        FormatError: if the model is damaged.
        UsageError: if too little was given to say anything.
    """
    _refuse(given)
    recipe = None if given.preprocess is None else load_preprocess(given.preprocess)
    subject = _subject(given.model, recipe) if given.model else None
    contract = None if given.deployed is None else load_deployed(given.deployed)
    recipes = _recipes(subject, recipe)
    target = _target(subject, recipes, contract)
    frames = tuple(_frames(given, subject, recipes, target, contract))
    own = recipes.get(target)
    if own is None and frames:
        own = guessed(frames[0].inputs.get(target))
        frames = tuple(_with_pixels(frame, target, own) for frame in frames)
    doors = _doors(own, contract, target, frames)
    return Scene(subject, target, own, doors, contract, frames)


def _refuse(given: Given) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: if two roles exclude each other, or nothing came of a device or was sent.
    """
    if given.pictures and given.inputs:
        raise UsageError(
            "--picture and --input both say what the network is meant to get",
            hint="give the picture, or the array that it becomes, not both",
        )
    if not given.devices and not given.sent:
        raise UsageError(
            "nothing was given that could be looked at",
            hint="give what the device gave (--device), or what was sent (--sent)",
        )


def _subject(path: str, recipe: Preprocess | None) -> Subject:
    """Open an archive or an executable, or import anything else."""
    from bittrue.archive import ZIP_MAGIC
    from bittrue.compiler.file_layout import MAGIC

    head = b""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        head = file.read(16)
    if head[: len(MAGIC)] == MAGIC or head[: len(ZIP_MAGIC)] == ZIP_MAGIC:
        return open_subject(path)
    from bittrue.chain import import_model

    if not Path(path).is_file() and ":" not in path:
        before, at, stage = path.rpartition("@")
        raise DataError(
            "there is no such file",
            where=path,
            hint=f"leave out @{stage}: a diagnosis looks at every stage"
            if at and Path(before).is_file()
            else "check the path",
        )
    network = import_model(path, preprocess=recipe)
    return Subject(path, network, None)


def _recipes(subject: Subject | None, recipe: Preprocess | None) -> Mapping[str, Preprocess]:
    """Return preprocessing by input name; what the user gives takes the place of the model's."""
    held = dict(subject.preprocess) if subject is not None else {}
    if recipe is None:
        return held
    if len(held) == 1:
        return dict.fromkeys(held, recipe)
    names = _input_names(subject)
    return {names[0] if names else "input": recipe}


def _input_names(subject: Subject | None) -> list[str]:
    if subject is None:
        return []
    if subject.network is not None:
        return list(subject.network.native.inputs)
    return [row.name for row in subject.program().contract.inputs]


def _target(
    subject: Subject | None, recipes: Mapping[str, Preprocess], contract: Contract | None
) -> str:
    if recipes:
        return next(iter(recipes))
    names = _input_names(subject)
    if not names and contract is not None:
        names = [row.name for row in contract.inputs]
    return names[0] if names else "input"


def _doors(
    recipe: Preprocess | None,
    contract: Contract | None,
    target: str,
    frames: tuple[Frame, ...],
) -> tuple[Door, ...]:
    """Return what the deployed network may take; what was sent shows it where nobody said."""
    if recipe is None:
        return ()
    row = deployed_input(contract, target)
    if row is not None:
        return _with_limits(door_of(row, recipe), recipe)
    sent = frames[0].sent if frames else None
    if sent is None:
        return usual_doors(recipe)
    planar = tuple(sent.shape)[-3:] == (recipe.channels, *recipe.size) != recipe.raw_shape[1:]
    kinds = {"pixels"} if sent.dtype.kind in "iub" else {"values"}
    return tuple(replace(door, planar=planar) for door in usual_doors(recipe) if door.kind in kinds)


def _with_limits(door: Door, recipe: Preprocess) -> tuple[Door, ...]:
    """Return a door, and the same for a network of codes, which cuts off what no pixel makes."""
    if door.limits is not None or door.kind == "codes":
        return (door,)
    return door, replace(door, limits=normalised_range(recipe))


def deployed_input(contract: Contract | None, target: str) -> TensorContract | None:
    """Return the deployed contract of the picture input, by name, or the only one there is."""
    if contract is None:
        return None
    named = [row for row in contract.inputs if row.name == target]
    return next(iter(named or contract.inputs), None)


# --- frames --------------------------------------------------------------------------------------


def _frames(
    given: Given,
    subject: Subject | None,
    recipes: Mapping[str, Preprocess],
    target: str,
    contract: Contract | None,
) -> list[Frame]:
    described = contract or _own_contract(subject)
    captures = _captures(given.devices, described)
    references = _captures(given.references, None)
    counts = {
        "--picture": len(given.pictures),
        "--input": len(given.inputs),
        "--sent": len(given.sent),
        "--reference": len(references),
        "--device": len(captures),
    }
    number = max(counts.values())
    odd = {role: count for role, count in counts.items() if count not in (0, number)}
    if odd:
        told = ", ".join(f"{count} of {role}" for role, count in counts.items() if count)
        raise UsageError(f"the numbers of frames differ: {told}", hint="give one of each a frame")
    found = []
    for index in range(number):
        picture = given.pictures[index] if given.pictures else None
        capture = captures[index] if captures else Capture("", ())
        found.append(
            Frame(
                name=f"frame {index + 1}",
                picture=picture,
                inputs=_intended(given, index, subject, recipes, target),
                pixels=_pixels(picture, recipes.get(target)),
                sent=_sent(given, index, capture, deployed_input(described, target)),
                device=real_values(capture),
                reference=real_values(references[index]) if references else {},
            )
        )
    return [_with_pixels(frame, target, recipes.get(target)) for frame in found]


def _own_contract(subject: Subject | None) -> Contract | None:
    """Return what raw bytes are where no deployed contract says it: the last stage's tensors."""
    return None if subject is None else contract_of_stage(subject, subject.stages[-1])


def _captures(paths: Sequence[Path], contract: Contract | None) -> list[Capture]:
    rows = [_capture(path, contract if _is_raw(path) else None) for path in paths]
    return list(itertools.chain.from_iterable(rows))


def _capture(path: Path, described: Contract | None) -> tuple[Capture, ...]:
    """Read a capture; one that is there and cannot be read is damaged.

    Raises:
        DataError: if there is no such file.
        FormatError: if it is damaged.
    """
    try:
        return read_captures(path, described=described)
    except DataError as why:
        if not path.is_file() or path.suffix.lower() not in (".npz", ".npy", ".zip"):
            raise
        raise FormatError(why.message, path=str(path), hint=why.hint) from why


def _is_raw(path: Path) -> bool:
    """Whether raw bytes need a description; other files say themselves what they hold."""
    if path.is_dir():
        return any(row.suffix.lower() in RAW_BYTES for row in path.rglob("*"))
    return path.suffix.lower() in RAW_BYTES


def _numbers(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"holds {array.dtype}, not numbers that a buffer can have",
            where=str(path),
            hint="save the array that was sent, of integers or floats",
        )
    return array


def real_values(capture: Capture) -> dict[str, np.ndarray]:
    """Return a capture's tensors; those whose own file says so are dequantised."""
    return {row.name or f"output_{index}": _real(row) for index, row in enumerate(capture.outputs)}


def _real(row: Captured) -> np.ndarray:
    if row.scale is None or row.array.dtype.kind not in "iu":
        return row.array
    return dequantize(row.array, np.array([row.scale], np.float32), row.zero_point)


def _intended(
    given: Given,
    index: int,
    subject: Subject | None,
    recipes: Mapping[str, Preprocess],
    target: str,
) -> Mapping[str, np.ndarray]:
    """Return what the stage `source` is meant to get."""
    if given.pictures and target in recipes:
        recipe = recipes[target]
        return {target: normalise(recipe, raw_pixels(recipe, given.pictures[index]))}
    if not given.inputs:
        return {}
    arrays = read_input(given.inputs[index], recipes)
    if subject is None:
        return {name or target: array for name, array in arrays.items()}
    if subject.network is None:
        contract = subject.program().contract
    else:
        contract = stage_contract(subject.network, "source")
    return accept(contract, in_domain(arrays, contract, recipes))


def _pixels(picture: Path | None, recipe: Preprocess | None) -> np.ndarray | None:
    return None if picture is None or recipe is None else raw_pixels(recipe, picture)


def _sent(
    given: Given, index: int, capture: Capture, described: TensorContract | None
) -> np.ndarray | None:
    if given.sent:
        if given.sent[index].suffix.lower() in PICTURES:
            raise DataError(
                "is a picture, and --sent takes the array that was sent",
                where=str(given.sent[index]),
                hint="give pictures with --picture; save the array with np.save('sent.npy', x)",
            )
        arrays = read_input(given.sent[index], {})
        if len(arrays) != 1:
            raise DataError(
                f"holds {len(arrays)} arrays, not the one that was sent",
                where=str(given.sent[index]),
                hint="save the array itself: np.save('sent.npy', x)",
            )
        array = _numbers(next(iter(arrays.values())), given.sent[index])
        return _described(array, described) if _is_raw(given.sent[index]) else array
    return next(iter(capture.sent.values()), None) if len(capture.sent) == 1 else None


def _described(raw: np.ndarray, row: TensorContract | None) -> np.ndarray:
    """Return raw bytes, uint8 [n], as the contract describes them; as they are where none fits."""
    if row is None or raw.nbytes != row.nbytes or raw.dtype != np.uint8:
        return raw
    return raw.view(row.dtype).reshape(row.shape)


def _with_pixels(frame: Frame, target: str, recipe: Preprocess | None) -> Frame:
    """Return the frame with the pixels that its intended input was made of, where that can be."""
    array = frame.inputs.get(target)
    if frame.pixels is not None or recipe is None or array is None:
        return frame
    if array.dtype == np.uint8 and array.shape == recipe.raw_shape:
        return replace(frame, pixels=array)
    with contextlib.suppress(DataError):
        return replace(frame, pixels=denormalise(recipe, np.asarray(array, np.float32)))
    return frame


#: What a picture may have been normalised by, where nobody said.
_GUESSES = (
    (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    (1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    (1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    (1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    (1.0, (127.5, 127.5, 127.5), (128.0, 128.0, 128.0)),
    (1.0, (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
)


def guessed(array: np.ndarray | None) -> Preprocess | None:
    """Return the preprocessing that an intended input shows by itself: its values are whole pixels.

    None where it is no picture, or was made otherwise.
    """
    if array is None or array.ndim != 4 or array.shape[0] != 1 or array.dtype.kind != "f":
        return None
    for layout, channels, size in (
        ("NCHW", array.shape[1], array.shape[2:]),
        ("NHWC", array.shape[3], array.shape[1:3]),
    ):
        if channels not in (1, 3) or min(size) < 8:
            continue
        for scale, mean, std in _GUESSES:
            recipe = Preprocess(
                size=(int(size[0]), int(size[1])),
                resize="none",
                colour="RGB" if channels == 3 else "GRAY",
                scale=scale,
                mean=mean[:channels],
                std=std[:channels],
                layout=layout,
            )
            with contextlib.suppress(DataError):
                denormalise(recipe, np.asarray(array, np.float32))
                return recipe
    return None
