"""A judged result as SARIF 2.1.0, which code hosts and editors show as findings.

The rules are the table of causes. SARIF's own `fixes` are edits of a file at a place in it; a mend
is a line of the user's program, whose place nobody here knows: it stands in the message and in the
properties.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from bittrue.contract.causes import CAUSES, Cause
from bittrue.contract.finding import Finding
from bittrue.diagnosis.facts import HARMLESS, Explanation, Mistake
from bittrue.diagnosis.judge import FAILED, Check, Judgement
from bittrue.report.diagnosis import plain, plain_fields
from bittrue.report.visible import one_line, visible
from bittrue.version import __version__

VERSION = "2.1.0"
SCHEMA_URI = "https://json.schemastore.org/sarif-2.1.0.json"
#: The rule of what fails without a cause: an edge or an output over its bound, a limit not kept.
LIMIT = Cause("limit.exceeded", "a figure is beyond its limit, or is not there")
RULES = (*CAUSES, LIMIT)
_INDEX = {row.id: index for index, row in enumerate(RULES)}
#: What to look at, by the area of a cause.
HELP = {
    "input": "Look at the array that is sent: element type, axes, range, colour order, and how the"
    " picture became it. `bittrue check` says what the network expects; nothing runs.",
    "output": "Look at what the program does with the arrays that the device gives: which output,"
    " which axes, codes or values, what is applied after them.",
    "quant": "Look at the quantised stage: `bittrue compare` names the layer; calibrate again with"
    " samples like those at run time, or give the layer more bits.",
    "graph": "Look at how the file became the network: `bittrue compare` of the stages source,"
    " native and fp_optimized.",
    "runtime": "Look at the machine or the program around the network: `bittrue verify` says"
    " whether this machine computes the same bits.",
    "test": "Look at the inputs that were compared: take pictures like those at run time.",
    "none": "Nothing is to be mended.",
    "limit": "A saved result was judged by limits: docs/judging.md.",
}
_PLACE = re.compile(r"(input|output|layer|edge|limit) '(.*)'", re.DOTALL)


def sarif_json(found: Judgement) -> dict[str, object]:
    """Return a log of one run: a result for each mistake, finding and check that failed.

    Args:
        found: A result, judged; without limits by its own.
    """
    saved = found.saved
    run = {
        "tool": {"driver": _driver()},
        "invocations": [{"executionSuccessful": True}],
        "results": [
            *(row for best in saved.best for row in _explained(best, found)),
            *(_found(row, found) for row in saved.findings),
            *(_checked(row, found) for row in found.checks if _is_new(row, found)),
        ],
        "properties": plain_fields(
            {
                "verdict": visible(saved.verdict),
                "schema": saved.schema,
                "passed": found.passed,
                "notTried": [f"{row.cause}: {visible(row.reason)}" for row in saved.not_tried],
            }
        ),
    }
    return {"$schema": SCHEMA_URI, "version": VERSION, "runs": [run]}


def _driver() -> dict[str, object]:
    rules = [_rule(row) for row in RULES]
    return {"name": "bittrue", "version": __version__, "semanticVersion": __version__} | {
        "rules": rules
    }


def _rule(found: Cause) -> dict[str, object]:
    level = "note" if found.id in HARMLESS else "error"
    return {
        "id": found.id,
        "name": "".join(word.capitalize() for word in re.split("[._]", found.id)),
        "shortDescription": {"text": f"{found.meaning[0].upper()}{found.meaning[1:]}."},
        "help": {"text": HELP[found.area]},
        "defaultConfiguration": {"level": level},
        "properties": {"tags": [found.area]},
    }


# --- results ---------------------------------------------------------------------------------


def _explained(found: Explanation, judged: Judgement) -> Iterator[dict[str, object]]:
    """Yield a result for each mistake of an explanation."""
    harmless = set(found.causes) <= HARMLESS
    tied = [" with ".join(row.causes) for row in judged.saved.best if row is not found]
    properties = {
        "confidence": found.confidence,
        "proved": found.proved,
        "evidence": [visible(row) for row in found.evidence],
        "effects": [
            {
                "output": visible(row.output),
                "sqnrDb": [row.before_sqnr_db, row.after_sqnr_db],
                "maxAbs": [row.before_max_abs, row.after_max_abs],
            }
            for row in found.effects
        ],
        "tiedWith": tied,
    }
    for row in found.mistakes:
        together = [cause for cause in found.causes if cause != row.cause]
        more = {"mend": [visible(line) for line in row.mend], "togetherWith": together}
        result = _result(
            row.cause,
            "none" if harmless else "error",
            _sentences(row, tied),
            _places(judged, row.where),
            properties | more | {"decidedBy": row.decided_by},
        )
        result["kind"] = "informational" if harmless else "fail"
        result["rank"] = round(100 * found.confidence, 1)
        if not harmless and judged.limits.taken(found):
            result["suppressions"] = [{"kind": "external", "justification": "allowed by name"}]
        yield result


def _sentences(found: Mistake, tied: Sequence[str]) -> str:
    """Return a message whose first sentence is what went wrong: some viewers show no more."""
    place = f" ({found.where})" if found.where else ""
    parts = [f"{found.what}{place}."]
    if tied:
        parts.append(f"Fits equally well: {'; '.join(tied)}.")
    if found.mend:
        parts.append("Mend:\n" + "\n".join(found.mend))
    return " ".join(parts)


def _found(found: Finding, judged: Judgement) -> dict[str, object]:
    """Return what a buffer shows by itself."""
    text = f"{found.message}. Mend: {found.mend}"
    properties = {
        "mend": [visible(found.mend)],
        "otherCauses": list(map(visible, found.other_causes)),
    }
    result = _result(
        found.cause,
        "error" if found.severity == "error" else "warning",
        text,
        _places(judged, f"input '{found.input}'"),
        properties,
    )
    if found.cause in judged.limits.allow:
        result["suppressions"] = [{"kind": "external", "justification": "allowed by name"}]
    return result


def _is_new(found: Check, judged: Judgement) -> bool:
    """Return whether a check failed and no mistake or finding of the result says so already."""
    said = {
        "contract": True,
        "cause": any(not judged.limits.taken(row) for row in judged.saved.best),
    }
    if found.kind == "output" and not judged.limits.of_outputs:
        said["output"] = bool(judged.saved.best)
    return found.status == FAILED and not said.get(found.kind, False)


def _checked(found: Check, judged: Judgement) -> dict[str, object]:
    """Return a figure beyond its limit: an edge, an output, a limit that was given."""
    text = "\n".join([f"{found.name}: {found.message}.", *found.details])
    where = f"output '{found.name}'" if found.kind == "output" else f"{found.kind} '{found.name}'"
    return _result(LIMIT.id, "error", text, _places(judged, where), {"check": found.kind})


def _places(judged: Judgement, where: str) -> list[dict[str, object]]:
    """Return the place, where one is known: the model's file, and the tensor or layer in it."""
    saved = judged.saved
    place: dict[str, object] = {}
    if saved.model:
        place["physicalLocation"] = {"artifactLocation": {"uri": _uri(saved.model)}}
    match = _PLACE.fullmatch(where or f"layer '{saved.first_layer}'")
    if match and match[2]:
        place["logicalLocations"] = [{"name": one_line(match[2]), "kind": match[1]}]
    return [place] if place else []


def _uri(path: str) -> str:
    """Return a file's URI: relative as the path is, for whoever knows against what."""
    quoted = quote(visible(path))
    return f"file://{quoted}" if path.startswith("/") else quoted


def _fingerprint(rule: str, locations: Sequence[dict[str, object]]) -> str:
    """Return what stays the same while the same mistake is at the same place."""
    return hashlib.sha256(f"{rule} {json.dumps(locations)}".encode()).hexdigest()


def _result(
    rule: str,
    level: str,
    text: str,
    locations: Sequence[dict[str, object]],
    properties: Mapping[str, object],
) -> dict[str, object]:
    return {
        "ruleId": rule,
        "ruleIndex": _INDEX[rule],
        "level": level,
        "message": {"text": visible(text)},
        "locations": list(locations),
        "partialFingerprints": {"cause/v1": _fingerprint(rule, locations)},
        "properties": plain(properties),
    }
