"""Einsum, written out: each pair of factors is one product of matrices between transposes.

Every factor gets its axes in the order batch (in both factors and in what is wanted), rows (in one
only), sums (in both, but not wanted): [batch, rows, sums] x [batch, sums, columns].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from bittrue.importers.onnx_step import NotHandledError, Step


@dataclass(frozen=True, slots=True)
class Factor:
    """A tensor whose axes have labels, each only once."""

    value: str
    labels: tuple[str, ...]


def einsum(step: Step) -> Sequence[str]:
    """Einsum of any number of factors, from left to right."""
    terms, result = _labels(step)
    _check_sizes(step, terms)
    factors = [_diagonal(step, step.x(index), term) for index, term in enumerate(terms)]
    total = factors[0]
    for index, factor in enumerate(factors[1:], 1):
        wanted = set(result).union(*(set(term) for term in terms[index + 1 :]))
        total = _product(step, total, factor, wanted)
    total = _summed(step, total, set(result))
    return [_ordered(step, total, result).value]


# --- the equation ----------------------------------------------------------------------------


def _labels(step: Step) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the labels of each factor's axes and of the result's; "..." becomes "0", "1", ..."""
    text = step.text("equation", "").replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(step.node.inputs):
        raise step.wrong(f"equation {text!r} does not fit {len(step.node.inputs)} inputs")
    ranks = [len(step.shape(index)) for index in range(len(parts))]
    spare = [
        rank - len(part.replace("...", "")) if "..." in part else 0
        for part, rank in zip(parts, ranks, strict=True)
    ]
    most = max(spare)
    dots = [str(axis) for axis in range(most)]
    terms = [_spelt(part, dots[most - n :]) for part, n in zip(parts, spare, strict=True)]
    if any(len(term) != rank for term, rank in zip(terms, ranks, strict=True)):
        raise step.wrong(f"equation {text!r} does not fit input shapes of {ranks} axes")
    once = [label for term in terms for label in term if label.isalpha()]
    implied = (*dots, *sorted(label for label in set(once) if once.count(label) == 1))
    result = _spelt(right, dots) if arrow else implied
    known = {label for term in terms for label in term}
    if not known.issuperset(result) or len(set(result)) != len(result):
        raise step.wrong(f"equation {text!r} has a result that its factors do not give")
    return terms, result


def _spelt(part: str, dots: Sequence[str]) -> tuple[str, ...]:
    before, found, after = part.partition("...")
    return (*before, *(dots if found else ()), *after)


def _check_sizes(step: Step, terms: Sequence[tuple[str, ...]]) -> None:
    sizes: dict[str, int] = {}
    for index, term in enumerate(terms):
        for label, size in zip(term, step.shape(index), strict=True):
            known = sizes.setdefault(label, size)
            if known != size and 1 not in (known, size):
                raise step.wrong(f"axis {label!r} has {known} and {size} elements")
            if known != size and label.isalpha():
                raise NotHandledError(f"axis {label!r} is broadcast")


# --- the steps -------------------------------------------------------------------------------


def _diagonal(step: Step, x: str, term: tuple[str, ...]) -> Factor:
    """Return a factor; of axes with the same label only the diagonal."""
    labels = list(term)
    shape = list(step.value(x).shape)
    for label in dict.fromkeys(term):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            rest = [axis for axis in range(len(labels)) if axis not in (first, second)]
            x = step.emit("Transpose", [x], {"perm": (*rest, first, second)})
            size, kept = shape[first], [shape[axis] for axis in rest]
            x = step.emit("Reshape", [x], {"shape": (*kept, size * size)})
            last = len(kept)
            attrs = {
                "starts": (0,) * (last + 1),
                "steps": (*(1,) * last, size + 1),
                "sizes": (*kept, size),
            }
            x = step.emit("Slice", [x], attrs)
            labels, shape = [*(labels[axis] for axis in rest), label], [*kept, size]
    return Factor(x, tuple(labels))


def _product(step: Step, a: Factor, b: Factor, wanted: set[str]) -> Factor:
    a = _summed(step, a, wanted | set(b.labels))
    b = _summed(step, b, wanted | set(a.labels))
    both = [label for label in a.labels if label in b.labels]
    batch, summed = ([n for n in both if (n in wanted) == keep] for keep in (True, False))
    rows = [label for label in a.labels if label not in both]
    columns = [label for label in b.labels if label not in both]
    left = _matrix(step, a, batch, rows, summed)
    right = _matrix(step, b, batch, summed, columns)
    product = step.emit("MatMul", [left, right], {})
    # A batch axis of "..." may be 1 in one factor: MatMul broadcasts it.
    shape = (
        *step.value(product).shape[: len(batch)],
        *(step.value(a.value).shape[a.labels.index(label)] for label in rows),
        *(step.value(b.value).shape[b.labels.index(label)] for label in columns),
    )
    product = step.emit("Reshape", [product], {"shape": shape})
    return Factor(product, (*batch, *rows, *columns))


def _matrix(
    step: Step, factor: Factor, batch: Sequence[str], rows: Sequence[str], columns: Sequence[str]
) -> str:
    """Return a factor as [*batch, prod(rows), prod(columns)]."""
    turned = _ordered(step, factor, (*batch, *rows, *columns))
    shape = step.value(turned.value).shape
    cut, end = len(batch), len(batch) + len(rows)
    sizes = (*shape[:cut], prod(shape[cut:end]), prod(shape[end:]))
    return step.emit("Reshape", [turned.value], {"shape": sizes})


def _summed(step: Step, factor: Factor, wanted: set[str]) -> Factor:
    axes = tuple(axis for axis, label in enumerate(factor.labels) if label not in wanted)
    if not axes:
        return factor
    x = step.emit("ReduceSum", [factor.value], {"axes": axes, "keepdims": 0})
    return Factor(x, tuple(label for label in factor.labels if label in wanted))


def _ordered(step: Step, factor: Factor, labels: Sequence[str]) -> Factor:
    perm = tuple(factor.labels.index(label) for label in labels)
    if perm == tuple(range(len(perm))):
        return factor
    return Factor(step.emit("Transpose", [factor.value], {"perm": perm}), tuple(labels))
