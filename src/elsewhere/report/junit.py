"""The groups as test cases, for build servers that read JUnit XML."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from elsewhere.core.gap_report import key_text
from elsewhere.report.words import numbers_for, visible

if TYPE_CHECKING:
    from elsewhere.core.gap_report import GapReport, Grouping, GroupRow, ModelAudit
    from elsewhere.report.words import Numbers


def to_junit(report: GapReport) -> str:
    """Write one suite for each model and grouping, with a case for its headline and each group.

    A case fails when its whole interval lies above the negligible size (above 0 where none was
    stated): the interval of the headline, and the joint interval of a group, so that a suite of
    many groups does not fail by chance. A case without a value is skipped, with the reason.

    Args:
        report: The report.

    Returns:
        XML; characters that XML cannot hold are written as escapes.
    """
    root = ET.Element("testsuites", name=f"elsewhere: {visible(report.table)}")
    for model in report.models:
        for grouping in model.groupings:
            root.append(_suite(report, model, grouping))
    for total in ("tests", "failures", "skipped"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    root.set("errors", "0")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(report: GapReport, model: ModelAudit, grouping: Grouping) -> ET.Element:
    """Write one model under one grouping."""
    name = f"{visible(model.name)} by {visible(grouping.name)}"
    suite = ET.Element("testsuite", name=name)
    limit, numbers = max(report.negligible, 0.0), numbers_for(report, plain=True)
    gap = grouping.gap
    headline = ET.SubElement(suite, "testcase", classname=name, name="headline gap")
    _judge(headline, numbers, limit, (gap.estimate, gap.low, gap.high), gap.reason)
    for row in grouping.rows:
        case = ET.SubElement(suite, "testcase", classname=name, name=_name(row))
        _judge(case, numbers, limit, (row.gap, row.joint_low, row.joint_high), row.reason)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return suite


def _name(row: GroupRow) -> str:
    """Name a group by its columns too, so that no group takes the headline's name."""
    if len(row.key) == 1:
        return visible(f"{row.key[0][0]}={row.key[0][1]}")
    return visible(key_text(row.key))


def _judge(
    case: ET.Element, numbers: Numbers, limit: float, gap: tuple[float, float, float], reason: str
) -> None:
    """Mark a case as skipped or failed, or leave it as passed."""
    estimate, low, _ = gap
    if math.isnan(estimate) or math.isnan(low):
        why = "no value" if math.isnan(estimate) else "no interval"
        ET.SubElement(case, "skipped", message=visible(reason) or why)
    elif low > limit:
        message = f"gap {numbers.both(*gap)}: the whole interval lies above {limit:g}"
        ET.SubElement(case, "failure", type="gap", message=message).text = message
