"""The quantised graph: which codes stand for which values; frozen, the compiler's input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bittrue.arith import QParams
from bittrue.graph.model import Graph


@dataclass(frozen=True, slots=True)
class WeightCodes:
    """The int8 weights of one Conv, ConvTranspose or Dense.

    The real weight is ``codes * scale`` along the output channel, divided by `input_scale` along
    the input channel where that is given.

    Args:
        codes: int8 in [-127, 127], in the shape of the graph's constant.
        scale: float32 [O], real value of one step for each output channel.
        input_scale: float32 [I], the scales of the input's channels where those are folded into
            the weights (depthwise convolutions); None where the input has one scale.
    """

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    input_scale: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class QuantizedGraph:
    """A float graph, and for each of its values that is no constant how it is stored.

    Constants that are no weights have no codes here: the compiler chooses those of an operand by
    its least and greatest value (`bittrue.quant.params.params_of_constant`).

    Args:
        graph: The float graph (`fp_optimized`).
        activations: Values stored as uint8, by name.
        weights: By node name; every Conv, ConvTranspose and Dense with constant weights whose input
            is stored as uint8. One that has no entry here runs in float.
        float_values: Values stored as float32 (or as their own integer type).
        ranges: Least and greatest real value seen in calibration, by value name.
    """

    graph: Graph
    activations: Mapping[str, QParams]
    weights: Mapping[str, WeightCodes]
    float_values: frozenset[str]
    ranges: Mapping[str, tuple[float, float]]
