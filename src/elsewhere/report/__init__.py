"""A `GapReport` for every reader: page, terminal, spreadsheet, paper, build server, model card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elsewhere.core.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rich.console import Console

    from elsewhere.core.gap_report import GapReport

__all__ = [
    "SUFFIXES",
    "log_report",
    "render",
    "show",
    "to_csv",
    "to_html",
    "to_junit",
    "to_latex",
    "to_model_card",
]


def to_html(report: GapReport) -> str:
    """Write a report as one self-contained HTML page; see `page.to_html`."""
    from elsewhere.report.page import to_html

    return to_html(report)


def to_csv(report: GapReport) -> str:
    """Write every group of a report as a line of CSV; see `tables.to_csv`."""
    from elsewhere.report.tables import to_csv

    return to_csv(report)


def to_latex(report: GapReport) -> str:
    """Write the headline grouping as a LaTeX table; see `tables.to_latex`."""
    from elsewhere.report.tables import to_latex

    return to_latex(report)


def to_junit(report: GapReport) -> str:
    """Write the groups as test cases in JUnit XML; see `junit.to_junit`."""
    from elsewhere.report.junit import to_junit

    return to_junit(report)


def to_model_card(report: GapReport) -> str:
    """Write metadata of a model card as YAML; see `model_card.to_model_card`."""
    from elsewhere.report.model_card import to_model_card

    return to_model_card(report)


def log_report(
    report: GapReport, *, prefix: str = "", artifact_path: str = "elsewhere", module: Any = None
) -> str:
    """Log a report to a run of MLflow; see `mlflow.log_report`."""
    from elsewhere.report.mlflow import log_report

    return log_report(report, prefix=prefix, artifact_path=artifact_path, module=module)


def show(report: GapReport, console: Console | None = None) -> None:
    """Print a summary; see `terminal.show`."""
    from elsewhere.report.terminal import show

    show(report, console)


def _to_json(report: GapReport) -> str:
    """Write a report as JSON."""
    return report.to_json()


_WRITERS: dict[str, Callable[[GapReport], str]] = {
    ".html": to_html,
    ".json": _to_json,
    ".csv": to_csv,
    ".tex": to_latex,
    ".xml": to_junit,
    ".yaml": to_model_card,
    ".yml": to_model_card,
}

SUFFIXES = tuple(_WRITERS)
"""File endings that `render` knows."""


def render(report: GapReport, suffix: str) -> bytes:
    """Write a report in the format that a file's ending names.

    Args:
        report: The report.
        suffix: ".html" (page), ".json" (everything), ".csv" (groups), ".tex" (LaTeX table),
            ".xml" (JUnit) or ".yaml" (model card; also ".yml"), in any case.

    Returns:
        The file's content in UTF-8; the same report gives the same bytes.

    Raises:
        InputError: Another suffix; the message lists the known ones.
    """
    writer = _WRITERS.get(suffix.lower())
    if writer is None:
        raise InputError(
            "output format",
            f"is {suffix!r}",
            f"one of {', '.join(SUFFIXES)}",
            nearest(suffix, SUFFIXES),
        )
    return writer(report).encode()
