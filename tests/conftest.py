"""Settings that every test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
settings.register_profile("thorough", parent=settings.get_profile("ci"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


TIERS = ("test", "nightly")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tier", choices=TIERS, default="test", help="nightly runs what is marked nightly as well"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what belongs to a later tier, so that the summary counts it."""
    if config.getoption("--tier") == "nightly":
        return
    later = pytest.mark.skip(reason="takes minutes: `make nightly` runs it")
    for item in items:
        if "nightly" in item.keywords:
            item.add_marker(later)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real networks, data and vendor files beside the project, where it is there."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not there: real networks and data cannot be tested")
    return SHARED
