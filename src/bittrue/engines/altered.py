"""Runs a network with knobs: how would it behave if it had been quantised otherwise?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bittrue.engines.float_ import open_session
from bittrue.errors import DataError
from bittrue.graph.model import Graph
from bittrue.importers.onnx_altered import Altered, altered, knobs
from bittrue.settings import get_count

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Alteration:
    """How the knobs are set.

    Args:
        limits: By stored value or input: least and greatest value that it keeps.
        steps: By stored value or input: what it is rounded to multiples of.
        weights: By node name: other weights, of the same shape.
        unclipped: Nodes whose fused activation is left out.
    """

    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    steps: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, F32] = field(default_factory=dict)
    unclipped: tuple[str, ...] = ()


class AlteredRunner:
    """Runs a float graph as it is, or altered.

    Args:
        graph: After the float passes.
        threads: Of one operator; None takes BITTRUE_THREADS, 0 means one a core.
    """

    def __init__(self, graph: Graph, *, threads: int | None = None) -> None:
        threads = get_count("BITTRUE_THREADS") if threads is None else threads
        self.graph = graph
        self.made: Altered = altered(graph, rounding=False)
        self._threads = threads
        self._session = open_session(self.made.model, threads)
        self._rounding: InferenceSession | None = None

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        alteration: Alteration | None = None,
        taps: Iterable[str] = (),
    ) -> dict[str, np.ndarray]:
        """Return the outputs, and stored values as they are before they are stored.

        Args:
            inputs: By name, of the graph's dtypes and shapes.
            alteration: How the knobs are set; None leaves the network as it is.
            taps: Stored values that are wanted as well.

        Raises:
            DataError: if ONNX Runtime cannot compute with these inputs.
        """
        made = alteration or Alteration()
        feeds = {name: _turned(name, array, made) for name, array in inputs.items()}
        feeds |= self._feeds(made)
        rounds = any(name in self.made.raw for name in made.steps)
        wanted = {name: name for name in self.graph.outputs}
        wanted |= {name: self.made.raw[name] for name in taps}
        names = list(dict.fromkeys(wanted.values()))
        try:
            session = self._with_rounding() if rounds else self._session
            arrays = dict(zip(names, session.run(names, feeds), strict=True))
        except Exception as why:  # its exceptions share no base class but Exception
            raise DataError(f"ONNX Runtime cannot run the altered network: {why}") from why
        return {name: np.asarray(arrays[made]) for name, made in wanted.items()}

    def _with_rounding(self) -> InferenceSession:
        """Return the session that can round, opened when it is first needed."""
        if self._rounding is None:
            self._rounding = open_session(altered(self.graph).model, self._threads)
        return self._rounding

    def _feeds(self, alteration: Alteration) -> dict[str, np.ndarray]:
        feeds: dict[str, np.ndarray] = {}
        known = set(self.made.stored)
        for name, (low, high) in alteration.limits.items():
            if name not in known:
                continue
            feeds[knobs(name)[0]] = np.asarray(low, np.float32)
            feeds[knobs(name)[1]] = np.asarray(high, np.float32)
        for name, step in alteration.steps.items():
            if name not in known:
                continue
            feeds[knobs(name)[2]] = np.asarray(step, np.float32)
        for node, array in alteration.weights.items():
            feeds[self.made.weights[node]] = np.asarray(array, np.float32)
        for node in alteration.unclipped:
            for bound, end in zip(self.made.clips[node], (-np.inf, np.inf), strict=True):
                if bound:
                    feeds[bound] = np.asarray(end, np.float32)
        return feeds


def _turned(name: str, array: np.ndarray, alteration: Alteration) -> np.ndarray:
    """Return an input cut off and rounded, as a stored value is."""
    if name not in alteration.limits and name not in alteration.steps:
        return array
    low, high = alteration.limits.get(name, (-np.inf, np.inf))
    step = alteration.steps.get(name, 0.0)
    kept = np.clip(array.astype(np.float64), low, high)
    return np.asarray(np.rint(kept / step) * step if step else kept, np.float32)
