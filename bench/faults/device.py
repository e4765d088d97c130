"""The device: ONNX Runtime on an int8 network of its own tools, behind a host library's interface.

The host library checks the number of bytes and nothing else: another element type is cast without a
word, another shape is read as if it were the right one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from bench.faults.codes import Codes
from bench.faults.networks import Network
from bench.faults.recipe import F32, Recipe, batched, normalised

Arrays = dict[str, np.ndarray]
METHODS = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}
#: Nodes that lie between a network's last activation and its output.
_PLAIN = frozenset({"QuantizeLinear", "DequantizeLinear", "Identity", "Reshape", "Transpose"})
_ACTIVATIONS = frozenset({"Softmax", "Sigmoid"})


def session(model: Path | bytes, *, integer_kernels: bool = False) -> onnxruntime.InferenceSession:
    """Return a session on one thread.

    Args:
        model: File or bytes.
        integer_kernels: Whether quantised nodes run as integers (which may saturate on x86 without
            VNNI) or as the floats that the file's nodes describe.
    """
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    level = levels.ORT_ENABLE_ALL if integer_kernels else levels.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def fixed(network: Network) -> onnx.ModelProto:
    """Return the network with its input's shape fixed to one picture."""
    model = onnx.load(network.path())
    constants = {row.name for row in model.graph.initializer}
    inputs = [row for row in model.graph.input if row.name not in constants]
    height, width = network.recipe.size
    planar = network.recipe.layout == "NCHW"
    shape = (1, 3, height, width) if planar else (1, height, width, 3)
    for axis, length in zip(inputs[0].type.tensor_type.shape.dim, shape, strict=True):
        axis.dim_value = length
    fed = onnx.ValueInfoProto.FromString(inputs[0].SerializeToString())
    del model.graph.input[:]
    model.graph.input.append(fed)
    for output in model.graph.output:
        for axis in output.type.tensor_type.shape.dim:
            if axis.dim_value <= 0:
                axis.Clear()
    return model


class Samples(CalibrationDataReader):  # type: ignore[misc]
    """Inputs to calibrate with, as ONNX Runtime's quantiser takes them."""

    def __init__(self, name: str, inputs: Sequence[F32]) -> None:
        self._rows = iter([{name: row} for row in inputs])

    def get_next(self) -> Arrays | None:
        """Return the next one, or None."""
        return next(self._rows, None)


def write_prepared(model: onnx.ModelProto, target: Path) -> None:
    """Write the float network as the device's own compiler has it before it quantises."""
    if model.opset_import[0].version < 13:
        model = version_converter.convert_version(model, 17)
    onnx.save(model, target)
    quant_pre_process(str(target), str(target), skip_symbolic_shape=True)


def quantised(
    source: Path,
    target: Path,
    inputs: Sequence[F32],
    network: Network,
    weights: QuantType = QuantType.QInt8,
) -> None:
    """Write a quantised network: unsigned activations, 8-bit weights with a scale a channel."""
    logging.getLogger().setLevel(logging.ERROR)
    model = onnx.load(source)
    quantize_static(
        str(source),
        str(target),
        Samples(model.graph.input[0].name, inputs),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt16 if network.wide else QuantType.QUInt8,
        weight_type=weights,
        calibrate_method=METHODS[network.method],
    )


@dataclass(frozen=True, slots=True)
class Activation:
    """The last activation before an output: the tensor that it reads, and Softmax or Sigmoid."""

    tensor: str
    function: str


def before_activation(model: onnx.ModelProto) -> dict[str, Activation]:
    """Return the last Softmax or Sigmoid of each output that has one."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found: dict[str, Activation] = {}
    for output in model.graph.output:
        node = makers.get(output.name)
        while node is not None and node.op_type in _PLAIN:
            node = makers.get(node.input[0])
        if node is not None and node.op_type in _ACTIVATIONS:
            found[output.name] = Activation(node.input[0], node.op_type)
    return found


def with_taps(path: Path, names: Iterable[str]) -> bytes:
    """Return a network that also gives inner tensors."""
    model = onnx.load(path)
    have = {row.name for row in model.graph.output}
    made = {name for node in model.graph.node for name in node.output}
    for name in names:
        if name in made and name not in have:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return bytes(model.SerializeToString())


@dataclass(frozen=True, slots=True)
class Device:
    """One deployed network and its host library.

    Args:
        recipe: What its library normalises with, where raw pixels are sent.
        outputs: Names, in the network's order.
        codes: Of each output.
        input_codes: Of the input, where codes are sent.
        runner: ONNX Runtime.
        before: Of outputs that end in an activation.
    """

    recipe: Recipe
    outputs: tuple[str, ...]
    codes: dict[str, Codes]
    input_codes: Codes
    runner: onnxruntime.InferenceSession
    before: dict[str, Activation] = field(default_factory=dict)

    def accept(self, kind: str, buffer: np.ndarray) -> F32:
        """Return the network's float input that the library makes of a buffer.

        Args:
            kind: "float", "raw" or "codes".
            buffer: Read in the order of its elements, as the declared type and shape.
        """
        height, width = self.recipe.size
        if kind == "raw":
            raw = buffer.astype(np.uint8).reshape(height, width, 3)
            return np.asarray(batched(self.recipe, normalised(self.recipe, raw)), np.float32)
        planar = self.recipe.layout == "NCHW"
        shape = (1, 3, height, width) if planar else (1, height, width, 3)
        if kind == "codes":
            return self.input_codes.decode(buffer.astype(self.input_codes.dtype).reshape(shape))
        return buffer.astype(np.float32).reshape(shape)

    def run(self, x: F32) -> Arrays:
        """Return the codes of every output."""
        values = self.tensors(x, self.outputs)
        return {name: self.codes[name].encode(values[name]) for name in self.outputs}

    def tensors(self, x: F32, names: Sequence[str]) -> Arrays:
        """Return float values of outputs or of what else the network gives."""
        found = self.runner.run(list(names), {self.runner.get_inputs()[0].name: x})
        return dict(zip(names, found, strict=True))

    def values(self, codes: Arrays) -> Arrays:
        """Return what codes of outputs stand for."""
        return {name: self.codes[name].decode(row) for name, row in codes.items()}
