"""Inner tensors of a stage, by the tensors of the source."""

from __future__ import annotations

from bittrue.inputs import adapt
from bittrue.network import LADDER
from bittrue.parity.tensors import tensors_by_origin
from bittrue.stages import (
    open_runner,
)
from tests.unit.networks import pixels, subject


def test_every_tensor_to_tap_has_a_size() -> None:
    for stage in LADDER:
        tensors = tensors_by_origin(subject(), stage).values()
        runner = open_runner(subject(), stage)
        feeds = adapt({"": pixels(9)}, runner.contract, subject().preprocess)
        taps = runner.run(feeds, [row.name for row in tensors]).taps
        assert taps
        sizes = {row.name: row.elements for row in tensors}
        assert {name: array.size for name, array in taps.items()} == sizes
