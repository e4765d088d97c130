"""A compiled program behind the names of its contract: `bit_true` and `compiled` alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from bittrue import arith
from bittrue.compiler.program import Program, Tensor
from bittrue.engines.runner import RunResult, check_inputs
from bittrue.errors import UsageError
from bittrue.suggest import did_you_mean


class Machine(Protocol):
    """What runs a program: the emulator, or the engine."""

    def run(
        self, inputs: Sequence[np.ndarray], taps: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], dict[int, np.ndarray]]:
        """Return the outputs and the tapped tensors, physical shapes."""


class ProgramRunner:
    """Runs a program by names, in real values or in codes.

    Args:
        program: What `machine` runs.
        machine: An `Emulator` or an `Engine` of the same program.
    """

    def __init__(self, program: Program, machine: Machine) -> None:
        self.program = program
        self.machine = machine
        self.contract = program.contract
        self._index = {row.name: index for index, row in enumerate(program.tensors)}

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that can be tapped: all but the constants."""
        return tuple(self.program.tensors[index] for index in self.program.computed)

    def run(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
    ) -> RunResult:
        """Run once.

        Args:
            inputs: By name: exactly the contract's dtype and shape.
            taps: Names of tensors to return as they were when last written.
            codes: Return integers as stored, instead of the real values that they stand for.

        Raises:
            DataError: if an input does not fit.
            UsageError: if a tap's name is unknown.
        """
        check_inputs(self.contract, inputs)
        outputs, tapped = self.machine.run(
            [inputs[row.name] for row in self.contract.inputs], [self._find(name) for name in taps]
        )
        tensors = self.program.tensors
        return RunResult(
            outputs={
                row.name: _value(tensors[index], array, codes)
                for row, index, array in zip(
                    self.contract.outputs, self.program.outputs, outputs, strict=True
                )
            },
            taps={
                name: _value(tensors[self._find(name)], tapped[self._find(name)], codes)
                for name in taps
            },
        )

    def _find(self, name: str) -> int:
        index = self._index.get(name)
        if index is None:
            raise UsageError(
                f"the program has no tensor {name!r}",
                hint=did_you_mean(name, [row.name for row in self.tensors]),
            )
        return index


def _value(row: Tensor, array: np.ndarray, codes: bool) -> np.ndarray:
    """Return a tensor in logical order, as codes or as real values."""
    logical, held = np.ascontiguousarray(row.to_logical(array)), row.qparams
    if codes or held is None:
        return logical
    return arith.dequantize(logical, held.along(logical.ndim), held.zero_point)
