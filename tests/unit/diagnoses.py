"""Diagnoses made by hand, of every form: what the tests of their renderings look at."""

from __future__ import annotations

import math

import numpy as np

from bittrue.contract.finding import Finding
from bittrue.diagnosis.facts import (
    Diagnosis,
    Effect,
    Explanation,
    Mistake,
    NotTried,
    Trial,
)
from bittrue.parity.bounds import EXACT_BOUND, QUANTISED_BOUND
from bittrue.parity.compare import Comparison, TensorComparison
from bittrue.parity.ladder import Ladder, Rung
from bittrue.parity.metrics import difference

REFERENCE = np.arange(-8, 8, dtype=np.float32)
DTYPE = Finding(
    "input.dtype",
    "error",
    "images",
    "9,830,400 bytes received, 1,228,800 expected: 8 times as many",
    "x = x.astype(np.uint8)",
    1228800,
    9830400,
    ("input.frames: 8 frames in one buffer",),
)
BGR = Mistake(
    "input.channel_order",
    "blue, green, red where red, green, blue is expected",
    "input 'images'",
    ("x = x[..., ::-1]  # or cv2.cvtColor(x, cv2.COLOR_BGR2RGB)", "x = np.ascontiguousarray(x)"),
)
CODES = Mistake(
    "output.not_dequantized",
    "codes taken for values",
    "output 'boxes'",
    ("d = (d.astype(np.float32) - 17) * np.float32(0.0625)",),
    "contract",
)
EVIDENCE = (
    "with red and blue exchanged our own pipeline gives what the device gave: residual 0.97 times "
    "the ordinary noise, where no mistake leaves 41.2",
    "the next best, input.transposed, leaves 22.8",
)
EFFECTS = (
    Effect("boxes", 3.25, 34.5, 412.7, 1.25),
    Effect("scores", -0.5, math.inf, 0.875, 0.0),
)
TRIALS = (
    Trial("blue, green, red at input 'images'", ("input.channel_order",), 0.97, 42.5),
    Trial("height and width swapped at input 'images'", ("input.transposed",), 22.8, 1.81),
    *(Trial(f"another pad colour, {n}", ("input.letterbox",), 40.0 + n, 1.0) for n in range(9)),
)
NOT_TRIED = (
    NotTried("runtime.stale", "it needs several frames"),
    NotTried("input.crop", "it needs the picture"),
    NotTried("input.interpolation", "it needs the picture"),
)


def edge(one: str, two: str, error: float, *, exact: bool = False) -> Comparison:
    """Return an edge whose output 'boxes' is off by `error` everywhere."""
    bound = EXACT_BOUND if exact else QUANTISED_BOUND
    d = difference(REFERENCE, REFERENCE + np.float32(error))
    row = TensorComparison("boxes", d, bound.holds(d))
    first = None if row.within else TensorComparison("/conv1/Conv", d, False)
    return Comparison(f"m.bta@{one}", f"m.bta@{two}", bound, (row,), first, 3, 1)


def ladder(error: float = 0.0) -> Ladder:
    """Return three stages; between the first two there is an error."""
    stages = ("native", "quantized", "bit_true")
    rungs = tuple(Rung(stage, 0.0125, {"boxes": REFERENCE}) for stage in stages)
    edges = (edge(*stages[:2], error), edge(*stages[1:], 0.0))
    return Ladder(rungs, edges, edge(stages[0], stages[2], error))


def one_cause() -> Diagnosis:
    """Return a diagnosis with everything in it: one cause, proved, and mended."""
    return Diagnosis(
        "The device was given blue, green, red where the network expects red, green, blue.",
        (
            Explanation((BGR,), 0.97, EVIDENCE, EFFECTS),
            Explanation((CODES,), 0.25, ("at most 61 integers",), best=False, proved=False),
        ),
        (DTYPE,),
        TRIALS,
        NOT_TRIED,
        41.2,
        "the bit_true stage against fp_optimized, on the same 3 pictures",
        ladder(3.0),
        "quantized",
        "/conv1/Conv",
        {"model": "m.bta", "device": "dev.npz"},
        {"contract": 0.0125, "experiments": 3.5, "ladder": 1.25},
    )


def tie() -> Diagnosis:
    """Return a diagnosis with two explanations that nothing tells apart, one of them a pair."""
    layout = Mistake("input.layout", "NCHW bytes where NHWC is expected", "input 'images'")
    return Diagnosis(
        "Either red and blue are exchanged and boxes are left as codes, or the layout is wrong.",
        (
            Explanation((BGR, CODES), 0.48, EVIDENCE[:1], EFFECTS[:1]),
            Explanation((layout,), 0.48, ("the same residual",)),
        ),
        residual=41.2,
    )


def healthy() -> Diagnosis:
    """Return a diagnosis of a device that does what it should."""
    expected = Mistake("quant.expected", "8 bits a value", decided_by="statistics")
    return Diagnosis(
        "Nothing is wrong: what remains is the ordinary error of 8 bits.",
        (Explanation((expected,), 0.99, ("1.02 times the predicted error",), proved=False),),
        residual=1.02,
        noise="the quantized stage",
        ladder=ladder(),
    )


#: As a model's file may hold it: a terminal's escape, what XML forbids, markup, a lone surrogate.
HOSTILE = 'a\x1b[31m\x00</testcase>&"<script>\ud800\ufffe\n]]>'


def hostile() -> Diagnosis:
    """Return a diagnosis whose every free text is HOSTILE."""
    mistake = Mistake("input.sign", HOSTILE, f"layer '{HOSTILE}'", (HOSTILE,))
    finding = Finding("input.dtype", "error", HOSTILE, HOSTILE, HOSTILE, 1, 2)
    effect = Effect(HOSTILE, math.nan, -math.inf, math.inf, 0.0)
    return Diagnosis(
        HOSTILE,
        (Explanation((mistake,), 0.5, (HOSTILE,), (effect,)),),
        (finding,),
        (Trial(HOSTILE, ("input.sign",), math.inf, math.nan),),
        (NotTried("input.crop", HOSTILE),),
        math.inf,
        HOSTILE,
        None,
        HOSTILE,
        HOSTILE,
        {"model": HOSTILE},
        {HOSTILE: 1.0},
    )
