"""What every stage looks like from outside: a contract, and a run with taps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bittrue.contract.tensor import Contract, TensorContract
from bittrue.errors import DataError, UsageError
from bittrue.graph.model import Graph
from bittrue.suggest import did_you_mean


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run gave.

    Args:
        outputs: Arrays by name, in the contract's order.
        taps: Arrays of the inner values that were asked for, by name, in logical order.
    """

    outputs: Mapping[str, np.ndarray]
    taps: Mapping[str, np.ndarray]


class Runner(Protocol):
    """Anything that runs a network: a stage."""

    @property
    def contract(self) -> Contract:
        """What the inputs must be, and what the outputs are."""

    def run(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
    ) -> RunResult:
        """Return the outputs and the tapped values for one set of inputs.

        Args:
            inputs: An array for each input of the contract, of its dtype and shape.
            taps: Names of values to return as well.
            codes: Whether to return integers as stored instead of real values (float32). A stage
                that stores no codes returns its values.

        Raises:
            DataError: if an input is missing, unknown, or of another dtype or shape.
            UsageError: if a tap's name is unknown.
        """


def contract_of(graph: Graph) -> Contract:
    """Return the contract that a float graph has by itself: names, shapes and dtypes."""

    def rows(names: Sequence[str]) -> tuple[TensorContract, ...]:
        values = [graph.values[name] for name in names]
        return tuple(TensorContract(value.name, value.shape, value.dtype) for value in values)

    return Contract(rows(graph.inputs), rows(graph.outputs))


def check_inputs(contract: Contract, inputs: Mapping[str, np.ndarray]) -> None:
    """Refuse inputs that are not exactly what a contract says, all at once.

    Raises:
        DataError: if an input is missing, unknown, or of another dtype or shape.
    """
    wanted = {row.name: row for row in contract.inputs}
    problems = [f"input '{name}' is missing" for name in wanted if name not in inputs]
    problems += [f"there is no input '{name}'" for name in inputs if name not in wanted]
    for name, row in wanted.items():
        array = inputs.get(name)
        if array is not None and (array.dtype.name, array.shape) != (row.dtype, row.shape):
            problems.append(
                f"input '{name}' is {array.dtype.name} {list(array.shape)}, "
                f"it must be {row.dtype} {list(row.shape)}"
            )
    if problems:
        takes = ", ".join(f"'{row.name}' {row.dtype} {list(row.shape)}" for row in contract.inputs)
        raise DataError("; ".join(problems), hint=f"the network takes {takes}")


class Typed(Protocol):
    """What an array must be: a tensor of a program, as the compiler or the engine describes it."""

    @property
    def name(self) -> str:
        """The tensor's name."""

    @property
    def dtype(self) -> str:
        """The type of its elements."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its physical shape."""


def check_arrays(rows: Sequence[Typed], arrays: Sequence[np.ndarray], where: str = "") -> None:
    """Refuse arrays that are not exactly the inputs of a program, in its order.

    Args:
        rows: The input tensors.
        arrays: Given for them.
        where: The program, for messages.

    Raises:
        DataError: if there are more or fewer, or one is of another dtype or shape.
    """
    if len(arrays) != len(rows):
        raise DataError(
            f"{len(arrays)} arrays were given for {len(rows)} inputs",
            where=where,
            hint="give one array an input, in the contract's order",
        )
    for row, array in zip(rows, arrays, strict=True):
        if array.dtype.name != row.dtype or array.shape != row.shape:
            raise DataError(
                f"got {array.dtype.name} {array.shape}, need {row.dtype} {row.shape}",
                where=f"input '{row.name}'",
                hint="see `bittrue check` for what the buffer should be",
            )


def check_taps(taps: Sequence[str], known: Mapping[str, object]) -> None:
    """Refuse taps that are no values of the network.

    Raises:
        UsageError: if any is unknown; all are listed.
    """
    unknown = [name for name in taps if name not in known]
    if unknown:
        raise UsageError(
            f"the network has no value {', '.join(map(repr, unknown))}",
            hint=did_you_mean(unknown[0], list(known)),
        )


def result_of(
    arrays: Mapping[str, np.ndarray], outputs: Sequence[str], taps: Sequence[str]
) -> RunResult:
    """Return the outputs and taps among arrays by name."""
    return RunResult(
        {name: arrays[name] for name in outputs}, {name: arrays[name] for name in taps}
    )
