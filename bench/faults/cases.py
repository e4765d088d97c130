"""From a plan to a folder that holds what a real user would have, and what is true."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.faults import input_faults, output_faults
from bench.faults.codes import Codes
from bench.faults.device import Arrays, Device
from bench.faults.effect import effect, error_ratio
from bench.faults.input_faults import Buffer, device_with, send
from bench.faults.output_faults import Given
from bench.faults.plans import Plan
from bench.faults.recipe import F32
from bench.faults.workshop import DUMPED_ELEMENTS, Workshop, device, dumped


@dataclass(frozen=True, slots=True)
class Made:
    """A case before it is written.

    Args:
        plan: What was planted.
        pictures: Names of the pictures, one a capture.
        buffers: What was sent for each.
        captures: What was captured for each; empty where the device refused.
        effect: Energy of what the mistake changes, over the healthy device's error.
        error_ratio: Its error energy, over the healthy device's.
        parts: Of a pair: the effect of each mistake alone.
        refused: Whether the device's library refused the buffer.
        target: The device as it is configured, for its contract.
    """

    plan: Plan
    pictures: tuple[str, ...]
    buffers: list[Buffer]
    captures: list[Arrays]
    effect: float
    error_ratio: float
    parts: dict[str, float]
    refused: bool
    target: Device


def given_of(shop: Workshop, target: Device, x: F32) -> Given:
    """Return what a device's library gives for one input."""
    names = {name: row.tensor for name, row in target.before.items()}
    tensors = target.tensors(x, tuple(dict.fromkeys((*target.outputs, *names.values()))))
    codes = {name: target.codes[name].encode(tensors[name]) for name in target.outputs}
    # The Softmax of older files reads a matrix: the same numbers in another shape.
    before = {name: tensors[tensor].reshape(codes[name].shape) for name, tensor in names.items()}
    kinds = {name: row.function for name, row in target.before.items()}
    return Given(shop.network, codes, target.codes, before, kinds)


def make(shop: Workshop, plan: Plan) -> Made:
    """Run the device as the plan has it."""
    taps = dumped(shop) if plan.special == "dump" else ()
    target = device(shop, plan.device, taps=taps)
    pictures = _pictures(shop, plan)
    made = _captured(shop, plan, target, pictures, taps)
    right = [shop.references[name] for name in pictures]
    healthy = [shop.healthy[name] for name in pictures]
    kept = [{name: row[name] for name in shop.outputs if name in row} for row in made.captures]
    size, error = effect(right, healthy, kept), error_ratio(right, healthy, kept)
    parts = _parts(shop, plan, target, pictures) if len(plan.causes) > 1 else {}
    finished = replace(made, effect=size, error_ratio=error, parts=parts)
    return _renamed(shop, finished) if plan.special == "renamed" else finished


def _pictures(shop: Workshop, plan: Plan) -> tuple[str, ...]:
    if plan.special in {"noise", "constant"}:
        return tuple(f"{plan.special}{number}" for number in range(len(shop.names)))
    if plan.special == "repeat":
        return (shop.names[0],) * 2
    return shop.names


def _captured(
    shop: Workshop, plan: Plan, target: Device, pictures: tuple[str, ...], taps: tuple[str, ...]
) -> Made:
    fault = input_faults.BY_NAME[plan.input_fault]
    configured = device_with(target, fault)
    codes = shop.input_codes
    buffers, captures = [], []
    for place, name in enumerate(pictures):
        buffer = send(shop.network, codes, plan.kind, shop.picture(name), fault)
        buffers.append(buffer)
        if not buffer.refused:
            seen = _seen(shop, plan, codes, place, buffer)
            x = configured.accept(plan.kind, seen)
            captures.append(_capture(shop, plan, configured, x, taps, place))
    return Made(plan, pictures, buffers, captures, 0.0, 0.0, {}, not captures, configured)


def _seen(shop: Workshop, plan: Plan, codes: Codes, place: int, buffer: Buffer) -> np.ndarray:
    """Return what the device works on: of the frame before where it lags behind."""
    if plan.special != "stale":
        return buffer.read
    before = (shop.extra, *shop.names)[place]
    fault = input_faults.BY_NAME[plan.input_fault]
    return send(shop.network, codes, plan.kind, shop.picture(before), fault).read


def _capture(
    shop: Workshop, plan: Plan, target: Device, x: F32, taps: tuple[str, ...], place: int
) -> Arrays:
    given = given_of(shop, target, x)
    if plan.special == "repeat" and place:
        given = replace(given, codes=_disturbed(given))
    found = output_faults.BY_NAME[plan.output_fault].apply(given)
    inner = target.tensors(x, taps) if taps else {}
    small = {name: row for name, row in inner.items() if row.size <= DUMPED_ELEMENTS}
    return {**small, **found}


def _disturbed(given: Given) -> Arrays:
    """Return codes as a race between two writers leaves them: a stretch of one is the other's."""
    rng = np.random.default_rng(3)
    changed: Arrays = {}
    for name, row in given.codes.items():
        flat = row.copy().ravel()
        length = max(1, flat.size // 8)
        start = int(rng.integers(0, flat.size - length + 1))
        flat[start : start + length] = rng.permutation(flat)[:length]
        changed[name] = flat.reshape(row.shape)
    return changed


def _parts(
    shop: Workshop, plan: Plan, target: Device, pictures: tuple[str, ...]
) -> dict[str, float]:
    """Return the effect of each mistake of a pair alone."""
    alone = (replace(plan, output_fault="healthy"), replace(plan, input_fault="healthy"))
    right = [shop.references[name] for name in pictures]
    healthy = [shop.healthy[name] for name in pictures]
    return {
        cause: effect(right, healthy, _captured(shop, row, target, pictures, ()).captures)
        for cause, row in zip(plan.causes, alone, strict=True)
    }


def _renamed(shop: Workshop, made: Made) -> Made:
    """Return captures under the names that a device's compiler gave the outputs."""
    new = {name: f"deployed/output_layer{place + 1}" for place, name in enumerate(shop.outputs)}
    rows = [{new.get(name, name): row for name, row in each.items()} for each in made.captures]
    return replace(made, captures=rows)


# --- writing -------------------------------------------------------------------------------------


def write(shop: Workshop, made: Made, folder: Path) -> None:
    """Write a case: arrays, contract, command and truth."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan = made.plan
    arguments = _model(shop, plan, folder)
    for name in made.pictures:
        arguments += ["--picture", f"../../pictures/{name}.png"]
    arguments += _sent(made, folder)
    if plan.give == "all":
        (folder / "contract.toml").write_text(contract(shop, plan, made.target))
        arguments += ["--deployed", "contract.toml"]
    arguments += _references(shop, made, folder) if plan.give == "reference" else []
    arguments += _devices(made, folder)
    truth = {
        "case": plan.name,
        "network": shop.network.name,
        "split": shop.split,
        "causes": list(plan.causes),
        "kind": plan.kind,
        "give": plan.give,
        "source": plan.source,
        "planted": [plan.input_fault, plan.output_fault, plan.device, plan.special],
        "refused": made.refused,
        "effect": made.effect,
        "error_ratio": made.error_ratio,
        "parts": made.parts,
        "arguments": arguments,
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


def _model(shop: Workshop, plan: Plan, folder: Path) -> list[str]:
    if plan.give == "reference":
        return []
    name = f"model.{plan.source}"
    path = f"../../{name}"
    if plan.special == "cut_model":
        data = (shop.folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) * 2 // 3])
        path = name
    return [path, "--preprocess", "../../pre.toml"] if plan.source == "onnx" else [path]


def _sent(made: Made, folder: Path) -> list[str]:
    if made.plan.give not in {"sent", "all"}:
        return []
    arguments: list[str] = []
    for place, buffer in enumerate(made.buffers):
        np.save(folder / f"sent{place}.npy", buffer.sent)
        arguments += ["--sent", f"sent{place}.npy"]
    return arguments


def _devices(made: Made, folder: Path) -> list[str]:
    arguments: list[str] = []
    for place, capture in enumerate(made.captures):
        path = folder / f"device{place}.npz"
        np.savez_compressed(path, **capture)  # type: ignore[arg-type]
        if made.plan.special == "cut_capture" and place == 0:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) * 2 // 3])
        arguments += ["--device", path.name]
    return arguments


def _references(shop: Workshop, made: Made, folder: Path) -> list[str]:
    """Write what the float network gives; for "rounding" the same int8 network on float kernels."""
    rows = {name: shop.references[name] for name in made.pictures}
    if made.plan.special == "rounding":
        exact = device(shop, "unsigned")
        rows = {name: exact.values(exact.run(shop.inputs[name])) for name in rows}
    arguments: list[str] = []
    for place, row in enumerate(rows.values()):
        np.savez_compressed(folder / f"reference{place}.npz", **row)  # type: ignore[arg-type]
        arguments += ["--reference", f"reference{place}.npz"]
    return arguments


def contract(shop: Workshop, plan: Plan, target: Device) -> str:
    """Return the contract of a device as TOML: what it takes, and what its library gives."""
    kind, raw_codes = plan.kind, plan.output_fault == "codes"
    recipe, names = shop.network.recipe, [shop.float_model.graph.input[0].name]
    height, width = recipe.size
    nhwc = kind == "raw" or recipe.layout == "NHWC"
    shape = [1, height, width, 3] if nhwc else [1, 3, height, width]
    codes = target.input_codes
    dtype = {"float": "float32", "raw": "uint8", "codes": codes.dtype}[kind]
    holds = {"float": "normalised values", "raw": "raw pixels", "codes": "codes"}[kind]
    lines = ["[[input]]", f'name = "{names[0]}"', f'dtype = "{dtype}"', f"shape = {shape}"]
    lines += [f'layout = "{"NHWC" if nhwc else "NCHW"}"', f'colour = "{recipe.colour}"']
    lines += [f'holds = "{holds}"', *(_scale(codes) if kind == "codes" else [])]
    for name in shop.outputs:
        row, params = shop.references[shop.names[0]][name], target.codes[name]
        lines += ["", "[[output]]", f'name = "{name}"', f"shape = {list(row.shape)}"]
        lines += [f'dtype = "{params.dtype if raw_codes else "float32"}"']
        lines += [f'holds = "{"codes" if raw_codes else "values"}"', *_scale(params)]
    return "\n".join(lines) + "\n"


def _scale(codes: Codes) -> list[str]:
    return [f"scale = {codes.scale!r}", f"zero_point = {codes.zero_point}"]
