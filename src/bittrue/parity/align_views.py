"""Views: the ways in which a device's array can hold a reference's tensor, by shapes alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
#: An axis may be padded by fewer than this many elements: buffers are aligned to at most 64.
MOST_PADDING = 64
#: Axes whose order is tried: 4! = 24 orders.
MOST_AXES = 4
#: The orders in which networks and devices really keep axes.
_USUAL = frozenset({(0, 2, 3, 1), (0, 3, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1)})


@dataclass(frozen=True, slots=True)
class View:
    """One way to read a device's array as a reference's tensor.

    Args:
        memory: The shape that the array's elements are given first.
        order: How its axes are then transposed.
        kept: How much of each axis is kept, from its start.
        shape: The reference's shape, given last.
        price: How unlikely it is before any value is seen; 0 where nothing is undone.
        undone: What is undone, in words.
    """

    memory: Shape
    order: Shape
    kept: Shape
    shape: Shape
    price: float
    undone: tuple[str, ...]

    def read(self, array: np.ndarray) -> np.ndarray:
        """Return a device's array in the reference's shape: a view of it where that is possible."""
        moved = array.reshape(self.memory).transpose(self.order)
        return moved[tuple(slice(0, size) for size in self.kept)].reshape(self.shape)

    def places(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where elements of the reference lie in the device's flat array.

        Args:
            at: [n] int64, flat positions in the reference.
        """
        if not self.kept:
            return np.zeros_like(at)
        strides = [math.prod(self.memory[axis + 1 :]) for axis in range(len(self.memory))]
        found = np.zeros_like(at)
        for along, axis in zip(np.unravel_index(at, self.kept), self.order, strict=True):
            found += along * strides[axis]
        return found


@lru_cache(maxsize=4096)
def views(reference: Shape, device: Shape) -> tuple[View, ...]:
    """Return every way to read an array of one shape as a tensor of another, cheapest first.

    Args:
        reference: Shape of the reference.
        device: Shape of the device's array.
    """
    if 0 in reference or 0 in device:
        return (View(device, tuple(range(len(device))), device, reference, 0.0, ()),) * (
            reference == device
        )
    found: dict[tuple[Shape, Shape, Shape], View] = {}
    for view in itertools.chain(_reordered(reference, device), _same_bytes(reference, device)):
        key = (view.memory, view.order, view.kept)
        if key not in found or view.price < found[key].price:
            found[key] = view
    return tuple(sorted(found.values(), key=lambda view: view.price))


def _squeezed(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _reordered(reference: Shape, device: Shape) -> Iterator[View]:
    """Yield the orders of axes, with axes of 1 added or dropped and one axis padded."""
    wanted, given = _squeezed(reference), _squeezed(device)
    if len(wanted) == len(given):
        yield from _orders(reference, device, wanted, given)
    elif len(given) == len(wanted) + 1:
        # An axis of 1, of which the device holds padding.
        for axis in range(len(reference)):
            if reference[axis] == 1 and len(reference) == len(device):
                ones = tuple(n for at, n in enumerate(reference) if n != 1 or at == axis)
                yield from _orders(reference, device, ones, given)


def _orders(reference: Shape, device: Shape, wanted: Shape, given: Shape) -> Iterator[View]:
    if len(wanted) > MOST_AXES:
        orders = iter([tuple(range(len(wanted)))])
    else:
        orders = itertools.permutations(range(len(wanted)))
    for order in orders:
        padding = [given[axis] - size for axis, size in zip(order, wanted, strict=True)]
        padded = [axis for axis, more in enumerate(padding) if more]
        if len(padded) > 1 or any(not 0 <= more < MOST_PADDING for more in padding):
            continue
        price, words = _price_of_order(order, reference, device, wanted, given)
        if padded:
            name = "channels" if _is_channel(padded[0], wanted, reference) else "values an axis"
            words = (*words, f"{padding[padded[0]]} padding {name} dropped")
            price += 1.0
        yield View(given, order, wanted, reference, price, words)


def _is_channel(axis: int, wanted: Shape, reference: Shape) -> bool:
    """Whether an axis of the squeezed shape is the second of the reference, or its last."""
    places = [at for at, size in enumerate(reference) if size != 1]
    if len(places) != len(wanted):
        return True
    return places[axis] in {1, len(reference) - 1}


def _price_of_order(
    order: Shape, reference: Shape, device: Shape, wanted: Shape, given: Shape
) -> tuple[float, tuple[str, ...]]:
    """Return the price and the words of a transposition, in terms of the device's whole array."""
    moved = order != tuple(range(len(order)))
    whole = _whole_order(order, reference, device) if moved else None
    if whole is not None:
        return _price_of_move(whole), (f"transposed {_text(whole)}",)
    ones = _price_of_ones(reference, device, wanted, given)
    if not moved:
        return ones
    words = [f"transposed {_text(order)}"]
    if len(given) != len(device):
        words.insert(0, "axes of 1 dropped")
    if len(wanted) != len(reference):
        batch = reference == (1, *wanted) and len(given) == len(device)
        words.append("batch axis added" if batch else "axes of 1 added")
    return ones[0] + _price_of_move(order), tuple(words)


def _price_of_move(order: Shape) -> float:
    return 0.5 if order in _USUAL else 1.0


def _price_of_ones(
    reference: Shape, device: Shape, wanted: Shape, given: Shape
) -> tuple[float, tuple[str, ...]]:
    """Return the price and the words of axes of 1 that are elsewhere, more or fewer."""
    if len(reference) == len(device):
        alike = all((n == 1) == (m == 1) for n, m in zip(reference, device, strict=True))
        full = len(wanted) == len(_squeezed(reference))
        return (0.1, ("axes of 1 moved",)) if full and not alike else (0.0, ())
    if reference == (1, *device):
        return 0.05, ("batch axis added",)
    if device == (1, *reference):
        return 0.05, ("batch axis dropped",)
    return 0.1, (f"axes of 1 {'added' if len(reference) > len(device) else 'dropped'}",)


def _whole_order(order: Shape, reference: Shape, device: Shape) -> Shape | None:
    """Return the transposition of the whole array that a squeezed one stands for, if there is one.

    Axes of 1 are taken in their order, which is the usual order where one fits.
    """
    if len(reference) != len(device):
        return None
    for usual in (*sorted(_USUAL), None):
        if usual is not None and len(usual) == len(device):
            places = [at for at, size in enumerate(device) if size != 1]
            moved = [places.index(axis) for axis in usual if axis in places]
            ones = [reference[at] == 1 for at in range(len(usual))]
            if tuple(moved) == order and ones == [device[axis] == 1 for axis in usual]:
                return usual
    places = [at for at, size in enumerate(device) if size != 1]
    ones_left = iter([at for at, size in enumerate(device) if size == 1])
    large = iter([places[axis] for axis in order])
    if len([n for n in reference if n != 1]) != len(order):
        return None
    return tuple(next(ones_left) if size == 1 else next(large) for size in reference)


def _same_bytes(reference: Shape, device: Shape) -> Iterator[View]:
    """Yield the readings of the same bytes under another shape: flat, or in the other layout."""
    if math.prod(reference) != math.prod(device):
        return
    straight = tuple(range(len(reference)))
    if _squeezed(reference) != _squeezed(device):
        told = f"reshaped to {list(reference)}"
        yield View(reference, straight, reference, reference, 0.6, (told,))
    if len(reference) < 3:
        return
    for order in ((0, *straight[2:], 1), (0, straight[-1], *straight[1:-1])):
        # The bytes lie in the order of a tensor of this shape, ...
        memory = tuple(reference[axis] for axis in order)
        back = tuple(order.index(axis) for axis in straight)
        if _squeezed(memory) in (_squeezed(device), _squeezed(reference)):
            continue
        words = (f"bytes read as {list(memory)}", f"transposed {_text(back)}")
        yield View(memory, back, reference, reference, 1.2, words)


def _text(order: Shape) -> str:
    return "(" + ", ".join(map(str, order)) + ")"
