"""The conversion of one node of the source.

A converter works on one `Step`: it emits canonical nodes, whose results are computed at once where
everything that they read is constant, and returns one value for each output of the source's node.
Those values then get the source's tensor names; what already had a name becomes an alias.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bittrue.dtypes import nbytes
from bittrue.errors import ModelError
from bittrue.graph.model import Node, Shape, Value
from bittrue.graph.ops import complete_attrs
from bittrue.graph.reference import run_node
from bittrue.graph.shapes import infer_values
from bittrue.importers.onnx_build import Builder
from bittrue.importers.onnx_source import SourceNode

#: No tensor of a network that an engine could run is longer; folding stops here, too.
TENSOR_BYTES_MAX = 2**31


class NotHandledError(Exception):
    """A converter met something that is right but not handled; the text says what."""


@dataclass(slots=True)
class Step:
    """The conversion of one node of the source: what it reads, and what has been emitted for it.

    Args:
        builder: The graph so far.
        node: The source's node.
        opset: Version of the operator set that the node is written in.
        run: Converts other nodes in its place, and returns why they cannot be; empty when done.
    """

    builder: Builder
    node: SourceNode
    opset: int
    run: Callable[[Sequence[SourceNode]], str]
    emitted: list[Node] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    # --- what the node reads ---

    def has(self, index: int) -> bool:
        """Return whether an optional input is given."""
        return index < len(self.node.inputs) and bool(self.node.inputs[index])

    def x(self, index: int = 0) -> str:
        """Return the value that an input is; empty for one that is left out."""
        return self.builder.find(self.node.inputs[index]) if self.has(index) else ""

    def value(self, name: str) -> Value:
        """Return a value that is there."""
        return self.builder.values[name]

    def shape(self, index: int = 0) -> Shape:
        """Return the shape of an input.

        Raises:
            ModelError: if it is left out.
        """
        if not self.has(index):
            raise self.wrong(f"input {index} is left out")
        return self.value(self.x(index)).shape

    def dtype(self, index: int = 0) -> str:
        """Return the type of an input."""
        self.shape(index)
        return self.value(self.x(index)).dtype

    def array(self, index: int, what: str) -> np.ndarray:
        """Return an input that must be constant.

        Args:
            index: Which input.
            what: What it stands for, for the message.

        Raises:
            NotHandledError: if it is computed while the network runs.
        """
        found = self.constant(self.x(index))
        if found is None:
            raise NotHandledError(f"{what} ('{self.x(index)}') is computed while the network runs")
        return found

    def constant(self, name: str) -> np.ndarray | None:
        """Return a value's array; None where the value is computed while the network runs."""
        return self.builder.constants.get(name)

    def are_constant(self, indices: Iterable[int]) -> bool:
        """Return whether some inputs are constant, or left out."""
        return all(
            not self.has(index) or self.x(index) in self.builder.constants for index in indices
        )

    def whole(self, index: int, what: str) -> tuple[int, ...]:
        """Return an input that must be a constant list of whole numbers."""
        array = self.array(index, what)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise self.wrong(f"{what} must be whole numbers, not {array.dtype} {array.shape}")
        return tuple(int(item) for item in array.reshape(-1))

    def listed(self, name: str, index: int, since: int) -> tuple[int, ...] | None:
        """Return a list that is an attribute before an opset and an optional input from it on.

        Args:
            name: The attribute.
            index: The input.
            since: The opset.

        Returns:
            The whole numbers; None where they are left out.
        """
        if self.opset < since:
            return self.integers(name)
        return self.whole(index, f"its {name}") if self.has(index) else None

    def wanted(self, index: int) -> bool:
        """Return whether anything reads an output of the node."""
        return index < len(self.node.outputs) and self.node.outputs[index] in self.builder.read

    # --- attributes ---

    def integer(self, name: str, default: int | None = None) -> int:
        """Return an attribute that is a whole number."""
        value = self.node.attrs.get(name, default)
        if not isinstance(value, int):
            raise self.wrong(f"attribute {name!r} must be a whole number, not {value!r}")
        return value

    def flag(self, name: str, default: int = 0) -> int:
        """Return an attribute that is yes or no, as 1 or 0."""
        return int(bool(self.integer(name, default)))

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is a number."""
        value = self.node.attrs.get(name, default)
        if not isinstance(value, int | float):
            raise self.wrong(f"attribute {name!r} must be a number, not {value!r}")
        return float(value)

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is a text."""
        value = self.node.attrs.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(f"attribute {name!r} must be a text, not {value!r}")
        return value

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute that is a list of whole numbers; None where it is not given."""
        value = self.node.attrs.get(name)
        if value is None:
            return None
        if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
            raise self.wrong(f"attribute {name!r} must be whole numbers, not {value!r}")
        return tuple(int(item) for item in value)

    def axis(self, default: int | None, rank: int, *, limit: int = 0) -> int:
        """Return the attribute `axis`, counted from the front; `limit` 1 allows rank itself."""
        return self.from_front(self.integer("axis", default), rank, limit=limit)

    def from_front(self, axis: int, rank: int, *, limit: int = 0) -> int:
        """Return an axis counted from the front."""
        if not -rank <= axis < rank + limit:
            raise self.wrong(f"axis {axis} is not an axis of a tensor of {rank}")
        return axis + rank if axis < 0 else axis

    def wrong(self, message: str) -> ModelError:
        """Return the error for a node that breaks ONNX's rules."""
        return ModelError(
            message,
            where=self.node.label,
            hint="the model is inconsistent at this node; check how it was exported",
        )

    # --- what comes of it ---

    def const(self, array: np.ndarray, label: str) -> str:
        """Add a constant that the source does not have, and return its name.

        Raises:
            ModelError: if all of them together have more than 2 GiB.
        """
        name = self._temporary(label)
        self._count(array.nbytes)
        self.builder.add_constant(name, array, ())
        return name

    def scalar(self, value: float) -> str:
        """Return a constant of one number in the first input's type."""
        return self.const(np.asarray(value, self.dtype()), "number")

    def emit(self, op: str, inputs: Sequence[str], attrs: Mapping[str, object]) -> str:
        """Add a canonical node with one output, or its result if all it reads is constant."""
        return self.emit_many(op, inputs, attrs, 1)[0]

    def emit_many(
        self, op: str, inputs: Sequence[str], attrs: Mapping[str, object], count: int
    ) -> tuple[str, ...]:
        """Add a canonical node with several outputs.

        Args:
            op: A name of `bittrue.graph.ops.OPS`.
            inputs: Values; trailing empty ones are dropped.
            attrs: Attributes, in the op table's form; those left out get their defaults.
            count: Number of outputs.

        Raises:
            ModelError: if the node does not fit its inputs, or a result is too long.
        """
        trimmed = list(inputs)
        while trimmed and not trimmed[-1]:
            trimmed.pop()
        node = Node(
            self.node.name,
            op,
            tuple(trimmed),
            tuple(self._temporary(op) for _ in range(count)),
            complete_attrs(op, attrs, where=self.node.label),
            (self.node.inside or self.node.name,),
        )
        results = infer_values(node, self.builder.values)
        for value in results:
            self.check_size(value.dtype, value.shape)
        if all(name in self.builder.constants for name in node.inputs if name):
            self._fold(node, results)
        else:
            self.emitted.append(node)
            self.builder.values.update({value.name: value for value in results})
        return node.outputs

    def check_size(self, dtype: str, shape: Shape) -> None:
        """Refuse a tensor that no engine could hold.

        Raises:
            ModelError: if it has more than 2 GiB.
        """
        if nbytes(dtype, shape) > TENSOR_BYTES_MAX:
            raise self.wrong(f"its result {dtype} {list(shape)} has more than 2 GiB")

    def commit(self, results: Sequence[str]) -> None:
        """Give the results the source's names, and move what was emitted into the graph."""
        names: dict[str, str] = {}
        same: dict[str, str] = {}
        for output, result in zip(self.node.outputs, results, strict=False):
            if output and result in self.made and result not in names:
                names[result] = output
            elif output:
                same[output] = result
        for old, new in names.items():
            self._promote(old, new)
        for output, result in same.items():
            inner = bool(self.node.inside)
            self.builder.alias(output, names.get(result, result), inner=inner)
        self._add_nodes(names)

    def _promote(self, old: str, new: str) -> None:
        builder = self.builder
        value = builder.values.pop(old)
        # Only tensors of the main graph can be asked for in the file.
        own = () if self.node.inside else (new,)
        builder.values[new] = replace(value, name=new, origin=(*own, *value.origin))
        if old in builder.constants:
            builder.constants[new] = builder.constants.pop(old)

    def _add_nodes(self, names: Mapping[str, str]) -> None:
        """The last node keeps the source's name; those before it get one that says what they do."""
        for index, node in enumerate(self.emitted):
            last = index == len(self.emitted) - 1
            label = node.name if last else self.builder.fresh(f"{node.name}/{node.op}")
            self.builder.nodes.append(
                replace(
                    node,
                    name=label,
                    inputs=tuple(names.get(name, name) for name in node.inputs),
                    outputs=tuple(names.get(name, name) for name in node.outputs),
                )
            )

    def _count(self, size: int) -> None:
        """Refuse a file that says little and makes much of it."""
        self.builder.folded += size
        if self.builder.folded > TENSOR_BYTES_MAX:
            raise self.wrong("the constants computed so far have more than 2 GiB")

    def _fold(self, node: Node, made: Sequence[Value]) -> None:
        arrays = [self.builder.constants[name] if name else None for name in node.inputs]
        self._count(sum(nbytes(value.dtype, value.shape) for value in made))
        with np.errstate(all="ignore"):
            results = run_node(node, arrays)
        for name, array in zip(node.outputs, results, strict=True):
            self.builder.add_constant(name, array, ())

    def _temporary(self, label: str) -> str:
        base = next((name for name in self.node.outputs if name), self.node.name)
        name = self.builder.fresh(f"{base}/{label}")
        self.made.append(name)
        return name


#: Emits the canonical nodes, and returns the values of the outputs.
Convert = Callable[[Step], Sequence[str]]
