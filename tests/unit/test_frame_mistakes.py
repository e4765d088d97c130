"""Other ways to frame a picture: made again with Pillow and NumPy, found and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bittrue.contract.preprocess import Preprocess, raw_pixels
from bittrue.diagnosis.door import usual_doors
from bittrue.diagnosis.hypotheses import ORDER, TURN, hypotheses
from bittrue.diagnosis.input_pixels import FrameMistake, frame_mistakes
from bittrue.diagnosis.scene import Scene
from tests.unit.scenes import (
    RECIPE,
    SIDE,
    U8,
    device,
    frame,
    host,
    picture,
    scene,
    searched,
)

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}
BOXED = replace(RECIPE, resize="letterbox")
CORNER = replace(BOXED, corner="top-left", pad_colour=(0, 0, 0))
STRETCHED = replace(RECIPE, resize="stretch")
CUT = replace(RECIPE, resize="crop", resize_to=36)
RECIPES = {"letterbox": BOXED, "top-left": CORNER, "stretch": STRETCHED, "crop": CUT}
GEOMETRY = {"input.letterbox", "input.crop", "input.interpolation"}
#: Wide, and larger than the network's side: every way of framing shows.
PHOTOS = (picture(0, 60, 90), picture(1, 60, 90))


def resized(photo: U8, height: int, width: int, name: str) -> U8:
    """Pillow's own filters; the two plain ones from their definitions."""
    rows, columns = photo.shape[:2]
    if name in FILTERS:
        return np.asarray(Image.fromarray(photo).resize((width, height), FILTERS[name]))
    if name == "nearest-noaa":
        return photo[np.arange(height) * rows // height][:, np.arange(width) * columns // width]
    y = np.clip((np.arange(height) + 0.5) * rows / height - 0.5, 0, rows - 1)
    x = np.clip((np.arange(width) + 0.5) * columns / width - 0.5, 0, columns - 1)
    down = np.array(
        [np.interp(y, np.arange(rows), photo[:, c, k]) for c in range(columns) for k in range(3)]
    )
    tall = down.reshape(columns, 3, height).transpose(2, 0, 1)  # [h, W, 3]
    both = [
        [np.interp(x, np.arange(columns), tall[r, :, k]) for k in range(3)] for r in range(height)
    ]
    return np.rint(np.array(both).transpose(0, 2, 1)).astype(np.uint8)


def framed(recipe: Preprocess, photo: U8) -> U8:
    """The photo as a host brings it to the network's size: uint8 [1, H, W, 3]."""
    height, width = photo.shape[:2]
    name = recipe.interpolation
    if recipe.resize == "stretch":
        return resized(photo, SIDE, SIDE, name)[None]
    if recipe.resize == "crop":
        part = recipe.resize_to / min(height, width)
        large = resized(photo, int(height * part + 1e-9), int(width * part + 1e-9), name)
        top, left = round((large.shape[0] - SIDE) / 2), round((large.shape[1] - SIDE) / 2)
        return large[top : top + SIDE, left : left + SIDE][None]
    part = SIDE / max(height, width)
    small = resized(photo, round(height * part), round(width * part), name)
    made = np.array(recipe.pad_colour, np.uint8) * np.ones((SIDE, SIDE, 1), np.uint8)
    centred = recipe.corner == "centre"
    top = (SIDE - small.shape[0]) // 2 if centred else 0
    left = (SIDE - small.shape[1]) // 2 if centred else 0
    made[top : top + small.shape[0], left : left + small.shape[1]] = small
    return made[None]


CASES = [(name, row) for name, recipe in RECIPES.items() for row in frame_mistakes(recipe)]


def told(case: object) -> str:
    return case.what if isinstance(case, FrameMistake) else str(case)


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_meant_is_no_mistake_and_no_way_stands_twice(name) -> None:
    made = [row.preprocess for row in frame_mistakes(RECIPES[name])]
    assert RECIPES[name] not in made
    assert len(set(made)) == len(made) == len({row.what for row in frame_mistakes(RECIPES[name])})


@pytest.mark.parametrize("name", RECIPES)
def test_every_geometric_cause_is_tried_for_every_way_of_framing(name) -> None:
    assert {row.cause for row in frame_mistakes(RECIPES[name])} == GEOMETRY


@pytest.mark.parametrize(("name", "other"), [("letterbox", "top-left"), ("top-left", "centre")])
def test_every_usual_pad_is_tried_in_both_corners(name, other) -> None:
    greys = {(0, 0, 0), (114, 114, 114), (127, 127, 127), (128, 128, 128), (255, 255, 255)}
    recipe = RECIPES[name]
    boxed = [row for row in frame_mistakes(recipe) if row.preprocess.resize == "letterbox"]
    plain = [row for row in boxed if row.preprocess.interpolation == recipe.interpolation]
    tried = {(row.preprocess.corner, row.preprocess.pad_colour) for row in plain}
    own = (recipe.corner, recipe.pad_colour)
    assert tried == {(corner, grey) for corner in (recipe.corner, other) for grey in greys} - {own}
    filters = {row.preprocess.interpolation for row in boxed}
    assert filters == {*FILTERS, "nearest-noaa", "bilinear-noaa"}


def test_a_picture_of_just_the_right_size_is_framed_in_one_way_only() -> None:
    assert list(frame_mistakes(RECIPE)) == []


@pytest.mark.parametrize(("name", "row"), CASES, ids=told)
def test_another_frame_is_what_pillow_makes(name, row) -> None:
    ours = raw_pixels(row.preprocess, PHOTOS[0][0])
    own = framed(row.preprocess, PHOTOS[0][0])
    assert ours.shape == own.shape == (1, SIDE, SIDE, 3)
    # Floats and exact fractions may round a tie of the plain bilinear filter differently.
    worst = 1 if row.preprocess.interpolation == "bilinear-noaa" else 0
    assert np.abs(ours.astype(int) - own.astype(int)).max() <= worst


# --- found and named ------------------------------------------------------------------------------


def photographed(
    recipe: Preprocess, made: Callable[[U8], U8], folder: Path, *, files: bool = True
) -> Scene:
    """A scene whose device was given another frame of the same photos."""
    frames = []
    for index, photo in enumerate(PHOTOS):
        path = folder / f"{index}.png"
        Image.fromarray(photo[0]).save(path)
        meant = framed(recipe, photo[0])
        gave = device(host(made(photo[0])))
        frames.append(frame(index, meant, gave, picture=path if files else None))
    there = scene(frames, doors=usual_doors(recipe))
    return replace(there, preprocess=recipe)


#: The same filters and pads around another frame add nothing but time.
SEEN = {
    "letterbox": {"input.letterbox", "input.crop"},
    "crop": {"input.crop", "input.interpolation"},
}
FOUND = [
    (name, row)
    for name, row in CASES
    if row.cause in SEEN.get(name, {"input.crop"}) or row.what.startswith("stretched")
]


@pytest.mark.parametrize(("name", "row"), FOUND, ids=told)
def test_another_frame_is_found_and_named_with_its_variant(name, row, tmp_path) -> None:
    there = photographed(RECIPES[name], lambda p: framed(row.preprocess, p), tmp_path)
    best = searched(there)[1]
    assert [(set(r.causes), r.input and r.input.what) for r in best] == [({row.cause}, row.what)]


def test_without_the_picture_the_geometry_is_listed_as_not_tried(tmp_path) -> None:
    there = photographed(BOXED, lambda p: framed(STRETCHED, p), tmp_path, files=False)
    found, _ = searched(there)
    assert not GEOMETRY & {cause for row in found.tried for cause in row.causes}
    reasons = {row.cause: row.reason for row in found.not_tried}
    assert {reasons[cause] for cause in GEOMETRY} == {"needs the picture (--picture)"}


# --- the order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_hypotheses_stand_in_the_order_of_what_people_get_wrong(name, tmp_path) -> None:
    """By turns: two variants of each cause, in the order, before the next two of any."""
    rows = hypotheses(photographed(RECIPES[name], lambda p: framed(BOXED, p), tmp_path))
    seen: Counter[str] = Counter()
    places = []
    for row in rows:
        places.append((seen[row.mistake.cause] // TURN, ORDER.index(row.mistake.cause)))
        seen[row.mistake.cause] += 1
    assert places == sorted(places)
    assert all(row.mistake.where == "input 'images'" and row.mistake.mend for row in rows)


def test_a_network_that_takes_no_picture_has_no_input_mistakes() -> None:
    frames = [frame(0, PHOTOS[0][:, :SIDE, :SIDE], {})]
    assert hypotheses(replace(scene(frames), preprocess=None, doors=())) == ()
