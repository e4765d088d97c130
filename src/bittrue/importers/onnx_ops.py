"""The table of ONNX operators: which are read, from which opset on, and by which converter.

An operator that is not in the table is reported as unsupported; REFUSED says why for those that
people meet most.
"""

from __future__ import annotations

from dataclasses import dataclass

from bittrue.importers import onnx_elementwise as elementwise
from bittrue.importers import onnx_index as index
from bittrue.importers import onnx_inner as inner
from bittrue.importers import onnx_move as move
from bittrue.importers import onnx_norm as norm
from bittrue.importers import onnx_reduce as reduce
from bittrue.importers import onnx_sequence as sequence
from bittrue.importers import onnx_window as window
from bittrue.importers.onnx_einsum import einsum
from bittrue.importers.onnx_elementwise import chain, direct
from bittrue.importers.onnx_file import OPSET_MAX
from bittrue.importers.onnx_reduce import reduction
from bittrue.importers.onnx_step import Convert


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
    until: int = OPSET_MAX


def _all(names: str, since: int, convert: Convert) -> tuple[Row, ...]:
    return tuple(Row(name, since, convert) for name in names.split())


ROWS = (
    # the same operator in the canonical table
    *_all("Relu Sigmoid Tanh Exp Log Sqrt Reciprocal Neg Abs Floor Ceil", 7, direct),
    *_all("Sign Erf", 9, direct),
    *_all("Softplus Softsign Sin Cos Not LeakyRelu Elu Selu HardSigmoid", 7, direct),
    *_all("Round", 11, direct),
    *_all("ThresholdedRelu", 10, direct),
    *_all("Celu", 12, direct),
    *_all("HardSwish", 14, direct),
    *_all("Mish", 18, direct),
    *_all("Gelu", 20, direct),
    *_all("Add Sub Mul Div PRelu Equal Less Greater And Or MatMul", 7, direct),
    Row("Where", 9, direct),
    *_all("LessOrEqual GreaterOrEqual", 12, direct),
    *_all("GlobalAveragePool GlobalMaxPool DepthToSpace SpaceToDepth", 7, direct),
    *_all("Gemm", 7, direct),
    Row("Einsum", 12, einsum),
    # elementwise
    Row("Clip", 7, elementwise.clip),
    Row("Pow", 7, elementwise.power),
    Row("Mod", 10, elementwise.modulo),
    Row("Swish", 24, elementwise.swish),
    Row("Shrink", 9, elementwise.shrink),
    Row("Tan", 7, elementwise.tangent),
    Row("Xor", 7, elementwise.exclusive_or),
    Row("IsNaN", 9, elementwise.is_nan),
    Row("IsInf", 10, elementwise.is_inf),
    Row("Min", 7, chain("Min")),
    Row("Max", 7, chain("Max")),
    Row("Sum", 7, chain("Add")),
    Row("Mean", 7, elementwise.mean),
    Row("Cast", 7, elementwise.cast),
    Row("CastLike", 15, elementwise.cast_like),
    # what inference does not need
    Row("Identity", 7, elementwise.same),
    Row("Dropout", 7, elementwise.dropout),
    # windows
    Row("Conv", 7, window.conv),
    Row("ConvTranspose", 7, window.conv_transpose),
    *_all("MaxPool AveragePool", 7, window.pool),
    Row("LpPool", 7, window.lp_pool),
    Row("GlobalLpPool", 7, window.global_lp_pool),
    Row("Upsample", 7, window.upsample, until=9),
    Row("Resize", 10, window.upsample, until=10),
    Row("Resize", 11, window.resize),
    # along axes
    *_all("Softmax LogSoftmax", 7, reduce.softmax),
    *_all("ReduceMean ReduceMax ReduceMin ReduceProd ReduceL2", 7, reduction(18)),
    Row("ReduceSum", 7, reduction(13)),
    Row("ReduceL1", 7, reduction(18, "ReduceSum", before="Abs")),
    Row("ReduceSumSquare", 7, reduction(18, "ReduceSum", before="square")),
    Row("ReduceLogSum", 7, reduction(18, "ReduceSum", after="Log")),
    Row("ReduceLogSumExp", 7, reduce.log_sum_exp),
    *_all("ArgMax ArgMin", 7, reduce.extremum_index),
    Row("Hardmax", 7, reduce.hard_max),
    Row("CumSum", 11, index.running_sum),
    Row("BatchNormalization", 7, norm.batch_norm),
    Row("LayerNormalization", 17, norm.layer_norm),
    Row("RMSNormalization", 23, norm.rms_norm),
    Row("InstanceNormalization", 7, norm.instance_norm),
    Row("GroupNormalization", 18, norm.group_norm),
    Row("MeanVarianceNormalization", 9, norm.mean_variance),
    Row("LpNormalization", 7, norm.lp_norm),
    Row("LRN", 7, norm.local_response),
    # elements move
    Row("Reshape", 7, move.reshape),
    Row("Flatten", 7, move.flatten),
    Row("Squeeze", 7, move.squeeze),
    Row("Unsqueeze", 7, move.unsqueeze),
    Row("Transpose", 7, move.transpose),
    Row("Concat", 7, move.concat),
    Row("Split", 7, move.split),
    Row("Slice", 7, move.slice_),
    Row("Pad", 7, move.pad),
    Row("Gather", 7, move.gather),
    Row("GatherElements", 11, index.gather_elements),
    Row("GatherND", 11, index.gather_nd),
    Row("ScatterElements", 11, index.scatter_elements),
    Row("Scatter", 9, index.scatter_elements, until=10),
    Row("ScatterND", 11, index.scatter_nd),
    Row("OneHot", 9, index.one_hot),
    Row("Trilu", 14, index.trilu),
    Row("Expand", 8, move.expand),
    Row("Tile", 7, move.tile),
    # sequences of tensors, which are gone afterwards
    Row("SplitToSequence", 11, sequence.split_to_sequence),
    Row("SequenceConstruct", 11, sequence.construct),
    Row("SequenceAt", 11, sequence.at),
    Row("SequenceLength", 11, sequence.length),
    Row("ConcatFromSequence", 11, sequence.concat),
    # constants only
    Row("Shape", 7, move.shape_of),
    Row("Size", 7, move.size_of),
    Row("ConstantOfShape", 9, move.constant_of_shape),
    Row("Range", 11, move.range_),
    Row("NonZero", 9, move.non_zero),
    Row("EyeLike", 9, index.eye_like),
    # what ONNX defines by others
    Row("If", 7, inner.branch),
    Row("Attention", 23, inner.function),
    Row("RotaryEmbedding", 23, inner.function),
    Row("CenterCropPad", 18, inner.function),
)

_QUANTIZED = "the network is already quantised; give the float network that it was made from"
_RECURRENT = "recurrent layers are not handled; unroll the loop before exporting, or end before it"
_DETECTION = "the number of its results varies; end the network before it, and do it on the host"
_SORTING = "it sorts, which no engine here does; end the network before it, and sort on the host"
_STRINGS = "texts are not handled; start the network behind it"
_SEQUENCES = "lists of tensors are not handled; export the network with tensors only"
_RANDOM = "it draws random numbers; export the network in eval mode"
_TRAINING = "it belongs to training; export the network without its loss and optimiser"
_SAMPLING = "it samples at computed points; end the network before it, and do it on the host"
_SIGNAL = "spectra are not handled; export them as a convolution, or start the network behind it"
_BITS = "numbers are not handled bit by bit; end the network before it"
_STATE = "it carries state from call to call; export the network with that state as input"
_SIZES = "its result's size depends on data; end the network before it"
_PICTURES = "files of pictures are not decoded; start the network behind it"
_RARE = "this operator is not handled; end the network before it, or write it out in others"
_TREES = "trees and tables are no part of a network of layers; end the network before it"

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
        ("Loop Scan SequenceMap", inner.CONTROL),
        ("LSTM GRU RNN ReverseSequence", _RECURRENT),
        ("NonMaxSuppression Unique Compress", _DETECTION),
        ("TopK", _SORTING),
        ("StringNormalizer TfIdfVectorizer StringConcat StringSplit RegexFullMatch", _STRINGS),
        ("SequenceEmpty SequenceErase SequenceInsert Optional", _SEQUENCES),
        ("OptionalGetElement OptionalHasElement", _SEQUENCES),
        ("Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform", _RANDOM),
        ("RandomUniformLike", _RANDOM),
        ("NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss", _TRAINING),
        ("Adagrad Adam Momentum Gradient", _TRAINING),
        ("GridSample RoiAlign MaxRoiPool DeformConv AffineGrid", _SAMPLING),
        ("DFT STFT MelWeightMatrix HannWindow HammingWindow BlackmanWindow", _SIGNAL),
        ("BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BitCast", _BITS),
        ("CausalConvWithState LinearAttention TensorScatter FlexAttention", _STATE),
        ("MaxUnpool", _SIZES),
        ("ImageDecoder", _PICTURES),
        ("Acos Acosh Asin Asinh Atan Atanh Cosh Sinh Det Col2Im CumProd SwiGLU", _RARE),
        ("ArrayFeatureExtractor Binarizer LabelEncoder TreeEnsemble", _TREES),
        ("TreeEnsembleClassifier TreeEnsembleRegressor LinearClassifier ZipMap", _TREES),
    )
    for name in names.split()
}

#: Operators of networks that are quantised already; a whole network of them gets one message.
QUANTIZED_OPS = frozenset(name for name, reason in REFUSED.items() if reason == _QUANTIZED)

#: Whose operators the other domains are, and what to do about them.
DOMAINS: dict[str, str] = {
    "com.microsoft": "ONNX Runtime made it while optimising; give the file that it optimised",
    "com.ms.internal.nhwc": "ONNX Runtime made it while optimising; give the file it optimised",
    "org.pytorch.aten": "PyTorch's exporter found no ONNX operator for it; export with dynamo=True",
    "ai.onnx.ml": _TREES,
    "ai.onnx.preview.training": _TRAINING,
}

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
        hint = DOMAINS.get(domain, "leave it out, or replace it by ONNX's own operators")
        return f"operators of the domain {domain!r} are not handled: {hint}"
    for row in ONNX_OPS.get(op, ()):
        if row.since <= opset <= row.until:
            return row
    if op in ONNX_OPS:
        return f"it is no operator of opset {opset}"
    return "this operator is not handled"
