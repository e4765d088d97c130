"""The packages that only some of bittrue needs: where one is missing, the line that installs it."""

from __future__ import annotations

from importlib import import_module

from bittrue.errors import UsageError


def require(package: str, extra: str, *, where: str = "") -> None:
    """Load an optional package, or refuse to go on without it.

    Args:
        package: Its import name.
        extra: The extra of bittrue that installs it.
        where: The file or option that needs it.

    Raises:
        UsageError: if it is not installed, or cannot be loaded.
    """
    try:
        import_module(package)
    except ImportError as why:
        missing = isinstance(why, ModuleNotFoundError) and why.name == package
        reason = "is not installed" if missing else f"is installed but cannot be loaded: {why}"
        raise UsageError(
            f"{package} {reason}", where=where, hint=f'pip install "bittrue[{extra}]"'
        ) from why
