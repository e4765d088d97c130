"""A missing optional package."""

from __future__ import annotations

from pathlib import Path

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


def test_one_that_is_broken_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("raise ImportError('libfoo.so.1 is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"cannot be loaded: libfoo\.so\.1 is missing\n.*pip"):
        require("broken_package", "tools")
