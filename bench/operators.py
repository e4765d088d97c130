"""docs/operators.md: which operators are handled, measured on ONNX's own test cases.

`python -m bench.operators` runs every case in the NumPy reference and through ONNX Runtime, prints
the counts and writes the page; with `--check` it fails where the page is stale. Every column comes
from a table of the code or from what the cases do; the reasons of exclusions are those of
`bench/onnx_cases.py`.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime

from bench.onnx_cases import (
    NO_KERNEL,
    OUT_OF_SCOPE,
    Case,
    Cases,
    claimed_cases,
    reference_differences,
    runtime_differences,
)
from bittrue.compiler.lower import LOWERINGS, NOT_LOWERED
from bittrue.errors import Error, InternalError
from bittrue.graph.model import NO_CLIP, Graph, Node
from bittrue.graph.ops import FAMILIES, OPS, Attribute
from bittrue.importers.onnx import import_onnx
from bittrue.importers.onnx_file import OPSET_MAX, OPSET_MIN
from bittrue.importers.onnx_ops import ONNX_OPS, find_row
from bittrue.importers.onnx_tensor import READ_AS
from bittrue.quant.target import JOINS, NONE, SHARES, STORES, integer_form, runs_in_float

PAGE = Path(__file__).parent.parent / "docs" / "operators.md"

#: The words of the tables for what an operator does with codes.
FORMS = {STORES: "own scale", SHARES: "moves codes", JOINS: "joins codes"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case.

    Args:
        case: The case.
        reference: What is wrong in the NumPy reference; empty when it passes.
        runtime: What is wrong through ONNX Runtime.
        verdicts: Canonical operators that its operator became, each with its integer form (NONE
            where it is not lowered) and whether it runs in float.
    """

    case: Case
    reference: str
    runtime: str
    verdicts: frozenset[tuple[str, str, bool]]


def run_cases(cases: Iterable[Case]) -> tuple[Outcome, ...]:
    """Return what became of each case, in both ways of running it."""
    return tuple(_outcome(case) for case in cases)


def _outcome(case: Case) -> Outcome:
    try:
        graph = import_onnx(case.model)
        wrong = reference_differences(case, graph)
    except Error as why:
        return Outcome(case, f"{case.name}: {why}", f"{case.name}: {why}", frozenset())
    try:
        late = runtime_differences(case, graph)
    except (Error, InternalError) as why:
        late = [f"{case.name}: {why}"]
    return Outcome(case, "\n".join(wrong), "\n".join(late), _verdicts(case, graph))


def _verdicts(case: Case, graph: Graph) -> frozenset[tuple[str, str, bool]]:
    """Return the verdicts on the nodes that the case's operator itself became."""
    own = [
        node
        for node in graph.nodes
        if any(name.rpartition("_")[0] == case.op for name in node.origin)
    ]
    return frozenset((node.op, _integer(graph, node), _floating(node)) for node in own)


def _integer(graph: Graph, node: Node) -> str:
    return integer_form(graph, node) if node.op in LOWERINGS else NONE


def _floating(node: Node) -> bool:
    return node.op in LOWERINGS and runs_in_float(node)


# --- the page --------------------------------------------------------------------------------


def page(cases: Cases, outcomes: Sequence[Outcome]) -> str:
    """Return the whole of docs/operators.md.

    Args:
        cases: All cases of operators that the importer reads.
        outcomes: What became of those that were run.
    """
    return "\n".join(
        [
            *_head(cases, outcomes),
            *_handled(cases, outcomes),
            *_canonical(outcomes),
            *_refused(cases),
            "",
        ]
    )


def counts(cases: Cases, outcomes: Sequence[Outcome]) -> list[str]:
    """Return the counts of cases, and of those excluded with each reason, one a line."""
    total = len(cases.ops)
    reasons = Counter(cases.excluded.values())
    numpy = sum(not item.reference for item in outcomes)
    runtime = sum(not item.runtime for item in outcomes)
    return [
        f"{total} node test cases in ONNX {onnx.__version__}",
        f"{sum(cases.unclaimed.values())} of operators that are not handled",
        f"{len(cases.excluded)} excluded",
        *(f"    {count} because: {reason}" for reason, count in sorted(reasons.items())),
        f"{len(outcomes)} run",
        f"{numpy} pass in the NumPy reference",
        f"{runtime} pass through ONNX Runtime {onnxruntime.__version__} "
        f"(it has no kernel for {len(NO_KERNEL)})",
    ]


def _head(cases: Cases, outcomes: Sequence[Outcome]) -> list[str]:
    stand_ins = ", ".join(f"{name} as {wanted}" for name, wanted in READ_AS.items())
    types = sorted({name for item in outcomes for name in item.case.types} - set(READ_AS))
    said = counts(cases, outcomes)
    return [
        "# Operators",
        "",
        "Generated by `python -m bench.operators`; a test fails where it is stale.",
        "",
        "## Scope of the float side",
        "",
        f"- ONNX files of opsets {OPSET_MIN} to {OPSET_MAX}; a case of another opset runs in the "
        "nearest of those.",
        f"- Element types: {', '.join(types)}.",
        f"- Types that are widened or read as another: {stand_ins}. A float16 network therefore "
        "computes in float32, in every stage.",
        "- Inference: no training modes. A network's inputs hold values or pixels, not indices.",
        "- What gives shapes, axes and pads must be computable while importing.",
        "- `If` is handled where its condition is known then; `Loop`, `Scan` and recurrent layers "
        "are refused.",
        "",
        "An operator is claimed when every case of it within this scope passes twice: in the NumPy "
        "reference, and written back to ONNX in ONNX Runtime. It is claimed in part where a form "
        "of it is refused by name; the last column says which. Cases named `_expanded` (the "
        "operator written out in others) count for the operator.",
        "",
        *(f"    - {line[4:]}" if line[0] == " " else f"- {line}" for line in said),
        "",
    ]


def _handled(cases: Cases, outcomes: Sequence[Outcome]) -> list[str]:
    rows = [_row(op, cases, [item for item in outcomes if item.case.op == op]) for op in _names()]
    claimed = Counter(row[6] for row in rows)
    others = [item for item in outcomes if item.case.op not in ONNX_OPS]
    return [
        "## ONNX operators that are handled",
        "",
        f"{len(rows)} operators: {claimed['yes']} claimed, {claimed['in part']} in part, "
        f"{claimed['no case']} without a case of their own (tests/unit covers them), "
        f"{claimed['no']} with a case that fails. {len(others)} more cases pass that write out "
        "operators of the last table in those of this one.",
        "",
        "Codes and float say how the engine runs what the operator becomes; the next table has "
        'each of those. "some": not in each form, or not each of its parts; "-": nothing is '
        "left to run.",
        "",
        *_table(
            (
                *("operator", "opsets", "types", "cases", "NumPy", "ONNX Runtime", "claimed"),
                *("becomes", "codes", "float", "excluded, refused"),
            ),
            rows,
        ),
        "",
    ]


def _names() -> list[str]:
    return sorted(ONNX_OPS)


def _row(op: str, cases: Cases, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    reasons = Counter(why for name, why in cases.excluded.items() if cases.ops[name] == op)
    rows = ONNX_OPS[op]
    verdicts = {verdict for item in outcomes for verdict in item.verdicts}
    types = sorted({name for item in outcomes for name in item.case.types})
    return (
        op,
        f"{min(row.since for row in rows)} to {max(row.until for row in rows)}",
        ", ".join(types) or "-",
        str(len(outcomes) + sum(reasons.values())),
        str(sum(not item.reference for item in outcomes)),
        str(sum(not item.runtime for item in outcomes)),
        _claim(outcomes, reasons),
        ", ".join(sorted({name for name, _, _ in verdicts})) or "-",
        _some([form != NONE for _, form, _ in verdicts]),
        _some([floating for _, _, floating in verdicts]),
        "; ".join(f"{count}: {why}" for why, count in sorted(reasons.items())),
    )


def _claim(outcomes: Sequence[Outcome], reasons: Mapping[str, int]) -> str:
    failed = any(
        item.reference or (item.runtime and item.case.name not in NO_KERNEL) for item in outcomes
    )
    if failed or not outcomes:
        return "no" if failed else "no case"
    return "yes" if all(why in OUT_OF_SCOPE for why in reasons) else "in part"


def _some(facts: Sequence[bool]) -> str:
    if not facts:
        return "-"
    return "yes" if all(facts) else "some" if any(facts) else "no"


def _canonical(outcomes: Sequence[Outcome]) -> list[str]:
    seen: dict[str, set[tuple[str, bool]]] = {op: set() for op in OPS}
    for item in outcomes:
        for op, form, floating in item.verdicts:
            seen[op].add((form, floating))
    return [
        "## Canonical operators, and how the engine runs them",
        "",
        "What a network consists of after import. `?` may be left out, `*` is any number. Every "
        "attribute is always present; one with a value here has it where an importer gives none. "
        "`clip` is a fused activation, the least and the greatest value of a result, applied last. "
        "Pads are all begins, then all ends; axes are in order and never negative.",
        "",
        "On codes and in float are judged on every form that the cases have; what the float "
        "passes make of others (Dense, Pointwise) has none. An operator that is not lowered is "
        "refused by the compiler with this reason.",
        "",
        *_table(
            (
                *("operator", "family", "inputs", "attributes", "meaning"),
                *("on codes", "in float", "why not"),
            ),
            [
                _canonical_row(op, family, seen[op])
                for family, names in FAMILIES.items()
                for op in names
            ],
        ),
        "",
    ]


def _canonical_row(op: str, family: str, seen: set[tuple[str, bool]]) -> tuple[str, ...]:
    forms = sorted({FORMS[form] for form, _ in seen if form != NONE})
    some = " (some forms)" if any(form == NONE for form, _ in seen) else ""
    unseen = "lowered" if op in LOWERINGS else "no"
    return (
        op,
        family,
        ", ".join(OPS[op].inputs),
        ", ".join(map(_attribute, OPS[op].attrs)),
        OPS[op].meaning,
        (" or ".join(forms) + some if forms else "no") if seen else unseen,
        _some([floating for _, floating in seen]) if seen else unseen,
        NOT_LOWERED.get(op, ""),
    )


def _attribute(row: Attribute) -> str:
    """Return an attribute's name, with what it is where nothing is given, or may be."""
    if row.default is not None and row.default != NO_CLIP:
        number = isinstance(row.default, float)
        return f"{row.name} = {row.default:g}" if number else f"{row.name} = {row.default}"
    return f"{row.name} ({' '.join(row.choices)})" if row.choices else row.name


def _refused(cases: Cases) -> list[str]:
    schemas = onnx.defs.get_all_schemas()
    names = {row.name for row in schemas if row.domain == "" and not row.deprecated}
    rows = []
    for op in sorted(names - set(ONNX_OPS) - {"Constant"}):
        why = find_row(op, "", OPSET_MAX)
        rows.append((op, str(cases.unclaimed.get(op, 0)), why if isinstance(why, str) else ""))
    return [
        "## ONNX operators that are not handled",
        "",
        f"{len(rows)} operators; a network with one of them is refused with this reason, and with "
        "the tensors at which it could end before it. Constant is read as a constant.",
        "",
        *_table(("operator", "cases", "what the user is told"), rows),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    line = f"|{'---|' * len(head)}"
    return [f"| {' | '.join(head)} |", line, *(f"| {' | '.join(row)} |" for row in cells)]


def main() -> int:
    """Print the counts and write the page, or compare it (`--check`); 1 where it is wrong."""
    logging.disable(logging.WARNING)  # every case of half precision would be named
    cases = claimed_cases()
    outcomes = run_cases(cases.run)
    print("\n".join(counts(cases, outcomes)))
    wrong = [item.reference for item in outcomes if item.reference]
    wrong += [x.runtime for x in outcomes if x.runtime and x.case.name not in NO_KERNEL]
    print("\n".join(wrong))
    text = page(cases, outcomes)
    if "--check" in sys.argv[1:]:
        stale = not PAGE.is_file() or PAGE.read_text() != text
        print(f"{PAGE.name} is {'stale: run python -m bench.operators' if stale else 'up to date'}")
        return int(stale or bool(wrong))
    PAGE.write_text(text)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
