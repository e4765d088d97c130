"""The table of ONNX operators: which are read, from which opset on, and by which converter.

An operator that is not in the table is reported as unsupported; REFUSED says why for those that
people meet most.
"""

from __future__ import annotations

from dataclasses import dataclass

from bittrue.importers import onnx_arith as arith
from bittrue.importers import onnx_move as move
from bittrue.importers import onnx_sequence as sequence
from bittrue.importers import onnx_window as window
from bittrue.importers.onnx_arith import Convert, chain, direct, reduction


@dataclass(frozen=True, slots=True)
class Row:
    """One operator from one opset on.

    Args:
        op: ONNX's name.
        since: The first opset in which the converter is right.
        convert: Emits the canonical nodes and returns the values of the outputs.
        until: The last opset in which it is.
    """

    op: str
    since: int
    convert: Convert
    until: int = 22


def _all(names: str, since: int, convert: Convert) -> tuple[Row, ...]:
    return tuple(Row(name, since, convert) for name in names.split())


ROWS = (
    # the same operator in the canonical table
    *_all("Relu Sigmoid Tanh Exp Log Sqrt Reciprocal Neg Abs Floor Ceil Sign Erf", 9, direct),
    *_all("Softplus Softsign Sin Cos Not LeakyRelu Elu Selu HardSigmoid", 9, direct),
    *_all("Round", 11, direct),
    *_all("ThresholdedRelu", 10, direct),
    *_all("Celu", 12, direct),
    *_all("HardSwish", 14, direct),
    *_all("Mish", 18, direct),
    *_all("Gelu", 20, direct),
    *_all("Add Sub Mul Div PRelu Equal Less Greater And Or Where MatMul", 9, direct),
    *_all("LessOrEqual GreaterOrEqual", 12, direct),
    *_all("GlobalAveragePool GlobalMaxPool DepthToSpace SpaceToDepth", 9, direct),
    *_all("Gemm", 9, direct),
    # elementwise
    Row("Clip", 9, arith.clip),
    Row("Pow", 9, arith.power),
    Row("Mod", 10, arith.modulo),
    Row("Min", 9, chain("Min")),
    Row("Max", 9, chain("Max")),
    Row("Sum", 9, chain("Add")),
    Row("Mean", 9, chain("Add")),
    Row("Cast", 9, arith.cast),
    Row("CastLike", 15, arith.cast_like),
    # what inference does not need
    Row("Identity", 9, arith.same),
    Row("Dropout", 9, arith.dropout),
    # windows
    Row("Conv", 9, window.conv),
    Row("ConvTranspose", 9, window.conv_transpose),
    *_all("MaxPool AveragePool", 9, window.pool),
    Row("Upsample", 9, window.upsample, until=9),
    Row("Resize", 10, window.upsample, until=10),
    Row("Resize", 11, window.resize),
    # along axes
    *_all("Softmax LogSoftmax", 9, arith.softmax),
    *_all("ReduceMean ReduceMax ReduceMin ReduceProd ReduceL2", 9, reduction(18)),
    Row("ReduceSum", 9, reduction(13)),
    Row("ReduceL1", 9, reduction(18, "ReduceSum", before="Abs")),
    Row("ReduceSumSquare", 9, reduction(18, "ReduceSum", before="square")),
    Row("ReduceLogSum", 9, reduction(18, "ReduceSum", after="Log")),
    *_all("ArgMax ArgMin", 9, arith.extremum_index),
    Row("BatchNormalization", 9, arith.batch_norm),
    Row("LayerNormalization", 17, arith.layer_norm),
    Row("InstanceNormalization", 9, arith.instance_norm),
    Row("GroupNormalization", 21, arith.group_norm),
    # elements move
    Row("Reshape", 9, move.reshape),
    Row("Flatten", 9, move.flatten),
    Row("Squeeze", 9, move.squeeze),
    Row("Unsqueeze", 9, move.unsqueeze),
    Row("Transpose", 9, move.transpose),
    Row("Concat", 9, move.concat),
    Row("Split", 9, move.split),
    Row("Slice", 9, move.slice_),
    Row("Pad", 9, move.pad),
    Row("Gather", 9, move.gather),
    Row("Expand", 9, move.expand),
    Row("Tile", 9, move.tile),
    # sequences of tensors, which are gone afterwards
    Row("SplitToSequence", 11, sequence.split_to_sequence),
    Row("SequenceConstruct", 11, sequence.construct),
    Row("SequenceAt", 11, sequence.at),
    Row("SequenceLength", 11, sequence.length),
    Row("ConcatFromSequence", 11, sequence.concat),
    # constants only
    Row("Shape", 9, move.shape_of),
    Row("Size", 9, move.size_of),
    Row("ConstantOfShape", 9, move.constant_of_shape),
    Row("Range", 11, move.range_),
    Row("NonZero", 9, move.non_zero),
    *_all("ScatterND GatherND GatherElements CumSum EyeLike Trilu Xor", 9, move.evaluated),
)

_QUANTIZED = "the network is already quantised; give the float network that it was made from"
_CONTROL = "what runs would depend on data; export the network with fixed shapes, without branches"
_RECURRENT = "recurrent layers are not handled; unroll the loop before exporting, or end before it"
_DETECTION = "the number of its results varies; end the network before it, and do it on the host"
_STRINGS = "texts are not handled; start the network behind it"

#: Why an operator that is not in the table is not handled.
REFUSED: dict[str, str] = {
    name: reason
    for names, reason in (
        ("QuantizeLinear DequantizeLinear DynamicQuantizeLinear ConvInteger", _QUANTIZED),
        ("MatMulInteger QLinearConv QLinearMatMul QLinearAdd QLinearMul QGemm", _QUANTIZED),
        ("QLinearGlobalAveragePool QLinearAveragePool QLinearConcat QAttention", _QUANTIZED),
        ("QLinearSigmoid QLinearLeakyRelu QLinearSoftmax MatMulNBits", _QUANTIZED),
        ("DynamicQuantizeMatMul MatMulIntegerToFloat FusedMatMulInteger", _QUANTIZED),
        ("DynamicQuantizeLSTM", _QUANTIZED),
        ("If Loop Scan SequenceMap", _CONTROL),
        ("LSTM GRU RNN", _RECURRENT),
        ("NonMaxSuppression TopK Unique Compress", _DETECTION),
        ("StringNormalizer TfIdfVectorizer StringConcat StringSplit RegexFullMatch", _STRINGS),
    )
    for name in names.split()
}

#: Operators of networks that are quantised already; a whole network of them gets one message.
QUANTIZED_OPS = frozenset(name for name, reason in REFUSED.items() if reason == _QUANTIZED)

ONNX_OPS: dict[str, tuple[Row, ...]] = {
    name: tuple(row for row in ROWS if row.op == name) for name in dict.fromkeys(r.op for r in ROWS)
}


def find_row(op: str, domain: str, opset: int) -> Row | str:
    """Return the row that converts an operator, or the reason why there is none.

    Args:
        op: ONNX's name.
        domain: Empty for ONNX's own operators.
        opset: Version of ONNX's operator set.
    """
    if op in REFUSED:
        return REFUSED[op]
    if domain:
        return f"operators of the domain {domain!r} are not handled"
    for row in ONNX_OPS.get(op, ()):
        if row.since <= opset <= row.until:
            return row
    if op in ONNX_OPS:
        return f"it is no operator of opset {opset}"
    return "this operator is not handled"
