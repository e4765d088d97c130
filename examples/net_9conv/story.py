"""Play a story: a device gives other outputs, for four reasons in a row, and bittrue mends each.

Run `python story.py -o story`; STORY.md tells it. The device is bittrue's own engine behind a door
that counts bytes and looks at nothing else; the application makes the mistakes. Each mend is the
line that bittrue prints, executed as it stands.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import bittrue
from bittrue.arrays import npz_bytes
from bittrue.cli.main import run_command
from bittrue.contract.preprocess import raw_pixels
from bittrue.contract.tensor import TensorContract
from bittrue.fetch import fetch
from bittrue.fetch_items import ITEMS

HERE = Path(__file__).parent
DEFAULT_PICTURE = "astronaut.png"  # has colours: page.png is grey, there BGR is RGB
PHOTO = "photo.png"
DEVICE = "device.bte"
ARCHIVE = "net.bta"
SENT = "x.npy"
OUTPUTS = "outputs.npz"
MEND = re.compile(r"^ *mend:? +(\S.*)$", re.MULTILINE)

#: What the application does in place of `x = pixels`, as it stands in its source.
MISTAKES = {
    "float64": "pixels / 255.0",
    "black": "(pixels / 255.0).astype(np.uint8)",
    "negative": "(pixels * 255).astype(np.uint8)",
    "bgr": "np.ascontiguousarray(pixels[..., ::-1])",
}


# --- the device -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Device:
    """Stands in for an accelerator: counts the bytes it is given and believes in them."""

    session: bittrue.Session

    def codes(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs as the device stores them.

        Args:
            x: Any array; its bytes are read as the contract's element type and shape.

        Raises:
            DeviceError: if the number of bytes is another one.
        """
        (row,) = self.session.contract.inputs
        held = np.ascontiguousarray(x).tobytes()
        count = int(np.prod(row.shape)) * np.dtype(row.dtype).itemsize
        if len(held) != count:
            raise bittrue.DeviceError(f"{len(held)} bytes for {row.name!r}, which takes {count}")
        return self.session.run(np.frombuffer(held, row.dtype).reshape(row.shape), codes=True)

    def values(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return the real values that the codes stand for: what a runtime gives if asked to."""
        rows = {row.name: row for row in self.session.contract.outputs}
        return {name: dequantised(d, rows[name]) for name, d in self.codes(x).items()}


def dequantised(d: np.ndarray, row: TensorContract) -> np.ndarray:
    """Return (d - zero point) * scale in float32, of an output that is stored as codes."""
    return np.asarray((d.astype(np.float32) - row.zero_point) * np.float32(row.scale or 1))


# --- bittrue --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    text: str

    @property
    def mends(self) -> list[str]:
        """The lines of Python that it proposes, in their order."""
        return MEND.findall(self.text)


def ask(*words: str) -> Answer:
    """Run `bittrue WORDS...` here and show what it says, as a terminal does."""
    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.redirect_stderr(told):
        code = run_command(list(words))
    print(f"\n$ bittrue {shlex.join(words)}\n{told.getvalue().rstrip()}\n[exit code {code}]")
    return Answer(code, told.getvalue())


def mend(line: str, name: str, **known: object) -> np.ndarray:
    """Execute a mend and return what it makes of `name`.

    Args:
        line: Of Python, as bittrue prints it.
        name: "x" for a buffer that is sent, "d" for one that came back.
        known: What the application has at that place: the buffer, `floats`, `scale`, ...
    """
    scope: dict[str, object] = {"np": np, **known}
    print(f"\n>>> {line}")
    exec(line, scope)
    return np.asarray(scope[name])


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Say whether two outputs are the same bits."""
    equal = found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
    differing = int((found != expected).sum()) if found.shape == expected.shape else found.size
    print("the right outputs, bit for bit" if equal else f"WRONG: {differing} values differ")
    return equal


# --- the story ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    """The device, the picture's pixels [1, H, W, 3] uint8, and the output that it should give."""

    device: Device
    pixels: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """The only output of the right buffer, float32."""
        return only(self.device.values(self.pixels))

    def sent(self, mistake: str) -> np.ndarray:
        """Make a mistake, save what it makes as x.npy, and return it."""
        line = MISTAKES[mistake]
        print(f"\n>>> x = {line}")
        x = np.asarray(eval(line, {"np": np, "pixels": self.pixels}))
        np.save(SENT, x)
        return x


def save_outputs(outputs: Mapping[str, np.ndarray]) -> None:
    """Save what the device gave, as it gave it."""
    Path(OUTPUTS).write_bytes(npz_bytes(outputs))


def only(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the one output that there is."""
    (found,) = outputs.values()
    return found


def prepare(source: Path, preprocess: Path, pictures: str) -> bool:
    """Make the archive as far as a careful float user takes it, and the executable that runs."""
    start = [f"{source / 'net.py'}:create", "--weights", str(source / "net_9conv.pt")]
    start += ["--preprocess", f"image={preprocess}"]
    made = (
        ask("import", *start, "-o", ARCHIVE),
        ask("optimize", ARCHIVE, "-o", ARCHIVE),
        ask("build", *start, "--calibrate", pictures, "--tail", "int8", "-o", DEVICE),
    )
    return not any(answer.code for answer in made)


def too_many_bytes(scene: Scene) -> bool:
    """First mistake: float64 where uint8 is taken. The device only counts bytes."""
    x = scene.sent("float64")
    try:
        scene.device.codes(x)
    except bittrue.DeviceError as why:
        print(f"the device says: {why}")
    ask("check", DEVICE, "--input", SENT)
    answer = ask("diagnose", DEVICE, "--sent", SENT)
    return same(only(scene.device.values(mend(answer.mends[0], "x", x=x))), scene.right)


def right_size_wrong_values(scene: Scene, mistake: str) -> Answer:
    """Send as many bytes as are expected, but not the right ones, and ask why outputs differ."""
    x = scene.sent(mistake)
    save_outputs(scene.device.values(x))
    ask("check", DEVICE, "--input", SENT)
    given = ("--picture", PHOTO, "--sent", SENT, "--device", OUTPUTS)
    return ask("diagnose", DEVICE, *given)


def black(scene: Scene) -> bool:
    """Second mistake: the floats cast to uint8, so that they fit. Nearly all become 0."""
    answer = right_size_wrong_values(scene, "black")
    floats = scene.pixels / 255.0
    x = mend(answer.mends[0], "x", x=floats, floats=floats)
    return same(only(scene.device.values(x)), scene.right)


def bgr(scene: Scene) -> bool:
    """Still the second: the order of colours that OpenCV reads."""
    answer = right_size_wrong_values(scene, "bgr")
    x = mend(answer.mends[0], "x", x=np.load(SENT))
    return same(only(scene.device.values(x)), scene.right)


def codes_for_values(scene: Scene) -> bool:
    """Third mistake: the outputs are taken as they are stored."""
    d = scene.device.codes(scene.pixels)
    save_outputs(d)
    answer = ask("diagnose", DEVICE, "--picture", PHOTO, "--device", OUTPUTS)
    ask("inspect", DEVICE)
    (row,) = scene.device.session.contract.outputs
    scale = np.float32(row.scale or 1)
    found = mend(answer.mends[0], "d", d=only(d), scale=scale, zero_point=row.zero_point)
    return same(found, scene.right)


def both_at_once(scene: Scene) -> bool:
    """What nobody finds by trying one thing after the other: two mistakes hide each other."""
    x = np.ascontiguousarray(scene.pixels[..., ::-1])
    save_outputs(scene.device.codes(x))
    answer = ask("diagnose", DEVICE, "--picture", PHOTO, "--device", OUTPUTS)
    (row,) = scene.device.session.contract.outputs
    d = only(scene.device.codes(mend(answer.mends[0], "x", x=x)))
    scale = np.float32(row.scale or 1)
    found = mend(answer.mends[1], "d", d=d, scale=scale, zero_point=row.zero_point)
    return same(found, scene.right)


def missing_rung(scene: Scene, pictures: str) -> bool:
    """Fourth: float stages agree, the device differs, and the stage between was never run."""
    save_outputs(scene.device.values(scene.pixels))
    ladder = ("compare", ARCHIVE, "--input", PHOTO, "--capture", OUTPUTS)
    ask(*ladder)
    ask("quantize", ARCHIVE, "--calibrate", pictures, "--tail", "int8", "-o", ARCHIVE)
    ask("compile", ARCHIVE, "-o", ARCHIVE)
    climbed = ask(*ladder)
    found = ask("diagnose", ARCHIVE, "--picture", PHOTO, "--device", OUTPUTS)
    return climbed.code == found.code == 0


def play(scene: Scene, pictures: str) -> bool:
    """Play all of it; return whether every mend gave the right outputs."""
    chapters: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("1. 9,830,400 bytes for 1,228,800", lambda: too_many_bytes(scene)),
        ("2a. uint8, and still not the same: black", lambda: black(scene)),
        ("2b. uint8, and still not the same: BGR", lambda: bgr(scene)),
        ("3. codes for values", lambda: codes_for_values(scene)),
        ("2b and 3 at once", lambda: both_at_once(scene)),
        ("4. the stage that was never run", lambda: missing_rung(scene, pictures)),
    )
    done = []
    for title, chapter in chapters:
        print(f"\n==== {title}")
        done.append(chapter())
    return all(done)


# --- the command line -----------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Gather the pictures, make the files, play the story; 0 if every mend mended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, default=Path("story"), help="folder to write")
    parser.add_argument("--picture", type=Path, help=f"default: {DEFAULT_PICTURE}, fetched")
    parser.add_argument("--pictures", type=Path, help="folder to calibrate with; default: fetched")
    options = parser.parse_args(arguments)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        pictures = gather(options.output, options.picture, options.pictures)
    except (OSError, bittrue.Error) as why:
        print(f"error: {why}", file=sys.stderr)
        return 1
    with contextlib.chdir(options.output):
        source = Path(os.path.relpath(HERE))
        if not prepare(source, source / "preprocess.toml", pictures):
            return 1
        pixels = raw_pixels(bittrue.load_preprocess(HERE / "preprocess.toml"), PHOTO)
        with bittrue.Session(DEVICE) as session:
            return 0 if play(Scene(Device(session), pixels), pictures) else 1


def gather(folder: Path, picture: Path | None, pictures: Path | None) -> str:
    """Put the picture into the folder; return where those to calibrate with are, seen from it."""
    shutil.copy(picture or fetch(DEFAULT_PICTURE), folder / PHOTO)
    if pictures is not None:
        return str(pictures.resolve())
    (folder / "pictures").mkdir(exist_ok=True)
    for name in ITEMS:
        if name.endswith((".png", ".jpg")) and name != DEFAULT_PICTURE:
            shutil.copy(fetch(name), folder / "pictures" / name)
    return "pictures"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
