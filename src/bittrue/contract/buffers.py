"""Check buffers against a network's contract before anything runs.

    findings = check_buffers(contract, {"images": x})
    raise_on_error(findings)

What is decided here: names, element types, shapes, bytes, order in memory, NaN, and the range of
values. What a picture shows (colours swapped, stretched, mirrored) takes an experiment, not a look.

The rules in short:

- A buffer has the contract's shape; a missing batch axis is an error, mended by ``x = x[None]``.
- Integers have the contract's element type. Floats are taken by an input that has a scale and are
  quantised by ``clip(rint(fl(x / scale)) + zero_point)``, if their range fits; a float input takes
  its own type only.
- Dark pictures are legal: whatever only looks wrong is a warning, never an error.
- An error is never decided from a sample, and neither is the absence of NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bittrue.contract.buffer_shape import check_shape
from bittrue.contract.buffer_values import check_values
from bittrue.contract.finding import Buffer, Finding, raise_on_error
from bittrue.contract.tensor import Contract, TensorContract
from bittrue.suggest import did_you_mean

__all__ = ["Finding", "check_buffers", "raise_on_error"]

Given = np.ndarray | bytes | bytearray | memoryview


def check_buffers(contract: Contract, buffers: Mapping[str, Given] | Given) -> tuple[Finding, ...]:
    """Return everything that is wrong, or looks wrong, with the input buffers; nothing runs.

    Args:
        contract: Of the stage or executable that is to run.
        buffers: By input name; or one array, where the network has one input. Bytes are taken as a
            flat buffer of uint8.

    Returns:
        Findings by input, in the contract's order, then those of buffers that have no input; empty
        if all is well.
    """
    if not isinstance(buffers, Mapping):
        if len(contract.inputs) != 1:
            return _one_for_many(contract, buffers)
        buffers = {contract.inputs[0].name: buffers}
    known = [row.name for row in contract.inputs]
    missing = [name for name in known if name not in buffers]
    unknown = [name for name in buffers if name not in known]
    # One name too few and one too many: the buffer has the wrong name, and is checked all the same.
    renamed = dict(zip(missing, unknown, strict=True)) if len(missing) == len(unknown) == 1 else {}
    findings: list[Finding] = []
    for row in contract.inputs:
        if row.name in buffers:
            findings += _check_one(row, buffers[row.name])
        elif row.name in renamed:
            name = renamed[row.name]
            findings += [_misnamed(row, name, buffers[name]), *_check_one(row, buffers[name])]
        else:
            findings.append(_missing(row, unknown))
    strangers = [name for name in unknown if name not in renamed.values()]
    findings += [_unknown(name, buffers[name], known) for name in strangers]
    return tuple(findings)


def _check_one(row: TensorContract, given: object) -> list[Finding]:
    """Return the findings about one buffer, in the order in which their lines are to be run."""
    if not isinstance(given, np.ndarray | bytes | bytearray | memoryview):
        return [_no_array(row, given)]
    if isinstance(given, np.ndarray):
        buffer = Buffer(row, given)
    else:
        buffer = Buffer(row, np.frombuffer(given, np.uint8), is_bytes=True)
    done = check_shape(buffer)
    values = buffer.array if done.array is None else done.array
    findings = [*done.findings, *check_values(buffer, values, shaped=done.array is not None)]
    if not buffer.array.flags.c_contiguous and not done.copied:
        findings.append(_noncontiguous(buffer))
    return findings


def _noncontiguous(buffer: Buffer) -> Finding:
    """The array shows another order than its memory has; NumPy copies, so this only warns."""
    return buffer.finding(
        "input.noncontiguous",
        "warning",
        f"strides {list(buffer.array.strides)} are not those of shape {list(buffer.array.shape)}: "
        "the values are right in NumPy, but a runtime that reads the memory as it lies gets them "
        "in another order",
        "x = np.ascontiguousarray(x)",
        "input.layout: a transposed or reversed view that was meant to be a copy",
    )


def _no_array(row: TensorContract, given: object) -> Finding:
    return Finding(
        "input.dtype",
        "error",
        row.name,
        f"a {type(given).__name__} is no buffer; {_expected(row)}",
        "x = np.asarray(x)",
        row.nbytes,
        0,
    )


# --- names -----------------------------------------------------------------------------------


def _one_for_many(contract: Contract, given: Given) -> tuple[Finding, ...]:
    names = [row.name for row in contract.inputs]
    shown = ", ".join(repr(name) for name in names) or "none"
    lines = ", ".join(f"{name!r}: x{index}" for index, name in enumerate(names))
    return (
        Finding(
            "input.name",
            "error",
            names[0] if names else "",
            f"one buffer was given, but the network has {len(names)} inputs: {shown}",
            f"buffers = {{{lines}}}",
            sum(row.nbytes for row in contract.inputs),
            _bytes_of(given),
        ),
    )


def _misnamed(row: TensorContract, name: str, given: object) -> Finding:
    return Finding(
        "input.name",
        "error",
        row.name,
        f"no buffer has this name, but there is one named {name!r}, which no input has",
        f"buffers[{row.name!r}] = buffers.pop({name!r})",
        row.nbytes,
        _bytes_of(given),
    )


def _missing(row: TensorContract, unknown: list[str]) -> Finding:
    close = f"; {did_you_mean(row.name, unknown)}" if unknown else ""
    message = f"no buffer was given; {_expected(row)}{close}"
    line = f"buffers[{row.name!r}] = x"
    return Finding("input.name", "error", row.name, message, line, row.nbytes, 0)


def _unknown(name: str, given: object, known: list[str]) -> Finding:
    shown = ", ".join(repr(one) for one in known) or "none"
    message = f"the network has no input of this name; its inputs are {shown}"
    if len(known) > 1:
        message += f"; {did_you_mean(name, known)}"
    line = f"del buffers[{name!r}]"
    return Finding("input.name", "error", name, message, line, 0, _bytes_of(given))


def _expected(row: TensorContract) -> str:
    return f"{row.dtype} {list(row.shape)}, {row.nbytes:,} bytes are expected"


def _bytes_of(given: object) -> int:
    if isinstance(given, np.ndarray | memoryview):
        return int(given.nbytes)
    return len(given) if isinstance(given, bytes | bytearray) else 0
