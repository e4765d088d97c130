"""What checking buffers against a contract showed, as text and as JSON (schema bittrue.check/1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bittrue.contract.finding import Finding
from bittrue.contract.tensor import Contract
from bittrue.report.contracts import contract_text

SCHEMA = "bittrue.check/1"


def fits(found: Sequence[Finding]) -> bool:
    """Return whether the buffers would be taken: warnings alone refuse nothing."""
    return not any(row.severity == "error" for row in found)


def findings_text(contract: Contract, found: Sequence[Finding]) -> str:
    """Return the contract, each finding, and the verdict."""
    verdict = "fits" if fits(found) else "does not fit"
    return "\n".join([contract_text(contract), *map(str, found), verdict])


def findings_json(model: str, found: Sequence[Finding]) -> dict[str, object]:
    """Return the verdict and each finding as plain JSON values."""
    return {"model": model, "fits": fits(found), "findings": [asdict(row) for row in found]}
