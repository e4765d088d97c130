"""Environment variables: one table, checked values, read in one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bittrue import settings
from bittrue.errors import UsageError

SOURCE = Path(settings.__file__).parent


def test_defaults_are_allowed_values(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in settings.SETTINGS:
        monkeypatch.delenv(row.name, raising=False)
        assert settings.get(row.name) == row.default


@pytest.mark.parametrize("row", [row for row in settings.SETTINGS if row.choices])
def test_a_word_that_is_no_choice_is_refused(
    row: settings.Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(row.name, "nonsense")
    with pytest.raises(UsageError, match=f"{row.name}='nonsense' is not one of"):
        settings.get(row.name)


@pytest.mark.parametrize("text", ["-1", "1.5", "", "two", "1025", "\N{SUPERSCRIPT TWO}"])
def test_a_count_is_a_whole_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITTRUE_THREADS", text)
    with pytest.raises(UsageError, match="whole number"):
        settings.get_count("BITTRUE_THREADS")


def test_a_count_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITTRUE_THREADS", "1024")
    assert settings.get_count("BITTRUE_THREADS") == 1024


def test_the_environment_is_read_nowhere_else() -> None:
    readers = [
        path.name
        for path in SOURCE.rglob("*.py")
        if re.search(r"os\.environ|getenv", path.read_text(encoding="utf-8"))
    ]
    assert readers == ["settings.py"]
