"""Sequences of tensors, which a Graph does not have: each is only known by its members here.

PyTorch's newer exporter writes `split` and `chunk` as SplitToSequence and SequenceAt. A sequence
whose members are known while importing leaves no trace: who reads a member reads its tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bittrue.importers.onnx_step import NotHandledError, Step

#: Operators that may read a sequence.
READERS = ("SequenceAt", "SequenceLength", "ConcatFromSequence")


def split_to_sequence(step: Step) -> Sequence[str]:
    """SplitToSequence: by a part's size, by all sizes, or into single slices."""
    shape = step.shape()
    axis = step.axis(0, len(shape))
    if any(size < 1 for size in shape):
        raise NotHandledError("it splits a tensor without elements")
    sizes = _sizes(step, shape[axis])
    attrs = {"axis": axis, "split": sizes}
    parts = step.emit_many("Split", [step.x()], attrs, len(sizes))
    if not step.has(1) and not step.integer("keepdims", 1):
        thin = shape[:axis] + shape[axis + 1 :]
        parts = tuple(step.emit("Reshape", [part], {"shape": thin}) for part in parts)
    return _sequence(step, parts)


def _sizes(step: Step, length: int) -> tuple[int, ...]:
    if not step.has(1):
        return (1,) * length
    given = step.whole(1, "its split")
    if step.array(1, "its split").ndim == 0:
        (part,) = given
        if part < 1:
            raise step.wrong(f"a part has the size {part}")
        given = tuple(min(part, length - start) for start in range(0, length, part))
    if sum(given) != length or min(given, default=0) < 0:
        raise step.wrong(f"split {given} does not fit an axis of {length}")
    return given


def construct(step: Step) -> Sequence[str]:
    """SequenceConstruct."""
    return _sequence(step, tuple(step.x(index) for index in range(len(step.node.inputs))))


def _sequence(step: Step, members: tuple[str, ...]) -> Sequence[str]:
    step.builder.sequences[step.node.outputs[0]] = members
    return []


def members(step: Step) -> tuple[str, ...]:
    """Return the tensors of the sequence that a node reads first.

    Raises:
        NotHandledError: if it is no sequence that is known while importing.
    """
    found = step.builder.sequences.get(step.x())
    if found is None:
        raise NotHandledError("its members are only known while the network runs")
    return found


def at(step: Step) -> Sequence[str]:
    """SequenceAt: the member itself."""
    found = members(step)
    (index,) = step.whole(1, "its position")
    if not -len(found) <= index < len(found):
        raise step.wrong(f"position {index} is not in a sequence of {len(found)}")
    member = found[index]
    if step.value(member).origin or step.constant(member) is not None:
        return [member]
    # A part that has no name yet takes this one: it is the tensor that people know.
    step.builder.rename(member, step.node.outputs[0])
    return [step.node.outputs[0]]


def length(step: Step) -> Sequence[str]:
    """SequenceLength: a constant."""
    return [step.const(np.asarray(len(members(step)), np.int64), "SequenceLength")]


def concat(step: Step) -> Sequence[str]:
    """ConcatFromSequence, along an axis of the members or along a new one."""
    found = members(step)
    if not found:
        raise step.wrong("the sequence is empty")
    shapes = [step.value(name).shape for name in found]
    if not step.integer("new_axis", 0):
        axis = step.axis(None, len(shapes[0]))
        return [step.emit("Concat", list(found), {"axis": axis})]
    axis = step.axis(None, len(shapes[0]) + 1)
    thick = [
        step.emit("Reshape", [name], {"shape": (*shape[:axis], 1, *shape[axis:])})
        for name, shape in zip(found, shapes, strict=True)
    ]
    return [step.emit("Concat", thick, {"axis": axis})]
