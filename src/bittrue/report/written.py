"""What a command wrote of a network, as text and as JSON (schema bittrue.network/1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bittrue.network import PROGRAM_STAGES, Network
from bittrue.report.contracts import contract_text
from bittrue.report.tables import size
from bittrue.stages import Subject, contract_of_stage

SCHEMA = "bittrue.network/1"


@dataclass(frozen=True, slots=True)
class Written:
    """One file: where it is, its length, and whether it is an executable, not an archive."""

    path: Path
    nbytes: int
    is_executable: bool


def written_text(network: Network, files: Sequence[Written]) -> str:
    """Return a line a file, and the contract of the last stage reached."""
    lines = []
    for row in files:
        stages = ", ".join(PROGRAM_STAGES if row.is_executable else network.stages)
        lines.append(f"wrote {row.path} ({size(row.nbytes)}): {network.name}, stages {stages}")
    subject = Subject(network.name, network, network.executable)
    return "\n".join([*lines, contract_text(contract_of_stage(subject))])


def written_json(network: Network, files: Sequence[Written]) -> dict[str, object]:
    """Return the same without the contract as plain JSON values."""
    rows = [{"path": str(row.path), "bytes": row.nbytes} for row in files]
    return {"name": network.name, "stages": list(network.stages), "files": rows}
