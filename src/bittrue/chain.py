"""The chain: one function a stage, each from a frozen Network to a new one that has gone further.

source --import_model--> native --optimize--> fp_optimized --quantize--> quantized
    --compile--> compiled (and bit_true, which runs the same program)
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bittrue.archive import sha256
from bittrue.contract.preprocess import Preprocess, preprocess_to_json, raw_pixels
from bittrue.contract.tensor import Contract
from bittrue.engines.runner import Runner
from bittrue.errors import Error, UnsupportedError, UsageError
from bittrue.graph.model import Graph
from bittrue.importers.preprocessed import PreprocessLike, preprocess_table
from bittrue.importers.readers import import_source
from bittrue.importers.request import Request
from bittrue.inputs import adapt
from bittrue.network import Network, Source
from bittrue.passes.history import history_to_json
from bittrue.quant.calibrate import Run
from bittrue.quant.model import QuantizedGraph
from bittrue.quant.options import DEFAULTS, QuantizeOptions
from bittrue.quant.samples import Sample, Samples, samples_from
from bittrue.stages import stage_contract, stage_graph
from bittrue.version import __version__

log = logging.getLogger(__name__)

Pictures = str | Path | Iterable[np.ndarray | Mapping[str, np.ndarray]]
#: Of `compile`: a random one, and one at the upper end of every input.
DEFAULT_VECTORS = 2
#: Cuts that are tried before none is proposed; the second begins where the first one led.
CUT_TRIES = 4


# --- source to native ----------------------------------------------------------------------------


def import_model(
    path: str | Path,
    *,
    weights: str | Path | None = None,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    start: Sequence[str] = (),
    end: Sequence[str] = (),
    preprocess: PreprocessLike | Mapping[str, PreprocessLike] | None = None,
    exporter: str | None = None,
    opset: int | None = None,
) -> Network:
    """Return a network from an ONNX file, or from a PyTorch module and its weights.

    Args:
        path: "model.onnx", or "module.py:factory" for PyTorch (extra `torch`); the factory is
            called without arguments and returns the module.
        weights: For the PyTorch module: a state dict, read with weights_only, or safetensors.
        input_shapes: By input name, for dimensions that the file leaves open. An input that has
            preprocessing needs none.
        start: Node or tensor names to start at; empty means the network's inputs.
        end: Node or tensor names to end at; empty means the network's outputs.
        preprocess: A Preprocess or a TOML file for the only input, or one for each by name.
        exporter: For a PyTorch module: "torchscript" (the default) or "dynamo", which needs
            onnxscript.
        opset: For a PyTorch module: the ONNX operator set to export; None for the exporter's own.

    Raises:
        FormatError: if the file is damaged or no network.
        UnsupportedError: if nodes cannot be handled; lists them all.
        UsageError: if dimensions are open, or a name is unknown.
    """
    request = Request(
        path=os.fspath(path),
        input_shapes=dict(input_shapes or {}),
        start=tuple(start),
        end=tuple(end),
        preprocess=preprocess_table(preprocess),
        weights=None if weights is None else str(weights),
        exporter=exporter,
        opset=opset,
    )
    found = import_source(request)
    return Network(
        name=Path(found.name).stem.replace(":", "_"),
        source=Source(found.name, sha256(found.onnx), found.kind, found.onnx),
        native=found.graph,
        preprocess=found.preprocess,
        provenance={"import": {"bittrue": __version__, "start": list(start), "end": list(end)}},
    )


def reimported(network: Network, ends: Sequence[str]) -> Network:
    """Return the network imported anew from its source, up to some tensors; only `native` is done.

    Args:
        network: As `import_model` returned it.
        ends: Tensors of the source to end at.

    Raises:
        Error: as `import_model`.
    """
    from bittrue.importers.onnx import import_onnx

    settings = network.provenance["import"]
    start = settings.get("start", []) if isinstance(settings, Mapping) else []
    native = network.native
    needed = set(ends)
    for node in reversed(native.nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
    shapes = {name: native.values[name].shape for name in native.inputs if name in needed}
    graph = import_onnx(network.source.onnx, input_shapes=shapes, start=start, end=ends)
    kept = {name: item for name, item in network.preprocess.items() if name in graph.inputs}
    return replace(network, native=graph, preprocess=kept)


# --- native to fp_optimized ----------------------------------------------------------------------


def optimize(network: Network, *, normalize_inside: bool = True) -> Network:
    """Return the network with its float passes done; later stages are dropped.

    Args:
        network: An imported network.
        normalize_inside: Move each input's normalisation into the network, so that this stage and
            the later ones take raw uint8 pixels [1, H, W, C]. Needs preprocessing; without it the
            inputs stay as they are.
    """
    from bittrue.passes.pipeline import optimize as run_passes

    inside = network.preprocess if normalize_inside else {}
    done = run_passes(network.native, preprocess=dict(inside) or None)
    return replace(
        network,
        optimized=done.graph,
        history=done.history,
        quantized=None,
        executable=None,
        provenance={
            **network.provenance,
            "optimize": {"bittrue": __version__, "normalize_inside": sorted(inside)},
        },
    )


def check(network: Network, *, tail: str = DEFAULTS.tail) -> None:
    """Refuse a network that the engine could not run however it is calibrated.

    `optimize` runs first if it did not.

    Args:
        network: An imported or optimised network.
        tail: As `quantize`.

    Raises:
        UnsupportedError: if nodes cannot be lowered; lists them all, and where the network could
            end instead so that the rest compiles.
        UsageError: if `tail` is an unknown word.
    """
    from bittrue.compiler.lower import cannot_run
    from bittrue.compiler.supported import unsupported_nodes

    if network.optimized is None:
        network = optimize(network)
    options = QuantizeOptions(tail=tail)
    refused = unsupported_nodes(stage_graph(network, "fp_optimized"), options)
    if refused:
        # The file's name: graphs are often all called "main_graph".
        where, hint = network.source.name, _cut_hint(network, options)
        raise cannot_run(refused, where=where, hint=hint)


def _cut_hint(network: Network, options: QuantizeOptions) -> str:
    """Say at which tensors, all together, the network could end; they have been tried."""
    ends = _ends_that_compile(network, options)
    if not ends:
        return "change these layers in the source: nothing that compiles could be kept before them"
    told = " ".join(f"--end {shlex.quote(name)}" for name in ends)
    return f"end the network before them, at all of these: {told} (what is left compiles)"


def _ends_that_compile(network: Network, options: QuantizeOptions) -> tuple[str, ...]:
    """Return tensors of the source at which the network can end; empty if none were found."""
    from bittrue.compiler.supported import joint_cut, unsupported_nodes

    ends: tuple[str, ...] = ()
    shorter = network
    for _ in range(CUT_TRIES):
        graph = stage_graph(shorter, "fp_optimized")
        refused = unsupported_nodes(graph, options)
        if not refused:
            return ends
        ends = joint_cut(graph, {row.node for row in refused})
        try:
            shorter = optimize(reimported(network, ends))
        except Error as why:
            log.debug("cannot end at %s: %s", ends, why)
            return ()
    return ()


# --- fp_optimized to quantized -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Adapted:
    """Calibration samples in the domain of fp_optimized, made when they are asked for."""

    samples: Samples
    contract: Contract
    preprocess: Mapping[str, Preprocess]
    seen: Callable[[int, int], None]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        sample = self.samples[index]
        self.seen(index, len(self))
        given = sample if isinstance(sample, Mapping) else {"": np.asarray(sample)}
        ranks = {row.name: len(row.shape) for row in self.contract.inputs}
        ranks[""] = ranks[self.contract.inputs[0].name]
        # One row of an array [n, ...] has lost its batch axis.
        framed = {
            name: array[None] if array.ndim + 1 == ranks.get(name) else array
            for name, array in given.items()
        }
        return adapt(framed, self.contract, self.preprocess)


def quantize(
    network: Network,
    calibration: Pictures,
    *,
    samples: int = DEFAULTS.samples,
    observer: str = DEFAULTS.observer,
    tail: str = DEFAULTS.tail,
    rounding: str = DEFAULTS.rounding,
    seen: Callable[[int, int], None] = lambda index, count: None,
) -> Network:
    """Return the network with codes chosen for every value; `optimize` runs first if it did not.

    Args:
        network: An imported or optimised network.
        calibration: A folder of pictures (needs preprocessing) or of .npy and .npz files, one
            .npy [n, ...] or .npz, or an iterable of arrays or of arrays by input name.
        samples: At most this many are used, spread evenly.
        observer: How ranges are found: a name of `bittrue.quant.observers.OBSERVERS`, or "auto",
            which takes the one whose outputs come nearest to the float network's.
        tail: "float" runs what does not fit 8 bits at the end of the network in float32;
            "int8" forces codes everywhere they can be.
        rounding: "kernel-sum" or "nearest", of weights.
        seen: Called with the index of each sample that is read and their number, for a progress
            bar; samples are read several times.

    Raises:
        DataError: if the samples do not fit the network.
        UsageError: if an option holds an unknown word.
    """
    from bittrue.quant.pipeline import quantize as run_quantize

    if network.optimized is None:
        network = optimize(network)
    options = QuantizeOptions(samples=samples, observer=observer, tail=tail, rounding=rounding)
    graph = stage_graph(network, "fp_optimized")
    contract = stage_contract(network, "fp_optimized")
    listed = _calibration_samples(network, calibration, samples)
    adapted = _Adapted(listed, contract, network.preprocess, seen)
    done = run_quantize(
        graph,
        adapted,
        run=_run(_float_runner(graph, contract)),
        simulate=lambda candidate: _run(_simulate_runner(candidate, contract)),
        options=options,
    )
    told = replace(options, samples=min(len(listed), samples)).to_json()
    return replace(
        network,
        quantized=done.quantized,
        executable=None,
        provenance={**network.provenance, "quantize": {"bittrue": __version__, **told}},
    )


def _calibration_samples(network: Network, given: Pictures, limit: int) -> Samples:
    if not isinstance(given, str | Path):
        return list(given)
    if len(network.preprocess) != 1:
        return samples_from(given, limit=limit)
    item = next(iter(network.preprocess.values()))
    # Raw pixels: `adapt` brings them into the domain of the stage that is calibrated.
    return samples_from(given, prepare=lambda path: raw_pixels(item, path), limit=limit)


def _float_runner(graph: Graph, contract: Contract) -> Runner:
    from bittrue.engines.float_ import FloatRunner

    return FloatRunner(graph, contract)


def _simulate_runner(quantized: QuantizedGraph, contract: Contract) -> Runner:
    from bittrue.engines.simulate import SimulateRunner

    return SimulateRunner(quantized, contract)


def _run(runner: Runner) -> Run:
    """Return a runner as the plain function that the quantiser calls."""

    def run(inputs: Mapping[str, np.ndarray], taps: Sequence[str]) -> Mapping[str, np.ndarray]:
        done = runner.run(inputs, taps)
        return {**done.outputs, **done.taps}

    return run


# --- quantized to compiled -----------------------------------------------------------------------


def compile(network: Network, *, vectors: int = DEFAULT_VECTORS) -> Network:
    """Return the network with its executable.

    Args:
        network: A quantised network.
        vectors: How many conformance vectors the executable holds, by which `bittrue verify`
            shows that a machine computes the same bits; the emulator runs once for each.

    Raises:
        UsageError: if the network is not quantised yet, or for another number than 0 to 64.
        UnsupportedError: if nodes have no integer form; lists them all.
    """
    from bittrue.compiler.fileformat import to_bytes
    from bittrue.compiler.lower import compile_graph
    from bittrue.engines.conformance import with_vectors

    if network.quantized is None:
        raise UsageError(
            "the network is not quantised yet",
            where=network.name,
            hint="bittrue quantize model.bta --calibrate pictures/ -o model.bta",
        )
    provenance = {
        **network.provenance,
        "compile": {"bittrue": __version__},
        "source": {"name": network.source.name, "sha256": network.source.sha256},
    }
    told = {} if network.history is None else {"history": history_to_json(network.history)}
    recipes = {name: preprocess_to_json(item) for name, item in network.preprocess.items()}
    try:
        program = compile_graph(
            network.quantized,
            name=network.name,
            where=network.source.name,
            inputs=stage_contract(network, "fp_optimized").inputs,
            preprocess=recipes,
            provenance={**provenance, **told},
        )
    except UnsupportedError:
        options = QuantizeOptions.from_json(network.provenance.get("quantize"))
        check(network, tail=options.tail)  # says at which tensors the network could end
        raise
    executable = to_bytes(with_vectors(program, vectors))
    return replace(network, executable=executable, provenance=provenance)


def build(
    path: str | Path,
    calibration: Pictures,
    *,
    weights: str | Path | None = None,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    start: Sequence[str] = (),
    end: Sequence[str] = (),
    preprocess: PreprocessLike | Mapping[str, PreprocessLike] | None = None,
    samples: int = DEFAULTS.samples,
) -> Network:
    """Return a network taken through every stage in one go, with the default settings of each.

    What the engine cannot run is refused before a sample is read.

    Args:
        path: As `import_model`.
        calibration: As `quantize`.
        weights: As `import_model`.
        input_shapes: As `import_model`.
        start: As `import_model`.
        end: As `import_model`.
        preprocess: As `import_model`.
        samples: As `quantize`.

    Raises:
        Error: as each of the steps.
    """
    network = import_model(
        path,
        weights=weights,
        input_shapes=input_shapes,
        start=start,
        end=end,
        preprocess=preprocess,
    )
    network = optimize(network)
    check(network)
    return compile(quantize(network, calibration, samples=samples))
