"""Every operator on tensors of 1 to 5 axes: the engine has the emulator's bits, or refuses by name.

Each small graph goes the whole way: float passes, calibration, codes or float, compilation. What
the compiler refuses must be a node of the graph with a reason, at a rank of `REFUSED`; an operator
without a lowering must be refused at every rank. Nothing is left out silently: the counts are
checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product
from math import prod

import numpy as np
import pytest

from bittrue.compiler.fileformat import to_bytes
from bittrue.compiler.lower import LOWERINGS, NOT_LOWERED, compile_graph
from bittrue.compiler.program import Program
from bittrue.engines.emulate import Emulator
from bittrue.engines.native import Engine
from bittrue.errors import UnsupportedError
from bittrue.graph.model import Graph
from bittrue.graph.ops import OPS
from bittrue.graph.reference import run_reference
from bittrue.passes.pipeline import optimize
from bittrue.quant.calibrate import gather
from bittrue.quant.options import QuantizeOptions
from bittrue.quant.partition import TAILS
from bittrue.quant.pipeline import quantize_with
from tests.graphs import GraphBuilder

RANKS = (1, 2, 3, 4, 5)
#: Axes 0 and 1 are the batch and the channels; DepthToSpace and groups need the 4.
SIZES = (2, 4, 3, 4, 2)
SAMPLES = 3

Make = Callable[[GraphBuilder, str, int], str | None]


# --- one small graph an operator ---------------------------------------------------------------


def rows(*shape: int) -> np.ndarray:
    """Numbers that are neither 0 nor alike, of either sign."""
    return np.random.default_rng(prod(shape)).uniform(0.3, 1.5, shape).astype(np.float32)


def unary(op: str, **attrs: object) -> Make:
    return lambda b, x, rank: b.add(op, x, **attrs)


def positive(op: str) -> Make:
    """On |x| + 1/2, where the function is defined."""
    return lambda b, x, rank: b.add(
        op, b.add("Add", b.add("Abs", x), b.const(np.float32(0.5)), name="shift")
    )


def pair(op: str) -> Make:
    """x and a function of it, both computed."""
    return lambda b, x, rank: b.add(op, x, b.add("Sigmoid", x))


def truth(b: GraphBuilder, x: str) -> str:
    return b.add("Greater", x, b.const(np.float32(0.1)))


def chosen(op: str) -> Make:
    """A truth value of two numbers, seen through the choice that it makes."""
    return lambda b, x, rank: b.add("Where", b.add(op, x, b.add("Sigmoid", x)), x, b.add("Neg", x))


def logic(op: str) -> Make:
    def make(b: GraphBuilder, x: str, rank: int) -> str:
        facts = (truth(b, x), truth(b, b.add("Neg", x)))
        fact = b.add(op, *facts[: len(OPS[op].inputs)])
        return b.add("Where", fact, x, b.add("Neg", x))

    return make


def spatial(op: str, make: Callable[[GraphBuilder, str, int], str]) -> Make:
    """What slides a window needs one axis or more behind the channels."""
    return lambda b, x, rank: make(b, x, rank - 2) if rank >= 3 else None


def conv(b: GraphBuilder, x: str, n: int) -> str:
    attrs = {"strides": (1,) * n, "pads": (1,) * (2 * n), "dilations": (1,) * n}
    return b.conv(x, rows(5, 4, *(3,) * n), rows(5), **attrs)


def conv_transpose(b: GraphBuilder, x: str, n: int) -> str:
    w = b.const(rows(4, 3, *(2,) * n))
    attrs = {"strides": (2,) * n, "pads": (0,) * (2 * n), "dilations": (1,) * n}
    return b.add("ConvTranspose", x, w, output_padding=(0,) * n, **attrs)


def pool(op: str) -> Callable[[GraphBuilder, str, int], str]:
    def make(b: GraphBuilder, x: str, n: int) -> str:
        attrs = {"strides": (1,) * n, "pads": (1,) * (2 * n), "dilations": (1,) * n}
        return b.add(op, x, kernel_shape=(2,) * n, **attrs)

    return make


def dense(b: GraphBuilder, x: str, rank: int) -> str | None:
    return b.add("Dense", x, b.const(rows(5, SIZES[rank - 1])), b.const(rows(5)))


def matmul(b: GraphBuilder, x: str, rank: int) -> str | None:
    if rank < 2:
        return None
    order = (*range(rank - 2), rank - 1, rank - 2)
    return b.add("MatMul", x, b.add("Transpose", b.add("Sigmoid", x), perm=order))


def gemm(b: GraphBuilder, x: str, rank: int) -> str | None:
    return b.add("Gemm", x, b.add("Sigmoid", x), transB=True) if rank == 2 else None


def batch_norm(b: GraphBuilder, x: str, rank: int) -> str | None:
    parts = [b.const(rows(4)) for _ in range(4)]
    return b.add("BatchNormalization", b.add("Relu", x), *parts) if rank >= 2 else None


def prelu(b: GraphBuilder, x: str, rank: int) -> str:
    shape = (4, *(1,) * (rank - 2)) if rank >= 2 else (1,)
    return b.add("PRelu", x, b.const(rows(*shape)))


def reduced(op: str) -> Make:
    return lambda b, x, rank: b.add(op, x, axes=(rank - 1,), keepdims=rank == 1)


def index(op: str) -> Make:
    return lambda b, x, rank: b.add("Cast", b.add(op, x, axis=rank - 1), to="float32")


def softmax(op: str) -> Make:
    return lambda b, x, rank: b.add(op, x, axis=rank - 1)


def reshape(b: GraphBuilder, x: str, rank: int) -> str:
    return b.add("Reshape", x, shape=(prod(b.shape(x)) // 2, 2))


def transpose(b: GraphBuilder, x: str, rank: int) -> str:
    return b.add("Transpose", x, perm=tuple(reversed(range(rank))))


def split(b: GraphBuilder, x: str, rank: int) -> str:
    size = SIZES[rank - 1]
    first = b.add("Split", x, outputs=2, axis=rank - 1, split=(1, size - 1))
    return b.add("Concat", first.replace(":out", ":1"), first, axis=rank - 1)


def slice_(b: GraphBuilder, x: str, rank: int) -> str:
    sizes = SIZES[:rank]
    starts = tuple(size - 1 for size in sizes)
    steps = tuple(-1 for _ in sizes)
    return b.add("Slice", x, starts=starts, steps=steps, sizes=sizes)


def pad(b: GraphBuilder, x: str, rank: int) -> str:
    return b.add("Pad", x, pads=(1,) * rank + (0,) * rank, value=0.25)


def resize(b: GraphBuilder, x: str, rank: int) -> str:
    scales = (1.0,) * min(2, rank - 1) + (2.0,) * max(1, rank - 2)
    shape = tuple(int(n * s) for n, s in zip(SIZES, scales, strict=False))
    return b.add("Resize", x, mode="nearest", shape=shape, scales=scales, nearest_mode="floor")


def gather_(b: GraphBuilder, x: str, rank: int) -> str:
    return b.add("Gather", x, b.const(np.array([1, 0, -1])), axis=rank - 1)


def expand(b: GraphBuilder, x: str, rank: int) -> str:
    first = b.add("Slice", x, starts=(0,) * rank, steps=(1,) * rank, sizes=(*SIZES[: rank - 1], 1))
    return b.add("Expand", first, shape=(*SIZES[: rank - 1], 3))


def blocks(op: str) -> Make:
    def make(b: GraphBuilder, x: str, rank: int) -> str | None:
        if rank != 4:
            return None
        if op == "DepthToSpace":
            return b.add(op, x, blocksize=2)
        even = b.add("Pad", x, pads=(0, 0, 1, 0, 0, 0, 0, 0))
        return b.add(op, even, blocksize=2)

    return make


def cast(b: GraphBuilder, x: str, rank: int) -> str:
    raw = b.input("raw", SIZES[:rank], "uint8")
    return b.add("Add", x, b.add("Cast", raw, to="float32"))


def mean(b: GraphBuilder, x: str, rank: int) -> str:
    axes = (2, 3) if rank == 4 else (rank - 1,)
    return b.add("ReduceMean", x, axes=axes, keepdims=rank == 1)


GRAPHS: dict[str, Make] = {
    "Conv": spatial("Conv", conv),
    "ConvTranspose": spatial("ConvTranspose", conv_transpose),
    "Dense": dense,
    "MatMul": matmul,
    "Gemm": gemm,
    "BatchNormalization": batch_norm,
    "PRelu": prelu,
    **{op: pair(op) for op in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Mod")},
    "Pow": lambda b, x, rank: b.add("Pow", b.add("Sigmoid", x), b.add("Abs", x)),
    **{op: chosen(op) for op in OPS if op in ("Equal", "Less", "Greater")},
    **{op: chosen(op) for op in ("LessOrEqual", "GreaterOrEqual")},
    **{op: logic(op) for op in ("And", "Or", "Not")},
    "Where": lambda b, x, rank: b.add("Where", truth(b, x), x, b.add("Neg", x)),
    **{op: unary(op) for op in ("Relu", "Sigmoid", "HardSwish", "Tanh", "Exp", "Neg", "Abs")},
    **{op: unary(op) for op in ("Floor", "Ceil", "Round", "Sign", "Erf", "Softplus", "Softsign")},
    **{op: unary(op) for op in ("Mish", "Sin", "Cos", "LeakyRelu", "Elu", "Celu", "Selu", "Gelu")},
    **{op: unary(op) for op in ("ThresholdedRelu", "HardSigmoid")},
    **{op: positive(op) for op in ("Log", "Sqrt", "Reciprocal")},
    "Clip": unary("Clip", min=-0.5, max=0.75),
    "Pointwise": unary("Pointwise", expr="x x sigmoid mul 0.5 add"),
    "Cast": cast,
    **{op: softmax(op) for op in ("Softmax", "LogSoftmax")},
    **{op: spatial(op, pool(op)) for op in ("MaxPool", "AveragePool")},
    **{op: spatial(op, unary(op)) for op in ("GlobalAveragePool", "GlobalMaxPool")},
    **{op: reduced(op) for op in OPS if op.startswith("Reduce")},
    "ReduceMean": mean,
    **{op: index(op) for op in ("ArgMax", "ArgMin")},
    "Reshape": reshape,
    "Transpose": transpose,
    "Concat": lambda b, x, rank: b.add("Concat", x, b.add("Sigmoid", x), axis=rank - 1),
    "Split": split,
    "Slice": slice_,
    "Pad": pad,
    "Resize": resize,
    "Gather": gather_,
    "Expand": expand,
    "Tile": lambda b, x, rank: b.add("Tile", x, repeats=(*(1,) * (rank - 1), 2)),
    **{op: blocks(op) for op in ("DepthToSpace", "SpaceToDepth")},
}

#: Ranks at which an operator with a lowering may be refused; the reason must name the node.
REFUSED: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool"), (5,)),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool"), (5,)),
    "ReduceMean": (1, 2, 3, 5),
    "Resize": (1, 2, 5),
}


# --- the whole way ---------------------------------------------------------------------------


def samples(graph: Graph) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    rows = [graph.values[name] for name in graph.inputs]
    return [
        {row.name: (rng.normal(size=row.shape) * 2).astype(row.dtype) for row in rows}
        for _ in range(SAMPLES)
    ]


def compiled(graph: Graph) -> list[Program]:
    """One program of each tail; the same one once."""
    done = optimize(graph).graph
    statistics = gather(done, samples(done), lambda x, taps: run_reference(done, x, taps))
    options = [QuantizeOptions(observer="minmax", tail=tail) for tail in TAILS]
    programs = (compile_graph(quantize_with(done, statistics, row).quantized) for row in options)
    return list({to_bytes(program): program for program in programs}.values())


def given(program: Program) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    made = []
    for tensor in program.inputs:
        row = program.tensors[tensor]
        if row.dtype == "uint8":
            made.append(rng.integers(0, 256, row.shape).astype(np.uint8))
        else:
            made.append(rng.normal(size=row.shape).astype(row.dtype))
    return made


def assert_bits(program: Program) -> None:
    """Fail unless each tensor that the engine makes is the emulator's, byte by byte."""
    taps = program.computed
    inputs = given(program)
    with np.errstate(all="ignore"):
        outputs, wanted = Emulator(program).run(inputs, taps)
    with Engine(to_bytes(program), threads=2) as engine:
        made, found = engine.run(inputs, taps)
    assert [a.tobytes() for a in made] == [a.tobytes() for a in outputs]
    for tap in taps:
        assert found[tap].tobytes() == wanted[tap].tobytes(), program.tensors[tap]


def outcome(graph: Graph) -> tuple[int, UnsupportedError | None]:
    """Return how many programs were compared, or the refusal."""
    try:
        programs = compiled(graph)
    except UnsupportedError as why:
        return 0, why
    for program in programs:
        assert_bits(program)
    return len(programs), None


def graph_of(op: str, rank: int) -> Graph | None:
    b = GraphBuilder()
    end = GRAPHS[op](b, b.input("x", SIZES[:rank]), rank)
    return None if end is None else b.graph(end)


def test_every_operator_has_a_graph() -> None:
    assert set(GRAPHS) == set(OPS)
    for op in OPS:
        assert any(graph_of(op, rank) for rank in RANKS), op


def test_each_operator_at_each_rank_has_the_emulators_bits_or_is_refused() -> None:
    counts: Counter[str] = Counter()
    wrong = []
    for op, rank in product(sorted(OPS), RANKS):
        graph = graph_of(op, rank)
        if graph is None:
            counts["ONNX has no such rank"] += 1
            continue
        programs, why = outcome(graph)
        counts["programs"] += programs
        counts["refused" if why else "the same bits"] += 1
        if why is None and op in NOT_LOWERED:
            wrong.append(f"{op}, {rank} axes: has no lowering and runs")
        if why is not None:
            assert why.nodes, op
            assert all(node.node and node.reason for node in why.nodes), op
            if op in LOWERINGS and rank not in REFUSED.get(op, ()):
                wrong.append(f"{op}, {rank} axes: {why}")
    print(f"\n{dict(counts)}")
    assert not wrong, "\n".join(wrong)
    assert counts["refused"] + counts["the same bits"] + counts["ONNX has no such rank"] == len(
        OPS
    ) * len(RANKS)
    assert counts["the same bits"] >= 260  # so that none gets lost


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Min", "Max"])
def test_every_form_of_broadcasting_has_the_emulators_bits(op: str) -> None:
    """Each axis of 1 on either side, fewer axes on either side, one number, two inputs."""
    forms = [(a, b) for bits in product((0, 1), repeat=3) for a, b in [widened(bits)]]
    forms += [((2, 4, 3), (3,)), ((3,), (2, 4, 3)), ((2, 4, 3), (4, 1)), ((4, 3), (2, 1, 1))]
    forms += [((2, 4, 3), (1,)), ((2, 1, 3, 1, 2), (1, 4, 1, 4, 1)), ((1,), (2, 4, 3, 4, 2))]
    for one, other in forms:
        b = GraphBuilder()
        x, y = b.input("x", one), b.input("y", other)
        # Divisors away from 0: infinities have no range.
        y = b.add("Add", b.add("Abs", y), b.const(np.float32(0.5))) if op == "Div" else y
        out = b.add(op, x, y)
        programs, why = outcome(b.graph(out, b.add("Neg", out)))
        assert why is None, (one, other, why)
        assert programs


def widened(bits: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast: where a bit is set the first has the 1, else the second."""
    sizes = (2, 4, 3)
    one = tuple(1 if bit else n for bit, n in zip(bits, sizes, strict=True))
    other = tuple(n if bit else 1 for bit, n in zip(bits, sizes, strict=True))
    return one, other
