"""Run an executable on the device: NumPy and the engine, nothing else.

>>> session = Session("model.bte")                                   # doctest: +SKIP
>>> session.run(picture)                                             # doctest: +SKIP
{'logits': array([[...]], dtype=float32)}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from bittrue.compiler.fileformat import from_bytes
from bittrue.compiler.program import Program
from bittrue.contract.tensor import Contract
from bittrue.engines.native import Engine
from bittrue.engines.program_runner import ProgramRunner
from bittrue.files import read_bytes
from bittrue.inputs import accept


class Session:
    """An executable, ready to run.

    Args:
        model: Path of a .bte file, or its bytes.
        isa: Instruction set, a word of `bittrue.settings.ISAS`; "auto" takes the best one that
            this CPU has. The outputs are the same bits with each.
        threads: How many compute; 0 means one a core. The outputs are the same bits with any.

    Raises:
        FormatError: if the file is damaged or not an executable.
        DataError: if it cannot be read.
        UsageError: if this CPU does not have the instruction set.
    """

    def __init__(self, model: str | Path | bytes, *, isa: str = "auto", threads: int = 0) -> None:
        path = "" if isinstance(model, bytes) else str(model)
        data = model if isinstance(model, bytes) else read_bytes(model)
        self.program: Program = from_bytes(data, path=path)
        self._engine = Engine(data, isa=isa, threads=threads)
        self._runner = ProgramRunner(self.program, self._engine)

    @property
    def contract(self) -> Contract:
        """What the input buffers must be, and what the output buffers are."""
        return self.program.contract

    def run(
        self, x: np.ndarray | Mapping[str, np.ndarray], *, codes: bool = False
    ) -> dict[str, np.ndarray]:
        """Check the buffers, run once, and return the outputs by name.

        An array of the contract's own dtype goes in as it is. A float array given to an input
        with a scale is quantised by ``clip(rint(fl(x / scale)) + zero_point, 0, 255)`` with the
        input's scale and zero point. Nothing else is converted, and nothing is guessed: floats
        that do not fit the input's range are refused. What only looks wrong, such as a black
        picture, is logged as a warning.

        Args:
            x: The only input, or one array for each input by name.
            codes: Return integer outputs as stored; by default they become real values,
                ``(code - zero_point) * scale`` in float32.

        Returns:
            For each output its array in the contract's shape.

        Raises:
            DataError: if a buffer does not fit; the message says why, and how to mend it.
        """
        return dict(self._runner.run(accept(self.contract, x), codes=codes).outputs)

    def close(self) -> None:
        """Free the engine's memory; the session cannot run afterwards."""
        self._engine.close()

    def __enter__(self) -> Session:
        """Return the session itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session."""
        self.close()
