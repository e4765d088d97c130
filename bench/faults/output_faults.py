"""Mistakes on the way from the device's codes to what the user compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bench.faults.codes import Codes
from bench.faults.device import Arrays
from bench.faults.networks import Network
from bench.faults.recipe import F32


@dataclass(frozen=True, slots=True)
class Given:
    """What the device's library gives for one picture.

    Args:
        network: Which one.
        codes: By output, unsigned integers.
        params: Of these codes.
        before: Values before an output's last activation, where it has one.
        activations: "Softmax" or "Sigmoid", of such outputs.
    """

    network: Network
    codes: Arrays
    params: dict[str, Codes]
    before: Arrays
    activations: dict[str, str]

    @property
    def values(self) -> Arrays:
        """What the codes stand for."""
        return {name: self.params[name].decode(row) for name, row in self.codes.items()}


@dataclass(frozen=True, slots=True)
class OutputFault:
    """One mistake: from what the library gives to what is captured."""

    name: str
    cause: str
    applies: Callable[[Given], bool]
    apply: Callable[[Given], Arrays]


def _healthy(given: Given) -> Arrays:
    return given.values


def _always(_: Given) -> bool:
    return True


def _codes(given: Given) -> Arrays:
    return dict(given.codes)


def _twice(given: Given) -> Arrays:
    return {name: given.params[name].decode(row) for name, row in given.values.items()}


def _other_params(given: Given) -> Arrays:
    """Decode with the next output's scale and zero point, or with an older build's."""
    names = list(given.codes)
    found: Arrays = {}
    for place, name in enumerate(names):
        own, other = given.params[name], given.params[names[(place + 1) % len(names)]]
        if other.bits != own.bits or abs(other.scale / own.scale - 1) < 0.05:
            other = replace(own, scale=own.scale * 1.37, zero_point=own.zero_point + 11)
        found[name] = other.decode(given.codes[name])
    return found


# --- axes and names ------------------------------------------------------------------------------


def _has_axes(given: Given) -> bool:
    return any(_axes(row.shape) for row in given.codes.values())


def _axes(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 3 and min(shape[1], shape[-1]) > 1


def _moved(given: Given) -> Arrays:
    """Return each output with its last axis right behind the batch, the shape showing it."""
    return {
        name: np.ascontiguousarray(np.moveaxis(row, -1, 1)) if _axes(row.shape) else row
        for name, row in given.values.items()
    }


def _misread(given: Given) -> Arrays:
    """Return the same memory under the shape that was expected."""
    return {
        name: _moved_memory(row) if _axes(row.shape) else row for name, row in given.values.items()
    }


def _moved_memory(row: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(row, -1, 1)).reshape(row.shape)


def _many(given: Given) -> bool:
    return len(given.codes) > 1


def _rotated(given: Given) -> Arrays:
    names = list(given.codes)
    rows = [given.values[name] for name in names]
    return dict(zip(names, rows[1:] + rows[:1], strict=True))


def _padded(given: Given) -> Arrays:
    return {name: _pad(row, given.params[name]) for name, row in given.values.items()}


def _pad(row: np.ndarray, codes: Codes) -> np.ndarray:
    """Return the last axis filled up to a multiple of 8 (of 64 where it is long) with code 0."""
    length, unit = row.shape[-1], 64 if row.shape[-1] > 64 else 8
    extra = -length % unit
    filling = np.full((*row.shape[:-1], extra), codes.decode(np.zeros(1))[0], row.dtype)
    return np.concatenate([row, filling], axis=-1)


def _can_pad(given: Given) -> bool:
    return any(
        row.shape[-1] % (64 if row.shape[-1] > 64 else 8) and row.ndim <= 3
        for row in given.codes.values()
    )


# --- activations ---------------------------------------------------------------------------------


def softmax(row: np.ndarray) -> F32:
    """Return the softmax over the last axis."""
    wide = np.exp(row.astype(np.float64) - row.max(axis=-1, keepdims=True))
    return np.asarray(wide / wide.sum(axis=-1, keepdims=True), np.float32)


def sigmoid(row: np.ndarray) -> F32:
    """Return 1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-row.astype(np.float64))), np.float32)


FUNCTIONS: dict[str, Callable[[np.ndarray], F32]] = {"Softmax": softmax, "Sigmoid": sigmoid}


def _activated(given: Given) -> bool:
    return bool(given.before)


def _without(given: Given) -> Arrays:
    return {**given.values, **given.before}


def _again(given: Given) -> Arrays:
    values = given.values
    twice = {name: FUNCTIONS[kind](values[name]) for name, kind in given.activations.items()}
    return {**values, **twice}


def _gives_logits(given: Given) -> bool:
    return bool(given.network.logits)


def _applied(given: Given) -> Arrays:
    """Apply on the device what the network leaves to the user's program."""
    values = given.values
    made = {name: FUNCTIONS[kind](values[name]) for name, kind in given.network.logits.items()}
    return {**values, **made}


# --- boxes and scores ----------------------------------------------------------------------------


def _has_boxes(given: Given) -> bool:
    return given.network.boxes is not None


def _with_boxes(
    given: Given, change: Callable[[list[np.ndarray], Network], list[np.ndarray]]
) -> Arrays:
    boxes, values = given.network.boxes, given.values
    if boxes is None:
        return values
    row = values[boxes.output]
    parts = np.moveaxis(row, boxes.axis, 0).copy()  # [4 or more, ...]
    parts[:4] = np.stack(change(list(parts[:4]), given.network))
    return {**values, boxes.output: np.ascontiguousarray(np.moveaxis(parts, 0, boxes.axis))}


def _other_form(four: list[np.ndarray], network: Network) -> list[np.ndarray]:
    a, b, c, d = four
    if network.boxes is not None and network.boxes.form == "corners":
        return [(a + c) / 2, (b + d) / 2, c - a, d - b]
    return [a - c / 2, b - d / 2, a + c / 2, b + d / 2]


def _rows_first(four: list[np.ndarray], _: Network) -> list[np.ndarray]:
    a, b, c, d = four
    return [b, a, d, c]


def _other_unit(four: list[np.ndarray], network: Network) -> list[np.ndarray]:
    """Return pixels for shares of the picture; half of the pixels for pixels."""
    height, width = network.recipe.size
    if network.boxes is not None and network.boxes.unit == "one":
        return [four[0] * width, four[1] * height, four[2] * width, four[3] * height]
    return [part / 2 for part in four]


def _form(given: Given) -> Arrays:
    return _with_boxes(given, _other_form)


def _order(given: Given) -> Arrays:
    return _with_boxes(given, _rows_first)


def _unit(given: Given) -> Arrays:
    return _with_boxes(given, _other_unit)


def _has_scores(given: Given) -> bool:
    return given.network.scores is not None


def _thresholded(given: Given) -> Arrays:
    """Return scores below 0.3 as 0."""
    values = given.values
    if given.network.scores is None:
        return values
    name, axis, first = given.network.scores
    scores = np.moveaxis(values[name], axis, 0).copy()
    scores[first:][scores[first:] < 0.3] = 0
    return {**values, name: np.ascontiguousarray(np.moveaxis(scores, 0, axis))}


NOTHING = OutputFault("healthy", "none", _always, _healthy)
FAULTS = (
    OutputFault("codes", "output.not_dequantized", _always, _codes),
    OutputFault("decoded_twice", "output.dequantized_twice", _always, _twice),
    OutputFault("other_params", "output.wrong_qparams", _always, _other_params),
    OutputFault("axes_moved", "output.layout", _has_axes, _moved),
    OutputFault("axes_misread", "output.layout", _has_axes, _misread),
    OutputFault("rotated", "output.order", _many, _rotated),
    OutputFault("padded", "output.padding", _can_pad, _padded),
    OutputFault("no_activation", "output.activation_missing", _activated, _without),
    OutputFault("activated", "output.activation_missing", _gives_logits, _applied),
    OutputFault("activated_twice", "output.activation_twice", _activated, _again),
    OutputFault("box_form", "output.box_format", _has_boxes, _form),
    OutputFault("box_order", "output.box_format", _has_boxes, _order),
    OutputFault("box_unit", "output.box_format", _has_boxes, _unit),
    OutputFault("threshold", "output.threshold", _has_scores, _thresholded),
)
BY_NAME = {row.name: row for row in (NOTHING, *FAULTS)}
