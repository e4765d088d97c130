"""Everything that a network's cases have in common: files, pictures, the deployed networks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType
from PIL import Image

from bench.faults import damage
from bench.faults.codes import Codes, codes_of
from bench.faults.device import (
    Activation,
    Arrays,
    Device,
    before_activation,
    fixed,
    quantised,
    session,
    with_taps,
    write_prepared,
)
from bench.faults.effect import energy, error_ratio
from bench.faults.networks import Network
from bench.faults.pictures import KINDS, constant, noise
from bench.faults.recipe import F32, U8, batched, normalised, pixels

#: Pictures to calibrate with; the device sees the first of them, the archive is built with all.
CALIBRATION, SEEN = 24, 16
#: A case has so many pictures at least and at most, and enough for so many numbers to compare: two
#: numbers a picture say next to nothing on three pictures.
PICTURES, MOST_PICTURES, NUMBERS = 3, 16, 64
#: Inner tensors that a dump holds at most, and how large each may be.
DUMPED, DUMPED_ELEMENTS = 20, 200_000
#: Where in a network an edit is tried; the one that shows most is kept.
PLACES = (0.05, 0.2, 0.4, 0.6)


@dataclass(frozen=True, slots=True)
class Workshop:
    """A network's folder.

    Args:
        network: Which one.
        split: "dev" or "test": of the pictures.
        folder: Where its files are.
        inputs: Of the pictures as they should be, by the picture's name.
        references: What the float network gives for them.
        float_model: As the user has it, its input's shape fixed.
        input_codes: Of the device's input.
        output_codes: Of its outputs.
        shared_codes: One scale of 8 bits for all outputs.
        healthy: What the healthy device gives for the pictures.
    """

    network: Network
    split: str
    folder: Path
    inputs: dict[str, F32] = field(repr=False)
    references: dict[str, Arrays] = field(repr=False)
    float_model: onnx.ModelProto = field(repr=False)
    input_codes: Codes
    output_codes: dict[str, Codes] = field(default_factory=dict)
    shared_codes: Codes = field(default_factory=lambda: Codes(1.0, 0))
    healthy: dict[str, Arrays] = field(default_factory=dict, repr=False)

    def picture(self, name: str) -> Image.Image:
        """Return one of its pictures."""
        with Image.open(self.folder / "pictures" / f"{name}.png") as opened:
            return opened.convert("RGB")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the pictures of an ordinary case."""
        return tuple(f"p{number}" for number in range(self.count))

    @property
    def extra(self) -> str:
        """Name of one more picture, which a stale output can be of."""
        return f"p{self.count}"

    @property
    def count(self) -> int:
        """How many pictures a case has."""
        return _count(next(iter(self.references.values())))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The network's outputs."""
        return tuple(row.name for row in self.float_model.graph.output)


def opened(network: Network, split: str, folder: Path) -> Workshop:
    """Write a network's common files, and return them."""
    (folder / "device").mkdir(parents=True, exist_ok=True)
    (folder / "pre.toml").write_text(network.recipe.toml())
    model = fixed(network)
    onnx.save(model, folder / "model.onnx")
    write_prepared(model, folder / "device" / "float.onnx")
    runner = session(folder / "model.onnx")
    shape = [row.dim_value for row in model.graph.input[0].type.tensor_type.shape.dim]
    _draw_all(network, split, folder, _count(_run(runner, np.zeros(shape, np.float32))))
    inputs = {path.stem: _input(network, path) for path in sorted((folder / "pictures").iterdir())}
    shop = Workshop(
        network,
        split,
        folder,
        inputs,
        {name: _run(runner, x) for name, x in inputs.items()},
        model,
        codes_of(_samples(network, folder, _right, SEEN)),
    )
    seen = [_run(runner, x) for x in _samples(network, folder, _right, SEEN)]
    ranges = {name: [row[name] for row in seen] for name in shop.outputs}
    own = {name: _codes_of_output(shop, name, rows) for name, rows in ranges.items()}
    shared = codes_of([row for rows in ranges.values() for row in rows])
    shop = replace(shop, output_codes=own, shared_codes=shared)
    right = device(shop)
    return replace(shop, healthy={name: right.values(right.run(x)) for name, x in inputs.items()})


def _codes_of_output(shop: Workshop, name: str, rows: list[np.ndarray]) -> Codes:
    """Return codes of 8 bits, or of 16 where 8 would cost as much as the whole network."""
    narrow = codes_of(rows)
    runner = session(_file(shop, "healthy"))
    right = [shop.references[picture][name] for picture in shop.names]
    given = [_run(runner, shop.inputs[picture])[name] for picture in shop.names]
    rounded = [narrow.decode(narrow.encode(row)) for row in right]
    return narrow if energy(right, rounded) < energy(right, given) else codes_of(rows, 16)


def _run(runner: onnxruntime.InferenceSession, x: F32) -> Arrays:
    names = [row.name for row in runner.get_outputs()]
    return dict(zip(names, runner.run(names, {runner.get_inputs()[0].name: x}), strict=True))


def _count(outputs: Arrays) -> int:
    """Return how many pictures a case has: more where the outputs hold few numbers."""
    numbers = sum(row.size for row in outputs.values())
    return min(max(PICTURES, -(-NUMBERS // numbers)), MOST_PICTURES)


def _draw_all(network: Network, split: str, folder: Path, count: int) -> None:
    draw = KINDS[network.pictures]
    start = sum(map(ord, network.name))
    shown = {f"p{number}": draw(split, start + number) for number in range(count + 1)}
    size = (shown["p0"].height, shown["p0"].width)
    shown |= {f"noise{number}": noise(size, start + number) for number in range(count)}
    shown |= {f"constant{number}": constant(size, number) for number in range(count)}
    used = {f"{number:03}": draw("calibration", start + number) for number in range(CALIBRATION)}
    for name, pictures in (("pictures", shown), ("calibration", used)):
        (folder / name).mkdir(exist_ok=True)
        for stem, picture in pictures.items():
            picture.save(folder / name / f"{stem}.png")


def _raw(network: Network, path: Path) -> U8:
    with Image.open(path) as picture:
        return pixels(network.recipe, picture)


def _input(network: Network, path: Path) -> F32:
    made = normalised(network.recipe, _raw(network, path))
    return np.asarray(batched(network.recipe, made), np.float32)


def build_archive(shop: Workshop) -> None:
    """Build model.bta through the command line, with its default settings."""
    target = shop.folder / "model.bta"
    if target.exists():
        return
    command = [str(Path(sys.executable).with_name("bittrue")), "build", "model.onnx"]
    command += ["--preprocess", "pre.toml", "--calibrate", "calibration", "-o", "model.bta"]
    done = subprocess.run(command, cwd=shop.folder, capture_output=True, text=True, check=False)
    if done.returncode or not target.exists():
        raise RuntimeError(f"{shop.folder}: no archive: {done.stderr[-500:]}")


# --- deployed networks ---------------------------------------------------------------------------

Prepare = Callable[[U8, Network], np.ndarray]


def _right(raw: U8, network: Network) -> np.ndarray:
    return normalised(network.recipe, raw)


def _unit(raw: U8, _: Network) -> np.ndarray:
    return raw.astype(np.float32) / 255


def _unnormalised(raw: U8, _: Network) -> np.ndarray:
    return raw.astype(np.float32)


def _dark(raw: U8, network: Network) -> np.ndarray:
    return normalised(network.recipe, (raw * 0.06).astype(np.uint8))


def _samples(network: Network, folder: Path, prepare: Prepare, count: int) -> list[F32]:
    paths = sorted((folder / "calibration").iterdir())[:count]
    made = [prepare(_raw(network, path), network) for path in paths]
    return [np.asarray(batched(network.recipe, row), np.float32) for row in made]


def _calibrated(prepare: Prepare, count: int = SEEN) -> Callable[[Workshop, Path], None]:
    def make(shop: Workshop, target: Path) -> None:
        samples = _samples(shop.network, shop.folder, prepare, count)
        quantised(shop.folder / "device" / "float.onnx", target, samples, shop.network)

    return make


def _unsigned(shop: Workshop, target: Path) -> None:
    """Quantise as the healthy network, but weights as uint8: their products do not saturate."""
    samples = _samples(shop.network, shop.folder, _right, SEEN)
    source = shop.folder / "device" / "float.onnx"
    quantised(source, target, samples, shop.network, QuantType.QUInt8)


def _edited(edit: damage.Edit) -> Callable[[Workshop, Path], None]:
    """Edit the int8 network where the edit shows most."""

    def make(shop: Workshop, target: Path) -> None:
        healthy = device(shop, "healthy")
        best, found = -1.0, PLACES[0]
        for place in PLACES:
            damage.edited(_file(shop, "healthy"), target, edit, place)
            changed = replace(healthy, runner=session(target))
            effect = ratio(shop, changed)
            best, found = max((best, found), (effect, place))
        damage.edited(_file(shop, "healthy"), target, edit, found)

    return make


def _redeployed(edit: damage.Edit) -> Callable[[Workshop, Path], None]:
    """Edit the float network and quantise it anew."""

    def make(shop: Workshop, target: Path) -> None:
        other = target.with_suffix(".float.onnx")
        damage.edited(shop.folder / "device" / "float.onnx", other, edit, 0.5)
        quantised(other, target, _samples(shop.network, shop.folder, _right, SEEN), shop.network)
        other.unlink()

    return make


#: How each deployed network is made.
DEPLOYED: dict[str, Callable[[Workshop, Path], None]] = {
    "healthy": _calibrated(_right),
    "unsigned": _unsigned,
    "domain_unit": _calibrated(_unit),
    "domain_raw": _calibrated(_unnormalised),
    "weak": _calibrated(_dark, 1),
    "clipped": _edited(damage.clip_activations),
    "coarse_activations": _edited(damage.coarsen_activations),
    "coarse_weights": _edited(damage.coarsen_weights),
    "other_checkpoint": _redeployed(damage.other_checkpoint),
    "other_version": _redeployed(damage.other_version),
}


#: The same networks run or read in another way: on the CPU's 8-bit products, which saturate with
#: signed weights where there is no VNNI, and with every output in one scale.
SAME_FILE = {"saturating": "healthy", "shared_scale": "healthy", "unsigned_integers": "unsigned"}
INTEGERS = frozenset({"saturating", "unsigned_integers"})


def _file(shop: Workshop, name: str) -> Path:
    target = shop.folder / "device" / f"{name}.onnx"
    if not target.exists():
        DEPLOYED[name](shop, target)
    return target


@lru_cache(maxsize=4)
def _opened(path: Path, names: tuple[str, ...], integers: bool) -> onnxruntime.InferenceSession:
    return session(with_taps(path, names), integer_kernels=integers)


@lru_cache(maxsize=16)
def _activations(path: Path) -> dict[str, Activation]:
    return before_activation(onnx.load(path))


def device(shop: Workshop, name: str = "healthy", *, taps: tuple[str, ...] = ()) -> Device:
    """Return a device.

    Args:
        shop: Its network.
        name: One of DEPLOYED or SAME_FILE.
        taps: Inner tensors that it also gives.
    """
    path = _file(shop, SAME_FILE.get(name, name))
    read = _activations(path)
    names = tuple(row.tensor for row in read.values())
    runner = _opened(path, (*names, *taps), name in INTEGERS)
    codes = shop.output_codes
    if name == "shared_scale":
        codes = dict.fromkeys(codes, shop.shared_codes)
    return Device(shop.network.recipe, shop.outputs, codes, shop.input_codes, runner, read)


def ratio(shop: Workshop, other: Device) -> float:
    """Return the effect of another deployed network on the pictures of an ordinary case."""
    right = [shop.references[name] for name in shop.names]
    healthy = device(shop)
    given = [
        [row.values(row.run(shop.inputs[name])) for name in shop.names] for row in (healthy, other)
    ]
    return error_ratio(right, given[0], given[1])


def dumped(shop: Workshop) -> tuple[str, ...]:
    """Return inner tensors that the source and the device's network both have, spread evenly."""
    model = onnx.load(_file(shop, "healthy"))
    there = {name for node in model.graph.node for name in node.output} - set(shop.outputs)
    nodes = shop.float_model.graph.node
    common = [node.output[0] for node in nodes if node.output[0] in there]
    common = [name for name in common if name not in _odd(shop)]
    count = min(DUMPED, len(common))
    return tuple(common[index * len(common) // count] for index in range(count))


def _odd(shop: Workshop) -> set[str]:
    """Return outputs of nodes that hold shapes and the like."""
    kinds = {"Shape", "Constant", "Gather", "Unsqueeze", "Cast", "Slice", "Range", "Identity"}
    nodes = shop.float_model.graph.node
    return {name for node in nodes if node.op_type in kinds for name in node.output}
