"""What a file holds, as text and as JSON (schema bittrue.inspect/1)."""

from __future__ import annotations

from collections import Counter

from bittrue.contract.preprocess import preprocess_to_json
from bittrue.contract.tensor import Contract, contract_to_json
from bittrue.network import Network
from bittrue.report.contracts import contract_text, preprocess_text
from bittrue.report.tables import size
from bittrue.stages import Subject, contract_of_stage, stage_graph

SCHEMA = "bittrue.inspect/1"


def stage_contracts(subject: Subject) -> dict[str, Contract]:
    """Return the contract of each stage that the subject has reached, first to last."""
    return {stage: contract_of_stage(subject, stage) for stage in subject.stages}


def inspection_text(subject: Subject) -> str:
    """Return the file's content: origin, stages with their contracts, preprocessing, program."""
    lines = []
    if subject.network is not None:
        lines += _network_lines(subject.network)
    for names, contract in _grouped(stage_contracts(subject)):
        lines += ["", f"contract of {', '.join(names)}", contract_text(contract)]
    for name, item in subject.preprocess.items():
        lines += ["", preprocess_text(name, item)]
    if subject.executable is not None:
        lines += ["", *_program_lines(subject)]
    return "\n".join(lines).strip("\n")


def _network_lines(network: Network) -> list[str]:
    source = network.source
    lines = [
        f"archive of network '{network.name}'",
        f"source {source.name} ({source.kind}), sha256 {source.sha256}",
        f"stages {', '.join(network.stages)}",
    ]
    for stage in ("native", "fp_optimized", "quantized"):
        if stage in network.stages:
            ops = Counter(node.op for node in stage_graph(network, stage).nodes)
            counted = ", ".join(f"{number} {op}" for op, number in ops.most_common())
            lines.append(f"{stage}: {sum(ops.values())} nodes: {counted}")
    return lines


def _grouped(contracts: dict[str, Contract]) -> list[tuple[list[str], Contract]]:
    """Return the contracts with the stages that share them, first to last."""
    groups: list[tuple[list[str], Contract]] = []
    for stage, contract in contracts.items():
        if groups and groups[-1][1] == contract:
            groups[-1][0].append(stage)
        else:
            groups.append(([stage], contract))
    return groups


def _program_lines(subject: Subject) -> list[str]:
    program = subject.program()
    kinds = Counter(row.kind for row in program.instructions)
    constants = sum(row.nbytes for row in program.buffers if row.constant)
    counted = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    origin = program.provenance.get("source")
    lines = [
        f"executable '{program.name}', {size(len(subject.executable or b''))}: "
        f"{len(program.instructions)} instructions: {counted}",
        f"constants {size(constants)}, arena {size(program.arena_bytes)}, "
        f"conformance vectors {len(program.vectors.rows)}",
    ]
    if isinstance(origin, dict) and subject.network is None:
        lines.append(f"source {origin.get('name')}, sha256 {origin.get('sha256')}")
    return lines


def inspection_json(subject: Subject) -> dict[str, object]:
    """Return the file's content as plain JSON values."""
    data: dict[str, object] = {
        "path": subject.path,
        "kind": "executable" if subject.network is None else "archive",
        "stages": list(subject.stages),
        "contracts": {
            stage: contract_to_json(row) for stage, row in stage_contracts(subject).items()
        },
        "preprocess": {name: preprocess_to_json(row) for name, row in subject.preprocess.items()},
    }
    if subject.network is not None:
        source = subject.network.source
        data["source"] = {"name": source.name, "sha256": source.sha256, "kind": source.kind}
        data["provenance"] = dict(subject.network.provenance)
    if subject.executable is not None:
        program = subject.program()
        data["executable"] = {
            "bytes": len(subject.executable),
            "instructions": len(program.instructions),
            "arena_bytes": program.arena_bytes,
            "vectors": len(program.vectors.rows),
            "kinds": dict(Counter(row.kind for row in program.instructions)),
        }
    return data
