"""Which cases there are of a network: what is planted, and what the user gives to the tool."""

from __future__ import annotations

from dataclasses import dataclass

from bench.faults import input_faults, output_faults
from bench.faults.input_faults import KINDS
from bench.faults.networks import Network
from bench.faults.output_faults import Given
from bench.faults.recipe import Recipe

#: What a user gives besides the model and the pictures: nothing; the array sent; that and the
#: device's contract; or no model at all but the outputs of the float network.
GIVES = ("outputs", "sent", "all", "reference")


@dataclass(frozen=True, slots=True)
class Plan:
    """One case.

    Args:
        name: Of its folder.
        causes: Planted.
        kind: Of the input buffer, one of `input_faults.KINDS`.
        give: One of GIVES.
        source: "onnx", "bta", or "none" where no model is given.
        input_fault: A name of `input_faults.BY_NAME`.
        output_fault: A name of `output_faults.BY_NAME`.
        device: Which deployed network.
        special: What else is done: "", "stale", "repeat", "noise", "constant", "dump", "renamed",
            "cut_capture", "cut_model" or "rounding".
    """

    name: str
    causes: tuple[str, ...]
    kind: str
    give: str
    source: str
    input_fault: str = "healthy"
    output_fault: str = "healthy"
    device: str = "healthy"
    special: str = ""


#: Deployed networks with something wrong, and the cause.
DEVICES = {
    "domain_unit": "quant.calibration_domain",
    "domain_raw": "quant.calibration_domain",
    "weak": "quant.calibration_weak",
    "shared_scale": "quant.shared_scale",
    "clipped": "quant.clipping",
    "coarse_activations": "quant.activations",
    "coarse_weights": "quant.weights",
    "other_checkpoint": "graph.weights",
    "other_version": "graph.weights",
    "saturating": "runtime.saturation",
}
SPECIAL = {
    "stale": "runtime.stale",
    "repeat": "runtime.nondeterministic",
    "noise": "test.unrepresentative",
    "constant": "test.unrepresentative",
    "cut_capture": "runtime.damaged_file",
    "cut_model": "runtime.damaged_file",
}
PAIRED_INPUTS = ("channel_order", "no_normalization", "layout", "constants", "signed", "stretched")
PAIRED_OUTPUTS = (
    "codes",
    "rotated",
    "no_activation",
    "box_order",
    "padded",
    "axes_misread",
    "activated_twice",
    "other_params",
)


def plans(network: Network, given: Given) -> list[Plan]:
    """Return the cases of a network, always the same ones.

    Args:
        network: Which one.
        given: What its healthy device gives: says which mistakes are possible.
    """
    rows = [*_healthy(), *_inputs(network), *_outputs(given), *_devices(network, given)]
    return [*rows, *_special(), *_pairs(network, given)]


def _source(number: int) -> str:
    return "bta" if number % 2 else "onnx"


def _healthy() -> list[Plan]:
    rows = [
        Plan(f"healthy_{kind}_{give}", ("none",), kind, give, _source(place + row))
        for place, kind in enumerate(KINDS)
        for row, give in enumerate(GIVES[:3])
    ]
    return [
        *rows,
        Plan("healthy_reference", ("none",), "float", "reference", "none"),
        Plan("healthy_renamed", ("none",), "raw", "outputs", "onnx", special="renamed"),
        Plan("healthy_integers", ("none",), "raw", "all", "bta", device="unsigned_integers"),
        Plan("healthy_dump", ("none",), "float", "outputs", "onnx", special="dump"),
        Plan(
            "rounding",
            ("runtime.rounding",),
            "float",
            "reference",
            "none",
            device="unsigned_integers",
            special="rounding",
        ),
    ]


def _inputs(network: Network) -> list[Plan]:
    rows: list[Plan] = []
    for number, fault in enumerate(input_faults.FAULTS):
        if not fault.applies(network):
            continue
        gives: tuple[str, ...] = (
            ("all",) if fault.name in {"too_wide", "two_frames"} else ("outputs", "all")
        )
        gives = gives[number % len(gives) :][:1] if network.heavy else gives
        for place, give in enumerate(gives):
            kind = fault.kinds[(number + place) % len(fault.kinds)]
            name, source = f"{fault.name}_{kind}_{give}", _source(number + place)
            rows.append(Plan(name, (fault.cause,), kind, give, source, fault.name))
    return rows


def _outputs(given: Given) -> list[Plan]:
    rows: list[Plan] = []
    faults = [row for row in output_faults.FAULTS if row.applies(given)]
    for number, fault in enumerate(faults):
        gives: tuple[str, ...] = ("outputs", "all", "reference")
        gives = gives[number % 3 :][:1] if given.network.heavy else gives
        for place, give in enumerate(gives):
            kind = KINDS[(number + place) % 3]
            source = "none" if give == "reference" else _source(number + place)
            name = f"{fault.name}_{give}"
            rows.append(Plan(name, (fault.cause,), kind, give, source, output_fault=fault.name))
    return rows


def _devices(network: Network, given: Given) -> list[Plan]:
    rows: list[Plan] = []
    for number, (name, cause) in enumerate(DEVICES.items()):
        if name in _same_domains(network.recipe):
            continue
        if name == "shared_scale" and not _unlike(given):
            continue
        kind, source = KINDS[number % 3], _source(number)
        if not network.heavy:
            rows.append(Plan(f"{name}_outputs", (cause,), kind, "outputs", source, device=name))
        if network.heavy or name != "saturating":
            special = "" if name == "saturating" else "dump"
            plan = Plan(f"{name}_dump", (cause,), kind, "all", source, device=name, special=special)
            rows.append(plan)
    return rows


def _same_domains(recipe: Recipe) -> set[str]:
    """Return which other domains of calibration are the right one."""
    centred = any(recipe.mean) or set(recipe.std) != {1.0}
    unit = recipe.scale == 1 / 255 and not centred
    return ({"domain_raw"} if recipe.plain else set()) | ({"domain_unit"} if unit else set())


def _unlike(given: Given) -> bool:
    """Whether there are outputs, or parts of one, that a single scale of 8 bits does not suit."""
    return len(given.codes) > 1 or any(row.bits > 8 for row in given.params.values())


def _special() -> list[Plan]:
    return [
        Plan(name, (cause,), KINDS[number % 3], "outputs", _source(number + 1), special=name)
        for number, (name, cause) in enumerate(SPECIAL.items())
    ]


def _pairs(network: Network, given: Given) -> list[Plan]:
    inputs = [input_faults.BY_NAME[name] for name in PAIRED_INPUTS]
    inputs = [row for row in inputs if row.applies(network)]
    outputs = [output_faults.BY_NAME[name] for name in PAIRED_OUTPUTS]
    outputs = [row for row in outputs if row.applies(given)]
    rows: list[Plan] = []
    for number in range(4 if network.heavy else 8):
        first = inputs[number % len(inputs)]
        second = outputs[(number + number // len(inputs)) % len(outputs)]
        kind = first.kinds[number % len(first.kinds)]
        name, give = f"pair_{first.name}_{second.name}", GIVES[number % 2 * 2]
        causes = (first.cause, second.cause)
        plan = Plan(name, causes, kind, give, _source(number), first.name, second.name)
        if name not in {row.name for row in rows}:
            rows.append(plan)
    return rows
