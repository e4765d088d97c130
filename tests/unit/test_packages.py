"""A missing optional package."""

from __future__ import annotations

import pytest

from bittrue.errors import UsageError
from bittrue.packages import require


def test_a_package_that_is_there_is_no_matter() -> None:
    require("numpy", "tools")


def test_one_that_is_missing_comes_with_the_line_that_installs_it() -> None:
    with pytest.raises(UsageError) as caught:
        require("surely_not_installed", "tools", where="model.bta")
    assert str(caught.value) == (
        'model.bta: surely_not_installed is not installed\n  next: pip install "bittrue[tools]"'
    )
