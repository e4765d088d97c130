"""The packages that only some of bittrue needs: where one is missing, the line that installs it."""

from __future__ import annotations

from importlib.util import find_spec

from bittrue.errors import UsageError


def require(package: str, extra: str, *, where: str = "") -> None:
    """Refuse to go on without an optional package.

    Args:
        package: Its import name.
        extra: The extra of bittrue that installs it.
        where: The file or option that needs it.

    Raises:
        UsageError: if it is not installed.
    """
    if find_spec(package) is None:
        raise UsageError(
            f"{package} is not installed", where=where, hint=f'pip install "bittrue[{extra}]"'
        )
