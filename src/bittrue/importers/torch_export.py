"""From a PyTorch module to ONNX bytes, by either of PyTorch's two exporters, with one set of names.

"torchscript" records one run of the network; "dynamo" reads its code (torch.export). Both leave
batch norms alone, so that our own passes fold them and can say so, and both give the nodes of the
layer `block.conv` names like `/block/conv/Conv`: what is written for one fits the other.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bittrue.errors import UnsupportedError, UsageError
from bittrue.suggest import did_you_mean

if TYPE_CHECKING:
    import onnx
    from torch import Tensor
    from torch.nn import Module

_log = logging.getLogger(__name__)
#: Where the dynamo exporter writes the modules that a node lies in, outermost first.
SCOPES = "pkg.torch.onnx.name_scopes"
#: Tells of every torchvision operator that is not installed, which nobody asked for.
_CHATTY = "torch.onnx._internal.exporter._registration"
REASON_LENGTH_MAX = 600


@dataclass(frozen=True, slots=True)
class Job:
    """One export.

    Args:
        network: In evaluation mode.
        samples: A tensor for each argument of forward.
        inputs: Names for them.
        outputs: Names for what forward returns; empty leaves them to the exporter.
        opset: Version of ONNX's operator set to write.
    """

    network: Module
    samples: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int


@dataclass(frozen=True, slots=True)
class Exporter:
    """One of PyTorch's exporters.

    Args:
        run: Returns ONNX bytes.
        opset: The version that it writes without converting it afterwards.
        least: The first that it can write and we can read.
        most: The last.
        package: What it needs besides torch; empty for nothing.
    """

    run: Callable[[Job], bytes]
    opset: int
    least: int
    most: int
    package: str = ""


def export(
    network: Module, shapes: Sequence[tuple[str, Sequence[int]]], name: str, opset: int, where: str
) -> bytes:
    """Return a network as ONNX bytes.

    Args:
        network: In evaluation mode.
        shapes: Name and shape of each argument of forward, which is then float32.
        name: A key of EXPORTERS.
        opset: As `chosen_opset` returns it.
        where: Names the network in messages.

    Raises:
        UnsupportedError: if PyTorch cannot export it.
    """
    import torch

    samples = tuple(torch.zeros(tuple(shape)) for _, shape in shapes)
    inputs = tuple(argument for argument, _ in shapes)
    # Both exporters warn of their own affairs: the first of its age. What the tracer cannot follow
    # is the network's affair, and goes to the log.
    with warnings.catch_warnings(record=True) as caught, torch.no_grad(), _quiet():
        warnings.simplefilter("always")
        try:
            outputs = _output_names(network(*samples), inputs)
            data = EXPORTERS[name].run(Job(network, samples, inputs, outputs, opset))
        except Exception as why:  # the network's own code runs here, and may raise anything
            raise _refusal(why, name, where) from why
    for row in caught:
        if issubclass(row.category, torch.jit.TracerWarning):
            _log.warning("%s: %s", where, row.message)
    return data


def chosen_opset(name: str, opset: int | None) -> int:
    """Return the opset that an exporter is to write: the one asked for, else its own.

    Raises:
        UsageError: if there is no such exporter, it cannot write that opset, or lacks a package.
    """
    if name not in EXPORTERS:
        raise UsageError(
            f"there is no exporter {name!r}",
            where="--exporter",
            hint=did_you_mean(name, tuple(EXPORTERS)),
        )
    exporter = EXPORTERS[name]
    if opset is not None and not exporter.least <= opset <= exporter.most:
        fitting = [key for key, row in EXPORTERS.items() if row.least <= opset <= row.most]
        other = f", or --exporter {fitting[0]}" if fitting else ""
        raise UsageError(
            f"the exporter {name!r} writes opsets {exporter.least} to {exporter.most}, not {opset}",
            where="--opset",
            hint=f"leave it out, which takes {exporter.opset}{other}",
        )
    if exporter.package and importlib.util.find_spec(exporter.package) is None:
        raise UsageError(
            f"PyTorch's exporter {name!r} needs {exporter.package}, which is not installed",
            where="--exporter",
            hint=f"pip install {exporter.package}, or use --exporter torchscript",
        )
    return exporter.opset if opset is None else opset


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger(_CHATTY)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _refusal(why: Exception, name: str, where: str) -> UnsupportedError:
    """Return the reason, without the pages of advice that PyTorch wraps around it."""
    inner = why
    while isinstance(inner.__cause__, Exception):
        inner = inner.__cause__
    reason = f"{type(inner).__name__}: {inner}".strip()
    if len(reason) > REASON_LENGTH_MAX:
        reason = f"{reason[:REASON_LENGTH_MAX].rstrip()} ..."
    other = next(key for key in EXPORTERS if key != name)
    return UnsupportedError(
        f"PyTorch cannot export the network: {reason}",
        where=where,
        hint=f"check the input shapes, or try --exporter {other}, or export it yourself and give "
        "the .onnx file",
    )


def _output_names(outputs: object, taken: tuple[str, ...]) -> tuple[str, ...]:
    """Return names for what forward returned; none, so the exporter's own, if that is nested."""
    import torch

    rows = outputs if isinstance(outputs, tuple | list) else (outputs,)
    plain = all(isinstance(row, torch.Tensor) for row in rows)
    names = ["output"] if len(rows) == 1 else [f"output_{index}" for index in range(len(rows))]
    return tuple(names) if plain and not set(names) & set(taken) else ()


# --- the exporters -------------------------------------------------------------------------------


def _torchscript(job: Job) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.onnx.export(
        job.network,
        job.samples,
        buffer,
        input_names=list(job.inputs),
        output_names=list(job.outputs),
        opset_version=job.opset,
        dynamo=False,
        # The network is in evaluation mode already. EVAL here would make the exporter fold
        # BatchNorm unseen, and nobody could say what became of it.
        training=torch.onnx.TrainingMode.PRESERVE,
    )
    return buffer.getvalue()


def _dynamo(job: Job) -> bytes:
    import torch

    program = torch.onnx.export(
        job.network,
        job.samples,
        input_names=list(job.inputs),
        output_names=list(job.outputs) or None,
        opset_version=job.opset,
        dynamo=True,
        # Its optimiser folds BatchNorm unseen, as above.
        optimize=False,
        verbose=False,
    )
    model: onnx.ModelProto = program.model_proto
    name_by_module(model)
    return bytes(model.SerializeToString())


#: TorchScript's range is the one of opsets that bittrue and PyTorch 2.6 to 2.13 both know.
EXPORTERS: dict[str, Exporter] = {
    "torchscript": Exporter(_torchscript, opset=17, least=9, most=20),
    "dynamo": Exporter(_dynamo, opset=18, least=18, most=20, package="onnxscript"),
}


# --- names ---------------------------------------------------------------------------------------


def name_by_module(model: onnx.ModelProto) -> None:
    """Name nodes and inner tensors after the modules they lie in, as the TorchScript exporter does.

    A Conv of the module `block.conv` becomes `/block/conv/Conv`, the next one there
    `/block/conv/Conv_1`; its output `/block/conv/Conv_output_0`. Only a model of our own making
    is changed, in place; names in a user's file are the user's.

    Args:
        model: As the dynamo exporter returns it.
    """
    graph = model.graph
    kept = {row.name for row in (*graph.input, *graph.output, *graph.initializer)}
    count: Counter[str] = Counter()
    tensors: dict[str, str] = {}
    for node in graph.node:
        base = f"{_place(node)}/{node.op_type}"
        node.name = f"{base}_{count[base]}" if count[base] else base
        count[base] += 1
        made = [name for name in node.output if name and name not in kept]
        tensors |= {old: f"{node.name}_output_{at}" for at, old in enumerate(made)}
    for node in graph.node:
        node.input[:] = [tensors.get(name, name) for name in node.input]
        node.output[:] = [tensors.get(name, name) for name in node.output]
    for row in graph.value_info:
        row.name = tensors.get(row.name, row.name)


def _place(node: onnx.NodeProto) -> str:
    """Return "/block/conv" for a node of the module block.conv; empty outside of all modules."""
    found = next((row.value for row in node.metadata_props if row.key == SCOPES), "[]")
    # The last scope is the operation itself.
    return scope([str(item) for item in ast.literal_eval(found)][:-1])


def scope(modules: Sequence[str]) -> str:
    """Return the prefix of the names of nodes in a module.

    Args:
        modules: Full names of the modules around it, outermost first, itself last; the network's
            own name is empty.
    """
    labels: list[str] = []
    outer = ""
    for module in filter(None, modules):
        rest = module.removeprefix(f"{outer}.") if outer else module
        # The members of a Sequential have numbers only, which say nothing without its name.
        labels.append(f"{labels[-1]}.{rest}" if rest.isdigit() and labels else rest)
        outer = module
    return "".join(f"/{label}" for label in labels)
