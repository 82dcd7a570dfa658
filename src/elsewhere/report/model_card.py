"""A report as metadata of a model card: `model-index` in YAML, as the Hugging Face Hub reads it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from elsewhere.core.records import SIGNIFICANT_DIGITS
from elsewhere.report.choice import worst_first
from elsewhere.report.sentences import two_sided
from elsewhere.report.words import count, group_name, numbers_for, shorten, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from elsewhere.core.gap_report import GapReport, Grouping, ModelAudit

MAX_TEXT_GROUPS = 10
"""Groups of the text: the worst ones."""


def to_model_card(report: GapReport) -> str:
    """Write `model-index` for the front matter of a model card, and a section for its text.

    Each model has one result a grouping, with the metric on both sides, the gap, and where the gap
    of one more group should lie; limits are arguments of a metric. What has no number is left out.

    Args:
        report: The report.

    Returns:
        One YAML document. All text is quoted as in JSON, so that no name is read as YAML. The
        section stands below as comments: strip "# " and put it into the card.
    """
    lines = [
        f"# Written by elsewhere from {visible(report.table)}. The types of task and dataset are",
        "# placeholders: put those of the Hub in their place.",
    ]
    entries = [line for model in report.models for line in _entry(report, model)]
    lines += ["model-index:", *entries] if entries else ["model-index: []"]
    return "\n".join([*lines, "", *(f"# {line}".rstrip() for line in _section(report))]) + "\n"


def _entry(report: GapReport, model: ModelAudit) -> list[str]:
    """Write one model, or nothing where it has no numbers."""
    results = [line for grouping in model.groupings for line in _result(report, grouping)]
    if not results:
        return []
    return [f"  - name: {_text(model.name)}", "    results:", *results]


def _result(report: GapReport, grouping: Grouping) -> list[str]:
    """Write one grouping, or nothing where it has no numbers."""
    metrics = [line for metric in _metrics(report, grouping) for line in metric]
    if not metrics:
        return []
    return [
        "      - task:",
        '          type: "other"',
        f"          name: {_text(f'generalization by {grouping.name}')}",
        "        dataset:",
        '          type: "other"',
        f"          name: {_text(report.table)}",
        "        metrics:",
        *metrics,
    ]


def _metrics(report: GapReport, grouping: Grouping) -> Iterator[list[str]]:
    """Write the parts of the headline, each with its limits."""
    gap, name = grouping.gap, grouping.name
    first, second = "here", "elsewhere"
    if not two_sided(grouping):
        first = "other groups"
        second = f"{'lowest' if report.greater_is_better else 'highest'} {name}"
        if len(grouping.worst) == 1:
            second = f"worst {name}: {grouping.worst_text}"
    for label, kind, value, low, high in (
        (first, report.metric, gap.here, gap.here_low, gap.here_high),
        (second, report.metric, gap.elsewhere, gap.elsewhere_low, gap.elsewhere_high),
        ("gap", "gap", gap.estimate, gap.low, gap.high),
        (f"gap of one more {name}", "gap", _middle(gap.next_low, gap.next_high), *_next(grouping)),
    ):
        if math.isfinite(value):
            limits = {"low": low, "high": high, "level": report.level}
            yield _metric(kind, f"{report.metric}, {label}", value, limits)


def _next(grouping: Grouping) -> tuple[float, float]:
    return grouping.gap.next_low, grouping.gap.next_high


def _middle(low: float, high: float) -> float:
    return (low + high) / 2


def _metric(kind: str, name: str, value: float, limits: Mapping[str, float]) -> list[str]:
    """Write one metric."""
    known = {key: limit for key, limit in limits.items() if math.isfinite(limit)}
    lines = [
        f"          - type: {_text(kind)}",
        f"            name: {_text(name)}",
        f"            value: {_number(value)}",
    ]
    if len(known) == len(limits):
        lines.append("            args:")
        lines += [f"              {key}: {_number(limit)}" for key, limit in known.items()]
    return lines


def _text(text: str) -> str:
    """Quote text: a JSON string is a YAML string."""
    return json.dumps(visible(text), ensure_ascii=False)


def _number(value: float) -> str:
    """Write a number with a point, since YAML 1.1 takes 1e-05 for text."""
    text = f"{value:.{SIGNIFICANT_DIGITS}g}"
    mantissa, e, exponent = text.partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + e + exponent


# --- the section of the card's text ------------------------------------------------------------

_SPECIAL = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>#|&$~"})


def _markdown(text: str) -> str:
    """Write text so that Markdown shows it as it is."""
    return visible(text).translate(_SPECIAL)


def _section(report: GapReport) -> list[str]:
    """Write the headline and the worst groups in Markdown."""
    grouping, numbers = report.headline, numbers_for(report, plain=True)
    rows = worst_first(grouping.rows, MAX_TEXT_GROUPS, greater_is_better=report.greater_is_better)
    metric = _markdown(report.metric)
    told = (
        f"{_markdown(shorten(report.verdict(), 400))} The metric is {metric} on "
        f"{count(report.n_rows)} rows, by {_markdown(shorten(grouping.name, 80))}; intervals of "
        f"{100 * report.level:g} %, those of the table for all groups together."
    )
    lines = [
        "## Generalization",
        "",
        _markdown(shorten(report.first_line(), 400)),
        "",
        told,
        "",
        f"| {_markdown(shorten(grouping.name, 40))} | rows | {metric} | gap |",
        "|---|---|---|---|",
    ]
    for row in rows:
        gap = numbers.both(row.gap, row.joint_low, row.joint_high)
        cells = (group_name(row.key, 60), count(row.n_rows), numbers.one(row.value), gap)
        lines.append(f"| {' | '.join(map(_markdown, cells))} |")
    if len(grouping.rows) > len(rows):
        lines += ["", f"The worst {len(rows)} of {count(len(grouping.rows))} groups."]
    return lines
