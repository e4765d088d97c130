"""Runner of a PyTorch network in eager mode: what the weights' owner sees, before any export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bittrue.contract.tensor import Contract
from bittrue.engines.runner import RunResult, check_inputs, check_taps, result_of
from bittrue.errors import DataError, ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


class TorchRunner:
    """Runs a PyTorch module as it is, layer by layer in Python, without gradients.

    Args:
        module: As `bittrue.importers.torch.load_network` returns it; it is put into evaluation
            mode.
        contract: What it takes and gives, in the order of forward's arguments and results: that
            of the stage `source` of the network that was imported from the same module.
    """

    def __init__(self, module: Module, contract: Contract) -> None:
        self._module = module.eval()
        self.contract = contract

    def run(
        self, inputs: Mapping[str, np.ndarray], taps: Sequence[str] = (), *, codes: bool = False
    ) -> RunResult:
        """Return the outputs; see `Runner.run`. Only inputs and outputs can be tapped.

        Raises:
            DataError: if an input does not fit, or the module fails on it.
            ModelError: if the module gives something else than the contract says.
            UsageError: if a tap is neither an input nor an output.
        """
        check_inputs(self.contract, inputs)
        names = [row.name for row in self.contract.outputs]
        check_taps(taps, dict.fromkeys([*inputs, *names]))
        outputs = self._checked(self._forward(inputs))
        return result_of({**inputs, **outputs}, names, taps)

    def _forward(self, inputs: Mapping[str, np.ndarray]) -> list[Tensor]:
        import torch

        # Copied: forward may write into its argument, and the caller's array may be read-only.
        given = [torch.tensor(inputs[row.name]) for row in self.contract.inputs]
        try:
            with torch.no_grad():
                found = self._module(*given)
        except Exception as why:  # the user's code may raise anything
            raise DataError(
                f"PyTorch cannot run the network on these inputs: {type(why).__name__}: {why}",
                hint="check the inputs, and that the module is the one that was imported",
            ) from why
        return list(found) if isinstance(found, tuple | list) else [found]

    def _checked(self, found: Sequence[Tensor]) -> dict[str, np.ndarray]:
        """Return the results by name, floats as float32, if they are what the contract says."""
        import torch

        tensors = [row for row in found if isinstance(row, torch.Tensor)]
        given = [f"{str(row.dtype).removeprefix('torch.')} {list(row.shape)}" for row in tensors]
        arrays = [(row.float() if row.is_floating_point() else row).numpy() for row in tensors]
        rows = self.contract.outputs
        shapes = [(array.dtype.name, array.shape) for array in arrays]
        if len(tensors) != len(found) or shapes != [(row.dtype, row.shape) for row in rows]:
            wanted = ", ".join(f"'{row.name}' {row.dtype} {list(row.shape)}" for row in rows)
            raise ModelError(
                f"the module gives {', '.join(given) or 'no tensor'}, it must give {wanted}",
                hint="give the module that the network was imported from",
            )
        return {row.name: array for row, array in zip(rows, arrays, strict=True)}
