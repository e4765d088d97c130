"""Every error that bittrue raises on purpose, and the exit code each one ends a command with.

    Error                    message, where, hint, exit_code
    +-- UsageError           an option or a setting is wrong                    exit 2
    +-- ModelError           the model or a file is wrong                       exit 3
    |   +-- FormatError      a file breaks its format; has path and offset      exit 3
    |   +-- UnsupportedError right, but not handled; lists every such node      exit 4
    +-- DataError            inputs, calibration data, buffers                  exit 5
    +-- DeviceError          a device cannot be reached or answers wrongly      exit 6
    InternalError            a promise of ours is broken: a bug in bittrue      exit 70

A mismatch between two stages is a result (exit 1), never an error. Being unable to compare is one.
"""

from __future__ import annotations

from dataclasses import dataclass


class Error(Exception):
    """What went wrong, where, and what to do next.

    Args:
        message: One sentence with the offending value in it.
        where: The file, node, tensor or option concerned; empty when the message names it.
        hint: What the user can do next, as an instruction; empty only when nothing can be done.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        """Keep the three parts apart, so that a renderer can lay them out."""
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """The three parts on up to two lines."""
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n  next: {self.hint}" if self.hint else head


class UsageError(Error):
    """An option or a setting has a value that it cannot have."""

    exit_code = 2


class ModelError(Error):
    """A model or a file is not what it should be."""

    exit_code = 3


class FormatError(ModelError):
    """A file breaks the rules of its format.

    Args:
        message: The rule that is broken, with both values.
        path: The file.
        offset: The byte at which it is broken, where one byte can be named.
        hint: What to do next.
    """

    def __init__(
        self, message: str, *, path: str = "", offset: int | None = None, hint: str = ""
    ) -> None:
        """Name the byte in `where`, so that every renderer shows it."""
        at = "" if offset is None else f" at byte {offset}"
        if len(message) > MOST_MESSAGE:
            message = f"{message[:MOST_MESSAGE]} ..."
        super().__init__(message, where=f"{path}{at}".strip(), hint=hint)
        self.path = path
        self.offset = offset


#: Characters of a FormatError: a damaged file's own text may be in it, and as long as the file.
MOST_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class UnsupportedNode:
    """One node that cannot be handled, why, and where the graph could be cut before it."""

    node: str
    op: str
    reason: str
    cut_at: tuple[str, ...] = ()


class UnsupportedError(ModelError):
    """The model is valid, but parts of it are not handled; all of them are listed at once."""

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        nodes: tuple[UnsupportedNode, ...] = (),
        where: str = "",
        hint: str = "",
    ) -> None:
        """List the nodes below the message, one a line."""
        lines = [message]
        for item in nodes:
            lines.append(f"  {item.op} '{item.node}': {item.reason}")
            if item.cut_at:
                lines.append(f"    the graph could end at: {', '.join(item.cut_at)}")
        super().__init__("\n".join(lines), where=where, hint=hint)
        self.nodes = nodes


class DataError(Error):
    """An input, a buffer or calibration data does not fit what it is used for."""

    exit_code = 5


class DeviceError(Error):
    """A device cannot be reached, or answers what it should not."""

    exit_code = 6


class InternalError(Exception):
    """A promise that bittrue makes to itself is broken: a bug, never the user's mistake."""

    exit_code = 70
