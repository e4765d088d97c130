"""META, the JSON section of a .bte file: what people and reports read, never the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bittrue.compiler.program import Instruction, Program
from bittrue.contract.tensor import Contract, contract_from_json, contract_to_json
from bittrue.errors import FormatError, InternalError
from bittrue.json_values import as_list, as_object, as_text, as_whole

_KEYS = ("name", "contract", "tensors", "instructions", "preprocess", "provenance")
_TEXT_MAX = 2**16
_AGAIN = "compile the network again"


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """What META says of one tensor; see `bittrue.compiler.program.Tensor`."""

    perm: tuple[int, ...]
    origin: tuple[str, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class InstructionMeta:
    """What META says of one instruction."""

    name: str
    origin: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meta:
    """The whole section."""

    name: str
    contract: Contract
    tensors: tuple[TensorMeta, ...]
    instructions: tuple[InstructionMeta, ...]
    preprocess: Mapping[str, Mapping[str, object]]
    provenance: Mapping[str, object]


def meta_to_bytes(program: Program) -> bytes:
    """Return META of a program: UTF-8, keys sorted, so that equal programs give equal bytes."""
    data = {
        "name": program.name,
        "contract": contract_to_json(program.contract),
        "tensors": [
            {"perm": list(row.perm), "origin": list(row.origin), "scale": list(row.scale)}
            for row in program.tensors
        ],
        "instructions": [_instruction_json(step) for step in program.instructions],
        "preprocess": {name: dict(value) for name, value in program.preprocess.items()},
        "provenance": dict(program.provenance),
    }
    text = json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def _instruction_json(step: Instruction) -> dict[str, object]:
    return {"name": step.name, "origin": list(step.origin)}


def meta_from_bytes(
    data: bytes, tensors: int, instructions: int, *, path: str, offset: int
) -> Meta:
    """Return META of a file.

    Args:
        data: The section's bytes.
        tensors: How many tensors the header promises.
        instructions: How many instructions.
        path: For messages.
        offset: Where the section starts, for messages.

    Raises:
        FormatError: if it is no JSON of the stated form.
    """
    try:
        return _read(json.loads(data.decode(), parse_constant=_refuse), tensors, instructions)
    except FormatError as why:
        raise FormatError(f"META: {why.message}", path=path, offset=offset, hint=_AGAIN) from why
    except (ValueError, TypeError, KeyError, RecursionError, InternalError, OverflowError) as why:
        raise FormatError(
            f"META cannot be read: {why or type(why).__name__}",
            path=path,
            offset=offset,
            hint=_AGAIN,
        ) from why


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _read(data: object, tensors: int, instructions: int) -> Meta:
    whole = _fields(data, "META", _KEYS)
    contract = _fields(whole["contract"], "contract", ("inputs", "outputs"))
    for row in (*as_list(contract["inputs"], "inputs"), *as_list(contract["outputs"], "outputs")):
        _contract_row(row)
    preprocess = as_object(whole["preprocess"], "preprocess")
    steps = _counted(whole["instructions"], "instructions", instructions)
    return Meta(
        _text(whole["name"], "name"),
        contract_from_json(contract),
        tuple(_tensor(row) for row in _counted(whole["tensors"], "tensors", tensors)),
        tuple(_instruction(row) for row in steps),
        {name: as_object(row, f"preprocess of {name!r}") for name, row in preprocess.items()},
        as_object(whole["provenance"], "provenance"),
    )


def _contract_row(row: object) -> None:
    """Check the types that `contract_from_json` leaves to its caller."""
    fields = as_object(row, "contract of a tensor")
    for name in ("name", "dtype", "layout", "colour", "holds"):
        _text(fields[name], name)
    as_whole(fields["zero_point"], "zero_point")
    limits = fields["value_range"]
    numbers = as_list(limits, "value_range") if limits is not None else []
    if fields["scale"] is not None:
        numbers = [*numbers, fields["scale"]]
    for number in numbers:
        _number(number)


def _tensor(row: object) -> TensorMeta:
    fields = _fields(row, "tensor", ("perm", "origin", "scale"))
    return TensorMeta(
        tuple(as_whole(axis, "perm") for axis in as_list(fields["perm"], "perm")),
        _texts(fields["origin"]),
        tuple(_number(scale) for scale in as_list(fields["scale"], "scale")),
    )


def _instruction(row: object) -> InstructionMeta:
    fields = _fields(row, "instruction", ("name", "origin"))
    return InstructionMeta(_text(fields["name"], "name"), _texts(fields["origin"]))


def _fields(data: object, what: str, keys: tuple[str, ...]) -> dict[str, object]:
    found = as_object(data, what)
    if set(found) != set(keys):
        raise ValueError(f"{what} has the keys {sorted(found)}, not {sorted(keys)}")
    return found


def _counted(data: object, what: str, count: int) -> list[object]:
    found = as_list(data, what)
    if len(found) != count:
        raise ValueError(f"{what} has {len(found)} entries, the header says {count}")
    return found


def _text(data: object, what: str) -> str:
    text = as_text(data, what)
    if len(text) > _TEXT_MAX:
        raise ValueError(f"{what} has {len(text)} characters, at most {_TEXT_MAX}")
    text.encode()  # Lone surrogates have no UTF-8 and could not be written again.
    return text


def _texts(data: object) -> tuple[str, ...]:
    return tuple(_text(item, "origin") for item in as_list(data, "origin"))


def _number(data: object) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise ValueError(f"{data!r} is no number")
    if not abs(float(data)) < float("inf"):
        raise ValueError(f"{data!r} is not finite")
    return float(data)
