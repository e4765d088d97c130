"""What a diagnosis is given, brought together: one Frame a picture, one Scene for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bittrue.contract.preprocess import Preprocess
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.diagnosis.door import Door
from bittrue.stages import Subject

Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Frame:
    """One input, and what came of it.

    Args:
        name: To show.
        picture: Where the pixels come from; None where an array was given.
        inputs: What the network is meant to get, by input name, as its stage `source` takes it.
        pixels: The intended raw pixels, uint8 [1, H, W, C]; None where there are none.
        sent: The array that was sent to the device; None where nobody said.
        device: What the device gave, by its own names; empty where nobody ran it.
        reference: What it should have given; empty where only the network can say.
    """

    name: str
    picture: Path | None
    inputs: Mapping[str, np.ndarray]
    pixels: NDArray[np.uint8] | None
    sent: np.ndarray | None
    device: Mapping[str, np.ndarray]
    reference: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that was given.

    Args:
        subject: The network; None where there is only what both sides gave.
        target: Name of the picture input.
        preprocess: Of the picture input; None where it takes no picture, or nobody said.
        doors: What the deployed network may take; one where its contract was given.
        contract: Of the deployed network; None where it was not given.
        frames: At least one.
    """

    subject: Subject | None
    target: str
    preprocess: Preprocess | None
    doors: tuple[Door, ...]
    contract: Contract | None
    frames: tuple[Frame, ...]

    @property
    def deployed_outputs(self) -> Mapping[str, TensorContract]:
        """The deployed contract of each output, by name; our own executable's where none is given.

        An only output is itself, whatever the contract calls it.
        """
        if self.contract is not None and self.contract.outputs:
            rows = self.contract.outputs
        elif self.subject is not None and self.subject.executable is not None:
            rows = self.subject.program().contract.outputs
        else:
            return {}
        found = {row.name: row for row in rows}
        if len(rows) == 1:
            found[""] = rows[0]
        return found
