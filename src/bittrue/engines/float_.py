"""Runners of float networks: ONNX Runtime on our graph or on a file, and the NumPy reference.

ONNX Runtime's graph optimisations are off: fusing changes roundings, and which tensors may be
fused depends on the taps, so a tapped run would differ from an untapped one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bittrue.contract.tensor import Contract
from bittrue.engines.runner import RunResult, check_inputs, check_taps, contract_of, result_of
from bittrue.errors import DataError, InternalError, ModelError
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_reference
from bittrue.packages import require
from bittrue.settings import get_count

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: Sessions kept, one a set of taps; a bisecting search goes through many.
SESSIONS_KEPT = 8


class FloatRunner:
    """Runs a float graph in ONNX Runtime: the stages `native` and `fp_optimized`.

    Args:
        graph: What to run.
        contract: What to check inputs against; the graph's own where None.
        threads: Threads of one operator; None takes BITTRUE_THREADS, 0 means one a core.
    """

    def __init__(
        self, graph: Graph, contract: Contract | None = None, *, threads: int | None = None
    ) -> None:
        self.graph = graph
        self.contract = contract or contract_of(graph)
        self._sessions = Sessions(self._model, threads)

    def run(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
    ) -> RunResult:
        """Return the outputs and the tapped values; see `Runner.run`.

        Raises:
            DataError: if an input does not fit, or ONNX Runtime cannot compute with it.
            UsageError: if a tap is no value of the graph.
        """
        check_inputs(self.contract, inputs)
        check_taps(taps, self.graph.values)
        given = {**self.graph.constants, **inputs}
        inner = tuple(sorted({name for name in taps if name not in given}))
        wanted = tuple(dict.fromkeys((*self.graph.outputs, *inner)))
        arrays = given | self._sessions.run(inner, wanted, inputs)
        return result_of(arrays, self.graph.outputs, taps)

    def _model(self, taps: tuple[str, ...]) -> bytes:
        require("onnx", "tools")
        from bittrue.importers.export import to_onnx

        return to_onnx(self.graph, taps)


class ReferenceRunner:
    """Runs a float graph in NumPy: slow, plain, and normative for the float side.

    Args:
        graph: What to run.
        contract: What to check inputs against; the graph's own where None.
    """

    def __init__(self, graph: Graph, contract: Contract | None = None) -> None:
        self.graph = graph
        self.contract = contract or contract_of(graph)

    def run(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
    ) -> RunResult:
        """Return the outputs and the tapped values; see `Runner.run`."""
        check_inputs(self.contract, inputs)
        check_taps(taps, self.graph.values)
        arrays = run_reference(self.graph, inputs, taps)
        return result_of(arrays, self.graph.outputs, taps)


class OnnxRunner:
    """Runs an ONNX file as it came, in ONNX Runtime: the stage `source`.

    Only the part between the contract's inputs and outputs runs, so a network that was cut when it
    was imported is cut here in the same places.

    Args:
        model: The file's bytes, without external data.
        contract: What it takes and gives: tensors of the file, every shape known. Half and double
            precision are float32 in it, and are converted here.
        threads: Threads of one operator; None takes BITTRUE_THREADS, 0 means one a core.
        fused: Whether ONNX Runtime may fuse operators: some times as fast, other roundings.
    """

    def __init__(
        self,
        model: bytes,
        contract: Contract,
        *,
        threads: int | None = None,
        fused: bool = False,
    ) -> None:
        self._source = model
        self.contract = contract
        self._sessions = Sessions(self._model, threads, refusal=ModelError, fused=fused)

    def run(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
    ) -> RunResult:
        """Return the outputs and the tapped tensors of the file; see `Runner.run`.

        Raises:
            DataError: if an input does not fit, or ONNX Runtime cannot compute with it.
            ModelError: if ONNX Runtime does not take the file.
            UsageError: if a tap is no tensor of the file.
        """
        check_inputs(self.contract, inputs)
        outputs = tuple(row.name for row in self.contract.outputs)
        inner = tuple(sorted({name for name in taps if name not in inputs}))
        arrays = self._sessions.run(inner, tuple(dict.fromkeys((*outputs, *inner))), inputs)
        return result_of({**inputs, **arrays}, outputs, taps)

    def _model(self, taps: tuple[str, ...]) -> bytes:
        require("onnx", "tools")
        from bittrue.importers.onnx_part import part_of

        outputs = dict.fromkeys((*(row.name for row in self.contract.outputs), *taps))
        inputs = {row.name: row.shape for row in self.contract.inputs}
        return part_of(self._source, inputs, tuple(outputs))


class Sessions:
    """ONNX Runtime sessions, one a set of taps, the last few kept.

    Args:
        model: Returns the ONNX bytes of the network with some tensors as further outputs.
        threads: Threads of one operator; None takes BITTRUE_THREADS, 0 means one a core.
        refusal: What to raise if ONNX Runtime does not take the network: a network that we wrote
            is our bug, one that the user gave is not.
        fused: Whether it may fuse operators.
    """

    def __init__(
        self,
        model: Callable[[tuple[str, ...]], bytes],
        threads: int | None,
        *,
        refusal: type[Exception] = InternalError,
        fused: bool = False,
    ) -> None:
        self._model = model
        self._fused = fused
        self._refusal = refusal
        self._threads = get_count("BITTRUE_THREADS") if threads is None else threads
        self._kept: OrderedDict[tuple[str, ...], InferenceSession] = OrderedDict()

    def run(
        self, taps: tuple[str, ...], wanted: tuple[str, ...], inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return arrays by name.

        Raises:
            DataError: if ONNX Runtime cannot compute with these inputs.
            InternalError: if it does not take the network (or what `refusal` says).
        """
        session = self._session(taps)
        try:
            types = {row.name: _FLOATS.get(row.type) for row in session.get_inputs()}
            given = {name: _converted(array, types[name]) for name, array in inputs.items()}
            arrays = session.run(list(wanted), given)
        except Exception as why:  # its exceptions share no base class but Exception
            raise DataError(
                f"ONNX Runtime cannot run the network on these inputs: {why}",
                hint="check the inputs; an index that the network computes may leave its tensor",
            ) from why
        return {
            name: _converted(np.asarray(array), "float32" if array.dtype.kind == "f" else None)
            for name, array in zip(wanted, arrays, strict=True)
        }

    def _session(self, taps: tuple[str, ...]) -> InferenceSession:
        if taps not in self._kept:
            model = self._model(taps)
            try:
                self._kept[taps] = open_session(model, self._threads, fused=self._fused)
            except InternalError as why:
                raise self._refusal(str(why)) from why
            if len(self._kept) > SESSIONS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(taps)
        return self._kept[taps]


def open_session(model: bytes, threads: int, *, fused: bool = False) -> InferenceSession:
    """Return an ONNX Runtime session that computes what the model says, node by node.

    Args:
        model: ONNX bytes.
        threads: Threads of one operator; 0 means one a core.
        fused: Whether it may fuse nodes that compute in float.

    Raises:
        UsageError: if onnxruntime is not installed.
        InternalError: if it refuses the model.
    """
    require("onnxruntime", "tools")
    import onnxruntime as ort

    options = ort.SessionOptions()
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if fused else levels.ORT_DISABLE_ALL
    # Its int8 kernels saturate on some CPUs: quantise and dequantise must stay two nodes.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.intra_op_num_threads = threads
    # Threads that wait in a loop take the time of others: 30 % less CPU, 15 % less time under load.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as why:  # its exceptions share no base class but Exception
        raise InternalError(f"ONNX Runtime does not take the network: {why}") from why


#: Element types that stand as float32 in every contract, by ONNX Runtime's name.
_FLOATS = {"tensor(float16)": "float16", "tensor(double)": "float64"}


def _converted(array: np.ndarray, dtype: str | None) -> np.ndarray:
    return array if dtype is None or array.dtype.name == dtype else array.astype(dtype)
