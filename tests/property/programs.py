"""Programs that hypothesis draws: windows of convolutions, and chains of any instructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from bittrue.compiler.instructions import BY_NAME, COPY_RANK
from bittrue.compiler.plan import plan
from bittrue.compiler.program import Program, Tensor
from tests.kernels.programs import CASES, FILLS, Case, ConvShape, conv_case
from tests.programs import Builder

Draw = Callable[[st.SearchStrategy], object]

#: Around steps of 2 and 4 channels, and tiles of 16, 32 and 64.
CHANNELS = (1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65)
KERNELS = (1, 2, 3, 5, 7)
#: What weights are; "one" is one tap that passes a code on. Most often such that all products show
#: in the result: extremes mostly end in the first or last code, whatever a kernel does.
WEIGHTS = ("random", "random", "random", "random", "ends", "least", "most")
INPUTS = (*["random"] * 5, *FILLS)
#: What sums are: those of the weights; codes that a multiplier sends to ties; sums above 2^24 that
#: it sends to within a rounding of ties; sums about 2^24; sums near the ends of int32.
SUMS = (
    *["as weighted"] * 6,
    "ties",
    "ties above 2^24",
    "ties above 2^24",
    "about 2^24",
    "near 2^31",
)
_ZEROS = ("zero_point", "zero_a", "zero_b", "zero_x")


def _whole(draw: Draw, least: int, most: int) -> int:
    return int(draw(st.integers(least, most)))


def _pick(draw: Draw, choices: Sequence[object]) -> object:
    return draw(st.sampled_from(choices))


def _generator(draw: Draw) -> np.random.Generator:
    return np.random.default_rng(_whole(draw, 0, 2**32 - 1))


# --- convolutions ----------------------------------------------------------------------------


def _channels(draw: Draw) -> tuple[int, int, int]:
    """Return channels in, channels out and groups: dense, depthwise (also wider) or grouped."""
    count = int(_pick(draw, CHANNELS))
    form = _pick(draw, ("dense", "dense", "dense", "depthwise", "wider", "grouped"))
    if form == "dense":
        return count, int(_pick(draw, CHANNELS)), 1
    if form == "grouped":
        groups = _whole(draw, 2, 4)
        return groups * min(count, 17), groups * _whole(draw, 1, 9), groups
    return count, count * (_whole(draw, 2, 3) if form == "wider" else 1), count


def _window(draw: Draw, channels: int, outputs: int, groups: int) -> ConvShape:
    """Return a window with unlike pads, some negative, that has at least one output."""
    square = _pick(draw, (True, False))
    kernel = [int(_pick(draw, KERNELS)) for _ in range(2)]
    kernel[1] = kernel[0] if square else kernel[1]
    stride, dilation = ([_whole(draw, 1, 3) for _ in range(2)] for _ in range(2))
    pad = [_whole(draw, -2, 4) for _ in range(4)]
    size = [_whole(draw, 1, 13) for _ in range(2)]
    for axis in range(2):
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        size[axis] = max(size[axis], reach - pad[axis] - pad[axis + 2])
    return ConvShape(
        (_whole(draw, 1, 2), size[0], size[1], channels),
        outputs,
        (kernel[0], kernel[1]),
        (stride[0], stride[1]),
        (dilation[0], dilation[1]),
        (pad[0], pad[1], pad[2], pad[3]),
        groups,
    )


def weights_of(rng: np.random.Generator, shape: ConvShape, kind: object) -> np.ndarray:
    full = (shape.outputs, *shape.kernel, shape.x[3] // shape.groups)
    if kind == "one":
        codes = np.zeros((full[0], int(np.prod(full[1:]))), np.int8)
        codes[np.arange(full[0]), rng.integers(0, codes.shape[1], full[0])] = 1
        return codes.reshape(full)
    if kind == "random":
        return rng.integers(-127, 128, full, np.int8)
    if kind == "ends":
        return rng.choice(np.int8([-127, 127]), full)
    return np.full(full, -127 if kind == "least" else 127, np.int8)


@st.composite
def drawn_conv(draw: Draw) -> Case:
    """Draw a CONV around the kernels' tiles, with any window, sums and zero point."""
    channels, outputs, groups = _channels(draw)
    shape = _window(draw, channels, outputs, groups)
    kind, sums = _pick(draw, WEIGHTS), str(_pick(draw, SUMS))
    f32 = _pick(draw, (False, False, False, True)) is True
    classes = (_whole(draw, 1, 3), _whole(draw, 1, 3))
    fill = str(_pick(draw, INPUTS))
    rng = _generator(draw)
    weight = weights_of(rng, shape, "one" if "ties" in sums else kind)
    case = conv_case(rng, shape, fill=fill, weight=weight, f32=f32, classes=classes)
    if sums == "ties":
        make_ties(case, rng)
    elif sums == "ties above 2^24":
        make_wide_ties(case, rng)
    elif sums != "as weighted":
        make_wide(case, rng, 2**24 if sums == "about 2^24" else 2**31)
    return case if f32 else with_zeros(draw, case)


def put(case: Case, role: str, array: np.ndarray) -> None:
    """Put other values into a constant of a case's instruction."""
    program, step = case.program, case.program.instructions[-1]
    tensor = step.inputs[BY_NAME[step.kind].inputs.index(role)]
    old = program.constant(tensor)
    new = np.ascontiguousarray(np.broadcast_to(array, old.shape), old.dtype)
    program.constants[program.tensors[tensor].buffer] = new.reshape(-1).view(np.uint8)


def make_ties(case: Case, rng: np.random.Generator) -> None:
    """Codes times a half, a quarter or an eighth: a large part of the results are ties."""
    put(case, "bias", rng.integers(-4, 5, 1))
    outputs = case.program.tensors[case.program.outputs[0]].shape[3]
    put(case, "multiplier", rng.choice([0.5, 0.25, 0.125, 1.5], outputs))


def make_wide_ties(case: Case, rng: np.random.Generator) -> None:
    """Make sums within 128 of one that lands on a tie: roundings decide to which side they fall."""
    outputs = case.program.tensors[case.program.outputs[0]].shape[3]
    middle = rng.integers(2**24, 2**28, outputs)
    put(case, "bias", rng.choice([-1, 1], outputs) * middle - 128)
    put(case, "multiplier", (rng.integers(0, 99, outputs) + 0.5) / middle)


def make_wide(case: Case, rng: np.random.Generator, about: int) -> None:
    """Make sums lie about +-`about`, with multipliers that bring them back to codes.

    At 2^31 the biases leave room for the products of most weights; where they do not, sums wrap.
    """
    bias, weight = (case.program.constant(case.program.instructions[-1].inputs[i]) for i in (2, 1))
    products = int(np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(1).max()) * 255
    room = min(products, 2**30) + 1 if about == 2**31 else 0
    put(case, "bias", rng.choice([-1, 1], bias.shape) * (about - room - rng.integers(0, 99, 1)))
    steps = rng.uniform(0.1, 2.0, len(weight)) * 128 / about
    put(case, "multiplier", np.where(rng.random(len(weight)) < 0.3, 128 / about, steps))


def with_zeros(draw: Draw, case: Case) -> Case:
    """Return a case with zero points that lie at the ends more often than not, and a ReLU."""
    (*before, step) = case.program.instructions
    params = dict(zip(BY_NAME[step.kind].params, step.params, strict=True))
    for name in _ZEROS:
        if name in params:
            params[name] = int(_pick(draw, (params[name], 0, 255, 128)))
    if "lo" in params and _pick(draw, (True, False)):
        params["lo"] = min(params["zero_point"], params["hi"])
    changed = replace(step, params=tuple(params.values()))
    return Case(replace(case.program, instructions=(*before, changed)), case.inputs)


# --- chains ----------------------------------------------------------------------------------


@st.composite
def drawn_chain(draw: Draw) -> Case:
    """Draw up to six cases of any instruction, each fed by one before it where types allow."""
    cases = []
    for _ in range(_whole(draw, 1, 6)):
        kind = str(_pick(draw, ("CONV", *sorted(CASES))))
        if kind == "CONV":
            cases.append(draw(drawn_conv()))
            continue
        case = CASES[kind](_generator(draw))
        sums = kind == "MATMUL" and case.program.tensors[-1].dtype == "float32"
        limited = "zero_point" in BY_NAME[kind].params and not sums
        cases.append(with_zeros(draw, case) if limited else case)
    return chained(cases)


def chained(cases: Sequence[Case]) -> Case:
    """Return one planned program of all cases: what one writes flows into the next of its type.

    A FILL and a COPY carry as many elements as both sides have. The plan lets buffers that are not
    alive at one moment share bytes, so that a wrong lifetime in the engine shows as well.
    """
    made = Builder()
    inputs: list[int] = []
    arrays: list[np.ndarray] = []
    ends: list[int] = []
    for case in cases:
        new = _appended(made, case.program)
        for old, array in zip(case.program.inputs, case.inputs, strict=True):
            row = made.tensors[new[old]]
            source = next((t for t in ends[::-1] if made.tensors[t].dtype == row.dtype), None)
            if source is None or new[old] in ends:
                inputs.append(new[old])
                arrays.append(array)
            else:
                _insert_link(made, source, new[old], len(case.program.instructions))
        ends += [new[old] for old in case.program.outputs]
    program = made.program(tuple(inputs), (ends[-1],))
    return Case(plan(program), tuple(arrays))


def _appended(made: Builder, program: Program) -> list[int]:
    """Add a program's tensors and steps; return the new index of each old tensor."""
    new: list[int] = []
    first: dict[int, int] = {}  # the new tensor that came first on an old buffer
    for index, row in enumerate(program.tensors):
        if program.buffers[row.buffer].constant:
            new.append(made.constant(program.constant(index)))
        elif row.buffer in first:
            new.append(made.alias(first[row.buffer], row.shape))
        else:
            new.append(made.tensor(row.shape, row.dtype))
            first[row.buffer] = new[-1]
    for step in program.instructions:
        renumbered = (tuple(new[i] for i in side) for side in (step.inputs, step.outputs))
        made.steps.append(
            replace(step, **dict(zip(("inputs", "outputs"), renumbered, strict=True)))
        )
    return new


def _insert_link(made: Builder, source: int, target: int, behind: int) -> None:
    """Fill `target` from the start of `source`, before the last `behind` steps."""
    later, made.steps = made.steps[-behind:], made.steps[:-behind]
    count = min(_count(made.tensors[source]), _count(made.tensors[target]))
    params = {"src_offset": 0, "dst_offset": 0, "size_0": count}
    for axis in range(COPY_RANK):
        params.setdefault(f"size_{axis}", 1)
        params |= {f"{side}_stride_{axis}": int(axis == 0) for side in ("src", "dst")}
    made.step("FILL", (), target, value=100)
    made.step("COPY", (source,), target, **params)
    made.steps += later


def _count(row: Tensor) -> int:
    return int(np.prod(row.shape))
