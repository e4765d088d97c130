"""ONNX's own test cases for operators, made into models that the importer reads.

`claimed_cases` gives them, `EXCLUDED` says which are left out and why; docs/operators.md counts
them. What ONNX passes as an input and bittrue wants constant (axes, pads, shapes) becomes an
initialiser; whole numbers come in through a Cast, since a network's input holds values. Where
nothing is left to be given, a zero is added to the result.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bittrue.engines.float_ import FloatRunner
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_reference
from bittrue.graph.verify import verify
from bittrue.importers.onnx_file import OPSET_MAX, OPSET_MIN
from bittrue.importers.onnx_ops import ONNX_OPS

_NEWER = f"the case belongs to an opset above {OPSET_MAX}"
_TRAINING = "training is not handled"
_REFERENCE = (
    "ONNX's own reference uses a length of 2.4 here; its text and ONNX Runtime whole lengths"
)

_TYPES = "element types that bittrue does not read"
_MASK = "its mask, which exists in training only, is an output"

#: Reasons that lie outside the stated scope: the operator is claimed whole all the same.
OUT_OF_SCOPE = (_NEWER, _TRAINING, _TYPES, _MASK, _REFERENCE)
#: Cases that the importer refuses or that bittrue decides otherwise, and why.
EXCLUDED: dict[str, str] = {
    "test_batchnorm_*_training_mode": _TRAINING,
    "test_training_dropout_*": _TRAINING,
    "test_training_dropout": _TRAINING,
    "test_dropout_default_mask*": _MASK,
    "test_maxpool_with_argmax_2d_*": "the indices of its maxima are not handled",
    "test_mod_float*_mixed_sign_fmod_0": _NEWER,
    "test_mod_float_edge_cases_fmod_0_*": _NEWER,
    "test_spacetodepth_crd_mode_example": _NEWER,
    "test_resize_tf_crop_and_resize*": "crops while it resizes: not handled",
    "test_resize_*_antialias": "antialiasing is not handled",
    "test_resize_downsample_scales_*_align_corners": _REFERENCE,
}

#: Element types that bittrue reads; others (texts, sequences, 8-bit floats, 4-bit) are left out.
_READ = {
    *(TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16),
    *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
    *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
    TensorProto.BOOL,
}
#: Relative error of a result of a coarser type, which bittrue computes in float32: a few ulps.
_COARSE = {TensorProto.FLOAT16: 2.0**-9, TensorProto.BFLOAT16: 2.0**-6}

_SECOND_INPUT = (
    *("Reshape", "Expand", "Tile", "Squeeze", "Unsqueeze", "Split", "ReduceMean", "ReduceSum"),
    *("ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
    *("ReduceLogSum", "ReduceLogSumExp", "Upsample"),
)
#: Which inputs of an operator bittrue wants constant.
_PARAMETERS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(_SECOND_INPUT, (1,)),
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 2, 3),
    "Resize": (1, 2, 3),
    "Dropout": (1, 2),
    "Range": (0, 1, 2),
    **dict.fromkeys(("ConstantOfShape", "NonZero", "If"), (0,)),
    **dict.fromkeys(("ScatterND", "ScatterElements", "Scatter"), (1,)),
    **dict.fromkeys(("GatherND", "GatherElements", "CumSum", "Trilu", "OneHot"), (1,)),
    "CenterCropPad": (1,),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One case: a model, what goes in, what must come out, and how near.

    Args:
        name: ONNX's name for it.
        op: The operator that it is about.
        model: The model's bytes.
        inputs: Arrays by name; a graph may take fewer, when some do not matter.
        outputs: Arrays by name.
        rtol: Relative error allowed to floats.
        types: Element types of the original case's inputs and outputs.
    """

    name: str
    op: str
    model: bytes
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    rtol: float
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Cases:
    """All cases of operators that the importer claims: those to run, and why not the others.

    Args:
        run: Those to run.
        excluded: By name: why not.
        ops: By name of every case: the operator that it is about.
        unclaimed: Cases with an operator that the importer refuses, by the operator.
    """

    run: tuple[Case, ...]
    excluded: Mapping[str, str]
    ops: Mapping[str, str]
    unclaimed: Mapping[str, int]


@lru_cache(maxsize=1)
def claimed_cases() -> Cases:
    """Return the cases whose operators are all in the importer's table."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    run, excluded = [], {}
    ops = {case.name: _subject(case.model) for case in found}
    unclaimed: Counter[str] = Counter()
    for case in found:
        base = case.name.partition("_expanded")[0]  # the same operator, written out in others
        ops[case.name] = ops.get(base, ops[case.name])
        strange = [_label(node) for node in case.model.graph.node if not _is_read(node)]
        if strange:
            unclaimed[strange[0]] += 1
            continue
        reason = _reason(case.name, case.model)
        if reason:
            excluded[case.name] = reason
        else:
            inputs, outputs = case.data_sets[0]
            op = ops[case.name]
            run.append(_prepared(case.name, op, case.model, inputs, outputs, case.rtol))
    return Cases(tuple(run), excluded, ops, unclaimed)


def _label(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _is_read(node: onnx.NodeProto) -> bool:
    return _label(node) in ONNX_OPS or _label(node) == "Constant"


def _subject(model: onnx.ModelProto) -> str:
    """Return the operator of a case's first node that is no Constant."""
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    return _label(nodes[0]) if nodes else "Constant"


def _reason(name: str, model: onnx.ModelProto) -> str:
    rows = [*model.graph.input, *model.graph.output]
    if any(row.type.tensor_type.elem_type not in _READ for row in rows):
        return _TYPES
    return next((why for pattern, why in EXCLUDED.items() if fnmatch(name, pattern)), "")


def _prepared(
    name: str, op: str, original: onnx.ModelProto, inputs: object, outputs: object, rtol: float
) -> Case:
    model = onnx.ModelProto()
    model.CopyFrom(original)
    for row in model.opset_import:
        if row.domain in ("", "ai.onnx"):
            row.version = min(max(row.version, OPSET_MIN), OPSET_MAX)
    results = _arrays(model.graph.output, outputs)
    coarse = [_COARSE.get(row.type.tensor_type.elem_type, 0.0) for row in original.graph.output]
    given = _give(
        model.graph, _arrays(model.graph.input, inputs), expanded=name.endswith("_expanded")
    )
    if not given or original.graph.node[0].op_type in ("Shape", "Size", "EyeLike"):
        given |= {"zero": np.zeros((), np.float32)}
        results = _add_zero(model.graph, results)
    rows = [*original.graph.input, *original.graph.output]
    types = {TensorProto.DataType.Name(row.type.tensor_type.elem_type).lower() for row in rows}
    data, near = model.SerializeToString(), max(rtol, *coarse)
    return Case(name, op, data, given, results, near, frozenset(types))


def _arrays(rows: object, data: object) -> dict[str, np.ndarray]:
    """Return arrays by name in the types that bittrue reads theirs as: float32, int64."""
    found = {}
    for row, item in zip(rows, data, strict=True):  # type: ignore[call-overload]
        array = np.asarray(numpy_helper.to_array(item) if isinstance(item, TensorProto) else item)
        if array.dtype.kind not in "iub":  # bfloat16's kind is V
            array = array.astype(np.float32)
        long = array.dtype.name in ("uint32", "uint64")
        found[row.name] = array.astype(np.int64) if long else array
    return found


def _give(
    graph: onnx.GraphProto, data: dict[str, np.ndarray], *, expanded: bool
) -> dict[str, np.ndarray]:
    """Turn some inputs into initialisers and casts, and return what is left to be given."""
    rows = {row.name: row for row in graph.input}
    frozen = {
        node.input[index]
        for node in graph.node
        for index in _PARAMETERS.get(node.op_type, ())
        if index < len(node.input)
    }
    if expanded:  # ONNX's definition of an operator by others: shapes pass through many nodes
        frozen |= {name for name, array in data.items() if array.dtype.kind == "i"}
    given: dict[str, np.ndarray] = {}
    for name, array in data.items():
        single = array.astype(np.float32)
        if array.dtype == np.float32 and name not in frozen and array.size:
            given[name] = array
        elif name in frozen or not array.size or (single.astype(array.dtype) != array).any():
            _freeze(graph, rows[name], array)
        else:
            given[f"{name}_given"] = single
            _cast(graph, rows[name])
    return given


def _freeze(graph: onnx.GraphProto, row: onnx.ValueInfoProto, array: np.ndarray) -> None:
    kind = helper.tensor_dtype_to_np_dtype(row.type.tensor_type.elem_type)
    graph.initializer.append(numpy_helper.from_array(array.astype(kind), row.name))
    graph.input.remove(row)


def _cast(graph: onnx.GraphProto, row: onnx.ValueInfoProto) -> None:
    name, kind = row.name, row.type.tensor_type.elem_type
    graph.node.insert(0, helper.make_node("Cast", [f"{name}_given"], [name], to=kind))
    row.name, row.type.tensor_type.elem_type = f"{name}_given", TensorProto.FLOAT


def _add_zero(graph: onnx.GraphProto, results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Make each result depend on an input, as float32."""
    graph.input.append(helper.make_tensor_value_info("zero", TensorProto.FLOAT, []))
    for row in graph.output:
        name = row.name
        graph.node.append(helper.make_node("Cast", [name], [f"{name}_real"], to=TensorProto.FLOAT))
        graph.node.append(helper.make_node("Add", [f"{name}_real", "zero"], [f"{name}_out"]))
        row.name, row.type.tensor_type.elem_type = f"{name}_out", TensorProto.FLOAT
    return {f"{name}_out": array.astype(np.float32) for name, array in results.items()}


# --- running them ----------------------------------------------------------------------------

#: Cases of types that ONNX Runtime has no kernel for; the reference runs them.
NO_KERNEL = {
    *("test_max_int16", "test_max_uint16", "test_min_int16", "test_min_uint16"),
    *("test_reduce_max_bool_inputs", "test_reduce_min_bool_inputs"),
}


def reference_differences(case: Case, graph: Graph) -> list[str]:
    """Return where the NumPy reference and a case differ; empty when they agree."""
    verify(graph)
    return _differences(case, run_reference(graph, _inputs(case, graph)))


def runtime_differences(case: Case, graph: Graph) -> list[str]:
    """Return where our graph in ONNX Runtime and a case differ; empty when they agree."""
    return _differences(case, FloatRunner(graph, threads=1).run(_inputs(case, graph)).outputs)


def _inputs(case: Case, graph: Graph) -> dict[str, np.ndarray]:
    return {name: case.inputs[name] for name in graph.inputs}


def _differences(case: Case, found: Mapping[str, np.ndarray]) -> list[str]:
    if set(found) != set(case.outputs):
        return [f"{case.name}: it gives {sorted(found)}, not {sorted(case.outputs)}"]
    return [
        f"{case.name}: {name}: {text}"
        for name, wanted in case.outputs.items()
        for text in unlike(found[name], wanted, case.rtol)
    ]


def unlike(found: np.ndarray, wanted: np.ndarray, rtol: float) -> list[str]:
    """Return how two arrays differ: floats by more than rtol, or anything else at all."""
    if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
        return [f"{found.dtype} {found.shape}, not {wanted.dtype} {wanted.shape}"]
    if wanted.dtype.kind == "f":
        near = np.isclose(found, wanted, rtol=rtol, atol=1e-6, equal_nan=True)
        return [] if near.all() else [f"{found[~near][:3]}, not {wanted[~near][:3]}"]
    same = found == wanted
    return [] if same.all() else [f"{found[~same][:3]}, not {wanted[~same][:3]}"]
