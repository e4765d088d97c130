"""What no input or output mistake explains: ordinary quantisation, or of which kind it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bittrue import chain
from bittrue.diagnosis.chance import gain_by_chance, holds_in_frames
from bittrue.diagnosis.door import scaling_of
from bittrue.diagnosis.experiment import Tried, grid
from bittrue.diagnosis.facts import Explanation, Mistake, Trial
from bittrue.diagnosis.graph_trials import GraphTrial, GraphTrials, Inputs, search_graph
from bittrue.diagnosis.instruments import GUESSED, Instruments
from bittrue.diagnosis.scene import Frame, Scene
from bittrue.engines.altered import AlteredRunner
from bittrue.errors import Error
from bittrue.graph.model import Graph

F64 = NDArray[np.float64]
Seen = Callable[[str, int, int], None]
#: Error of the device over that of our own 8 bits, as amplitudes: up to this it is ordinary.
ORDINARY = 3.0
#: So many frames are taken for what a network was calibrated with.
CALIBRATION = 3
#: How dark the pictures of a weak calibration may have been.
DARK = (0.3, 0.15, 0.08, 0.04)
#: A device whose every value is so near to the float network's computes in floats.
FLOAT = 1e-3
#: Where the ordinary noise is not known, this much signal over what differs is ordinary: the bound
#: of the ladder's edge to codes.
LEAST_DB = 10.0
#: What is left of a right inner tensor is at most this, and as much again for each layer before it.
INNER_NOISE = 1.0
#: So many codes apart is another rounding.
CODES = 2
#: Outputs whose size is this part of what it should be have lost products to saturation, perhaps.
SMALLER = 0.97
#: A graph trial must leave so many times less than the network as it is, in every frame.
GAIN, FRAME_GAIN = 2.0, 1.3
#: What a graph trial leaves is at most this, or so many times less than the network as it is.
FAR, DECISIVE = 60.0, 100.0
#: What leaves so many times less than the network as it is, is the nearest where nothing fits.
NEARER = 1.4
#: No more causes than this are named by elimination.
MOST_NAMED = 3
#: Trials within this factor of the best one fit equally well.
TIE = 1.25


@dataclass(frozen=True, slots=True)
class Leftover:
    """What is said where no input or output mistake was accepted.

    Args:
        explanations: First or tied for first.
        trials: On the network itself.
        first_layer: The first inner tensor, or layer, that is off.
        gain: Of the best trial that was accepted; 0 where none was.
        eliminated: Whether nothing fits, and what is named is only what is left.
    """

    explanations: tuple[Explanation, ...]
    trials: tuple[Trial, ...] = ()
    first_layer: str = ""
    gain: float = 0.0
    eliminated: bool = False


def left_unexplained(
    scene: Scene,
    base: Tried,
    made: Instruments,
    names: Mapping[str, str],
    *,
    budget: float,
    seen: Seen,
) -> Leftover:
    """Return what is to be said where no trial was accepted.

    Args:
        scene: What was given.
        base: No mistake.
        made: Our networks and the ordinary noise.
        names: The device's name for each output.
        budget: Seconds for experiments on the network itself.
        seen: For progress.
    """
    ratio = math.sqrt(_ordinarily(base, made.exact(scene.frames)))
    if base.residual == 0:
        return Leftover((_said("none", f"every value is what {_whose(base)} gives", 1.0),))
    worst = _worst(base, made.exact(scene.frames))
    if worst <= FLOAT:
        told = f"largest difference {worst:.2g} of the largest value"
        return Leftover((_said("none", told, 0.95),))
    measured = made.told != GUESSED
    if not measured and _least_sqnr(base, made.exact(scene.frames)) >= LEAST_DB:
        told = f"each output keeps {LEAST_DB:g} dB or more of signal over what differs"
        return Leftover((_said("quant.expected", told, 0.6),))
    trials = _graph_trials(scene, made, names)
    if ratio <= ORDINARY and not _loud_inside(trials):
        rounded = _rounded(base, made.mended(scene.frames))
        if rounded:
            return Leftover((_said("runtime.rounding", rounded, 0.9),))
        told = (
            f"the device is {ratio:.2g} times as far from the float network as our own integer "
            "network: ordinary quantisation"
        )
        return Leftover((_said("quant.expected", told, 0.9),))
    told = (
        f"the device is {ratio:.3g} times as far from the float network as our own integer network"
        if measured
        else f"what differs is {ratio:.3g} times the noise that is assumed, 20 dB below each output"
    )
    smaller = _smaller(base, made.exact(scene.frames))
    if trials is None:
        return Leftover(_by_elimination(told, smaller=smaller), eliminated=True)
    found = search_graph(trials, _samples(scene), deadline=time.monotonic() + budget, seen=seen)
    return _decided(trials, found, told, smaller)


def _ordinarily(base: Tried, exact: Sequence[Mapping[str, F64]]) -> float:
    """Return what is left of the frames without the worst quarter: noise is not alike in each.

    But of all of them where one of the worst keeps less than LEAST_DB: that is no noise.
    """
    order = sorted(range(len(base.residuals)), key=lambda index: base.residuals[index])
    kept = order[: len(order) - len(order) // 4]
    odd = any(_db_of(base, exact, [index]) < LEAST_DB for index in order[len(kept) :])
    return float(np.mean([base.residuals[index] for index in (order if odd else kept)]))


def _db_of(base: Tried, exact: Sequence[Mapping[str, F64]], frames: Sequence[int]) -> float:
    """Return the least ratio, over the outputs, of all frames' signal to some frames' noise."""
    found = []
    for name in exact[0]:
        if any(name not in base.lefts[index] for index in frames):
            return -math.inf
        gaps = [exact[index][name] - base.lefts[index][name].values for index in frames]
        noise = float(np.mean([np.square(gap).mean() for gap in gaps]))
        signal = float(np.mean([np.square(row[name]).mean() for row in exact]))
        found.append(10 * math.log10(signal / noise) if noise and signal else math.inf)
    return min(found)


def _least_sqnr(base: Tried, exact: Sequence[Mapping[str, F64]]) -> float:
    """Return the least signal to noise ratio of an output over all frames, in dB."""
    return _db_of(base, exact, range(len(exact)))


def _whose(base: Tried) -> str:
    return {"integer": "our executable", "reference": "the reference"}.get(
        base.instrument, "our float network"
    )


def _worst(base: Tried, exact: Sequence[Mapping[str, F64]]) -> float:
    """Return the largest difference over the largest value, of all outputs and frames."""
    rows = [
        float(np.abs(lefts[name].values - truth[name]).max())
        / (float(np.abs(truth[name]).max()) or 1)
        if name in lefts
        else math.inf
        for truth, lefts in zip(exact, base.lefts, strict=True)
        for name in truth
    ]
    return max(rows, default=math.inf)


def _rounded(base: Tried, ours: Sequence[Mapping[str, F64]]) -> str:
    """Return that the device is one or two codes from our executable; empty where it is not.

    Its codes show as the grid that its values lie on.
    """
    gaps = []
    for given, lefts in zip(ours, base.lefts, strict=True):
        for name, array in given.items():
            step = grid(lefts[name].values) if name in lefts else None
            if step is None:
                return ""
            gaps.append((lefts[name].values - array).reshape(-1) / step)
    codes = np.concatenate(gaps) if gaps else np.array([np.inf])
    near = float((np.abs(codes) <= CODES).mean())
    if near < 0.99 or abs(float(codes.mean())) > 0.5:
        return ""
    return (
        f"{near:.1%} of the values are within {CODES} codes of our executable's, "
        f"{codes.mean():+.2f} on average: another vendor's rounding"
    )


def _loud_inside(trials: GraphTrials | None) -> bool:
    """Whether inner tensors of the device are off, though the outputs are not."""
    return trials is not None and bool(_first_layer(trials))


def _decided(trials: GraphTrials, found: Sequence[GraphTrial], told: str, smaller: str) -> Leftover:
    count = len(trials.feeds)
    none = [trials.residual(index, None) for index in range(count)]
    base = float(np.mean(none))
    first = _first_layer(trials)
    facts = tuple(
        Trial(
            f"{row.mistake.where}: {row.mistake.what}" if row.mistake.where else row.mistake.what,
            (row.mistake.cause,),
            row.residual,
            base / row.residual if row.residual else math.inf,
        )
        for row in found
    )
    wanted = max(GAIN, gain_by_chance(trials.tried, trials.elements))
    fitting = [
        row
        for row in found
        if row.residual * wanted <= base
        and (row.residual <= max(FAR, 2 * row.unsure) or row.residual * DECISIVE <= base)
        and holds_in_frames(row.residuals, none, trials.elements / count, FRAME_GAIN)
    ]
    if not fitting:
        near = [row.mistake for row in found[:1] if row.residual * NEARER <= base]
        rest = _by_elimination(told, first, smaller, near)
        return Leftover(rest, facts, first, eliminated=True)
    distinct: dict[str, GraphTrial] = {}
    for row in fitting:
        if row.residual <= fitting[0].residual * TIE:
            distinct.setdefault(row.mistake.cause, row)
    answers = tuple(
        Explanation(
            (row.mistake,),
            round((1 - row.residual / base) / len(distinct), 3),
            (
                told,
                f"the network altered so leaves {row.residual:.3g} times the ordinary noise, as it "
                f"is {base:.3g}, in {count} frame{'s' if count > 1 else ''}",
            ),
        )
        for row in list(distinct.values())[:3]
    )
    gain = base / fitting[0].residual if fitting[0].residual else math.inf
    return Leftover(answers, facts, first or _layer_of(answers[0].mistakes[0]), gain)


def _layer_of(mistake: Mistake) -> str:
    """Return the name of the layer that a mistake is in; empty where it is in none."""
    kind, _, name = mistake.where.partition(" ")
    return name[1:-1] if kind == "layer" else ""


def _first_layer(trials: GraphTrials) -> str:
    """Return the first inner tensor of the device that is off; empty where none was given, or is.

    Rounding adds up: a tensor may be louder by a unit for each layer with weights before it.
    """
    lefts = trials.mean_lefts()
    return next(
        (n for n in trials.inner if not lefts.get(n, 0) <= INNER_NOISE * (1 + trials.depth(n))), ""
    )


def _smaller(base: Tried, exact: Sequence[Mapping[str, F64]]) -> str:
    """Return that the device's outputs are smaller than they should be; empty where they are not.

    Sums of products that saturate lose magnitude, whatever their sign.
    """
    pairs = [
        (truth[name].reshape(-1), lefts[name].values.reshape(-1))
        for truth, lefts in zip(exact, base.lefts, strict=True)
        for name in truth
        if name in lefts
    ]
    power = sum(float(one @ one) for one, _ in pairs)
    slope = sum(float(one @ other) for one, other in pairs) / power if power else 1.0
    if not 0.2 < slope < SMALLER:
        return ""
    return f"the device's outputs are {slope:.3g} times as large as they should be"


def _by_elimination(
    told: str, first: str = "", smaller: str = "", near: Sequence[Mistake] = ()
) -> tuple[Explanation, ...]:
    """Return what is left when nothing that can be reproduced fits, the nearest trial first."""
    seen = (told, f"the first inner tensor that is off is {first!r}") if first else (told,)
    seen = (*seen, smaller) if smaller else seen
    rows = [
        Mistake(row.cause, f"{row.what}, or the like", row.where, row.mend, "statistics")
        for row in near
    ]
    mend = {
        "graph.weights": "compare the checkpoint that was deployed with the reference's (sha256)",
        "quant.activations": "compare layer dumps of the device with `bittrue compare --layers`",
    }
    if smaller:
        more = "run it on a CPU with VNNI, or quantise weights to 7 bits (reduce_range=True)"
        mend = {"runtime.saturation": more, **mend}
    named = {row.cause for row in rows}
    rows += [
        Mistake(cause, told, mend=(line,), decided_by="statistics")
        for cause, line in mend.items()
        if cause not in named
    ]
    return tuple(Explanation((row,), 0.3, seen, proved=False) for row in rows[:MOST_NAMED])


def _said(cause: str, told: str, sure: float) -> Explanation:
    mistake = Mistake(cause, told, decided_by="statistics")
    return Explanation((mistake,), sure, (told,), proved=False)


# --- the network with knobs ----------------------------------------------------------------------


def _graph_trials(scene: Scene, made: Instruments, names: Mapping[str, str]) -> GraphTrials | None:
    network = None if scene.subject is None else scene.subject.network
    if network is None or not all(frame.inputs for frame in scene.frames):
        return None
    graph = chain.optimize(network, normalize_inside=False).optimized
    if graph is None:
        return None
    try:
        runner = AlteredRunner(graph)
        device = [_by_value(graph, frame, names) for frame in scene.frames]
        if not all(device):
            return None  # a frame of which no tensor has its size
        return GraphTrials(runner, [frame.inputs for frame in scene.frames], device, made.noise)
    except Error:
        return None  # a network that cannot be written with knobs is not altered


def _by_value(graph: Graph, frame: Frame, names: Mapping[str, str]) -> dict[str, F64]:
    """Return the device's tensors by the graph's values: outputs; inner ones by their origin."""
    found: dict[str, F64] = {}
    for name, value in graph.values.items():
        known = names.get(name, "") if name in graph.outputs else ""
        for other in (known, name, *value.origin):
            array = frame.device.get(other)
            if array is not None and array.size == math.prod(value.shape):
                found[name] = np.asarray(array, np.float64).reshape(value.shape)
                break
    return found


def _samples(scene: Scene) -> dict[str, list[Inputs]]:
    """Return what the deployed network may have been calibrated with, in words."""
    recipe = scene.preprocess
    pixels = [frame.pixels for frame in scene.frames if frame.pixels is not None]
    if recipe is None or not pixels:
        return {}
    scaling = scaling_of(recipe)
    wide = [row.astype(np.float64) for row in pixels[:CALIBRATION]]
    rows: dict[str, list[np.ndarray]] = {
        "raw pixels 0..255, not normalised": list(wide),
        "pixels / 255": [row / 255 for row in wide],
        "pixels normalised twice": [scaling(scaling(row)) for row in wide],
        **{
            f"weak: pictures darkened to {share:.0%}": [scaling(row * share) for row in wide]
            for share in DARK
        },
        "weak: pictures without contrast": [
            scaling(row.mean() + (row - row.mean()) * 0.2) for row in wide
        ],
    }
    own = [scaling(row) for row in wide]
    return {
        told: [_fed(scene, np.asarray(row, np.float32)) for row in made]
        for told, made in rows.items()
        if not np.allclose(made[0], own[0], rtol=1e-3, atol=1e-3)
    }


def _fed(scene: Scene, values: np.ndarray) -> dict[str, np.ndarray]:
    recipe = scene.preprocess
    planar = recipe is not None and recipe.layout == "NCHW"
    laid = values.transpose(0, 3, 1, 2) if planar else values
    return {**scene.frames[0].inputs, scene.target: np.ascontiguousarray(laid)}
