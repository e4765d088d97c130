"""The instruction sets that the tests of kernels go through."""

from __future__ import annotations

import pytest

from tests.kernels.places import EVERYWHERE, place


@pytest.fixture(params=EVERYWHERE)
def isa(request: pytest.FixtureRequest) -> str:
    """A name for `check`; the test is skipped, with the reason, where nothing can run it."""
    name = str(request.param)
    place(name)
    return name
