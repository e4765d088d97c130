"""A judged result as JUnit XML, which CI servers show as tests: one case a check."""

from __future__ import annotations

from xml.etree import ElementTree

from bittrue.diagnosis.judge import FAILED, SKIPPED, Check, Judgement
from bittrue.report.visible import one_line, visible


def junit_xml(found: Judgement) -> str:
    """Return one test suite: a case for each cause, the buffers, each edge, output and limit.

    What was not looked at is a skipped case: it is counted, and is not green. The elements and
    attributes are those that the schemas of Ant's and of Jenkins's reports share.

    Args:
        found: A result, judged; without limits by its own.
    """
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(suites, "testsuite", _counts(found))
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(found).items():
        ElementTree.SubElement(properties, "property", name=name, value=one_line(value))
    for row in found.checks:
        _case(suite, row, found.saved.verdict)
    ElementTree.SubElement(suite, "system-out").text = visible(found.saved.verdict)
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _counts(found: Judgement) -> dict[str, str]:
    rows = found.checks  # never none: a suite without a case is green on many servers
    return {
        "name": "bittrue",
        "tests": str(len(rows)),
        "failures": str(sum(row.status == FAILED for row in rows)),
        "errors": "0",
        "skipped": str(sum(row.status == SKIPPED for row in rows)),
        "time": f"{sum(row.seconds for row in rows):.3f}",
    }


def _properties(found: Judgement) -> dict[str, str]:
    saved = found.saved
    rows = {
        "schema": saved.schema,
        "model": saved.model,
        "verdict": saved.verdict,
        "first_stage": saved.first_stage,
        "first_layer": saved.first_layer,
    }
    return {name: value for name, value in rows.items() if value}


def _case(suite: ElementTree.Element, found: Check, verdict: str) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"bittrue.{found.kind}",
        name=one_line(found.name) or found.kind,
        time=f"{found.seconds:.3f}",
    )
    message, details = one_line(found.message), visible("\n".join(found.details))
    if found.status == SKIPPED:
        ElementTree.SubElement(case, "skipped", message=message)
    elif found.status == FAILED:
        failure = ElementTree.SubElement(case, "failure", type=found.kind, message=message)
        failure.text = visible("\n".join([verdict, *found.details]))
    elif details:
        ElementTree.SubElement(case, "system-out").text = details
