"""The engine has the emulator's bits in every tensor, whatever the program, ISA and threads."""

from __future__ import annotations

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from bittrue.compiler.fileformat import to_bytes
from bittrue.compiler.lower import compile_graph
from bittrue.compiler.program import Program
from bittrue.compiler.verify_program import verify_program
from bittrue.engines.emulate import Emulator
from bittrue.engines.native import Engine
from bittrue.engines.native_library import available_isas
from bittrue.errors import UnsupportedError
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_reference
from bittrue.passes.pipeline import optimize
from bittrue.quant.calibrate import gather
from bittrue.quant.observers import OBSERVERS
from bittrue.quant.options import QuantizeOptions
from bittrue.quant.partition import TAILS
from bittrue.quant.pipeline import quantize_with
from bittrue.quant.weights import ROUNDINGS
from tests.graphs import random_graph, random_inputs
from tests.kernels.programs import Case, fill_codes
from tests.property.programs import INPUTS, drawn_chain, drawn_conv

THREADS = (1, 2, 3)
SAMPLES = 3
#: One convolution takes milliseconds, and only a few in a hundred show a fault in one kernel.
MANY = settings(max_examples=4 * settings.default.max_examples)


# --- the comparison --------------------------------------------------------------------------


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays have the same type, shape and bytes: NaN and zeros of either sign too."""
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and one.tobytes() == other.tobytes()


def assert_bit_true(case: Case) -> int:
    """Fail unless every tensor of every run is the emulator's; return the bytes compared."""
    program = case.program
    taps = program.computed
    with np.errstate(all="ignore"):
        outputs, tapped = Emulator(program).run(case.inputs, taps)
    data, compared = to_bytes(program), 0
    for isa in available_isas():
        for threads in THREADS:
            with Engine(data, isa, threads) as engine:
                # The second run meets an arena that is full of the first one's bytes.
                for _ in range(2):
                    got, found = engine.run(case.inputs, taps)
                    about = f"{isa}, {threads} threads: "
                    assert sorted(found) == sorted(tapped) == list(taps)
                    for index in taps:
                        assert same_bits(tapped[index], found[index]), about + place(program, index)
                    for one, other in zip(outputs, got, strict=True):
                        assert same_bits(one, other), about + "an output"
                    compared += sum(row.nbytes for row in (*tapped.values(), *outputs))
    assert compared > 0
    return compared


def place(program: Program, tensor: int) -> str:
    """Say which tensor it is, and who writes it."""
    writers = [step for step in program.instructions if tensor in step.outputs]
    return f"{program.tensors[tensor]} by {writers}"


# --- programs --------------------------------------------------------------------------------


@MANY
@given(case=drawn_conv())
def test_any_convolution_has_the_emulators_bits(case: Case) -> None:
    verify_program(case.program)
    assert_bit_true(case)


@given(case=drawn_chain())
def test_any_chain_of_instructions_has_the_emulators_bits(case: Case) -> None:
    verify_program(case.program)
    assert_bit_true(case)


# --- networks --------------------------------------------------------------------------------


def compiled(graph: Graph, options: QuantizeOptions) -> Program:
    """Return a float graph as a program: passes, calibration on random samples, compiler."""
    after = optimize(graph).graph
    samples = [random_inputs(after, seed) for seed in range(SAMPLES)]
    seen = gather(after, samples, lambda inputs, taps: run_reference(after, inputs, taps))
    return compile_graph(quantize_with(after, seen, options).quantized)


def random_buffers(program: Program, seed: int, fill: str) -> tuple[np.ndarray, ...]:
    """Return arrays for a program's inputs: codes as `fill` says, or normal numbers."""
    rng = np.random.default_rng(seed)
    rows = [program.tensors[index] for index in program.inputs]
    return tuple(
        fill_codes(rng, row.shape, fill)
        if row.dtype == "uint8"
        else rng.normal(size=row.shape).astype(row.dtype)
        for row in rows
    )


@given(
    graph=random_graph(choices=True),
    options=st.builds(
        QuantizeOptions,
        observer=st.sampled_from(sorted(OBSERVERS)),
        tail=st.sampled_from(sorted(TAILS)),
        rounding=st.sampled_from(sorted(ROUNDINGS)),
    ),
    seed=st.integers(0, 2**16),
    fill=st.sampled_from(INPUTS),
)
def test_any_network_has_the_emulators_bits(
    graph: Graph, options: QuantizeOptions, seed: int, fill: str
) -> None:
    try:
        program = compiled(graph, options)
    except UnsupportedError as why:
        event(f"refused: {sorted({item.op for item in why.nodes})}")
        return
    event(f"{len(program.instructions)} instructions")
    assert_bit_true(Case(program, random_buffers(program, seed, fill)))
