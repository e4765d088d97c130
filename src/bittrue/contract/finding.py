"""What is wrong with a buffer: one finding a cause, with evidence and the line that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from bittrue.contract.causes import BY_ID, NO_CAUSE
from bittrue.contract.tensor import TensorContract
from bittrue.errors import DataError, InternalError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or looks wrong, with one buffer.

    Args:
        cause: An id of `bittrue.contract.causes.CAUSES`, for example "input.dtype".
        severity: "error": the buffer is refused; "warning": it is taken, but look.
        input: Name of the network's input; of the buffer, where the network has no such input.
        message: Bytes received and expected, what their ratio means, and the most likely reason.
        mend: One line of Python that mends it; `x` is the buffer. The lines of several findings
            about one input are run in their order.
        expected_bytes: Bytes of the contract; 0 where the network has no such input.
        received_bytes: Bytes of the buffer; 0 where there is none.
        other_causes: Less likely reasons, each "id: why", most likely first; NO_CAUSE for id where
            all may be well.

    Raises:
        InternalError: if an id is not in the table.
    """

    cause: str
    severity: str
    input: str
    message: str
    mend: str
    expected_bytes: int
    received_bytes: int
    other_causes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a misspelt id."""
        others = (row.partition(":")[0] for row in self.other_causes)
        strange = [name for name in (self.cause, *others) if name not in {*BY_ID, NO_CAUSE}]
        if strange:
            raise InternalError(f"{', '.join(strange)} is no row of the table of causes")

    def __str__(self) -> str:
        """The whole finding on several lines, as `raise_on_error` shows it."""
        lines = [f"{self.severity} {self.cause}, input {self.input!r}: {self.message}"]
        lines += [f"  or {other}" for other in self.other_causes]
        return "\n".join([*lines, f"  mend: {self.mend}"])


def raise_on_error(findings: Sequence[Finding]) -> None:
    """Raise one DataError with all findings if any of them is an error; warnings alone pass.

    Raises:
        DataError: whose text holds every finding, errors and warnings, in their order.
    """
    errors = sum(finding.severity == "error" for finding in findings)
    if not errors:
        return
    count = "1 error" if errors == 1 else f"{errors} errors"
    raise DataError(
        "\n".join([f"the buffers do not fit the network: {count}", *map(str, findings)]),
        hint="run the lines after 'mend' in their order, x being that input's array, and try again",
    )


@dataclass(frozen=True, slots=True)
class Buffer:
    """A buffer that is being checked: what it should be, and what it is.

    Args:
        contract: What it should be.
        array: As it was given (bytes as flat uint8).
        is_bytes: Whether it was given as bytes, not as an array.
    """

    contract: TensorContract
    array: np.ndarray
    is_bytes: bool = False

    def finding(self, cause: str, severity: str, message: str, mend: str, *others: str) -> Finding:
        """Return a finding about this buffer."""
        expected, received = self.contract.nbytes, int(self.array.nbytes)
        return Finding(
            cause, severity, self.contract.name, message, mend, expected, received, others
        )

    def sizes(self) -> str:
        """Bytes received and expected, how many times as many, and what makes up that factor."""
        expected, received = self.contract.nbytes, int(self.array.nbytes)
        if received == expected:
            return f"{received:,} bytes received, as expected"
        head = f"{received:,} bytes received, {expected:,} expected"
        if not expected or not received:
            return head
        parts = self._factors(Fraction(received, expected))
        return f"{head}: {_times(Fraction(received, expected))}{parts}"

    def _factors(self, ratio: Fraction) -> str:
        """Explain the ratio of bytes by the element's size and the number of elements."""
        wanted = np.dtype(self.contract.dtype)
        item = Fraction(self.array.dtype.itemsize, wanted.itemsize)
        if self.array.ndim == 1 < len(self.contract.shape):
            return " as many"
        if item == 1:
            return " as many elements"
        size = self.array.dtype.itemsize
        element = (
            f"{size} byte{'s' if size > 1 else ''} an element ({self.array.dtype.name}) "
            f"in place of {wanted.itemsize} ({wanted.name})"
        )
        if ratio == item:
            return f" as many, {element}"
        return f" as many, {element} and {_times(ratio / item)} as many elements"


def _times(ratio: Fraction) -> str:
    plain = ratio.denominator <= 16 and (ratio.denominator == 1 or ratio.numerator <= 16)
    number = str(ratio) if plain else f"{float(ratio):.4g}"
    return number if ratio < 1 else f"{number} times"


def numpy_name(dtype: str) -> str:
    """Return how a line of Python names an element type: "np.uint8", "np.bool_"."""
    return "np.bool_" if dtype == "bool" else f"np.{dtype}"
